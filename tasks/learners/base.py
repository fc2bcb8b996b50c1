"""What learners are given and give back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.learners.terms import Terms
from labelwise.tasks.learners.words import Words

Floats = NDArray[np.float32]
Indices = NDArray[np.integer]
Near = tuple[NDArray[np.integer], Floats]  # (n, k) positions of the nearest nodes, and their cosines
BLOCK = 65_536


@dataclass(frozen=True)
class Items:
    """n items, read when they are asked for: they may be a million rows on disk.

    vectors_at: positions -> the frozen encoder's vectors, (k, d) float32, unit length; texts_at: positions -> k texts.
    groups: (n,) a number for the thread, customer or recording of each, -1 where it has none, or None: items of one are
    held out together. words_at: positions -> their words, where spans are learned, else None. terms_at: positions ->
    the words of their texts, hashed; near_at: positions and nodes -> the nearest of these, as propagate.py has it; both
    where they are remembered, else None. first: of how many that came first samples are drawn, so that these stay while
    few come; None: of all.
    """

    n: int
    vectors_at: Callable[[Indices], Floats]
    texts_at: Callable[[Indices], list[str]]
    groups: NDArray[np.int64] | None = None
    words_at: Callable[[Indices], Words] | None = None
    terms_at: Callable[[Indices], Terms] | None = None
    near_at: Callable[[Indices, Floats], Near] | None = None
    first: int | None = None

    @classmethod
    def of(cls, vectors: Floats, texts: Sequence[str] = ()) -> "Items":
        """Items that are in memory already. Without texts, only learners that read vectors can learn from them."""
        return cls(len(vectors), lambda rows: vectors[rows], lambda rows: [texts[row] for row in rows])

    def __len__(self) -> int:
        return self.n

    def vectors(self) -> Floats:
        """All vectors, (n, d)."""
        return self.vectors_at(np.arange(self.n))

    def texts(self) -> list[str]:
        """All texts."""
        return self.texts_at(np.arange(self.n))

    def terms(self) -> Terms:
        """The words of all texts, hashed."""
        return Terms.of(self.texts()) if self.terms_at is None else self.terms_at(np.arange(self.n))

    def words(self) -> Words:
        """All words. InputError where nobody has read them."""
        if self.words_at is None:
            raise InputError(
                "the words of the texts have not been read", fix="`labelwise run` reads them (stage embed)"
            )
        return self.words_at(np.arange(self.n))

    @classmethod
    def joined(cls, first: "Items", second: "Items") -> "Items":
        """The items of both. Words are kept where both have them; those of the second have no group."""
        n, m = len(first), len(second)
        first_words, second_words = first.words_at, second.words_at

        def vectors_at(rows: Indices) -> Floats:
            parts = first.vectors_at(rows[rows < n]), second.vectors_at(rows[rows >= n] - n)
            return np.concatenate(parts)[_back(rows >= n)]

        def texts_at(rows: Indices) -> list[str]:
            parts = [*first.texts_at(rows[rows < n]), *second.texts_at(rows[rows >= n] - n)]
            return [parts[at] for at in _back(rows >= n)]

        groups = None if first.groups is None else np.concatenate([first.groups, np.full(m, -1)])
        if first_words is None or second_words is None:
            return cls(n + m, vectors_at, texts_at, groups)

        def words_at(rows: Indices) -> Words:
            parts = first_words(rows[rows < n]), second_words(rows[rows >= n] - n)
            return Words.joined(parts).take(_back(rows >= n))

        return cls(n + m, vectors_at, texts_at, groups, words_at)

    def take(self, rows: Indices) -> "Items":
        """The items at these positions, in this order."""
        groups = None if self.groups is None else self.groups[rows]
        words_at, terms_at, near_at = self.words_at, self.terms_at, self.near_at
        return Items(
            len(rows),
            lambda at: self.vectors_at(rows[at]),
            lambda at: self.texts_at(rows[at]),
            groups,
            None if words_at is None else lambda at: words_at(rows[at]),
            None if terms_at is None else lambda at: terms_at(rows[at]),
            None if near_at is None else lambda at, nodes: near_at(rows[at], nodes),
        )

    def blocks(self, size: int = BLOCK) -> Iterator["Items"]:
        """All items in order, at most `size` at a time."""
        for start in range(0, self.n, size):
            yield self.take(np.arange(start, min(start + size, self.n)))


def _back(late: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where each of n things is, once those that are not `late` (n,) were put before the others."""
    return np.argsort(np.argsort(late, kind="stable"), kind="stable")


