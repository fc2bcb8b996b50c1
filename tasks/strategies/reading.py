"""Texts whose words a model is least sure of, where spans are marked in them: what is asked costs what has to be read.

The word that the model is least sure of is in the simplex of an item, so `least_confidence`, `margin` and `entropy` go
by that. These go by all words of a text.
"""

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, top
from labelwise.tasks.strategies.uncertainty import least_confidence_of

MEAN, SUM, MARGIN, WORDS, WHICH = range(5)  # columns of Views.words
AGAIN = 0.5


def by_word(candidates: Candidates) -> Floats:
    """(n, 5) see Views.words. ValueError where no spans are marked."""
    if candidates.views is None or candidates.views.words is None:
        raise ValueError("strategies by words need items in which spans are marked")
    return candidates.views.words


def word_mean(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """How improbable the likeliest tag is, the mean over words: what a word that is read is expected to teach (Settles
    & Craven 2008, 'An analysis of active learning strategies for sequence labeling tasks', total token entropy over
    length). O(n + k log k) time, O(n) memory."""
    return top(by_word(candidates)[:, MEAN], k, rng)


def word_sum(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The same summed over words: how many of them the model is expected to get wrong. It likes long texts (Settles &
    Craven 2008). O(n + k log k) time, O(n) memory."""
    return top(by_word(candidates)[:, SUM], k, rng)


def tagging_margin(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """One less the gap between the two most probable taggings of the whole text (Settles & Craven 2008). O(n + k log k)
    time, O(n) memory."""
    return top(1 - by_word(candidates)[:, MARGIN], k, rng)


def least_word_read(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The least sure word of a text, divided by the root of how many words there are to read: of two texts in doubt
    about a word, the shorter. A text counts half of that for each better one in doubt about the same word: nobody is
    asked the same name all day. O(nk + n log n) time for k tags, O(n) memory."""
    doubt = least_confidence_of(candidates.simplex)
    wanted = doubt / np.sqrt(np.maximum(by_word(candidates)[:, WORDS], 1))
    return top(wanted * AGAIN ** before(wanted, by_word(candidates)[:, WHICH]), k, rng)


def before(wanted: Floats, which: Floats) -> NDArray[np.int64]:
    """(n,) how many with the same number are wanted more, of equals how many stand before.

    >>> before(np.array([0.1, 0.9, 0.5, 0.5]), np.array([7, 7, 7, 8])).tolist()
    [2, 0, 1, 0]
    """
    order = np.lexsort((-wanted, which))
    starts = np.flatnonzero(np.concatenate([[True], np.diff(which[order]) != 0]))[: len(order)]
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    return found
