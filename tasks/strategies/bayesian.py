"""Ask what the model could still learn: the mutual information between an item's class and the weights of the model
(BALD: Houlsby et al. 2011, arXiv 1112.5745).

A posterior is T draws of the weights of a linear head, (T, c, d), the same draws for every item of the pool: without
that, nothing could be said of a batch as a whole. Three ways to get one: last-layer Laplace, dropout, a linear
hypermodel.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from labelwise.tasks.strategies import heads
from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Labelled, chosen, top
from labelwise.tasks.strategies.committee import consensus_kl_of
from labelwise.tasks.strategies.uncertainty import entropy_of

DRAWS = 20
JOINT_DRAWS = 50  # batch_bald: a batch can tell no more than the logarithm of this many draws
KEPT = 0.7  # dropout: share of the vector's dimensions that stay
INDEX, EPOCHS, RATE, PART = 8, 60, 0.05, 256  # hypermodel: dimensions of its index; training
MOST_JOINT, OUTCOMES = 500, 200  # batch_bald: candidates, and outcomes of the batch that are followed
AT_ONCE = 4_000_000  # probabilities held at once

Posterior = Callable[[Labelled, int, int, np.random.Generator], "WeightSamples"]


class WeightSamples:
    """weights: (T, c, d); bias: (c,), minus infinity for classes not seen."""

    def __init__(self, weights: Floats, bias: Floats) -> None:
        self.weights, self.bias = weights.astype(np.float32), bias

    def probabilities(self, vectors: Floats) -> NDArray[np.float32]:
        """(n, d) -> (T, n, c)."""
        t, c, d = self.weights.shape
        logits = (vectors @ self.weights.reshape(t * c, d).T).reshape(len(vectors), t, c) + self.bias
        return np.ascontiguousarray(softmax(logits, axis=2).transpose(1, 0, 2), dtype=np.float32)


def laplace(labelled: Labelled, c: int, draws: int, rng: np.random.Generator) -> WeightSamples:
    """A normal distribution around the fitted head, as wide as the curvature of its loss and the prior of its
    regularisation say (last-layer, Kronecker-factored Laplace: Ritter et al. 2018; Daxberger et al. 2021, arXiv
    2106.14806). O(md² + d³ + c³)."""
    head = heads.fit(labelled.vectors, labelled.labels, c)
    p = head.probabilities(labelled.vectors)
    u, v, precision = heads.curvature(p, labelled.vectors, head.ridge)
    noise = rng.normal(size=(draws, *precision.shape)) / np.sqrt(precision)
    return WeightSamples(head.weights + np.einsum("ck,tkl,dl->tcd", u, noise, v, optimize=True), head.bias)


def dropout(labelled: Labelled, c: int, draws: int, rng: np.random.Generator) -> WeightSamples:
    """The fitted head with dimensions of the vectors dropped by chance (Gal & Ghahramani 2016, arXiv 1506.02142), the
    same ones for all items of a draw. O(mcd)."""
    head = heads.fit(labelled.vectors, labelled.labels, c)
    masks = (rng.random((draws, 1, head.weights.shape[1])) < KEPT) / KEPT
    return WeightSamples(head.weights * masks, head.bias)


def hypermodel(labelled: Labelled, c: int, draws: int, rng: np.random.Generator) -> WeightSamples:
    """Weights that are linear in a random index z, W(z) = W + (P + D) z: P is a fixed random prior, D is trained so
    that each W(z) fits the labels as z perturbs them (Dwaracherla et al. 2020, arXiv 2006.07464; epistemic networks:
    Osband et al. 2021, arXiv 2107.08924). Labels are taken 256 at a time, so that the cost does not grow with them."""
    import torch

    head = heads.fit(labelled.vectors, labelled.labels, c)
    seen = np.flatnonzero(np.isfinite(head.bias))
    vectors, labels = torch.from_numpy(labelled.vectors), torch.from_numpy(np.searchsorted(seen, labelled.labels))
    base, bias = torch.from_numpy(head.weights[seen]), torch.from_numpy(head.bias[seen])
    shape = (INDEX, *base.shape)
    prior = torch.from_numpy(rng.normal(size=shape).astype(np.float32)) / (head.ridge * INDEX) ** 0.5
    learned = torch.zeros(shape, requires_grad=True)
    signs = torch.from_numpy(rng.normal(size=(len(labels), INDEX)).astype(np.float32)) / INDEX**0.5
    optimiser = torch.optim.Adam([learned], lr=RATE)
    for _ in range(EPOCHS):
        rows = torch.from_numpy(rng.permutation(len(labels))[:PART])
        z = torch.from_numpy(rng.normal(size=(4, INDEX)).astype(np.float32))
        weights = base + torch.einsum("zi,icd->zcd", z, prior + learned)
        logits = torch.einsum("md,zcd->zmc", vectors[rows], weights) + bias
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[rows].expand(4, -1), reduction="none")
        fit = (losses * torch.clamp(1 + z @ signs[rows].T, min=0)).sum(1).mean() * len(labels) / len(rows)
        small = ((base + torch.einsum("zi,icd->zcd", z, prior + learned)) ** 2).sum((1, 2)).mean()
        optimiser.zero_grad()
        (fit + head.ridge / 2 * small).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    z = torch.from_numpy(rng.normal(size=(draws, INDEX)).astype(np.float32))
    drawn = np.zeros((draws, *head.weights.shape), np.float32)
    drawn[:, seen] = (base + torch.einsum("zi,icd->zcd", z, prior + learned)).detach().numpy()
    return WeightSamples(drawn, head.bias)


def bald(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items that tell most about the weights, each by itself (BALD: Houlsby et al. 2011, arXiv 1112.5745); Laplace
    posterior. A fit of a head, O(md² + d³ + c³) for the posterior, then O(nTcd) time with T = 20 draws; O(n) memory
    beside a block of four million probabilities.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> bald(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    return top(_information(candidates, laplace, rng), k, rng)


def bald_dropout(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """BALD with a posterior by dropout on the head (Gal & Ghahramani 2016, arXiv 1506.02142). Its width does not follow
    the number of labels, so `bald` is the better one. A fit of a head, then O(nTcd) time, T = 20; O(n) memory beside a
    block of four million probabilities.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> bald_dropout(GIVEN, 1, chance()).indices.tolist()
    [1]
    """
    return top(_information(candidates, dropout, rng), k, rng)


def bald_epinet(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """BALD with a posterior by a linear hypermodel, an epinet without hidden layers (Dwaracherla et al. 2020, arXiv
    2006.07464; Osband et al. 2021, arXiv 2107.08924). A fit of a head, 60 steps of training on at most 256 labels, then
    O(nTcd) time, T = 20; O(n + Tcd) memory beside a block of four million probabilities.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> bald_epinet(GIVEN, 2, chance()).indices.tolist()
    [3, 4]
    """
    return top(_information(candidates, hypermodel, rng), k, rng)


def power_bald(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Drawn without replacement in proportion to BALD (stochastic batch acquisition: Kirsch et al. 2021, arXiv
    2106.12059): the k highest of log BALD plus Gumbel noise. Spreads a batch at no cost: time and memory are those of
    `bald`.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> power_bald(GIVEN, 2, chance()).indices.tolist()
    [2, 3]
    """
    scores = np.log(_information(candidates, laplace, rng) + 1e-12) + rng.gumbel(size=len(candidates))
    return top(scores, k, rng)