@dataclass(frozen=True)
class Left:
    """What the control arm says of the items of the pool that have no label. items: how many these are, at least one.
    low, high: (c,) the ends of a 95 % interval of how many of them are of each class."""

    items: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Exam:
    """What a round's comparison of learners by labels held out has said of the dear one (see `auto`). labels: that
    people had given. gain: by how many nats of log loss an opinion in which it has a part beats the best without it;
    error: the standard error of that."""

    labels: int
    gain: float
    error: float


@dataclass(frozen=True)
class Examples:
    """m items with their labels. labels: where an item has one class, (m,) int64 positions in `classes`; where it may
    have several or none, (m, c) float32 of 0 and 1. weights: (m,), None when all count alike. left: what is known of
    the items without a label; None where nothing is. exams: of earlier rounds. said: (m,) the labels as they were
    given, where spans are learned, of which `labels` says only which classes there are; else empty."""

    items: Items
    labels: NDArray[Any]
    classes: list[str]
    weights: Floats | None = None
    left: Left | None = None
    exams: Sequence[Exam] = ()
    said: Sequence[str] = ()
    guessed: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def multilabel(self) -> bool:
        """Whether an item may have several labels, or none."""
        return self.labels.ndim == 2

    @property
    def seen(self) -> NDArray[np.int64]:
        """The classes that somebody has given, (s,) positions in `classes`."""
        return np.flatnonzero((self.labels > 0).any(axis=0)) if self.multilabel else np.unique(self.labels)

    @property
    def counting(self) -> Floats:
        """(m,) what each counts: its weight, 1 without weights."""
        return np.ones(len(self), np.float32) if self.weights is None else self.weights

    @property
    def given(self) -> NDArray[np.int64]:
        """Positions of those that people have labelled."""
        return np.arange(len(self)) if self.guessed is None else np.flatnonzero(~self.guessed)

    def take(self, rows: Indices) -> "Examples":
        """The examples at these positions."""
        weights = None if self.weights is None else self.weights[rows]
        guessed = None if self.guessed is None else self.guessed[rows]
        said = [self.said[row] for row in rows] if self.said else ()
        items, labels = self.items.take(rows), self.labels[rows]
        return Examples(items, labels, self.classes, weights, self.left, self.exams, said, guessed)


class Model(Protocol):
    """A trained model. `classes` gives the order of the columns of `probabilities`."""

    @property
    def classes(self) -> list[str]: ...

    @property
    def trained(self) -> bool: ...

    @property
    def draft(self) -> "Model | None":
        """Where each item costs a pass through an encoder: a cheap model of the same labels, good enough to say which
        items of a large pool are worth that. None where this model is itself cheap."""
        ...

    @property
    def thresholds(self) -> Floats | None:
        """Of a model that says several labels of an item: (c,) the probability from which on it says each. Of one that
        says one class: (c,) what each probability is divided by before the highest is said, or None where the likeliest
        class is. They stand in its `config.json`, too, so that nobody needs to load a model for them. None where
        nothing has been learned."""
        ...

    def probabilities(self, items: Items) -> NDArray[Any]:
        """n items -> (n, c) calibrated probabilities; NaN where nothing has been learned. Of one class an item: rows
        sum to 1. Of several: each is in [0, 1], that of the label by itself. Of spans: (n,) Marked, see
        tasks/kinds/marked.py."""
        ...

    def save(self, folder: Path) -> None:
        """Write safetensors and JSON into an empty folder."""
        ...


class Prefilter(Model, Protocol):
    """A part of a model that reads nothing but vectors, and says well enough which items of a large pool are worth the
    whole model's look."""

    def at(self, temperature: float) -> "Prefilter":
        """The same, its logits or log odds divided by the temperature: above 1 it is less sure."""
        ...


def prefilter_of(model: Model) -> Prefilter | None:
    """None where nothing in the model is quicker than all of it, and of a model of another package that has none."""
    found: Prefilter | None = getattr(model, "prefilter", None)
    return found


def thresholds_of(model: Model) -> Floats | None:
    """`model.thresholds`; None of a model of another package that says one class an item and was made before there was
    anything else."""
    found: Floats | None = getattr(model, "thresholds", None)
    return found
