"""The gold set by active testing against uniform sampling, on labelled sets whose accuracy is known.

One of the benches behind docs/proof.md (`make bench-proof`). By itself:

    python -m tests.bench.proof_gold DATA [fresh] [SET...]
"""

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.gold import active_testing
from labelwise.tasks.settings import Settings
from labelwise.tasks.train import train
from labelwise.tasks.trial.kept import encoded
from labelwise.tasks.trial.plan import COLUMNS, Plan, rows_of, settings_of
from labelwise.tasks.trial.rehearsal import Rows
from tests.bench import figures
from tests.bench.figures import KEPT
from tests.bench.labels import cleaned

SETS = ["spamassassin", "convabuse", "it_tickets", "banking77", "unfair_tos"]
SEEDS = 500
UNSEEN = "clinc150"  # nothing in tasks/gold/active_testing.py was chosen by a look at it
FRESH = 100  # the first model of a run with models and draws that nothing was chosen by
POPULATION = 4000  # items at most whose accuracy is to be estimated: the set's pool, without those that are learned
LEARNED = 1000  # from which the labels of the models come
LABELS = {"banking77": 600, "clinc150": 800}  # of the model whose doubt draws; 200 where not said
LATER = 4  # times as many labels, at most `LEARNED`: a later model, measured on what the first one's doubt drew
MODELS = 5
RESERVE = 1000
GOLD = 100

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass
class Tally:
    """One way to measure: errors of the estimate, a seed each, and how often the interval held the truth."""

    errors: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)

    def add(self, right: Bools, weights: Floats, truth: float) -> None:
        found = active_testing.weighted_mean(right.astype(np.float64), weights)
        self.errors.append(found.value - truth)
        self.held.append(found.low <= truth <= found.high)

    @property
    def bias(self) -> float:
        """In standard errors."""
        return float(np.mean(self.errors) / (np.std(self.errors, ddof=1) / len(self.errors) ** 0.5))

    @property
    def coverage(self) -> str:
        return f"{np.mean(self.held):.1%}"


def prepared(data: Path, name: str) -> tuple[Rows, Settings]:
    """A sample of the set's pool, in random order, with its vectors, which are kept in .bench/."""
    folder = KEPT / "gold" / name
    cleaned(data, name, folder)
    rows = rows_of(str(folder / "pool.parquet"), COLUMNS, lambda _line: None)
    rows = rows.sample(min(len(rows), POPULATION + LEARNED), random_state=0).reset_index(drop=True)
    plan = Plan(str(folder / "pool.parquet"), None, [], [], 1, 1, 1, 0.0)
    settings = settings_of(plan, sorted(set(rows.label)))
    settings = settings.model_copy(update={"train": settings.train.model_copy(update={"learner": "ensemble"})})
    return Rows(rows, encoded(rows, settings, folder)), settings


def judged(rows: Rows, settings: Settings, labels: int, seed: int) -> tuple[Floats, Bools, Bools]:
    """The population of a seed: the model's doubt of each item, whether it is right, and whether a later one is."""
    order = np.random.default_rng(seed).permutation(len(rows.table))
    learned, population = order[:LEARNED], np.sort(order[LEARNED:])
    truth = pd.Index(settings.classes).get_indexer(rows.table.label.iloc[population])

    def of(size: int) -> NDArray[np.float32]:
        known = np.sort(learned[:size])
        labelled = rows.table.label.iloc[known].reset_index(drop=True)
        model = train(rows.items().take(known), labelled, rows.items(), settings)
        return model.probabilities(rows.items().take(population))

    now, later = of(labels), of(min(LATER * labels, LEARNED))
    return 1 - now.max(axis=1).astype(np.float64), now.argmax(axis=1) == truth, later.argmax(axis=1) == truth


