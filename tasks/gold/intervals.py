"""What a model is judged by (`evaluate.measure`), with its interval: from gold items that need not count alike.

Simulated in docs/proof-gold.md: the intervals hold 93 to 97 times in 100 from some ten gold items a class on. With
fewer the mean of many F1s is itself too low, since each of them is.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.gold.active_testing import CONFIDENCE, Estimated, weighted_mean
from labelwise.tasks.kinds import Measure
from labelwise.tasks.kinds.measures import Labels, Parts

Floats = NDArray[np.float64]


def estimated(measure: Measure, said: Labels, truth: Sequence[str], weights: Floats) -> Estimated | None:
    """The figure of g gold items. None where they cannot tell it: none is of the class that it is about.

    A mean score has the interval of `weighted_mean`. Else each ratio has one of its own, which for an F1 follows from
    that of its share of hits; those of K are joined by their squares, as the reaches of a sum are (Zou & Donner 2008,
    'Construction of confidence limits about effect measures'). A reach is no shorter than half of its interval: where
    all were right by luck it would be 0 to one side. Errors that count in two F1s make these vary together, and the
    reaches longer.
    """
    parts = measure.parts(said, truth)
    if measure.plain:
        return weighted_mean(parts.hits[:, 0], weights)
    counted = np.flatnonzero(weights @ parts.trials > 0)
    if not (weights @ parts.true > 0).any():
        return None
    ends = np.array([_ratio(parts.hits[:, k], weights * parts.trials[:, k]) for k in counted])
    value, low, high = measure.linked(ends.T)
    if len(counted) == 1:
        return Estimated(float(value[0]), float(low[0]), float(high[0]))
    half = (high - low) / 2
    below, above = (
        float(np.sqrt((np.maximum(reach, half) ** 2).sum())) / len(counted) for reach in (value - low, high - value)
    )
    mean, more = float(value.mean()), _together(parts, weights) if measure.f1 else 1.0
    return Estimated(mean, max(mean - more * below, 0.0), min(mean + more * above, 1.0))


def _ratio(hits: Floats, weights: Floats) -> tuple[float, float, float]:
    """The weighted share of hits among the items of weight above 0, with Wilson's (1927) interval, of as many items of
    equal weight as would tell as much.

    That number follows from the variance of a ratio, one hit and one miss of the mean weight imagined beside those
    seen, which tell of the variance where all were hits. Where weights differ, it is itself a guess, and Student's t
    takes the place of the normal quantile, with a degree of freedom less than such items by weight alone (Kish 1965).
    """
    from scipy.special import ndtri, stdtrit

    held = weights > 0
    h, w = hits[held], weights[held]
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
