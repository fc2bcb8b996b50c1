"""How many items a fixed model may label, so that a promise about the whole pool is kept.

The unlabelled items are put in order, the surest first. Each of them belongs to the exam by its own draw, with the same
chance `share`, made before anybody looks. People answer the exam in that order, and the model labels the items before
the answer that is one mistake too many. Nothing is assumed about the model, its confidence or the order.

Why it is kept. Call the allowed number of wrong labels `budget`. The promise breaks only if the items that the model
labels hold more than `budget` wrong ones; then, when the (budget + 1)-th wrong item outside the exam was passed, at
most `mistakes` wrong items inside the exam had been. Each wrong item is inside by its own draw, so that their number
inside before the (budget + 1)-th outside is negative binomial, wherever in the order the wrong ones stand, and
`mistakes` is the largest number for which this has a chance of at most `risk`. No prefix has to be tested by itself,
and none costs confidence. It is the threshold above which people label of Candes, Ilyas & Zrnic (2025, arXiv
2506.10908), with an exact stopping rule in place of a bound at each threshold.

Scores between 0 and 1 (several labels, spans): with u and x the losses passed outside and inside, exp(s u - t x) is a
supermartingale when (1 - share) exp(s) + share exp(-t) = 1, since this is convex in the loss and 1 at none; Ville's
inequality bounds the chance that it ever exceeds 1 / risk.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARES = np.concatenate([np.geomspace(0.002, 0.2, 41), np.linspace(0.225, 0.95, 30)])  # those that a plan compares


def risk_of(confidence: float, look: int) -> float:
    """The chance to break the promise that look 1, 2, ... at one pool may take; all together 1 - confidence.

    >>> [round(risk_of(0.95, look), 6) for look in (1, 2, 3)]
    [0.025, 0.0125, 0.00625]
    """
    return (1 - confidence) / 2**look


def mistakes(budget: int, share: float, risk: float, whole: bool = True) -> float:
    """The sum of losses in the exam up to which the model may go on labelling; negative where no exam of this share can
    allow anything. budget: wrong labels allowed. whole: whether each loss is 0 or 1.

    >>> mistakes(200, 0.05, 0.05), mistakes(10, 0.05, 0.05)
    (4.0, -1.0)
    """
    from scipy.optimize import minimize_scalar  # late: `status` must not wait for it
    from scipy.stats import nbinom

    if share >= 1:  # people label all of them
        return -1.0
    if whole:
        most = float(nbinom.ppf(risk, budget + 1, 1 - share))
        return most if nbinom.cdf(most, budget + 1, 1 - share) <= risk else most - 1

    def lost(s: float) -> float:
        t = -math.log((1 - (1 - share) * math.exp(s)) / share)
        return -(s * budget - math.log(1 / risk)) / t

    least, most = 1e-9, -math.log(1 - share) - 1e-9
    best = -float(minimize_scalar(lost, bounds=(least, most), method="bounded").fun)
    return best if best >= 0 else -1.0


def trusted(losses: NDArray[np.floating], allowed: float) -> int:
    """How many items the model may label: all before the exam's losses exceed `allowed`.

    losses: (n,) of the items in their order: what the exam says of each, NaN outside of the exam. Items of the exam
    inside the prefix have people's labels.

    >>> trusted(np.array([np.nan, 0, np.nan, 1, np.nan, 1, np.nan]), 1)
    5
    """
    if allowed < 0:
        return 0
    passed = np.cumsum(np.nan_to_num(losses))
    return int(np.searchsorted(passed, allowed + 1e-9, side="right"))


@dataclass(frozen=True)
class Plan:
    """What a promise is expected to take. share: of the exam. trusted: items that the model is expected to label or to
    have labelled by the exam. exam: items of it that people answer before it is known where the model must end.
    people: all items that people still label; `least` and `most` in 8 of 10 cases."""

    share: float
    allowed: float
    trusted: int
    exam: int
    people: int
    least: int
    most: int


LEVEL = 4.0  # how sure the level of expected losses is: gamma distributed of this shape, half its mean either way
ENDS = 2_000  # of the model's part, that a plan looks at
# Shares of people's answers that may be slips, and how likely each is before anything is known: of ten well-known test
# sets 0.15 to 10 % of the labels are wrong, 3.3 % in the mean (Northcutt, Athalye & Mueller 2021, arXiv 2103.14749).
SLIPS = np.array([0.0, 0.005, 0.01, 0.02, 0.05, 0.1])
LIKELY = np.array([0.35, 0.15, 0.15, 0.15, 0.12, 0.08])


def slipping(expected: NDArray[np.floating], losses: NDArray[np.floating]) -> NDArray[np.float64]:
    """How likely each of SLIPS is, by what people said of k items drawn by chance of which a model had an opinion that
    had not learned them. expected, losses: (k,) what it was expected to lose there, had nobody slipped, and what it
    lost."""
    rate = np.clip(_with(expected[:, None], SLIPS), 1e-4, 1 - 1e-4)
    logs = losses @ np.log(rate) + (1 - losses) @ np.log(1 - rate)
    found = LIKELY * np.exp(logs - logs.max())
    return np.asarray(found / found.sum())


def _with(expected: NDArray[np.floating], slips: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Expected losses where this share of people's answers are slips, too."""
    return np.asarray(expected + slips - expected * slips)