def simulated(doubt: Floats, right: Bools, later: Bools, seed: int, tallies: dict[str, Tally]) -> None:
    """One gold set of each kind, all of them of `GOLD` labels but for those of half that."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(doubt))
    reserve, rest = order[:RESERVE], order[RESERVE:]
    truth, true_later, even = float(right.mean()), float(later.mean()), np.ones(GOLD)
    tallies["uniform"].add(right[reserve[:GOLD]], even, truth)
    tallies["uniform, later"].add(later[reserve[:GOLD]], even, true_later)
    tallies["uniform, half"].add(right[reserve[: GOLD // 2]], even[: GOLD // 2], truth)
    drawn = active_testing.draw(doubt[reserve], GOLD, rng)
    rows, weights = reserve[drawn.rows], active_testing.weights(drawn.propensity, drawn.among)
    tallies["grown"].add(right[rows], weights, truth)
    tallies["grown, later"].add(later[rows], weights, true_later)
    tallies["naive"].add(right[rows], even, truth)
    half = GOLD // 2
    first = active_testing.weights(drawn.propensity[:half], drawn.among[:half])
    tallies["grown, half"].add(right[rows[:half]], first, truth)
    mixed = np.concatenate([rest[:half], rows[:half]])
    tallies["mixed"].add(right[mixed], np.concatenate([even[:half], first]), truth)


def row(name: str, truth: float, found: dict[str, Tally]) -> dict[str, str]:
    """The figures of a set."""
    return {
        "set": name,
        "accuracy": f"{truth:.3f}",
        "bias, SE": f"{found['grown'].bias:+.1f}",
        "mixed: bias, SE": f"{found['mixed'].bias:+.1f}",
        "MSE / uniform": ratio(found["grown"], found["uniform"]),
        "later model": ratio(found["grown, later"], found["uniform, later"]),
        "mixed": ratio(found["mixed"], found["uniform"]),
        "covers: grown": found["grown"].coverage,
        "later": found["grown, later"].coverage,
        "mixed ": found["mixed"].coverage,
        "uniform": found["uniform"].coverage,
        f"{GOLD // 2} grown": found["grown, half"].coverage,
        f"{GOLD // 2} uniform": found["uniform, half"].coverage,
        "naive: bias, SE": f"{found['naive'].bias:+.0f}",
        "covers": found["naive"].coverage,
    }


def ratio(ours: Tally, uniform: Tally) -> str:
    """Of the mean squared errors, with its 95 % interval by a bootstrap over seeds."""
    a, b = np.square(ours.errors), np.square(uniform.errors)
    again = np.random.default_rng(0).integers(0, len(a), (2000, len(a)))
    low, high = np.quantile(a[again].mean(axis=1) / b[again].mean(axis=1), [0.025, 0.975])
    return f"{a.mean() / b.mean():.2f} ({low:.2f} to {high:.2f})"


def gold_table(data: Path, names: list[str], seeds: int, first: int = 0) -> list[dict[str, str]]:
    """A row a set: bias, mean squared error against uniform sampling, coverage of the 95 % interval; the same of the
    unweighted mean of the drawn items. first: number of the first model; another one gives other models and draws."""
    rows = []
    for name in names:
        table, settings = prepared(data, name)
        found: dict[str, Tally] = defaultdict(Tally)
        truths = []
        for model in range(MODELS):
            doubt, right, later = judged(table, settings, LABELS.get(name, 200), first + model)
            truths.append(float(right.mean()))
            for seed in range(model, seeds, MODELS):
                simulated(doubt, right, later, 100 * first + seed, found)
        rows.append(row(name, float(np.mean(truths)), found))
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    fresh, asked = "fresh" in sys.argv, [name for name in sys.argv[2:] if name != "fresh"]
    sets = asked or ([*SETS, UNSEEN] if fresh else SETS)
    shown = gold_table(Path(sys.argv[1]), sets, SEEDS, FRESH if fresh else 0)
    print(f"{figures.table(pd.DataFrame(shown))}\n\n{figures.machine()}")
