"""Clusters of unit vectors, for the strategies that ask one item of each."""

import numpy as np
from scipy.sparse import csr_array

from labelwise.tasks.strategies.base import SIMILARITIES, Floats, Indices, sampled

SEEDED_FROM, SEEDS_EACH, MOST_SEEDED = 2048, 10, 4096  # items at least, for each cluster, and at most: 64 MB
LEARNED_FROM, LEARNED_EACH = 4096, 20  # items at least, and for each cluster
TRIALS = 24  # items drawn for each seed, of which the best is taken
STEPS = 3


def clustered(vectors: Floats, c: int, rng: np.random.Generator) -> tuple[Indices, Floats]:
    """(n,) the cluster of each of (n, d) unit vectors, and (c, d) the centres, of unit length; c <= n. Where vectors
    are alike, some clusters are empty.

    Spherical k-means (Dhillon & Modha 2001): a centre is the direction of the mean. Centres settle on few items (as in
    mini-batch k-means: Sculley 2010), and in few steps when the seeds are good: three steps on max(4096, 20c) items,
    then each item goes to its nearest centre. O(ncd) time; O(n + cd) memory beside the vectors and 64 MB.
    """
    sample = vectors[sampled(len(vectors), max(LEARNED_FROM, LEARNED_EACH * c), rng)]
    centres = sample[seeds(sample, c, rng)]
    for _ in range(STEPS):
        centres = _moved(sample, nearest(sample, centres), centres)
    return nearest(vectors, centres), centres


def seeds(vectors: Floats, c: int, rng: np.random.Generator) -> Indices:
    """c rows for centres to start from: greedy k-means++ (Arthur & Vassilvitskii 2007). The first is drawn by chance;
    then always 24 in proportion to their squared distance from the nearest seed, of which that one is taken that leaves
    the least of these distances. On 2,048 to 4,096 items, whose distances are all held; more seeds than that are drawn
    by chance."""
    if c > MOST_SEEDED:
        return rng.choice(len(vectors), c, replace=False)
    rows = sampled(len(vectors), min(max(SEEDED_FROM, SEEDS_EACH * c), MOST_SEEDED), rng)
    tried_from = vectors[rows]
    squared = tried_from @ tried_from.T  # of an array with itself: half the products
    squared *= -2
    squared += 2
    np.maximum(squared, 0, out=squared)
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
