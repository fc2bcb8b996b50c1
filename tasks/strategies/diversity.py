"""Ask items that are unlike each other: for round 0, when no model can say what it needs."""

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin

from tasks.strategies.base import Candidates, Choice, Indices

MOST_CLUSTERED = 50_000  # more candidates than this are sampled: the shape of the pool shows in fewer


def medoids(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The item nearest to each of k cluster centres, large clusters first (k-means medoids; Zhu et al. 2008, Coling).

    O(nkd) time; memory is that of at most 50,000 vectors, whatever the pool.
    """
    n = len(candidates)
    sample = np.arange(n) if n <= MOST_CLUSTERED else np.sort(rng.choice(n, MOST_CLUSTERED, replace=False))
    if k >= len(sample):
        return _fill(sample, n, k, rng)
    vectors = candidates.gather(sample)
    if len(np.unique(vectors[: k * 4], axis=0)) == 1 and len(np.unique(vectors, axis=0)) < k:
        return _fill(np.array([], dtype=np.int64), n, k, rng)
    clusters = MiniBatchKMeans(k, random_state=int(rng.integers(2**31)), n_init=3).fit(vectors)
    nearest = pairwise_distances_argmin(clusters.cluster_centers_, vectors)
    sizes = np.bincount(clusters.labels_, minlength=k)
    by_size = nearest[np.argsort(-sizes, kind="stable")]
    first_seen = np.sort(np.unique(by_size, return_index=True)[1])
    return _fill(sample[by_size[first_seen]], n, k, rng)


def _fill(chosen: Indices, n: int, k: int, rng: np.random.Generator) -> Choice:
    """`chosen`, made up to k by chance: two centres may share their nearest item."""
    others = np.setdiff1d(np.arange(n), chosen)
    indices = np.concatenate([chosen, rng.choice(others, k - len(chosen), replace=False)]).astype(np.int64)
    return Choice(indices, scores=np.full(k, np.nan), why="diverse", propensity=np.full(k, np.nan))
