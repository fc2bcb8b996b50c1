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
FINE = 200_000  # of the same, where gains differ in size: equal ones would all be rounded to the same side
WHOLE = 2520  # cells that a full gain is a multiple of there, if it can be: halves, thirds .. tenths add up exactly
UNSEEN = 0.5  # full gains, and as many full losses, that are imagined beside the gains seen
CAUTION = 1.5  # times the skewness that is found: few gains show too little of it, simulated in docs/proof.md
FLATTEST = 0.5  # of Hall's cubic: where it has come down to the square of this in slope, it goes straight on
LEAST = 1e-300  # no chance is 0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """difference: of the mean scores, new less old, in [-1, 1], with the ends of its interval, each at the level asked
    for. p_better, p_worse: the chance of a difference like this in favour of the new, or of the old, when both are
    equal."""

    items: int
    difference: float
    low: float
    high: float
    p_better: float
    p_worse: float

    def times(self, scale: float) -> "Comparison":
        """The same of a measure that differs by `scale` times as much, in [-1, 1]. 0: no item tells of it, so that it
        may be any."""
        if not scale:
            return Comparison(self.items, 0.0, -1.0, 1.0, 0.5, 0.5)
        middle, low, high = (min(max(end * scale, -1.0), 1.0) for end in (self.difference, self.low, self.high))
        return Comparison(self.items, middle, low, high, self.p_better, self.p_worse)


def level(look: int, confidence: float) -> float:
    """The chance of a false champion that look 1, 2, 3 ... at a champion may take. All looks there can be sum to
    1 - confidence; the first five to half of that.

    >>> round(level(1, 0.95), 5), round(sum(level(look, 0.95) for look in range(1, 6)), 3)
    (0.00833, 0.025)
    """
    return (1 - confidence) * HALF / ((HALF + look - 1) * (HALF + look))


def compare(new: Floats, old: Floats, weights: Floats, alpha: float) -> Comparison:
    """The models' answers to the same g items: (g,) scores in [0, 1], 1.0 or 0.0 where an answer is right or wrong, and
    (g,) what each item counts. alpha: the level of either end of the interval, and of the verdict that rests on it.

    The test is by random signs: models that are equal would have won what they lost as often as not. Where answers are
    right or wrong this is McNemar's test with its mid-p value (Fagerland, Lydersen & Laake 2013: the exact test keeps
    far below its level, the mid-p one close to it). Scores in between can be equal on average while one model gains a
    little often and loses much rarely; then signs alone say too soon that it is better, by up to ten times their level.
    So the side to which this happens is corrected for the skewness (`skewness`) by the cubic of Hall (1992). It never
    makes a p value smaller, and there is none to correct where answers are right or wrong.

    The interval is the test turned round: it holds the differences that the score test of Tango (1998), which is
    McNemar's at 0, does not reject, with the variance that gains of this size have. Its quantile is scaled so that at 0
    it says what the p value says: the interval leaves out 0 just where that is at most alpha.
    """
    from scipy.special import ndtri

    gains = new.astype(np.float64) - old.astype(np.float64)
    total = weights.sum()
    if not total:
        return Comparison(len(gains), 0.0, -1.0, 1.0, 0.5, 0.5)
    difference = float(np.clip(gains @ weights / total, -1, 1))
    even = len(np.unique(np.abs(gains[gains != 0]))) < 2
    plain = by_signs(gains * weights, CELLS if even else FINE)
    skew = CAUTION * skewness(gains, weights)
    bends = min(skew, 0.0) / 3, min(-skew, 0.0) / 3  # what makes the new, or the old, seem better than it is
    p_better, p_worse = (_skewed(p, bend) for p, bend in zip(plain, bends, strict=True))
    squares = weights**2
    shares = squares / squares.sum()
    rates = float((shares * gains)[gains > 0].sum()), float((shares * -gains)[gains < 0].sum())
    effective = float(total**2 / squares.sum())  # so many items of equal weight would tell as much (Kish 1965)
    imagined = 2 * UNSEEN * squares.mean()
    size = float((squares @ gains**2 + imagined) / (squares @ np.abs(gains) + imagined))
    known = abs(_score(0.0, difference, *rates, effective, size))
    exact = -float(ndtri(max(min(plain), LEAST)))
    scale = known / exact if known and exact > 0 else 1.0
    quantiles = tuple(scale * _unbent(-float(ndtri(alpha)), bend) for bend in bends)
    low, high = interval(difference, *rates, effective, size, *quantiles)
    return Comparison(len(gains), difference, low, high, p_better, p_worse)


def skewness(gains: Floats, weights: Floats) -> float:
    """The skewness of the sum of g weighted gains in [-1, 1], if their mean were 0: below 0 where losses are rarely and
    large. Always 0 where all gains are of one size.

    Its moments are those of the gains and losses seen, the more frequent ones counted down until the mean is 0, and of
    `UNSEEN` full ones on either side: few gains say little about a loss that is still to be seen.
    """
    won, lost, either = gains > 0, gains < 0, gains != 0
    if not (weights[either] > 0).any():
        return 0.0
    sizes, full = np.abs(gains), UNSEEN * np.array([(weights[either] ** power).mean() for power in range(4)])

    def moment(side: NDArray[np.bool_], of_weight: int, of_size: int) -> float:
        return float((weights[side] ** of_weight * sizes[side] ** of_size).sum() + full[of_weight])

    mean_gain, mean_loss = moment(won, 3, 1), moment(lost, 3, 1)
    count, count_lost = moment(won, 3, 0), moment(lost, 3, 0)
    level_at = (count + count_lost) / (count / mean_gain + count_lost / mean_loss)  # what is gained, and what is lost
    third = level_at * (moment(won, 3, 3) / mean_gain - moment(lost, 3, 3) / mean_loss)
    second = level_at * (moment(won, 2, 2) / mean_gain + moment(lost, 2, 2) / mean_loss)
    return float(third / second**1.5)


def by_signs(stakes: Floats, cells: int = CELLS) -> tuple[float, float]:
    """The chances that the stakes, each with a sign that a fair coin gives, sum to more, or to less, than they do; to
    just as much counts by half. 0 among the stakes changes nothing.

    Sums are added up on a grid of `cells`, exactly where all stakes are of one size: then it is the mid-p value of
    McNemar's test.

    >>> by_signs(np.zeros(3)), round(by_signs(np.repeat([0.7, -0.7], [8, 2]))[0], 3)
    ((0.5, 0.5), 0.033)
    """
    stakes = stakes[stakes != 0]
    if not len(stakes):
        return 0.5, 0.5
    sizes = np.abs(stakes)
    most = sizes.max()
    parts = max(1, int(cells * most / sizes.sum()))
    if cells == FINE and parts > WHOLE:
        parts -= parts % WHOLE
    unit = most if most == sizes.min() else most / parts
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


def _skewed(p: float, bend: float) -> float:
    """A p value that holds where the sum is skewed, too. bend: a third of the skewness, 0 or below. Hall's cubic of a
    normal quantile, from which no more than `FLATTEST` of its slope's root is left."""
    from scipy.special import ndtr, ndtri

    if not bend:
        return p
    z = -float(ndtri(min(max(p, LEAST), 1 - 1e-16)))
    turn = (FLATTEST - 1) / bend
    at = min(z, turn)
    bent = at + bend * at**2 + bend**2 * at**3 / 3 + bend / 2 + FLATTEST**2 * (z - at)
    return max(p, float(ndtr(-bent)))