def batch_bald(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The batch that tells most as a whole, greedily (BatchBALD: Kirsch et al. 2019, arXiv 1906.08158): two items that
    tell the same count once. Among the 500 candidates of highest BALD (k when that is more), with 50 draws.

    Exact while the batch has at most 200 outcomes; beyond that, outcomes are drawn. O(nTcd) time to find the
    candidates, as in `bald`, and O(n'·200·Tc) a pick, T = 50 and n' = 500; O(n + n'Tc) memory beside a block of four
    million probabilities.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> batch_bald(GIVEN, 2, chance()).indices.tolist()
    [3, 4]
    """
    draws = laplace(candidates.labelled, candidates.probabilities.shape[1], JOINT_DRAWS, rng)
    most = min(len(candidates), max(MOST_JOINT, k))
    rows = top(_measured(candidates, draws), most, rng).indices
    p = draws.probabilities(candidates.gather(rows))[:, :, np.isfinite(draws.bias)].astype(np.float64)
    conditional = np.mean([entropy_of(one) for one in p], axis=0)
    joint: Floats = np.ones((1, len(p)))
    weight: Floats = np.ones(1)
    picks: list[int] = []
    scores: list[float] = []
    known = 0.0  # entropy of the batch so far
    for _ in range(k):
        together = joint_entropy(joint, weight, p)
        gains = together - known - conditional
        gains[picks] = -np.inf
        picks.append(int(gains.argmax()))
        scores.append(float(gains[picks[-1]]))
        known = float(together[picks[-1]])
        joint, weight = followed(joint, weight, p[:, picks[-1]], rng)
    return chosen(rows[picks], np.array(scores))


def joint_entropy(joint: Floats, weight: Floats, p: Floats) -> Floats:
    """(n,) entropy in nats of the batch's outcome together with each item's class. joint: (s, T) probability of each
    outcome under each draw; weight: (s,) how many outcomes each stands for; p: (T, n, c)."""
    t, n, c = p.shape
    result = np.empty(n)
    step = max(1, AT_ONCE // (len(joint) * c))
    for start in range(0, n, step):
        part = p[:, start : start + step]
        both = (joint @ part.reshape(t, -1) / t).reshape(len(joint), -1, c)
        logs = np.log(both, where=both > 0, out=np.zeros_like(both))
        result[start : start + step] = -np.einsum("s,snc->n", weight, both * logs)
    return result


def followed(joint: Floats, weight: Floats, p: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The outcomes of the batch with one item more, p: (T, c) its classes: all of them, or a draw of 200."""
    grown = (joint[:, None, :] * p.T[None]).reshape(-1, joint.shape[1])
    weight = np.repeat(weight, p.shape[1])
    if len(grown) <= OUTCOMES:
        return grown, weight
    mass = weight * grown.mean(axis=1)
    rows = rng.choice(len(grown), OUTCOMES, p=mass / mass.sum())
    return grown[rows], 1 / (OUTCOMES * grown[rows].mean(axis=1))


def _information(candidates: Candidates, posterior: Posterior, rng: np.random.Generator) -> Floats:
    return _measured(candidates, posterior(candidates.labelled, candidates.probabilities.shape[1], DRAWS, rng))


def _measured(candidates: Candidates, draws: WeightSamples) -> Floats:
    step = max(1, AT_ONCE // draws.weights[..., 0].size)
    return np.concatenate([consensus_kl_of(draws.probabilities(vectors)) for _, vectors in candidates.blocks(step)])
