"""What a round costs beyond learning and waiting, by part, on a pool of 10,000 items."""

import contextlib
import io
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from tests.bench.figures import Estimate, snippets, table, verdict

POOL, GOLD, WORDS, BATCH, ROUNDS, SEED = 10_000, 400, 12, 25, 6, 0
GOAL_S = 8.0
LEARNING, WAITING = "learning", "waiting"
STARTS = 3
IMPORTS = {
    "an empty Python": "pass",
    "+ `labelwise run` up to its first stage (flows.loop, prefect, torch...)": "import flows.loop",
    "+ on first use: mlflow": "import flows.loop, mlflow, mlflow.pyfunc",
    "+ on first use: dvc": "import flows.loop, dvc.repo",
    "+ on first use: great_expectations": "import flows.loop, great_expectations",
    "+ on first use: label_studio_sdk": "import flows.loop, label_studio_sdk",
}


class Clock:
    """Seconds by part. A part that runs within another is taken from it, so that the parts add up to the whole."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What happens in here belongs to `name`."""
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
    workspace = _workspace(folder)
    _play(workspace)
    rounds = pd.DataFrame([_round(folder, workspace) for _ in range(ROUNDS)]).fillna(0.0)
    beyond = rounds.drop(columns=[LEARNING, WAITING], errors="ignore")
    first, later = beyond.iloc[0], beyond.iloc[1:]
    share = Estimate((later.sum(axis=1) / GOAL_S).tolist())
    ordered = later.mean().sort_values(ascending=False).index
    parts = pd.DataFrame(
        {
            "part": [*ordered, "**sum**"],
            "s a round": [*(f"{Estimate(later[name].tolist()):.2f}" for name in ordered), f"{_sum(later):.2f}"],
            "first in a process, s": [*(f"{first[name]:.2f}" for name in ordered), f"{first.sum():.2f}"],
        }
    )
    return f"""## What a round costs beyond learning and waiting

A pool of {POOL:,} snippets of {WORDS} words, a gold set of {GOLD}, batches of {BATCH}, seed {SEED}. One process plays
round 0 (which encodes the pool) and {ROUNDS} rounds; each is one call of `flows.loop.loop` that checks, finds the batch
and its answers, keeps them, learns, and asks the next batch. The first of them pays for imports on first use and stands
apart; {len(later)} others make the figures. Every second between call and return is in a row; what a part calls of
another part counts there. Left out: {Estimate(rounds[LEARNING].iloc[1:].tolist()):.2f} s of learning (embed, train,
evaluate, score, select).

{table(parts)}

- **{share:.2f} of the {GOAL_S:.0f} s allowed**: {verdict(share)}

A process of its own for every round, as a schedule starts it, pays on top (each line with all it imports, {STARTS}
starts):

{table(_starts(workspace))}
"""


def _sum(rows: pd.DataFrame) -> Estimate:
    return Estimate(rows.sum(axis=1).tolist())


def _workspace(folder: Path) -> Path:
    from tasks import init, settings
    from tasks.settings import Columns

    rows = snippets(POOL, WORDS, False, SEED)
    rows[["text"]].to_csv(folder / "pool.csv", index=False)
    rows.to_csv(folder / "answers.csv", index=False)
    snippets(GOLD, WORDS, True, SEED).to_csv(folder / "gold.csv", index=False)
    root = folder / "workspace"
    init.run(root, str(folder / "pool.csv"), str(folder / "gold.csv"), None, "bench", None, Columns())
    settings.change(root / "params.yaml", {"select.batch": BATCH, "seed": SEED})
    return root


def _round(folder: Path, workspace: Path) -> dict[str, float]:
    """Answer the open batch, off the clock; then play a round, on it."""
    from tasks import review
    from tasks.workspace import Workspace

    review.run(Workspace.open(workspace), folder / "answers.csv", review.Manner(), lambda _line: None)
    clock = Clock()
    with watched(clock), clock.part("Prefect"):
        _play(workspace)
    return dict(clock.seconds)


def _play(workspace: Path) -> None:
    from flows.loop import loop

    with contextlib.redirect_stderr(io.StringIO()):
        loop(str(workspace), None, 0)


@contextmanager
def watched(clock: Clock) -> Iterator[None]:
    """Clocks on everything that the loop calls outside its own files; what is left between them is Prefect's."""
    from flows import loop, steps
    from tasks import pull, report, snapshot, wait
    from tasks.services.dvc import Versions
    from tasks.services.label_studio import LabelStudioProject
    from tasks.services.mlflow import Tracking

    step = steps.Steps._step

    def _step(self: Any, stage: str, do: Callable[[], Any], outside: bool = False) -> Any:
        """Around a stage is Prefect; within it what no other clock claims."""
        with clock.part("Prefect"):
            return step(self, stage, clock.timed("our own code and files", do), outside)

    requests = ("__init__", "create", "update", "tasks", "count", "add", "remove", "answered", "tab", "progress")
    runs = ("__init__", "record", "attach", "find", "champion", "crown", "note")
    names = {
        "Label Studio: look, push, collect": [(LabelStudioProject, name) for name in requests],
        "MLflow: promote, report": [(Tracking, name) for name in runs],
        "DVC: status and record around stages": [(Versions, "changed"), (Versions, "record")],
        "DVC: add, push, status in commits": [
            (Versions, name) for name in ("add", "push", "uncommitted", "refuse_strange_changes", "hashes")
        ],
        "git": [(Versions, "git"), (Versions, "_identity")],
        "pictures (matplotlib)": [(report, "pictures")],
        "checks of the labels (Great Expectations)": [(snapshot, "check_labels")],
        "pull, with nothing new": [(pull, "run")],
        WAITING: [(wait.time, "sleep")],
    }
    found = LabelStudioProject.__dict__["found"]
    with ExitStack() as stack:
        for name, places in names.items():
            for owner, attribute in places:
                stack.enter_context(patch.object(owner, attribute, clock_of(clock, name, owner, attribute)))
        stack.enter_context(patch.object(found, "func", clock.timed("Label Studio: look, push, collect", found.func)))
        learning = {stage: clock.timed(LEARNING, run) for stage, run in steps.REPRODUCIBLE.items()}
        stack.enter_context(patch.dict(steps.REPRODUCIBLE, learning))
        stack.enter_context(patch.object(steps.Steps, "_step", _step))
        stack.enter_context(patch.object(steps.Steps, "_artifact", clock_of(clock, "Prefect", steps.Steps, "_artifact")))
        stack.enter_context(patch.object(loop.loop, "fn", clock.timed("our own code and files", loop.loop.fn)))
        yield


def clock_of(clock: Clock, name: str, owner: Any, attribute: str) -> Callable[..., Any]:
    """The function at this place, on the clock."""
    return clock.timed(name, getattr(owner, attribute))


def _starts(workspace: Path) -> pd.DataFrame:
    """Seconds of fresh processes."""
    idle = [sys.executable, "-m", "flows.cli", "run", "--workspace", str(workspace), "--max-wait", "0"]
    commands = {name: [sys.executable, "-c", code] for name, code in IMPORTS.items()}
    commands["`labelwise run --max-wait 0`, nobody has answered yet: the whole command"] = idle
    quiet = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(STARTS):
        for name, command in commands.items():
            started = time.perf_counter()
            quiet(command)
            taken[name].append(time.perf_counter() - started)
    return pd.DataFrame({"process": list(taken), "s": [f"{Estimate(values):.1f}" for values in taken.values()]})
