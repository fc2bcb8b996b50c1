"""Ask what is expected to change the model most, or to leave it least in doubt.

Nobody knows the answer beforehand, so each possible one counts as much as the model believes in it (Settles 2009,
sections 3.3 and 3.4).
"""

from dataclasses import replace

import numpy as np
from scipy.special import entr, softmax

from labelwise.tasks.strategies import heads
from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Indices, top
from labelwise.tasks.strategies.uncertainty import margin_of

TRIED = 200  # candidates tried at least, and four times the batch: the others are taken to be surer
SAMPLED = 300  # items on which what is left of the doubt is measured
ANSWERS = 10  # answers tried of each candidate: the most probable


def gradient_length(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items whose answer is expected to pull hardest at a linear softmax head (Settles et al. 2008). O(nc) time
    and memory.

    The gradient for class y is (p - e_y) outer [h, 1], and the length of an outer product is the product of the
    lengths. Vectors h have length 1, so the second factor is the square root of 2 for all, and none is read.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> gradient_length(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    return top(np.sqrt(2) * gradient_length_of(candidates.simplex), k, rng)


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
    tried; and the head is not fitted again but moved one step (see `Update`): scores come out too large, in nearly the
    order of those that full fits give. Within the batch no item knows of the others.
    O(nc + md² + d³ + (200 + k) · 300 · c(d + 10c)) time; memory is that of the vectors tried, whatever the pool.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> error_reduction(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    n = len(candidates)
    tried = top(margin_of(candidates.probabilities), min(n, max(TRIED, 4 * k)), rng).indices
    sample = candidates.gather(rng.choice(n, min(n, SAMPLED), replace=False))
    best = top(expected_reductions(Update(candidates), sample, candidates.gather(tried)), k, rng)
    return replace(best, indices=tried[best.indices])


class Update:
    """A head fitted to what has been answered, and where its logits go when it learns one answer more.

    The fitted head is at the optimum, so the gradient of the new objective is that of the new answer alone:
    (p - e_y) outer x. The step is Newton's, by the curvature that Laplace has, without what the new answer adds to it
    (influence functions: Koh & Liang 2017, arXiv 1703.04730). O(md² + d³ + c³) to make.
    """

    def __init__(self, candidates: Candidates) -> None:
        labelled = candidates.labelled
        self.seen = np.unique(labelled.labels)
        self.head = heads.fit(labelled.vectors, labelled.labels, candidates.probabilities.shape[1])
        p = self.head.probabilities(labelled.vectors)[:, self.seen]
        inputs = with_bias(labelled.vectors)
        self.outputs, self.inputs, self.curvature = heads.curvature(p, inputs, self.head.ridge)

    def logits(self, vectors: Floats) -> Floats:
        """(n, d) -> (n, classes seen)."""
        return vectors @ self.head.weights[self.seen].T + self.head.bias[self.seen]

    def turned(self, vectors: Floats) -> Floats:
        """(n, d) -> (n, d + 1), in the directions along which the inputs are curved."""
        return with_bias(vectors) @ self.inputs


def with_bias(vectors: Floats) -> Floats:
    """(n, d) -> (n, d + 1): a last column of ones."""
    return np.column_stack([vectors, np.ones(len(vectors))])


def expected_reductions(update: Update, sample: Floats, tried: Floats) -> Floats:
    """(t,) expected fall of the sample's mean entropy for each item tried, in nats. (s, d), (t, d)."""
    before = update.logits(sample).astype(np.float32)
    beliefs = softmax(update.logits(tried), axis=1)
    doubt = entr(softmax(before, axis=1)).sum(axis=1).mean()
    sides = update.turned(sample).astype(np.float32)
    after = [
        _doubt_after(before, sides @ (item / update.curvature).T.astype(np.float32), update.outputs, belief)
        for item, belief in zip(update.turned(tried), beliefs, strict=True)
    ]
    return doubt - np.array(after)


def _doubt_after(before: Floats, near: Floats, outputs: Floats, belief: Floats) -> float:
    """Mean entropy after one item is learned, averaged over its answers. (s, c) logits; near: (s, c) how far each goes
    along each of the outputs' directions, (c, c), for a unit of surprise at the item; (c,) belief."""
    answers = _likeliest(belief)
    surprise = (np.eye(len(belief))[answers] - belief) @ outputs
    after = before[:, None] + (near[:, None] * surprise.astype(np.float32)) @ outputs.T.astype(np.float32)
    doubt = entr(softmax(after, axis=2)).sum(axis=2).mean(axis=0)  # (s, answers, c) before the sums
    return float(doubt @ (belief[answers] / belief[answers].sum()))


def _likeliest(belief: Floats) -> Indices:
    return np.argsort(-belief, kind="stable")[:ANSWERS]
