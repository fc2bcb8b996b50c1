"""`make bench-proof DATA=FOLDER`: does the proof hold? The methods of tasks/proof on simulated loops whose truth is known.

Labelled sets lie in FOLDER. Of each, every seed draws a pool, a gold set and an exam, which nothing but the truth is
measured on. Each run is kept in .bench/proof/, so that a call that was cut off goes on where it was.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from threadpoolctl import threadpool_limits

from flows import rehearse
from tasks import prove, report
from tasks.learners import Model
from tasks.rehearsal import Rows, Run, accuracy, play
from tasks.score import score
from tasks.settings import Settings, parse
from tasks.strategies import STRATEGIES, Candidates, Choice
from tasks.strategies.base import top
from tasks.train import train
from tasks.workspace import write_json
from tests.bench.labels import cleaned

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".bench" / "proof"
ROUNDS = 20
SEEDS = 20
MOST = 5000  # items of a set
SHARES = (0.6, 0.8)  # up to where the pool goes, and gold; the rest is the exam
BATCHES = {"spamassassin": 25, "convabuse": 25, "unfair_tos": 25, "it_tickets": 50, "banking77": 75}


@dataclass(frozen=True)
class World:
    """The items of a set, of which every seed draws its own pool, gold and exam."""

    name: str
    rows: Rows
    settings: Settings

    def drawn(self, seed: int) -> tuple[Rows, Rows, Rows]:
        """Pool, gold and exam of a seed."""
        order = np.random.default_rng([seed, 7]).permutation(len(self.rows.table))
        ends = [int(share * len(order)) for share in SHARES]
        pool, gold, exam = (
            Rows(self.rows.table.iloc[part].reset_index(drop=True), self.rows.vectors[part])
            for part in map(np.sort, np.split(order, ends))
        )
        return pool, gold, exam


def world(data: Path, name: str) -> World:
    """A set with its vectors, computed once and kept."""
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "rows.parquet").exists():
        cleaned(data, name, folder)
        parts = [rehearse.rows_of(str(folder / f"{part}.parquet"), rehearse.COLUMNS, print) for part in ("pool", "gold")]
        rows = pd.concat(parts).drop_duplicates("id")
        rows = rows.sample(min(MOST, len(rows)), random_state=0).sort_values("id", ignore_index=True)
        rows.to_parquet(folder / "rows.parquet")
    table = pd.read_parquet(folder / "rows.parquet")
    project = {"name": "proof", "id": "proof"}
    classes = sorted(set(table.label))
    settings = parse({"project": project, "classes": classes, "pull": {"pool": "", "gold": ""}, "train": {"learner": "frozen"}})
    return World(name, Rows(table, rehearse.encoded(table, settings, folder)), settings)


@dataclass(frozen=True)
class Played:
    """A run with what its truth and its stop rules need, a value a round. chance: (labels, exam accuracy) of models
    trained on so many items of this seed's pool, drawn by chance."""

    run: Run
    exam: list[float]
    settled: list[dict[str, float | None]]
    wrong: list[str]  # of gold and exam, which items the round's model got wrong: bits, in hexadecimal
    chance: list[tuple[int, float]]

    @property
    def history(self) -> pd.DataFrame:
        """What tasks/proof/stopping.py looks at."""
        rows = {"labels": self.run.labels, "accuracy": self.run.accuracy, "exam": self.exam}
        return pd.DataFrame({**rows, "asks": len(self.run.asked[-1])}).join(pd.DataFrame(self.settled))

    def errors(self) -> NDArray[np.bool_]:
        """(rounds, items) wrong or not, of gold and exam."""
        bits = [np.unpackbits(np.frombuffer(bytes.fromhex(one), np.uint8)) for one in self.wrong]
        return np.array(bits).astype(bool)


def played(world: World, strategy: str, seed: int, rounds: int = ROUNDS) -> Played:
    """One run through the loop's own stages, or what was kept of it."""
    path = KEPT / world.name / f"{strategy}-{seed}.json"
    if path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
        return Played(**content | {"run": Run(**content["run"])})
    pool, gold, exam = world.drawn(seed)
    select: dict[str, Any] = {"strategy": strategy}
    if strategy == "random":
        select["near_duplicate"] = None  # else it is a little better than chance
    settings = world.settings.model_copy(update={"select": world.settings.select.model_copy(update=select)})
    result = Played(Run(strategy, "frozen", seed), [], [], [], by_chance(world, seed) if strategy == "random" else [])
    before: list[pd.DataFrame | None] = [None]

    def watch(model: Model) -> None:
        scores = score(pd.Index(pool.table.id), pool.items(), model, settings.score)
        result.settled.append(report.settling(scores, before[0]))
        before[0] = scores
        names = np.asarray(model.classes, dtype=object)
        missed = [
            names[model.probabilities(rows.items()).argmax(axis=1)] != rows.table.label.to_numpy(dtype=object)
            for rows in (gold, exam)
        ]
        result.exam.append(float(1 - missed[1].mean()))
        result.wrong.append(np.packbits(np.concatenate(missed)).tobytes().hex())

    for _ in play(result.run, pool, gold, settings, [BATCHES[world.name]] * rounds, 0.0, watch):
        pass
    write_json(path, asdict(result))
    return result


