"""Ask what spares most labels when the pool is to be finished (`labelwise finish`)."""

import numpy as np

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Indices, chosen

WRONG = 0.05  # of the labels that the model gives; which share is promised is not known before
MOST = 4_096  # items compared with each other: 64 MB


def finish(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Of the items that people would have to label anyway, since the model is not sure enough of them, those that speak
    for most of the others: greedily the item that is nearest to the largest sum of doubt of items which are not near
    one chosen or answered before (facility location, a monotone submodular function, so within 1 - 1/e of the best
    batch: Nemhauser, Wolsey & Fisher 1978; with doubt as in Wei, Iyer & Bilmes 2015, 'Submodularity in data subset
    selection and active learning').

    What the model may label is the largest set of items, the surest first, of which it expects WRONG to be wrong. Of
    more items than MOST that are left a sample is looked at. O(n log n + k MOST) beside MOST x MOST cosines.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> finish(GIVEN, 2, chance()).indices.tolist()
    [3, 4]
    """
    left = for_people(candidates.doubt, k)
    left = left[rng.permutation(len(left))[: max(MOST, k)]]  # in an order of chance: of items that are alike it decides
    vectors, weights = candidates.gather(left), candidates.doubt[left].astype(np.float32)
    near = vectors @ vectors.T
    covered = np.zeros(len(left), np.float32)
    if len(candidates.labelled):
        np.maximum(covered, (vectors @ candidates.labelled.vectors.T).max(axis=1), out=covered)
    picks, scores = covering(near, covered, weights, k)
    return chosen(left[picks], scores=scores, why="uncertain")


def for_people(doubt: Floats, k: int) -> Indices:
    """The items that the model is not to label, at least k: rising positions."""
    order = np.argsort(doubt, kind="stable")
    expected = np.cumsum(doubt[order], dtype=np.float64) / np.arange(1, len(doubt) + 1)
    model = min(int((expected <= WRONG).sum()), max(len(doubt) - k, 0))
    return np.sort(order[model:])


def covering(near: Floats, covered: Floats, weights: Floats, k: int) -> tuple[Indices, Floats]:
    """k rows of `near` (n, n), each of which raises most what is covered, (n,) at first, weighed; and by how much."""
    picks, scores = np.empty(k, np.int64), np.empty(k, np.float32)
    gains = np.array([weights @ np.maximum(row - covered, 0) for row in near], dtype=np.float32)
    for at in range(k):
        best = -1
        while best != (first := int(gains.argmax())):  # gains only fall: what is the largest by now is the best
            best = first
            gains[best] = weights @ np.maximum(near[best] - covered, 0)
        picks[at], scores[at] = best, gains[best]
        gains[best] = -np.inf
        np.maximum(covered, near[best], out=covered)
    return picks, scores
