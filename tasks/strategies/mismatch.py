"""Ask where two plain judges disagree, and far from what is known."""

import numpy as np

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Indices, chosen

MOST_TRAVERSED = 20_000  # more candidates than this are sampled: each pick goes through all of them


def mismatch_first(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Items on which the model and the nearest answered neighbour disagree, then the others; in both parts always
    the item farthest from all that is answered or chosen (mismatch-first farthest-traversal, Zhao et al. 2020, arXiv
    2002.05033). The model is sure where it has seen much, the neighbour where one was seen: where they differ, one is
    wrong. Of each part at most 20,000 items, drawn by chance, are traversed.

    O(nmd + min(n, 20,000) kd) time; memory O(n) and that of the vectors traversed.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> mismatch_first(GIVEN, 2, chance()).indices.tolist()
    [3, 4]
    """
    similarity, neighbours = nearest_labelled(candidates)
    differs = candidates.labelled.labels[neighbours] != candidates.probabilities.argmax(axis=1)
    picked = np.empty(0, dtype=np.int64)
    for part in (np.flatnonzero(differs), np.flatnonzero(~differs)):
        missing = k - len(picked)
        rows = rng.permutation(part)[: max(MOST_TRAVERSED, missing)]  # ties are broken by chance, not by position
        vectors = candidates.gather(rows)
        near = _or_nearer(similarity[rows], vectors, candidates.gather(picked))
        picked = np.concatenate([picked, rows[farthest_first(vectors, near, min(missing, len(rows)))]])
    return chosen(picked)


def nearest_labelled(candidates: Candidates) -> tuple[Floats, Indices]:
    """(n,) cosine similarity to the nearest answered item, and (n,) its position; the first of several. O(nmd)."""
    labelled = candidates.labelled.vectors.T
    similarity = np.empty(len(candidates), dtype=np.float32)
    neighbours = np.empty(len(candidates), dtype=np.int64)
    for part, vectors in candidates.blocks(beside=labelled.shape[1]):
        similarities = vectors @ labelled
        neighbours[part] = similarities.argmax(axis=1)
        similarity[part] = similarities.max(axis=1)
    return similarity, neighbours


def farthest_first(vectors: Floats, near: Floats, k: int) -> Indices:
    """k rows of (n, d) unit vectors, each the farthest from all before it (Gonzalez 1985).

    near: (n,) cosine similarity of each to what lies there already, minus infinity if nothing does. O(nkd).
    """
    near = near.copy()
    picked = np.empty(k, dtype=np.int64)
    for place in range(k):
        picked[place] = row = near.argmin()
        near = np.maximum(near, vectors @ vectors[row])
        near[picked[: place + 1]] = np.inf
    return picked


def _or_nearer(near: Floats, vectors: Floats, others: Floats) -> Floats:
    """`near`, or the similarity to one of the others where that is higher. One at a time: no matrix is held."""
    for other in others:
        near = np.maximum(near, vectors @ other)
    return near