def by_chance(world: World, seed: int) -> list[tuple[int, float]]:
    """The exam accuracy of models trained on items drawn by chance, on the rounds' sizes and far beyond: the truth that
    the control arm is to tell."""
    pool, _, exam = world.drawn(seed)
    order = np.random.default_rng([seed, 8]).permutation(len(pool.table))
    batch = BATCHES[world.name]
    sizes = [batch * k for k in [0.2, 0.4, 0.7, *range(1, ROUNDS + 1), *(ROUNDS * np.array([1.3, 1.7, 2.2, 3, 4, 6]))]]
    found = []
    for size in [int(size) for size in sizes if size <= len(order)]:
        rows = np.sort(order[:size])
        labels = pool.table.label.iloc[rows].reset_index(drop=True)
        model = train(pool.items().take(rows), labels, pool.items(), world.settings)
        found.append((size, accuracy(model, exam.items(), exam.table.label)))
    return found


def easiest(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """A bad strategy, planted: ask what the model is surest of."""
    return top(candidates.probabilities.max(axis=1), k, rng)


def metered(world: World, strategy: str, seed: int, at: int) -> dict[str, Any] | None:
    """What the savings meter says after round `at` of a run, by the stage's own function; kept."""
    path = KEPT / world.name / f"meter-{strategy}-{seed}-{at}.json"
    if not path.exists():
        run = played(world, strategy, seed).run
        pool, gold, _ = world.drawn(seed)
        asked = [
            (item, number, why)
            for number, batch in enumerate(zip(run.asked[:at], run.why[:at], strict=True), start=1)
            for item, why in zip(*batch, strict=True)
        ]
        ledger = pd.DataFrame(asked, columns=["id", "round", "why"]).sort_values("id", ignore_index=True)
        ledger = ledger.merge(pool.table[["id", "label"]], on="id")
        rows = pd.Index(pool.table.id).get_indexer(pd.Index(ledger.id))
        settings = world.settings.model_copy(update={"seed": seed})
        found = prove.meter(ledger, pool.items().take(rows), gold.table, gold.items(), pool.items(), settings)
        content = found and {key: value for key, value in found.as_json().items() if key != "curves"}
        write_json(path, {"found": content})
    return json.loads(path.read_text(encoding="utf-8"))["found"]


# The truth


@dataclass(frozen=True)
class Truth:
    """A learning curve averaged over seeds: labels (j,), accuracy (j,), never falling."""

    labels: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @classmethod
    def of(cls, labels: list[float], runs: list[list[float]]) -> "Truth":
        mean = np.mean(runs, axis=0)
        risen = IsotonicRegression().fit_transform(np.arange(len(mean)), mean)
        return cls(np.asarray(labels, float), risen)

    def at(self, labels: float) -> float:
        return float(np.interp(np.log(labels), np.log(self.labels), self.accuracy))

    def labels_for(self, accuracy: float) -> tuple[float, float]:
        """Between how many labels the curve is at that accuracy: two ends where it is flat, 0 or infinity beyond it."""
        low, high = np.searchsorted(self.accuracy, accuracy, "left"), np.searchsorted(self.accuracy, accuracy, "right")
        if low == len(self.accuracy):
            return float(self.labels[-1]), np.inf
        if high == 0:
            return 0.0, float(self.labels[0])
        if low < high:
            return float(self.labels[low]), float(self.labels[high - 1])
        part = (accuracy - self.accuracy[low - 1]) / (self.accuracy[low] - self.accuracy[low - 1])
        logs = np.log(self.labels[low - 1 : low + 1])
        found = float(np.exp(logs[0] + part * (logs[1] - logs[0])))
        return found, found


def truths(world: World, strategy: str, seeds: int) -> tuple[Truth, Truth]:
    """The loop's curve and that of labels by chance, both averaged over the seeds."""
    chance = [played(world, "random", seed).chance for seed in range(seeds)]
    by_chance = Truth.of([size for size, _ in chance[0]], [[value for _, value in one] for one in chance])
    if strategy == "random":
        return by_chance, by_chance
    runs = [played(world, strategy, seed) for seed in range(seeds)]
    return Truth.of([float(n) for n in runs[0].run.labels], [one.exam for one in runs]), by_chance


def main(data: Path, names: list[str]) -> None:
    began = time.perf_counter()
    STRATEGIES["easiest"] = easiest
    with threadpool_limits(1):
        for name in [name for name in names if name in BATCHES]:
            here = world(data, name)
            for seed in range(2):
                for strategy in ("random", "auto", "easiest"):
                    began = time.perf_counter()
                    played(here, strategy, seed)
                    print(name, seed, strategy, round(time.perf_counter() - began, 1), flush=True)
                    began = time.perf_counter()
                    for at in (10, 20):
                        found = metered(here, strategy, seed, at)
                        print(at, found and {k: found[k] for k in ("verdict", "ratio", "projected")}, round(time.perf_counter() - began, 1), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
