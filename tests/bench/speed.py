"""`make bench-speed`: what a large pool costs. ARGS: names of parts, --json FILE, --rows N, and
--candidates N for a million with `score.candidates`.

million: a whole round on a pool of a million items, vectors in place: the stages agree, train, evaluate, score, prove
and select with learner `auto`, and the version that keeps it, in one process as the loop runs them. The pool is made:
texts of 50 tokens whose words depend on their class, and vectors in clusters. What a pool needs once (pull, vectors,
the first score) is told beside the round. Seconds are of the processor, so that other work on the machine hardly
changes them; memory is the most the process ever had resident, the memory map of the vectors included.

choose: each of some strategies chooses 100 of the same items; seconds of the processor, and the most memory that was
asked for beside the memory map.

encode: see encoding.py. ray: see spreading.py. killed: see killed.py.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.bench import encoding, killed, spreading
from tests.bench.figures import machine, table

ROWS, GOLD, LABELS, BATCH, ARM, SEED = 1_000_000, 500, 500, 100, 5, 0  # every fifth label is in the control arm
CLASSES, CLUSTERS, DIMENSIONS = 5, 200, 384
VOCABULARY, WORDS, TOPICAL = 30_000, 38, 0.12  # 38 such words are about 50 tokens; the share that tells the class
GOAL_S, GOAL_GB = 60.0, 1.5
PARTS = ("million", "choose", "encode", "ray", "killed")
CHOSEN = {"margin": 0.5, "k_centre": 10.0, "badge": 3.0, "cluster_margin": 20.0}  # and at most so many CPU s
GOAL_MB = 100.0
STAGES = ("agree", "train", "evaluate", "score", "prove", "select")
PART = 50_000  # items made at once


def texts(classes: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
    """A text an item: words as frequent as words are (Zipf), some of them of its class alone."""
    common = 1 / np.arange(1, VOCABULARY + 1)
    ends = np.cumsum(common / common.sum())
    found = np.searchsorted(ends, rng.random((len(classes), WORDS)), side="right")
    topical = rng.random(found.shape) < TOPICAL
    words = np.array([f"w{number:x}" for number in range(VOCABULARY * (CLASSES + 1))], dtype=object)
    found += np.where(topical, (1 + classes[:, None]) * VOCABULARY, 0)
    return [" ".join(row) for row in words[found]]


def vectors(classes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float16]:
    """(n, DIMENSIONS) of unit length, in clusters, most of a cluster of one class."""
    centres = np.random.default_rng(SEED).normal(size=(CLUSTERS, DIMENSIONS)).astype(np.float32)
    own = classes + CLASSES * rng.integers(CLUSTERS // CLASSES, size=len(classes))
    stray = rng.random(len(classes)) < 0.1
    own[stray] = rng.integers(CLUSTERS, size=int(stray.sum()))
    rows = centres[own] + 1.2 * rng.standard_normal((len(classes), DIMENSIONS), dtype=np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def workspace(folder: Path, rows: int) -> Path:
    """A workspace with a pool of so many items, their vectors, and labels of LABELS of them."""
    from labelwise.tasks import embed, made_with, pull, settings
    from labelwise.tasks.items import stored
    from labelwise.tasks.items.vectors import column, fingerprint, keep, vectors_of
    from labelwise.tasks.labels import ledger
    from labelwise.tasks.proof import control
    from labelwise.tasks.services.versions.workspace import Versions
    from labelwise.tasks.settings import Columns
    from labelwise.tasks.upkeep import init
    from labelwise.tasks.workspace import Workspace

    rng = np.random.default_rng(SEED)
    names = [f"class {number}" for number in range(CLASSES)]
    truth = rng.integers(CLASSES, size=rows + GOLD)
    parts = [texts(truth[at : at + PART], rng) for at in range(0, len(truth), PART)]
    made = pd.DataFrame({"text": [text for part in parts for text in part], "label": np.array(names)[truth]})
    made[["text"]].iloc[:rows].to_parquet(folder / "pool.parquet")
    made.iloc[rows:].to_csv(folder / "gold.csv", index=False)
    root = folder / "workspace"
    init.run(root, str(folder / "pool.parquet"), str(folder / "gold.csv"), None, "speed", None, Columns())
    settings.change(root / "params.yaml", {"select.batch": BATCH, "seed": SEED})
    here = Workspace.open(root)
    pull.run(here)
    label_of = made.set_index("text").label
    code = {name: number for number, name in enumerate(names)}
    for shard in [here.gold, *stored.shards(here)]:
        own = label_of[column(shard, "text").to_pylist()].map(code).to_numpy()
        drawn = [vectors(own[at : at + PART], rng) for at in range(0, len(own), PART)]
        keep(vectors_of(here, shard), np.concatenate(drawn), fingerprint(shard, here.settings.embed))
    embed.run(here)
    pool = pd.concat([pd.read_parquet(shard, columns=["id", "text"]) for shard in stored.shards(here)])
    order = np.argsort(control.order(pd.Index(pool.id), SEED), kind="stable")
    by_chance, rest = order[: LABELS // ARM], rng.permutation(order[LABELS // ARM :])[: LABELS - LABELS // ARM]
    for number in range(LABELS // BATCH):
        own, others = by_chance[number :: LABELS // BATCH], rest[number :: LABELS // BATCH]
        asked = pool.iloc[np.concatenate([own, others])]
        why = ["control"] * len(own) + ["uncertain"] * len(others)
        ledger.append(here.labels, number + 1, _answers(asked.assign(why=why), label_of, number + 1))
    made_with.note(root)
    versions = Versions(root)
    versions.record("embed")
    versions.add()
    versions.save("made")
    return root


def _answers(asked: pd.DataFrame, label_of: pd.Series, number: int) -> pd.DataFrame:
    """Rows of the ledger for a round: each item (text, why) labelled by one person."""
    return pd.DataFrame(
        {
            "id": asked.id.to_numpy(),
            "label": label_of[asked.text.to_numpy()].to_numpy(),
            "status": "labelled",
            "annotator": "1",
            "round": number,
            "origin": "asked",
            "why": asked.why.to_numpy(),
            "propensity": np.where(asked.why == "control", 0.1, np.nan),
            "task_id": np.arange(len(asked)) + 1000 * number,
            "annotation_id": np.arange(len(asked)) + 1000 * number,
            "lead_time_s": 5.0,
            "created_at": "2026-01-01T00:00:00+00:00",
        }
    )


@contextmanager
def counted(into: dict[str, float], name: str) -> Iterator[None]:
    """Seconds of the processor, of this process and of its children."""
    before = _cpu()
    yield
    into[name] = _cpu() - before


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def play(root: Path) -> dict[str, Any]:
    """A round, in this process: seconds by stage, and the most memory that was resident."""
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    with counted(seconds, "start"):
        from labelwise.flows.stages import REPRODUCIBLE
        from labelwise.tasks.services.versions.workspace import Versions
        from labelwise.tasks.workspace import Workspace

        here, versions = Workspace.open(root), Versions(root)
    for stage in STAGES:
        with counted(seconds, stage):
            print(f"{stage}: {REPRODUCIBLE[stage](here)}", file=sys.stderr, flush=True)
        with counted(seconds, "snapshot"):
            versions.record(stage)
            before = seconds.get("snapshot", 0.0)
        seconds["snapshot"] += before
    with counted(seconds, "keep"):
        versions.add()
        versions.save("a round")
    seconds["snapshot"] += seconds.pop("keep")
    return {"seconds": seconds, "resident_gb": _peak(), "wall_s": time.perf_counter() - started}


def _peak() -> float:
    """GB: the peak of this program alone. What wait4 tells of a child begins with the memory of its parent."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def million(root: Path, rows: int) -> dict[str, Any]:
    """Two rounds: what the first prepares, the second finds; 100 labels lie between them."""
    from labelwise.tasks.items import stored
    from labelwise.tasks.labels import ledger
    from labelwise.tasks.workspace import Workspace

    first = _child("play", root, rows)
    here = Workspace.open(root)
    asked = pd.read_parquet(here.batch, columns=["id", "why"])
    made = asked.assign(text=asked.id.map(stored.cells_by_id(here, asked.id)))
    own = [max(range(CLASSES), key=lambda each: _words_of(text, each)) for text in made.text]
    label_of = pd.Series([f"class {each}" for each in own], index=made.text)
    number = ledger.current_round(here.labels) + 1
    ledger.append(here.labels, number, _answers(made, label_of[~label_of.index.duplicated()], number))
    return {"first": first, "round": _child("play", root, rows)}


