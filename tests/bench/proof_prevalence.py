"""How many there are: intervals for the items of a class in the pool, on simulated loops of known truth.

An item of the class is found by the model or not: of `EASY` of them the model is the surer the more it has found, of
the rest it knows nothing, so that chance alone finds them. Batches of 25, a fifth of each drawn by chance, through the
loop's own control arm (tasks/proof/control.py). Reviewers are right; where they skip, they do so whatever the class.

One of the benches behind docs/rare.md (`make bench-proof`). By itself, some five minutes:

    python -m tests.bench.proof_prevalence [RUNS]
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from labelwise.tasks.proof import control, prevalence
from labelwise.tasks.proof.prevalence import ClassCount, Prevalence
from tests.bench import figures

RUNS = 100
BATCH, CONTROL, SEED = 25, 0.2, 5
EASY, SURE = 0.6, 10  # found ones after which the model knows what it ever will
SKIPPED = 0.1
SHARES = (0.002, 0.01, 0.05, 0.3)
POOLS = {2_000: (16, 60), 10_000: (16, 60), 40_000: (16, 60)}  # items: rounds after which is counted
SKILLS = {"chance": 0.0, "a model": 3.0, "a good model": 6.0}  # by which easy ones stand out, in standard deviations
TARGETS = (0.7, 0.8, 0.9)


@dataclass
class Loop:
    """A pool with what is asked of it. grows: half of the pool comes at half of the rounds. skips: some answers do not
    come; an item is asked twice."""

    truth: NDArray[np.bool_]
    skill: float
    rng: np.random.Generator
    rounds: int
    grows: bool = False
    skips: bool = False

    def __post_init__(self) -> None:
        n = len(self.truth)
        self.places, self.order = places(n)
        self.easy = self.truth & (self.rng.random(n) < EASY)
        self.noise = self.rng.normal(size=n)
        self.part = (self.rng.random(n) < 0.5).astype(int) * self.grows
        self.asked, self.labelled = np.zeros(n, dtype=int), np.zeros(n, dtype=bool)
        self.round, self.why, self.number = np.zeros(n, dtype=int), np.full(n, "", dtype=object), 0

    @property
    def open(self) -> NDArray[np.bool_]:
        """Which items can be asked."""
        arrived = (self.part == 0) | (self.number > self.rounds // 2)
        return np.asarray(arrived & ~self.labelled & (self.asked < 2))

    def play(self) -> bool:
        """One round more; whether there was anything to ask."""
        self.number += 1
        can_be = self.open
        head = self.order[can_be[self.order]][:BATCH]  # what is drawn is of these
        drawn = head[control.draw(self.places[head], len(head), CONTROL, self.rng)]
        can_be[drawn] = False
        rest = np.flatnonzero(can_be)
        sure = min(1.0, (self.labelled & self.truth).sum() / SURE)
        wanted = self.noise[rest] + self.skill * sure * self.easy[rest]
        k = min(BATCH - len(drawn), len(rest))
        chosen = rest[np.argpartition(-wanted, k)[:k]] if k < len(rest) else rest
        for why, batch in ((control.WHY, drawn), ("uncertain", chosen)):
            self.asked[batch] += 1
            answered = batch[self.rng.random(len(batch)) >= SKIPPED * self.skips]
            self.labelled[answered], self.round[answered], self.why[answered] = True, self.number, why
        return len(head) > 0

    def counted(self) -> Prevalence:
        """What is said of it now."""
        rows = np.flatnonzero(self.labelled)
        answers = np.where(self.truth[rows], "yes", "no")
        labels = pd.DataFrame(
            {"label": answers, "round": self.round[rows], "why": self.why[rows], "part": self.part[rows]}
        )
        return prevalence.count(labels, ["yes"], np.bincount(self.part).tolist(), lambda label: [label])


@lru_cache
def places(n: int) -> tuple[control.Order, NDArray[np.int64]]:
    """The places of n items, and the items by them: what the control arm follows."""
    found = control.order(pd.Index([str(number) for number in range(n)]), SEED)
    return found, np.argsort(found, kind="stable")


def loop(n: int, share: float, skill: float, seed: int, rounds: int, **how: bool) -> Loop:
    """A loop before its first round."""
    rng = np.random.default_rng([n, int(10_000 * share), int(skill), seed])
    truth = np.zeros(n, dtype=bool)
    truth[rng.choice(n, round(share * n), replace=False)] = True
    return Loop(truth, skill, rng, rounds, **how)


def counts(
    n: int, share: float, skill: float, rounds: int, runs: int, **how: bool
) -> Iterator[tuple[ClassCount, int, float]]:
    """What is said of so many loops, the truth, and the width of `by_arm_alone`."""
    return (found[0] for found in followed(n, share, skill, (rounds,), runs, **how))


def followed(
    n: int, share: float, skill: float, ends: tuple[int, ...], runs: int, **how: bool
) -> Iterator[list[tuple[ClassCount, int, float]]]:
    """The same after each of these numbers of rounds."""
    for seed in range(runs):
        here, found = loop(n, share, skill, seed, ends[-1], **how), []
        while here.number < ends[-1] and here.play():
            if here.number in ends:
                found.append((here.counted().classes[0], int(here.truth.sum()), by_arm_alone(here)))
        yield found


def by_arm_alone(here: Loop) -> float:
    """The width of the interval of Clopper and Pearson, from the control arm as one sample of the pool."""
    rows = np.flatnonzero(here.labelled & (here.places <= here.places[here.why == control.WHY].max()))
    hits, n = int(here.truth[rows].sum()), len(rows)
    low = stats.beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = stats.beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return float(high - low) * len(here.truth)


def interval_rows(runs: int = RUNS) -> Iterator[dict[str, str]]:
    """How often the interval holds the truth, and how wide it is."""
    for n, ends in POOLS.items():
        for share in SHARES:
            for name, skill in SKILLS.items():
                yield from interval_row(n, share, name, skill, ends, runs)
    for share in (0.01, 0.05):
        for how in ({"grows": True}, {"skips": True}):
            yield from interval_row(10_000, share, "a good model", SKILLS["a good model"], (60,), runs, **how)


def interval_row(
    n: int, share: float, name: str, skill: float, ends: tuple[int, ...], runs: int, **how: bool
) -> Iterator[dict[str, str]]:
    """A row a number of rounds."""
    for rounds, found in zip(ends, zip(*followed(n, share, skill, ends, runs, **how), strict=True), strict=True):
        held = np.mean([one.low <= true <= one.high for one, true, _ in found])
        least = np.mean([one.found_at_least <= one.found / true for one, true, _ in found])
        low, high = (np.mean([getattr(one, end) for one, *_ in found]) for end in ("low", "high"))
        yield {
            "pool": f"{n:,}",
            "of the class": f"{found[0][1]:,}",
            "chosen by": ", ".join([name, *how]),
            "labels": f"{rounds * BATCH:,}",
            "found (mean)": f"{np.mean([one.found for one, *_ in found]):,.0f}",
            "interval (mean)": f"{low:,.0f} to {high:,.0f}",
            "holds": f"{held:.0%}",
            "found at least: holds": f"{least:.0%}",
            "width, of the arm's alone": f"{(high - low) / np.mean([alone for *_, alone in found]):.2f}",
        }


def stop_rows(runs: int = RUNS // 2) -> Iterator[dict[str, str]]:
    """Loops that stop at the first round in which the found share is at least so much, with 95 % confidence."""
    for n, share in ((2_000, 0.05), (5_000, 0.02)):
        ended = np.array([ends(loop(n, share, SKILLS["a good model"], seed, n)) for seed in range(runs)])
        for target, (reached, labelled) in zip(TARGETS, ended.transpose(1, 2, 0), strict=True):
            yield {
                "pool": f"{n:,}",
                "of the class": f"{round(n * share):,}",
                "wanted": f"{target:.0%}",
                "stopped short of it": f"{(reached < target).mean():.0%}",
                "found then (mean)": f"{reached.mean():.0%}",
                "of the pool labelled (mean)": f"{labelled.mean():.0%}",
            }


def ends(here: Loop) -> list[tuple[float, float]]:
    """Which share is found, and which share of the pool labelled, where a loop ends by each of TARGETS."""
    found: list[tuple[float, float]] = []
    while len(found) < len(TARGETS) and here.play():
        least = here.counted().classes[0].found_at_least
        now = float(here.truth[here.labelled].sum() / here.truth.sum()), float(here.labelled.mean())
        found += [now for target in TARGETS[len(found) :] if least >= target]
    return found


def main(runs: int) -> None:
    for rows in (interval_rows(runs), stop_rows(max(runs // 2, 1))):
        print(figures.table(pd.DataFrame(rows)), flush=True)
    print(figures.machine())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
