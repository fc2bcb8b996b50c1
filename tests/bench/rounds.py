"""What a round costs beyond learning and waiting: by part, on a pool of 10,000 items; and what several labels cost
beside one, on a pool of 50,000."""

import contextlib
import io
import json
import re
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
from labelwise.tasks.learners.encoder import Encoder
from labelwise.tasks.settings import Columns, Kind
from tests.bench.figures import Estimate, Ratio, snippets, table, verdict

POOL, GOLD, WORDS, BATCH, ROUNDS, SEED = 10_000, 400, 12, 25, 5, 0
GOAL_S = 8.0
LEARNING = "learning: "  # and the stage
LABELS, LARGE_POOL, SHORT, LARGE_GOAL = 28, 50_000, 8, 1.3  # SHORT: words of a text
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
    workspace = _workspace(folder, snippets(POOL, WORDS, False, SEED), snippets(GOLD, WORDS, True, SEED))
    _play(workspace)
    rounds = pd.DataFrame([_round(folder, workspace) for _ in range(ROUNDS + 1)]).fillna(0.0)[1:]
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
    starts, whole = _starts(folder, workspace)
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


def bench_kinds(folder: Path) -> str:
    """The same rounds of a choice and of a multilabel, in turn: the same texts, as many classes."""
    with patch.object(Encoder, "encode", _encode):
        return _bench_kinds(folder)


def _encode(self: Encoder, texts: list[str], progress: Callable[[int], None] = lambda _done: None) -> Vectors:
    """The means of what the encoder knows of each token by itself: made in seconds, and none of them count."""
    known = self.model.get_input_embeddings().weight.detach().numpy()
    if not texts:
        return np.empty((0, known.shape[1]), dtype=np.float32)
    vectors = np.array([known[ids].mean(axis=0) for ids in self._tokens(texts)], np.float32).reshape(-1, known.shape[1])
    progress(len(texts))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _bench_kinds(folder: Path) -> str:
    pool, gold = (snippets(count, SHORT, own, SEED) for count, own in ((LARGE_POOL, False), (GOLD, True)))
    words = _frequent(pool.text, LABELS)
    workspaces, rounds = {}, {}
    for answer in ("choice", "multilabel"):
        (folder / answer).mkdir()
        kind = Kind(answer=answer)
        labelled = [rows.assign(label=_labels(rows.text, words, answer)) for rows in (pool, gold)]
        workspaces[answer] = _workspace(folder / answer, *labelled, kind=kind, classes=words)
        settings.change(workspaces[answer] / "params.yaml", {"train.learner": "frozen"})  # what learns is not counted
        _play(workspaces[answer])
        rounds[answer] = [_round(folder / answer, workspaces[answer])]  # which pays for what is imported on first use
    for _ in range(ROUNDS):
        for answer, workspace in workspaces.items():
            rounds[answer].append(_round(folder / answer, workspace))
    parts = sorted({part for played in rounds.values() for each in played for part in each}, key=_learning_last)
    choice, several = (pd.DataFrame(rounds[answer], columns=parts).fillna(0.0)[1:] for answer in workspaces)
    sums = {part: (choice[part], several[part]) for part in parts}
    beyond = [each[[part for part in each if not part.startswith(LEARNING)]].sum(axis=1) for each in (choice, several)]
    sums["**beyond learning**"] = beyond[0], beyond[1]
    rows = pd.DataFrame(
        {
            "part": list(sums),
            "choice, s a round": [f"{Estimate(one.tolist()):.2f}" for one, _ in sums.values()],
            "multilabel, s a round": [f"{Estimate(other.tolist()):.2f}" for _, other in sums.values()],
        }
    )
    ratio = Ratio(beyond[1].tolist(), beyond[0].tolist())
    return f"""## What several labels cost beside one

A pool of {LARGE_POOL:,} snippets of {SHORT} words, a gold set of {GOLD}, {LABELS} classes, batches of {BATCH}, seed
{SEED}: once as a choice, once as a multilabel, in one process and in turn. The labels are made of the texts: a class is
one of the {LABELS} most frequent words of five letters and more, a text has those that it holds (choice: the first of
them, for a text without one the first of all). {ROUNDS} rounds of each after one that does not count, as above; the
stages that learn (learner `frozen`, vectors that are quickly made) are shown, and are not counted.

{table(rows)}

- **a round beyond learning: {ratio:.2f} times that of choice**, goal at most {LARGE_GOAL}: {verdict(ratio, LARGE_GOAL)}
"""


def _learning_last(part: str) -> tuple[bool, str]:
    return part.startswith(LEARNING), part


def _frequent(texts: pd.Series, count: int) -> list[str]:
    """The most frequent words that say something, by their length, in order of the alphabet."""
    held = Counter(word for text in texts for word in _words(text))
    return sorted(word for word, _ in held.most_common(count))


def _labels(texts: pd.Series, classes: list[str], answer: str) -> list[str]:
    found = [[name for name in classes if name in _words(text)] for text in texts]
    return [json.dumps(names) if answer == "multilabel" else (names or classes)[0] for names in found]


def _words(text: str) -> set[str]:
    return set(re.findall("[a-z]{5,}", text.lower()))


def _workspace(
    folder: Path, pool: pd.DataFrame, gold: pd.DataFrame, kind: Kind | None = None, classes: list[str] | None = None
) -> Path:
    """A workspace beside the files that it is made of. pool, gold: columns text, label."""
    from labelwise.tasks.upkeep import init

    pool[["text"]].to_csv(folder / "pool.csv", index=False)
    pool.to_csv(folder / "answers.csv", index=False)
    gold.to_csv(folder / "gold.csv", index=False)
    root = folder / "workspace"
    sources = str(folder / "pool.csv"), str(folder / "gold.csv")
    init.run(root, *sources, classes, f"bench {folder.name}", None, Columns(), kind=kind or Kind())
    settings.change(root / "params.yaml", {"select.batch": BATCH, "seed": SEED})
    return root


def _round(folder: Path, workspace: Path) -> dict[str, float]:
    """Answer the open batch, off the clock; then play a round, on it."""
    _answer(folder, workspace)
    clock = Clock()
    with watched(clock), clock.part("Prefect"):
        _play(workspace)
    return dict(clock.seconds)


def _answer(folder: Path, workspace: Path) -> None:
    from labelwise.tasks.trial import review
    from labelwise.tasks.workspace import Workspace

    review.run(Workspace.open(workspace), folder / "answers.csv", review.Manner(), lambda _line: None)


def _play(workspace: Path) -> None:
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
        _answer(folder, workspace)
        whole = "`labelwise run --max-wait 0`, all answered"
        note(whole, _seconds(*run))
    rows = pd.DataFrame({"process": list(taken), "s": [f"{Estimate(values):.1f}" for values in taken.values()]})
    return rows, Estimate([seconds / GOAL_S for seconds in taken[whole]])


def _seconds(*words: str) -> float:
    """Of a Python process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started
