"""What a kill costs: `make bench-speed ARGS=killed`. The stage `embed` reads MANY texts of 50 tokens and is killed
(SIGKILL) at moments by chance, until it comes to its end; another run of the same texts is never killed, and both must
have the same vectors to the bit. What is lost is what was done since the last piece was kept, in seconds of the
clock."""

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tests.bench.encoding import texts
from tests.bench.figures import table

MANY, KILLS, SEED = 100_000, 6, 0
LOST_S = 30.0  # at most
LOOK_S = 0.02


def bench(folder: Path, rows: int = MANY) -> str:
    """The table."""
    roots = [_workspace(folder / name, rows) for name in ("killed", "whole")]
    clock = time.perf_counter()
    subprocess.run(_command(roots[1]), check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - clock
    rng, kills = random.Random(SEED), []
    for number in range(KILLS):
        kills.append(_killed(roots[0], rng.uniform(0.3, 1.2) * whole / (KILLS + 1)))
        print(f"killed {number + 1} of {KILLS}: {kills[-1]}", file=sys.stderr, flush=True)
    clock = time.perf_counter()
    done = subprocess.run(_command(roots[0]), check=True, stdout=subprocess.PIPE, text=True)
    rest = time.perf_counter() - clock
    same = len({_digest(root) for root in roots}) == 1
    longest = max(kill["seconds since a piece was kept"] for kill in kills)
    return f"""{table(pd.DataFrame([{key: f"{value:.1f}" for key, value in kill.items()} for kill in kills]))}

- {rows:,} texts: {whole:.0f} s without a kill, {rest:.0f} s for the rest after the last; it said: {done.stdout.strip()}
- at most {longest:.1f} s were done twice, {LOST_S:.0f} are allowed
- the vectors {"are the same to the bit" if same else "DIFFER"}
"""


def _workspace(folder: Path, rows: int) -> Path:
    """With so many texts, pulled."""
    from labelwise.tasks import pull
    from labelwise.tasks.settings import Columns
    from labelwise.tasks.upkeep import init
    from labelwise.tasks.workspace import Workspace

    folder.mkdir(parents=True)
    some = texts()
    given = [f"{some[at % len(some)]} {at}" for at in range(rows)]
    pd.DataFrame({"text": given}).to_parquet(folder / "pool.parquet")
    pd.DataFrame({"text": [f"gold {text}" for text in some[:40]], "label": ["a", "b"] * 20}).to_csv(
        folder / "gold.csv", index=False
    )
    root = folder / "workspace"
    init.run(root, str(folder / "pool.parquet"), str(folder / "gold.csv"), None, "killed", None, Columns())
    pull.run(Workspace.open(root))
    return root


def _command(root: Path) -> list[str]:
    run = "import sys; from labelwise.tasks import embed; from labelwise.tasks.workspace import Workspace; "
    return [sys.executable, "-c", run + "print(embed.run(Workspace.open(sys.argv[1])))", str(root)]


def _killed(root: Path, after: float) -> dict[str, float]:
    """A run of the stage, killed so many seconds after its first new piece. RuntimeError where it ends before."""
    before, began, first = _pieces(root), time.time(), 0.0
    with subprocess.Popen(_command(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and (not first or time.time() < first + after):
            first = first or (time.time() if len(_pieces(root)) > len(before) else 0.0)
            time.sleep(LOOK_S)
        if process.poll() is not None:
            raise RuntimeError("the stage came to its end before it was killed: expected more texts")
        process.kill()
    there, ended = _pieces(root), time.time()
    last = max([path.stat().st_mtime for path in there], default=began)
    rows = sum(int(path.stem.partition("-")[2]) for path in there)
    return {"ran, s": ended - began, "texts kept": rows, "seconds since a piece was kept": ended - last}


def _pieces(root: Path) -> list[Path]:
    return list((root / ".labelwise" / "pieces").glob("shard-*/*.npz"))


def _digest(root: Path) -> str:
    files = sorted((root / "data" / "vectors").glob("shard-*.npy"))
    return hashlib.sha256(b"".join(np.load(path).tobytes() for path in files if "." not in path.stem)).hexdigest()
