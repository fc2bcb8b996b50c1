"""Strategies that go by vectors alone, against their definitions written out; one item from every corner of the pool,
whatever the pool looks like."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from labelwise.tasks.strategies import Candidates, Choice, diversity
from labelwise.tasks.strategies.base import Floats
from labelwise.tasks.strategies.clusters import clustered as clusters_of
from labelwise.tasks.strategies.diversity import medoids, typiclust
from tests.tasks.strategies.cases import clustered, vectors_of

RNG = np.random.default_rng


def candidates(vectors: Floats) -> Candidates:
    """Candidates of round 0: no model, so no probabilities."""
    return Candidates(np.full((len(vectors), 3), np.nan, dtype=np.float32), gather=lambda rows: vectors[rows])


def clusters(sizes: list[int], seed: int = 0) -> tuple[Floats, np.ndarray]:
    """Unit vectors in tight clusters at right angles to each other, mixed; and the cluster of each."""
    of = RNG(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    vectors = np.eye(len(sizes), 16)[of] + RNG(seed).normal(0, 0.01, (len(of), 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), of


def assert_distinct(choice: Choice, n: int, k: int) -> None:
    assert len(choice.indices) == len(choice.scores) == len(choice.propensity) == k
    assert len(set(choice.indices.tolist())) == k
    assert choice.indices.min() >= 0
    assert choice.indices.max() < n


@pytest.mark.parametrize("seed", range(5))
def test_one_of_each_cluster_large_clusters_first(seed: int) -> None:
    vectors, of = clusters([200, 20, 90, 45], seed)
    choice = medoids(candidates(vectors), 4, RNG(seed))
    assert of[choice.indices].tolist() == [0, 2, 3, 1]


def test_the_item_nearest_to_the_centre_is_taken() -> None:
    angles = np.linspace(-0.2, 0.2, 41)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    (index,) = medoids(candidates(vectors), 1, RNG(0)).indices
    assert abs(angles[index]) <= 0.011


def test_the_same_seed_gives_the_same_batch_and_another_seed_another() -> None:
    vectors = RNG(0).normal(size=(300, 8)).astype(np.float32)
    choices = [medoids(candidates(vectors), 10, RNG(seed)).indices.tolist() for seed in (1, 1, 2)]
    assert choices[0] == choices[1]
    assert set(choices[0]) != set(choices[2])


@pytest.mark.parametrize("n", [2, 5, 40])
@pytest.mark.parametrize("distinct", [1, 2])
def test_vectors_that_are_alike(n: int, distinct: int) -> None:
    vectors = np.eye(2, 8, dtype=np.float32)[np.arange(n) % distinct]
    for k in (1, 2, n - 1, n):
        assert_distinct(medoids(candidates(vectors), k, RNG(0)), n, k)


def test_the_whole_pool() -> None:
    vectors, _ = clusters([3, 4])
    assert_distinct(medoids(candidates(vectors), 7, RNG(0)), 7, 7)


def test_a_large_pool_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diversity, "MOST_CLUSTERED", 60)
    vectors, of = clusters([300, 200, 100])
    read: list[int] = []

    def gather(rows: np.ndarray) -> Floats:
        read.extend(rows.tolist())
        return vectors[rows]

    choice = medoids(Candidates(np.full((600, 3), np.nan), gather), 3, RNG(0))

    assert sorted(of[choice.indices]) == [0, 1, 2]
    assert len(set(read)) == len(read) == 60
    assert max(read) > 500  # not only the head of the pool
    for k in (60, 61, 600):  # a batch as large as the sample, or larger
        assert_distinct(medoids(candidates(vectors), k, RNG(0)), 600, k)


# Clusters


def literal_clusters(vectors: Floats, c: int, rng: np.random.Generator) -> tuple[list[int], Floats]:
    """Greedy k-means++ and three steps of spherical k-means: the cluster of each, and the centres."""
    n = len(vectors)
    away = [
        [max(2 - 2 * float(a @ b), 0) if i != j else 0.0 for j, b in enumerate(vectors)] for i, a in enumerate(vectors)
    ]
    taken = [int(rng.integers(n))]
    while len(taken) < c:
        left = [min(away[row][seed] for seed in taken) for row in range(n)]
        total = np.cumsum(left)
        tried = [next(row for row in range(n) if total[row] > one * total[-1]) for one in rng.random(24)]
        leaving = [sum(min(left[row], away[row][one]) for row in range(n)) for one in tried]
        taken.append(tried[int(np.argmin(leaving))])
    centres = vectors[taken].astype(np.float64)
    for _ in range(3):
        owners = [max(range(c), key=lambda one: float(vector @ centres[one])) for vector in vectors]
        for one in range(c):
            total = sum(
                vector.astype(np.float64) for vector, owner in zip(vectors, owners, strict=True) if owner == one
            )
            centres[one] = total / np.linalg.norm(total)
    return [max(range(c), key=lambda one: float(vector @ centres[one])) for vector in vectors], centres


@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_those_of_k_means(seed: int) -> None:
    vectors = vectors_of(clustered(seed, n=50))
    owners, centres = clusters_of(vectors, 7, RNG(seed))
    literal, literal_centres = literal_clusters(vectors, 7, RNG(seed))
    assert owners.tolist() == literal
    np.testing.assert_allclose(centres, literal_centres, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_medoids_are_the_items_nearest_to_the_centres_large_clusters_first(seed: int) -> None:
    given = clustered(seed, n=50)
    vectors, rng = vectors_of(given), RNG(seed)
    owners, centres = literal_clusters(vectors, 9, rng)
    by_size = sorted(range(9), key=lambda one: -owners.count(one))
    literal: list[int] = []
    for one in by_size:
        nearest = min(range(50), key=lambda row: float(np.linalg.norm(vectors[row] - centres[one])))
        literal += [nearest] if nearest not in literal else []
    rest = [row for row in range(50) if row not in literal]
    literal += rng.choice(rest, 9 - len(literal), replace=False).tolist()
    assert medoids(given, 9, RNG(seed)).indices.tolist() == literal


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [3, 11])
def test_typiclust_takes_the_most_typical_of_the_clusters_with_fewest_labels(seed: int, k: int) -> None:
    given = clustered(seed, n=50, m=6)
    vectors = vectors_of(given)
    owners, _ = literal_clusters(np.vstack([vectors, given.labelled.vectors]), 6 + k, RNG(seed))
    size = [owners[:50].count(one) for one in range(6 + k)]
    held = [owners[50:].count(one) for one in range(6 + k)]

    def typical(row: int) -> float:
        others = [at for at in range(50) if owners[at] == owners[row] and at != row]
        away = sorted(float(np.linalg.norm(vectors[row] - vectors[at])) for at in others)[:20]
        return 1 / (float(np.mean(away)) + 1e-6) if away else 0.0

    found = typiclust(given, k, RNG(seed)).indices.tolist()
    for place, pick in enumerate(found):
        left = {one: [r for r in range(50) if owners[r] == one and r not in found[:place]] for one in range(6 + k)}
        own = min((one for one in left if left[one]), key=lambda one: (held[one], -size[one], one))
        assert owners[pick] == own
        assert typical(pick) == pytest.approx(max(typical(row) for row in left[own]), rel=1e-3)  # two alone tie
        held[own] += 1


def test_in_a_large_cluster_a_thousand_tell_what_is_typical(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = vectors_of(clustered(0, n=1500))
    found = diversity.typicality(vectors)
    monkeypatch.setattr(diversity, "COMPARED", 1500)
    assert spearmanr(found, diversity.typicality(vectors)).statistic > 0.95
