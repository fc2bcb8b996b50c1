"""What a model says of the words of texts, as numbers: the spans that it holds possible, and how sure it is of each
word. `spans.py` makes labels of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.kinds.base import Floats, Views

Opinions = NDArray[np.object_]  # (n,) Marked
BY_WORD = 5  # figures of a text's words beside its views: mean, sum, margin, words, which is least sure


@dataclass(frozen=True)
class Marked:
    """What a model says of one text.

    begin, end, of: (m,) the spans that it holds possible, in code points, and their classes; probability: (m,) that
    just this is one. least: (k,) how probable each tag is of the word that it is least sure of, 1 of which are `O`,
    then `B` and `I` of each class; errors: (k,) the gradient of its loss by the logits of that word, if its own guess
    were right. mean, sum: of how improbable the likeliest tag is, over words. margin: by how much the best tagging of
    the text is more probable than the next best. words: how many there are."""

    begin: NDArray[np.int32]
    end: NDArray[np.int32]
    of: NDArray[np.int64]
    probability: NDArray[np.float64]
    least: NDArray[np.float32]
    errors: NDArray[np.float32]
    mean: float
    sum: float
    margin: float
    words: int
    which: int


def said(one: Marked, thresholds: Floats | None) -> list[int]:
    """The numbers of the spans that are said: those that reach the threshold of their class, one half where there is
    none; of those that overlap, the likeliest."""
    if not len(one.of):
        return []
    limits = 0.5 if thresholds is None else thresholds[one.of]
    reach = np.flatnonzero(one.probability >= limits)
    if len(reach) < 2:
        return [int(each) for each in reach]
    chosen: list[int] = []
    for each in reach[np.argsort(-one.probability[reach], kind="stable")].tolist():
        if all(one.end[each] <= one.begin[other] or one.begin[each] >= one.end[other] for other in chosen):
            chosen.append(each)
    return sorted(chosen)


def expected(one: Marked, chosen: Sequence[int]) -> float:
    """The expected F1 of the spans that are said, see `multilabel.expect`: each possible span is a class by itself."""
    if not len(one.of):
        return 1.0
    if not len(chosen):
        return float(np.prod(1 - one.probability))
    return float(2 * one.probability[list(chosen)].sum() / (len(chosen) + one.probability.sum()))


def summary(opinions: NDArray[np.object_] | Floats, thresholds: Floats | None) -> NDArray[np.float32]:
    """(n, w) what is kept of opinions on c classes: the chance that a text has each class, (c,); least and errors, (k,)
    each; 1 less the expected F1; and the figures of words. NaN where nothing has been learned: `opinions` is (n, c)
    then."""
    if opinions.dtype != object:
        return np.full((len(opinions), width(opinions.shape[1])), np.nan, np.float32)
    if not len(opinions):
        return np.empty((0, width(0)), np.float32)
    made = np.empty((len(opinions), width(len(opinions[0].least) // 2)), np.float32)
    for row, one in zip(made, opinions, strict=True):
        c, k = len(one.least) // 2, len(one.least)
        row[:c] = 1 - absent(one, c)
        row[c : c + k], row[c + k : c + 2 * k] = one.least, one.errors
        doubt = 1 - expected(one, said(one, thresholds))
        row[c + 2 * k :] = doubt, one.mean, one.sum, one.margin, one.words, one.which
    return made


def absent(one: Marked, c: int) -> NDArray[np.float64]:
    """(c,) the chance that a text has no span of each class, if they came independently of each other."""
    found = np.ones(c)
    if not len(one.of):
        return found
    np.multiply.at(found, one.of, 1 - one.probability)
    return found


def width(c: int) -> int:
    """How many figures are kept of an opinion on c classes.

    >>> width(2), classes(np.empty((1, width(2))))
    (18, 2)
    """
    return c + 2 * (1 + 2 * c) + 1 + BY_WORD


def classes(kept: Floats) -> int:
    """How many classes the opinion is on."""
    return (kept.shape[1] - 3 - BY_WORD) // 5


def least(kept: Floats) -> Floats:
    """(n, k) of what is kept: the word that the model is least sure of."""
    c = classes(kept)
    return kept[:, c : 3 * c + 1]


def views(kept: Floats) -> Views:
    """What is kept, as strategies see it."""
    c = classes(kept)
    doubt = 5 * c + 2
    return Views(least(kept), kept[:, 3 * c + 1 : doubt], kept[:, doubt], kept[:, doubt + 1 :])
