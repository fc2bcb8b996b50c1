"""What a model may answer keeps its promise as often as it says, whatever its confidence is worth."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from labelwise.tasks.proof import answering
from labelwise.tasks.proof.answering import by_traffic, risk_of_model, threshold

RUNS, RISK, WRONG, POOL, KNOWN = 200, 0.05, 0.05, 4000, 600
MOST = RISK + 3 * (RISK * (1 - RISK) / RUNS) ** 0.5  # of a thousand correct methods, one lies above
Sure = NDArray[np.float64]

# How likely an item is wrong, by the model's confidence.
CHANCES: dict[str, Callable[[Sure], Sure]] = {
    "as it says": lambda sure: 1 - sure,
    "three times as it says": lambda sure: np.minimum(3 * (1 - sure), 1),
    "just too many everywhere": lambda sure: np.full(len(sure), 1.02 * WRONG),
    "the surest ones": lambda sure: np.where(sure > 0.97, 0.08, 0.03),
    "from a point on": lambda sure: np.where(sure > 0.9, 0.0, 0.3),
}
POOL_SURE = 1 - np.random.default_rng(0).beta(0.5, 2, POOL).round(3)  # with ties


@cache
def outcomes(chance: Callable[[Sure], Sure], way: str) -> list[tuple[float, float]]:
    """Of many draws of known items: what share of the answers the threshold makes wrong, and the coverage."""
    found, chances = [], chance(POOL_SURE)
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        drawn = np.full(POOL, 1 / POOL)
        if way == "weights":
            drawn = 0.2 / POOL + 0.8 * (2 - POOL_SURE) / (2 - POOL_SURE).sum()
        at = rng.choice(POOL, KNOWN, p=drawn)
        lost = (rng.random(KNOWN) < chances[at]).astype(float)
        if way == "parts":
            lost = np.minimum(chances[at] * 2 * rng.random(KNOWN), 1)
        weights = 1 / (POOL * drawn[at]) if way == "weights" else None
        end = threshold(POOL_SURE, POOL_SURE[at], lost, WRONG, RISK, weights, whole=way != "parts")
        answered = end.value <= POOL_SURE
        assert answered.mean() == pytest.approx(end.coverage)
        found.append((float(chances[answered].mean()) if answered.any() else 0.0, end.coverage))
    return found


@pytest.mark.parametrize("way", ["count", "weights", "parts"])
@pytest.mark.parametrize("chance", CHANCES)
def test_the_promise_is_broken_no_more_often_than_it_says(chance: str, way: str) -> None:
    broken = np.mean([share > WRONG for share, _ in outcomes(CHANCES[chance], way)])
    assert broken <= MOST


def test_it_answers_most_of_what_it_could() -> None:
    """The truth itself would let it answer 57 %."""
    coverage = {
        way: np.mean([share for _, share in outcomes(CHANCES["as it says"], way)]) for way in ("count", "parts")
    }
    assert coverage["count"] > 0.3
    assert coverage["parts"] > 0.25


@pytest.mark.parametrize(("items", "mistakes", "may"), [(58, 0, False), (59, 0, True), (92, 1, False), (93, 1, True)])
def test_items_of_equal_confidence_are_answered_all_or_none(items: int, mistakes: int, may: bool) -> None:
    """0.95 ** 59 is the first below 5 %; with one mistake it takes 93."""
    lost = (np.arange(items) >= items - mistakes).astype(float)
    end = threshold(np.full(1000, 0.8), np.full(items, 0.8), lost, WRONG, RISK)
    assert (end.value, end.coverage, end.known) == ((0.8, 1.0, items) if may else (math.inf, 0.0, 0))
    assert (end.needs == 0) == may


def test_items_that_were_drawn_seldom_count_more() -> None:
    pool, sure, lost = np.full(1000, 0.8), np.full(300, 0.8), (np.arange(300) < 5).astype(float)
    often, seldom = np.where(lost, 0.1, 1.0), np.where(lost, 1.0, 0.1)
    assert threshold(pool, sure, lost, WRONG, RISK, often).value == 0.8
    assert threshold(pool, sure, lost, WRONG, RISK, seldom).value == math.inf


def test_known_items_at_the_threshold_count_to_it() -> None:
    """Sure ones are right and the others wrong; nothing of these is answered, and all of those."""
    pool = np.repeat([0.9, 0.6], 500)
    end = threshold(pool, np.repeat([0.6, 0.9], 100), np.repeat([1.0, 0.0], 100), WRONG, RISK)
    assert (end.value, end.coverage, end.known) == (0.9, 0.5, 100)
    upside_down = threshold(pool, np.repeat([0.6, 0.9], 100), np.repeat([0.0, 1.0], 100), WRONG, RISK)
    assert upside_down.value == math.inf


def test_where_nothing_may_be_answered_it_says_what_it_would_take() -> None:
    pool = np.full(1000, 0.9)
    few = threshold(pool, np.full(20, 0.9), np.zeros(20), WRONG, RISK).needs
    none = threshold(pool, np.empty(0), np.empty(0), WRONG, RISK, np.empty(0)).needs
    assert few is not None
    assert none == few + 20  # so few tell nothing: some mistakes are expected, which takes more than 59
    assert 59 < none < 300
    needs = threshold(pool, np.full(100, 0.9), np.arange(100) < 3.0, WRONG, RISK).needs
    assert needs is not None
    items = 100 + needs
    more = threshold(pool, np.full(items, 0.9), np.arange(items) < int(0.03 * items), WRONG, RISK)
    assert more.value == 0.9
    assert threshold(pool, np.full(100, 0.9), np.ones(100), WRONG, RISK).needs is None
    assert threshold(np.empty(0), np.full(100, 0.9), np.zeros(100), WRONG, RISK).value == math.inf


def test_where_it_begins_follows_from_what_is_known_before_the_labels() -> None:
    """One mistake among the surest does not end it: the first test waits for more items than that."""
    end = threshold(POOL_SURE, np.sort(POOL_SURE)[::-4], (np.arange(1000) == 0).astype(float), WRONG, RISK)
    assert end.coverage == 1.0
    counts, doubts = np.array([10.0, 100.0, 1000.0]), np.array([0.0, 0.01, 0.2])
    assert answering.begin(counts, doubts, WRONG, RISK) == 1
    assert answering.begin(counts, counts / 100, WRONG, RISK) == 1, "a model without hope begins early"
    assert answering.begin(counts[:1], doubts[:1], WRONG, RISK) == 0


def test_all_models_that_were_looked_at_share_the_risk() -> None:
    risks = [risk_of_model(0.95, k) for k in range(1, 20_000)]
    assert risks == sorted(risks, reverse=True)
    assert 0.0499 < sum(risks) + answering.OF_TRAFFIC * 0.05 < 0.05


@pytest.mark.parametrize("chance", ["just too many everywhere", "the surest ones", "as it says"])
def test_what_came_in_lets_no_model_answer_that_may_not(chance: str) -> None:
    """All looks together take a fifth of the risk, however many there are."""
    broken, n = 0, 16 * answering.FIRST
    for seed in range(RUNS):
        rng = np.random.default_rng([seed, 1])
        sure = rng.choice(POOL_SURE, n)
        lost = (rng.random(n) < CHANCES[chance](sure)).astype(float)
        least = by_traffic(sure, lost, WRONG, 1 - RISK).value
        answered = least <= POOL_SURE
        broken += bool(answered.any() and CHANCES[chance](POOL_SURE)[answered].mean() > WRONG)
    risk = answering.OF_TRAFFIC * RISK
    assert broken / RUNS <= risk + 3 * (risk * (1 - risk) / RUNS) ** 0.5


def test_what_came_in_lets_a_good_model_answer_and_says_how_many_more_it_takes() -> None:
    right = np.zeros(answering.FIRST * 4)
    sure = np.linspace(0.5, 1, len(right))[np.random.default_rng(0).permutation(len(right))]
    assert by_traffic(sure[:10], right[:10], WRONG, 0.95).needs == answering.FIRST - 10
    early = by_traffic(sure[: answering.FIRST], right[: answering.FIRST], WRONG, 0.95)
    assert early.value == math.inf and early.needs == answering.FIRST  # the risk of one look is too small for so few
    assert by_traffic(sure, right, WRONG, 0.95).coverage > 0.9
    assert by_traffic(sure, right + 1, WRONG, 0.95).value == math.inf