def plan(
    expected: NDArray[np.floating],
    budget: int,
    risk: float,
    whole: bool = True,
    slips: NDArray[np.floating] = LIKELY,
) -> Plan:
    """The share of the exam for which people are expected to label least.

    expected: (n,) the expected loss of each item in its order, had nobody slipped; slips: how likely each of SLIPS is.
    Wrong expectations cost labels, never the promise.

    Where the exam ends the model's part is chance: the mistake that is one too many may come early, and all the earlier
    the fewer are allowed. So the plan weighs each end by its probability: the mistakes before it are Poisson, of a rate
    that is known but for LEVEL (pools are not like gold), which makes them negative binomial.
    """
    from scipy.special import betainc

    n = len(expected)
    best = Plan(1.0, -1.0, 0, 0, n, n, n)
    if not n:
        return best
    ends = np.unique(np.linspace(1, n, min(n, ENDS)).astype(np.int64))
    steps = np.diff(ends, prepend=0)
    lost = [np.cumsum(_with(expected, slip))[ends - 1] for slip in SLIPS]
    for share in SHARES.tolist():
        allowed = mistakes(budget, share, risk, whole)
        if allowed < 0:
            continue
        # How likely the model's part goes so far.
        reaches = slips @ [betainc(LEVEL, allowed + 1, LEVEL / (LEVEL + share * each)) for each in lost]
        reached = float(reaches @ steps)
        people = n - (1 - share) * reached
        if people < best.people:
            least, most = (n - (1 - share) * float(steps[reaches >= chance].sum()) for chance in (0.1, 0.9))
            rounded = (round(each) for each in (reached, share * reached, people, least, most))
            best = Plan(share, allowed, *rounded)
    return best


PRIOR = 25  # items of gold that the model's own doubt counts as much as, in a plan


def expected(
    doubt: NDArray[np.floating],
    known_doubt: NDArray[np.floating] | None = None,
    losses: NDArray[np.floating] | None = None,
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """(n,) the loss to expect of items of which the model has this `doubt`: a plan rests on it, no promise does.

    known_doubt, losses: (g,) the same of items whose labels are known, which the model has not learned; weights: (g,)
    what each counts. The loss rises with the doubt (isotonic regression), and is drawn towards the doubt itself as far
    as few are known. Without any it is the doubt.
    """
    own = np.asarray(doubt, dtype=np.float64)
    if not len(own) or known_doubt is None or losses is None or not len(losses):
        return own
    from sklearn.isotonic import IsotonicRegression

    fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(known_doubt, losses, weights)
    known = len(losses) / (len(losses) + PRIOR)
    return np.asarray(known * fit.predict(own) + (1 - known) * own, dtype=np.float64)
