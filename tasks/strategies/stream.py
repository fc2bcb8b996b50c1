"""Items that arrive one by one: ask now or never, within a budget.

The threshold follows the share that may be asked: it rises with each question and falls without one, by amounts that
balance when just that share lies above it (stochastic approximation of a quantile: Robbins & Monro 1951; thresholds
that adapt to a stream: Žliobaitė et al. 2014, 'Active learning with drifting streaming data').
"""

from dataclasses import dataclass, replace

import numpy as np

from labelwise.tasks.strategies.base import Candidates, Choice, chosen
from labelwise.tasks.strategies.uncertainty import margin_of

RATE = 0.02  # by how much the threshold moves
WALKS = 20  # a strategy's walk starts again so often, each time with half the threshold, before chance fills the batch


@dataclass(frozen=True)
class Threshold:
    """How unsure an item must be to be asked. budget: share of the items that may be asked, in (0, 1]; level: in [0,
    1]; seen, asked: how many items so far."""

    budget: float
    level: float = 0.5
    seen: int = 0
    asked: int = 0

    def decide(self, uncertainty: float) -> tuple[bool, "Threshold"]:
        """Whether to ask an item of this uncertainty, in [0, 1], and the threshold for the next one. Never asks more
        than the budget's share of what has arrived, and one. O(1)."""
        wanted = uncertainty >= self.level
        ask = wanted and self.asked < self.budget * self.seen + 1
        level = min(max(self.level + RATE * (wanted - self.budget), 0.0), 1.0)
        return ask, replace(self, level=level, seen=self.seen + 1, asked=self.asked + ask)


def stream(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Walk through the candidates in the pool's order as though they arrived one by one, by margin and with a budget
    of 2k / n, until k are chosen; a walk that ends with too few is taken up again with half the threshold.

    No threshold is kept between batches: the next model has other margins. Each batch starts where a threshold settles
    that has seen these candidates: just the budget's share of them lies above it. O(n), O(n) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> stream(GIVEN, 2, chance()).indices.tolist()
    [1, 2]
    """
    unsure = margin_of(candidates.simplex)
    budget = min(1.0, 2 * k / len(candidates))
    threshold = Threshold(budget, level=float(np.quantile(unsure, 1 - budget)))
    picks: dict[int, None] = {}
    for _ in range(WALKS):
        for row, uncertainty in enumerate(unsure.tolist()):
            if row in picks:
                continue
            ask, threshold = threshold.decide(uncertainty)
            if ask:
                picks[row] = None
            if len(picks) == k:
                return chosen(np.array(list(picks)), unsure[list(picks)])
        threshold = replace(threshold, level=threshold.level / 2)
    others = np.setdiff1d(np.arange(len(candidates)), list(picks))
    rows = np.array([*picks, *rng.choice(others, k - len(picks), replace=False)], dtype=np.int64)
    return chosen(rows, unsure[rows])
