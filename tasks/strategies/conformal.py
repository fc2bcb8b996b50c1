"""Ask where conformal prediction is at a loss: many classes conform with what has been answered, or none does.

An item with a class is as strange as 1 - p_y. Its p-value is the share of answered items that are at least as strange
with the class they were given, itself among them (Vovk, Gammerman & Shafer 2005, 'Algorithmic Learning in a Random
World'). The model has seen the labels it would be compared with, so heads are cross-fitted: each answered item is
judged by a head that has not seen it, and each candidate is compared with it under that same head (cross-conformal
prediction, Vovk 2015). A class that nobody has given is as strange as can be.
"""

from collections.abc import Iterator

import numpy as np

from labelwise.tasks.strategies import heads
from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Indices, Labelled, chosen
from labelwise.tasks.strategies.uncertainty import margin_of

FOLDS = 5
LEVEL = 0.1  # the share of items whose true class the prediction set may miss


def conformal_size(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items with the largest prediction sets at level 0.1: more classes than for others cannot be ruled out.

    Ties, and there are many, by margin. O(nc(d + log m)) time and five fits of a head; O(n) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> conformal_size(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    sizes = np.empty(len(candidates))
    for part, values in p_values(candidates, rng):
        sizes[part] = (values > LEVEL).sum(axis=1)
    return _first(sizes, candidates, k, rng)


def conformal_p(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items with the least credibility, the largest p-value of any class: no answer so far looks like them
    (Balasubramanian et al. 2009 ask in streams by p-values). Scores are 1 less that p-value; ties by margin.

    O(nc(d + log m)) time and five fits of a head; O(n) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> conformal_p(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    strangeness = np.empty(len(candidates))
    for part, values in p_values(candidates, rng):
        strangeness[part] = 1 - values.max(axis=1)
    return _first(strangeness, candidates, k, rng)


def p_values(candidates: Candidates, rng: np.random.Generator) -> Iterator[tuple[slice, Floats]]:
    """Candidates by blocks of b with their p-values, (b, c), in (0, 1]; all 1 while there is a single label."""
    c = candidates.probabilities.shape[1]
    judges = [_judge(candidates.labelled, fold, c) for fold in folds(len(candidates.labelled), rng)]
    compared = 1 + sum(len(strange) for _, strange in judges)
    for part, vectors in candidates.blocks():
        at_least = np.ones((len(vectors), c))
        for head, strange in judges:
            sure = np.searchsorted(strange, 1 - head.probabilities(vectors))  # how many are less strange
            at_least += len(strange) - sure
        yield part, at_least / compared


def folds(m: int, rng: np.random.Generator) -> list[Indices]:
    """m positions in at most five parts, drawn by chance; none for a single one, which has nobody to judge it."""
    return np.array_split(rng.permutation(m), min(FOLDS, m)) if m > 1 else []


def _judge(labelled: Labelled, fold: Indices, c: int) -> tuple[heads.LinearModel, Floats]:
    """A head that has not seen the fold, and how strange it finds the fold's answers, sorted."""
    others = np.setdiff1d(np.arange(len(labelled)), fold)
    head = heads.fit(labelled.vectors[others], labelled.labels[others], c)
    own = head.probabilities(labelled.vectors[fold])[np.arange(len(fold)), labelled.labels[fold]]
    return head, np.sort(1 - own)


def _first(scores: Floats, candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The k highest scores; ties by margin, then by chance."""
    order = np.lexsort((rng.random(len(scores)), -margin_of(candidates.probabilities), -scores))[:k]
    return chosen(order, scores[order])
