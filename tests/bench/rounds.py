"""What a round costs beyond learning and waiting: by part, on a pool of 10,000 items."""

import contextlib
import io
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import settings
from labelwise.tasks.settings import Columns, Kind
from tests.bench.figures import Estimate, snippets, table, verdict

POOL, GOLD, WORDS, BATCH, ROUNDS, SEED = 10_000, 400, 12, 25, 5, 0
GOAL_S = 8.0
LEARNING = "learning: "  # and the stage
STARTS = 3
BEGIN = "import labelwise.flows.loop"
ON_FIRST_USE = ("mlflow.pyfunc", "dvc.repo", "great_expectations", "label_studio_sdk")


Vectors = NDArray[np.float32]


class Clock:
    """Seconds by part. A part that runs within another is taken from it, so that the parts add up to the whole."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._open: list[str] = []
        self._since = 0.0
        self._thread = threading.get_ident()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What happens in here belongs to `name`; other threads, such as Prefect's heartbeat, are not on the clock."""
        if threading.get_ident() != self._thread:
            yield
            return
        self._book()
        self._open.append(name)
        try:
            yield
        finally:
            self._book()
            self._open.pop()

    def _book(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, on this clock."""

        @wraps(function)
        def run(*words: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*words, **options)

        return run


def bench(folder: Path) -> str:
    """Round 0 encodes the pool; then `ROUNDS` rounds, each one call of the loop between two sets of answers."""
    made = workspace(folder, snippets(POOL, WORDS, False, SEED), snippets(GOLD, WORDS, True, SEED))
    play(made)
    rounds = pd.DataFrame([one_round(folder, made) for _ in range(ROUNDS + 1)]).fillna(0.0)[1:]
    learning = [part for part in rounds if part.startswith(LEARNING)]
    beyond = rounds.drop(columns=learning)
    share = Estimate((beyond.sum(axis=1) / GOAL_S).tolist())
    parts = {name: Estimate(beyond[name].tolist()) for name in beyond.mean().sort_values(ascending=False).index}
    parts["**sum**"] = Estimate(beyond.sum(axis=1).tolist())
    rows = pd.DataFrame(
        {
            "part": list(parts),
            "s a round": [f"{part:.2f}" for part in parts.values()],
            f"of {GOAL_S:.0f} s": [f"{part.mean / GOAL_S:.1%}" for part in parts.values()],
        }
    )
    starts, whole = _starts(folder, made)
    return f"""## What a round costs beyond learning and waiting

A pool of {POOL:,} snippets of {WORDS} words, a gold set of {GOLD}, batches of {BATCH}, seed {SEED}. One process plays
round 0 (which encodes the pool), a round that does not count and {ROUNDS} that do. Each is one call of
the loop with `max_wait=0`: it checks, finds the batch and its answers, keeps them, learns, asks the next batch and
looks once. Every second between call and return is in a row; what a part calls of another part counts there.
Left out: {Estimate(rounds[learning].sum(axis=1).tolist()):.2f} s of learning (embed, train, evaluate, score, select).

{table(rows)}

- **{share:.2f} of the {GOAL_S:.0f} s allowed**: {verdict(share)}

Imports come on top once a process. A schedule starts a process each time it looks; {STARTS} of these, and of each
import:

{table(starts)}

- a round in a process of its own, start, imports and learning included: {whole:.2f} times the {GOAL_S:.0f} s
  that are allowed for the round alone
"""


def workspace(
    folder: Path, pool: pd.DataFrame, gold: pd.DataFrame, kind: Kind | None = None, classes: list[str] | None = None
) -> Path:
    """A workspace beside the files that it is made of. pool, gold: the columns of an item, and label."""
    from labelwise.tasks.upkeep import init

    pool.drop(columns="label").to_csv(folder / "pool.csv", index=False)
    pool.to_csv(folder / "answers.csv", index=False)
    gold.to_csv(folder / "gold.csv", index=False)
    root = folder / "workspace"
    sources = str(folder / "pool.csv"), str(folder / "gold.csv")
    init.run(root, *sources, classes, f"bench {folder.name}", None, Columns(), kind=kind or Kind())
    settings.change(root / "params.yaml", {"select.batch": BATCH, "seed": SEED})
    return root


def one_round(folder: Path, workspace: Path) -> dict[str, float]:
    """Answer the open batch, off the clock; then play a round, on it."""
    answer(folder, workspace)
    clock = Clock()
    with watched(clock), clock.part("Prefect"):
        play(workspace)
    return dict(clock.seconds)


def answer(folder: Path, workspace: Path) -> None:
    from labelwise.tasks.trial import review
    from labelwise.tasks.workspace import Workspace

    review.run(Workspace.open(workspace), folder / "answers.csv", review.Manner(), lambda _line: None)


def play(workspace: Path) -> None:
    from labelwise.flows.loop import loop

    with contextlib.redirect_stderr(io.StringIO()):
        loop(str(workspace), None, 0)


@contextmanager
def watched(clock: Clock) -> Iterator[None]:
    """Clocks on everything that the loop calls outside its own files; what is left between them is Prefect's."""
    from labelwise.flows import loop, steps
    from labelwise.tasks import pull, snapshot
    from labelwise.tasks.reporting import pictures
    from labelwise.tasks.services.label_studio.project import LabelStudioProject
    from labelwise.tasks.services.mlflow import Tracking
    from labelwise.tasks.services.versions import differences
    from labelwise.tasks.services.versions.workspace import Versions

    step = steps.Steps._step

    def _step(self: Any, stage: str, do: Callable[[], Any], **options: Any) -> Any:
        """Around a stage is Prefect; within it what no other clock claims."""
        with clock.part("Prefect"):
            return step(self, stage, clock.timed("our own code and files", do), **options)

    requests = ("__init__", "create", "update", "offer", "tasks", "count", "count_between", "touched", "add", "remove")
    requests += ("answered", "tab", "tab_now", "progress", "choices", "shown", "instruct", "settle")
    runs = (
        "__init__",
        "record",
        "attach",
        "find",
        "champion",
        "crown",
        "note",
        "drop",
        "remember",
        "remembered",
        "tags",
    )
    names = {
        "Label Studio: look, push, collect": [(LabelStudioProject, name) for name in requests],
        "MLflow: promote, report": [(Tracking, name) for name in runs],
        "DVC: status and record around stages": [(Versions, "changed"), (Versions, "record")],
        "DVC: add, push, status in commits": [
            *((Versions, name) for name in ("add", "push", "uncommitted", "hashes")),
            (differences, "refuse_strange_changes"),
        ],
        "git": [(Versions, "git"), (Versions, "_git")],
        "Prefect": [(steps.Steps, "_artifact")],
        "pictures (matplotlib)": [(pictures, "pictures")],
        "checks of the labels (Great Expectations)": [(snapshot, "check_labels")],
        "pull, with nothing new": [(pull, "run")],
    }
    found = LabelStudioProject.__dict__["found"]
    with ExitStack() as stack:
        for name, places in names.items():
            for owner, attribute in places:
                stack.enter_context(patch.object(owner, attribute, clock.timed(name, getattr(owner, attribute))))
        stack.enter_context(patch.object(found, "func", clock.timed("Label Studio: look, push, collect", found.func)))
        learning = {stage: clock.timed(f"{LEARNING}{stage}", run) for stage, run in steps.REPRODUCIBLE.items()}
        stack.enter_context(patch.dict(steps.REPRODUCIBLE, learning))
        stack.enter_context(patch.object(steps.Steps, "_step", _step))
        stack.enter_context(patch.object(loop.loop, "fn", clock.timed("our own code and files", loop.loop.fn)))
        yield


def _starts(folder: Path, workspace: Path) -> tuple[pd.DataFrame, Estimate]:
    """Seconds of fresh processes, as a table; and a whole round in one, as a share of what is allowed."""
    taken: dict[str, list[float]] = {}

    def note(name: str, seconds: float) -> None:
        taken.setdefault(name, []).append(seconds)

    run = ("-m", "labelwise.flows.cli", "run", "--workspace", str(workspace), "--max-wait", "0")
    for _ in range(STARTS):
        begin = _seconds("-c", BEGIN)
        note("import of the loop (prefect, torch...)", begin)
        for module in ON_FIRST_USE:
            note(f"then, on first use, {module.split('.')[0]}", _seconds("-c", f"{BEGIN}, {module}") - begin)
        note("`labelwise run --max-wait 0`, no new answers", _seconds(*run))
        answer(folder, workspace)
        whole = "`labelwise run --max-wait 0`, all answered"
        note(whole, _seconds(*run))
    rows = pd.DataFrame({"process": list(taken), "s": [f"{Estimate(values):.1f}" for values in taken.values()]})
    return rows, Estimate([seconds / GOAL_S for seconds in taken[whole]])


def _seconds(*words: str) -> float:
    """Of a Python process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started
