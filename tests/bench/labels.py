"""`make bench-labels DATA=FOLDER`: labels needed by Labelwise and by its rivals, on labelled sets that lie in FOLDER.

It makes the tables `choice` (one class an item) and `multilabel` (several labels an item, by
tests/bench/multilabel.py), of all sets. ARGS names tables or sets, or both: ARGS='multilabel goemotions',
ARGS=banking77. Further tables are made only when they are named: `rare` (one class is rare, by tests/bench/rare.py),
`seeds` (its first items, by tests/bench/seeds.py), `spans` (parts of texts are marked, by tests/bench/entities.py),
`image` (pictures, by tests/bench/pictures.py), `row` (figures and signals, by tests/bench/tabular.py), `candidates`
(a prefilter, by tests/bench/candidates.py), `fewshot`, `tuned` and `cpu`.

Same vectors, seeds and budgets for all. Ours are played by `labelwise rehearse`, the rivals' in an environment of
their own. Everything is kept in .bench/, so that a call that was cut off goes on where it was.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from labelwise.flows import rehearse
from labelwise.tasks.settings import Settings
from labelwise.tasks.strategies import STRATEGIES as STRATEGIES_BY_NAME
from labelwise.tasks.strategies import Candidates, Labelled, serving
from labelwise.tasks.train import train
from labelwise.tasks.trial import rehearsal
from labelwise.tasks.trial.kept import encoded, settings_of_run
from labelwise.tasks.trial.plan import Plan, gathered, settings_of
from labelwise.tasks.trial.rehearsal import Rows, Run
from tests.bench import candidates, entities, figures, multilabel, pictures, rare, seeds, tabular
from tests.bench.figures import KEPT, RIVALS, ROOT

LEARNERS = ["frozen", "ensemble"]
STRATEGIES = ["random", "auto"]
FURTHER = "random, further"
MARGIN, TYPICLUST, BADGE = "skactiveml-margin", "skactiveml-typiclust", "skactiveml-badge"
SEEDS = 5
FEWSHOT = ["frozen", "propagate", "ensemble", "contrastive", "auto"]
FEWSHOT_SETS = {"convabuse": (5, 16), "spamassassin": (5, 16), "it_tickets": (5,)}
FEWSHOT_SEEDS = {"convabuse": 5, "spamassassin": 5, "it_tickets": 3}  # SetFit takes minutes to learn long texts
TUNED_SET, TUNED_ROUNDS = "convabuse", 12
SETFIT_SEEDS, SETFIT_ROUNDS = 3, 4  # minutes a round


@dataclass(frozen=True)
class Set:
    """batch and rounds: the budget. rivals: those that play it with all seeds in hours rather than days. further: the
    batch and rounds in which `random` is played until it gets there, where it does not within the budget."""

    batch: int
    rounds: int
    rivals: tuple[str, ...] = (MARGIN, TYPICLUST, BADGE)
    further: tuple[int, int] | None = None


SETS = {
    "spamassassin": Set(25, 20),
    "convabuse": Set(25, 20, further=(50, 20)),
    "banking77": Set(200, 12, (MARGIN, TYPICLUST), further=(400, 12)),
    "unfair_tos": Set(25, 20),
    "clinc150": Set(300, 10, (MARGIN,), further=(1000, 7)),
    "it_tickets": Set(200, 10),
}


def cleaned(data: Path, name: str, to: Path) -> None:
    """The set as one label a text: ties of convabuse left out; unfair_tos as unfair or not."""
    to.mkdir(parents=True, exist_ok=True)
    for part in ("pool", "gold"):
        rows = pd.read_parquet(data / name / f"{part}.parquet")
        if name == "unfair_tos":
            rows = rows.assign(label=["none" if list(one) == ["none"] else "unfair" for one in rows.labels])
        rows[rows.label != "tie"][["text", "label"]].to_parquet(to / f"{part}.parquet")


def ours(folder: Path, budget: Set, say: Any) -> tuple[list[Run], dict[str, float]]:
    """Every run of ours on a set, and the accuracy of each learner on the whole pool."""
    content = rehearsed(folder, "ours", STRATEGIES, LEARNERS, (budget.batch, budget.rounds), say)
    runs = [Run.of(run) for run in content["runs"]]
    if budget.further:
        longer = rehearsed(folder, "further", ["random"], ["ensemble"], budget.further, say)["runs"]
        runs += [Run.of(run | {"strategy": FURTHER}) for run in longer]
    return runs, content["full"]["by_learner"]


def rehearsed(
    folder: Path, part: str, strategies: list[str], learners: list[str], budget: tuple[int, int], say: Any
) -> dict[str, Any]:
    """What `labelwise rehearse` makes of them on a set, kept in a part of its folder."""
    sources = str(folder / "pool.parquet"), str(folder / "gold.parquet")
    return rehearse.rehearse(Plan(*sources, strategies, learners, *budget, SEEDS, 0.0), folder / part, None, say)


def prepared(folder: Path) -> tuple[Rows, Rows, Settings]:
    """Pool and gold with their vectors; for the rivals, the same in data.npz."""
    plan = Plan(str(folder / "pool.parquet"), str(folder / "gold.parquet"), [], [], 1, 1, 1, 0.0)
    pool, gold = gathered(plan, lambda _line: None)
    settings = settings_of(plan, sorted(set(pool.label) | set(gold.label)))
    rows = [Rows(table, encoded(table, settings, folder / "ours")) for table in (pool, gold)]
    codes = {label: code for code, label in enumerate(settings.classes)}
    arrays = {
        f"{name}{part}": values
        for name, one in zip(("pool", "gold"), rows, strict=True)
        for part, values in {
            "": one.vectors,
            "_labels": one.table.label.map(codes).to_numpy(),
            "_texts": one.table.text.str.slice(0, 2000).to_numpy(dtype=str),
        }.items()
    }
    np.savez(folder / "data.npz", **arrays)
    return rows[0], rows[1], settings


def rival(folder: Path, name: str, seed: int, sizes: list[int], start: list[int] | None = None) -> Run:
    """One run of a rival, played in its own environment unless it has been before."""
    out = folder / f"{name}-{seed}-{sum(sizes)}.json"
    if not out.exists():
        config = {"data": str(folder / "data.npz"), "rival": name, "seed": seed, "sizes": sizes, "start": start}
        (folder / "config.json").write_text(json.dumps({**config, "out": str(out)}), encoding="utf-8")
        command = [RIVALS, ROOT / "tests" / "bench" / "rivals.py", folder / "config.json"]
        subprocess.run(command, check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    played = json.loads(out.read_text(encoding="utf-8"))
    own = {key: value for key, value in played.items() if key != "said"}
    return Run.of({"strategy": name, "learner": "theirs", "seed": seed, **own})


def theirs(folder: Path, budget: Set) -> list[Run]:
    """Every run of the rivals on the same vectors."""
    sizes = [budget.batch] * budget.rounds
    return [rival(folder, name, seed, sizes) for seed in range(SEEDS) for name in budget.rivals]


def fewshot(name: str, folder: Path, per_class: int) -> list[dict[str, str]]:
    """The learners and SetFit on the same few labels of each class: accuracy on gold, seconds to learn."""
    pool, gold, settings = prepared(folder)
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(FEWSHOT_SEEDS[name]):
        order = pool.table.sample(frac=1, random_state=seed)
        rows = np.sort(order.groupby("label").head(per_class).index.to_numpy())
        for learner in FEWSHOT:
            began = time.perf_counter()
            own = settings_of_run(settings, "random", learner, seed)
            model = train(pool.items().take(rows), pool.table.label[rows], pool.items(), own)
            seconds = time.perf_counter() - began
            accuracy = rehearsal.judged(model, gold.items(), gold.table.label)
            found.setdefault(learner, []).append((accuracy, seconds))
        run = rival(folder, "smalltext-setfit-breakingties", seed, [len(rows)], rows.tolist())
        found.setdefault("SetFit (small-text)", []).append((run.score[0], run.seconds[0]))
    rivals = found["SetFit (small-text)"]
    better = {name: [a - b for (a, _), (b, _) in zip(own, rivals, strict=True)] for name, own in found.items()}
    return [
        {
            "set": name,
            "labels a class": str(per_class),
            "learner": learner,
            "accuracy": f"{rehearsal.Estimate.of([a for a, _ in values]):.3f}",
            "better than SetFit by": f"{rehearsal.Estimate.of(better[learner]):+.3f}",
            "seconds to learn": f"{np.mean([s for _, s in values]):.1f}",
            "of SetFit's": f"{figures.Ratio([s for _, s in values], [s for _, s in rivals]):.2f}",
        }
        for learner, values in found.items()
    ]


def tuned(folder: Path, say: Any) -> list[dict[str, str]]:
    """Whole runs with learners that tune an encoder: ours with `learner: auto`, and small-text's SetFit with breaking
    ties as far as its hours allow. Accuracy on gold after so many labels."""
    batch = SETS[TUNED_SET].batch
    content = rehearsed(folder, "tuned", STRATEGIES, ["auto"], (batch, TUNED_ROUNDS), say)
    runs = [Run.of(run) for run in content["runs"]]
    prepared(folder)
    sizes = [batch] * SETFIT_ROUNDS
    runs += [rival(folder, "smalltext-setfit-breakingties", seed, sizes) for seed in range(SETFIT_SEEDS)]
    by_name = {(run.strategy, run.seed): run for run in runs}
    rows = []
    for at in range(TUNED_ROUNDS):
        row = {"labels": str(batch * (at + 1))}
        for name in [*STRATEGIES, "smalltext-setfit-breakingties"]:
            there = [run for (one, _), run in by_name.items() if one == name and at < len(run.score)]
            row[name] = f"{rehearsal.Estimate.of([run.score[at] for run in there]):.3f}" if there else ""
            row[f"{name}, s"] = f"{np.mean([run.seconds[at] for run in there]):.0f}" if there else ""
        for name in ("random", "smalltext-setfit-breakingties"):
            pairs = [
                own.score[at] - by_name[(name, seed)].score[at]
                for (one, seed), own in by_name.items()
                if one == "auto" and (name, seed) in by_name and at < len(by_name[(name, seed)].score)
            ]
            row[f"auto less {name}"] = f"{rehearsal.Estimate.of(pairs):+.3f}" if pairs else ""
        rows.append(row)
    return rows


def cpu() -> list[dict[str, str]]:
    """CPU seconds of one query among 20,000 candidates of 384 dimensions and 10 classes, 100 labelled, 100 asked, one
    core: every strategy of ours, and the rivals' where they have it."""
    KEPT.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 384))
    classes = rng.integers(0, 10, 20_100)
    vectors = centres[classes] + 2 * rng.normal(size=(20_100, 384))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    p = softmax(vectors @ centres.T.astype(np.float32) / 2, axis=1)
    pool, known = vectors[:20_000], vectors[20_000:]
    np.savez(KEPT / "queries.npz", pool=pool, labelled=known, labels=classes[20_000:])
    config, out = KEPT / "queries.config.json", KEPT / "queries.json"
    config.write_text(json.dumps({"queries": str(KEPT / "queries.npz"), "k": 100, "out": str(out)}), encoding="utf-8")
    command = [RIVALS, ROOT / "tests" / "bench" / "rivals.py", config]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    theirs = json.loads(out.read_text(encoding="utf-8"))
    answered = Labelled(known, classes[20_000:], p[20_000:], np.ones(100, int), np.full(100, "uncertain", dtype=object))
    given = Candidates(p[:20_000], lambda rows: pool[rows], answered)
    rows = []
    with threadpool_limits(1):
        for name in serving("choice"):
            strategy = STRATEGIES_BY_NAME[name]
            strategy(given.take(np.arange(500)), 5, np.random.default_rng(0))  # imports and first touches do not count
            began = time.process_time()
            strategy(given, 100, np.random.default_rng(0))
            own = time.process_time() - began
            rivals = {key.split(", ")[1]: value for key, value in theirs.items() if key.startswith(f"{name}, ")}
            row = {"strategy": name, "CPU s": f"{own:.3f}"}
            for rival in ("scikit-activeml", "small-text"):
                row[rival] = f"{rivals[rival]:.2f} ({rivals[rival] / own:.0f} times)" if rival in rivals else ""
            rows.append(row)
    return rows


