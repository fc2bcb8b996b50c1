"""Pictures: the peak memory of each stage with 1,000, 3,000 and 10,000 of them, each stage in a process of its own.

The pictures are made here, each different; the encoder sees them small, since only its memory is of interest. The model
learns of the labels that come with the workspace, so no reviewer is waited for; its first batch goes to the real Label
Studio.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from labelwise.tasks import settings
from tests.bench.figures import table

COUNTS = (1_000, 3_000, 10_000)
SIDE, COARSE, PIXELS, LABELLED, GOLD = 256, 16, 64, 60, 100
PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
STAGE = "from labelwise.tasks import stage, workspace; from labelwise.tasks.{0} import run; "
STAGE += "run(workspace.Workspace.open('.'))"
SERVE = """
from pathlib import Path
import labelwise
said = labelwise.load('.').predict(sorted(map(str, Path({0!r}).glob('*.jpg'))))
assert len(said) == {1}
"""
OPENED = "from labelwise.tasks import {0}, workspace; from labelwise.tasks.services.{1}; "
OPENED += "it = workspace.Workspace.open('.'); "
PUSH = OPENED.format("push", "label_studio.project import open_project")
PUSH += "push.run(it, open_project(it.settings), 'news')"
REPORT = OPENED.format("report", "versions.workspace import Versions")
REPORT += "from labelwise.tasks.reporting import page, reviewers; past = Versions(it.root); "
REPORT += "report.run(it); page.write(it, past); reviewers.write(it, past)"
INIT = "from labelwise.flows.cli import app; app(['init', '.', '--item', 'image', '--pool', {0!r}, '--gold', {1!r}"
INIT += ", '--labelled', {2!r}], standalone_mode=False)"
STAGES = ("pull", "embed", "train", "evaluate", "score", "select", "prove")


def bench(folder: Path) -> str:
    """A column a pool."""
    gold, labelled = classes(folder / "gold", GOLD, 10**6), classes(folder / "labelled", LABELLED, 0)
    found: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    for count in COUNTS:
        pool, root = drawn(folder / f"pool-{count}", range(count)), folder / f"photos-{count}"
        root.mkdir()
        codes = {"init": INIT.format(str(pool), str(gold), str(labelled))}
        codes |= {name: STAGE.format(name) for name in STAGES}
        codes |= {"report": REPORT, "push": PUSH, "predict": SERVE.format(str(pool), count)}
        for name, code in codes.items():
            started = time.perf_counter()
            found.setdefault(name, []).append(_peak(root, code))
            seconds[name] = time.perf_counter() - started
            print(name, count, found[name][-1], f"{seconds[name]:.0f}", file=sys.stderr, flush=True)
            if name == "init":
                settings.change(root / "params.yaml", {"embed.pixels": PIXELS})
    rows = [
        (name, *(f"{each:.0f}" for each in peaks), f"{_further(peaks):.0f}", f"{seconds[name]:.0f}")
        for name, peaks in found.items()
    ]
    columns = ["stage", *(f"{count:,}, MB" for count in COUNTS), "a further picture, kB", f"{COUNTS[-1]:,}, s"]
    batch = settings.read(root / "params.yaml").select.batch
    worst = max(map(_further, found.values()))
    held = sum(path.stat().st_size for path in (folder / f"photos-{COUNTS[-1]}/data/pool").glob("*")) / COUNTS[-1] / 1e3
    return f"""## Pictures

Peak memory of a process for each stage, its libraries included, with {COUNTS[0]:,} to {COUNTS[-1]:,} pictures of
{SIDE} pixels a side. `report` writes the pages of the round, `push` brings a batch of {batch} to the real Label Studio,
and `predict` is given the paths of all in one call.

{table(pd.DataFrame(rows, columns=columns))}

- **at most {worst:.0f} kB for a further picture**, which takes {held:.0f} kB in the tables of the pool
"""


def _further(peaks: list[float]) -> float:
    """Kilobytes by which a picture more raises the peak."""
    return (peaks[-1] - peaks[0]) / (COUNTS[-1] - COUNTS[0]) * 1000


def drawn(folder: Path, numbers: range) -> Path:
    """JPEG files of soft patterns, no two alike."""
    from PIL import Image

    folder.mkdir(parents=True)
    for number in numbers:
        coarse = np.random.default_rng(number).integers(0, 256, (COARSE, COARSE, 3), dtype=np.uint8)
        coarse[..., 0] = coarse[..., 0] // 2 + 127 * (number % 2)  # what the classes go by
        picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:07}.jpg", quality=90)
    return folder


def classes(folder: Path, count: int, first: int) -> Path:
    """The same in two class folders."""
    for which, name in enumerate(("cold", "warm")):
        drawn(folder / name, range(first + which, first + count, 2))
    return folder


def _peak(root: Path, code: str) -> float:
    """Run the code in the workspace; megabytes at most."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{PEAK}"], cwd=root, env=os.environ, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return int(done.stdout.split()[-1]) / 1024
