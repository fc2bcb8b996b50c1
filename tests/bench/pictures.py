"""`make bench-labels DATA=FOLDER ARGS=image`: labels needed where an item is a picture.

fashion_mnist lies in FOLDER (a part of it is played); the digits are scikit-learn's. Both by `labelwise rehearse`, with
the packaged encoder. Everything is kept in .bench/image/.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from labelwise.flows import rehearse
from labelwise.flows.demos import Edition, pictures
from labelwise.tasks.settings import Kind
from labelwise.tasks.trial import rehearsal
from labelwise.tasks.trial.plan import Plan
from labelwise.tasks.trial.rehearsal import Run
from tests.bench import figures

KEPT = figures.KEPT / "image"
STRATEGIES = ["random", "auto", "margin"]
SEEDS = 5
SHARES = (0.9, 0.95)
POOL, GOLD = 2_000, 1_000  # pictures of fashion_mnist, drawn by chance: the set has 60,000
# Batch and rounds: so many that random labels get there, too.
SETS = {"fashion_mnist": (25, 24), "digits": (10, 24)}


def main(data: Path, names: Iterable[str]) -> None:
    """The table."""
    rows = []
    for name in names:
        pool, gold = digits(KEPT / name) if name == "digits" else part_of(data / name, KEPT / name)
        plan = Plan(str(pool), str(gold), STRATEGIES, ["auto"], *SETS[name], SEEDS, 0.0, item="image")
        found = rehearse.rehearse(plan, KEPT / name / "ours", None, lambda line: print(line, file=sys.stderr))
        by = {
            strategy: [Run.of(run) for run in found["runs"] if run["strategy"] == strategy] for strategy in STRATEGIES
        }
        full = found["full"]["score"]
        rows += [row_of(name, strategy, by, full, share) for strategy in STRATEGIES[1:] for share in SHARES]
        text = f"{figures.table(pd.DataFrame(rows))}\n\n{figures.machine()}\n"
        print(text)
        (KEPT / "image.md").write_text(text, encoding="utf-8")


def row_of(name: str, strategy: str, by: dict[str, list[Run]], full: float, share: float) -> dict[str, str]:
    """Labels for this share of what the whole pool gives, and relative to random's of the same seeds."""
    pairs = list(zip(by[strategy], by["random"], strict=True))
    ratio = rehearsal.ratio_of(pairs, share * full)
    estimate = rehearsal.Estimate(*(ratio[key] for key in ("mean", "low", "high")))
    medians = (rehearsal.median([rehearsal.labels_for(run, share * full) for run in by[each]]) for each in by)
    needed = dict(zip(by, medians, strict=True))
    return {
        "set": name,
        "whole pool": f"{full:.3f}",
        "accuracy to reach": f"{share * full:.3f} ({share:.0%})",
        "strategy": strategy,
        **{
            f"labels, {who}": "not reached" if needed[each] is None else f"{needed[each]:.0f}"
            for who, each in (("its", strategy), ("random's", "random"))
        },
        "ratio": f"{ratio['bound']} {estimate:.2f}".strip(),
    }


def digits(folder: Path) -> tuple[Path, Path]:
    """Those of the demo, in class folders."""
    made = pictures.make(Edition("digits", Kind(item="image"), "", "", pictures.make), folder / "source")
    return made.answers, made.gold


def part_of(source: Path, folder: Path) -> tuple[Path, Path]:
    """A part of a set of Parquet with its bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, count in (("pool", POOL), ("gold", GOLD)):
        rows = pd.read_parquet(source / f"{name}.parquet")[["image", "label"]]
        drawn = rows.iloc[np.random.default_rng(0).permutation(len(rows))[:count]]
        made.append(folder / f"{name}.parquet")
        drawn.to_parquet(made[-1])
    return made[0], made[1]
