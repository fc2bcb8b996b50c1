"""Answers that name several things, counted: class by class, or all that two of them have in common."""

from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


def by_name(
    said: Sequence[str | None], truth: Sequence[str], classes: Sequence[str], members: Callable[[str], list[str]]
) -> NDArray[np.float64]:
    """(3, g, c) 1 where a class is in both answers to an item, where it is said, and where it is true; else 0. members:
    the classes that a label names; others than `classes` do not count."""
    places = {name: at for at, name in enumerate(classes)}
    found = np.zeros((3, len(truth), len(places)))
    for layer, labels in ((1, said), (2, truth)):
        for row, label in enumerate(labels):
            if isinstance(label, str):  # None, or NaN of a table: nothing was said
                found[layer, row, [places[each] for each in members(label) if each in places]] = 1
    found[0] = found[1] * found[2]
    return found


def f1(
    said: Sequence[str | None], truth: Sequence[str], parts: Callable[[str], Collection[Hashable]]
) -> NDArray[np.float64]:
    """(g,) F1 of the sets of parts of two labels of an item; 1 where both are empty, 0 where nothing was said at all.
    parts: what a label names."""
    made = np.zeros(len(truth))
    for at, (one, other) in enumerate(zip(said, truth, strict=True)):
        if isinstance(one, str):  # None, or NaN of a table: nothing was said
            mine, theirs = set(parts(one)), set(parts(other))
            made[at] = 2 * len(mine & theirs) / (len(mine) + len(theirs)) if mine or theirs else 1.0
    return made
