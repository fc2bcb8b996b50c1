"""`finish` asks, of what people must label anyway, what speaks for most of it."""

import numpy as np
import pytest

from labelwise.tasks.strategies import finishing
from labelwise.tasks.strategies.base import Candidates, Labelled
from labelwise.tasks.strategies.finishing import covering, finish, for_people


def directions(of: list[int], spread: float = 0.05) -> np.ndarray:
    """Unit vectors, each near the axis of its number."""
    rng = np.random.default_rng(0)
    found = np.eye(8, dtype=np.float32)[of] + spread * rng.standard_normal((len(of), 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def candidates(of: list[int], doubt: list[float], labelled: list[int] | None = None) -> Candidates:
    vectors, p = directions(of), 1 - np.array(doubt)
    known = Labelled() if labelled is None else Labelled(directions(labelled), np.zeros(len(labelled), np.int64))
    return Candidates(np.column_stack([p, 1 - p]), lambda rows: vectors[rows], known)


def test_what_the_model_may_label_is_not_asked() -> None:
    doubt = [0.0] * 50 + [0.4] * 30 + [0.01] * 20
    asked = finish(candidates([0] * 100, doubt), 10, np.random.default_rng(0)).indices
    assert set(asked) <= set(range(50, 80)) and len(set(asked)) == 10


def test_the_largest_crowd_in_doubt_is_asked_first_and_none_twice_before_the_others() -> None:
    of = [1] * 10 + [2] * 40 + [3] * 20
    asked = finish(candidates(of, [0.45] * 70), 3, np.random.default_rng(0)).indices
    assert [of[row] for row in asked] == [2, 3, 1]


def test_what_is_near_an_answer_waits() -> None:
    of = [2] * 40 + [3] * 20
    asked = finish(candidates(of, [0.45] * 60, labelled=[2]), 1, np.random.default_rng(0)).indices
    assert of[asked[0]] == 3


def test_where_the_model_may_label_everything_the_least_sure_are_asked() -> None:
    assert for_people(np.array([0.01, 0.03, 0.0, 0.02]), 2).tolist() == [1, 3]


def test_picks_are_the_greedy_ones() -> None:
    rng = np.random.default_rng(1)
    vectors, weights = directions(rng.integers(0, 8, 60).tolist(), 0.5), rng.random(60).astype(np.float32)
    near = vectors @ vectors.T
    covered, expected = np.zeros(60, np.float32), []
    for _ in range(10):
        gains = [weights @ np.maximum(row - covered, 0) for row in near]
        expected.append(int(np.argmax(gains)))
        covered = np.maximum(covered, near[expected[-1]])
    picks, scores = covering(near, np.zeros(60, np.float32), weights, 10)
    assert picks.tolist() == expected
    assert (np.diff(scores) <= 1e-4).all()


def test_a_large_rest_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "MOST", 20)
    asked = [finish(candidates([1] * 80, [0.4] * 80), 5, np.random.default_rng(s)).indices.tolist() for s in (0, 0, 1)]
    assert asked[0] == asked[1] != asked[2]
