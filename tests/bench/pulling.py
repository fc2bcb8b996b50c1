"""Pull: 1,000,000 short rows, seconds and peak memory of a process of its own, against pandas.read_csv of the file."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tests.bench.figures import Estimate, Ratio, snippets, table, verdict

ROWS, WORDS, PAIRS, SEED = 1_000_000, 8, 4, 0
GOAL_GB = 1.5
# The peak of this program alone: what wait4 tells of a child begins with the memory of the parent it was forked from.
PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
OURS = f"from labelwise.tasks import pull, workspace; pull.run(workspace.Workspace.open('.')); {PEAK}"
RIVAL = f"import sys, pandas; rows = pandas.read_csv(sys.argv[1]); {PEAK}"


class Cost(NamedTuple):
    """What a process took, from its start to its end."""

    seconds: float
    gigabytes: float


def bench(folder: Path) -> str:
    """Ours and the rival in turn; ours into a fresh workspace each time."""
    source = _source(folder)
    ours, rival = [], []
    for pair in range(PAIRS):
        workspace = _workspace(folder, source, pair)
        first, second = (OURS, RIVAL) if pair % 2 else (RIVAL, OURS)
        costs = {code: _cost(workspace, code, source) for code in (first, second)}
        ours.append(costs[OURS])
        rival.append(costs[RIVAL])
    seconds = Ratio([cost.seconds for cost in ours], [cost.seconds for cost in rival])
    memory = Ratio([cost.gigabytes for cost in ours], [cost.gigabytes for cost in rival])
    limit = Estimate([cost.gigabytes / GOAL_GB for cost in ours])
    rows = pd.DataFrame(
        [
            (pair, *(f"{value:.2f}" for cost in (mine, theirs) for value in cost))
            for pair, (mine, theirs) in enumerate(zip(ours, rival, strict=True), start=1)
        ],
        columns=["pair", "pull, s", "pull, peak GB", "read_csv, s", "read_csv, peak GB"],
    )
    return f"""## Pull

{ROWS:,} different rows of {WORDS} words ({source.stat().st_size / 1e6:.0f} MB of CSV) into an empty pool: every row
hashed, checked, compared with the gold set and written as Parquet. Against `pandas.read_csv` of the same file, which
only reads. Each in a process of its own, start included. {PAIRS} pairs, seed {SEED}.

{table(rows)}

- **peak memory {limit:.2f} of the {GOAL_GB} GB allowed**: {verdict(limit)}
- {memory:.2f} times the memory and {seconds:.1f} times the seconds of read_csv
- {Estimate([ROWS / 1e3 / cost.seconds for cost in ours]):.0f} thousand rows a second
"""


def _source(folder: Path) -> Path:
    """Rows of words from BBC News, each made different by its number, and a gold set."""
    chance = np.random.default_rng(SEED)
    vocabulary = np.unique(" ".join(snippets(2000, 20, False, SEED).text).replace('"', "").replace(",", "").split())
    words = chance.choice(vocabulary, size=(ROWS, WORDS - 1))
    with (folder / "pool.csv").open("w", encoding="utf-8") as file:
        file.write("text\n")
        file.writelines(f"{number} {' '.join(row)}\n" for number, row in enumerate(words))
    snippets(400, 20, True, SEED).to_csv(folder / "gold.csv", index=False)
    return folder / "pool.csv"


def _workspace(folder: Path, source: Path, number: int) -> Path:
    from labelwise.tasks.settings import Columns
    from labelwise.tasks.upkeep import init

    root = folder / f"workspace-{number}"
    init.run(root, str(source), str(folder / "gold.csv"), None, "bench", None, Columns())
    return root


def _cost(workspace: Path, code: str, source: Path) -> Cost:
    """Run the code in the workspace."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, str(source)], cwd=workspace, env=os.environ, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Cost(seconds, int(done.stdout.split()[-1]) * 1024 / 1e9)
