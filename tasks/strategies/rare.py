"""Ask for what may be of a rare class, beside what the model is unsure of on the whole.

Where there are several classes and one of them is rare, most doubt is between the common ones, and a strategy that asks
by doubt alone comes across the rare one no more often than chance does. So a part of the batch is kept for it: for
items of which it is doubtful whether they are of the rare class or of another, and while nobody has found it, for kinds
of items that have no label yet. In the manner of AnchorAL (Lesci & Vlachos 2024, arXiv 2404.05623), which looks around
the few known items of the rare class; there by neighbours, here by the model's own probability of the class.

With two classes there is nothing to keep: doubt is about the rare one. Before anybody has found it, all answers are the
same, and what is typical of the pool (`typiclust`) is what has been answered already: it comes across a rare class
later than chance does. So what is farthest from all that has a label is asked, and as much by chance (docs/rare.md).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Labelled, Strategy, chosen
from labelwise.tasks.strategies.batches import asked_of, joined
from labelwise.tasks.strategies.diversity import k_centre

FEWER = 0.25  # of the share that each class would have if all had the same: less is rare
SURE = 0.75  # of that, before anything is kept for a class
BY_CHANCE = ("control", "random")
ENOUGH = 100  # labels by chance that tell the shares without the model


def rare_classes(candidates: Candidates) -> NDArray[np.int64]:
    """The classes that are rare in the pool, as far as can be told, rarest first: positions in the columns.

    Labels by chance tell the share of a class, where there are a hundred. Before that all labels do, which rather have
    too many of a rare class than too few, once it is known; and if that is less, what the model expects of what is
    open. A class is rare when even the upper end of an interval for its share (Clopper & Pearson 1934, 75 % one-sided)
    is below a quarter of an even share. So among 77 classes of a few hundred labels none is.
    """
    labelled, c = candidates.labelled, candidates.probabilities.shape[1]
    by_chance = np.isin(labelled.why.astype(str), BY_CHANCE)
    if by_chance.sum() >= ENOUGH:
        n, counts = int(by_chance.sum()), np.bincount(labelled.labels[by_chance], minlength=c).astype(np.float64)
    else:
        n = len(labelled)
        expected = n * candidates.probabilities.mean(axis=0, dtype=np.float64)
        counts = np.minimum(np.bincount(labelled.labels, minlength=c), expected)
    few = np.flatnonzero(are_few(counts, n))
    return few[np.argsort(counts[few], kind="stable")]


def are_few(counts: NDArray[np.float64], n: int) -> NDArray[np.bool_]:
    """(c,) counts of c classes among n items -> (c,) whether each is rare. See `rare_classes`."""
    return np.asarray(betaincinv(counts + 1, np.maximum(n - counts, 1e-9), SURE) < FEWER / len(counts))


def all_alike(labelled: Labelled) -> bool:
    """Whether all labels are of one class, and so many that the others must be rare.

    >>> import dataclasses
    >>> one = Labelled(labels=np.zeros(25, np.int64), probabilities=np.zeros((25, 2)))
    >>> all_alike(one), all_alike(dataclasses.replace(one, labels=np.arange(25) % 2))
    (True, False)
    """
    if not len(labelled) or labelled.labels.ndim > 1:
        return False
    counts = np.bincount(labelled.labels, minlength=labelled.probabilities.shape[1]).astype(np.float64)
    return bool(are_few(counts, len(labelled)).sum() == len(counts) - 1 and counts.max() == len(labelled))


def unlike(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Half of the batch farthest from all that has a label (greedy core-set: Sener & Savarese 2018), half by chance, so
    that it can never take more than twice as long as chance to find something. O(nkd) time, as `k_centre`.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> unlike(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    far = k_centre(candidates, (k + 1) // 2, rng)
    rest = np.setdiff1d(np.arange(len(candidates)), far.indices)
    return joined([far, chosen(rng.choice(rest, k // 2, replace=False), why=far.why)])


def with_rare(strategy: Strategy, candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The strategy, with half of the batch kept for rare classes where there are any; else the strategy as it is. O(nc)
    time and memory beside the strategy's and, while a class has not been found, that of `unlike`."""
    rare = rare_classes(candidates) if candidates.probabilities.shape[1] > 2 and k > 1 else np.empty(0, np.int64)
    if not len(rare):
        return strategy(candidates, k, rng)
    found = np.isin(rare, candidates.labelled.labels)
    parts: list[Strategy] = [_doubtful(rare[found])] if found.any() else []
    parts += [] if found.all() else [unlike]
    kept: list[Choice] = []
    rest: NDArray[np.integer] = np.arange(len(candidates))
    for part, share in zip(parts, np.array_split(np.arange(k // 2), len(parts)), strict=True):
        if len(share):
            kept.append(asked_of(part, candidates, rest, len(share), rng))
            rest = np.setdiff1d(rest, kept[-1].indices)
    return joined([*kept, asked_of(strategy, candidates, rest, k - k // 2, rng)])


def _doubtful(classes: NDArray[np.int64]) -> Strategy:
    """Items of which it is doubtful whether they are of one of these classes; the classes take turns."""

    def strategy(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
        doubt = np.column_stack([doubt_about(candidates.probabilities, at) for at in classes])
        shuffled = rng.permutation(len(doubt))  # ties are broken by chance, not by position
        taken: dict[int, float] = {}
        orders = [iter(shuffled[np.argsort(-column[shuffled], kind="stable")]) for column in doubt.T]
        while len(taken) < k:
            turn = len(taken) % len(orders)
            row = int(next(row for row in orders[turn] if int(row) not in taken))
            taken[row] = float(doubt[row, turn])
        return chosen(np.array([*taken], np.int64), np.array([*taken.values()]))

    return strategy


def doubt_about(p: Floats, at: int) -> Floats:
    """(n, c) probabilities -> (n,) how doubtful it is whether an item is of the class or of the likeliest other, in
    [0, 1]: 1 where both are as likely.

    >>> doubt_about(np.array([[0.4, 0.4, 0.2], [0.5, 0.1, 0.4], [0.6, 0.0, 0.4]]), 1).round(2).tolist()
    [1.0, 0.33, 0.0]
    """
    own, other = p[:, at], np.delete(p, at, axis=1).max(axis=1)
    return 1 - np.abs(own - other) / np.maximum(own + other, 1e-12)
