"""Cross-fitting: what a model says of labels that it has not seen, and what follows from that: how strongly to
regularise, how sure to be, how much to trust each learner. Gold is not looked at."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from labelwise.tasks.learners.base import Examples
from labelwise.tasks.learners.optimizers import minimize

FOLDS = 3
FLOOR = np.log(1e-4)  # log probability of a class that the model cannot know: one such item must not decide everything
COOLEST, HOTTEST = 0.05, 20.0


EVEN = 10  # labels that an equal say of several models counts as
MOST = 1500  # more labels than this are sampled: what is decided here settles earlier


def sampled(examples: Examples, seed: int) -> NDArray[np.int64]:
    """The examples to cross-fit on: those that people have labelled, 1,500 at most."""
    return np.sort(np.random.default_rng(seed).permutation(examples.given)[:MOST])


def random_positions(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """At most `most` of n positions, by chance, in order."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])


def folds(
    labels: NDArray[Any], seed: int, count: int = FOLDS, groups: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """(m,) the fold of each item, each class spread as evenly as it goes, of several labels an item the rarest. A class
    with one label is in one fold. groups: (m,) as of Items; a group is in one fold, where there are as many as folds.
    """
    labels = rarest(labels) if labels.ndim == 2 else labels
    rng = np.random.default_rng(seed)
    if groups is not None:
        units = np.where(groups < 0, -1 - np.arange(len(groups)), groups)
        if (groups >= 0).any() and len(np.unique(units)) >= count:
            return _whole(labels, units, rng, count)
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    result = np.empty(len(labels), dtype=np.int64)
    result[by_class] = np.arange(len(labels)) % count
    return result


def _whole(
    labels: NDArray[np.int64], units: NDArray[np.int64], rng: np.random.Generator, count: int
) -> NDArray[np.int64]:
    """(m,) folds of which none divides a unit: the largest first, each goes where its classes are rarest so far, of
    several such folds into the smallest. O(m + u count c) for u units."""
    _, unit, sizes = np.unique(units, return_inverse=True, return_counts=True)
    rows_of = np.split(np.argsort(unit, kind="stable"), np.cumsum(sizes)[:-1])
    order = rng.permutation(len(sizes))
    classes = np.unique(labels, return_inverse=True)[1]
    there = np.zeros((count, classes.max() + 1), dtype=np.int64)
    result = np.empty(len(labels), dtype=np.int64)
    for each in order[np.argsort(-sizes[order], kind="stable")]:
        own = np.bincount(classes[rows_of[each]], minlength=there.shape[1])
        fold = int(np.lexsort((there.sum(axis=1), there @ own))[0])
        there[fold] += own
        result[rows_of[each]] = fold
    return result


def rarest(targets: NDArray[np.floating]) -> NDArray[np.int64]:
    """(m, c) 0 or 1 -> (m,) of the labels of each item the one that fewest items have; c for an item without any. Items
    that are spread evenly over folds by it spread what is rare (after Sechidis et al. 2011, 'On the stratification of
    multi-label data').

    >>> rarest(np.array([[1, 1], [1, 0], [0, 0]])).tolist()
    [1, 0, 2]
    """
    counts = np.where(targets > 0, targets.sum(axis=0), np.inf)
    without = np.full((len(targets), 1), np.finfo(np.float64).max)
    return np.column_stack([counts, without]).argmin(axis=1)


def held_out(examples: Examples, seed: int, count: int = FOLDS) -> NDArray[np.int64]:
    """(m,) folds of which number 0 is to be held out: it holds labels that people gave, none that a model guessed."""
    fold = folds(examples.labels, seed, count, examples.items.groups)
    if examples.guessed is not None:
        fold[(fold == 0) & examples.guessed] = 1
    return fold


def log_loss(logits: NDArray[np.floating], labels: NDArray[np.int64], temperature: float = 1.0) -> float:
    """Mean negative log-likelihood in nats, of (m, c) logits divided by the temperature; minus infinity is allowed."""
    return float(log_losses(logits, labels, temperature).mean())


def log_losses(
    logits: NDArray[np.floating], labels: NDArray[np.int64], temperature: float = 1.0
) -> NDArray[np.float64]:
    """(m,) the same of each label."""
    return -np.maximum(_log_likelihoods(logits, labels, temperature), FLOOR)


def temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature of the least log loss, within [0.05, 20] (Guo et al. 2017, arXiv 1706.04599).

    Labels are smoothed by one part in m + 2, as in Platt 1999: a dozen held-out items that all come out right are no
    reason to be certain. Labels whose class the model could not know are left out; 1.0 when none is left.
    """
    return float(1 / pooling([logits], labels)[0])


def tempered(
    logits: NDArray[np.floating], labels: NDArray[np.int64], seed: int, groups: NDArray[np.int64] | None = None
) -> NDArray[np.floating]:
    """(m, c) logits, each divided by the temperature that the labels of the other folds ask for: what the model would
    say of labels that had no part in calibrating it. By its own labels' temperature it would beat itself."""
    fold = folds(labels, seed, groups=groups)
    result = np.array(logits, dtype=np.float64)
    for number in np.unique(fold):
        result[fold == number] /= temperature(logits[fold != number], labels[fold != number])
    return result


def pooling(opinions: Sequence[NDArray[np.floating]], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weight of each of several models' (m, c) logits in their sum, >= 0, that gives the least log loss of the m
    labels (logarithmic opinion pool: Genest & Zidek 1986; stacking: Wolpert 1992). Smoothed as `temperature` is; the
    logits of one model alone get the inverse of their temperature. Equal weights when nothing can be learned from the
    labels.
    """
    known = np.all([np.isfinite(one[np.arange(len(labels)), labels]) for one in opinions], axis=0)
    if not known.any():
        return np.full(len(opinions), 1 / len(opinions))
    stacked = np.stack([one[known] for one in opinions]).astype(np.float64)
    possible = np.isfinite(stacked).all(axis=0)
    stacked = np.where(possible, stacked, 0)
    rows, given = np.arange(known.sum()), labels[known]
    smooth = 1 / (len(given) + 2)
    target = smooth * possible / possible.sum(axis=1, keepdims=True)
    target[rows, given] += 1 - smooth

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logs = log_softmax(np.where(possible, np.tensordot(weights, stacked, 1), -np.inf), axis=1)
        gap = np.exp(logs) - target
        value = -(target * np.where(possible, logs, 0)).sum() / len(given)
        return value, (stacked * gap).sum(axis=(1, 2)) / len(given)

    start = np.full(len(opinions), 1 / len(opinions))
    limits = [(1 / HOTTEST if len(opinions) == 1 else 0.0, 1 / COOLEST)] * len(opinions)
    return minimize(loss, start, jac=True, bounds=limits, method="L-BFGS-B").x


def steadied(opinions: Sequence[NDArray[np.floating]], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weights of `pooling`, drawn towards an equal say of all models, each at its own temperature: as far as ten
    labels against m. What few labels say of several weights at once is half a throw of dice."""
    own = np.array([pooling([one], labels)[0] for one in opinions])
    share = len(labels) / (len(labels) + EVEN)
    return share * pooling(opinions, labels) + (1 - share) * own / len(opinions)


def _log_likelihoods(logits: NDArray[np.floating], labels: NDArray[np.int64], t: float) -> NDArray[np.float64]:
    return log_softmax(logits.astype(np.float64) / t, axis=1)[np.arange(len(labels)), labels]
