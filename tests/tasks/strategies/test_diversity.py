"""Medoids: one item from every corner of the pool, whatever the pool looks like."""

import numpy as np
import pytest

from tasks.strategies import Candidates, Choice, diversity
from tasks.strategies.base import Floats
from tasks.strategies.diversity import medoids

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
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
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