def _words_of(text: str, own: int) -> int:
    numbers = [int(word[1:], 16) // VOCABULARY for word in text.split()]
    return numbers.count(own + 1)


def choose(root: Path) -> dict[str, list[float]]:
    """CPU s, and MB beside the memory map, of each strategy on the open items of a workspace with a model."""
    from labelwise.tasks import learners, select
    from labelwise.tasks.items.vectors import pool_vectors
    from labelwise.tasks.kinds import choice
    from labelwise.tasks.labels import consensus
    from labelwise.tasks.records import probabilities
    from labelwise.tasks.strategies import Candidates, strategies
    from labelwise.tasks.workspace import Workspace, read_parquet

    here = Workspace.open(root)
    scores, vectors, labels = read_parquet(here.scores), pool_vectors(here), consensus.current(here)
    opinion = select.Opinion(choice, learners.thresholds(here.model))
    labelled = select.as_labelled(scores, vectors, labels, here.settings.classes, opinion)
    rows = np.flatnonzero(~scores.id.isin(labels.id).to_numpy())
    p = choice.chances(probabilities(scores)[rows])
    candidates = Candidates(p, lambda at: vectors.gather(rows[at]), labelled)
    found = {}
    for name in CHOSEN:
        strategy, seconds = strategies()[name], dict[str, float]()
        strategy(candidates.take(np.arange(1000)), BATCH, np.random.default_rng(SEED))  # the first pays for imports
        with counted(seconds, name):
            strategy(candidates, BATCH, np.random.default_rng(SEED))
        tracemalloc.start()
        strategy(candidates, BATCH, np.random.default_rng(SEED))
        found[name] = [seconds[name], tracemalloc.get_traced_memory()[1] / 1e6]
        tracemalloc.stop()
    return found


def _child(what: str, path: Path, rows: int) -> Any:
    """A part in a process of its own, whose last line is what it found."""
    # The package comes before numpy, as in the stages: it says how long idle threads of OpenBLAS spin.
    words = [sys.executable, "-c", "import labelwise, sys; from tests.bench.speed import main; main(sys.argv[1:])"]
    words += ["--part", what, str(path), "--rows", str(rows)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def shown(found: dict[str, Any]) -> str:
    """The table of a round."""
    first, later = found["first"]["seconds"], found["round"]["seconds"]
    rows = [(name, f"{first[name]:.1f}", f"{later[name]:.1f}") for name in later]
    rows += [("**sum**", f"{sum(first.values()):.1f}", f"{sum(later.values()):.1f}")]
    rows += [("resident, GB", f"{found['first']['resident_gb']:.2f}", f"{found['round']['resident_gb']:.2f}")]
    return table(pd.DataFrame(rows, columns=["stage, CPU s", "the first round", "a round"]))


def chosen(found: dict[str, list[float]]) -> str:
    """The table of `choose`, as shares of what is allowed."""
    rows = [
        (
            name,
            f"{s:.2f}",
            f"{s / CHOSEN[name]:.2f} of {CHOSEN[name]:g}",
            f"{mb:.0f}",
            f"{mb / GOAL_MB:.2f} of {GOAL_MB:.0f}",
        )
        for name, (s, mb) in found.items()
    ]
    return table(pd.DataFrame(rows, columns=["strategy", "CPU s", "allowed", "MB", "allowed "]))


def _of_a_pool(folder: Path, rows: int, choosing: bool, candidates: int | None) -> dict[str, Any]:
    """Print the tables of the parts that want a pool. Returns what they found."""
    from labelwise.tasks import settings

    folder.mkdir(parents=True, exist_ok=True)
    root = folder / "workspace"
    if not root.exists():
        _child("make", folder, rows)
    if candidates:
        settings.change(root / "params.yaml", {"score.candidates": candidates})
    found = million(root, rows)
    told = {"round_cpu_s": sum(found["round"]["seconds"].values()), "resident_gb": found["round"]["resident_gb"]}
    print(f"\n## A round on {rows:,} items\n\n{shown(found)}\n")
    over = told["round_cpu_s"] / GOAL_S, told["resident_gb"] / GOAL_GB
    print(f"{over[0]:.2f} of the {GOAL_S:.0f} CPU s allowed, {over[1]:.2f} of the {GOAL_GB} GB", flush=True)
    if choosing:
        told["choose"] = _child("choose", root, rows)
        print(f"\n## Choosing {BATCH} of {rows:,} items\n\n{chosen(told['choose'])}")
    return told | {"rows": rows, **found}


def main(words: list[str]) -> None:
    """Run the parts and print what they find."""
    parser = argparse.ArgumentParser(prog="bench-speed")
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--candidates", type=int, help="as score.candidates in params.yaml; else it is not set")
    parser.add_argument("--folder", type=Path, help="keep what was made there, and use it again")
    parser.add_argument("--part", choices=("make", "play", "choose"), help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.part:
        (path,) = asked.parts
        if asked.part == "make":
            workspace(Path(path), asked.rows)
            print("{}")
        else:
            print(json.dumps((play if asked.part == "play" else choose)(Path(path))))
        return
    if strangers := set(asked.parts) - set(PARTS):
        sys.exit(f"bench-speed: no such part: {', '.join(sorted(strangers))}; there are {', '.join(PARTS)}")
    parts = asked.parts or PARTS
    print(machine())
    told: dict[str, Any] = {}
    if "encode" in parts:
        print(f"\n## Encoding\n\n{encoding.bench()}", flush=True)
    if "ray" in parts:
        print(f"\n## Several machines\n\n{spreading.bench()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="labelwise-speed-") as scratch:
        if "killed" in parts:
            print(f"\n## A kill while texts are encoded\n\n{killed.bench(Path(scratch))}", flush=True)
        if {"million", "choose"} & set(parts):
            folder = asked.folder or Path(scratch)
            told = _of_a_pool(folder, asked.rows, "choose" in parts, asked.candidates)
    if asked.json:
        asked.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
