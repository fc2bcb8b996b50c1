"""Ask what is expected to change the model most, or to leave it least in doubt.

Nobody knows the answer beforehand, so each possible one counts as much as the model believes in it (Settles 2009,
sections 3.3 and 3.4).
"""

import numpy as np
from scipy.special import entr, softmax

from tasks.strategies import heads
from tasks.strategies.base import Candidates, Choice, Floats, Indices, chosen, top
from tasks.strategies.uncertainty import margin_of

TRIED = 200  # candidates tried at least, and four times the batch: the others are taken to be surer
SAMPLED = 300  # items on which what is left of the doubt is measured
ANSWERS = 10  # answers tried of each candidate: the most probable


def gradient_length(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items whose answer is expected to pull hardest at a linear softmax head (Settles et al. 2008). O(nc) time.

    The gradient for class y is (p - e_y) outer [h, 1], and the length of an outer product is the product of the
    lengths. Vectors h have length 1, so the second factor is the square root of 2 for all, and none is read.
    """
    return top(np.sqrt(2) * gradient_length_of(candidates.probabilities), k, rng)


def gradient_length_of(probabilities: Floats) -> Floats:
    """Expected distance from the probabilities to the answer, sum of p_y ||p - e_y||. In [0, 1), highest for even
    probabilities over many classes.

    >>> gradient_length_of(np.array([[0.5, 0.5], [1.0, 0.0]])).round(3).tolist()
    [0.707, 0.0]
    """
    squared = (probabilities**2).sum(axis=1, keepdims=True) - 2 * probabilities + 1
    return (probabilities * np.sqrt(np.maximum(squared, 0))).sum(axis=1)


def error_reduction(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items whose answer is expected to leave the pool least in doubt (Roy & McCallum 2001, log loss).

    For each item and each answer it may get, a head learns that answer; the score is by how many nats the mean entropy
    of 300 candidates drawn by chance falls, averaged over the answers as the head believes in them. Exact is the
    expectation over the ten most probable answers. Not exact: only the max(200, 4k) candidates of highest margin are
    tried, the rest follow by margin with a score of NaN; and the head is not fitted anew but moved one step, which is
    safe but shorter than a full fit (see `Update`). Within the batch no item knows of the others.
    O(nc + md² + d³ + k · 300 · 10 · c) time; memory is that of the vectors tried, whatever the pool.
    """
    n = len(candidates)
    margins = margin_of(candidates.probabilities)
    tried = top(margins, min(n, max(TRIED, 4 * k)), rng).indices
    sample = candidates.gather(rng.choice(n, min(n, SAMPLED), replace=False))
    reductions = np.full(n, np.nan)
    reductions[tried] = expected_reductions(Update(candidates), sample, candidates.gather(tried))
    wanted = np.where(np.isnan(reductions), -np.inf, reductions)
    order = np.lexsort((rng.random(n), -margins, -wanted))[:k]
    return chosen(order, reductions[order])


class Update:
    """A head fitted to what has been answered, and where its logits go when it learns one answer more.

    The fitted head is at the optimum, so the gradient of the new objective is that of the new answer alone:
    (p - e_y) outer x. The curvature is at most half of A + xx', with A the sum of outer products of what is labelled
    plus the ridge (Böhning 1992); a step by that bound never makes the objective worse. By Sherman and Morrison
    it moves the logits of z by 2 (e_y - p) · z'A⁻¹x / (1 + x'A⁻¹x). O(md² + d³) to make.
    """

    def __init__(self, candidates: Candidates) -> None:
        labelled = candidates.labelled
        self.seen = np.unique(labelled.labels)
        self.head = heads.fit(labelled.vectors, labelled.labels, candidates.probabilities.shape[1])
        known = with_bias(labelled.vectors)
        # scikit-learn's ridge for two classes lies on the difference of their weights: half as wide, twice the ridge.
        ridge = np.full(known.shape[1], (4 if len(self.seen) == 2 else 2) / heads.INVERSE_REGULARISATION)
        ridge[-1] = 0  # the bias is free
        self.inverse = np.linalg.inv(known.T @ known + np.diag(ridge))

    def logits(self, vectors: Floats) -> Floats:
        """(n, d) -> (n, classes seen)."""
        return vectors @ self.head.weights[self.seen].T + self.head.bias[self.seen]

    def steps(self, sample: Floats, tried: Floats) -> Floats:
        """(s, t) by how much the logits of each sampled item move for a unit of surprise at each item tried."""
        sides = self.inverse @ with_bias(tried).T
        return 2 * (with_bias(sample) @ sides) / (1 + (with_bias(tried).T * sides).sum(axis=0))


def with_bias(vectors: Floats) -> Floats:
    """(n, d) -> (n, d + 1): a last column of ones."""
    return np.column_stack([vectors, np.ones(len(vectors))])


def expected_reductions(update: Update, sample: Floats, tried: Floats) -> Floats:
    """(t,) expected fall of the sample's mean entropy for each item tried, in nats. (s, d), (t, d)."""
    before = update.logits(sample).astype(np.float32)
    beliefs = softmax(update.logits(tried), axis=1)
    steps = update.steps(sample, tried)
    doubt = entr(softmax(before, axis=1)).sum(axis=1).mean()
    after = [_doubt_after(before, step, belief) for step, belief in zip(steps.T, beliefs, strict=True)]
    return doubt - np.array(after)


def _doubt_after(before: Floats, step: Floats, belief: Floats) -> float:
    """Mean entropy after one item is learned, averaged over its answers. (s, c) logits, (s,) steps, (c,) belief."""
    answers = _likeliest(belief)
    surprise = np.eye(len(belief), dtype=np.float32)[answers] - belief.astype(np.float32)
    after = before[:, None] + step.astype(np.float32)[:, None, None] * surprise  # (s, answers, c)
    doubt = entr(softmax(after, axis=2)).sum(axis=2).mean(axis=0)
    return float(doubt @ (belief[answers] / belief[answers].sum()))


def _likeliest(belief: Floats) -> Indices:
    return np.argsort(-belief, kind="stable")[:ANSWERS]
