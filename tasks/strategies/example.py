"""Six candidates on a quarter circle, from what is surely of the first class to what is surely of the second, and four
answers at its ends: for the examples in the docstrings of strategies."""

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.strategies.base import Candidates, Labelled


def on_circle(degrees: list[float]) -> NDArray[np.float32]:
    """(n, 2) unit vectors."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def of_two(first: list[float]) -> NDArray[np.float32]:
    """(n, 2) probabilities."""
    return np.stack([first, 1 - np.array(first)], axis=1).astype(np.float32)


VECTORS = on_circle([0, 12, 38, 47, 70, 90])
ANSWERED = Labelled(
    on_circle([2, 8, 84, 88]),
    labels=np.array([0, 0, 1, 1]),
    probabilities=of_two([0.97, 0.94, 0.08, 0.05]),
    rounds=np.array([0, 0, 1, 1]),
    why=np.array(["diverse"] * 4, dtype=object),
)
GIVEN = Candidates(of_two([0.98, 0.9, 0.6, 0.48, 0.2, 0.03]), lambda rows: VECTORS[rows], ANSWERED)


def chance() -> np.random.Generator:
    """The same chance each time."""
    return np.random.default_rng(0)
