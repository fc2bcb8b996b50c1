"""Ask what the model is unsure of, and no two items for the same reason: uncertainty and diversity together."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.cluster import AgglomerativeClustering
from sklearn.linear_model import LogisticRegression

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, chosen, top
from labelwise.tasks.strategies.uncertainty import margin_of
from labelwise.tasks.threads import one_thread

Doubles = NDArray[np.float64]

AT_ONCE = 64  # badge: picks between two looks at all candidates
POOL_PER_PICK, MOST_CLUSTERED = 10, 2_000  # cluster_margin: candidates a pick, and at most
NEIGHBOURS = 10  # cal: labelled items that an item is compared with
SUB_BATCHES, MOST_COMPARED = 10, 5_000  # discriminative
MOST_WEIGHED, SPARE, RIDGE = 5_000, 2, 1.0  # bait: candidates; picks before the backward pass, as a multiple of k
FLOOR = 1e-9


def badge(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """k-means++ over the gradients that each item would give if its best guess were right (BADGE: Ash et al. 2020,
    arXiv 1906.03671): long gradients are unsure, distant ones differ in reason. The longest is the first pick,
    one of them by chance where there are several.

    A gradient is (p - e) ⊗ h, c·d numbers that are never written down: products of two are (a·a')(h·h'). Picks are
    drawn in proportion to squared distances as they stood at the last look at all candidates, and accepted in
    proportion to what is left of them: that gives exactly the distribution of k-means++. O(nk(c + d)) time, in
    one matrix product for 64 picks; O(nc) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> badge(GIVEN, 3, chance()).indices.tolist()
    [3, 1, 2]
    """
    errors = candidates.errors
    norms = (errors**2).sum(axis=1)
    picks = top(norms, 1, rng).indices.tolist()
    known = np.full(len(norms), np.inf, dtype=np.float32)
    fresh = picks[:]
    while len(picks) < k:
        _shrink(known, candidates, errors, norms, fresh)
        fresh = _drawn(known, candidates, errors, norms, picks, min(AT_ONCE, k - len(picks)), rng)
        picks.extend(fresh)
    return chosen(np.array(picks), norms[picks])


def _shrink(known: Floats, candidates: Candidates, errors: Floats, norms: Floats, fresh: list[int]) -> None:
    """Bring the squared distances to the nearest pick up to date with these new picks."""
    twice = 2 * candidates.gather(np.array(fresh))
    for part, block in candidates.blocks():
        squared = block @ twice.T  # one array for all that follows: a new one of this size costs as much as its figures
        squared *= errors[part] @ errors[fresh].T
        np.subtract(norms[part, None] + norms[fresh], squared, out=squared)
        np.minimum(known[part], np.maximum(squared.min(axis=1), 0), out=known[part])
    known[fresh] = 0


def _drawn(
    known: Floats,
    candidates: Candidates,
    errors: Floats,
    norms: Floats,
    before: list[int],
    k: int,
    rng: np.random.Generator,
) -> list[int]:
    """Up to k picks, at least one, each in proportion to its squared distance from all picks before it."""
    total = np.cumsum(known, dtype=np.float64)
    picks: list[int] = []
    if total[-1] <= FLOOR:  # nothing is left that differs from a pick
        return rng.choice(np.setdiff1d(np.arange(len(known)), before), k, replace=False).tolist()
    for _ in range(8 * k):
        at = min(int(np.searchsorted(total, rng.random() * total[-1], side="right")), len(known) - 1)
        left = _distance(at, picks, candidates, errors, norms, float(known[at]))
        if rng.random() * known[at] < left:
            picks.append(at)
            if len(picks) == k:
                break
    return picks  # never empty: the first draw is always accepted


def _distance(at: int, picks: list[int], candidates: Candidates, errors: Floats, norms: Floats, known: float) -> float:
    if not picks:
        return known
    if at in picks:
        return 0.0  # what rounding leaves of a vector's distance to itself must not be drawn
    vectors = candidates.gather(np.array([at, *picks]))
    shared = (errors[picks] @ errors[at]) * (vectors[1:] @ vectors[0])
    return min(known, float(np.maximum(norms[picks] + norms[at] - 2 * shared, 0).min()))


def cluster_margin(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Of the 10k items with the smallest margin, one a cluster, small clusters first (Citovsky et al. 2021, arXiv
    2107.14263). Clusters are average-linkage ones of the vectors, made among those items alone instead of once over the
    pool, and as many as there are picks, so that each gives one. O(nc + m²d) time and O(n + m²) memory, m = 10k, at
    most the larger of 2,000 and k.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> cluster_margin(GIVEN, 2, chance()).indices.tolist()
    [4, 3]
    """
    unsure = margin_of(candidates.simplex)
    rows = top(unsure, min(len(candidates), max(k, min(POOL_PER_PICK * k, MOST_CLUSTERED))), rng).indices
    if len(rows) == k or k == 1:
        return chosen(rows[:k], unsure[rows[:k]])
    clusters = AgglomerativeClustering(k, linkage="average").fit(candidates.gather(rows)).labels_
    members = sorted((np.flatnonzero(clusters == own) for own in range(k)), key=len)
    picks = rows[[own[0] for own in members]]  # rows stand in the order of their margins
    return chosen(picks, unsure[picks])


