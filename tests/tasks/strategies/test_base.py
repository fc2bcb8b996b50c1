"""What holds for every strategy there is, and for the plainest."""

from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.tasks import strategies
from labelwise.tasks.kinds import multilabel
from labelwise.tasks.strategies import COLD_STARTS, STRATEGIES, Candidates, Labelled, Strategy, serving
from labelwise.tasks.strategies.base import top, uniform


def some(n: int, m: int, c: int, rng: np.random.Generator) -> Candidates:
    """n candidates and m answers, everything drawn by chance."""
    vectors = rng.normal(size=(n + m, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    p = rng.dirichlet(np.ones(c), n + m).astype(np.float32)
    why = rng.choice(np.array(["random", "uncertain", "diverse"], dtype=object), m)
    answered = Labelled(vectors[n:], rng.integers(c, size=m), p[n:], np.sort(rng.integers(1, 4, m)), why)
    return Candidates(p[:n], lambda rows: vectors[:n][rows], answered)


def assert_a_batch(strategy: Strategy, given: Candidates, k: int, seed: int) -> None:
    choice = strategy(given, k, np.random.default_rng(seed))
    assert set(choice.indices.tolist()) <= set(range(len(given)))
    assert len(set(choice.indices.tolist())) == len(choice.indices) == k
    assert choice.scores.shape == choice.propensity.shape == (k,)
    assert len(choice.why)
    assert choice.indices.tolist() == strategy(given, k, np.random.default_rng(seed)).indices.tolist()


@pytest.mark.parametrize("name", serving("choice"))
@given(
    n=st.integers(1, 40), k=st.integers(1, 40), c=st.integers(2, 5), m=st.integers(1, 9), seed=st.integers(0, 2**32 - 1)
)
@settings(deadline=None, max_examples=12)
def test_a_strategy_takes_k_different_candidates_always_the_same(
    name: str, n: int, k: int, c: int, m: int, seed: int
) -> None:
    assert_a_batch(STRATEGIES[name], some(n, m, c, np.random.default_rng(seed)), min(k, n), seed)


def several(n: int, m: int, c: int, rng: np.random.Generator) -> Candidates:
    """The same where an item may have several labels or none."""
    one = some(n, m, c, rng)
    p, limits = rng.beta(0.5, 1, (n + m, c)).astype(np.float32), rng.uniform(0.1, 0.6, c).astype(np.float32)
    p[:, rng.random(c) < 0.2] = 0  # of labels that nobody has given
    answered = replace(one.labelled, labels=(rng.random((m, c)) < 0.3).astype(np.float32), probabilities=p[n:])
    answered = replace(answered, views=multilabel.views(p[n:], limits))
    return Candidates(p[:n], one.gather, answered, None, multilabel.views(p[:n], limits), limits)


@pytest.mark.parametrize("name", serving("multilabel"))
@given(
    n=st.integers(1, 40), k=st.integers(1, 40), c=st.integers(1, 5), m=st.integers(1, 9), seed=st.integers(0, 2**32 - 1)
)
@settings(deadline=None, max_examples=12)
def test_a_strategy_of_several_labels_takes_k_different_candidates_always_the_same(
    name: str, n: int, k: int, c: int, m: int, seed: int
) -> None:
    assert_a_batch(STRATEGIES[name], several(n, m, c, np.random.default_rng(seed)), min(k, n), seed)


@pytest.mark.parametrize("name", COLD_STARTS)
@given(n=st.integers(1, 40), k=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=12)
def test_a_cold_start_needs_neither_model_nor_labels(name: str, n: int, k: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    given = Candidates(np.full((n, 3), np.nan, dtype=np.float32), lambda rows: vectors[rows])
    assert_a_batch(COLD_STARTS[name], given, min(k, n), seed)


@pytest.mark.parametrize("name", serving("choice"))
def test_what_cannot_be_told_apart_still_gives_a_batch(name: str) -> None:
    rng = np.random.default_rng(0)
    usual = some(30, 8, 3, rng)
    constant = np.tile(np.float32([1, 0, 0, 0]), (30, 1))
    answered = usual.labelled
    cases = {
        "constant vectors": Candidates(
            usual.probabilities, lambda rows: constant[rows], replace(answered, vectors=constant[:8])
        ),
        "few different vectors, rounded": Candidates(
            usual.probabilities[np.arange(30) % 5],
            lambda rows: usual.gather(np.arange(5)).astype(np.float16).astype(np.float32)[rows % 5],
            answered,
        ),
        "equal probabilities": replace(usual, probabilities=np.full((30, 3), 1 / 3, np.float32)),
        "one class labelled": replace(
            usual,
            probabilities=np.tile(np.float32([0, 1, 0]), (30, 1)),
            labelled=replace(answered, labels=np.ones(8, int), probabilities=np.tile(np.float32([0, 1, 0]), (8, 1))),
        ),
        "a class with one label": replace(usual, labelled=replace(answered, labels=np.array([0] * 7 + [2]))),
        "sure of everything": replace(usual, probabilities=np.eye(3, dtype=np.float32)[np.arange(30) % 3]),
    }
    for case in cases.values():
        for k in (1, 7, 30):
            assert_a_batch(STRATEGIES[name], case, k, 0)


# A stream goes by the order of the pool. The hypermodel is slow, and ends in the same `top` as Laplace.
@pytest.mark.parametrize("name", sorted(set(serving("choice")) - {"stream", "bald_epinet"}))
def test_of_items_that_are_all_alike_chance_takes_some_and_not_the_head_of_the_pool(name: str) -> None:
    usual = some(10, 6, 2, np.random.default_rng(0))
    alike = replace(
        usual,
        probabilities=np.tile(usual.probabilities[:1], (10, 1)),
        gather=lambda rows: usual.gather(np.zeros(len(rows), np.int64)),
    )
    batches = [STRATEGIES[name](alike, 3, np.random.default_rng(seed)).indices for seed in range(20)]
    assert np.bincount(np.concatenate(batches), minlength=10).min() >= 1  # 6 on average


def test_the_propensity_of_chance_is_how_often_an_item_is_taken() -> None:
    given = Candidates(np.full((10, 2), 0.5), gather=lambda _rows: pytest.fail("no vectors are needed"))
    rng = np.random.default_rng(0)
    choices = [uniform(given, 3, rng) for _ in range(2000)]
    often = np.bincount(np.concatenate([choice.indices for choice in choices]), minlength=10) / len(choices)
    assert set(choices[0].propensity) == {0.3}
    np.testing.assert_allclose(often, 0.3, atol=0.05)  # five standard errors


@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, -np.inf, np.nan]), min_size=1, max_size=12),
    k=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_the_top_is_what_sorting_gives_and_nan_comes_last(scores: list[float], k: int, seed: int) -> None:
    k = min(k, len(scores))
    choice = top(np.array(scores), k, np.random.default_rng(seed))
    in_order = sorted((one for one in scores if not np.isnan(one)), reverse=True)
    wanted = np.array([*in_order, *[np.nan] * (len(scores) - len(in_order))][:k])
    np.testing.assert_array_equal(choice.scores, wanted)
    assert len(set(choice.indices.tolist())) == k


def test_a_stranger_is_found_but_takes_no_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(group: str) -> list[Any]:
        assert group == "labelwise.strategies"
        return [EntryPoint(name, "labelwise.tasks.strategies.base:uniform", group) for name in ("theirs", "margin")]

    monkeypatch.setattr(strategies, "entry_points", installed)
    known = strategies.strategies()
    assert known["theirs"] is uniform
    assert known["margin"] is STRATEGIES["margin"]
