"""Items that arrive one by one, walked through once more by hand."""

import math

import numpy as np
import pytest

from labelwise.tasks.strategies import STRATEGIES, Candidates
from labelwise.tasks.strategies.stream import RATE, Threshold
from tests.tasks.strategies.cases import clustered


def test_a_stream_keeps_to_its_budget_and_asks_the_less_sure() -> None:
    rng = np.random.default_rng(0)
    threshold, asked, sure = Threshold(budget=0.1), [], rng.random(20_000)
    for uncertainty in sure:
        ask, threshold = threshold.decide(float(uncertainty))
        if ask:
            asked.append(uncertainty)
    assert 1800 < len(asked) <= 2001
    assert np.mean(asked) > 0.85  # with all to choose from, it would be 0.95


def literal_stream(given: Candidates, k: int) -> list[int]:
    unsure = [1 - (first - second) for *_, second, first in np.sort(given.probabilities, axis=1).tolist()]
    n = len(unsure)
    budget = min(1.0, 2 * k / n)
    at = (n - 1) * (1 - budget)  # the place of the quantile, between two items
    low, high = sorted(unsure)[math.floor(at)], sorted(unsure)[math.ceil(at)]
    level, seen, asked = low + (high - low) * (at - math.floor(at)), 0, []
    while True:
        for row in range(n):
            if row in asked:
                continue
            wanted = unsure[row] >= level
            if wanted and len(asked) < budget * seen + 1:
                asked.append(row)
            level = min(max(level + RATE * ((1 if wanted else 0) - budget), 0), 1)
            seen += 1
            if len(asked) == k:
                return asked
        level /= 2


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("n", "k"), [(60, 5), (60, 20), (300, 10), (40, 40)])
def test_a_batch_is_what_the_walk_asks(n: int, k: int, seed: int) -> None:
    given = clustered(seed, n=n)
    given = Candidates(given.probabilities.astype(np.float64), given.gather, given.labelled)
    choice = STRATEGIES["stream"](given, k, np.random.default_rng(seed))
    assert choice.indices.tolist() == literal_stream(given, k)


def test_the_threshold_starts_where_it_settles() -> None:
    """So nothing need be kept between batches: from the first item on, only the less sure are asked."""
    given = clustered(3, n=2000)
    unsure = STRATEGIES["margin"](given, 2000, np.random.default_rng(0)).scores
    asked = STRATEGIES["stream"](given, 50, np.random.default_rng(0)).scores
    assert asked[0] >= unsure[100]  # the budget is 2k: a hundred lie above
    assert np.mean(asked) > np.mean(unsure[:150])
