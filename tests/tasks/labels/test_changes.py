"""What people do in Label Studio, as rows of the ledger: each of their deeds once, and nothing that nobody did."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.tasks.labels import ledger
from labelwise.tasks.labels.changes import gone, news, short
from labelwise.tasks.records import LABELS

Row = dict[str, Any]
AT = "2026-01-02T00:00:00.000000Z"
HOME, NEW = 1, 9  # numbers of tasks that ask item a in round 1


def row(number: int, label: str | None, who: str = "7", task: int = HOME, **others: Any) -> Row:
    """An annotation, as the ledger has it."""
    status = "labelled" if label else "skipped"
    asked = {"id": "a", "round": 1, "why": "control", "propensity": 0.5, "origin": "asked", "task_id": task}
    given = {"annotation_id": number, "label": label, "status": status, "annotator": who, "created_at": "2026-01-01"}
    return dict.fromkeys(LABELS.columns) | asked | given | {"lead_time_s": 4.0} | others


def table(*rows: Row) -> pd.DataFrame:
    return LABELS.conform(pd.DataFrame(list(rows), columns=list(LABELS.columns)))


def said(*rows: Row) -> pd.DataFrame:
    """The same as a look finds it; `import_id` is the number that it was imported from."""
    return table(*rows).assign(import_id=pd.array([each.get("import_id") for each in rows], dtype="Int64"))


def seen(*tasks: int) -> pd.DataFrame:
    rows = [{"id": "a", "round": 1, "task_id": task, "updated_at": AT} for task in tasks]
    return pd.DataFrame(rows, columns=["id", "round", "task_id", "updated_at"])


def found(known: pd.DataFrame, now: pd.DataFrame, *tasks: int) -> list[tuple[Any, ...]]:
    """The news as (status, label, annotation, task)."""
    new = news(known, now, seen(*tasks))
    assert new.dtypes.astype(str).to_dict() == LABELS.columns
    cells = new[["status", "label", "annotation_id", "task_id"]].astype(object)
    return [tuple(each) for each in cells.where(cells.notna(), None).to_numpy().tolist()]


KNOWN = table(row(1, "x"))


def test_what_is_known_is_no_news() -> None:
    assert found(KNOWN, said(row(1, "x")), HOME) == []
    assert found(KNOWN, said(row(1, "x", created_at="2026-05-05")), HOME) == []  # saved again, the same


def test_a_changed_answer_is_a_later_row_of_the_same_annotation() -> None:
    assert found(KNOWN, said(row(1, "y")), HOME) == [("labelled", "y", 1, HOME)]
    assert found(KNOWN, said(row(1, None)), HOME) == [("skipped", None, 1, HOME)]
    both = table(row(1, "x"), row(1, "y"))
    assert found(both, said(row(1, "y")), HOME) == []
    assert found(both, said(row(1, "x")), HOME) == [("labelled", "x", 1, HOME)]  # and back


def test_a_deleted_answer_is_a_row_that_withdraws_it_once() -> None:
    (new,) = news(KNOWN, said(), seen(HOME)).to_dict("records")
    kept = ("id", "round", "why", "propensity", "annotator", "annotation_id", "task_id", "lead_time_s")
    assert {name: new[name] for name in kept} == {name: row(1, "x")[name] for name in kept}
    assert (new["status"], new["created_at"]) == ("withdrawn", AT)
    assert pd.isna(new["label"])
    withdrawn = table(row(1, "x"), row(1, None, status="withdrawn"))
    assert found(withdrawn, said(), HOME) == []
    assert found(withdrawn, said(row(2, "x")), HOME) == [("labelled", "x", 2, HOME)]  # given again


def test_one_of_two_answers_is_deleted() -> None:
    both = table(row(1, "x"), row(2, "y", who="8"))
    assert found(both, said(row(2, "y", who="8")), HOME) == [("withdrawn", None, 1, HOME)]


def test_two_people_are_two_rows_and_the_same_from_one_person_is_one() -> None:
    nothing = table()
    pair = said(row(1, "x"), row(2, "x", who="8"))
    assert [each[2] for each in found(nothing, pair, HOME)] == [1, 2]
    assert [each[2] for each in found(nothing, said(row(1, "x"), row(2, "x")), HOME)] == [1]
    assert found(KNOWN, said(row(1, "x"), row(2, "x")), HOME) == []
    assert found(KNOWN, said(row(1, "x"), row(2, "y")), HOME) == [("labelled", "y", 2, HOME)]  # another word of theirs


def test_when_one_of_two_alike_is_deleted_the_other_stands() -> None:
    assert found(KNOWN, said(row(2, "x")), HOME) == []


def test_what_was_said_twice_and_then_changed_once() -> None:
    assert found(KNOWN, said(row(1, "y"), row(2, "x")), HOME) == [
        ("labelled", "y", 1, HOME),
        ("labelled", "x", 2, HOME),
    ]


def test_a_deleted_account_leaves_its_answers() -> None:
    assert found(KNOWN, said(row(1, "x", who=ledger.NOBODY)), HOME) == []


# Imported again


@pytest.mark.parametrize("who", ["7", "1"], ids=["the same person", "whoever imported it"])
def test_a_project_imported_again_brings_no_answer_twice(who: str) -> None:
    again = said(row(5, "x", who=who, task=NEW, import_id=1))
    assert found(KNOWN, again, NEW) == [("moved", None, None, NEW)]


def test_without_the_old_numbers_the_person_and_the_answer_tell() -> None:
    assert found(KNOWN, said(row(5, "x", task=NEW)), NEW) == [("moved", None, None, NEW)]


MOVED = table(row(1, "x"), row(1, None, task=NEW) | {"status": "moved", "annotation_id": None, "annotator": None})


def test_after_it_was_imported_again_life_goes_on() -> None:
    assert found(MOVED, said(row(5, "x", task=NEW, import_id=1)), NEW) == []
    assert found(MOVED, said(row(5, "y", task=NEW, import_id=1)), NEW) == [("labelled", "y", 5, NEW)]
    assert found(MOVED, said(), NEW) == [("withdrawn", None, 1, NEW)]
    changed = pd.concat([MOVED, table(row(5, "y", task=NEW))], ignore_index=True)
    assert found(changed, said(row(5, "y", task=NEW, import_id=1)), NEW) == []
    assert [each[:3] for each in found(changed, said(), NEW)] == [("withdrawn", None, 1), ("withdrawn", None, 5)]


def test_a_number_that_label_studio_gave_again_is_another_annotation() -> None:
    """Two answers were imported again; what was annotation 1 of one person is now annotation 1 of the other."""
    known = table(row(1, "x"), row(2, "y", who="8"))
    again = said(row(1, "y", who="8", task=NEW, import_id=2), row(3, "x", task=NEW, import_id=1))
    assert found(known, again, NEW) == [("moved", None, None, NEW)]


def test_a_task_made_anew_without_its_answers_takes_none_back() -> None:
    assert found(KNOWN, said(), NEW) == []
    assert found(KNOWN, said(row(5, "y", who="8", task=NEW)), NEW) == [("labelled", "y", 5, NEW)]


def test_a_copy_beside_its_original() -> None:
    both = said(row(1, "x"), row(5, "x", task=NEW, import_id=1))
    assert found(KNOWN, both, NEW) == [("moved", None, None, NEW)]
    assert found(MOVED, said(row(1, "x")), NEW) == []  # deleted in the copy alone: it still stands in the original
    assert found(MOVED, said(row(5, "x", task=NEW, import_id=1)), HOME, NEW) == []
    assert found(MOVED, said(), HOME, NEW) == [("withdrawn", None, 1, NEW)]


def test_a_task_that_came_back_is_asked_again() -> None:
    unanswered = {"status": "unanswered", "annotation_id": None, "annotator": None, "created_at": None}
    lost = table(row(0, None) | unanswered, row(0, None) | unanswered | {"status": "gone"})
    assert ledger.closed(lost).empty
    back = news(lost, said(), seen(HOME))
    assert back.status.tolist() == ["moved"]
    assert list(ledger.closed(pd.concat([lost, back]))) == ["a"]


# Whatever they do

DEED = st.tuples(st.sampled_from(["give", "change", "delete"]), st.integers(0, 5), st.sampled_from("xy"))


@settings(max_examples=40, deadline=None)
@given(deeds=st.lists(DEED, max_size=8), looks=st.sets(st.integers(0, 8)))
def test_the_ledger_comes_to_what_label_studio_holds(deeds: list[tuple[str, int, str]], looks: set[int]) -> None:
    """One task, three people, any deeds, a look whenever: after the last the two agree, and the next finds nothing."""
    there: dict[int, tuple[str, str]] = {}
    known, number = table(), 0

    def look() -> pd.DataFrame:
        now = [row(each, label, who, created_at=f"2026-01-01T{each:04d}") for each, (who, label) in there.items()]
        return pd.concat([known, news(known, said(*now), seen(HOME))], ignore_index=True)

    for at, (deed, which, label) in enumerate(deeds):
        if deed == "give":
            number += 1
            there[number] = (f"person {which % 3}", label)
        elif there:
            own = sorted(there)[which % len(there)]
            who, _ = there.pop(own)
            if deed == "change":
                there[own] = (who, label)
        if at in looks:
            known = look()
    known = look()
    stand = ledger.not_withdrawn(known)
    assert set(zip(stand.annotator, stand.label, strict=True)) == set(there.values())
    assert look().equals(known)


# Tasks that are gone


def test_tasks_that_are_gone_are_found_and_leave_a_row_each() -> None:
    asks = pd.DataFrame({"id": list("abcd"), "round": [1, 1, 2, 2], "task_id": pd.array([1, 2, 3, None], "Int64")})
    asks = asks.assign(why="control", propensity=0.5, status=["labelled", "unanswered", "labelled", "unanswered"])
    left = {1: ["a"], 2: ["c"]}

    def count(first: int, last: int) -> int:
        return sum(len(items) for number, items in left.items() if first <= number <= last)

    lost = gone(asks, count, lambda number: pd.DataFrame({"id": left[number]}))
    cells = lost[["id", "round", "task_id", "status", "origin", "why"]].to_numpy().tolist()
    assert cells == [["b", 1, 2, "gone", "asked", "control"]]
    assert gone(asks.assign(status="gone"), count, pd.DataFrame).empty


@given(expected=st.lists(st.integers(1, 30), min_size=1, max_size=60), lost=st.sets(st.integers(1, 60)))
def test_where_nothing_is_missing_one_count_says_so(expected: list[int], lost: set[int]) -> None:
    rounds = pd.Series(expected, index=range(1, len(expected) + 1))
    left = rounds - rounds.index.isin(list(lost))
    asked: list[tuple[int, int]] = []

    def count(first: int, last: int) -> int:
        asked.append((first, last))
        return int(left.loc[first:last].sum())

    assert set(short(rounds, count)) == lost & set(rounds.index)
    if not lost & set(rounds.index):
        assert len(asked) == 1
