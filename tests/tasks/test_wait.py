"""Stage `wait`: when a batch is complete, and when the looking ends."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labelwise.tasks.services.label_studio.project import BatchProgress
from labelwise.tasks.settings import Wait
from labelwise.tasks.wait import Waited, complete, wait

ASKED = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUICK: dict[str, Any] = {"poll_seconds": [0.0001, 0.001]}


@pytest.mark.parametrize(
    ("total", "answered", "quorum", "deadline", "hours", "expected"),
    [
        (10, 10, 1.0, None, 0, True),
        (10, 9, 1.0, None, 9999, False),
        (10, 8, 0.8, None, 0, True),
        (10, 7, 0.8, None, 0, False),
        (1, 0, 0.01, None, 0, False),
        (10, 1, 1.0, 24.0, 23.9, False),
        (10, 1, 1.0, 24.0, 24, True),
        (10, 0, 1.0, 24.0, 999, False),  # nobody came: there is nothing to learn from
        (10, 10, 1.0, 24.0, 0, True),
        (0, 0, 1.0, 24.0, 999, False),  # every task was deleted
    ],
)
def test_when_the_loop_may_go_on(
    total: int, answered: int, quorum: float, deadline: float | None, hours: float, expected: bool
) -> None:
    settings = Wait(quorum=quorum, deadline_hours=deadline)
    assert complete(BatchProgress(total, answered), settings, ASKED, ASKED + timedelta(hours=hours)) is expected


def test_the_deadline_is_the_same_moment_in_every_time_zone() -> None:
    settings = Wait(deadline_hours=1)
    there = (ASKED + timedelta(minutes=59)).astimezone(timezone(timedelta(hours=9)))
    assert not complete(BatchProgress(2, 1), settings, ASKED, there)
    assert complete(BatchProgress(2, 1), settings, ASKED, there + timedelta(minutes=1))


@given(percent=st.integers(1, 100), total=st.integers(1, 400))
@example(percent=55, total=100)  # 0.55 * 100 is a little more than 55
def test_a_quorum_in_percent_is_met_by_exactly_that_share(percent: int, total: int) -> None:
    settings = Wait(quorum=percent / 100)
    needed = next(n for n in range(total + 1) if 100 * n >= percent * total)
    assert complete(BatchProgress(total, needed), settings, ASKED, ASKED)
    assert not complete(BatchProgress(total, needed - 1), settings, ASKED, ASKED)


class Project:
    """A batch of 4, `total` of them still there, answered as told, look by look; after the last it stays as it is."""

    def __init__(self, *answered: int, total: int = 4) -> None:
        self._answered: Iterator[int] = iter(answered)
        self._last = 0
        self._total = total
        self.anew: list[int] = []

    def ask_anew(self, missing: int) -> None:
        self.anew.append(missing)
        self._total += missing

    def progress(self, _round_number: int) -> BatchProgress:
        self._last = next(self._answered, self._last)
        return BatchProgress(self._total, self._last)


def looks(project: Project, max_wait: float | None, **settings: Any) -> tuple[Waited, list[int]]:
    """What waiting came to, and what each look saw."""
    seen: list[int] = []
    answers = wait(
        project,  # type: ignore[arg-type]
        1,
        4,
        Wait(**QUICK | settings),
        ASKED,
        max_wait,
        lambda progress: seen.append(progress.answered),
        project.ask_anew,
    )
    return answers, seen


def test_without_patience_there_is_one_look() -> None:
    answers, seen = looks(Project(1, 4), max_wait=0)
    assert answers == Waited(BatchProgress(4, 1), complete=False)
    assert seen == [1]
    assert str(answers) == "1 of 4 answered, waiting for 3"


def test_skips_are_said_apart() -> None:
    assert str(Waited(BatchProgress(4, 3, skipped=2), complete=False)) == "1 of 4 answered, 2 skipped, waiting for 1"


def test_one_look_is_enough_for_a_batch_that_is_complete() -> None:
    answers, seen = looks(Project(4), max_wait=0)
    assert answers.complete
    assert str(answers) == "4 of 4 answered"
    assert seen == [4]


def test_waiting_ends_with_the_look_that_finds_the_batch_complete() -> None:
    answers, seen = looks(Project(0, 0, 1, 1, 3, 4, 4), max_wait=None)
    assert answers.complete
    assert seen == [0, 0, 1, 1, 3, 4]


def test_waiting_ends_with_patience() -> None:
    answers, seen = looks(Project(1), max_wait=0.01)
    assert answers == Waited(BatchProgress(4, 1), complete=False)
    assert len(seen) > 1


def test_waiting_ends_with_the_deadline_that_is_past() -> None:
    answers, seen = looks(Project(0, 0, 1), max_wait=None, deadline_hours=1.0)
    assert answers == Waited(BatchProgress(4, 1), complete=True)
    assert seen == [0, 0, 1]


@pytest.mark.parametrize(("answered", "left"), [(2, 3), (3, 3), (0, 0)])  # what is left is answered: not complete
def test_tasks_that_somebody_deleted_are_asked_anew(answered: int, left: int) -> None:
    project = Project(answered, total=left)
    answers, _ = looks(project, max_wait=0)
    assert answers == Waited(BatchProgress(4, answered), complete=False)
    assert project.anew == [4 - left]


def test_waiting_goes_on_after_tasks_were_asked_anew() -> None:
    project = Project(1, 2, 4, total=3)
    answers, _ = looks(project, max_wait=None)
    assert answers.complete
    assert project.anew == [1]


def test_doubles_are_no_loss() -> None:
    answers, _ = looks(Project(5, total=5), max_wait=0)
    assert answers == Waited(BatchProgress(5, 5), complete=True)