def compared(name: str, runs: Iterable[Run], full: dict[str, float]) -> list[dict[str, str]]:
    """A row a comparison on one set: labels for 98 % of the whole pool's accuracy, ours relative to another's."""
    by_name = {(run.strategy, run.learner, run.seed): run for run in runs}
    rows = []
    for own, other, of in [
        (("auto", "frozen"), ("random", "frozen"), "frozen"),
        (("auto", "ensemble"), ("random", "ensemble"), "ensemble"),
        (("auto", "ensemble"), (FURTHER, "ensemble"), "ensemble"),
        *((("auto", "ensemble"), (rival, "theirs"), "frozen") for rival in (MARGIN, TYPICLUST, BADGE)),
        (("auto", "ensemble"), ("random", "frozen"), "frozen"),
    ]:
        pairs = [(by_name[(*own, seed)], by_name[(*other, seed)]) for seed in range(SEEDS) if (*other, seed) in by_name]
        if not pairs:
            continue
        ratio = rehearsal.decisive_ratio(pairs, full[of])
        target = ratio["share"] * full[of]
        estimate = rehearsal.Estimate(*(ratio[key] for key in ("mean", "low", "high")))
        needed = [
            rehearsal.median([rehearsal.labels_for(run, target) for run in side]) for side in zip(*pairs, strict=True)
        ]
        alike = all(run.labels == rival.labels for run, rival in pairs)
        area = rehearsal.Estimate.of([rehearsal.area(run) / rehearsal.area(rival) for run, rival in pairs])
        rows.append(
            {
                "set": name,
                "ours": " + ".join(own),
                "against": " + ".join(other),
                "accuracy to reach": f"{target:.3f} ({ratio['share']:.0%})",
                "labels, ours": _count(needed[0], pairs[0][0].labels[-1]),
                "labels, theirs": _count(needed[1], pairs[0][1].labels[-1]),
                "ratio": f"{ratio['bound']} {estimate:.2f}".strip(),
                "area, ratio": f"{area:.3f}" if alike else "",
            }
        )
    return rows


