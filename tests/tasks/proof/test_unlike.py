"""What is unlike the pool is told from what is like it, and false alarms are as rare as asked for."""

import numpy as np
import pytest
from numpy.typing import NDArray

from labelwise.tasks.proof import unlike
from labelwise.tasks.proof.unlike import K, fit

D = 32


def drawn(items: int, seed: int, centres: range = range(6)) -> NDArray[np.float16]:
    """Unit rows around some directions, a few of which are left out of the pool below."""
    rng = np.random.default_rng(seed)
    rows = 3 * np.eye(D)[rng.choice(centres, items)] + rng.normal(size=(items, D)) / 4
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float16)


def test_strangeness_is_the_distance_to_the_nearest_less_half_of_their_own() -> None:
    pool, items = drawn(400, 0), drawn(40, 1).astype(np.float64)
    found = fit(pool, 0.05)
    rows = found.rows.astype(np.float64)
    among = np.sort(1 - rows @ rows.T, axis=1)[:, 1 : K + 1].mean(axis=1)
    by_hand = []
    for item in items:
        away = 1 - rows @ (item / np.linalg.norm(item))
        near = np.argsort(away)[:K]
        by_hand.append(away[near].mean() - among[near].mean() / 2)
    assert found.strangeness(items) == pytest.approx(by_hand, abs=1e-4)
    assert found.strangeness(7 * items) == pytest.approx(by_hand, abs=1e-4), "only directions count"


def test_many_items_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    found, items = fit(drawn(500, 0), 0.05), drawn(23, 1)
    at_once = found.strangeness(items)
    monkeypatch.setattr(unlike, "BLOCK", 5)
    assert found.strangeness(items) == pytest.approx(at_once, abs=1e-6)


def test_false_alarms_are_as_rare_as_asked_for() -> None:
    shares = [fit(drawn(1500, seed), 0.05).far(drawn(1000, 100 + seed)).mean() for seed in range(12)]
    assert 0.03 <= np.mean(shares) <= 0.06


def test_a_class_that_the_pool_has_not_is_far() -> None:
    found = fit(drawn(2000, 0))
    assert found.far(drawn(300, 1, range(6, 9))).mean() > 0.95
    assert found.far(drawn(300, 2)).mean() < 0.05
    assert found.far(-drawn(300, 2)).all()


def test_a_pool_that_is_too_small_tells_nothing() -> None:
    for rows in (0, 1, 400):  # 80 of 400 are held out: none is in the last hundredth
        assert not fit(drawn(rows, 0), 0.01).far(-drawn(5, 1)).any()
    assert fit(drawn(0, 0)).strangeness(drawn(2, 0)).tolist() == [1.0, 1.0]
    assert fit(drawn(500, 0), 0.01).limit < np.inf


def test_vectors_that_point_nowhere_are_far_and_a_seed_says_which_rows_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unlike, "MOST", 1000)
    pool = drawn(3000, 0)
    one, same, other = fit(pool, 0.01, 1), fit(pool, 0.01, 1), fit(pool, 0.01, 2)
    assert len(one.rows) == 800
    assert (one.rows == same.rows).all()
    assert one.limit == same.limit != other.limit
    assert one.far(np.zeros((2, D), np.float16)).all()