def _unbent(quantile: float, bend: float) -> float:
    """The quantile that `_skewed` makes `quantile` of; never less than that."""
    if not bend:
        return quantile
    turn = (FLATTEST - 1) / bend
    flat = (FLATTEST**3 - 1) / (3 * bend) + bend / 2  # what becomes of `turn`
    if quantile > flat:
        return max(quantile, turn + (quantile - flat) / FLATTEST**2)
    return max(quantile, float(np.expm1(np.log1p(3 * bend * (quantile - bend / 2)) / 3) / bend))


def interval(
    difference: float, gained: float, lost: float, g: float, size: float, below: float, above: float
) -> tuple[float, float]:
    """The differences that are at most `below`, or `above`, standard errors from the one that was seen. gained, lost:
    what one model scored more than the other on g items, and what it scored less, a mean of all items. size: of a gain
    or loss, the mean of its squares over its mean; 1 where answers are right or wrong.

    Of very few items these need not be one stretch: then it ends at the crossing that leaves 0 on its right side.
    """
    from scipy.optimize import brentq

    def beyond(bound: float, side: float, quantile: float) -> float:
        return side * _score(bound, difference, gained, lost, g, size) - quantile

    ends = []
    for side, quantile in ((1.0, below), (-1.0, above)):
        far, near = -side, difference
        if min(far, near) < 0 < max(far, near):
            far, near = (0.0, near) if beyond(0.0, side, quantile) > 0 else (far, 0.0)
        if abs(difference - far) < 1e-12 or beyond(far, side, quantile) <= 0:
            ends.append(far)
        elif beyond(near, side, quantile) >= 0:  # a level of a half or more, or just on the crossing
            ends.append(near)
        else:
            ends.append(float(brentq(beyond, far, near, args=(side, quantile), xtol=1e-12)))
    return min(ends[0], difference), max(ends[1], difference)


def _score(bound: float, difference: float, gained: float, lost: float, g: float, size: float) -> float:
    """How many standard errors the difference seen lies above `bound`, if that is the true one (Tango 1998; where items
    are won or lost in part, with the variance that goes with `size`, which is never less than the mean of all gains and
    losses)."""
    b = -gained - lost + (2 - gained + lost) * bound
    least = (np.sqrt(max(b * b + 8 * lost * bound * (1 - bound), 0.0)) - b) / 4  # the likeliest loss, then
    disputed = 2 * least + bound
    in_part = max(0.0, min(1 - size, 1 - disputed)) * disputed
    variance = (2 * least + bound * (1 - bound) - in_part) / g
    if variance <= 1e-15:
        return 0.0 if difference == bound else float(np.copysign(1e9, difference - bound))
    return float((difference - bound) / np.sqrt(variance))
