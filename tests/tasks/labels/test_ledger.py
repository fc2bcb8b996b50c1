"""The ledger is only ever added to, and says what counts, what must not be asked again and what may still come."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise.tasks.errors import WorkspaceError
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import LABELS


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
    assert ledger.asks(nothing).empty
    assert ledger.last_look(nothing) is None


def said(number: int, status: str, label: str | None = None, at: str = "2026-01-01", who: str = "7") -> dict[str, Any]:
    """What became of annotation `number`; task 1, round 1, item a."""
    known = {"annotation_id": number, "status": status, "label": label, "created_at": at, "annotator": who}
    return known | {"task_id": 1, "round": 1}


@pytest.mark.parametrize(
    ("history", "counts"),
    [
        ([said(1, "labelled", "x"), said(1, "labelled", "y", "2026-01-02")], ["y"]),  # changed
        ([said(1, "labelled", "x"), said(1, "skipped", at="2026-01-02")], []),  # changed into a skip
        ([said(1, "labelled", "x"), said(1, "refused", at="2026-01-02")], []),
        ([said(1, "labelled", "x"), said(2, "skipped", at="2026-01-02")], ["x"]),  # somebody else's skip
        ([said(1, "labelled", "x"), said(1, "withdrawn", at="2026-01-02")], []),
        ([said(1, "labelled", "x"), said(2, "labelled", "y", "2026-01-02"), said(2, "withdrawn")], ["x"]),
        ([said(1, "labelled", "x"), said(1, "withdrawn"), said(2, "labelled", "y")], ["y"]),
        ([said(1, "labelled", "x"), said(1, "labelled", "y", "2026-01-02", who="8")], ["y"]),  # a number given anew
        ([said(1, "labelled", "x"), said(1, "withdrawn", who="8")], ["x"]),
    ],
)
def test_the_last_word_on_each_annotation_counts(history: list[dict[str, Any]], counts: list[str]) -> None:
    assert ledger.effective(rows(*history)).label.tolist() == counts


def test_labels_that_came_without_an_annotation_all_stand() -> None:
    imported = {"origin": "imported", "round": 0}
    given = rows({"id": "a", "label": "x", **imported}, {"id": "b", "label": "y", **imported})
    assert ledger.effective(given).label.tolist() == ["x", "y"]


# What must not be asked again


@pytest.mark.parametrize(
    ("history", "closed"),
    [
        ([("labelled", 1)], True),
        ([("skipped", 1)], False),  # back to the pool; the task may still be answered
        ([("skipped", 1), ("skipped", 2)], True),  # set aside
        ([("skipped", 1), ("skipped", 1)], False),  # two reviewers of one task
        ([("refused", 1)], False),  # as if skipped: back to the pool
        ([("refused", 1), ("skipped", 1)], False),
        ([("refused", 1), ("skipped", 2)], True),
        ([("refused", 1), ("refused", 2)], True),
        ([("refused", 1), ("labelled", 1)], True),
        ([("skipped", 1), ("labelled", 1), ("refused", 2)], True),
        ([("skipped", 1), ("labelled", 2)], True),
        ([("skipped", 1), ("unanswered", 2)], True),
        ([("unanswered", 1)], True),  # a reviewer has it before him
        ([("unanswered", 1), ("labelled", 1)], True),
        ([("unanswered", 1), ("skipped", 1)], False),
        ([("unanswered", None)], False),  # the task is gone: nobody has it before him
        ([("unanswered", None), ("labelled", 2)], True),
        ([("unanswered", 1), ("gone", 1)], False),
        ([("unanswered", 1), ("gone", 1), ("moved", 1)], True),  # somebody has put it back
        ([("labelled", 1), ("gone", 1)], True),  # its answer stays
        ([("labelled", 1), ("withdrawn", 1)], True),  # the task is open again: its reviewer is awaited
        ([("labelled", 1), ("withdrawn", 1), ("gone", 1)], False),
        ([("skipped", 1), ("unanswered", 2), ("gone", 1)], True),  # the later task is still open
    ],
)
def test_the_fate_of_an_item(history: list[tuple[str, int | None]], closed: bool) -> None:
    """Status and task; the task of round 1 is number 1, and so on."""
    other = {"id": "other", "status": "skipped", "task_id": 9}
    given = [
        {"status": status, "task_id": task, "round": task or 1, "annotation_id": (task or 1) * 10}
        | ({"annotator": "7"} if status in ("labelled", "withdrawn") else {"annotator": f"{at} of them"})
        for at, (status, task) in enumerate(history)
    ]
    assert list(ledger.closed(rows(other, *given))) == (["a"] if closed else [])


@pytest.mark.parametrize("status", ledger.NOTHING)
def test_an_item_is_set_aside_when_two_rounds_came_to_nothing(status: str) -> None:
    twice = [{"id": "twice", "status": status, "round": number} for number in (1, 2)]
    together = [{"id": "together", "status": status, "round": 3}] * 3
    answered = [{"id": "answered", "status": other, "round": at} for at, other in ((4, "unanswered"), (5, status))]
    assert list(ledger.set_aside(rows(*twice, *together, *answered))) == ["twice"]
    assert ledger.RETURNS == 1
    assert ledger.set_aside(LABELS.frame()).empty


def test_a_refused_answer_never_counts() -> None:
    given = rows(labelled("a", "x", 1), {"status": "refused", "created_at": "2026-02-01", "annotation_id": 2})
    assert ledger.effective(given).label.tolist() == ["x"]


def test_an_ask_is_an_item_in_a_round_and_its_last_row_says_how_it_stands() -> None:
    imported = {"id": "i", "origin": "imported", "round": 0}
    first = {"status": "unanswered", "task_id": 1, "round": 2, "why": "random", "propensity": 0.25}
    late = first | {"status": "labelled", "label": "x", "annotation_id": 3, "task_id": 8}
    (row,) = ledger.asks(rows(imported, first, late)).to_dict("records")
    assert row == {"id": "a", "round": 2, "why": "random", "propensity": 0.25, "task_id": 8, "status": "labelled"}


def test_the_last_look_is_told_by_the_servers_own_times() -> None:
    imported = labelled("i", "x", 1, "2026-09-09T00:00:00Z") | {"task_id": None}  # by the clock of this machine
    found = ledger.last_look(rows(imported, labelled("a", "x", 2, "2026-01-01T10:00:00.5Z"), {"task_id": 4}))
    assert found == pd.Timestamp("2026-01-01T10:00:00.5Z")
    assert ledger.last_look(rows(imported)) is None


# What reviewers did besides answering


def test_what_happened_is_counted_by_the_round_in_which_it_was_taken_in(tmp_path: Path) -> None:
    shards = [
        rows(),
        rows(said(1, "labelled", "x"), said(2, "labelled", "x", who="8"), {"id": "b", "status": "refused"}),
        rows(said(1, "labelled", "y"), said(3, "labelled", "z"), {"status": "gone"}, {"status": "moved"}),
        rows(),
        rows(said(1, "withdrawn")),
    ]
    for number, shard in enumerate(shards):
        ledger.append(tmp_path, number, shard)
    found = ledger.happened(tmp_path)
    assert found.index.tolist() == [0, 1, 2, 3, 4]
    assert found.columns.tolist() == ["changed", "repeated", "withdrawn", "refused", "gone", "moved"]
    assert found.to_numpy().tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [1, 1, 0, 0, 1, 1],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
    ]


def relabelled(*more: dict[str, Any]) -> pd.DataFrame:
    """Three items: a of the control arm, b and c of a strategy; a and b by a class that there is no more (null)."""
    chosen = [
        labelled("a", "", 1) | {"why": "control", "round": 2, "label": None},
        labelled("b", "", 2) | {"why": "uncertain", "round": 3, "label": None},
        labelled("c", "x", 3) | {"why": "uncertain", "round": 3},
    ]
    return rows(*chosen, *more)


def test_the_last_word_by_a_class_that_is_gone_leaves_no_label_and_is_asked_anew() -> None:
    seen = relabelled(labelled("b", "y", 0, "2025-01-01"))  # an earlier word does not count instead
    assert ledger.effective(seen).id.tolist() == ["c"]
    assert sorted(ledger.lapsed(seen)) == ["a", "b"] == sorted(ledger.to_relabel(seen))
    assert sorted(ledger.closed(seen)) == ["a", "b", "c"]  # no strategy, and not the control arm, asks them


def test_what_is_labelled_anew_stays_with_the_ask_that_chose_it() -> None:
    again = {"why": ledger.RELABEL, "round": 7}
    seen = relabelled(labelled("a", "y", 4, "2026-02-01") | again, labelled("b", "x", 5, "2026-02-01") | again)
    found = ledger.effective(seen).set_index("id")
    assert found.label.to_dict() == {"a": "y", "b": "x", "c": "x"}
    assert found.why.to_dict() == {"a": "control", "b": "uncertain", "c": "uncertain"}
    assert found["round"].to_dict() == {"a": 2, "b": 3, "c": 3}
    assert ledger.to_relabel(seen).empty


def test_nobody_is_asked_twice_at_once_to_label_an_item_anew() -> None:
    again = {"why": ledger.RELABEL, "round": 7, "task_id": 9, "annotation_id": None, "label": None}
    waiting = relabelled({"id": "a", "status": "unanswered"} | again)
    assert ledger.to_relabel(waiting).tolist() == ["b"]
    skips = [{"id": "a", "status": "skipped"} | again | {"annotation_id": n, "round": n} for n in (7, 8)]
    assert sorted(ledger.to_relabel(relabelled(*skips[:1]))) == ["a", "b"]
    assert ledger.to_relabel(relabelled(*skips)).tolist() == ["b"]
