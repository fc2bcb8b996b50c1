"""Sets of classes: how they are read, scored, decided and seen by strategies."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from labelwise.tasks.kinds import multilabel

CLASSES = ["c", "a", "b"]


@pytest.mark.parametrize(
    ("cell", "delimiter", "label"),
    [
        ('["b", "a"]', None, '["a", "b"]'),
        (" [] ", None, "[]"),
        ("b;a", ";", '["a", "b"]'),
        ("b", ";", '["b"]'),
        ("[]", ";", "[]"),
        ('["süß"]', None, '["süß"]'),
        ("a, b | c", "|", '["a, b", "c"]'),
    ],
)
def test_a_cell_is_read(cell: str, delimiter: str | None, label: str) -> None:
    assert multilabel.read(cell, delimiter) == label


@pytest.mark.parametrize(
    ("cell", "delimiter", "fault"),
    [
        ("billing", None, multilabel.NO_LIST),
        ("[", None, multilabel.NO_LIST),
        ('{"a": 1}', None, multilabel.NO_LIST),
        ("[" * 100_000, None, multilabel.NO_LIST),
        ('[["a"]]', None, multilabel.NESTED),
        ("[1]", None, multilabel.NO_TEXT),
        ("[null]", None, multilabel.NO_TEXT),
        ('["a", "a"]', None, multilabel.TWICE),
        ('["a", " a"]', None, multilabel.TWICE),
        ('["a", ""]', None, multilabel.BLANK),
        ("a;;b", ";", multilabel.BLANK),
        ("a;a", ";", multilabel.TWICE),
    ],
)
def test_a_cell_that_is_no_set_says_why(cell: str, delimiter: str | None, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{fault}$"):
        multilabel.read(cell, delimiter)
    assert fault in multilabel.FAULTS


def test_the_score_is_the_f1_of_the_sets() -> None:
    chance = np.random.default_rng(0)
    said, truth = chance.random((50, 3)) > 0.5, chance.random((50, 3)) > 0.5
    labels = [[multilabel.label_of(np.array(CLASSES)[row]) for row in rows] for rows in (said, truth)]
    expected = [f1_score(theirs, mine, zero_division=1.0) for mine, theirs in zip(said, truth, strict=True)]
    np.testing.assert_allclose(multilabel.score(*labels), expected)
    assert multilabel.targets(labels[1], CLASSES).tolist() == truth.astype(float).tolist()
    assert multilabel.targets(['["a", "x"]'], CLASSES).tolist() == [[-1, -1, -1]]


def test_a_class_is_said_from_its_threshold_on() -> None:
    p = np.array([[0.6, 0.2, 0.1], [0.4, 0.3, 0.49], [0.9, 0.9, 0.9]])
    assert multilabel.decide(p, CLASSES).tolist() == ['["c"]', "[]", '["a", "b", "c"]']
    low = np.array([0.5, 0.25, 0.5])
    assert multilabel.decide(p, CLASSES, low).tolist() == ['["c"]', '["a"]', '["a", "b", "c"]']


@given(
    names=st.lists(st.text(min_size=1), min_size=1, max_size=12, unique=True),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_decided_is_written_as_any_label(names: list[str], seed: int) -> None:
    p = np.random.default_rng(seed).random((9, len(names)))
    expected = [multilabel.label_of(name for name, each in zip(names, row, strict=True) if each >= 0.5) for row in p]
    assert multilabel.decide(p, names).tolist() == expected


def test_the_least_sure_class_is_the_one_nearest_to_its_threshold() -> None:
    p = np.array([[0.6, 0.25, 0.01]])
    assert multilabel.views(p).simplex.tolist() == [[0.6, 0.4]]
    seen = multilabel.views(p, np.array([0.5, 0.25, 0.5]))
    assert seen.simplex.tolist() == [[0.5, 0.5]]
    np.testing.assert_allclose(seen.errors, [[-0.4, -0.75, 0.01]])


def test_the_expected_score_is_about_what_comes_out() -> None:
    chance = np.random.default_rng(1)
    p = chance.beta(0.5, 1.5, (300, 8))
    classes = [f"class {n}" for n in range(8)]
    said = multilabel.decide(p, classes)
    drawn = [
        multilabel.score(
            said.tolist(), [multilabel.label_of(np.array(classes)[row]) for row in chance.random(p.shape) < p]
        )
        for _ in range(40)
    ]
    expected = multilabel.expect(p)
    assert abs(expected.mean() - np.mean(drawn)) < 0.04
    nothing = np.array([label == "[]" for label in said])
    assert nothing.any()
    np.testing.assert_allclose(expected[nothing].mean(), np.mean(drawn, axis=0)[nothing].mean(), atol=0.05)


def test_before_there_is_a_model_nothing_is_expected() -> None:
    p = np.full((2, 3), np.nan, np.float32)
    assert np.isnan(multilabel.expect(p)).all()
    assert multilabel.views(p).simplex.shape == (2, 2)


def test_figures_are_those_of_scikit_learn() -> None:
    chance = np.random.default_rng(2)
    truth, p = chance.random((80, 3)) > 0.6, chance.random((80, 3))
    labels = [multilabel.label_of(np.array(CLASSES)[row]) for row in truth]
    found = multilabel.measured(labels, p, CLASSES, None, np.ones(80))
    rows = np.arange(80)
    for average in ("micro", "macro"):
        expected = f1_score(truth, p >= 0.5, average=average, zero_division=1.0)
        assert found.measures[f"{average}_f1"](rows) == pytest.approx(expected)
    assert found.measures["exact_match"](rows) == pytest.approx((truth == (p >= 0.5)).all(axis=1).mean())
    assert found.by_class["items"].tolist() == truth.sum(axis=0).tolist()


def test_a_careless_answer_is_another_one() -> None:
    chance = random.Random(0)
    said = {multilabel.wrong('["a"]', CLASSES, chance) for _ in range(50)}
    assert said == {"[]", '["a", "b"]', '["a", "c"]'}


def test_two_classes_that_became_one_are_named_once() -> None:
    assert multilabel.renamed('["a", "b", "c"]', {"a": "d", "b": "d"}) == '["c", "d"]'
