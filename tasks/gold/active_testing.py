"""A gold set by active testing: ask for trusted labels where the model is likely to be wrong, and stay unbiased.

Items are drawn one after another, without replacement, from a uniform sample of the pool (the reserve). The chance of
each is proportional to the root of the mean square of what its label may move the figure by, which is where one label
tells most: for the accuracy the root of its chance of being wrong (Kossen, Farquhar, Gal & Rainforth 2021, 'Active
Testing'), for an F1 or a recall see gold/influence.py. An even part is mixed in, which bounds the weights. What was
drawn with a high chance counts for less: the LURE weights of Farquhar, Gal & Rainforth 2021 ('On statistical bias in
active learning: how and when to fix it'), here for a reserve that may have grown between two draws.

A weight is known before any label is: the same weights serve every model and every measure. So they stay right where
one draw is for one measure and the next for another.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EVEN = 0.2  # share of the proposal that is uniform: no weight exceeds its inverse
CONFIDENCE = 0.95
FEW = 2.0  # whole losses that are imagined beside those seen: few errors say little about what an error weighs
FEW_EVEN = 4.0  # the same where all items weigh 1, and losses may be seen in part only; simulated in docs/proof-gold.md

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """rows: (k,) positions drawn, in order. propensity: (k,) the chance that each had when it was drawn. among: (k,)
    how many items could be drawn then."""

    rows: NDArray[np.int64]
    propensity: Floats
    among: NDArray[np.int64]


@dataclass(frozen=True)
class Estimated:
    """A figure with the ends of its 95 % interval, all in [0, 1]."""

    value: float
    low: float
    high: float


def proposal(squares: Floats) -> Floats:
    """(n,) chances of being drawn next, in sum 1, from (n,) mean squares in [0, 1] of what a label may move the figure
    by, such as chances of being wrong. Uniform where nothing is known (NaN) or all are sure."""
    n = len(squares)
    root = np.sqrt(np.clip(np.nan_to_num(squares, nan=0.0), 0, 1))
    total = root.sum()
    return EVEN / n + (1 - EVEN) * root / total if total > 0 else np.full(n, 1 / n)


def draw(squares: Floats, k: int, rng: np.random.Generator) -> Draws:
    """Draw k of n items, one after another, 0 <= k <= n; squares: see `proposal`. O(k n)."""
    left = np.arange(len(squares))
    rows, chances = np.empty(k, dtype=np.int64), np.empty(k)
    for turn in range(k):
        q = proposal(squares[left])
        at = int(np.searchsorted(np.cumsum(q), rng.random() * q.sum(), side="right").clip(max=len(left) - 1))
        rows[turn], chances[turn] = left[at], q[at]
        left = np.delete(left, at)
    return Draws(rows, chances, len(squares) - np.arange(k))


def weights(propensity: Floats, among: NDArray[np.integer]) -> Floats:
    """(k,) what each of k drawn items counts, 1 on average: sum(weights * loss) / k is unbiased for the mean loss of
    the population.

    At turn t the population is what was drawn before and the `among` items that could be drawn then, so
    (losses drawn before + loss / propensity) over its size is unbiased. The weights are those of the sum of all these
    in which, were each draw uniform, all items would count the same:

        weight = 1 + (1 / (among * propensity) - 1) * product over later turns of (1 - 1 / among)

    While the population stays the same this is LURE, 1 + (N - M) / (N - m) * (1 / ((N - m + 1) q) - 1).
    """
    later = np.cumprod((1 - 1 / among)[::-1])[::-1]
    unseen = np.append(later[1:], 1.0)[: len(later)]
    return 1 + unseen * (1 / (among * propensity) - 1)


def decided(given: Floats, kept: NDArray[np.bool_]) -> Floats:
    """(k,) the weights where only those `kept` came to a label: 0 for the others, the rest scaled so that they are 1 on
    average. They speak for the items of the population that people can decide."""
    if kept.all() or not kept.any():
        return given * kept
    return given * kept * kept.sum() / given[kept].sum()


def weighted_mean(scores: Floats, given: Floats) -> Estimated:
    """The mean score over the population from g items: (g,) scores in [0, 1], 1.0 or 0.0 where an answer is right or
    wrong (then it is the accuracy), and (g,) their weights (1 on average).

    Linear in the losses, which are 1 - score: 1 - sum(weight * loss) / g. The interval is Wilson's (1927) with a
    variance of (k p - p²) / g for a mean loss of p, where k is the mean of a loss, weighted by itself and its weight:
    with equal weights and losses of 0 or 1 it is 1 and this is his interval as it stands; where errors were likely to
    be drawn, or answers are wrong in part, k is below 1 and each label is worth more. One item alone tells nothing:
    (0, 1). Heavy losses may come to more than all items: no mean is below 0.
    """
    from scipy.special import ndtri

    g = len(scores)
    value = float(np.clip((1 - given.mean()) + (given * scores).mean(), 0, 1))
    error = 1 - value
    if g < 2:
        return Estimated(value, 0.0, 1.0)
    k = max(_size_of_losses(1 - scores.astype(np.float64), given), error)  # less would be a variance below zero
    z2 = float(ndtri((1 + CONFIDENCE) / 2)) ** 2 / g
    middle, half = error + k * z2 / 2, np.sqrt(max((error + k * z2 / 2) ** 2 - (1 + z2) * error**2, 0.0))
    least, most = (middle - half) / (1 + z2), (middle + half) / (1 + z2)
    return Estimated(value, float(min(max(1 - most, 0.0), value)), float(max(min(1 - least, 1.0), value)))


def _size_of_losses(losses: Floats, given: Floats) -> float:
    """What a loss weighs, the mean of squares over the mean. Among items that were drawn by chance alone (weight 1) it
    is the losses' own size; among the others that times their weight. Either comes from the losses seen and from some
    whole ones that are imagined, whose weight is the harmonic mean: that of errors where the proposal is right."""
    drawn = given != 1

    def size(of: NDArray[np.bool_], imagined: float) -> float:
        seen = (given * losses)[of & (losses > 0)]
        return float(((seen**2).sum() + imagined / float((1 / given[of]).mean())) / (seen.sum() + imagined))

    parts = [float(of.mean()) * size(of, few) for of, few in ((drawn, FEW), (~drawn, FEW_EVEN)) if of.any()]
    return sum(parts)
