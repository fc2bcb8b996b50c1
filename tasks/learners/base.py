"""What learners are given and give back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.integer]
BLOCK = 65_536


@dataclass(frozen=True)
class Items:
    """n items, read when they are asked for: they may be a million rows on disk.

    vectors_at: positions -> the frozen encoder's vectors, (k, d) float32, unit length; texts_at: positions -> k texts.
    """

    n: int
    vectors_at: Callable[[Indices], Floats]
    texts_at: Callable[[Indices], list[str]]

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

    def take(self, rows: Indices) -> "Items":
        """The items at these positions, in this order."""
        return Items(len(rows), lambda at: self.vectors_at(rows[at]), lambda at: self.texts_at(rows[at]))

    def blocks(self, size: int = BLOCK) -> Iterator["Items"]:
        """All items in order, at most `size` at a time."""
        for start in range(0, self.n, size):
            yield self.take(np.arange(start, min(start + size, self.n)))


@dataclass(frozen=True)
class Examples:
    """Items with their labels: (m,) positions in `classes`. weights: (m,), None when all count alike."""

    items: Items
    labels: NDArray[np.int64]
    classes: list[str]
    weights: Floats | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def seen(self) -> NDArray[np.int64]:
        """The classes that have a label, (s,) positions in `classes`."""
        return np.unique(self.labels)

    @property
    def counting(self) -> Floats:
        """(m,) what each counts: its weight, 1 without weights."""
        return np.ones(len(self), np.float32) if self.weights is None else self.weights

    def take(self, rows: Indices) -> "Examples":
        """The examples at these positions."""
        weights = None if self.weights is None else self.weights[rows]
        return Examples(self.items.take(rows), self.labels[rows], self.classes, weights)


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

    def probabilities(self, items: Items) -> Floats:
        """n items -> (n, c) calibrated probabilities; rows sum to 1, or are NaN where nothing has been learned."""
        ...

    def save(self, folder: Path) -> None:
        """Write safetensors and JSON into an empty folder."""
        ...
