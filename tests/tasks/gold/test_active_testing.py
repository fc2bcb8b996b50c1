"""Active testing: unbiased against a literal enumeration, weights against LURE, intervals that hold."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from labelwise.tasks.gold import active_testing

DOUBTS = st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=12).map(np.array)


def expected(losses: NDArray[np.float64], doubt: NDArray[np.float64], k: int, first: list[int]) -> float:
    """The mean of the estimate over all ways to draw k items, each with its chance. Before the second draw the
    population grows from `first` to all."""
    total = 0.0
    for way in permutations(range(len(losses)), k):
        chance, chances, among = 1.0, [], []
        for turn, item in enumerate(way):
            left = [at for at in (range(len(losses)) if turn else first) if at not in way[:turn]]
            if item not in left:
                chance = 0.0
                break
            q = active_testing.proposal(doubt[left])[left.index(item)]
            chances.append(q)
            among.append(len(left))
            chance *= q
        if chance:
            total += chance * float(active_testing.weights(np.array(chances), np.array(among)) @ losses[list(way)]) / k
    return total


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_estimate_is_unbiased_over_all_ways_to_draw(k: int) -> None:
    rng = np.random.default_rng(k)
    losses, doubt = rng.random(4), rng.random(4) ** 3
    assert expected(losses, doubt, k, [0, 1, 2, 3]) == pytest.approx(losses.mean())
    if k > 1:  # the naive mean of what was drawn is not
        drawn = [active_testing.draw(doubt, 1, np.random.default_rng(seed)).rows[0] for seed in range(2000)]
        assert abs(losses[drawn].mean() - losses.mean()) > 0.02


@pytest.mark.parametrize("k", [2, 3])
def test_it_is_unbiased_where_the_population_has_grown_between_draws(k: int) -> None:
    """What was there first is a uniform sample of what is there in the end, as any part of the reserve is."""
    rng = np.random.default_rng(k)
    losses, doubt = rng.random(5), rng.random(5) ** 3
    found = [expected(losses, doubt, k, list(first)) for first in combinations(range(5), 3)]
    assert np.mean(found) == pytest.approx(losses.mean())


@given(doubt=DOUBTS, data=st.data())
def test_the_weights_are_lure_while_the_population_stays(doubt: NDArray[np.float64], data: st.DataObject) -> None:
    n = len(doubt)
    k = data.draw(st.integers(1, n))
    drawn = active_testing.draw(doubt, k, np.random.default_rng(0))
    m = np.arange(1, k + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        lure = 1 + (n - k) / (n - m) * (1 / ((n - m + 1) * drawn.propensity) - 1)
    np.testing.assert_allclose(
        active_testing.weights(drawn.propensity, drawn.among), np.nan_to_num(lure, nan=1.0), atol=1e-9
    )
    assert len(set(drawn.rows)) == k
    assert drawn.among.tolist() == list(range(n, n - k, -1))


@given(doubt=DOUBTS)
def test_the_proposal_is_one_of_chances_and_bounds_the_weights(doubt: NDArray[np.float64]) -> None:
    q = active_testing.proposal(doubt)
    assert q.sum() == pytest.approx(1)
    assert (q >= active_testing.EVEN / len(q) - 1e-12).all()


def test_without_a_model_all_are_alike() -> None:
    drawn = active_testing.draw(np.full(20, np.nan), 7, np.random.default_rng(0))
    assert active_testing.weights(drawn.propensity, drawn.among).tolist() == pytest.approx([1.0] * 7)


def test_where_all_are_drawn_each_counts_once() -> None:
    drawn = active_testing.draw(np.random.default_rng(0).random(9), 9, np.random.default_rng(1))
    assert active_testing.weights(drawn.propensity, drawn.among).tolist() == pytest.approx([1.0] * 9)


def test_items_nobody_could_decide_count_nothing() -> None:
    weights = active_testing.decided(np.array([0.5, 2.0, 1.0]), np.array([True, False, True]))
    assert weights.tolist() == pytest.approx([2 / 3, 0, 4 / 3])
    assert active_testing.decided(np.array([0.5, 2.0]), np.array([True, True])).tolist() == [0.5, 2.0]
    assert active_testing.decided(np.array([0.5, 2.0]), np.array([False, False])).tolist() == [0, 0]


@given(g=st.integers(2, 300), share=st.floats(0, 1))
def test_items_of_equal_weight_have_wilsons_interval(g: int, share: float) -> None:
    right = (np.arange(g) < round(share * g)) * 1.0
    found = active_testing.weighted_mean(right, np.ones(g))
    wilson = stats.binomtest(int(right.sum()), g).proportion_ci(method="wilson")
    assert found.value == right.mean()
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_all_right_is_no_certainty_and_one_item_is_no_evidence() -> None:
    found = active_testing.weighted_mean(np.ones(50), np.ones(50))
    assert (found.value, found.high) == (1, 1)
    assert 0.9 < found.low < 0.95
    assert active_testing.weighted_mean(np.ones(1), np.ones(1)) == active_testing.Estimated(1, 0, 1)


@given(items=st.lists(st.tuples(st.sampled_from([0.0, 1.0]) | st.floats(0, 1), st.floats(0.01, 5)), min_size=2))
def test_an_interval_holds_its_estimate(items: list[tuple[float, float]]) -> None:
    found = active_testing.weighted_mean(*(np.array(part) for part in zip(*items, strict=True)))
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value <= found.high + 1e-9 <= 1 + 2e-9


@pytest.mark.parametrize(("own", "grown"), [(50, 0), (0, 50), (50, 50)])
def test_the_interval_covers_the_truth_at_an_accuracy_of_95_in_100(own: int, grown: int) -> None:
    rng = np.random.default_rng(0)
    doubt = rng.beta(0.4, 7.6, 3000)  # 5 % on average
    wrong = rng.random(3000) < doubt
    truth, held, errors, naive = 1 - wrong.mean(), 0, [], []
    for _ in range(300):
        order = rng.permutation(3000)
        drawn = active_testing.draw(doubt[order[:500]], grown, rng)
        rows = np.concatenate([order[500 : 500 + own], order[drawn.rows]])
        weights = np.concatenate([np.ones(own), active_testing.weights(drawn.propensity, drawn.among)])
        found = active_testing.weighted_mean(1.0 - wrong[rows], weights)
        held += found.low <= truth <= found.high
        errors.append(found.value - truth)
        naive.append((~wrong[rows]).mean() - truth)
    assert 0.92 <= held / 300 <= 0.985
    assert abs(np.mean(errors)) < 3 * np.std(errors) / 300**0.5
    if grown:
        assert abs(np.mean(naive)) > 5 * np.std(naive) / 300**0.5
        assert np.std(errors) < np.sqrt(truth * (1 - truth) / (own + grown))  # more than as many by chance tell


@pytest.mark.parametrize(
    ("values", "shares"),
    [
        ([1.0, 2 / 3, 0.5, 0.0], [0.85, 0.08, 0.04, 0.03]),  # mostly right
        ([1.0, 0.8, 0.0], [0.97, 0.02, 0.01]),
        ([1.0, 2 / 3, 0.5, 0.0], [0.3, 0.2, 0.2, 0.3]),
        ([2 / 3, 0.0], [0.95, 0.05]),  # never wholly right
    ],
)
def test_the_interval_covers_the_mean_of_scores(values: list[float], shares: list[float]) -> None:
    rng = np.random.default_rng(1)
    truth, runs = float(np.dot(values, shares)), 500
    for g in (20, 100, 500):
        found = [active_testing.weighted_mean(rng.choice(values, g, p=shares), np.ones(g)) for _ in range(runs)]
        assert sum(one.low <= truth <= one.high for one in found) / runs >= 0.92
    # what is right in part varies less than what is right or wrong as often
    wilson = stats.binomtest(round(truth * 500), 500).proportion_ci(method="wilson")
    assert np.mean([one.high - one.low for one in found]) < wilson.high - wilson.low


def test_where_answers_in_part_were_likely_to_be_drawn_the_mean_is_covered_too() -> None:
    rng = np.random.default_rng(2)
    scores = rng.choice([1.0, 2 / 3, 0.5, 0.0], 2000, p=[0.8, 0.1, 0.05, 0.05])
    doubt = np.clip(1 - scores + rng.normal(scale=0.25, size=2000), 0.01, 1)
    held, widths = 0, []
    for _ in range(200):
        drawn = active_testing.draw(doubt, 80, rng)
        found = active_testing.weighted_mean(scores[drawn.rows], active_testing.weights(drawn.propensity, drawn.among))
        held += found.low <= scores.mean() <= found.high
        widths.append(found.high - found.low)
    assert held / 200 >= 0.92
    assert np.mean(widths) < 3.92 * np.sqrt(scores.var() / 80)  # than by as many that chance draws
