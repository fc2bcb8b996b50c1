"""What holds for every strategy there is, and for the plainest."""

from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import strategies
from tasks.strategies import COLD_STARTS, STRATEGIES, Candidates, Strategy
from tasks.strategies.base import uniform

WITH_A_MODEL = [pytest.param(strategy, True, id=name) for name, strategy in STRATEGIES.items()]
WITHOUT = [pytest.param(strategy, False, id=f"cold start: {name}") for name, strategy in COLD_STARTS.items()]


@pytest.mark.parametrize(("strategy", "model"), [*WITH_A_MODEL, *WITHOUT])
@given(n=st.integers(1, 40), k=st.integers(1, 40), c=st.integers(2, 5), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_a_strategy_takes_k_different_candidates(
    strategy: Strategy, model: bool, n: int, k: int, c: int, seed: int
) -> None:
    k = min(k, n)
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(c), n).astype(np.float32) if model else np.full((n, c), np.nan, dtype=np.float32)
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    given = Candidates(p, gather=lambda rows: vectors[rows])

    choice = strategy(given, k, np.random.default_rng(seed))

    assert set(choice.indices.tolist()) <= set(range(n))
    assert len(set(choice.indices.tolist())) == len(choice.indices) == k
    assert choice.scores.shape == choice.propensity.shape == (k,)
    assert choice.why
    assert choice.indices.tolist() == strategy(given, k, np.random.default_rng(seed)).indices.tolist()


def test_the_propensity_of_chance_is_how_often_an_item_is_taken() -> None:
    given = Candidates(np.full((10, 2), 0.5), gather=lambda _rows: pytest.fail("no vectors are needed"))
    rng = np.random.default_rng(0)
    choices = [uniform(given, 3, rng) for _ in range(2000)]
    often = np.bincount(np.concatenate([choice.indices for choice in choices]), minlength=10) / len(choices)
    assert set(choices[0].propensity) == {0.3}
    np.testing.assert_allclose(often, 0.3, atol=0.05)  # five standard errors


def test_a_stranger_is_found_but_takes_no_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(group: str) -> list[Any]:
        assert group == "labelwise.strategies"
        return [EntryPoint(name, "tasks.strategies.base:uniform", group) for name in ("theirs", "margin")]

    monkeypatch.setattr(strategies, "entry_points", installed)
    known = strategies.strategies()
    assert known["theirs"] is uniform
    assert known["margin"] is STRATEGIES["margin"]