def cal(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Items that the model judges otherwise than their labelled neighbours (CAL: Margatina et al. 2021, arXiv
    2109.03764): the mean divergence KL(neighbour, item) over the ten nearest, and all that are as near as the tenth.

    The mean over neighbours q is that of Σ q log q, less Σ (mean q) log p: sums over neighbours are a matrix product,
    and no divergence is written down. O(nm(c + d)) time, O(n) memory beside a block of similarities.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> cal(GIVEN, 2, chance()).indices.tolist()
    [0, 5]
    """
    near = min(NEIGHBOURS, len(candidates.labelled))
    own = np.maximum(candidates.labelled.probabilities, FLOOR)
    sums = np.column_stack([own, (own * np.log(own)).sum(axis=1), np.ones(len(own))]).astype(np.float32)
    scores = np.empty(len(candidates), np.float32)
    for part, vectors in candidates.blocks(beside=len(own)):
        similar = vectors @ candidates.labelled.vectors.T
        tenth = np.partition(similar, -near, axis=1)[:, -near, None]
        of_neighbours = (similar >= tenth).astype(np.float32) @ sums  # their classes, doubt and number
        logs = np.log(np.maximum(candidates.probabilities[part], FLOOR))
        scores[part] = (of_neighbours[:, -2] - (of_neighbours[:, :-2] * logs).sum(axis=1)) / of_neighbours[:, -1]
    return top(scores, k, rng)


def density(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Unsure items in crowded places: margin times the mean cosine with all candidates (information density: Settles &
    Craven 2008, section 3.4). The mean cosine with all is the cosine with their mean: O(nd) time, O(n) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> density(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    centre = sum(vectors.sum(axis=0, dtype=np.float64) for _, vectors in candidates.blocks()) / len(candidates)
    crowded = np.concatenate([vectors @ np.asarray(centre, np.float32) for _, vectors in candidates.blocks()])
    return top(margin_of(candidates.simplex) * np.maximum(crowded, 0), k, rng)


def discriminative(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Items that a classifier of 'labelled or not' is surest are not (Gissin & Shalev-Shwartz 2019, arXiv 1907.06347),
    in ten sub-batches, each counted as labelled before the next. The classifier learns from 5,000 of the candidates at
    most. A fit to 5,000 vectors and O(nd) time a sub-batch; memory is O(n) and that of the vectors learned from.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> discriminative(GIVEN, 2, chance()).indices.tolist()
    [2, 3]
    """
    picks: list[int] = []
    labelled = candidates.labelled.vectors
    scores = np.zeros(len(candidates))
    for share in np.array_split(np.arange(k), min(SUB_BATCHES, k)):
        rest = np.setdiff1d(np.arange(len(candidates)), picks)
        sample = np.sort(rng.choice(rest, min(len(rest), MOST_COMPARED), replace=False))
        known = np.vstack([labelled, candidates.gather(np.array(picks))]) if picks else labelled
        both = np.vstack([known, candidates.gather(sample)])
        which = np.repeat([0, 1], [len(known), len(sample)])
        judge = LogisticRegression(class_weight="balanced", max_iter=200)
        with one_thread():
            judge.fit(both, which)
        scores = np.concatenate([judge.decision_function(vectors) for _, vectors in candidates.blocks()])
        scores[picks] = -np.inf
        picks.extend(top(scores, len(share), rng).indices.tolist())
    return chosen(np.array(picks), why="diverse")


def bait(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The batch whose Fisher information best covers that of the pool, picked forward twice too large and then thinned
    out (BAIT: Ash et al. 2021, arXiv 2106.09675): it makes tr(M⁻¹ I) small, M of the labelled and the batch, I of all
    candidates.

    Simplified: of an item's information, the block of each class is taken as the same, Σ p(1 - p) · h hᵀ, so that
    matrices are d x d. Picked among the 5,000 candidates with most information, n'. O(nd² + n'dk + d³) time, O(n + d²)
    memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> bait(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    weight = (candidates.simplex * (1 - candidates.simplex)).sum(axis=1)
    rows = top(weight, min(len(candidates), max(MOST_WEIGHED, k)), rng).indices
    vectors = candidates.gather(rows).astype(np.float64) * np.sqrt(weight[rows])[:, None]
    pool = np.zeros((vectors.shape[1], vectors.shape[1]))
    for part, block in candidates.blocks():
        pool += (block * weight[part, None]).T.astype(np.float64) @ block / len(candidates)
    known = candidates.labelled
    own = known.vectors * np.sqrt((known.simplex * (1 - known.simplex)).sum(axis=1))[:, None]
    start = RIDGE * np.eye(vectors.shape[1]) + own.T.astype(np.float64) @ own
    inverse = cho_solve(cho_factor(start), np.eye(len(start)))
    moved = vectors @ inverse
    falls, grows = ((moved @ pool) * moved).sum(axis=1), (moved * vectors).sum(axis=1)
    picks: list[int] = []
    for _ in range(min(SPARE * k, len(rows))):
        gains = falls / (1 + grows)
        gains[picks] = -np.inf
        picks.append(int(gains.argmax()))
        falls, grows, inverse = _picked(vectors, picks[-1], falls, grows, inverse, pool)
    while len(picks) > k:
        losses = information(vectors[picks], inverse, pool, -1)
        leave = int(losses.argmax())
        inverse = updated(inverse, vectors[picks[leave]], -1)
        picks.pop(leave)
    return chosen(rows[picks])


def _picked(
    vectors: Doubles, pick: int, falls: Doubles, grows: Doubles, inverse: Doubles, pool: Doubles
) -> tuple[Doubles, Doubles, Doubles]:
    """What stands above and below the line of each item's gain, and M⁻¹, after a pick: two products with a vector."""
    u = inverse @ vectors[pick]
    scale = 1 + float(vectors[pick] @ u)
    along, across = vectors @ u, vectors @ (inverse @ (pool @ u))
    falls = falls - 2 * along * across / scale + along**2 * float(u @ pool @ u) / scale**2
    return falls, grows - along**2 / scale, updated(inverse, vectors[pick], 1)


def information(vectors: Doubles, inverse: Doubles, pool: Doubles, sign: int) -> Doubles:
    """(n,) by how much tr(M⁻¹ I) falls when each item is added to M (sign 1) or taken from it (-1; then it is
    negative)."""
    moved = vectors @ inverse
    return sign * ((moved @ pool) * moved).sum(axis=1) / (1 + sign * (moved * vectors).sum(axis=1))


def updated(inverse: Doubles, vector: Doubles, sign: int) -> Doubles:
    """(M + sign · v vᵀ)⁻¹ from M⁻¹ (Sherman & Morrison 1950)."""
    moved = inverse @ vector
    return inverse - sign * np.outer(moved, moved) / (1 + sign * float(moved @ vector))
