"""Ask for what may be of a rare class, beside what the model is unsure of on the whole.

Where there are several classes and one of them is rare, most doubt is between the common ones, and a strategy that asks
by doubt alone comes across the rare one no more often than chance does. So a part of the batch is kept for it: for
items of which it is doubtful whether they are of the rare class or of another, and while nobody has found it, for kinds
of items that have no label yet. In the manner of AnchorAL (Lesci & Vlachos 2024, arXiv 2404.05623), which looks around
the few known items of the rare class; there by neighbours, here by the model's own probability of the class.

With two classes there is nothing to keep: doubt is about the rare one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Strategy, chosen
from labelwise.tasks.strategies.batches import asked_of, joined
from labelwise.tasks.strategies.diversity import typiclust

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
    upper = betaincinv(counts + 1, np.maximum(n - counts, 1e-9), SURE)
    return np.flatnonzero(upper < FEWER / c)[np.argsort(counts[upper < FEWER / c], kind="stable")]


def with_rare(strategy: Strategy, candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The strategy, with half of the batch kept for rare classes where there are any; else the strategy as it is. O(nc)
    time and memory beside the strategy's and, while a class has not been found, TypiClust's."""
    rare = rare_classes(candidates) if candidates.probabilities.shape[1] > 2 and k > 1 else np.empty(0, np.int64)
    if not len(rare):
        return strategy(candidates, k, rng)
    found = np.isin(rare, candidates.labelled.labels)
    parts: list[Strategy] = [_doubtful(rare[found])] if found.any() else []
    parts += [] if found.all() else [typiclust]
    kept: list[Choice] = []
    rest = np.arange(len(candidates))
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
