"""Each strategy against a slow, literal version of its definition."""

import math

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.linear_model import LogisticRegression

from labelwise.tasks.strategies import Candidates, Labelled, conformal, diversity, heads
from labelwise.tasks.strategies import hybrid as hybrids
from labelwise.tasks.strategies.base import Floats
from labelwise.tasks.strategies.clusters import clustered as clustered_vectors
from labelwise.tasks.strategies.synthesis import synthesise
from labelwise.tasks.strategies.uncertainty import margin_of
from tests.tasks.strategies.cases import clustered, picks, ranked, unit, vectors_of

SEEDS = range(6)


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


@pytest.mark.parametrize("answered", [False, True])
def test_prob_cover_covers_most_each_time(answered: bool) -> None:
    given = clustered(3, n=80)
    vectors = vectors_of(given)
    if not answered:
        given = Candidates(given.probabilities, given.gather)
    found = picks("prob_cover", given, 6)
    pseudo, _ = clustered_vectors(vectors, 3, np.random.default_rng(0))
    threshold = diversity.pure_cosine(vectors @ vectors.T, pseudo)
    balls = [{at for at in range(80) if float(vectors[row] @ vectors[at]) >= threshold} for row in range(80)]
    covered = {
        at for at in range(80) if any(float(vectors[at] @ known) >= threshold for known in given.labelled.vectors)
    }
    assert bool(covered) is answered
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
def test_cal_is_the_mean_divergence_from_the_nearest_answers(seed: int) -> None:
    given = clustered(seed, m=14)
    known = given.labelled
    scores = []
    for p, h in zip(given.probabilities.tolist(), vectors_of(given), strict=True):
        near = sorted(range(14), key=lambda at: float(np.linalg.norm(known.vectors[at] - h)))[:10]
        neighbours = [known.probabilities[at].tolist() for at in near]
        scores.append(np.mean([sum(q * math.log(q / r) for q, r in zip(n, p, strict=True)) for n in neighbours]))
    assert picks("cal", given, 9) == ranked(scores, 9)


@pytest.mark.parametrize("seed", SEEDS)
def test_density_is_margin_times_mean_similarity(seed: int) -> None:
    given = clustered(seed)
    vectors = vectors_of(given).astype(np.float64)
    margins = margin_of(given.probabilities)
    scores = [margins[row] * max(np.mean([vectors[row] @ other for other in vectors]), 0) for row in range(60)]
    assert picks("density", given, 9) == ranked(scores, 9)


def test_cluster_margin_takes_the_least_sure_of_each_cluster_small_clusters_first() -> None:
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


@pytest.mark.parametrize("seed", range(3))
def test_discriminative_takes_what_is_least_like_the_labelled_in_ten_parts(seed: int) -> None:
    given = clustered(seed)
    vectors = vectors_of(given)
    batch: list[int] = []
    for size in [2] * 3 + [1] * 7:  # thirteen
        left = [row for row in range(60) if row not in batch]
        known = [*given.labelled.vectors, *vectors[batch]]
        judge = LogisticRegression(class_weight="balanced", max_iter=200)
        judge.fit(np.vstack([*known, *vectors[left]]), [0] * len(known) + [1] * len(left))
        unlike = judge.predict_proba(vectors)[:, 1].tolist()
        batch += sorted(left, key=lambda row: -unlike[row])[:size]
    assert picks("discriminative", given, 13, seed) == batch


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


# What is the default


@pytest.mark.parametrize(("m", "name"), [(29, "badge"), (30, "margin"), (90, "margin")])
def test_auto_is_badge_up_to_ten_labels_a_class_then_margin(m: int, name: str) -> None:
    given = clustered(0, m=m)
    assert picks("auto", given, 9, seed=3) == picks(name, given, 9, seed=3)


# Conformal


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


# Mismatch, synthesis


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
