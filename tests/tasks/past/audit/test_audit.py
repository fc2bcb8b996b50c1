"""What is missing, surplus, changed or only waiting, and by which name it is told."""

from typing import Any

import pandas as pd
import pytest

from labelwise.tasks.labels.witness import Difference
from labelwise.tasks.past.audit import answers, data, models
from labelwise.tasks.past.audit.models import Past
from labelwise.tasks.past.audit.part import Part
from labelwise.tasks.past.audit.run import Audit, lines
from labelwise.tasks.services.mlflow import Registered
from labelwise.tasks.services.versions.history import Commit
from tests.tasks.labels.rows import labelled, rows


def tags(number: int, **changes: str) -> dict[str, str]:
    usual = {
        "labelwise.tag": f"round-000{number}",
        "labelwise.round": str(number),
        "mlflow.source.git.commit": f"c{number}",
    }
    return usual | {"labelwise.inputs": f"in{number}", "dvc.labels": f"h{number}"} | changes


def version(number: int, **changes: str) -> Registered:
    return Registered(str(number), f"run{number}", tags(number), tags(number, **changes), {})


def past(*numbers: int) -> Past:
    found = {
        f"round-000{n}": Commit(f"t{n}", "2026", f"round {n}\n\nMLflow-Run: run{n}", f"round-000{n}") for n in numbers
    }
    history = {each for n in numbers for each in (f"c{n}", f"t{n}")}
    return Past(
        found, history, {tag: f"in{tag[-1]}" for tag in found}, {tag: {"labels": f"h{tag[-1]}"} for tag in found}
    )


def task(number: int, item: str | None, *given: tuple[int, str | None]) -> dict[str, Any]:
    """A task as exported, with (annotation, label; None for a skip)."""
    said = [
        {
            "id": n,
            "was_cancelled": label is None,
            "result": [{"from_name": "label", "value": {"choices": [label]}}],
            "completed_by": {"id": 7},
        }
        for n, label in given
    ]
    return {"id": number, "data": {"item": item, "round": 1} if item else {}, "annotations": said}


# Models


def test_every_model_has_its_round_and_every_round_its_model() -> None:
    known = [version(1), version(2)]
    assert (
        models.rounds_part(past(1, 2), known).complaints
        == models.models(past(1, 2), known, "round-0003").complaints
        == []
    )


def test_a_run_or_a_version_that_is_gone_is_missing() -> None:
    gone = Registered("2", "run2", tags(2), None, None)
    assert models.rounds_part(past(1, 2), [version(1), gone]).missing == ["round-0002: run run2 is gone from MLflow"]
    assert models.models(past(1, 2), [version(1), gone], "").missing == ["version 2: its run run2 is gone from MLflow"]
    assert (
        models.rounds_part(past(1, 2), [version(1)])
        .missing[0]
        .startswith("round-0002: no registered version of run run2")
    )


def test_a_version_without_a_round_is_surplus_unless_its_round_is_under_way() -> None:
    known = [version(1), version(2)]
    assert models.models(past(1), known, "round-0003").surplus == ["version 2: the history has no round-0002"]
    under_way = models.models(past(1), known, "round-0002")
    assert (under_way.complaints, under_way.waiting) == ([], 1)
    twice = Registered("3", "other", tags(2), tags(2), {})
    assert models.models(past(1, 2), [*known, twice], "").surplus == [
        "version 3: round-0002 was made by another run than its own, other"
    ]


def test_a_model_whose_data_settings_or_commit_are_others_now_is_changed() -> None:
    odd = {"dvc.labels": "forged", "labelwise.inputs": "forged", "mlflow.source.git.commit": "gone"}
    found = models.models(past(1), [version(1, **odd)], "").changed
    assert any("labels of round-0001 has the DVC hash h1, MLflow has seen forged" in line for line in found)
    assert any("params.yaml or dvc.lock of round-0001" in line for line in found)
    assert any("the commit it was made from, gone, is not in git" in line for line in found)


def test_a_model_is_traced_to_the_rows_and_people_up_to_its_round() -> None:
    ledger = rows(
        *(labelled(item, "x", n) | {"annotator": who} for n, (item, who) in enumerate([("a", "1"), ("b", "2")]))
    )
    found = models.traced([version(1), version(2, **{"version.torch": "2"})], ledger.assign(shard=[1, 2]))
    assert [(each.rows, each.reviewers) for each in found] == [(1, ["1"]), (2, ["1", "2"])]
    assert found[1].made_by == {"torch": "2"}


# Answers


def test_answers_to_rows_and_back() -> None:
    ledger = rows(labelled("a", "x", 1), {"id": "b", "status": "skipped", "task_id": 2, "annotation_id": 2})
    assert answers.answers("answers", [task(1, "a", (1, "x")), task(2, "b", (2, None))], ledger, set()).complaints == []
    found = answers.answers(
        "answers", [task(1, "a", (1, "y"), (9, "x")), task(7, None, (8, "x"))], ledger, set(), ["c"]
    )
    assert found.missing == ["item b: its annotation 2 (skipped) is not in Label Studio"]
    assert found.surplus == [
        "annotation 8 is on task 7, which the loop has not made",
        "item a: its annotation 9 has no row",
    ]
    assert found.changed == ["item a: annotation 1 says 'y' in Label Studio, 'x' here"]


