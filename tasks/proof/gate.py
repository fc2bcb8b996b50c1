"""The promotion gate: is the new model better than the champion, or was it luck? Paired on the same gold items."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLIPS = 20_000

Rights = NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """difference: of the accuracies, new less old, with the ends of its interval at `confidence` on each side.
    p_better, p_worse: the chance of a difference like this in favour of the new, or of the old, when both are equal."""

    items: int
    difference: float
    low: float
    high: float
    p_better: float
    p_worse: float


def compare(new: Rights, old: Rights, weights: NDArray[np.float64], confidence: float, seed: int) -> Comparison:
    """The models' answers to the same g items: (g,) right or wrong, and what each item counts.

    Items of equal weight: McNemar's test on the items where one is right and the other wrong, by the binomial with its
    mid-p value (Fagerland, Lydersen & Laake 2013: the exact test keeps far below its level, the mid-p one close to
    it). Else: the same test by random signs.
    """
    from scipy import stats

    gains = new.astype(float) - old.astype(float)
    total = weights.sum()
    difference = float(gains @ weights / total) if total else 0.0
    if len(np.unique(weights)) <= 1:
        better, worse = int((gains > 0).sum()), int((gains < 0).sum())
        p_better, p_worse = midp(better, worse), midp(worse, better)
    else:
        disputed = gains != 0
        stakes = (gains * weights)[disputed]
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(FLIPS, len(stakes)))
        chance = signs @ np.abs(stakes)
        tied = np.isclose(chance, stakes.sum())  # the same sum, taken in another order, may differ in its last bit
        p_better = float(((chance > stakes.sum()) & ~tied).mean() + 0.5 * tied.mean())
        p_worse = 1 - p_better
    error = float(np.sqrt((weights**2 * (gains - difference) ** 2).sum())) / total if total else 1.0
    reach = float(stats.norm.ppf(confidence)) * error
    return Comparison(len(gains), difference, difference - reach, difference + reach, p_better, p_worse)


def midp(wins: int, losses: int) -> float:
    """The chance of so many wins or more out of all by a fair coin, exactly so many counted by half.

    >>> midp(0, 0), round(midp(8, 2), 3)
    (0.5, 0.033)
    """
    from scipy import stats

    return float(stats.binom.sf(wins, wins + losses, 0.5) + 0.5 * stats.binom.pmf(wins, wins + losses, 0.5))
