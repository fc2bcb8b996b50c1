"""The promotion gate: is the new model better than the champion, or was it luck? Paired on the same gold items.

The same gold set is asked round after round, each time of another model: thirty looks at 5 % each would crown a model
that is no better in a third of all runs. So the looks at one champion share the error that is allowed (alpha spending,
as of Lan & DeMets 1983): look k may spend what `level` says, and all together,
however many, spend no more than one test would. That holds however alike the looks are and whatever was added to the
gold set between two of them, since it rests on nothing but the sum.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HALF = 5  # looks at a champion that spend half of the error; simulated in docs/proof.md
CELLS = 10_000  # of the grid on which sums of weights are added up
LEAST = 1e-300  # no chance is 0

Floats = NDArray[np.float64]
Rights = NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """difference: of the accuracies, new less old, with the ends of its interval, each at the level that was asked for.
    p_better, p_worse: the chance of a difference like this in favour of the new, or of the old, when both are equal."""

    items: int
    difference: float
    low: float
    high: float
    p_better: float
    p_worse: float


def level(look: int, confidence: float) -> float:
    """The chance of a false champion that look 1, 2, 3 ... at a champion may take. All looks there can be sum to
    1 - confidence; the first five to half of that.

    >>> round(level(1, 0.95), 5), round(sum(level(look, 0.95) for look in range(1, 6)), 3)
    (0.00833, 0.025)
    """
    return (1 - confidence) * HALF / ((HALF + look - 1) * (HALF + look))


def compare(new: Rights, old: Rights, weights: Floats, alpha: float) -> Comparison:
    """The models' answers to the same g items: (g,) right or wrong, and what each item counts. alpha: the level of
    either end of the interval, and of the verdict that rests on it.

    The test is McNemar's on the items where one is right and the other wrong, with its mid-p value (Fagerland, Lydersen
    & Laake 2013: the exact test keeps far below its level, the mid-p one close to it); where items differ in weight,
    the same test by random signs. The interval is the test turned round: it holds the differences that the score test
    of Tango (1998), which is McNemar's at 0, does not reject. Its quantile is scaled so that at 0 it says what the
    mid-p value says: the interval leaves out 0 just where that is at most alpha.
    """
    from scipy.special import ndtri

    gains = new.astype(float) - old.astype(float)
    total = weights.sum()
    if not total:
        return Comparison(len(gains), 0.0, -1.0, 1.0, 0.5, 0.5)
    difference = float(np.clip(gains @ weights / total, -1, 1))
    p_better, p_worse = by_signs(gains * weights)
    shares = weights**2 / (weights**2).sum()
    rates = float(shares[gains > 0].sum()), float(shares[gains < 0].sum())
    effective = float(total**2 / (weights**2).sum())  # so many items of equal weight would tell as much (Kish 1965)
    known = abs(_score(0.0, difference, *rates, effective))
    exact = -float(ndtri(max(min(p_better, p_worse), LEAST)))
    scale = known / exact if known and exact > 0 else 1.0
    low, high = interval(difference, *rates, effective, -scale * float(ndtri(alpha)))
    return Comparison(len(gains), difference, low, high, p_better, p_worse)


def by_signs(stakes: Floats) -> tuple[float, float]:
    """The chances that the stakes, each with a sign that a fair coin gives, sum to more, or to less, than they do; to
    just as much counts by half. 0 among the stakes changes nothing.

    Sums are added up on a grid, exactly where all stakes are of one size: then it is the mid-p value of McNemar's test.

    >>> by_signs(np.zeros(3)), round(by_signs(np.repeat([0.7, -0.7], [8, 2]))[0], 3)
    ((0.5, 0.5), 0.033)
    """
    stakes = stakes[stakes != 0]
    if not len(stakes):
        return 0.5, 0.5
    sizes = np.abs(stakes)
    most = sizes.max()
    unit = most if most == sizes.min() else most / max(1, int(CELLS * most / sizes.sum()))
    steps = np.maximum(np.round(sizes / unit).astype(int), 1)
    chances = np.ones(1)  # of the sum of the positive ones, in steps
    for step in steps:
        grown = np.zeros(len(chances) + step)
        grown[: len(chances)] = chances / 2
        grown[step:] += chances / 2
        chances = grown
    won = int(steps[stakes > 0].sum())
    more, less = (side.sum() + chances[won] / 2 for side in (chances[won + 1 :], chances[:won]))
    return float(min(more, 1.0)), float(min(less, 1.0))


def interval(difference: float, wins: float, losses: float, g: float, quantile: float) -> tuple[float, float]:
    """The differences that are at most `quantile` standard errors from the one that was seen. wins, losses: the shares
    of g items that one model got right and the other wrong.

    Of very few items these need not be one stretch: then it ends at the crossing that leaves 0 on its right side.
    """
    from scipy.optimize import brentq

    def beyond(bound: float, side: float) -> float:
        return side * _score(bound, difference, wins, losses, g) - quantile

    ends = []
    for side in (1.0, -1.0):
        far, near = -side, difference
        if min(far, near) < 0 < max(far, near):
            far, near = (0.0, near) if beyond(0.0, side) > 0 else (far, 0.0)
        if abs(difference - far) < 1e-12 or beyond(far, side) <= 0:
            ends.append(far)
        elif beyond(near, side) >= 0:  # a level of a half or more, or just on the crossing
            ends.append(near)
        else:
            ends.append(float(brentq(beyond, far, near, args=(side,), xtol=1e-12)))
    return min(ends[0], difference), max(ends[1], difference)


def _score(bound: float, difference: float, wins: float, losses: float, g: float) -> float:
    """How many standard errors the difference seen lies above `bound`, if that is the true one (Tango 1998)."""
    b = -wins - losses + (2 - wins + losses) * bound
    lost = (np.sqrt(max(b * b + 8 * losses * bound * (1 - bound), 0.0)) - b) / 4  # the likeliest share lost, then
    variance = (2 * lost + bound * (1 - bound)) / g
    if variance <= 1e-15:
        return 0.0 if difference == bound else float(np.copysign(1e9, difference - bound))
    return float((difference - bound) / np.sqrt(variance))
