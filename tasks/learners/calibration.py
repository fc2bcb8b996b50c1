"""Cross-fitting: what a model says of labels that it has not seen, and what follows from that alone. Gold is not looked at."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from tasks.learners.base import Examples

FOLDS = 3
FLOOR = np.log(1e-4)  # log probability of a class that the model cannot know: one such item must not decide everything
COOLEST, HOTTEST = 0.05, 20.0


def folds(labels: NDArray[np.int64], seed: int, count: int = FOLDS) -> NDArray[np.int64]:
    """(m,) the fold of each item, each class spread as evenly as it goes. A class with one label is in one fold."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    result = np.empty(len(labels), dtype=np.int64)
    result[by_class] = np.arange(len(labels)) % count
    return result


def cross_fitted(
    examples: Examples, fold: NDArray[np.int64], fit: Callable[[Examples, Examples], NDArray[np.floating]]
) -> NDArray[np.float64]:
    """(m, c) of each item by the model that did not see it. fit: (seen, held out) -> (h, c), what it says of the held out."""
    result = np.full((len(examples), len(examples.classes)), -np.inf)
    for number in np.unique(fold):
        held_out = fold == number
        result[held_out] = fit(examples.take(np.flatnonzero(~held_out)), examples.take(np.flatnonzero(held_out)))
    return result


def log_loss(logits: NDArray[np.floating], labels: NDArray[np.int64], temperature: float = 1.0) -> float:
    """Mean negative log-likelihood in nats, of (m, c) logits divided by the temperature; minus infinity is allowed."""
    return -float(np.maximum(_log_likelihoods(logits, labels, temperature), FLOOR).mean())


def temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature of the least log loss, within [0.05, 20] (Guo et al. 2017, arXiv 1706.04599).

    Labels are smoothed by one part in m + 2, as in Platt 1999: a dozen held-out items that all come out right are no
    reason to be certain. Labels whose class the model could not know say nothing and are left out; 1.0 when none is left.
    """
    known = np.isfinite(logits[np.arange(len(labels)), labels])
    if not known.any():
        return 1.0
    logits, labels = logits[known], labels[known]
    smooth = 1 / (len(labels) + 2)

    def loss(log_t: float) -> float:
        logs = log_softmax(logits.astype(np.float64) / np.exp(log_t), axis=1)
        given = logs[np.arange(len(labels)), labels].mean()
        any_class = logs[np.isfinite(logs)].mean()
        return -float((1 - smooth) * given + smooth * any_class)

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(COOLEST), np.log(HOTTEST)), method="bounded").x))


def _log_likelihoods(logits: NDArray[np.floating], labels: NDArray[np.int64], t: float) -> NDArray[np.float64]:
    return log_softmax(logits.astype(np.float64) / t, axis=1)[np.arange(len(labels)), labels]
