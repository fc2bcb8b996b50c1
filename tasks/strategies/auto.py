"""`auto`: the strategy that needs no thought.

No strategy wins everywhere, so this takes the two that lost nowhere in what was measured (docs/labels.md). While
classes have few labels, BADGE: its batch is spread over many kinds of doubt, and with many classes there are many.
Later margin: no better single strategy is known for text, and it costs nothing.

A first BADGE batch asks much that is like nothing else. So half of each batch is what is typical of kinds of items that
have few labels, as long as classes have few: labels for those who begin (Hacohen et al. 2022, arXiv 2202.02794).

Where one of more than two classes is rare, half of each batch is kept for it (rare.py).

Where an item may have several labels, half of each batch is BADGE's, which looks at all labels at once, and half is
`round_robin`'s, which sees to the rare ones: the two together came further than either.
"""

import numpy as np

from labelwise.tasks.strategies.balanced import round_robin
from labelwise.tasks.strategies.base import Candidates, Choice
from labelwise.tasks.strategies.batches import asked_of, joined
from labelwise.tasks.strategies.diversity import typiclust
from labelwise.tasks.strategies.hybrid import badge
from labelwise.tasks.strategies.rare import rare_classes, with_rare
from labelwise.tasks.strategies.reading import least_word_read
from labelwise.tasks.strategies.uncertainty import margin

FEW = 10  # labels a class


def auto(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """BADGE (Ash et al. 2020, arXiv 1906.03671) up to ten labels a class on average, margin (Scheffer et al. 2001) from
    there, with half of the batch kept for what is rare among more than two classes (see rare.py); of several labels an
    item, BADGE and round robin over the labels (Esuli & Sebastiani 2009). O(nk(c + d)) time at most, which is BADGE's;
    O(nc) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> auto(GIVEN, 3, chance()).indices.tolist()
    [3, 1, 2]
    """
    if candidates.views is not None and candidates.views.words is not None:
        return least_word_read(candidates, k, rng)
    if candidates.labelled.labels.ndim > 1:
        return both(candidates, k, rng)
    few = len(candidates.labelled) < FEW * candidates.probabilities.shape[1]
    return with_rare(badge if few else margin, candidates, k, rng)


def typical_first(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """`auto`, with TypiClust (Hacohen et al. 2022) for half of each batch up to ten labels a class, where no class is
    rare. O(nk(c + d)) time at most beside TypiClust's; the memory of at most 50,000 vectors.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> typical_first(GIVEN, 4, chance()).indices.tolist()
    [3, 4, 2, 5]
    """
    c = candidates.probabilities.shape[1]
    several, few = candidates.labelled.labels.ndim > 1, len(candidates.labelled) < FEW * c
    if several or not few or k == 1 or (c > 2 and len(rare_classes(candidates))):
        return auto(candidates, k, rng)
    first = typiclust(candidates, k // 2, rng)
    rest = np.setdiff1d(np.arange(len(candidates)), first.indices)
    return joined([first, asked_of(badge, candidates, rest, k - k // 2, rng)])


def both(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Half of the batch by BADGE, the rest by round robin."""
    if k == 1:
        return badge(candidates, k, rng)
    first = badge(candidates, k // 2, rng)
    rest = np.setdiff1d(np.arange(len(candidates)), first.indices)
    return joined([first, asked_of(round_robin, candidates, rest, k - k // 2, rng)])
