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
from labelwise.tasks.trial.plan import Plan
from tests.bench import figures

KEPT = figures.KEPT / "image"
STRATEGIES = ["random", "auto", "margin"]
SEEDS = 5
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
        for each in found["summary"]:
            shown = {key: str(value) for key, value in each.items() if isinstance(value, str | int | float)}
            rows.append({"set": name, "whole pool": f"{found['full']['score']:.3f}", **shown})
        text = f"{figures.table(pd.DataFrame(rows))}\n\n{figures.machine()}\n"
        print(text)
        (KEPT / "image.md").write_text(text, encoding="utf-8")


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