def _count(value: float | None, last: int) -> str:
    return f"over {last}" if value is None else f"{value:.0f}"


def choice(data: Path, names: Iterable[str]) -> None:
    """Labels needed where an item has one class, with a picture of each set."""
    rows = []
    for name in names:
        folder = KEPT / name
        cleaned(data, name, folder)
        runs, full = ours(folder, SETS[name], tell)
        prepared(folder)
        runs += theirs(folder, SETS[name]) if RIVALS.exists() else []
        rows += compared(name, runs, full)
        picture = rehearsal.picture([run for run in runs if run.strategy != FURTHER], full)
        picture.savefig(ROOT / "docs" / f"labels-{name}.png", dpi=80)
        write(rows, "labels.md")


def few(data: Path, names: Iterable[str]) -> None:
    """Learners on few labels of each class."""
    rows = []
    for name in names:
        folder = KEPT / name
        cleaned(data, name, folder)
        (folder / "ours").mkdir(exist_ok=True)
        rows += [row for per_class in FEWSHOT_SETS[name] for row in fewshot(name, folder, per_class)]
        write(rows, "fewshot.md")


def tuning(data: Path, names: Iterable[str]) -> None:
    """Whole runs with learners that tune an encoder."""
    for name in names:
        cleaned(data, name, KEPT / name)
        write(tuned(KEPT / name, tell), "tuned.md")


