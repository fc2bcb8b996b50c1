"""What is looked for comes in turns, fades where it is asked in vain, and leaves room."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise.tasks.strategies import Candidates
from labelwise.tasks.strategies.batches import spread
from labelwise.tasks.strategies.seeking import (
    FOUND,
    PATIENCE,
    WHY,
    in_vain,
    nearest,
    one_each,
    quotas,
    towards,
    wanting,
)

RNG = np.random.default_rng(0)


def candidates(near: np.ndarray, vectors: np.ndarray | None = None) -> Candidates:
    made = np.eye(len(near), dtype=np.float32) if vectors is None else vectors
    return Candidates(np.full((len(near), 2), 0.5), lambda rows: made[rows], sought=near)


def test_each_class_has_its_nearest() -> None:
    near = RNG.normal(size=(50, 2))
    choice = nearest(np.array([3, 2]))(candidates(near), 5, np.random.default_rng(0))
    assert {*np.argsort(-near[:, 0])[:3]} | {*np.argsort(-near[:, 1])[:2]} == {*choice.indices}
    assert choice.why == WHY
    assert np.isnan(choice.propensity).all()


@given(st.integers(1, 20), st.integers(1, 4), st.data())
def test_always_as_many_different_items_as_are_wanted(n: int, s: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    near = np.round(np.random.default_rng(n).normal(size=(n, s)))  # with ties
    choice = nearest(np.ones(s, dtype=np.int64))(candidates(near), k, np.random.default_rng(0))
    assert len({*choice.indices.tolist()}) == k


def test_near_duplicates_make_way_for_the_next_nearest() -> None:
    vectors = np.eye(4, dtype=np.float32)
    vectors[1] = vectors[0]
    near = np.array([[4.0], [3.0], [2.0], [1.0]])
    apart = spread(nearest(np.array([2])), 0.95)
    assert apart(candidates(near, vectors), 2, np.random.default_rng(0)).indices.tolist() in ([0, 2], [1, 2])


def test_what_was_asked_in_vain_pushes_away() -> None:
    drawing, vain = np.float32([[1, 0, 0]]), np.float32([[0, 1, 0]])
    alone, pushed = towards(drawing, vain[:0]), towards(drawing, vain)
    assert pushed @ vain[0] < alone @ vain[0]
    assert np.linalg.norm(pushed) == pytest.approx(1)
    assert np.isfinite(towards(np.zeros((1, 3), np.float32), vain[:0])).all()


def test_a_class_is_looked_for_until_it_has_been_found_often_enough() -> None:
    given_, nothing = np.array([True, False]), np.array([False, False])
    assert wanting(np.array([FOUND - 1, 30]), given_, 39).tolist() == [0]
    assert wanting(np.array([FOUND, 30]), given_, 40).tolist() == []
    assert wanting(np.array([5, 30]), nothing, 35).tolist() == [], "five of 35 is no longer rare: the model has it"
    assert wanting(np.array([3, 30]), nothing, 33).tolist() == [0]
    assert wanting(np.array([0, 0]), nothing, 0).tolist() == [], "nothing says yet which is rare"


def test_a_class_that_is_not_there_keeps_one_place_in_a_batch() -> None:
    shares = [int(quotas(np.array([tried]), 12)[0]) for tried in range(0, 5 * PATIENCE, PATIENCE)]
    assert shares == [12, 6, 3, 1, 1]
    assert quotas(np.array([10**9]), 12).tolist() == [1]
    assert quotas(np.array([0, 0]), 0).tolist() == [0, 0]


def test_only_what_was_asked_for_a_class_counts_as_in_vain() -> None:
    why = np.array([WHY, WHY, "control", WHY], dtype=object)
    near = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    has = np.array([[False, False], [False, False], [False, False], [True, False]])
    assert in_vain(why, near, has).tolist() == [[True, False], [False, True], [False, False], [False, False]]


def test_labels_of_both_kinds_say_of_which_class_an_item_is() -> None:
    assert one_each(np.array([1, 0]), 2).tolist() == [[False, True], [True, False]]
    assert one_each(np.float32([[1, 1], [0, 0]]), 2).tolist() == [[True, True], [False, False]]
