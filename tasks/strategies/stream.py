"""Items that arrive one by one: ask now or never, within a budget (Žliobaitė et al. 2014, 'Active learning with
drifting streaming data', IEEE TNNLS)."""

from dataclasses import dataclass, replace

import numpy as np

from tasks.strategies.base import Candidates, Choice, chosen
from tasks.strategies.uncertainty import margin_of

STEP = 0.01  # by how much of itself the threshold moves
NOISE = 1.0  # standard deviation of the factor that now and then lets a sure item through
LOWEST = 1e-6
ROUNDS = 20  # times that a strategy's walk starts again, each with half the threshold, before chance fills the batch


@dataclass(frozen=True)
class Threshold:
    """How unsure an item must be to be asked. budget: share of the items that may be asked, in (0, 1]; level: in (0,
    1]; seen, asked: how many items so far."""

    budget: float
    level: float = 0.5
    seen: int = 0
    asked: int = 0

    def decide(self, uncertainty: float, rng: np.random.Generator) -> tuple[bool, "Threshold"]:
        """Whether to ask an item of this uncertainty, in [0, 1], and the threshold for the next one: higher after a
        question, lower without, so that it follows what arrives. Never asks beyond the budget. O(1)."""
        within = self.asked < self.budget * (self.seen + 1)
        ask = within and uncertainty >= self.level * rng.normal(1, NOISE)
        level = self.level * (1 + STEP if ask else 1 - STEP)
        return ask, replace(self, level=float(np.clip(level, LOWEST, 1)), seen=self.seen + 1, asked=self.asked + ask)


def stream(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Walk through the candidates in the pool's order as though they arrived one by one, by margin and with a budget
    of 2k / n, until k are chosen; a walk that ends with too few is taken up again with half the threshold. O(n), O(n)
    memory."""
    unsure = margin_of(candidates.probabilities)
    threshold = Threshold(budget=min(1.0, 2 * k / len(candidates)), level=float(np.clip(np.median(unsure), LOWEST, 1)))
    picks: dict[int, None] = {}
    for _ in range(ROUNDS):
        for row, uncertainty in enumerate(unsure.tolist()):
            if row in picks:
                continue
            ask, threshold = threshold.decide(uncertainty, rng)
            if ask:
                picks[row] = None
            if len(picks) == k:
                return chosen(np.array(list(picks)), unsure[list(picks)])
        threshold = replace(threshold, level=max(threshold.level / 2, LOWEST))
    others = np.setdiff1d(np.arange(len(candidates)), list(picks))
    rows = np.array([*picks, *rng.choice(others, k - len(picks), replace=False)], dtype=np.int64)
    return chosen(rows, unsure[rows])
