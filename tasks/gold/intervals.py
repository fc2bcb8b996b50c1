"""What a model is judged by (`evaluate.measure`), with its interval: from gold items that need not count alike.

Simulated in docs/proof-gold.md: the intervals hold 92 to 98 times in 100 from some ten gold items a class on. The mean
of many F1s is too low with so few, since each of them is, and is held less often.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.errors import quantity
from labelwise.tasks.gold.active_testing import CONFIDENCE, Estimated, weighted_mean
from labelwise.tasks.kinds import Answer, Measure
from labelwise.tasks.kinds.measures import Labels, Parts
from labelwise.tasks.settings import BALANCED, BY_CLASS, ENTITY_F1, MACRO_F1, OF_CLASS, MeasureName

REACH = 0.1  # of an interval to either side, which tells a good model of a rare class from a poor one
FEWEST = 10  # gold items of a class, below which intervals do not hold what they say

Floats = NDArray[np.float64]


def estimated(measure: Measure, said: Labels, truth: Sequence[str], weights: Floats) -> Estimated | None:
    """The figure of g gold items. None where they cannot tell it: none is of the class that it is about.

    A mean score has the interval of `weighted_mean`. Else each ratio has one of its own, which for an F1 follows from
    that of its share of hits; those of K are joined by their squares, as the reaches of a sum are (Zou & Donner 2008,
    'Construction of confidence limits about effect measures'). A reach is no shorter than half of its interval: where
    all were right by luck it would be 0 to one side. Errors that count in two F1s make these vary together, and the
    reaches longer. The recall at a precision is the lesser of two figures, that with false alarms and that without, and
    so are the ends of its interval.
    """
    parts = measure.parts(said, truth)
    if measure.plain:
        return weighted_mean(parts.hits[:, 0], weights)
    counted = np.flatnonzero(weights @ parts.trials > 0)
    if not (weights @ parts.true > 0).any():
        return None
    if measure.precision is not None:
        return _at_precision(measure, parts, weights)
    ends = np.array([_ratio(parts.hits[:, k], parts.trials[:, k], weights) for k in counted])
    value, low, high = measure.linked(ends.T)
    if len(counted) == 1:
        return Estimated(float(value[0]), float(low[0]), float(high[0]))
    half = (high - low) / 2
    below, above = (
        float(np.sqrt((np.maximum(reach, half) ** 2).sum())) / len(counted) for reach in (value - low, high - value)
    )
    mean, more = float(value.mean()), _together(parts, weights) if measure.f1 else 1.0
    return Estimated(mean, max(mean - more * below, 0.0), min(mean + more * above, 1.0))


def _at_precision(measure: Measure, parts: Parts, weights: Floats) -> Estimated:
    """The recall of a class, or where false alarms are too many the odds of a hit, each false alarm at its price."""
    hits = parts.hits[:, 0]
    found = np.array(_ratio(hits, parts.true[:, 0], weights))
    shares = np.array(_ratio(hits, (parts.hits + measure.asked(parts))[:, 0], weights))
    low, high = np.minimum(found, np.divide(shares, 1 - shares, out=np.ones(3), where=shares < 0.5))[1:]
    return Estimated(float(measure.values(parts, weights[None])[0]), float(low), float(high))


def enough(name: MeasureName, classes: int, reach: float = REACH, value: float = 0.5) -> int:
    """How many gold items, by chance, make the 95 % interval of a measure about `reach` wide to either side, where the
    figure is `value`: items of each class that the measure is about, or for a mean score items at all.

    classes: how many there are; the mean of several ratios needs fewer items of each. An F1 of F with g items of its
    class has a variance of (2 - F) F (1 - F) / (2 g), where as many are missed as are called it wrongly.

    >>> from labelwise.tasks.settings import measure_named
    >>> def of(name): return measure_named(name, "choice", ["ham", "spam"])
    >>> [enough(of(name), 2) for name in ("accuracy", "f1:spam", "balanced_accuracy")], enough(of("accuracy"), 2, 0.02)
    ([97, 73, 49], 2401)
    """
    variance = value * (1 - value) * ((2 - value) / 2 if name.form in (MACRO_F1, OF_CLASS, ENTITY_F1) else 1)
    ratios = classes if name.form in (BALANCED, MACRO_F1) else 1
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return max(int(np.ceil(variance * (z / reach) ** 2 / ratios)), FEWEST)


def items_by_class(labels: Sequence[str], answer: Answer, classes: Sequence[str]) -> dict[str, int]:
    """How many items have each of the classes.

    >>> from labelwise.tasks.kinds import multilabel
    >>> items_by_class(['["a", "b"]', "[]", '["b"]'], multilabel, ["a", "b", "c"])
    {'a': 1, 'b': 2, 'c': 0}
    """
    found = Counter(name for label in labels for name in answer.members(label))
    return {each: found[each] for each in classes}


def lacking(name: MeasureName, items: Mapping[str, int], low: float = 0.0, high: float = 1.0) -> str:
    """What is to be said where gold has too few items of a class to measure by: in words; '' for nothing.

    items: gold items of each class. low, high: the interval that they give; where it is narrow they are enough.

    >>> from labelwise.tasks.settings import measure_named
    >>> print(lacking(measure_named("f1:spam", "choice", ["ham", "spam"]), {"ham": 93, "spam": 7}, 0.4, 0.9))
    7 gold items of spam; about 73 would give an interval of +-0.1: `labelwise gold grow N`
    """
    if name.form not in BY_CLASS or high - low <= 2 * REACH:
        return ""
    wanted = enough(name, len(items), value=min(max(low, 0.5), high))
    of = {name.of: items[name.of]} if name.of else dict(items)
    short = {each: n for each, n in of.items() if n < wanted}
    if not short:
        return ""
    rarest = min(short, key=lambda each: short[each])
    more = quantity(len(short) - 1, "more class", "more classes")
    others = f" (and fewer than that of {more})" if len(short) > 1 else ""
    each = " of each" if len(of) > 1 else ""
    there = f"{quantity(short[rarest], 'gold item')} of {rarest}; about {wanted:,}{each}"
    there = there if short[rarest] else f"about {wanted:,} gold items of {rarest}"
    return f"{there} would give an interval of +-{REACH:g}{others}: `labelwise gold grow N`"


def _ratio(hits: Floats, trials: Floats, weights: Floats) -> tuple[float, float, float]:
    """The weighted share of hits among the trials, with Wilson's (1927) interval, of as many items of one trial each
    and equal weight as would tell as much. Trials of an item stand together: an item of three counts as one of three
    times the weight.

    That number follows from the variance of a ratio, one hit and one miss of the mean weight imagined beside those
    seen, which tell of the variance where all were hits. Where weights differ, it is itself a guess, and Student's t
    takes the place of the normal quantile, with a degree of freedom less than such items by weight alone (Kish 1965).
    """
    from scipy.special import ndtri, stdtrit

    weights = weights * trials
    held = weights > 0
    h, w = hits[held] / trials[held], weights[held]
    value = float(w @ h / w.sum())
    if len(h) < 2:
        return value, 0.0, 1.0
    mean, whole = w.mean(), w.sum() + 2 * w.mean()
    q = (w @ h + mean) / whole
    variance = (w**2 @ (h - q) ** 2 + mean**2 * (q**2 + (1 - q) ** 2)) / whole**2
    n = max(q * (1 - q) / variance - 2, 0.5)
    tail = (1 + CONFIDENCE) / 2
    z = ndtri(tail) if np.ptp(w) == 0 else stdtrit(max(w.sum() ** 2 / (w @ w) - 1, 1.0), tail)
    z2 = float(z) ** 2 / n
    middle, half = value + z2 / 2, np.sqrt(z2 * (value * (1 - value) + z2 / 4))
    low, high = (middle - half) / (1 + z2), (middle + half) / (1 + z2)
    return value, float(min(max(low, 0.0), value)), float(max(min(high, 1.0), value))


def _together(parts: Parts, weights: Floats) -> float:
    """How much further the mean of F1s varies than if they were independent of each other, as standard deviations; at
    least 1."""
    above, below = weights @ (2 * parts.hits), weights @ (parts.trials + parts.hits)
    f1 = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    pulls = 2 * parts.hits - f1 * (parts.trials + parts.hits)
    pulls = weights[:, None] * np.divide(pulls, below, out=np.zeros_like(pulls), where=below > 0)
    apart = (pulls**2).sum()
    return float(np.sqrt(max((pulls.sum(axis=1) ** 2).sum() / apart, 1.0))) if apart else 1.0
