"""Each strategy against a slow, literal version of its definition."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.linear_model import LogisticRegression

from tasks.strategies import (
    STRATEGIES,
    Candidates,
    Labelled,
    bayesian,
    committee,
    conformal,
    diversity,
    expected,
    exploration,
    heads,
)
from tasks.strategies import hybrid as hybrids
from tasks.strategies.base import Floats
from tasks.strategies.clusters import clustered as clustered_vectors
from tasks.strategies.stream import Threshold
from tasks.strategies.synthesis import synthesise
from tasks.strategies.uncertainty import margin_of
from tests.tasks.strategies.cases import clustered, unit, vectors_of

SEEDS = range(6)


def picks(name: str, candidates: Candidates, k: int, seed: int = 0) -> list[int]:
    return STRATEGIES[name](candidates, k, np.random.default_rng(seed)).indices.tolist()


def ranked(scores: list[float], k: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda row: -scores[row])[:k]


# Diversity


def literal_farthest(vectors: Floats, centres: list[Floats], k: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(k):
        away = [
            -1.0 if row in chosen else min(float(np.linalg.norm(vector - centre)) for centre in centres)
            for row, vector in enumerate(vectors)
        ]
        chosen.append(int(np.argmax(away)))
        centres = [*centres, vectors[chosen[-1]]]
    return chosen


@pytest.mark.parametrize("seed", SEEDS)
def test_k_centre_takes_the_farthest_each_time(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diversity, "FRONT", 5)  # so that it must look at all candidates again and again
    given = clustered(seed)
    assert picks("k_centre", given, 12) == literal_farthest(vectors_of(given), list(given.labelled.vectors), 12)


@pytest.mark.parametrize("seed", SEEDS)
def test_k_centre_without_labels_starts_anywhere(seed: int) -> None:
    given = clustered(seed)
    alone = Candidates(given.probabilities, given.gather)
    found = picks("k_centre", alone, 12, seed)
    vectors = vectors_of(given)
    assert found[1:] == literal_farthest(vectors, [vectors[found[0]]], 11)


def test_typicality_is_one_over_the_mean_distance_to_the_nearest_twenty() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(30, 4)))
    for row, found in enumerate(diversity.typicality(vectors)):
        away = sorted(float(np.linalg.norm(vectors[row] - other)) for at, other in enumerate(vectors) if at != row)
        assert found == pytest.approx(1 / np.mean(away[:20]), rel=1e-3)


def test_typiclust_takes_the_most_typical_item_of_clusters_without_labels() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(8)
    sizes = [30, 20, 10, 10]
    vectors = unit(np.concatenate([centres[at] + rng.normal(0, 0.1, (size, 8)) for at, size in enumerate(sizes)]))
    owner = np.repeat(np.arange(4), sizes)
    answered = Labelled(vectors[:1], np.array([0]), np.ones((1, 2), np.float32) / 2, np.ones(1, int), np.array(["x"]))
    given = Candidates(np.full((70, 2), 0.5, np.float32), lambda rows: vectors[rows], answered)
    found = picks("typiclust", given, 3)
    assert owner[found].tolist()[0] == 1  # the largest cluster without a label
    assert sorted(owner[found].tolist()) == [1, 2, 3]
    own = np.flatnonzero(owner == 1)
    assert found[0] == own[diversity.typicality(vectors[own]).argmax()]


def test_prob_cover_covers_most_each_time() -> None:
    given = clustered(3, n=80)
    vectors = vectors_of(given)
    alone = Candidates(given.probabilities, given.gather)
    found = picks("prob_cover", alone, 6)
    pseudo, _ = clustered_vectors(vectors, 3, np.random.default_rng(0))
    threshold = diversity.pure_cosine(vectors @ vectors.T, pseudo)
    balls = [{at for at in range(80) if float(vectors[row] @ vectors[at]) >= threshold} for row in range(80)]
    covered: set[int] = set()
    for pick in found:
        gains = [len(ball - covered) for ball in balls]
        if max(gains) == 0:
            break
        assert gains[pick] == max(gains)
        covered |= balls[pick]
    assert len(covered) > 6


def test_balls_are_as_large_as_they_can_be_with_95_in_100_pure() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(200, 3)))
    clusters = (vectors[:, 0] > 0).astype(int)
    similar = vectors @ vectors.T

    def pure(threshold: float) -> float:
        return float(np.mean([len(set(clusters[similar[row] >= threshold])) == 1 for row in range(200)]))

    threshold = diversity.pure_cosine(similar, clusters)
    assert pure(threshold) >= 0.95 > pure(threshold - 0.02)


# Hybrids


def gradients(given: Candidates) -> Floats:
    """The embeddings of BADGE, written out."""
    rows = []
    for p, h in zip(given.probabilities, vectors_of(given), strict=True):
        error = p.copy()
        error[int(p.argmax())] -= 1
        rows.append(np.outer(error, h).ravel())
    return np.array(rows)


def test_badge_starts_with_the_longest_gradient_and_draws_as_k_means_plus_plus() -> None:
    given = clustered(0, n=8)
    g = gradients(given)
    first = int(np.linalg.norm(g, axis=1).argmax())
    drawn = [picks("badge", given, 3, seed) for seed in range(3000)]
    assert {found[0] for found in drawn} == {first}
    expected_share: dict[tuple[int, int], float] = {}
    from_first = ((g - g[first]) ** 2).sum(axis=1)
    for second in range(8):
        nearer = np.minimum(from_first, ((g - g[second]) ** 2).sum(axis=1))
        for third in range(8):
            share = from_first[second] / from_first.sum() * nearer[third] / nearer.sum() if second != first else 0
            if share > 1e-9:
                expected_share[second, third] = float(share)
    pairs = list(expected_share)
    seen = np.array([sum(tuple(found[1:]) == pair for found in drawn) for pair in pairs])
    assert seen.sum() == len(drawn)
    shares = np.array([expected_share[pair] for pair in pairs])
    assert chisquare(seen, shares / shares.sum() * len(drawn)).pvalue > 0.001


@pytest.mark.parametrize("seed", SEEDS)
def test_contrastive_is_the_mean_divergence_from_the_nearest_answers(seed: int) -> None:
    given = clustered(seed, m=14)
    known = given.labelled
    scores = []
    for p, h in zip(given.probabilities.tolist(), vectors_of(given), strict=True):
        near = sorted(range(14), key=lambda at: float(np.linalg.norm(known.vectors[at] - h)))[:10]
        neighbours = [known.probabilities[at].tolist() for at in near]
        scores.append(np.mean([sum(q * math.log(q / r) for q, r in zip(n, p, strict=True)) for n in neighbours]))
    assert picks("contrastive", given, 9) == ranked(scores, 9)


@pytest.mark.parametrize("seed", SEEDS)
def test_density_is_margin_times_mean_similarity(seed: int) -> None:
    given = clustered(seed)
    vectors = vectors_of(given).astype(np.float64)
    margins = margin_of(given.probabilities)
    scores = [margins[row] * max(np.mean([vectors[row] @ other for other in vectors]), 0) for row in range(60)]
    assert picks("density", given, 9) == ranked(scores, 9)


def test_cluster_margin_takes_from_small_clusters_first_and_each_in_turn() -> None:
    given = clustered(2, n=40)
    found = picks("cluster_margin", given, 4)
    rows = np.argsort(-margin_of(given.probabilities), kind="stable")[:40]
    clusters = hybrids.AgglomerativeClustering(4, linkage="average").fit(vectors_of(given)[rows]).labels_
    own = clusters[[rows.tolist().index(row) for row in found]]
    sizes = np.bincount(clusters)
    assert len(set(own.tolist())) == 4
    assert sizes[own].tolist() == sorted(sizes)
    for row, cluster in zip(found, own, strict=True):
        assert row == rows[np.flatnonzero(clusters == cluster)[0]]


def test_discriminative_takes_what_is_least_like_the_labelled() -> None:
    given = clustered(1)
    vectors = vectors_of(given)
    both = np.vstack([given.labelled.vectors, vectors])
    which = [0] * 8 + [1] * 60
    judge = LogisticRegression(class_weight="balanced", max_iter=200).fit(both, which)
    assert picks("discriminative", given, 1) == [int(judge.predict_proba(vectors)[:, 1].argmax())]


def literal_bait(given: Candidates, k: int) -> list[int]:
    def weighted(vectors: Floats, p: Floats) -> Floats:
        return vectors.astype(np.float64) * np.sqrt((p * (1 - p)).sum(axis=1))[:, None]

    own = weighted(vectors_of(given), given.probabilities)
    known = weighted(given.labelled.vectors, given.labelled.probabilities)
    pool = sum(np.outer(v, v) for v in own) / len(own)
    base = np.eye(own.shape[1]) + sum(np.outer(v, v) for v in known)

    def left(batch: list[int]) -> float:
        return float(np.trace(np.linalg.inv(base + sum((np.outer(own[row], own[row]) for row in batch), 0)) @ pool))

    batch: list[int] = []
    for _ in range(2 * k):
        batch.append(min((row for row in range(len(own)) if row not in batch), key=lambda row: left([*batch, row])))
    while len(batch) > k:
        batch.remove(min(batch, key=lambda row: left([other for other in batch if other != row])))
    return batch


@pytest.mark.parametrize("seed", range(3))
def test_bait_makes_the_trace_small_forwards_and_backwards(seed: int) -> None:
    given = clustered(seed, n=30)
    assert sorted(picks("bait", given, 4)) == sorted(literal_bait(given, 4))


# Committees and posteriors


MEMBERS = np.random.default_rng(0).dirichlet(np.ones(4), (5, 20))  # (T, n, c)


def entropy(p: Floats) -> float:
    return -sum(float(x) * math.log(x) for x in p if x > 0)


def test_vote_entropy_is_that_of_the_votes() -> None:
    for row, found in enumerate(committee.vote_entropy_of(MEMBERS)):
        votes = [int(MEMBERS[t, row].argmax()) for t in range(5)]
        assert found == pytest.approx(entropy(np.array([votes.count(label) / 5 for label in range(4)])))


def test_consensus_kl_is_the_mean_divergence_from_the_mean() -> None:
    for row, found in enumerate(committee.consensus_kl_of(MEMBERS)):
        mean = MEMBERS[:, row].mean(axis=0)
        parts = [sum(p * math.log(p / q) for p, q in zip(MEMBERS[t, row], mean, strict=True)) for t in range(5)]
        assert found == pytest.approx(np.mean(parts))


def test_a_committee_knows_every_class_that_has_a_label() -> None:
    known = clustered(0, m=4, c=3).labelled
    for member in committee.members(known, 5, np.random.default_rng(0)):
        assert np.isfinite(member.bias).tolist() == [True, True, True, False, False]


def literal_joint(p: Floats, batch: list[int]) -> float:
    """I(outcomes of the batch; draw), by going through every outcome."""
    t, _, c = p.shape
    joint = 0.0
    for outcome in itertools.product(range(c), repeat=len(batch)):
        mass = np.mean([np.prod([p[draw, row, y] for row, y in zip(batch, outcome, strict=True)]) for draw in range(t)])
        joint -= mass * math.log(mass)
    return joint - float(np.mean([sum(entropy(p[draw, row]) for row in batch) for draw in range(t)]))


def test_batch_bald_gains_are_those_of_the_joint_outcomes() -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(3) / 2, (6, 5))
    joint, weight = np.ones((1, 6)), np.ones(1)
    batch: list[int] = []
    total = 0.0
    for pick in (2, 0, 4):
        gains = bayesian.joint_entropy(joint, weight, p)
        conditional = [np.mean([entropy(p[t, row]) for t in range(6)]) for row in range(5)]
        known = sum(conditional[row] for row in batch)
        for row in set(range(5)) - set(batch):
            assert gains[row] - conditional[row] - known == pytest.approx(literal_joint(p, [*batch, row]))
        batch.append(pick)
        joint, weight = bayesian.followed(joint, weight, p[:, pick], np.random.default_rng(0))
        total = literal_joint(p, batch)
    assert total > 0


def test_outcomes_that_are_drawn_give_nearly_the_same() -> None:
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.ones(3), (20, 7))
    joint, weight = np.ones((1, 20)), np.ones(1)
    for row in range(6):  # 729 outcomes, of which 200 are drawn
        joint, weight = bayesian.followed(joint, weight, p[:, row], rng)
    assert len(joint) == bayesian.OUTCOMES
    found = bayesian.joint_entropy(joint, weight, p)[6] - sum(
        np.mean([entropy(p[t, row]) for t in range(20)]) for row in range(7)
    )
    assert found == pytest.approx(literal_joint(p, list(range(7))), rel=0.2)


@pytest.mark.parametrize("posterior", [bayesian.laplace, bayesian.dropout, bayesian.hypermodel])
def test_a_posterior_is_surer_where_it_has_seen_more(posterior: bayesian.Posterior) -> None:
    few, many = clustered(5, m=6), clustered(5, m=300)
    told = [
        committee.consensus_kl_of(
            posterior(one.labelled, 3, 40, np.random.default_rng(0)).probabilities(vectors_of(few))
        ).mean()
        for one in (few, many)
    ]
    if posterior is bayesian.dropout:  # its width does not follow the labels: known, and why Laplace is the default
        assert min(told) > 0
    else:
        assert told[1] < told[0]


def test_the_laplace_posterior_is_the_inverse_of_the_literal_hessian_for_one_class_against_another() -> None:
    known = clustered(1, m=30, c=2, d=3).labelled
    head = heads.fit(known.vectors, known.labels, 2)
    p = head.probabilities(known.vectors).astype(np.float64)
    mean = sum(np.diag(row) - np.outer(row, row) for row in p) / len(p)
    precision = np.kron(mean, known.vectors.T @ known.vectors) + np.eye(6) / heads.INVERSE_REGULARISATION
    draws = bayesian.laplace(known, 2, 40_000, np.random.default_rng(0)).weights.reshape(40_000, 6)
    expected_covariance = np.linalg.inv(precision)
    np.testing.assert_allclose(np.cov(draws.T), expected_covariance, atol=0.05 * expected_covariance.max())


def test_bald_takes_the_items_of_most_mutual_information() -> None:
    given = clustered(4)
    draws = bayesian.laplace(given.labelled, 3, bayesian.DRAWS, np.random.default_rng(0)).probabilities(
        vectors_of(given)
    )
    scores = [entropy(draws[:, row].mean(axis=0)) - np.mean([entropy(one[row]) for one in draws]) for row in range(60)]
    assert picks("bald", given, 9) == ranked(scores, 9)


def test_power_bald_draws_in_proportion() -> None:
    given = clustered(4, n=5)
    draws = bayesian.laplace(given.labelled, 3, bayesian.DRAWS, np.random.default_rng(0)).probabilities(
        vectors_of(given)
    )
    scores = committee.consensus_kl_of(draws)
    rng = np.random.default_rng(0)
    firsts = [int((np.log(scores + 1e-12) + rng.gumbel(size=5)).argmax()) for _ in range(4000)]
    np.testing.assert_allclose(np.bincount(firsts, minlength=5) / 4000, scores / scores.sum(), atol=0.04)
    assert len(set(picks("power_bald", given, 5))) == 5


# Expected change, conformal


@pytest.mark.parametrize("seed", SEEDS)
def test_gradient_length_is_expected_over_the_classes(seed: int) -> None:
    given = clustered(seed)
    scores = []
    for p, h in zip(given.probabilities.astype(np.float64), vectors_of(given), strict=True):
        lengths = [np.linalg.norm(np.outer(p - np.eye(3)[y], np.append(h, 1))) for y in range(3)]
        scores.append(float(p @ lengths))
    found = expected.gradient_length_of(given.probabilities)
    order = np.argsort(-found)
    np.testing.assert_array_equal(order[:9], ranked(scores, 9))


def p_values(given: Candidates, seed: int = 0) -> Floats:
    return np.concatenate([values for _, values in conformal.p_values(given, np.random.default_rng(seed))])


def test_the_p_value_is_the_share_of_answers_at_least_as_strange() -> None:
    given = clustered(6, m=20)
    known, vectors = given.labelled, vectors_of(given)
    at_least = np.ones((60, 3))
    for fold in conformal.folds(20, np.random.default_rng(0)):
        others = [row for row in range(20) if row not in fold]
        head = heads.fit(known.vectors[others], known.labels[others], 3)
        strange = [1 - head.probabilities(known.vectors[[row]])[0, known.labels[row]] for row in fold]
        for row in range(60):
            p = head.probabilities(vectors)[row]
            for label in range(3):
                at_least[row, label] += sum(bool(one >= 1 - p[label]) for one in strange)
    np.testing.assert_allclose(p_values(given), at_least / 21)


def test_nine_in_ten_prediction_sets_hold_the_truth() -> None:
    held = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        centres = 2 * rng.normal(size=(3, 6))
        labels = np.concatenate([np.arange(3), rng.integers(3, size=257)])
        vectors = unit(centres[labels] + rng.normal(size=(260, 6)))
        p = np.full((260, 3), 1 / 3, np.float32)
        known = Labelled(vectors[:60], labels[:60], p[:60], np.ones(60, int), np.full(60, "x", dtype=object))
        given = Candidates(p[60:], lambda rows, v=vectors[60:]: v[rows], known)
        held.append((p_values(given, seed) > conformal.LEVEL)[np.arange(200), labels[60:]].mean())
    assert 0.86 < np.mean(held) < 0.97


def test_conformal_strategies_follow_the_p_values() -> None:
    given = clustered(7, m=30)
    values, margins = p_values(given), margin_of(given.probabilities)
    sizes = (values > conformal.LEVEL).sum(axis=1)
    assert picks("conformal_size", given, 9) == sorted(range(60), key=lambda row: (-sizes[row], -margins[row]))[:9]
    credibility = values.max(axis=1)
    assert picks("conformal_p", given, 9) == sorted(range(60), key=lambda row: (credibility[row], -margins[row]))[:9]


# Mismatch, exploration, streams


@pytest.mark.parametrize("seed", SEEDS)
def test_mismatches_come_first_and_each_is_the_farthest(seed: int) -> None:
    given = clustered(seed, n=40)
    vectors, known = vectors_of(given).astype(np.float64), given.labelled
    nearest = [int(known.labels[int((known.vectors @ vector).argmax())]) for vector in vectors]
    differs = [guess != int(p.argmax()) for guess, p in zip(nearest, given.probabilities, strict=True)]
    batch: list[int] = []
    for _ in range(12):
        kind = any(differ and row not in batch for row, differ in enumerate(differs))
        open_ = [row for row, differ in enumerate(differs) if differ == kind and row not in batch]
        centres = [*known.vectors.astype(np.float64), *vectors[batch]]
        batch.append(max(open_, key=lambda row: min(float(np.linalg.norm(vectors[row] - one)) for one in centres)))
    assert picks("mismatch_first", given, 12) == batch


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


def test_a_bandit_asks_more_of_the_arm_that_has_earned_more() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(6)[:3]

    def drawn(labels: Floats, spread: float) -> Floats:
        return unit(centres[labels] + rng.normal(0, spread, (len(labels), 6)))

    rounds = np.repeat(np.arange(1, 7), 12)
    why = np.tile(np.repeat(np.array(["random", "uncertain", "diverse"], dtype=object), 4), 6)
    labels = rng.integers(3, size=72)
    vectors = drawn(labels, 0.5)
    wrong = why == "diverse"
    labels = np.where(wrong, (labels + 1) % 3, labels)  # what is farthest is mislabelled: it teaches wrong things
    p = np.full((500, 3), 1 / 3, np.float32)
    pool = drawn(rng.integers(3, size=500), 0.5)
    given = Candidates(p, lambda rows: pool[rows], Labelled(vectors, labels, p[:72], rounds, why))
    asked = [STRATEGIES["bandit"](given, 60, np.random.default_rng(seed)).why for seed in range(20)]
    shares = {arm: np.mean([(one == arm).mean() for one in asked]) for arm in ("random", "uncertain", "diverse")}
    assert shares["diverse"] < shares["random"]
    assert min(shares.values()) > 0.05


def test_without_a_past_all_arms_are_alike() -> None:
    given = clustered(0, n=300)
    asked = np.concatenate([STRATEGIES["bandit"](given, 60, np.random.default_rng(seed)).why for seed in range(30)])
    assert {arm: round((asked == arm).mean(), 1) for arm in ("random", "uncertain", "diverse")} == {
        "random": 0.3,
        "uncertain": 0.3,
        "diverse": 0.3,
    }


def test_a_stream_keeps_to_its_budget_and_asks_the_less_sure() -> None:
    rng = np.random.default_rng(0)
    threshold, asked, sure = Threshold(budget=0.1), [], rng.random(20_000)
    for uncertainty in sure:
        ask, threshold = threshold.decide(float(uncertainty))
        if ask:
            asked.append(uncertainty)
    assert 1800 < len(asked) <= 2001
    assert np.mean(asked) > 0.85  # with all to choose from, it would be 0.95


def test_synthetic_texts_join_neighbours_of_two_classes_and_are_marked() -> None:
    texts = ["my card is lost", "my card was charged twice today", "what is the weather", "my card is gone"]
    vectors = unit(np.array([[1, 0.1], [1, 0.2], [-1, 0.5], [1, 0.0]]))
    made = synthesise(texts, vectors, np.array([0, 1, 2, 0]), 2, np.random.default_rng(0))
    assert len(made) == 2
    assert made.synthetic.all()
    assert not set(made.text) & set(texts)
    for row in made.itertuples():
        assert {row.parent_a, row.parent_b} & {0, 1}
    nothing = synthesise(texts, vectors, np.zeros(4, int), 2, np.random.default_rng(0))
    assert nothing.empty


@pytest.mark.parametrize("seed", range(3))
def test_error_reduction_is_the_fall_in_doubt_after_a_step_for_each_answer(seed: int) -> None:
    given = clustered(seed, n=25)
    update = expected.Update(given)
    sample, tried = vectors_of(given)[:10], vectors_of(given)[10:]
    found = expected.expected_reductions(update, sample, tried)
    known = expected.with_bias(given.labelled.vectors).astype(np.float64)
    ridge = np.diag([2 / heads.INVERSE_REGULARISATION] * 6 + [0.0])

    def doubt(logits: Floats) -> float:
        p = np.exp(logits - logits.max())
        return entropy(p / p.sum())

    for at, x in enumerate(tried.astype(np.float64)):
        x = np.append(x, 1)
        p = np.exp(update.logits(tried[[at]]))[0]
        p /= p.sum()
        curvature = np.linalg.inv((known.T @ known + ridge + np.outer(x, x)) / 2)
        after = 0.0
        for answer in range(3):
            step = np.outer(np.eye(3)[answer] - p, curvature @ x)
            moved = [update.logits(z[None])[0] + step @ np.append(z, 1) for z in sample]
            after += p[answer] * float(np.mean([doubt(one) for one in moved]))
        before = float(np.mean([doubt(update.logits(z[None])[0]) for z in sample]))
        assert found[at] == pytest.approx(before - after, abs=1e-4)


def test_without_a_past_every_epsilon_of_the_grid_is_as_likely() -> None:
    given = clustered(0, n=300)
    asked = [STRATEGIES["exponentiated_gradient"](given, 50, np.random.default_rng(seed)).why for seed in range(300)]
    shares = np.array([(one == "random").mean() for one in asked])
    assert abs(shares.mean() - exploration.EPSILONS.mean()) < 0.05
    assert shares.min() < 0.1
    assert shares.max() > 0.7


def test_with_a_past_epsilon_follows_what_chance_was_worth() -> None:
    rng = np.random.default_rng(0)
    rounds = np.repeat(np.arange(1, 9), 10)
    why = np.tile(np.repeat(np.array(["random", "uncertain"], dtype=object), 5), 8)
    labels = rng.integers(3, size=80)
    vectors, pool = unit(np.eye(6)[:3][labels] + rng.normal(0, 0.4, (80, 6))), unit(rng.normal(size=(300, 6)))
    p = np.full((300, 3), 1 / 3, np.float32)
    shares = []
    for taught in (
        np.where(why == "uncertain", (labels + 1) % 3, labels),
        labels,
    ):  # uncertain answers all wrong; right
        given = Candidates(p, lambda rows: pool[rows], Labelled(vectors, taught, p[:80], rounds, why))
        batches = [STRATEGIES["exponentiated_gradient"](given, 50, np.random.default_rng(seed)) for seed in range(100)]
        shares.append(np.mean([(one.why == "random").mean() for one in batches]))
    assert shares[0] > shares[1]
