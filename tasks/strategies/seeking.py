"""Ask what is like a class that has hardly been found yet. With one item in five hundred, neither chance nor a model
that has never seen the class finds it; a few words of people do.

This is relevance feedback (Rocchio 1971, 'Relevance feedback in information retrieval'): what was given of a class and
what was found of it draw, what was asked for it in vain pushes away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Indices, Strategy, chosen

WHY = "seed"
FOUND = 10  # labels of a class, from which on the model finds it by itself
VAIN = 0.25  # what the mean of what was asked in vain weighs; between 0 and 0.5 nothing could be told apart
OFFSET = 10  # of ranks, when two are made one: the first counts a tenth more than the second
SHARE = 0.5  # of a batch, at most, for all classes that are sought
PATIENCE = 25  # items asked for a class in vain, after each of which its share is halved
RARE = 0.25  # of an even share of the labels: a class that has less may be looked for by its name


@dataclass(frozen=True)
class Sought:
    """s ways to look for classes, of one class several. labels: (s,) the columns of these in the probabilities;
    nearness: (n, s) how near each item of the pool is to each, higher is nearer; most: (s,) how many items in a batch
    each may have."""

    labels: NDArray[np.int64]
    nearness: Floats
    most: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def towards(drawing: Floats, vain: Floats) -> Floats:
    """(a, d) vectors of what draws, (b, d) of what was asked in vain -> (d,) the direction between, of unit length.

    >>> towards(np.float32([[1, 0]]), np.float32([[0, 1]])).round(2).tolist()
    [0.9700000286102295, -0.23999999463558197]
    """
    mean = drawing.mean(axis=0)
    if len(vain):
        mean = mean - VAIN * vain.mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def together(similar: Floats, worded: Floats) -> NDArray[np.float32]:
    """(n, s) similarities by the encoder and by words -> (n, s) both as one, by their ranks (reciprocal rank fusion;
    Cormack et al. 2009, SIGIR): whichever of the two tells a class apart is heard. Higher is nearer.

    >>> together(np.array([[0.9], [0.8], [0.1]]), np.array([[0.0], [0.7], [0.2]])).argsort(axis=0).ravel().tolist()
    [2, 0, 1]
    """
    return np.float32(1) / (OFFSET + _ranks(similar)) + np.float32(1) / (OFFSET + _ranks(worded))


def _ranks(values: Floats) -> NDArray[np.float32]:
    """(n, s) how many stand above each in its column; those that are equal share the last place."""
    result = np.empty(values.shape, dtype=np.float32)
    for column in range(values.shape[1]):
        ordered = np.sort(values[:, column])
        result[:, column] = len(ordered) - 1 - np.searchsorted(ordered, values[:, column])
    return result


def wanting(counts: NDArray[np.int64], given: NDArray[np.bool_], labelled: int) -> NDArray[np.int64]:
    """Which classes are to be looked for, those with the fewest labels first. counts: (c,) labels of each; given: (c,)
    of which people gave something. Those, until they are found ten times; of the others those that have less than a
    quarter of an even share of all labels, too; none before there are labels, for nothing says then what is rare.

    >>> wanting(np.array([30, 2, 0]), np.array([False, True, False]), 32).tolist()
    [1, 2]
    """
    few = counts < FOUND
    rare = (labelled > 0) & ((counts == 0) | (counts < RARE * labelled / len(counts)))
    wanted = np.flatnonzero(few & (given | rare))
    return wanted[np.lexsort((counts[wanted], ~given[wanted]))]


def quotas(vain: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """(s,) how many items of a batch each class may have, in turns, `room` in all. vain: (s,) how many were asked for
    each so far without one of it. Each 25 of them halve its part, down to one item: there may be none to be found.

    >>> quotas(np.array([0]), 12).tolist(), quotas(np.array([60, 0]), 12).tolist(), quotas(np.zeros(3, int), 2).tolist()
    ([12], [3, 9], [1, 1, 0])
    """
    most = np.maximum(room >> np.minimum(vain // PATIENCE, 30), 1)
    had = np.zeros(len(vain), dtype=np.int64)
    for _ in range(min(room, int(most.sum()))):
        turn = np.where(had < most, had, np.iinfo(np.int64).max).argmin()
        had[turn] += 1
    return had


def nearest(most: NDArray[np.int64]) -> Strategy:
    """The strategy that asks the nearest to each class that is sought (`Candidates.sought`), in turns, no more of each
    than `most`, (s,), while others are owed some. O(s n log n).

    >>> near = np.array([[3.0, 0.0], [2.0, 9.0], [1.0, 1.0]])
    >>> given = Candidates(near, lambda rows: near[rows], sought=near)
    >>> nearest(np.array([2, 1]))(given, 3, np.random.default_rng(0)).indices.tolist()
    [0, 1, 2]
    """

    def choose(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
        near = np.empty((0, len(most))) if candidates.sought is None else candidates.sought
        shuffled = rng.permutation(len(near))  # ties are broken by chance, not by position
        queues = shuffled[np.argsort(-near[shuffled], axis=0, kind="stable")].T
        owed, places, picks = most.copy(), np.zeros(len(most), dtype=np.int64), dict[int, float]()
        while len(picks) < k:
            turn = int(owed.argmax())
            while int(queues[turn, places[turn]]) in picks:
                places[turn] += 1
            at = int(queues[turn, places[turn]])
            picks[at] = float(near[at, turn])
            owed[turn] -= 1
        return chosen(np.array(list(picks), dtype=np.int64), np.array(list(picks.values())), WHY)

    return choose


def in_vain(why: NDArray[np.object_], nearness: Floats, has: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(m, s) which labelled items were asked for which class and are not of it. why: (m,) the word of the ledger;
    nearness: (m, s) as they are to the classes now; has: (m, s) whether each is of it. The ledger does not keep for
    which class an item was asked: it is taken to be the one that it is nearest to."""
    meant = nearness.argmax(axis=1)[:, None] == np.arange(nearness.shape[1])
    return (why == WHY)[:, None] & meant & ~has


def one_each(labels: Indices, c: int) -> NDArray[np.bool_]:
    """(m,) positions of classes, or (m, c) of 0 and 1 -> (m, c) whether each item is of each class."""
    return np.asarray(labels > 0) if labels.ndim > 1 else labels[:, None] == np.arange(c)
