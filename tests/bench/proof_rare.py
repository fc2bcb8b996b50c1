"""Measures by classes where a class is rare, on made-up data whose truth is known: how far gold that is drawn for a
measure is from it, how often intervals hold, and whether a control arm that shrinks biases what it measures.

The tables of docs/proof-gold.md. By itself, a few minutes:

    python -m tests.bench.proof_rare
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.gold import active_testing, influence
from labelwise.tasks.gold.active_testing import Estimated
from labelwise.tasks.gold.intervals import estimated
from labelwise.tasks.kinds import choice
from labelwise.tasks.kinds.measures import Measure, Parts, measure_of, of_scores
from labelwise.tasks.proof import control, savings
from labelwise.tasks.settings import measure_named
from tests.bench import figures

RUNS = 200
POOL, RESERVE = 20_000, 2000
CLASSES = ["common", "rare"]
SHARES = (0.01, 0.02, 0.05)
SIZES = (100, 300)
NAMES = ("f1:rare", "balanced_accuracy", "recall:rare at precision 0.7")
WAYS = ("by chance", "by doubt", "for the measure", "half by doubt, half for it")

Floats = NDArray[np.float64]
Names = NDArray[np.object_]


@dataclass
class Tally:
    """One way to measure. Gold sets that cannot tell the figure have an error of NaN."""

    errors: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    of_class: list[int] = field(default_factory=list)

    def add(self, found: Estimated | None, truth: float, of_class: int) -> None:
        self.of_class.append(of_class)
        self.errors.append(np.nan if found is None else found.value - truth)
        if found:
            self.held.append(found.low <= truth <= found.high)
            self.widths.append(found.high - found.low)

    def cells(self) -> dict[str, str]:
        off = float(np.sqrt(np.nanmean(np.square(self.errors))))
        none = float(np.isnan(self.errors).mean())
        return {
            "of the class": f"{np.mean(self.of_class):.1f}",
            "off by": f"{off:.3f}",
            "bias": f"{np.nanmean(self.errors):+.3f}",
            "holds": f"{np.mean(self.held):.1%}",
            "wide": f"{np.mean(self.widths):.3f}",
            "cannot tell": f"{none:.0%}" if none else "",
        }


def modelled(rng: np.random.Generator, n: int, share: float) -> tuple[Names, Names, Floats]:
    """Truth of n items, what a model says that is surer than it may be, and its chances (n, 2)."""
    true = rng.random(n) < share
    signal = 2.5 * (rng.normal(size=n) + 2.5 * true) - 2.5**2 / 2 + np.log(share / (1 - share))
    p = 1 / (1 + np.exp(-1.3 * (signal + rng.normal(scale=0.7, size=n))))
    names = np.array(CLASSES, dtype=object)
    return names[true * 1], names[(p > 0.5) * 1], np.column_stack([1 - p, p])


def drawn(proposals: list[Floats], n: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows and weights of n items, drawn by one proposal after another."""
    left, rows, chances, among = np.arange(len(proposals[0])), [], [], []
    for one in proposals:
        found = active_testing.draw(one[left], n // len(proposals), rng)
        rows.append(left[found.rows])
        left = np.delete(left, found.rows)
        chances.append(found.propensity)
        among.append(found.among)
    return np.concatenate(rows), active_testing.weights(np.concatenate(chances), np.concatenate(among))


def gold_rows(runs: int = RUNS) -> list[dict[str, str]]:
    """How far off the figure is by each way to draw gold, and what its interval is worth."""
    table = []
    for share in SHARES:
        rng = np.random.default_rng(int(share * 1000))
        truth, said, p = modelled(rng, POOL, share)
        for name in NAMES:
            aim = measure_named(name, choice.NAME, CLASSES)
            measure = measure_of(aim, choice, CLASSES)
            real = measure.value(said.tolist(), truth.tolist())
            for size in SIZES:
                tallies = {way: Tally() for way in WAYS}
                for _ in range(runs):
                    of = rng.choice(POOL, RESERVE, replace=False)
                    even, doubt = np.full(RESERVE, np.nan), 1 - p[of].max(axis=1)
                    aimed = influence.squares(aim, choice, CLASSES, p[of], said[of].tolist())
                    for way, proposals in zip(WAYS, ([even], [doubt], [aimed], [doubt, aimed]), strict=True):
                        rows, weights = drawn(proposals, size, rng)
                        gold = said[of[rows]].tolist(), truth[of[rows]].tolist()
                        found = estimated(measure, *gold, weights)
                        tallies[way].add(found, real, gold[1].count("rare"))
                at = {"share": f"{share:.0%}", "measure": f"{measure.words} {real:.2f}", "gold": str(size)}
                table += [at | {"drawn": way} | tally.cells() for way, tally in tallies.items()]
    return table


def interval_rows(runs: int = RUNS) -> list[dict[str, str]]:
    """How often intervals hold with so many gold items a class, by chance."""
    table = []
    for classes, each in ((2, 5), (2, 10), (2, 40), (20, 5), (20, 10), (20, 40)):
        names = [f"c{at}" for at in range(classes)]
        rng = np.random.default_rng(classes * 1000 + each)
        row = {"classes": str(classes), "gold items a class": str(each)}
        for right in (0.6, 0.9):
            truth = rng.integers(classes, size=200_000)
            other = (truth + 1 + rng.integers(classes - 1, size=len(truth))) % classes
            said = np.where(rng.random(len(truth)) < right, truth, other)
            for form in ("f1:c0", "balanced_accuracy", "macro_f1"):
                measure = measure_of(measure_named(form, choice.NAME, names), choice, names)
                held = [
                    one.low <= value <= one.high
                    for value in [_value(measure, truth[:20_000], said[:20_000], names)]
                    for _ in range(runs)
                    if (one := _sampled(measure, truth, said, names, classes * each, rng))
                ]
                row[f"{measure.words}, {right:.0%} right"] = f"{np.mean(held):.1%}"
        table.append(row)
    return table


def _value(measure: Measure, truth: NDArray[np.int64], said: NDArray[np.int64], names: list[str]) -> float:
    return measure.value([names[at] for at in said], [names[at] for at in truth])


def _sampled(
    measure: Measure,
    truth: NDArray[np.int64],
    said: NDArray[np.int64],
    names: list[str],
    n: int,
    rng: np.random.Generator,
) -> Estimated | None:
    rows = rng.integers(len(truth), size=n)
    return estimated(measure, [names[at] for at in said[rows]], [names[at] for at in truth[rows]], np.ones(n))


CHOSEN = 10_000  # numbers of labels from here on are chosen ones
RARE = 0.1  # of the labels by chance are of a class, and what such labels teach is the luck of an arm
BATCH = 25


def learner(worth: float, of_class: NDArray[np.bool_], seed: int) -> savings.PartsOf:
    """A learner whose error falls with its labels, a chosen one worth `worth` of those by chance; an arm with more of
    the class than there are on average teaches more. So what the meter says and what the arm holds go together."""
    hardness = np.random.default_rng(seed).random(400)

    def judged(rows: NDArray[np.int64]) -> Parts:
        by_chance = rows[rows < CHOSEN]
        luck = np.random.default_rng(rows).normal(scale=0.03)
        lucky = of_class[by_chance].mean() - RARE if len(by_chance) else 0.0
        labels = max(len(by_chance) + worth * (len(rows) - len(by_chance)), 1.0)
        return of_scores(np.asarray(hardness >= 0.9 * labels**-0.35 * np.exp(luck - lucky), dtype=np.float64))

    return judged


def played(setting: float | str, worth: float, rounds: int, seed: int) -> tuple[list[float], bool, float, int]:
    """One loop. Returns the share of the arm in each round, whether the meter's last interval holds the true ratio, the
    share of the class in the arm, and the labels in it."""
    rng = np.random.default_rng([seed, 1])
    of_class = rng.random(CHOSEN) < RARE
    judged, found = learner(worth, of_class, seed), None
    arm = chosen = 0
    so_far: list[NDArray[np.int64]] = []
    shares, worths = [], []
    for number in range(1, rounds + 1):
        shares.append(control.arm(setting, found.as_json() if found else None).share)
        by_chance = min(int(shares[-1] * BATCH + rng.random()), BATCH)
        arm, chosen = arm + by_chance, chosen + BATCH - by_chance
        so_far.append(np.concatenate([np.arange(arm), CHOSEN + np.arange(chosen)]))
        worths.append(arm + worth * chosen)
        if setting == control.AUTO or number == rounds:  # else nothing follows from it
            found = savings.measure(judged, so_far, np.arange(arm), np.ones(400), rng)
    needed = float(np.interp(arm, [0.0, *worths], BATCH * np.arange(rounds + 1.0)))
    held = found is not None and found.ratio.low <= needed / arm <= found.ratio.high
    return shares, held, float(of_class[:arm].mean()), arm


def control_rows(runs: int = 40, rounds: int = 20) -> list[dict[str, str]]:
    """What a shrinking control arm does to the meter and to the share of a class."""
    table = []
    settings: tuple[float | str, ...] = (0.2, control.AUTO)
    for worth in (0.5, 1.0, 2.0, 4.0):
        for setting in settings:
            found = [played(setting, worth, rounds, seed) for seed in range(runs)]
            shares = [one[2] - RARE for one in found]
            table.append(
                {
                    "a chosen label is worth": f"{worth:g}",
                    "select.control": str(setting),
                    "last share": f"{np.mean([one[0][-1] for one in found]):.3f}",
                    "control labels": f"{np.mean([one[3] for one in found]):.0f} of {rounds * BATCH}",
                    "meter holds": f"{np.mean([one[1] for one in found]):.0%}",
                    "share of the class, bias in SE": f"{np.mean(shares) / (np.std(shares) / runs**0.5):+.1f}",
                }
            )
    return table


if __name__ == "__main__":
    for rows in (gold_rows(), interval_rows(), control_rows()):
        print(f"{figures.table(pd.DataFrame(rows))}\n", flush=True)
    print(figures.machine())
