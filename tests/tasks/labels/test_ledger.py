"""The ledger is only ever added to, and says what counts, what must not be asked again and what may still come."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import WorkspaceError
from tasks.labels import ledger
from tasks.records import LABELS


def rows(*given: dict[str, Any]) -> pd.DataFrame:
    """Ledger rows; what is not given is as usual."""
    usual: dict[str, Any] = dict.fromkeys(LABELS.columns) | {"id": "a", "status": "labelled", "round": 1}
    return LABELS.conform(pd.DataFrame([usual | row for row in given], columns=list(LABELS.columns)))


def labelled(item: str, label: str, number: int, at: str = "2026-01-01") -> dict[str, Any]:
    return {"id": item, "label": label, "annotation_id": number, "task_id": number, "created_at": at}


# Shards


def test_rows_come_back_in_the_order_and_types_in_which_they_came(tmp_path: Path) -> None:
    shards = [LABELS.frame(), rows(labelled("b", "x", 1)), rows(labelled("a", "y", 2), {"status": "skipped"})]
    for number, shard in enumerate(shards):
        ledger.append(tmp_path, number, shard)
    assert ledger.current_round(tmp_path) == 2
    pd.testing.assert_frame_equal(
        ledger.read(tmp_path), rows(labelled("b", "x", 1), labelled("a", "y", 2), {"status": "skipped"})
    )


def test_a_round_is_never_written_twice(tmp_path: Path) -> None:
    ledger.append(tmp_path, 0, rows(labelled("a", "x", 1)))
    with pytest.raises(FileExistsError):
        ledger.append(tmp_path, 0, LABELS.frame())
    assert len(ledger.read(tmp_path)) == 1


@pytest.mark.parametrize("there", [[], [1], [0, 2], [0, 1, 3]])
def test_a_shard_that_is_missing_stops_everything(tmp_path: Path, there: list[int]) -> None:
    for number in there:
        ledger.append(tmp_path, number, LABELS.frame())
    with pytest.raises(WorkspaceError, match="lacks a round"):
        ledger.read(tmp_path)


def test_other_files_are_no_rounds(tmp_path: Path) -> None:
    ledger.append(tmp_path, 0, LABELS.frame())
    for name in (".round-0001.parquet.17.part", "round-1.parquet", "round-0001.parquet.bak"):
        (tmp_path / name).touch()
    assert ledger.current_round(tmp_path) == 0


# What counts


ANSWERS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.sampled_from(["2026-01-01", "2026-01-02"])),
    min_size=1,
    max_size=12,
)


@given(answers=ANSWERS, arrival=st.randoms(use_true_random=False))
def test_the_latest_answer_counts_in_whatever_order_they_arrive(
    answers: list[tuple[str, str, str]], arrival: Any
) -> None:
    given = [labelled(item, label, number, at) for number, (item, label, at) in enumerate(answers)]
    latest: dict[str, tuple[str, int, str]] = {}
    for number, (item, label, at) in enumerate(answers):
        latest[item] = max(latest.get(item, ("", 0, "")), (at, number, label))
    arrival.shuffle(given)

    counts = ledger.effective(rows(*given))

    assert counts.id.tolist() == sorted(latest)
    assert dict(zip(counts.id, counts.label, strict=True)) == {item: label for item, (_, _, label) in latest.items()}


def test_a_later_skip_takes_no_label_back() -> None:
    given = rows(labelled("a", "x", 1), {"status": "skipped", "created_at": "2026-02-01", "annotation_id": 2})
    assert ledger.effective(given).label.tolist() == ["x"]


def test_an_empty_ledger() -> None:
    nothing = LABELS.frame()
    assert ledger.effective(nothing).empty
    assert ledger.closed(nothing).empty
    assert ledger.awaited(nothing).empty


# What must not be asked again, and what may still come


@pytest.mark.parametrize(
    ("history", "closed", "awaited"),
    [
        ([("labelled", 1)], True, []),
        ([("skipped", 1)], False, [1]),  # back to the pool; the task may still be answered
        ([("skipped", 1), ("skipped", 2)], True, [1, 2]),  # set aside
        ([("skipped", 1), ("skipped", 1)], False, [1]),  # two reviewers of one task
        ([("refused", 1)], False, [1]),  # as if skipped: back to the pool
        ([("refused", 1), ("skipped", 1)], False, [1]),
        ([("refused", 1), ("skipped", 2)], True, [1, 2]),
        ([("refused", 1), ("refused", 2)], True, [1, 2]),
        ([("refused", 1), ("labelled", 1)], True, []),
        ([("skipped", 1), ("labelled", 1), ("refused", 2)], True, [2]),
        ([("skipped", 1), ("labelled", 2)], True, [1]),
        ([("skipped", 1), ("unanswered", 2)], True, [1, 2]),
        ([("unanswered", 1)], True, [1]),  # a reviewer has it before him
        ([("unanswered", 1), ("labelled", 1)], True, []),
        ([("unanswered", 1), ("skipped", 1)], False, [1]),
        ([("unanswered", None)], False, []),  # the task is gone: nobody has it before him
        ([("unanswered", None), ("labelled", 2)], True, []),
    ],
)
def test_the_fate_of_an_item(history: list[tuple[str, int | None]], closed: bool, awaited: list[int]) -> None:
    other = {"id": "other", "status": "skipped", "task_id": 9}
    given = [{"status": status, "task_id": task, "round": at} for at, (status, task) in enumerate(history)]
    seen = rows(other, *given)
    assert list(ledger.closed(seen)) == (["a"] if closed else [])
    waiting = ledger.awaited(seen)
    assert sorted(waiting.task_id[waiting.id == "a"]) == awaited


@pytest.mark.parametrize("status", ledger.NOTHING)
def test_an_item_is_set_aside_when_two_tasks_came_to_nothing(status: str) -> None:
    twice = [{"id": "twice", "status": status, "task_id": number} for number in (1, 2)]
    together = [{"id": "together", "status": status, "task_id": 3}] * 3
    answered = [{"id": "answered", "status": other, "task_id": at} for at, other in ((4, "unanswered"), (5, status))]
    assert list(ledger.set_aside(rows(*twice, *together, *answered))) == ["twice"]
    assert ledger.RETURNS == 1
    assert ledger.set_aside(LABELS.frame()).empty


def test_a_refused_answer_never_counts() -> None:
    given = rows(labelled("a", "x", 1), {"status": "refused", "created_at": "2026-02-01", "annotation_id": 2})
    assert ledger.effective(given).label.tolist() == ["x"]


def test_what_is_awaited_keeps_the_round_in_which_it_was_asked() -> None:
    seen = rows({"status": "unanswered", "task_id": 1, "round": 2, "why": "random", "propensity": 0.25})
    (row,) = ledger.awaited(seen).to_dict("records")
    assert (row["round"], row["why"], row["propensity"]) == (2, "random", 0.25)
