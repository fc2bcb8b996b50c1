"""Clusters of unit vectors, for the strategies that ask one item of each."""

import numpy as np
from scipy.sparse import csr_array

from tasks.strategies.base import SIMILARITIES, Floats, Indices

SEEDED_FROM, LEARNED_FROM = 2048, 4096  # items at least, or so many for each cluster:
SEEDS_EACH, LEARNED_EACH = 10, 20
TRIALS = 24  # items drawn for each seed, of which the best is taken
STEPS = 3


def clustered(vectors: Floats, c: int, rng: np.random.Generator) -> tuple[Indices, Floats]:
    """(n,) the cluster of each of (n, d) unit vectors, and (c, d) the centres, of unit length; c <= n. Where vectors
    are alike, some clusters are empty.

    Spherical k-means (Dhillon & Modha 2001): a centre is the direction of the mean. Centres settle on few items (as in
    mini-batch k-means: Sculley 2010), and in few steps when the seeds are good: three steps on max(4096, 20c) items,
    then each item goes to its nearest centre. O(ncd + c²d) time; O(n + c²) memory beside the vectors.
    """
    sample = vectors[_sample(len(vectors), max(LEARNED_FROM, LEARNED_EACH * c), rng)]
    centres = sample[seeds(sample, c, rng)]
    for _ in range(STEPS):
        centres = _moved(sample, nearest(sample, centres), centres)
    return nearest(vectors, centres), centres


def seeds(vectors: Floats, c: int, rng: np.random.Generator) -> Indices:
    """c rows for centres to start from: greedy k-means++ (Arthur & Vassilvitskii 2007). The first is drawn by chance;
    then always 24 in proportion to their squared distance from the nearest seed, of which that one is taken that leaves
    the least of these distances. On at most max(2048, 10c) items, whose similarities are all held."""
    rows = _sample(len(vectors), max(SEEDED_FROM, SEEDS_EACH * c), rng)
    squared = np.maximum(2 - 2 * (vectors[rows] @ vectors[rows].T), 0)
    np.fill_diagonal(squared, 0)
    taken = [int(rng.integers(len(rows)))]
    left = squared[taken[0]]
    while len(taken) < c:
        total = np.cumsum(left, dtype=np.float64)
        if total[-1] == 0:  # nothing is left that differs from a seed
            others = np.setdiff1d(np.arange(len(rows)), taken)
            return rows[np.append(taken, rng.choice(others, c - len(taken), replace=False))]
        tried = np.minimum(np.searchsorted(total, rng.random(TRIALS) * total[-1], side="right"), len(rows) - 1)
        leaving = np.minimum(left, squared[tried])
        best = int(leaving.sum(axis=1).argmin())
        taken.append(int(tried[best]))
        left = leaving[best]
    return rows[taken]


def nearest(vectors: Floats, centres: Floats) -> Indices:
    """(n,) the centre of the highest cosine; the first of several."""
    step = max(1, SIMILARITIES // len(centres))
    parts = [vectors[start : start + step] for start in range(0, len(vectors), step)]
    return np.concatenate([(part @ centres.T).argmax(axis=1) for part in parts])


def _moved(vectors: Floats, owners: Indices, centres: Floats) -> Floats:
    """The direction of the mean of each cluster's vectors; an empty cluster's centre stays."""
    n = len(vectors)
    sums = csr_array((np.ones(n, np.float32), (owners, np.arange(n))), shape=(len(centres), n)) @ vectors
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(lengths > 0, sums / np.where(lengths > 0, lengths, 1), centres)


def _sample(n: int, most: int, rng: np.random.Generator) -> Indices:
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))
