"""The wrappers: no two items alike, classes even, and nothing else changed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from labelwise.tasks.kinds.wording import WORDING
from labelwise.tasks.strategies import STRATEGIES, Candidates, Choice
from labelwise.tasks.strategies.batches import class_balanced, shares, spread
from labelwise.tasks.strategies.exploration import mixed
from labelwise.tasks.strategies.uncertainty import margin_of
from tests.tasks.strategies.cases import clustered, vectors_of

MARGIN = STRATEGIES["margin"]


@pytest.mark.parametrize("seed", range(5))
def test_the_batch_is_the_greedy_one_spread(seed: int) -> None:
    given = clustered(seed, n=200)
    vectors = vectors_of(given)
    literal: list[int] = []
    for row in np.argsort(-margin_of(given.probabilities), kind="stable").tolist():
        if all(float(vectors[row] @ vectors[other]) < 0.9 for other in literal):
            literal.append(row)
    found = spread(MARGIN, 0.9)(given, 10, np.random.default_rng(0))
    assert found.indices.tolist() == literal[:10]


def test_when_only_twins_are_left_they_fill_the_batch() -> None:
    given = clustered(0, n=12)
    twins = Candidates(given.probabilities, lambda rows: np.tile(np.float32([1, 0]), (len(rows), 1)), given.labelled)
    found = spread(MARGIN, 0.95)(twins, 12, np.random.default_rng(0))
    assert sorted(found.indices.tolist()) == list(range(12))


def templates(given: Candidates, of: list[int]) -> Candidates:
    """The same candidates, of these templates, and no text like another."""
    wording = np.zeros(len(of), WORDING)
    wording["template"] = of
    wording["signature"] = np.random.default_rng(0).integers(2**64, size=(len(of), 4), dtype=np.uint64)
    return replace(given, wording=wording)


def of_each(given: Candidates, found: Choice) -> list[int]:
    assert given.wording is not None
    return sorted(np.unique(given.wording["template"][found.indices], return_counts=True)[1].tolist())


@pytest.mark.parametrize("name", ["margin", "badge", "typiclust"])
def test_a_batch_is_spread_over_templates(name: str) -> None:
    given = clustered(0, n=200)
    among_others = templates(given, [0] * 90 + [1] * 60 + list(range(2, 52)))
    found = spread(STRATEGIES[name], 0.9999)(among_others, 20, np.random.default_rng(0))
    assert of_each(among_others, found)[-1] <= 2  # a tenth
    alone = templates(given, [0] * 150 + [1] * 47 + [2] * 3)
    found = spread(STRATEGIES[name], 0.9999)(alone, 20, np.random.default_rng(0))
    assert len(set(found.indices.tolist())) == 20
    assert of_each(alone, found)[-1] == 9  # the least that fills the batch
    one = templates(given, [7] * 200)
    plain = STRATEGIES[name](one, 20, np.random.default_rng(0))
    found = spread(STRATEGIES[name], 0.9999)(one, 20, np.random.default_rng(0))
    assert found.indices.tolist() == plain.indices.tolist()


@pytest.mark.parametrize(("there", "k", "most"), [([8, 1, 1], 5, 3), ([50, 30], 10, 5), ([1] * 40, 20, 2), ([5], 5, 5)])
def test_the_share_of_a_template_fills_the_batch(there: list[int], k: int, most: int) -> None:
    given = templates(clustered(0, n=sum(there)), np.repeat(np.arange(len(there)), there).tolist())
    assert set(shares(given, k)) == {most}
    assert sum(min(count, most) for count in there) >= k


def test_a_template_whose_answers_differ_is_the_strategys_to_judge() -> None:
    given = templates(clustered(0, n=100, m=4), [0] * 40 + [1] * 40 + list(range(2, 22)))
    known = np.zeros(4, WORDING)
    known["template"] = [0, 0, 1, 1]
    labelled = replace(given.labelled, labels=np.array([0, 2, 1, 1]), wording=known)
    found = shares(replace(given, labelled=labelled), 20)
    assert set(found[:40]) == {20}  # two labels
    assert set(found[40:]) == {2}  # always the same, or never asked


def test_the_control_arm_counts_towards_a_templates_share() -> None:
    given = templates(clustered(0, n=40), [0] * 20 + list(range(1, 21)))
    beside = given.take(np.array([0, 1]))
    found = spread(MARGIN, 0.9999, beside)(given.take(np.arange(2, 40)), 10, np.random.default_rng(0))
    assert (found.indices >= 18).all()


def test_near_duplicates_are_worded_alike() -> None:
    given = clustered(0, n=40)
    twins = Candidates(given.probabilities, lambda rows: np.tile(np.float32([1, 0]), (len(rows), 1)), given.labelled)
    strangers = templates(twins, list(range(40)))
    assert strangers.wording is not None
    strangers.wording["unknown"] = 1
    plain = MARGIN(strangers, 10, np.random.default_rng(0))
    assert spread(MARGIN, 0.9)(strangers, 10, np.random.default_rng(0)).indices.tolist() == plain.indices.tolist()
    strangers.wording["signature"][plain.indices[1]] = strangers.wording["signature"][plain.indices[0]]
    found = spread(MARGIN, 0.9)(strangers, 10, np.random.default_rng(0)).indices.tolist()
    assert plain.indices[1] not in found
    assert found[0] == plain.indices[0]


def test_chance_stays_chance() -> None:
    given = clustered(0, n=50)
    plain = STRATEGIES["random"](given, 20, np.random.default_rng(3))
    wrapped = spread(STRATEGIES["random"], 0.5)(given, 20, np.random.default_rng(3))
    assert wrapped.indices.tolist() == plain.indices.tolist()
    assert (wrapped.propensity == 20 / 50).all()


def part_chance(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Three places for chance, the others by margin."""
    return mixed(candidates, np.array(["random"] * 3 + ["uncertain"] * (k - 3), dtype=object)[:k], rng)


