"""Items that are unlike anything in the pool: what a model says of them nobody has checked.

    reference = fit(vectors, share, seed)       of the pool
    reference.far(vectors)                      which items are unlike it: of those that are like it, the share `share`

An item is as far away as the K rows of the pool that are nearest to it are on average, by the cosine of their vectors
(nearest neighbours for this end: Sun, Ming, Zhu & Li 2022, arXiv 2204.06507). The limit is what a row of the pool that
is none of these exceeds with a chance of at most `share`: an order statistic of held-out rows (conformal, exact where
items come as the rows of the pool did).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 20_000  # rows of the pool that are kept
HELD_OUT = 0.2  # of them, to set the limit by
K = 10
BLOCK = 1024  # items compared at once

Vectors = NDArray[np.floating]


@dataclass(frozen=True)
class Reference:
    """What a pool looks like. rows: (m, d) unit vectors; limit: the distance, in [0, 2], above which an item is unlike
    it; inf: none is, since the pool is too small to tell."""

    rows: NDArray[np.float32]
    limit: float

    def distances(self, vectors: Vectors) -> NDArray[np.float64]:
        """(n,) how far items are from the pool, in [0, 2]; a vector that points nowhere is 1 from everything."""
        return distances(self.rows, vectors)

    def far(self, vectors: Vectors) -> NDArray[np.bool_]:
        """(n,) which items are unlike anything in the pool."""
        return self.distances(vectors) > self.limit


def fit(vectors: Vectors, share: float = 0.01, seed: int = 0) -> Reference:
    """What a pool looks like, and the limit that at most `share` of items like it exceed.

    vectors: (n, d) of the pool; of more than MOST a sample by `seed` is kept.
    """
    rng = np.random.default_rng(seed)
    rows = unit(vectors[np.sort(rng.permutation(len(vectors))[:MOST])])
    held = rng.permutation(len(rows)) < HELD_OUT * len(rows)
    kept, out = rows[~held], rows[held]
    place = math.ceil((1 - share) * (len(out) + 1))  # the chance that another row is above it is at most `share`
    limit = float(np.sort(distances(kept, out))[place - 1]) if 0 < place <= len(out) else math.inf
    return Reference(kept, limit)


def distances(rows: NDArray[np.float32], vectors: Vectors) -> NDArray[np.float64]:
    """(n,) mean cosine distance of (n, d) vectors to the K nearest of (m, d) unit rows, or to all if they are fewer.
    O(nmd) time, O(BLOCK m) memory."""
    found = np.full(len(vectors), 1.0)
    if not len(rows):
        return found
    k = min(K, len(rows))
    for start in range(0, len(vectors), BLOCK):
        near = unit(vectors[start : start + BLOCK]) @ rows.T
        near.partition(len(rows) - k, axis=1)
        found[start : start + BLOCK] = 1 - near[:, -k:].mean(axis=1)
    return found


def unit(vectors: Vectors) -> NDArray[np.float32]:
    """The same of length 1, or 0."""
    wide = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)
