"""The wrappers: no two items alike, classes even, and nothing else changed."""

import numpy as np
import pytest

from tasks.strategies import STRATEGIES, Candidates
from tasks.strategies.batches import class_balanced, without_near_duplicates
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
