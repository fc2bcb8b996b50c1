"""The wrappers: no two items alike, classes even, and nothing else changed."""

import numpy as np
import pytest
from scipy.stats import chisquare

from tasks.strategies import STRATEGIES, Candidates, Choice
from tasks.strategies.batches import class_balanced, without_near_duplicates
from tasks.strategies.exploration import mixed
from tasks.strategies.uncertainty import margin_of
from tests.tasks.strategies.cases import clustered, vectors_of

MARGIN = STRATEGIES["margin"]


@pytest.mark.parametrize("seed", range(5))
def test_the_batch_is_the_greedy_one_without_near_duplicates(seed: int) -> None:
    given = clustered(seed, n=200)
    vectors = vectors_of(given)
    literal: list[int] = []
    for row in np.argsort(-margin_of(given.probabilities), kind="stable").tolist():
        if all(float(vectors[row] @ vectors[other]) < 0.9 for other in literal):
            literal.append(row)
    found = without_near_duplicates(MARGIN, 0.9)(given, 10, np.random.default_rng(0))
    assert found.indices.tolist() == literal[:10]


def test_when_only_twins_are_left_they_fill_the_batch() -> None:
    given = clustered(0, n=12)
    twins = Candidates(given.probabilities, lambda rows: np.tile(np.float32([1, 0]), (len(rows), 1)), given.labelled)
    found = without_near_duplicates(MARGIN, 0.95)(twins, 12, np.random.default_rng(0))
    assert sorted(found.indices.tolist()) == list(range(12))


def test_chance_stays_chance() -> None:
    given = clustered(0, n=50)
    plain = STRATEGIES["random"](given, 20, np.random.default_rng(3))
    wrapped = without_near_duplicates(STRATEGIES["random"], 0.5)(given, 20, np.random.default_rng(3))
    assert wrapped.indices.tolist() == plain.indices.tolist()
    assert (wrapped.propensity == 20 / 50).all()


def part_chance(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Three places for chance, the others by margin."""
    return mixed(candidates, np.array(["random"] * 3 + ["uncertain"] * (k - 3), dtype=object)[:k], rng)


def test_what_chance_drew_stays_and_its_propensity_is_how_often_it_is_drawn() -> None:
    twins = clustered(0, n=40)
    given = Candidates(twins.probabilities, lambda rows: vectors_of(twins)[rows // 2], twins.labelled)  # pairs
    beside = given.gather(np.array([0, 6]))
    counts, changed = np.zeros(40), 0
    for seed in range(800):
        plain = part_chance(given, 10, np.random.default_rng(seed))
        found = without_near_duplicates(part_chance, 0.999, beside)(given, 10, np.random.default_rng(seed))
        by_chance = np.isfinite(found.propensity)
        assert found.indices[by_chance].tolist() == plain.indices[:3].tolist()  # even beside a twin
        assert set(found.propensity[by_chance]) == {3 / 40}
        counts[found.indices[by_chance]] += 1
        changed += found.indices.tolist() != plain.indices.tolist()
        others = found.indices[~by_chance].tolist()  # the others are unlike each other, chance's and what is beside
        assert len({row // 2 for row in others}) == len(others)
        assert not {row // 2 for row in others} & {0, 3, *(found.indices[by_chance] // 2).tolist()}
    assert changed > 700
    assert chisquare(counts).pvalue > 0.001


def test_rare_predicted_classes_come_first_and_the_rest_is_even() -> None:
    given = clustered(1, n=90, m=12)
    predicted = given.probabilities.argmax(axis=1)
    found = class_balanced(MARGIN)(given, 15, np.random.default_rng(0))
    asked = np.bincount(predicted[found.indices], minlength=3)
    totals = asked + np.bincount(given.labelled.labels, minlength=3)
    exhausted = asked == np.bincount(predicted, minlength=3)
    assert totals[~exhausted].max() - totals[(asked > 0) & ~exhausted].min() <= 1
    for label in range(3):  # within a class, the inner strategy chooses
        own = found.indices[predicted[found.indices] == label]
        best = sorted(np.flatnonzero(predicted == label), key=lambda row: -margin_of(given.probabilities)[row])
        assert set(own.tolist()) == set(np.array(best[: len(own)]).tolist())


@pytest.mark.parametrize("seed", range(4))
def test_each_class_gets_what_the_strategy_ranks_highest_in_it(seed: int) -> None:
    """As though the strategy had been asked for each class by itself, in a few calls."""
    given = clustered(seed, n=400, m=30, c=12)
    predicted = given.probabilities.argmax(axis=1)
    unsure = margin_of(given.probabilities)
    asked: list[int] = []

    def counted(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
        asked.append(k)
        return MARGIN(candidates, k, rng)

    found = class_balanced(counted)(given, 40, np.random.default_rng(0))
    literal: list[int] = []
    totals = np.bincount(given.labelled.labels, minlength=12).tolist()
    for _ in range(40):
        left = [[row for row in range(400) if predicted[row] == own and row not in literal] for own in range(12)]
        turn = min((own for own in range(12) if left[own]), key=lambda own: (totals[own], own))
        literal.append(max(left[turn], key=lambda row: unsure[row]))
        totals[turn] += 1
    assert found.indices.tolist() == literal
    assert asked[0] == 40
    assert len(asked) <= 6


def test_a_balanced_draw_by_chance_is_a_plain_sample_of_each_class() -> None:
    given = clustered(2, n=30)
    predicted = given.probabilities.argmax(axis=1)
    counts, chance = np.zeros(30), np.zeros(30)
    for seed in range(1500):
        found = class_balanced(STRATEGIES["random"])(given, 7, np.random.default_rng(seed))
        counts[found.indices] += 1
        chance[found.indices] = found.propensity
    for own in range(3):  # the propensity is the class's share over its size
        rows = np.flatnonzero((predicted == own) & (counts > 0))
        if len(rows):
            assert len(rows) == (predicted == own).sum()
            np.testing.assert_allclose(counts[rows] / 1500, chance[rows], atol=0.065)  # five standard errors
    partly = class_balanced(part_chance)(given, 7, np.random.default_rng(0))
    assert np.isnan(partly.propensity).all()
