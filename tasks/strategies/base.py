"""What every strategy is given and gives back, and the plainest of them: chance."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.kinds.base import Views

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]
BLOCK = 16_384  # vectors held at once when a strategy goes through the pool: 25 MB at 384 dimensions
SIMILARITIES = 2**24  # of a block to what it is compared with, held at once: 64 MB


@dataclass(frozen=True)
class Labelled:
    """The m items that people have answered, in the order of the ledger's ids.

    vectors: (m, d) float32, unit length; labels: (m,) positions in the columns of `probabilities`, or where an item may
    have several labels or none, (m, c) of 0 and 1; probabilities: (m, c) what the model says of them now, which has
    seen them; rounds: (m,) in which each was asked; why: (m,) the word of the ledger; wording: (m,) and views: as of
    Candidates, or None.
    """

    vectors: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))
    labels: Indices = field(default_factory=lambda: np.empty(0, np.int64))
    probabilities: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))
    rounds: Indices = field(default_factory=lambda: np.empty(0, np.int64))
    why: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    wording: NDArray[np.void] | None = None
    views: Views | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def simplex(self) -> Floats:
        """(m, k) see Views."""
        return self.probabilities if self.views is None else self.views.simplex

    @property
    def answers(self) -> NDArray[np.int64]:
        """(m,) a number for each answer, the same for those that say the same."""
        return np.unique(self.labels, axis=0, return_inverse=True)[1].reshape(len(self))

    @property
    def lack(self) -> str:
        """What these labels lack for a model of them to tell anything apart, in words; '' for nothing. Where parts of
        an item are marked, one mark is enough: all else in its text is told apart from it."""
        if self.views is not None and self.views.words is not None:
            return "" if (self.labels > 0).any() else "a label that marks something"
        return "labels of two classes" if len(np.unique(self.answers)) < 2 else ""


@dataclass(frozen=True)
class Candidates:
    """The n items that may be asked.

    probabilities: (n, c) class probabilities, calibrated; NaN before there is a model, 0 for classes never seen. Of one
        class an item, rows sum to 1; of several labels, each is that of a label by itself.
    gather: vectors of the candidates at the given indices, (k, d) float32, unit length. Called on need: they may be
        a million rows on disk.
    labelled: what has been answered so far; empty before there is a model.
    wording: (n,) how their texts are worded (tasks/kinds/wording.py), for the wrappers; None where it is not known.
    views: what a kind makes of the probabilities (see Views in tasks/kinds/base.py); None where an item has one class,
        whose views follow from the probabilities.
    thresholds: (c,) where an item may have several labels, the probability from which on each is said; where it has one
        class and `evaluate.measure` asks for it, what each probability is divided by before the highest is said; else
        None.
    groups: (n,) a number for the thread, customer or recording of each, -1 where it has none, for the wrappers; None
        where there are none.
    sought: (n, s) how near each is to the classes that are looked for, see strategies/seeking.py; None where none is.
    """

    probabilities: Floats
    gather: Callable[[Indices], Floats]
    labelled: Labelled = field(default_factory=Labelled)
    wording: NDArray[np.void] | None = None
    views: Views | None = None
    thresholds: Floats | None = None
    groups: NDArray[np.int64] | None = None
    sought: Floats | None = None

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def simplex(self) -> Floats:
        """(n, k) see Views."""
        return self.probabilities if self.views is None else self.views.simplex

    @property
    def errors(self) -> NDArray[np.float32]:
        """(n, e) see Views. A copy: the pool's own probabilities stay as they are."""
        if self.views is not None:
            return self.views.errors.astype(np.float32)
        errors = self.probabilities.astype(np.float32)
        errors[np.arange(len(errors)), errors.argmax(axis=1)] -= 1
        return errors

    @property
    def doubt(self) -> Floats:
        """(n,) see Views."""
        return 1 - self.probabilities.max(axis=1) if self.views is None else self.views.doubt

    def take(self, indices: Indices) -> "Candidates":
        """These candidates alone, renumbered from 0."""
        wording = None if self.wording is None else self.wording[indices]
        views = self.views and self.views.take(indices)
        return replace(
            self,
            probabilities=self.probabilities[indices],
            gather=lambda rows: self.gather(indices[rows]),
            wording=wording,
            views=views,
            groups=None if self.groups is None else self.groups[indices],
            sought=None if self.sought is None else self.sought[indices],
        )

    def blocks(self, size: int = BLOCK, beside: int = 1) -> Iterator[tuple[slice, Floats]]:
        """All vectors in order, with the candidates they belong to, at most `size` at a time; fewer where each is
        compared with many others, `beside`, so that memory does not grow with these."""
        size = max(1, min(size, SIMILARITIES // max(beside, 1)))
        for start in range(0, len(self), size):
            part = slice(start, min(start + size, len(self)))
            yield part, self.gather(np.arange(part.start, part.stop))


@dataclass(frozen=True)
class Choice:
    """k candidates to ask, first the one to be asked first.

    scores: (k,) higher is more wanted; NaN where a strategy ranks nothing.
    why: the word that the ledger keeps: one for all, or (k,) one each.
    propensity: (k,) chance of each to be in the batch; NaN where the choice was deterministic or its chance is unknown.
    """

    indices: Indices
    scores: Floats
    why: str | NDArray[np.object_]
    propensity: Floats


class Strategy(Protocol):
    """How to choose: a pure function. The same candidates and a generator in the same state give the same choice."""

    def __call__(self, candidates: Candidates, k: int, rng: np.random.Generator, /) -> Choice:
        """k of the n candidates, 0 <= k <= n."""
        ...


def sampled(n: int, most: int, rng: np.random.Generator) -> Indices:
    """At most `most` of n rows, drawn by chance, in their order."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def chosen(
    indices: Indices,
    scores: Floats | None = None,
    why: str | NDArray[np.object_] = "uncertain",
    propensity: float = np.nan,
) -> Choice:
    """These candidates, each with the same chance, NaN when that is not known. Without scores, nothing is ranked."""
    nothing = np.full(len(indices), np.nan)
    return Choice(np.asarray(indices), nothing if scores is None else scores, why, np.full(len(indices), propensity))


def uniform(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Each candidate with the same chance: what every other strategy is measured against. O(n) time and
    memory; no vector is read.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> uniform(GIVEN, 3, chance()).indices.tolist()
    [4, 5, 3]
    """
    indices = rng.choice(len(candidates), size=k, replace=False)
    nothing = np.full(k, np.nan)
    return Choice(indices, scores=nothing, why="random", propensity=np.full(k, k / len(candidates)))


def top(scores: Floats, k: int, rng: np.random.Generator) -> Choice:
    """The k highest scores, NaN below all others. Ties are broken by chance, not by position: pools are often sorted.
    O(n + k log k), k and those that tie with the last."""
    least = -np.partition(-scores, k - 1)[k - 1] if 0 < k < len(scores) else np.nan
    front = np.flatnonzero(~(scores < least))
    order = front[np.lexsort((rng.random(len(front)), -scores[front]))[:k]]
    return chosen(order, scores[order])
