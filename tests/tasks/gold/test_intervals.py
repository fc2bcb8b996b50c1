"""The intervals of what a model is judged by hold as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from labelwise.tasks.gold import active_testing
from labelwise.tasks.gold.intervals import estimated
from labelwise.tasks.kinds import Measure, choice
from labelwise.tasks.kinds.measures import OF_CHOICE, measure_of
from labelwise.tasks.settings import measure_named

CLASSES = ["a", "b", "c"]


def of(name: str) -> Measure:
    return measure_of(measure_named(name, "choice", CLASSES), choice, CLASSES)


def labels(at: NDArray[np.integer]) -> list[str]:
    return [CLASSES[each] for each in at]


AT = [f"recall:c at precision {each}" for each in (0.2, 0.375, 0.9)]  # the model of `world` has some 0.375


def world(n: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Truth, and what a model says that knows the rare class c half of the time."""
    truth = rng.choice(3, n, p=[0.75, 0.2, 0.05])
    right = rng.random(n) < np.array([0.95, 0.8, 0.55])[truth]
    return truth, np.where(right, truth, (truth + rng.integers(1, 3, n)) % 3)


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "f1:c", *AT])
@pytest.mark.parametrize("drawn", [False, True], ids=["by chance", "by doubt"])
def test_an_interval_holds(name: str, drawn: bool) -> None:
    rng = np.random.default_rng(5)
    truth, said = world(20_000, rng)
    true = of(name).value(labels(said), labels(truth))
    doubt = np.clip((said != truth) * 0.4 + rng.random(len(truth)) * 0.3, 0.01, 1)
    held = 0
    for _ in range(150):
        rows, weights = rng.choice(len(truth), 250, replace=False), np.ones(250)
        if drawn:
            reserve = rng.choice(len(truth), 2000, replace=False)
            one = active_testing.draw(doubt[reserve], 250, rng)
            rows, weights = reserve[one.rows], active_testing.weights(one.propensity, one.among)
        found = estimated(of(name), labels(said[rows]), labels(truth[rows]), weights)
        assert found is not None
        held += found.low <= true <= found.high
    assert held >= 0.9 * 150  # 95 % of them, and what chance takes from 150


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(0, 5)), min_size=1, max_size=30),
    name=st.sampled_from(["accuracy", "balanced_accuracy", "macro_f1", "f1:c", *AT]),
)
@settings(deadline=None)
def test_a_figure_lies_in_its_interval(rows: list[tuple[int, int, float]], name: str) -> None:
    truth, said, weights = (np.array(column) for column in zip(*rows, strict=True))
    given = weights / weights.mean() if weights.mean() > 1e-9 else np.ones(len(weights))
    found = estimated(of(name), labels(said), labels(truth), given)
    if found is not None:
        assert -1e-12 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1 + 1e-12


def test_a_class_without_a_gold_item_cannot_be_told() -> None:
    assert estimated(of("f1:c"), ["a", "c"], ["a", "b"], np.ones(2)) is None
    assert estimated(of("f1:c"), ["a", "c"], ["a", "c"], np.ones(2)) is not None


def test_one_item_tells_nothing_and_few_that_are_right_tell_little() -> None:
    found = estimated(of("f1:c"), ["c", "a"], ["c", "a"], np.ones(2))
    assert found is not None and (found.value, found.low, found.high) == (1.0, 0.0, 1.0)
    few = estimated(of("balanced_accuracy"), ["a", "b"] * 3, ["a", "b"] * 3, np.ones(6))
    assert few is not None and few.value == few.high == 1.0 and few.low < 0.75


def test_the_accuracy_has_the_interval_that_it_had() -> None:
    said, truth, weights = ["a", "b", "c"], ["a", "b", "b"], np.array([0.5, 1.0, 1.5])
    found = estimated(OF_CHOICE, said, truth, weights)
    assert found == active_testing.weighted_mean(np.array([1.0, 1.0, 0.0]), weights)
