"""Trusted labels: when people agree, what becomes of what they do not agree on, and what counts meanwhile."""

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks.gold.trusted import agreement, complete, merged, verdicts
from labelwise.tasks.records import ANSWERS, ASKED, GOLD


@pytest.mark.parametrize(
    ("labels", "state", "label", "wanted"),
    [
        ("", "open", None, 2),
        ("x", "open", None, 2),
        ("xx", "decided", "x", 2),
        ("xy", "disputed", None, 3),
        ("xyy", "decided", "y", 3),
        ("xyx", "decided", "x", 3),
        ("xxy", "disputed", "x", 4),  # a later answer contradicts what was decided
        ("xxyx", "decided", "x", 4),
        ("xxyy", "disputed", "x", 5),
        ("xxyyy", "decided", "y", 5),
        ("xyz", "disputed", None, 4),
        ("xyzx", "disputed", None, 5),  # half is no majority
        ("xyzxx", "decided", "x", 5),
        ("xyzxz", "set aside", None, 5),
        ("x-", "open", None, 3),
        ("x-x", "decided", "x", 3),
        ("xx-", "decided", "x", 3),
        ("-----", "set aside", None, 5),
        ("xxxxy", "decided", "x", 5),
    ],
)
def test_the_majority_of_people_decides(labels: str, state: str, label: str | None, wanted: int) -> None:
    votes = [(f"person {at}", None if one == "-" else one) for at, one in enumerate(labels)]
    found = agreement(votes)
    assert (found.state, found.label, found.wanted) == (state, label, wanted)


def test_one_person_has_one_vote_and_their_last_answer_counts() -> None:
    assert agreement([("a", "x"), ("a", "x")]).state == "open"
    assert agreement([("a", "x"), ("b", "y"), ("a", "y")]).label == "y"


def test_the_users_own_label_is_a_vote_that_stays_until_it_is_outvoted() -> None:
    assert agreement([], own="x").label == "x"
    assert agreement([("a", "x")], own="x").state == "decided"
    assert agreement([("a", "y")], own="x") == agreement([("a", "y")], own="x")
    assert (agreement([("a", "y")], own="x").label, agreement([("a", "y")], own="x").state) == ("x", "disputed")
    assert agreement([("a", "y"), ("b", "y")], own="x").label == "y"


# The gold set


def asked(ids: str, ask: int, start: int, why: str = "grown", label: str | None = None) -> pd.DataFrame:
    n = len(ids)
    known = {"turn": start + np.arange(n), "propensity": 0.2, "among": 10 - start - np.arange(n) + 1}
    rows = pd.DataFrame({"id": list(ids), "text": list(ids), "source_id": None, "label": label, "ask": ask, "why": why})
    return ASKED.conform(rows.assign(**(known if why == "grown" else dict.fromkeys(known)), doubt=0.1))


def said(*answers: tuple[str, str, str | None]) -> pd.DataFrame:
    """Answers (item, person, label) in order of time."""
    rows = [
        {"id": item, "label": label, "status": "labelled" if label else "skipped", "annotator": person, "ask": 1}
        | {"task_id": 1, "annotation_id": at, "lead_time_s": 1.0, "created_at": f"2026-11-25T10:{at:02d}:00Z"}
        for at, (item, person, label) in enumerate(answers)
    ]
    return ANSWERS.conform(pd.DataFrame(rows, columns=list(ANSWERS.columns)))


OWN = GOLD.conform(pd.DataFrame({"id": ["o", "p"], "text": ["o", "p"], "source_id": None, "label": ["x", "y"]}))
FIRST, SECOND = asked("ab", 1, 1), asked("c", 2, 3)
BOTH = pd.concat([FIRST, SECOND], ignore_index=True)


def test_without_anything_asked_the_users_gold_is_as_it_was() -> None:
    found = merged(OWN, verdicts(ASKED.frame(), ANSWERS.frame()))
    pd.testing.assert_frame_equal(found[list(OWN.columns)], OWN)
    assert found.weight.tolist() == [1, 1]


def test_an_ask_counts_when_all_of_it_and_of_those_before_is_decided() -> None:
    agreed = [(item, person, "x") for item in "bc" for person in "12"]
    assert complete(verdicts(BOTH, said(*agreed))).empty  # a is open, and c comes after it
    seen = verdicts(BOTH, said(*agreed, ("a", "1", "y"), ("a", "2", "y")))
    found = merged(OWN, seen)
    assert found.id.tolist() == list("opabc")
    assert found.label.tolist() == ["x", "y", "y", "x", "x"]
    assert found.weight[:2].tolist() == [1, 1]
    assert (found.weight[2:] != 1).any()


def test_a_label_that_is_disputed_again_stays_until_it_is_outvoted() -> None:
    answers = [("a", "1", "x"), ("a", "2", "x"), ("b", "1", "y"), ("b", "2", "y"), ("a", "3", "y")]
    seen = verdicts(FIRST, said(*answers))
    assert seen.state.tolist() == ["disputed", "decided"]
    assert merged(OWN, seen).label.tolist() == ["x", "y", "x", "y"]


def test_what_nobody_could_decide_is_left_out_and_the_rest_weighs_one_on_average() -> None:
    undecided = [("a", person, None) for person in "12345"]
    seen = verdicts(FIRST, said(*undecided, ("b", "1", "y"), ("b", "2", "y")))
    found = merged(OWN, seen)
    assert found.id.tolist() == list("opb")
    assert found.weight.tolist() == pytest.approx([1, 1, 1])


def test_reviewed_rows_of_the_users_bear_what_was_decided() -> None:
    review = asked("o", 1, 1, why="review", label="x")
    assert merged(OWN, verdicts(review, said(("o", "1", "y")))).label.tolist() == ["x", "y"]
    assert merged(OWN, verdicts(review, said(("o", "1", "y"), ("o", "2", "y")))).label.tolist() == ["y", "y"]
    nobody = said(("o", "1", "y"), ("o", "2", "z"), ("o", "3", None), ("o", "4", None))
    assert merged(OWN, verdicts(review, nobody)).id.tolist() == ["p"]
