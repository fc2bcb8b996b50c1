"""Arms, their chances and what the past says of them, replayed by hand."""

import math

import numpy as np
import pytest

from labelwise.tasks.strategies import STRATEGIES, Candidates, Labelled, exploration, heads
from labelwise.tasks.strategies.base import Floats
from labelwise.tasks.strategies.uncertainty import margin_of
from tests.tasks.strategies.cases import clustered, unit

ARMS = ("random", "uncertain", "diverse")


def test_epsilon_is_margin_but_for_one_place_in_ten() -> None:
    given = clustered(0, n=400)
    choices = [STRATEGIES["epsilon"](given, 20, np.random.default_rng(seed)) for seed in range(200)]
    by_chance = np.array([(np.asarray(choice.why) == "random").sum() for choice in choices])
    assert 1.7 < by_chance.mean() < 2.3
    for choice in choices[:20]:
        random = np.asarray(choice.why) == "random"
        assert (choice.propensity[random] == random.sum() / 400).all()
        rest = np.setdiff1d(np.arange(400), choice.indices[random])
        best = rest[np.argsort(-margin_of(given.probabilities)[rest], kind="stable")][: (~random).sum()]
        assert choice.indices[~random].tolist() == best.tolist()


def test_without_a_past_all_arms_are_alike() -> None:
    given = clustered(0, n=300)
    asked = np.concatenate([STRATEGIES["bandit"](given, 60, np.random.default_rng(seed)).why for seed in range(30)])
    assert {arm: round((asked == arm).mean(), 1) for arm in ("random", "uncertain", "diverse")} == {
        "random": 0.3,
        "uncertain": 0.3,
        "diverse": 0.3,
    }


def test_without_a_past_every_epsilon_of_the_grid_is_as_likely() -> None:
    given = clustered(0, n=300)
    asked = [STRATEGIES["exponentiated_gradient"](given, 50, np.random.default_rng(seed)).why for seed in range(300)]
    shares = np.array([(one == "random").mean() for one in asked])
    assert abs(shares.mean() - exploration.EPSILONS.mean()) < 0.05
    assert shares.min() < 0.1
    assert shares.max() > 0.7


def past(seed: int, wrong: str = "") -> Candidates:
    """Six rounds of four answers of each arm, two of random in the last; those of the arm `wrong` are all wrong."""
    rng = np.random.default_rng(seed)
    why = np.tile(np.repeat(np.array(ARMS, dtype=object), 4), 6)
    rounds = np.repeat(np.arange(1, 7), 12)
    kept = np.flatnonzero((rounds < 6) | (why != "diverse"))
    labels = rng.integers(3, size=72)
    vectors = unit(np.eye(6)[:3][labels] + rng.normal(0, 0.5, (72, 6)))
    labels = np.where(why == wrong, (labels + 1) % 3, labels)
    pool, p = unit(rng.normal(size=(200, 6))), np.full((200, 3), 1 / 3, np.float32)
    known = Labelled(vectors[kept], labels[kept], p[: len(kept)], rounds[kept], why[kept])
    return Candidates(p, lambda rows: pool[rows], known)


def literal_advantages(given: Candidates, arms: tuple[str, ...]) -> list[list[float]]:
    """For each round but the last: accuracy, on the random answers of later rounds, of what has learned all earlier
    answers and as many of each arm; less that of chance."""
    known = given.labelled
    answers = list(zip(known.rounds.tolist(), known.why.tolist(), range(len(known)), strict=True))
    rows = []
    for number in range(1, 6):
        before = [at for then, _, at in answers if then < number]
        later = [at for then, why, at in answers if then > number and why == "random"]
        asked = {arm: [at for then, why, at in answers if then == number and why == arm] for arm in arms}
        each = min(len(one) for one in asked.values())
        right = []
        for arm in arms:
            learned = [*before, *asked[arm][:each]]
            head = heads.fit(known.vectors[learned], known.labels[learned], 3)
            guesses = head.probabilities(known.vectors[later]).argmax(axis=1)
            right.append(sum(int(a == b) for a, b in zip(guesses, known.labels[later], strict=True)) / len(later))
        rows.append([one - right[0] for one in right])
    return rows


def shares(gains: list[float]) -> Floats:
    weights = [math.exp(exploration.RATE * gain) for gain in gains]
    return np.array(weights) / sum(weights)


@pytest.mark.parametrize("wrong", ["", "uncertain", "diverse"])
def test_the_past_is_replayed_round_by_round(wrong: str) -> None:
    given = past(0, wrong)
    found = exploration.advantages(given, ARMS)
    np.testing.assert_allclose(found, literal_advantages(given, ARMS), atol=1e-9)
    if wrong:  # what teaches wrong things has earned less than chance
        assert found.sum(axis=0)[ARMS.index(wrong)] < 0


@pytest.mark.parametrize("seed", range(5))
def test_a_bandit_shares_the_batch_by_what_each_arm_has_earned(seed: int) -> None:
    given = past(seed, "diverse")
    chances = 0.7 * shares(np.sum(literal_advantages(given, ARMS), axis=0).tolist()) + 0.1
    words = np.array(ARMS, dtype=object)[np.random.default_rng(seed).choice(3, size=40, p=chances)]
    choice = STRATEGIES["bandit"](given, 40, np.random.default_rng(seed))
    assert choice.why.tolist() == words.tolist()
    by_chance = words == "random"
    assert (choice.propensity[by_chance] == by_chance.sum() / 200).all()
    assert np.isnan(choice.propensity[~by_chance]).all()


@pytest.mark.parametrize("seed", range(5))
def test_epsilon_is_drawn_by_what_each_would_have_earned(seed: int) -> None:
    given = past(seed, "uncertain")
    earned = np.sum(literal_advantages(given, ARMS[:2]), axis=0)
    grid = [0.05, 0.1, 0.2, 0.4, 0.8]
    chances = 0.9 * shares([eps * earned[0] + (1 - eps) * earned[1] for eps in grid]) + 0.1 / 5
    rng = np.random.default_rng(seed)
    eps = rng.choice(grid, p=chances)
    words = np.array(ARMS, dtype=object)[rng.choice(3, size=40, p=[eps, 1 - eps, 0])]
    choice = STRATEGIES["exponentiated_gradient"](given, 40, np.random.default_rng(seed))
    assert choice.why.tolist() == words.tolist()
    assert chances.argmax() == 4  # uncertain answers taught wrong things: the most random epsilon has earned most


def test_the_diverse_places_go_to_the_farthest_of_what_is_left() -> None:
    given = past(1)
    choice = STRATEGIES["bandit"](given, 30, np.random.default_rng(1))
    vectors = given.gather(np.arange(200))
    diverse = choice.indices[choice.why == "diverse"]
    others = choice.indices[choice.why != "diverse"]
    near = (vectors @ given.labelled.vectors.T).max(axis=1)
    left = np.setdiff1d(np.arange(200), others)
    assert diverse[0] == left[near[left].argmin()]
    assert len(diverse) > 3
