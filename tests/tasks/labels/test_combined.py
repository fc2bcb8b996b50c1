"""What several people said of the same items, combined, for each kind of label."""

import json

import numpy as np
import pytest

from labelwise.tasks.kinds import choice, multilabel, spans
from labelwise.tasks.labels.aggregate import Doubles
from labelwise.tasks.labels.agreement import settings_for
from labelwise.tasks.labels.combined import DAWID_SKENE, LATEST, MAJORITY, Said, combine, held_out
from labelwise.tasks.learners import Items

PER, LOC = [0, 5, "PER"], [9, 15, "LOC"]


def said(*answers: tuple[int, int, object]) -> Said:
    """Answers (item, person, label), a label of several parts as a list."""
    item, person, label = zip(*answers, strict=True)
    given = [each if isinstance(each, str) else json.dumps(each) for each in label]
    return Said(np.array(item), np.array(person), given, max(item) + 1, max(person) + 1)


def test_of_three_two_are_followed() -> None:
    given = said((0, 0, "a"), (0, 1, "b"), (0, 2, "b"), (1, 0, "a"))
    found = combine(given, MAJORITY, choice, ["a", "b"])
    assert found.label == ["b", "a"]
    assert found.trust.round(3).tolist() == [0.667, 1.0]
    assert found.people.tolist() == [3, 1]
    assert found.doubt.round(3).tolist() == [0.333, 0.0]
    assert found.right.round(3).tolist() == [0.333, 0.667, 0.667, 1.0]


def test_the_latest_answer_alone_is_surely_right() -> None:
    found = combine(said((0, 0, "a"), (0, 1, "b"), (0, 0, "a")), LATEST, choice, ["a", "b"])
    assert (found.label, found.trust.tolist()) == (["a"], [1.0])


def sure_of(position: int, classes: int) -> Doubles:
    found = np.full((20, classes), 1e-6)
    found[:, position] = 1
    return found


@pytest.mark.parametrize(("strange", "label"), [(True, "b"), (False, "a")])
def test_a_model_gives_a_label_that_nobody_gave_only_where_it_may(strange: bool, label: str) -> None:
    """Nineteen items on which two people and the model agree, and one that one person labelled."""
    rows = [(item, person, "b") for item in range(1, 20) for person in (0, 1)]
    given = said((0, 0, "a"), *rows)
    found = combine(given, DAWID_SKENE, choice, ["a", "b", "c"], lambda *_: sure_of(1, 3), strange=strange)
    assert found.label[0] == label
    assert found.label[1:] == ["b"] * 19
    if not strange:
        assert found.trust[0] < 0.5 < found.trust[1:].min()


def test_several_labels_are_agreed_on_class_by_class() -> None:
    given = said((0, 0, ["a", "b"]), (0, 1, ["b", "c"]), (0, 2, ["b", "c"]), (1, 0, []), (1, 1, []))
    found = combine(given, MAJORITY, multilabel, ["a", "b", "c"])
    assert found.label == ['["b", "c"]', "[]"]
    assert found.trust.round(3).tolist() == [0.444, 1.0]  # 2/3 for each of a and c
    assert found.doubt.round(3).tolist() == [0.333, 0.0]


@pytest.mark.parametrize("by", [MAJORITY, DAWID_SKENE])
def test_a_span_is_there_where_most_have_marked_it(by: str) -> None:
    given = said((0, 0, [PER, LOC]), (0, 1, [PER]), (0, 2, [PER, LOC]), (1, 0, []), (1, 1, []), (1, 2, [LOC]))
    found = combine(given, by, spans, ["LOC", "PER"])
    assert found.label[0] == json.dumps([PER, LOC])
    assert found.people.tolist() == [3, 3]
    if by == MAJORITY:
        assert found.label[1] == "[]"


def test_who_draws_an_end_differently_means_one_thing() -> None:
    """Three people mark one name: two alike, one longer, and one of another class."""
    longer, other = [0, 9, "PER"], [0, 5, "LOC"]
    given = said((0, 0, [PER]), (0, 1, [PER]), (0, 2, [longer]), (1, 0, [PER]), (1, 1, [other]), (1, 2, [PER]))
    found = combine(given, DAWID_SKENE, spans, ["LOC", "PER"])
    assert found.label == [json.dumps([PER])] * 2
    two = combine(said((0, 0, [PER]), (0, 1, [longer])), DAWID_SKENE, spans, ["PER"])
    assert len(json.loads(two.label[0])) <= 1


def test_spans_that_one_person_marked_inside_each_other_stay_both() -> None:
    inner = [0, 3, "PER"]
    found = combine(said((0, 0, [inner, PER]), (0, 1, [inner, PER])), MAJORITY, spans, ["PER"])
    assert json.loads(found.label[0]) == [inner, PER]


def test_what_a_model_says_has_not_seen_the_label_of_the_item() -> None:
    """One label that is wrong among many that follow from the vector."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 120)
    vectors = np.where(truth[:, None] == 1, [1.0, 0.0], [0.0, 1.0]) + 0.05 * rng.standard_normal((120, 2))
    labels = ["b" if each else "a" for each in truth]
    labels[7] = "a" if truth[7] else "b"
    found = held_out(Items.of(vectors.astype(np.float32)), labels, np.ones(120), settings_for(["a", "b"]))
    assert found.shape == (120, 2)
    assert found[7, truth[7]] > 0.8


def test_without_two_classes_a_model_says_how_often_each_is() -> None:
    items = Items.of(np.eye(4, dtype=np.float32))
    assert held_out(items, ["a"] * 4, np.ones(4), settings_for(["a", "b"])).tolist() == [[1.0, 0.0]] * 4
