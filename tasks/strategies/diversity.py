"""Ask items that are unlike each other and unlike what has been answered. None of these needs a model.

Vectors have unit length, so that a squared distance is two less twice the cosine: all of them work on cosines.
"""

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Indices, chosen, sampled
from labelwise.tasks.strategies.batches import in_turns, turns
from labelwise.tasks.strategies.clusters import clustered, nearest

MOST_CLUSTERED = 50_000  # more candidates than this are sampled: the shape of the pool shows in fewer
MOST_COVERED = 5_000  # prob_cover compares each of its sample with each other: 230 MB
MOST_CLUSTERS = 500  # typiclust
FRONT = 512  # k_centre settles its picks among this many of the farthest before it looks at all candidates again
NEIGHBOURS, COMPARED = 20, 1_000  # typiclust: how many tell whether an item is typical, and are looked for among
PURITY = 0.95  # prob_cover: share of the balls that must hold one cluster only


def k_centre(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Greedy core-set (Sener & Savarese 2018, arXiv 1708.00489): each time the item farthest from all that is labelled
    or chosen. Exactly the greedy picks; the first, when nothing is labelled, is drawn by chance.

    Distances only shrink. So a pick among the farthest few is settled as long as it is no nearer than anything outside
    them was before; only then all candidates are looked at again, in one matrix product for all picks since. O(nkd)
    time, O(n) memory beside one block of vectors.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> k_centre(GIVEN, 2, chance()).indices.tolist()
    [3, 4]
    """
    nearest = np.full(len(candidates), -np.inf, dtype=np.float32)
    picks: list[int] = []
    if len(candidates.labelled):
        _draw_near(nearest, candidates, candidates.labelled.vectors)
    else:
        picks.append(int(rng.integers(len(candidates))))
        _draw_near(nearest, candidates, candidates.gather(np.array(picks)))
        nearest[picks] = np.inf
    while len(picks) < k:
        settled = _settled(nearest, candidates, k - len(picks), rng)
        picks.extend(settled)
        if len(picks) < k:
            _draw_near(nearest, candidates, candidates.gather(np.array(settled)))
            nearest[settled] = np.inf
    return chosen(np.array(picks), why="diverse")


def _draw_near(nearest: Floats, candidates: Candidates, centres: Floats) -> None:
    """Update the highest cosine that each candidate has with any centre."""
    for part, vectors in candidates.blocks(beside=len(centres)):
        np.maximum(nearest[part], (vectors @ centres.T).max(axis=1), out=nearest[part])


def _settled(nearest: Floats, candidates: Candidates, k: int, rng: np.random.Generator) -> list[int]:
    """The next greedy picks, at least one and at most k, that follow from the farthest candidates alone; of several
    that are equally far, chance takes one."""
    front = np.argpartition(nearest, FRONT)[: FRONT + 1] if len(nearest) > FRONT else np.arange(len(nearest))
    front = front[np.lexsort((rng.random(len(front)), nearest[front]))]
    bound = np.inf if len(front) == len(nearest) else nearest[front[-1]]
    vectors, own = candidates.gather(front), nearest[front].copy()
    picks: list[int] = []
    while len(picks) < k:
        best = int(own.argmin())
        if picks and own[best] > bound:
            break
        picks.append(best)
        np.maximum(own, vectors @ vectors[best], out=own)
        own[picks] = np.inf
    return front[picks].tolist()


def medoids(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The item nearest to each of k cluster centres, large clusters first (k-means medoids; Zhu et al. 2008, Coling).
    Where clusters share an item or are empty, chance fills the batch.

    O(nkd + k²d) time; memory is that of at most 50,000 vectors, whatever the pool.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> medoids(GIVEN, 2, chance()).indices.tolist()
    [1, 4]
    """
    sample = sampled(len(candidates), MOST_CLUSTERED, rng)
    if k >= len(sample):
        return _fill(sample, len(candidates), k, rng)
    vectors = candidates.gather(sample)
    clusters, centres = clustered(vectors, k, rng)
    sizes = np.bincount(clusters, minlength=k)
    by_size = nearest(centres, vectors)[np.argsort(-sizes, kind="stable")][: np.count_nonzero(sizes)]
    first_seen = np.sort(np.unique(by_size, return_index=True)[1])
    return _fill(sample[by_size[first_seen]], len(candidates), k, rng)


def typiclust(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The most typical item of the clusters that hold fewest labels, large clusters first (Hacohen et al. 2022, arXiv
    2202.02794). Typical: near to its 20 nearest neighbours in the cluster.

    Clusters as many as items labelled and asked, 500 at most (k when that is more), as in their code; unlike there,
    small clusters stay, for what is rare is wanted too. O(n(m + k)d) time while m + k is below 500, and O(1000 nd) at
    most for what is typical; the memory of at most 50,000 vectors.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> typiclust(GIVEN, 2, chance()).indices.tolist()
    [3, 4]
    """
    sample, labelled = sampled(len(candidates), MOST_CLUSTERED, rng), candidates.labelled.vectors
    if k >= len(sample):
        return _fill(sample, len(candidates), k, rng)
    vectors, m = candidates.gather(sample), len(candidates.labelled)
    c = min(m + k, len(sample), max(MOST_CLUSTERS, k))
    owners, _ = clustered(np.vstack([vectors, labelled]) if m else vectors, c, rng)
    own, labels = owners[: len(sample)], np.bincount(owners[len(sample) :], minlength=c)
    sizes = np.bincount(own, minlength=c)
    large_first = np.argsort(-sizes, kind="stable")
    turn_of = large_first[turns(labels[large_first], sizes[large_first], k)]
    asked, shares = np.unique(turn_of, return_counts=True)
    picks = [
        _typical(vectors, rng.permutation(np.flatnonzero(own == one)), share)
        for one, share in zip(asked, shares, strict=True)
    ]
    return chosen(sample[np.concatenate(picks)[in_turns(turn_of)]], why="diverse")


def _typical(vectors: Floats, rows: Indices, k: int) -> Indices:
    """The k most typical of these rows; of several, those that stand first."""
    return rows[np.argsort(-typicality(vectors[rows]), kind="stable")[:k]]


def typicality(vectors: Floats) -> NDArray[np.floating]:
    """(n, d) items of one cluster -> (n,) one over the mean distance to the (at most 20) nearest others; 0 for one
    alone. In a cluster of more than 1,000 they are the nearest among 1,000 of it, evenly spaced."""
    n = len(vectors)
    if n == 1:
        return np.zeros(1)
    compared = np.linspace(0, n - 1, min(n, COMPARED)).astype(np.int64)
    near = min(NEIGHBOURS, n - 1)
    result = np.empty(n)
    for start in range(0, n, 1024):
        part = slice(start, start + 1024)
        similar = vectors[part] @ vectors[compared].T
        inside = np.flatnonzero((compared >= start) & (compared < part.stop))
        similar[compared[inside] - start, inside] = -np.inf  # no item is its own neighbour
        best = np.partition(similar, -near, axis=1)[:, -near:]
        result[part] = 1 / (np.sqrt(np.maximum(2 - 2 * best, 0)).mean(axis=1) + 1e-6)
    return result


def prob_cover(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Each time the item whose ball covers most items that no ball of a labelled or chosen one covers (Yehuda et al.
    2022, arXiv 2205.11320). The radius is the largest at which 95 % of the balls hold items of one k-means cluster
    only.

    On a sample of 5,000 candidates; O(5000² d) time, 230 MB.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> prob_cover(GIVEN, 1, chance()).indices.tolist()
    [2]
    """
    sample = sampled(len(candidates), MOST_COVERED, rng)
    vectors = candidates.gather(sample)
    if k >= len(sample):
        return _fill(sample, len(candidates), k, rng)
    similar = vectors @ vectors.T
    pseudo, _ = clustered(vectors, min(max(candidates.probabilities.shape[1], 2), len(sample)), rng)
    threshold = pure_cosine(similar, pseudo)
    covers = similar >= threshold
    open_ = np.ones(len(sample), dtype=bool)
    if len(candidates.labelled):
        open_ = (vectors @ candidates.labelled.vectors.T).max(axis=1) < threshold
    gains = covers[:, open_].sum(axis=1) + rng.random(len(sample)) / 2  # chance settles ties
    picks: list[int] = []
    while len(picks) < k and gains.max() >= 1:
        picks.append(int(gains.argmax()))
        fresh = covers[picks[-1]] & open_
        gains -= covers[:, fresh].sum(axis=1)
        open_ &= ~fresh
    return _fill(sample[picks], len(candidates), k, rng)


def pure_cosine(similar: Floats, clusters: Indices) -> float:
    """The smallest cosine such that, for 95 % of the items, all that are at least that near are of its own cluster."""
    alien = np.where(clusters[:, None] == clusters[None], -1.0, similar).max(axis=1)  # the nearest of another cluster
    return float(np.nextafter(np.quantile(alien, PURITY), 2))


def _fill(picks: Indices, n: int, k: int, rng: np.random.Generator) -> Choice:
    """`picks`, made up to k by chance."""
    picks = picks[:k]
    others = np.setdiff1d(np.arange(n), picks)
    return chosen(
        np.concatenate([picks, rng.choice(others, k - len(picks), replace=False)]).astype(np.int64), why="diverse"
    )
