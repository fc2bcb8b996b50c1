"""How much items are like a few texts: by the encoder, which knows what words mean, and by the words themselves, which
it makes little of where they are rare, such as names and terms of art."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from labelwise.tasks.learners.base import Items
from labelwise.tasks.learners.terms import BUCKETS
from labelwise.tasks.learners.terms import words as words_of
from labelwise.tasks.strategies.seeking import together, towards

WORDED = 20_000  # items whose words are read: those that the encoder finds nearest; the rest are taken to share none
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Like:
    """What items are compared with. vectors: (a, d) and cells: of the texts that were given. found, vain: positions of
    items that are of what is looked for, and of such as were taken for it."""

    vectors: Floats
    cells: Sequence[str]
    found: NDArray[np.int64]
    vain: NDArray[np.int64]


@cache
def hashing() -> Any:
    """Texts -> (n, BUCKETS) how often each holds the words of a bucket."""
    return HashingVectorizer(analyzer=words_of, n_features=BUCKETS, alternate_sign=False, norm=None)


def likeness(items: Items, wanted: Sequence[Like], words: bool = True) -> Floats:
    """(n, s) how much n items are like each, higher is more alike. words: whether cells have any. O(n s (d + log n)),
    and the words of 20,000 items."""
    directions = np.stack(
        [
            towards(np.concatenate([one.vectors, items.vectors_at(one.found)]), items.vectors_at(one.vain))
            for one in wanted
        ]
    )
    similar = np.concatenate([block.vectors() @ directions.T for block in items.blocks()])
    return together(similar, by_words(items, wanted, similar) if words else similar)


def by_words(items: Items, wanted: Sequence[Like], similar: Floats) -> Floats:
    """(n, s) cosines of tf-idf weights (Salton & Buckley 1988), 0 of items beyond the nearest 20,000."""
    near: NDArray[np.integer] = np.arange(len(items))
    if len(near) > WORDED:
        near = np.sort(np.argpartition(-similar.max(axis=1), WORDED)[:WORDED])
    counts = hashing().transform(items.texts_at(near))
    weigh = TfidfTransformer(sublinear_tf=True).fit(counts)
    weights = weigh.transform(counts)
    result = np.zeros_like(similar)

    def mean(texts: Sequence[str]) -> NDArray[np.float64]:
        """(1, buckets) of their weights; (0, buckets) of no text."""
        whole = np.asarray(weigh.transform(hashing().transform(texts or [""])).mean(axis=0))
        return whole[: bool(texts)]

    for column, one in enumerate(wanted):
        direction = towards(mean([*one.cells, *items.texts_at(one.found)]), mean(items.texts_at(one.vain)))
        result[near, column] = weights @ direction
    return result
