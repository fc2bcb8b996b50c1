"""Items that are unlike anything in the pool: what a model says of them nobody has checked.

    reference = fit(vectors, share, seed)       of the pool
    reference.far(vectors)                      which items are unlike it: of those that are like it, the share `share`

How strange an item is: the mean cosine distance to the K rows of the pool that are nearest to it, less a part of what
these rows have to theirs, so that where a pool is sparse an item may be farther away (nearest neighbours for this end:
Sun, Ming, Zhu & Li 2022, arXiv 2204.06507; distances relative to the neighbours' own: Breunig, Kriegel, Ng & Sander
2000, 'LOF'). The limit is an order statistic of held-out rows of the pool: another row exceeds it with a chance of at
most `share` (conformal).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 8_000  # rows of the pool that are looked at: what more of them add is slow to begin with
HELD_OUT = 0.2  # of them, to set the limit by
K = 5  # measured on eight pools, as is the next: docs/answering.md
OWN = 0.5  # part of the neighbours' own distance that is taken off
BLOCK = 1024  # items compared at once

Vectors = NDArray[np.floating]


@dataclass(frozen=True)
class Reference:
    """What a pool looks like. rows: (m, d) unit vectors; own: (m,) the mean distance of each to its nearest;
    limit: what an item that is unlike it exceeds; inf: the pool is too small to tell."""

    rows: NDArray[np.float32]
    own: NDArray[np.float64]
    limit: float

    def strangeness(self, vectors: Vectors) -> NDArray[np.float64]:
        """(n,) how strange items are, in [-1, 2]; where there are no rows to compare with, 1."""
        if not len(self.rows):
            return np.ones(len(vectors))
        distances, places = nearest(self.rows, vectors, K)
        return distances.mean(axis=1) - OWN * self.own[places].mean(axis=1)

    def far(self, vectors: Vectors) -> NDArray[np.bool_]:
        """(n,) which items are unlike anything in the pool."""
        return self.strangeness(vectors) > self.limit


def fit(vectors: Vectors, share: float = 0.01, seed: int = 0) -> Reference:
    """What a pool looks like, and the limit that at most `share` of items like it exceed.

    vectors: (n, d) of the pool; of more than MOST a sample by `seed` is looked at. O(MOST^2 d) time.
    """
    rng = np.random.default_rng(seed)
    rows = unit(vectors[np.sort(rng.permutation(len(vectors))[:MOST])])
    held = rng.permutation(len(rows)) < HELD_OUT * len(rows)
    kept, out = rows[~held], rows[held]
    place = math.ceil((1 - share) * (len(out) + 1))  # of the held-out ones and one more each is as likely to be here
    if not 0 < place <= len(out):
        return Reference(kept, np.zeros(len(kept)), math.inf)
    own = nearest(kept, kept, K + 1)[0][:, 1:].mean(axis=1)  # but itself
    limit = float(np.sort(Reference(kept, own, math.inf).strangeness(out))[place - 1])
    return Reference(kept, own, limit)


def nearest(rows: NDArray[np.float32], vectors: Vectors, k: int) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
    """(n, k) cosine distances of (n, d) vectors to the nearest of (m, d) unit rows, rising, and (n, k) their places;
    all m where there are fewer. O(nmd) time, O(BLOCK m) memory."""
    k = min(k, len(rows))
    distances, places = np.empty((len(vectors), k)), np.empty((len(vectors), k), dtype=np.int64)
    for start in range(0, len(vectors), BLOCK):
        part = slice(start, start + BLOCK)
        found = 1 - unit(vectors[part]) @ rows.T
        near = np.argpartition(found, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(found, near, axis=1), axis=1)
        places[part] = np.take_along_axis(near, order, axis=1)
        distances[part] = np.take_along_axis(found, places[part], axis=1)
    return distances, places


def unit(vectors: Vectors) -> NDArray[np.float32]:
    """The same of length 1, or 0."""
    wide = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)
