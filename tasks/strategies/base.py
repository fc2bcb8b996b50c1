"""What every strategy is given and gives back, and the plainest of them: chance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]


@dataclass(frozen=True)
class Candidates:
    """The n items that may be asked.

    probabilities: (n, c) class probabilities, calibrated or not; NaN before there is a model.
    gather: vectors of the candidates at the given indices, (k, d) float32, unit length. Called on need: they may be
        a million rows on disk.
    """

    probabilities: Floats
    gather: Callable[[Indices], Floats]

    def __len__(self) -> int:
        return len(self.probabilities)


@dataclass(frozen=True)
class Choice:
    """k candidates to ask, first the one to be asked first.

    scores: (k,) higher is more wanted; NaN where a strategy ranks nothing.
    why: the word that the ledger keeps.
    propensity: (k,) chance of each to be in the batch; NaN where the choice was deterministic.
    """

    indices: Indices
    scores: Floats
    why: str
    propensity: Floats


def uniform(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Each candidate with the same chance: what every other strategy is measured against. O(n)."""
    indices = rng.choice(len(candidates), size=k, replace=False)
    nothing = np.full(k, np.nan)
    return Choice(indices, scores=nothing, why="random", propensity=np.full(k, k / len(candidates)))


def top(scores: Floats, k: int, rng: np.random.Generator) -> Choice:
    """The k highest scores. Ties are broken by chance, not by position: pools are often sorted. O(n log n)."""
    order = np.lexsort((rng.random(len(scores)), -scores))[:k]
    return Choice(order, scores=scores[order], why="uncertain", propensity=np.full(k, np.nan))
