"""The measures against their definitions, written out; the strategies against sorting."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelwise.tasks.strategies import STRATEGIES, Candidates
from labelwise.tasks.strategies.base import Floats
from labelwise.tasks.strategies.uncertainty import entropy_of, least_confidence_of, margin_of


def normalised(weights: Floats) -> Floats:
    """Rows that sum to 1; a row of zeros as one that knows nothing."""
    weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, 1)
    return weights / weights.sum(axis=1, keepdims=True)


SHAPES = st.tuples(st.integers(1, 12), st.integers(2, 6))
PROBABILITIES = arrays(np.float64, SHAPES, elements=st.sampled_from([0, 0.1, 1, 3, 50])).map(normalised)


def literal_least_confidence(row: list[float]) -> float:
    return 1 - max(row)


def literal_margin(row: list[float]) -> float:
    first, second, *_ = sorted(row, reverse=True)
    return 1 - (first - second)


def literal_entropy(row: list[float]) -> float:
    return -sum(p * math.log(p) for p in row if p > 0)


MEASURES = {
    "least_confidence": (least_confidence_of, literal_least_confidence),
    "margin": (margin_of, literal_margin),
    "entropy": (entropy_of, literal_entropy),
}


def candidates(probabilities: Floats) -> Candidates:
    """Candidates of strategies that must not look at vectors."""
    return Candidates(probabilities, gather=lambda _indices: pytest.fail("no vectors are needed"))


@pytest.mark.parametrize(("measure", "literal"), MEASURES.values(), ids=MEASURES)
@given(p=PROBABILITIES, as_float32=st.booleans())
def test_a_measure_is_as_defined(
    measure: Callable[[Floats], Floats], literal: Callable[[list[float]], float], p: Floats, as_float32: bool
) -> None:
    before = p.copy()
    found = measure(p.astype(np.float32) if as_float32 else p)
    np.testing.assert_allclose(found, [literal(row) for row in p.tolist()], atol=1e-5 if as_float32 else 1e-12)
    assert (p == before).all()


@pytest.mark.parametrize("name", MEASURES)
@given(p=PROBABILITIES, seed=st.integers(0, 9), data=st.data())
def test_a_strategy_takes_the_k_least_sure(name: str, p: Floats, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(p)))
    of_all = np.array([MEASURES[name][1](row) for row in p.tolist()])

    choice = STRATEGIES[name](candidates(p), k, np.random.default_rng(seed))

    assert len(set(choice.indices.tolist())) == k
    np.testing.assert_allclose(of_all[choice.indices], np.sort(of_all)[::-1][:k], atol=1e-9)
    np.testing.assert_allclose(choice.scores, of_all[choice.indices], atol=1e-9)
    assert np.isnan(choice.propensity).all()


@pytest.mark.parametrize("name", MEASURES)
def test_ties_are_broken_by_the_seed_and_not_by_position(name: str) -> None:
    tied = candidates(np.full((10, 3), 1 / 3, dtype=np.float32))
    choices = [STRATEGIES[name](tied, 3, np.random.default_rng(seed)).indices.tolist() for seed in range(100)]
    taken = np.bincount(np.concatenate(choices), minlength=10)
    assert taken.min() >= 15  # 30 on average
    assert choices[7] == STRATEGIES[name](tied, 3, np.random.default_rng(7)).indices.tolist()