def test_what_chance_drew_stays_and_its_propensity_is_how_often_it_is_drawn() -> None:
    twins = clustered(0, n=40)
    given = Candidates(twins.probabilities, lambda rows: vectors_of(twins)[rows // 2], twins.labelled)  # pairs
    beside = given.take(np.array([0, 6]))
    counts, changed = np.zeros(40), 0
    for seed in range(800):
        plain = part_chance(given, 10, np.random.default_rng(seed))
        found = spread(part_chance, 0.999, beside)(given, 10, np.random.default_rng(seed))
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


def test_a_batch_has_one_item_of_a_group_until_nothing_else_is_left() -> None:
    given = clustered(0, n=200)
    of = np.arange(200) // 20  # ten groups
    of[190:] = -1  # of none
    grouped = replace(given, groups=of)
    found = spread(MARGIN, 0.9999)(grouped, 15, np.random.default_rng(0))
    own = of[found.indices]
    assert len(set(own[own >= 0].tolist())) == (own >= 0).sum()
    best = [row for row in np.argsort(-margin_of(given.probabilities), kind="stable").tolist() if of[row] >= 0]
    assert best[0] in found.indices
    assert len(set(spread(MARGIN, 0.9999)(grouped, 60, np.random.default_rng(0)).indices.tolist())) == 60
    without = spread(MARGIN, 0.9)(given, 15, np.random.default_rng(0))
    alone = spread(MARGIN, 0.9)(replace(given, groups=np.full(200, -1)), 15, np.random.default_rng(0))
    assert alone.indices.tolist() == without.indices.tolist()


def test_no_item_of_a_group_that_is_in_the_batch_already() -> None:
    given = replace(clustered(0, n=60), groups=np.arange(60) % 3)
    beside = given.take(np.array([0, 1]))
    found = spread(MARGIN, 0.9999, beside)(given.take(np.arange(2, 60)), 1, np.random.default_rng(0))
    assert given.groups is not None and given.groups[2:][found.indices].tolist() == [2]
