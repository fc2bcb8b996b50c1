"""Probabilities that expect of each class as many items as there can be (prior shift).

Chosen labels have not the shares of the pool. A model that learned from them need not be wrong about these: what is
asked depends on the items and not on their labels, so the probability of a class given an item is the same in both.
But a model may be too stiff to follow that. What it expects of the items without a label can be looked at, since the
control arm says with an interval how many of each class there are among them (`proof/prevalence.py`).

Where the model expects as many as the interval allows, nothing is changed. Where it does not, the log odds of each
class are shifted until it expects the nearest number that is allowed: a change of priors (Saerens, Latinne &
Decaestecker 2002, 'Adjusting the outputs of a classifier to new a priori probabilities'), no larger than what is known
asks for. With few labels by chance the interval is wide, and keeps a lucky one from deciding.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, logsumexp, softmax

from labelwise.tasks.learners.base import Left
from labelwise.tasks.learners.optimizers import brentq, minimize

Doubles = NDArray[np.float64]
Floats = NDArray[np.floating]
FURTHEST = 20.0  # that log odds are shifted
ROUNDS = 100  # in which numbers are made to sum up


def of_one(p: Floats, left: Left | None) -> Doubles | None:
    """(c,) by which the logits are to be shifted where an item has one class; None where nothing is. p: (n, c)
    probabilities of items that stand for those without a label; a class of which they are all 0 is not known."""
    if left is None or not len(p):
        return None
    expected = left.items * p.mean(axis=0, dtype=np.float64)
    wanted = nearest(expected, np.where(expected > 0, left.low, 0.0), np.where(expected > 0, left.high, 0.0))
    if np.allclose(wanted, expected, rtol=1e-6, atol=1e-6):
        return None
    share = np.maximum(wanted, np.where(expected > 0, 0.5, 0.0))
    share /= share.sum()
    logits = logarithms(p)

    def loss(shifts: Doubles) -> tuple[float, Doubles]:
        whole = logsumexp(logits + shifts, axis=1, keepdims=True)
        return float(whole.mean() - share @ shifts), np.exp(logits + shifts - whole).mean(axis=0) - share

    limits = [(-FURTHEST, FURTHEST)] * p.shape[1]
    found = minimize(loss, np.zeros(p.shape[1]), jac=True, bounds=limits, method="L-BFGS-B").x
    return np.asarray(found - found @ share)


def of_several(p: Floats, left: Left | None) -> Doubles | None:
    """The same where an item may have several classes or none: each is shifted by itself."""
    if left is None or not len(p):
        return None
    expected = left.items * p.mean(axis=0, dtype=np.float64)
    wanted = np.where(expected > 0, np.clip(expected, left.low, left.high), expected)
    moved = np.flatnonzero(~np.isclose(wanted, expected, rtol=1e-6, atol=1e-6))
    if not len(moved):
        return None
    shifts = np.zeros(p.shape[1])
    for at in moved:
        odds, share = logit(p[:, at].astype(np.float64)), max(wanted[at], 0.5) / left.items

        def gap(shift: float, odds: Doubles = odds, share: float = share) -> float:
            return float(expit(odds + shift).mean() - share)

        ends = gap(-FURTHEST), gap(FURTHEST)
        shifts[at] = brentq(gap, -FURTHEST, FURTHEST) if ends[0] < 0 < ends[1] else FURTHEST * np.sign(-ends[0])
    return shifts


def nearest(expected: Doubles, low: Doubles, high: Doubles) -> Doubles:
    """(c,) numbers within their limits and of the same sum as those expected: each as expected where that is within,
    and what is missing then from those that leave room for it, in proportion.

    >>> nearest(np.array([40.0, 60.0]), np.array([1.0, 0.0]), np.array([10.0, 100.0])).tolist()
    [10.0, 90.0]
    """
    found = np.clip(expected, low, high)
    for _ in range(ROUNDS):
        missing = expected.sum() - found.sum()
        room = found < high if missing > 0 else found > low
        if abs(missing) < 1e-9 or not found[room].sum():
            break
        found = np.where(room, np.clip(found * (1 + missing / found[room].sum()), low, high), found)
    return found


def moved(p: Floats, shifts: Doubles | None) -> Floats:
    """(n, c) probabilities of one class an item after a shift."""
    return p if shifts is None else softmax(logarithms(p) + shifts, axis=1)


def moved_each(p: Floats, shifts: Doubles | None) -> Floats:
    """(n, c) probabilities of several classes an item after a shift."""
    return p if shifts is None else expit(logit(p.astype(np.float64)) + shifts)


def logarithms(p: Floats) -> Doubles:
    """Logarithms of probabilities, minus infinity of 0."""
    with np.errstate(divide="ignore"):
        return np.log(p.astype(np.float64))