def prefiltered(data: Path, names: Iterable[str]) -> None:
    """What a prefilter costs."""

    def set_of(name: str) -> tuple[Rows, Rows, Settings]:
        cleaned(data, name, KEPT / name)
        (KEPT / name / "ours").mkdir(exist_ok=True)
        return prepared(KEPT / name)

    candidates.table(set_of, names, write)


def tell(line: str) -> None:
    """Progress, apart from the tables."""
    print(line, file=sys.stderr)


# A table: what makes it, and of which sets.
TABLES: dict[str, tuple[Callable[[Path, list[str]], None], Collection[str]]] = {
    "choice": (choice, SETS),
    "multilabel": (multilabel.main, multilabel.SETS),
    "rare": (rare.main, rare.CASES),
    "fewshot": (few, FEWSHOT_SETS),
    "tuned": (tuning, [TUNED_SET]),
    "seeds": (seeds.main, seeds.POOLS),
    "spans": (entities.main, entities.SETS),
    "image": (pictures.main, pictures.SETS),
    "row": (tabular.main, tabular.SETS),
    "candidates": (prefiltered, candidates.SETS),
    "cpu": (lambda _data, _names: write(cpu(), "cpu.md"), []),
}


def wanted(words: Sequence[str]) -> dict[str, list[str]]:
    """Which sets of which tables these words ask for. ValueError for a word that is neither, and where that is none.

    >>> wanted(["multilabel", "goemotions"]), wanted(["banking77"]), list(wanted([]))
    ({'multilabel': ['goemotions']}, {'choice': ['banking77']}, ['choice', 'multilabel'])
    """
    sets = {name for _, names in TABLES.values() for name in names}
    if strange := [word for word in words if word not in TABLES and word not in sets]:
        known = f"a table ({', '.join(TABLES)}) nor a set ({', '.join(sorted(sets))})"
        raise ValueError(f"{strange[0]!r} is neither {known}")
    tables = [word for word in words if word in TABLES] or ["choice", "multilabel"]
    only = [word for word in words if word in sets]
    found = {table: [name for name in TABLES[table][1] if not only or name in only] for table in tables}
    found = {table: names for table, names in found.items() if names or not TABLES[table][1]}
    if not found:
        raise ValueError(f"no table of {', '.join(tables)} is made of {', '.join(only)}")
    return found


def main(data: Path, words: list[str]) -> None:
    """Play what has not been played, and print the tables as far as they go."""
    for table, names in wanted(words).items():
        TABLES[table][0](data, names)


def write(rows: list[dict[str, str]], name: str) -> None:
    """A table, as far as it has been measured."""
    text = f"{figures.table(pd.DataFrame(rows))}\n\n{figures.machine()}\n"
    print(text)
    (KEPT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        wanted(sys.argv[2:])
    except ValueError as error:
        sys.exit(f"bench-labels: {error}")
    main(Path(sys.argv[1]), sys.argv[2:])
