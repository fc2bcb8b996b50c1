"""Stage `wait`: look, cheaply, until the reviewers have answered enough of the batch, or until time is up."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from labelwise.tasks.labels import ledger
from labelwise.tasks.records import tag
from labelwise.tasks.services.label_studio.project import BatchProgress, LabelStudioProject, open_project
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Settings, Wait
from labelwise.tasks.workspace import Workspace, read_parquet

SLOWER = 1.5  # each look without news is followed by a pause this much longer


@dataclass(frozen=True)
class Waited:
    """What the last look found. `complete`: the loop may go on. `stopped`: a person said that it should end."""

    seen: BatchProgress
    complete: bool
    stopped: bool = False

    def __str__(self) -> str:
        left = self.seen.total - self.seen.answered
        if self.stopped:
            return f"stopped, as you said, with {self.seen} (`labelwise go-on` takes it up again)"
        return f"{self.seen}, waiting for {left}" if left else str(self.seen)


def complete(progress: BatchProgress, settings: Wait, asked_at: datetime, now: datetime) -> bool:
    """Whether the loop may go on: the quorum is reached, or the deadline has passed and somebody has answered."""
    if progress.total == 0:
        return False
    if progress.answered / progress.total >= settings.quorum:  # a product would round: 0.55 * 100 > 55
        return True
    late = settings.deadline_hours is not None and now >= asked_at + timedelta(hours=settings.deadline_hours)
    return late and progress.answered > 0


def rules(settings: Settings) -> Wait:
    """When a batch is complete. One that finishes the pool is when all of it is answered: what is not counts as wrong,
    or has no label."""
    if settings.select.finish is None:
        return settings.wait
    return settings.wait.model_copy(update={"quorum": 1.0, "deadline_hours": None})


def due(workspace: Workspace, versions: Versions) -> bool:
    """Whether the loop would do more now than say for whom it waits. Two cheap requests; when in doubt, yes."""
    number = ledger.current_round(workspace.labels)
    if not versions.tagged(tag(number)):
        return True
    size = len(read_parquet(workspace.batch, columns=["id"]))
    project = open_project(workspace.settings)
    if size == 0 or project.found is None:
        return True
    progress = project.progress(number + 1)
    asked_at = versions.committed_at(tag(number))
    now = datetime.now(asked_at.tzinfo)
    return progress.total < size or complete(progress, rules(workspace.settings), asked_at, now)


def wait(
    project: LabelStudioProject,
    round_number: int,
    size: int,
    settings: Wait,
    asked_at: datetime,
    max_wait: float | None,
    tell: Callable[[BatchProgress], None],
    ask_anew: Callable[[int], object],
    told_to_stop: Callable[[], bool] = lambda: False,
) -> Waited:
    """Look until the batch is complete, or for `max_wait` seconds (None: forever; 0: one look).

    `tell` is called after each look, `ask_anew` where tasks of the batch have been deleted, with their number, and
    `told_to_stop` after each look that found the batch open. size: of the batch. asked_at: when it was committed, with
    its time zone.
    """
    pause, longest = settings.poll_seconds
    first_pause = pause
    end = None if max_wait is None else time.monotonic() + max_wait
    before = -1
    while True:
        progress = project.progress(round_number)
        tell(progress)
        if progress.total < size:
            ask_anew(size - progress.total)
            progress = project.progress(round_number)
        done = complete(progress, settings, asked_at, datetime.now(asked_at.tzinfo))
        if done or (end is not None and time.monotonic() >= end):
            return Waited(progress, done)
        if told_to_stop():
            return Waited(progress, complete=False, stopped=True)
        pause = first_pause if progress.answered != before else min(longest, pause * SLOWER)
        before = progress.answered
        time.sleep(pause if end is None else max(0.0, min(pause, end - time.monotonic())))