@pytest.mark.parametrize(
    "data", [{"item": "a", "round": "second"}, {"item": ["a"], "round": 1}, {"round": 1}, {"item": "a"}]
)
def test_a_task_that_somebody_else_made_is_named_whatever_it_holds(data: dict[str, Any]) -> None:
    strange = task(7, None, (8, "x")) | {"data": data}
    ledger = rows(labelled("a", "x", 1))
    found = answers.answers("answers", [task(1, "a", (1, "x")), strange], ledger, set())
    assert found.complaints == ["surplus: annotation 8 is on task 7, which the loop has not made"]


def test_what_the_next_look_takes_in_is_waiting() -> None:
    ledger = rows(labelled("a", "x", 1), labelled("b", "x", 2))
    found = answers.answers("answers", [task(1, "a", (1, "y")), task(3, "c", (3, "x"))], ledger, {1, 2, 3})
    assert (found.complaints, found.waiting) == ([], 3)


def test_a_row_that_was_changed_does_not_pass_for_an_answer_that_was_edited() -> None:
    ledger = rows(labelled("a", "x", 1, "2026-01-01T10:00:00+00:00"))
    seen = task(1, "a", (1, "y"))
    for updated, changed in (("2026-01-01T10:00:00Z", 1), ("2026-01-01T10:00:01Z", 0)):
        seen["annotations"][0]["updated_at"] = updated
        assert len(answers.answers("answers", [seen], ledger, {1}).changed) == changed


def test_edits_withdrawals_doubles_and_what_was_forgotten() -> None:
    later = labelled("a", "y", 1) | {"created_at": "2026-01-02"}
    edited = rows(labelled("a", "x", 1), later)
    assert answers.answers("answers", [task(1, "a", (1, "y"))], edited, set()).complaints == []
    withdrawn = rows(labelled("a", "x", 1), labelled("a", "x", 1) | {"status": "withdrawn", "label": None})
    assert answers.answers("answers", [], withdrawn, set()).complaints == []
    assert answers.answers("answers", [task(1, "a", (1, "x"))], withdrawn, set()).surplus
    doubled = rows(*[labelled("a", "x", 1)] * 2)
    assert answers.answers("answers", [task(1, "a", (1, "x"))], doubled, set()).surplus == [
        "item a: annotation 1 twice"
    ]
    back = answers.answers("answers", [task(1, "a", (1, "x"))], rows(), set(), ["a"])
    assert back.surplus == ["item a: task 1 is there although the item was forgotten"]
    imported = rows(labelled("a", "x", 1) | {"annotation_id": None, "task_id": None, "origin": "imported"})
    assert answers.answers("answers", [], imported, set()).checked == 0


def test_a_task_that_is_gone_keeps_its_answers_and_one_that_was_imported_again_has_other_numbers() -> None:
    mine = labelled("a", "x", 1) | {"annotator": "7"}
    gone = rows(mine, {"id": "a", "status": "gone", "task_id": 1})
    assert answers.answers("answers", [], gone, set()).complaints == []
    again = rows(mine, {"id": "a", "status": "moved", "task_id": 9})
    assert answers.answers("answers", [task(9, "a", (31, "x"))], again, set()).complaints == []
    assert answers.answers("answers", [task(9, "a", (31, "y"))], again, set()).surplus
    alike = [task(1, "a", (1, "x"), (2, "x"))]  # the same person, the same answer
    assert answers.answers("answers", alike, rows(mine), set()).complaints == []
    number_given_again = [task(1, "a", (1, "x")), task(2, "b", (1, "y"))]
    assert answers.answers("answers", number_given_again, rows(mine, labelled("b", "y", 1)), set()).complaints == []


# Data


def test_rows_items_and_files() -> None:
    ledger = rows(labelled("a", "x", 1), labelled("b", "x", 2), labelled("c", "x", 3)).assign(shard=[1, 2, 3])
    unlike = [Difference("a", "gone", "missing"), Difference("b", "flipped"), Difference("z", "too many", "surplus")]
    found = data.rows(ledger, unlike, {1}, learned=2)
    assert (found.missing, found.changed, found.surplus) == (
        ["item a: gone"],
        ["item b: flipped"],
        ["item z: too many"],
    )
    assert (found.waiting, found.said) == (1, "1 row is known to no run")
    asked = data.items(ledger, ["a", "f"], ["b"], ["f"])
    assert (asked.missing, asked.forgotten) == (["item c is not in the pool"], 1)
    assert asked.surplus == ["item f is there although it was forgotten"]
    assert data.stored({"m1": "round-0001", "m2": "round-0002"}, {"m1"}).missing == [
        "m2, which round-0002 names, is not at the DVC remote"
    ]


def test_the_verdict_in_one_line_and_hostile_words_made_safe() -> None:
    known = pd.DataFrame(columns=["shard", "annotator"])
    good = Audit(models.traced([], known), [Part("rounds", 3), Part("answers", None, said="not checked: no server")])
    assert good.in_order and lines(good)[-1] == "verdict: all accounted for, answers not checked"
    bad = Audit([], [Part("rounds", 3, missing=["a", "b"], surplus=["item \x1b[31m"])])
    assert not bad.in_order and lines(bad)[-1] == "verdict: 2 missing, 1 surplus"
    assert "rounds: surplus: item \\x1b[31m" in lines(bad)
