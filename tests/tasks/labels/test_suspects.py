"""Labels that look wrong: found, put up again, and not for ever."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.labels import consensus, suspects
from labelwise.tasks.labels.combined import Said
from labelwise.tasks.learners import Items
from labelwise.tasks.records import CONSENSUS, LABELS
from labelwise.tasks.settings import parse
from labelwise.tasks.workspace import Workspace
from tests.tasks.labels.rows import rows

Whole = NDArray[np.int64]

N, WRONG = 300, 30
CLASSES = ["late", "broken", "thanks"]
CONTENT: dict[str, Any] = {
    "project": {"name": "n", "id": "i"},
    "classes": CLASSES,
    "pull": {"pool": "p", "gold": "g"},
    "train": {"learner": "frozen"},
}


def material(seed: int = 0) -> tuple[Items, list[str], NDArray[np.bool_]]:
    """Items of three classes that overlap somewhat, the labels of one person, and which of these are wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=N)
    vectors = (np.eye(3, 16)[truth] + 0.25 * rng.standard_normal((N, 16))).astype(np.float32)
    wrong = np.arange(N) < WRONG
    said = np.where(wrong, (truth + rng.integers(1, 3, N)) % 3, truth)
    return Items.of(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)), [CLASSES[at] for at in said], wrong


def doubts(items: Items, labels: list[str], again: dict[int, str] | None = None) -> suspects.Doubts:
    """again: what a second person has said of some of them."""
    settings, more = parse(CONTENT), again or {}
    item = np.array([*range(N), *more])
    said = Said(item, (np.arange(len(item)) >= N).astype(np.int64), [*labels, *more.values()], N, 2)
    return suspects.doubts(said, labels, kinds.answer("choice"), CLASSES, consensus.opinion(items, settings))


def looks(found: suspects.Doubts, most: int) -> Whole:
    return found.worth_a_look(most, np.zeros(N, np.bool_))


def test_slips_look_wrong_and_come_first() -> None:
    items, labels, wrong = material()
    found = doubts(items, labels)
    first = looks(found, WRONG)
    assert wrong[first].mean() >= 0.9 and (np.diff(found.wrong[first]) <= 0).all()


def test_what_came_of_looks_says_how_often_people_are_wrong() -> None:
    items, labels, wrong = material()
    truth = [CLASSES[at] for at in items.vectors()[:, :3].argmax(axis=1)]
    asked = np.argsort(-doubts(items, labels).wrong)[: WRONG // 2].tolist()
    corrected = doubts(items, labels, {at: truth[at] for at in asked})
    confirmed = doubts(items, labels, {at: labels[at] for at in asked})
    assert confirmed.error < suspects.USUAL < corrected.error
    rest = np.setdiff1d(np.flatnonzero(wrong), asked)
    assert corrected.wrong[rest].mean() > confirmed.wrong[rest].mean()


def test_to_begin_with_a_part_of_the_places_is_taken_in_any_case() -> None:
    items, _, _ = material()
    truth = [CLASSES[at] for at in items.vectors()[:, :3].argmax(axis=1)]
    found = doubts(items, truth)
    assert len(looks(found, 8)) == 2 and len(looks(found, 1)) == 1
    many = doubts(items, truth, {at: truth[at] for at in range(suspects.ENOUGH)})
    assert len(looks(many, 8)) == 0  # it is known by now that hardly anything is wrong
    there = np.zeros(N, np.bool_)
    there[looks(found, 8)] = True
    assert not set(found.worth_a_look(8, there)) & set(looks(found, 8))


def test_where_nothing_can_be_learned_no_label_looks_worse_than_another() -> None:
    rng = np.random.default_rng(1)
    items = Items.of(rng.standard_normal((N, 16)).astype(np.float32))
    found = doubts(items, [CLASSES[at] for at in rng.integers(3, size=N)])
    assert found.wrong.max() < 0.2 and len(looks(found, N)) == N / suspects.TRIED


def test_of_several_labels_the_part_that_looks_worst_counts() -> None:
    """Of an item without the class that the model is sure of, it is as doubtful as of one with a class too many."""
    labels, classes = ['["a"]', '["a", "b"]', "[]"], ["a", "b"]
    said = Said(np.arange(3), np.zeros(3, np.int64), labels, 3, 1)
    opinion = np.array([[0.99, 0.01], [0.99, 0.01], [0.99, 0.01]])
    found = suspects.doubts(said, labels, kinds.answer("multilabel"), classes, lambda _labels, _trust: opinion)
    assert found.wrong[0] < 0.01 and found.wrong[1] > 0.5 and found.wrong[2] > 0.5


def given(label: str, round_: int, number: int, **more: Any) -> dict[str, Any]:
    common = {"label": label, "round": round_, "annotation_id": number, "task_id": number, "created_at": "2026-01-01"}
    return common | {"annotator": "1", "origin": "asked", "why": "margin"} | more


@pytest.mark.parametrize(
    ("answers", "enough"),
    [
        ([given("a", 1, 1)], False),
        ([given("a", 0, 1, origin="imported"), given("a", 1, 2)], True),
        ([given("a", 1, 1), given("a", 1, 2, annotator="2")], False),  # overlap: one round
        ([given("a", 1, 1), given("a", 2, 2, annotator="2")], True),
        ([given("a", 1, 1), given("b", 2, 2, annotator="2")], False),  # they differ: one more
        ([given("a", 1, 1), given("b", 2, 2, annotator="2"), given("a", 3, 3, annotator="3")], True),
    ],
)
def test_an_item_is_looked_at_twice_and_a_third_time_where_people_differ(
    answers: list[dict[str, Any]], enough: bool
) -> None:
    assert suspects.looked_at(rows(*answers)).tolist() == ["a"] * enough


def test_what_reviewers_have_before_them_is_not_put_up_once_more() -> None:
    open_task = {"status": "unanswered", "round": 2, "task_id": 9, "why": "relabel", "origin": "asked"}
    assert suspects.looked_at(rows(given("a", 1, 1), open_task)).tolist() == ["a"]


def test_without_labels_nothing_looks_wrong(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(json.dumps(CONTENT))
    assert suspects.of(Workspace(tmp_path), LABELS.frame(), CONSENSUS.frame(), 5).tolist() == []
