"""`make bench-labels DATA=FOLDER`: labels needed by Labelwise and by its rivals, on labelled sets that lie in FOLDER.

Same vectors, seeds and budgets for all. Ours are played by `labelwise rehearse`, the rivals' in an environment of
their own. Everything is kept in .bench/, so that a call that was cut off goes on where it was.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flows import rehearse
from tasks import rehearsal
from tasks.rehearsal import Run
from tests.bench import figures

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".bench"
RIVALS = ROOT / ".venv-rivals" / "bin" / "python"
LEARNERS = ["frozen", "ensemble"]
STRATEGIES = ["random", "auto"]
CHEAP_RIVALS = ["skactiveml-margin", "skactiveml-typiclust"]
SEEDS = 5


@dataclass(frozen=True)
class Set:
    """batch and rounds: the budget."""

    batch: int
    rounds: int


SETS = {
    "spamassassin": Set(25, 20),
    "convabuse": Set(25, 20),
    "banking77": Set(200, 12),
    "unfair_tos": Set(25, 20),
    "clinc150": Set(300, 10),
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


def ours(name: str, folder: Path, budget: Set, say: Any) -> tuple[list[Run], dict[str, float]]:
    """Every run of ours on a set, and the accuracy of each learner on the whole pool."""
    plan = rehearse.Plan(
        str(folder / "pool.parquet"),
        str(folder / "gold.parquet"),
        STRATEGIES,
        LEARNERS,
        budget.batch,
        budget.rounds,
        SEEDS,
        0.0,
    )
    content = rehearse.rehearse(plan, folder / "ours", None, say)
    return [Run(**run) for run in content["runs"]], content["full"]["by_learner"]


def theirs(name: str, folder: Path, budget: Set) -> list[Run]:
    """Every run of the rivals on the same vectors."""
    pool, gold = rehearse.gathered(
        rehearse.Plan(str(folder / "pool.parquet"), str(folder / "gold.parquet"), [], [], 1, 1, 1, 0.0),
        lambda _line: None,
    )
    settings = rehearse.settings_of(
        rehearse.Plan("p", "g", [], [], 1, 1, 1, 0.0), sorted(set(pool.label) | set(gold.label))
    )
    codes = {label: code for code, label in enumerate(settings.classes)}
    parts = {
        "pool": rehearse.encoded(pool, settings, folder / "ours"),
        "gold": rehearse.encoded(gold, settings, folder / "ours"),
        "pool_labels": pool.label.map(codes).to_numpy(),
        "gold_labels": gold.label.map(codes).to_numpy(),
        "pool_texts": pool.text.to_numpy(dtype=str) if len(pool) < 6000 else np.empty(0, dtype=str),
        "gold_texts": gold.text.to_numpy(dtype=str) if len(pool) < 6000 else np.empty(0, dtype=str),
    }
    np.savez(folder / "data.npz", **parts)
    runs = []
    for seed in range(SEEDS):
        for rival in CHEAP_RIVALS:
            out = folder / f"{rival}-{seed}.json"
            if not out.exists():
                sizes = [budget.batch] * budget.rounds
                config = {
                    "data": str(folder / "data.npz"),
                    "rival": rival,
                    "seed": seed,
                    "sizes": sizes,
                    "out": str(out),
                }
                (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
                subprocess.run([RIVALS, ROOT / "tests/bench/rivals.py", folder / "config.json"], check=True)
            runs.append(Run(rival, "theirs", seed, **json.loads(out.read_text(encoding="utf-8"))))
    return runs


def compared(name: str, runs: Iterable[Run], full: dict[str, float]) -> list[dict[str, str]]:
    """A row a comparison on one set: labels for 98 % of the whole pool's accuracy, ours relative to another's."""
    by_name = {(run.strategy, run.learner, run.seed): run for run in runs}
    rows = []
    for own, other, of in [
        (("auto", "frozen"), ("random", "frozen"), "frozen"),
        (("auto", "ensemble"), ("random", "ensemble"), "ensemble"),
        (("auto", "ensemble"), ("skactiveml-margin", "theirs"), "frozen"),
        (("auto", "ensemble"), ("skactiveml-typiclust", "theirs"), "frozen"),
        (("auto", "ensemble"), ("random", "frozen"), "frozen"),
    ]:
        pairs = [(by_name[(*own, seed)], by_name[(*other, seed)]) for seed in range(SEEDS) if (*other, seed) in by_name]
        if not pairs:
            continue
        ratio = rehearsal._ratio(pairs, rehearsal.HEADLINE * full[of])
        estimate = rehearsal.Estimate(*(ratio[key] for key in ("mean", "low", "high")))
        needed = [
            rehearsal._median([rehearsal.labels_for(run, rehearsal.HEADLINE * full[of]) for run in side])
            for side in zip(*pairs, strict=True)
        ]
        area = rehearsal.Estimate.of([rehearsal.area(run) / rehearsal.area(rival) for run, rival in pairs])
        rows.append(
            {
                "set": name,
                "ours": " + ".join(own),
                "against": " + ".join(other),
                "accuracy to reach": f"{rehearsal.HEADLINE * full[of]:.3f}",
                "labels, ours": _count(needed[0], pairs[0][0].labels[-1]),
                "labels, theirs": _count(needed[1], pairs[0][1].labels[-1]),
                "ratio": f"{ratio['bound']} {estimate:.2f}".strip(),
                "area, ratio": f"{area:.3f}",
            }
        )
    return rows


def _count(value: float | None, last: int) -> str:
    return f"over {last}" if value is None else f"{value:.0f}"


def main(data: Path, names: list[str]) -> None:
    """Play what has not been played, and write docs/labels.md."""
    rows = []
    for name in names:
        folder = KEPT / name
        cleaned(data, name, folder)
        runs, full = ours(name, folder, SETS[name], lambda line: print(line, file=sys.stderr))
        runs += theirs(name, folder, SETS[name]) if RIVALS.exists() else []
        rows += compared(name, runs, full)
        picture = rehearsal.picture([run for run in runs if run.strategy != "margin"], full)
        picture.savefig(ROOT / "docs" / f"labels-{name}.png", dpi=80)
        write(rows)


def write(rows: list[dict[str, str]]) -> None:
    """The page, as far as it has been measured."""
    text = f"{figures.table(pd.DataFrame(rows))}\n\n{figures.machine()}\n"
    print(text)
    (KEPT / "labels.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main(Path(sys.argv[1]), sys.argv[2:] or list(SETS))
