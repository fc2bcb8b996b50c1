"""How sure a model must be to answer alone, so that a promise about the items that it answers is kept.

`threshold(pool, known, losses, wrong, risk_of_model(confidence, k))` is all there is to call; and `by_traffic` where
that lets the model answer nothing, once people have answered what came in.

Known items are such as people have labelled and the model has not learned from, drawn like the items to come. The
thresholds that may come out are quantiles of the pool's confidence, so that they are fixed before a label is looked at.
They are tested in their order, the highest first, each at the full risk, up to the first that fails: a threshold that
breaks the promise comes out only if the first of them that is reached has passed, which has a chance of at most `risk`
(fixed-sequence testing; Angelopoulos, Bates, Candes, Jordan & Lei 2025, 'Learn then test', arXiv 2110.01052). Where the
tests begin follows from the confidences of the pool and the number of known items alone.

The test: given how many known items lie at or above a threshold, the number of mistakes among them is binomial, if each
item was drawn with the same chance and is right or wrong. Else, where more than `wrong` is wrong, each payoff
weight x (wrong - loss) has a mean below 0, and what one owns after staking on all of them has a mean of at most 1
(betting; Waudby-Smith & Ramdas 2024, JRSSB, arXiv 2010.09686): averaged over STAKES, it passes 1 / risk with a chance
of at most `risk`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

STEPS = 50  # quantiles of the pool at most; simulated: 10 lose coverage, 300 gain none
SPARE = 2  # mistakes, beside those that the confidences tell of, that the first test should stand; simulated: 0 to 3
STAKES = np.array([0.4, 0.65, 0.9])  # of the largest that cannot lose more than there is; simulated: 2 to 20
HALF = 5  # models that spend half of the risk
OF_TRAFFIC = 0.2  # share of the risk that is kept for models that the gold set does not let answer
OF_ONLINE = 0.3  # share of it that is kept for models which learn between the rounds, where there are such
FIRST = 64  # items that people have answered when such a model is looked at for the first time

Floats = NDArray[np.floating]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Threshold:
    """value: the confidence from which on the model may answer; inf: it may not. coverage: the share of the pool at or
    above it. known: how many known items are. needs: where it may not answer, about how many more known items it would
    take; None: no number would do, as far as these tell. 0 where it may."""

    value: float
    coverage: float
    known: int
    needs: int | None = 0


def risk_of_model(confidence: float, k: int, share: float = 1 - OF_TRAFFIC) -> float:
    """The chance to break the promise that model 1, 2, ... that was looked at on the same known items may take. All
    together this share of 1 - confidence: the promise holds for whichever of them these items have made the champion.

    >>> [round(risk_of_model(0.95, k), 5) for k in (1, 2, 10)]
    [0.00667, 0.00476, 0.00095]
    """
    return share * (1 - confidence) * HALF / ((HALF + k - 1) * (HALF + k))


def by_traffic(confidences: Floats, losses: Floats, wrong: float, confidence: float, whole: bool = True) -> Threshold:
    """The threshold of a model that may answer nothing by the known items, from what people said of the items that
    came in meanwhile: all of them, so they are drawn like those to come, and have chosen no model. Looked for when
    FIRST of them are answered, and whenever there are twice as many as at the last look, each time at half the risk
    that is left, until there is one: all looks together take OF_TRAFFIC of 1 - confidence. Its coverage is of what came
    in.

    confidences, losses: (n,) of these items in the order in which they came. wrong, confidence: in (0, 1).
    """
    sure, lost = np.asarray(confidences, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    found, risk, n = Threshold(math.inf, 0.0, 0, max(FIRST - len(sure), 1)), OF_TRAFFIC * (1 - confidence), FIRST
    while n <= len(sure):
        risk /= 2
        found = threshold(sure[:n], sure[:n], lost[:n], wrong, risk, None, whole)
        if found.value < math.inf:
            return found
        n *= 2
    return replace(found, needs=n - len(sure))


def threshold(
    pool: Floats,
    known: Floats,
    losses: Floats,
    wrong: float,
    risk: float,
    weights: Floats | None = None,
    whole: bool = True,
) -> Threshold:
    """The least confidence from which on at most the share `wrong` of the answers is wrong, with a chance of at least
    1 - risk. Items of equal confidence are answered all or none.

    pool: (n,) confidences of the model. known, losses: (g,) confidences and losses, in [0, 1], of known items. weights:
    (g,) what each counts, 1 / its chance to be drawn, the largest of which is taken for the bound; None: the chances
    were the same. whole: whether each loss is 0 or 1. wrong, risk: in (0, 1).
    """
    order = np.argsort(known, kind="stable")[::-1]
    sure, lost = (np.asarray(each, dtype=np.float64)[order] for each in (known, losses))
    values, shares, doubts = sequence(np.asarray(pool, dtype=np.float64))
    above = np.searchsorted(-sure, -values, side="right")  # known items at or above each value
    if whole and weights is None:
        passes = _by_count(lost, above, wrong, risk)
    else:
        heavy = np.ones(len(sure)) if weights is None else np.asarray(weights, dtype=np.float64)[order]
        passes = _by_stakes(heavy * (wrong - lost), heavy.max(initial=1e-9) * (1 - wrong), above, risk)
    start = begin(shares * len(sure), doubts, wrong, risk)
    end = start + int(np.argmin(np.append(passes[start:], False)))  # the first that fails
    if end > start:
        return Threshold(float(values[end - 1]), float(shares[end - 1]), int(above[end - 1]))
    return Threshold(math.inf, 0.0, 0, _needs(lost, above, shares, wrong, risk))


def sequence(pool: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """The confidences that may become the threshold, the highest first; of each the share of the pool at or above it,
    and the mean doubt there.

    >>> [part.tolist() for part in sequence(np.array([1.0, 0.5, 0.5, 0.75]))]
    [[1.0, 0.75, 0.5], [0.25, 0.5, 1.0], [0.0, 0.125, 0.3125]]
    """
    if not len(pool):
        return np.empty(0), np.empty(0), np.empty(0)
    rising = np.sort(pool)
    values = np.unique(rising[-np.ceil(np.arange(1, STEPS + 1) / STEPS * len(pool)).astype(int)])[::-1]
    counts = len(pool) - np.searchsorted(rising, values, side="left")
    return values, counts / len(pool), np.cumsum(1 - rising[::-1])[counts - 1] / counts


def begin(counts: Doubles, doubts: Doubles, wrong: float, risk: float) -> int:
    """Which of the thresholds is tested first: of those that may pass with one mistake, the one that should pass most
    clearly, if the model is as good as it thinks and SPARE mistakes worse. A wrong guess costs coverage, never the
    promise.

    counts: (t,) how many known items are expected at or above each; doubts: (t,) the mean doubt there.
    """
    from scipy.special import bdtr  # late: `status` must not wait for it

    may = np.flatnonzero(bdtr(1.0, np.floor(counts), wrong) <= risk)
    if not len(may):
        return max(len(counts) - 1, 0)
    expected = doubts[may] + SPARE / counts[may]
    return int(may[np.argmax((wrong - expected) * np.sqrt(counts[may] / expected))])


def _by_count(lost: Doubles, above: NDArray[np.integer], wrong: float, risk: float) -> NDArray[np.bool_]:
    """(t,) whether the mistakes among the first `above` items are too few for `wrong`: such have a chance of `risk`."""
    from scipy.special import bdtr  # late: `status` must not wait for it

    mistakes = np.concatenate([[0.0], np.cumsum(lost)])[above]
    return np.asarray(bdtr(mistakes, above, wrong) <= risk) & (above > 0)


def _by_stakes(payoffs: Doubles, most: float, above: NDArray[np.integer], risk: float) -> NDArray[np.bool_]:
    """(t,) whether stakes on the payoffs of the first `above` items made 1 / risk of 1. most: that one may lose."""
    owned = np.log(np.maximum(1 + STAKES[:, None] / most * payoffs, 1e-300))
    grown = np.concatenate([np.zeros((len(STAKES), 1)), np.cumsum(owned, axis=1)], axis=1)[:, above]
    return np.asarray(np.logaddexp.reduce(grown, axis=0) - math.log(len(STAKES)) >= math.log(1 / risk))


def _needs(lost: Doubles, above: NDArray[np.integer], shares: Doubles, wrong: float, risk: float) -> int | None:
    """How many more known items would let some threshold pass, if as many of them are wrong as of these: by the normal
    approximation, and no fewer than show it without a mistake."""
    from scipy.special import ndtri

    if not len(shares):
        return None
    least = math.log(risk) / math.log(1 - wrong)
    mistakes = np.concatenate([[0.0], np.cumsum(lost)])[above]
    rates = np.divide(mistakes, above, out=np.zeros(len(above)), where=above > 0)
    rates = np.where(above >= least / 2, rates, wrong / 2)  # of so few none tells
    gap = np.maximum(wrong - rates, 1e-9)
    wanted = np.maximum((float(ndtri(risk)) / gap) ** 2 * wrong * (1 - wrong), least) / shares
    best = float(wanted[rates < wrong].min(initial=math.inf))
    return None if math.isinf(best) or best > 1e7 else max(math.ceil(best) - len(lost), 1)
