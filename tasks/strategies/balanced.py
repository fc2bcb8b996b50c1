"""Ask for each of several labels in its turn, so that what is common does not crowd out what is rare.

For items that may have several labels, or none. A strategy that asks where a model is unsure on the whole asks for what
most items have; but the F1 of each label counts alike, and the rare ones have most to learn.
"""

import numpy as np

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, chosen

TURN = 0.25  # positives that a turn counts at least, so that a label whose turns bring none does not take them all


def round_robin(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Labels take turns, and each takes the item of which it is least clear whether it has that label (round robin over
    labels: Esuli & Sebastiani 2009, 'Active learning strategies for multi-label text classification', ECIR).

    There every label has as many turns. Here the turn is that of the label with the fewest positives, those given and
    those to be expected of what is in the batch; one that nobody has given yet has none, for nothing has been learned
    of it. O(nc + ck log k) time, O(nc) memory.

    >>> p = np.float32([[0.9, 0.1], [0.5, 0.2], [0.8, 0.3], [0.1, 0.0]])
    >>> from labelwise.tasks.strategies import Labelled
    >>> answered = Labelled(np.zeros((2, 2)), np.float32([[1, 1], [1, 0]]))
    >>> given = Candidates(p, lambda rows: p[rows], answered, thresholds=np.float32([0.5, 0.3]))
    >>> round_robin(given, 2, np.random.default_rng(0)).indices.tolist()
    [2, 1]
    """
    p = candidates.probabilities
    positives = candidates.labelled.labels.sum(axis=0, dtype=np.float64)
    turns = np.where(positives > 0, positives, np.inf)
    if not np.isfinite(turns).any():
        return chosen(rng.choice(len(p), k, replace=False))
    shuffled = rng.permutation(len(p))  # ties are broken by chance, not by position
    unclear = unclear_of(p, candidates.thresholds)[shuffled].T
    first = np.argpartition(-unclear, k - 1, axis=1)[:, :k]  # whatever the others take, no label needs more
    order = np.argsort(-np.take_along_axis(unclear, first, axis=1), axis=1, kind="stable")
    queues = np.take_along_axis(first, order, axis=1)
    places, picks = np.zeros(len(queues), np.int64), dict[int, float]()
    while len(picks) < k:
        label = int(turns.argmin())
        while int(queues[label, places[label]]) in picks:
            places[label] += 1
        at = int(queues[label, places[label]])
        picks[at] = float(unclear[label, at])
        turns += p[shuffled[at]]
        turns[label] += TURN
    return chosen(shuffled[list(picks)], np.array(list(picks.values())))


def unclear_of(p: Floats, thresholds: Floats | None) -> Floats:
    """(n, c) probabilities -> (n, c) how near each is to the threshold from which on its label is said (a half where
    there is none), in [0, 1]: 1 at the threshold, 0 where p is 0 or 1. Odds are divided by those of the threshold.

    >>> unclear_of(np.array([[0.5, 0.25, 0.0]]), np.array([0.5, 0.25, 0.5])).tolist()
    [[1.0, 1.0, 0.0]]
    """
    limit = np.full(p.shape[1], 0.5) if thresholds is None else thresholds.astype(np.float64)
    mine, against = p * (1 - limit), (1 - p) * limit
    return 1 - np.abs(mine - against) / np.maximum(mine + against, 1e-12)
