"""Which class to say, where that is not judged by how often it is right (`evaluate.measure`).

The likeliest class is the best answer for accuracy alone. By balanced accuracy a rare class is worth more than a common
one, and by F1 it is said from the probability on that gives the highest F1, which lies below a half; where a precision
is asked for, from the one on that gives that. So the class is said of which the probability is the highest multiple of
its threshold. Probabilities stay what they are.

What is asked depends on the items and not on their labels, so that the probability of a class given an item is the same
among chosen labels as in the pool; the shares of the classes are not. Thresholds follow from shares. So they are looked
for on the whole pool: what was labelled counts as it was judged while held out, the rest by what the model says of it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.kinds import choice
from labelwise.tasks.learners import one_vs_rest, shifted
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.settings import BALANCED, MeasureName, Settings

Floats = NDArray[np.floating]
MOST = 4.0  # items that are said to be of a class for each that is expected; see `thresholds`
LEAST = 1e-6  # threshold of a class that nobody has given yet; its probability is 0


def limits(
    settings: Settings,
    believed: Callable[[Items], Floats],
    held_out: Floats,
    examples: Examples,
    pool: Items,
) -> tuple[NDArray[np.float64] | None, NDArray[np.float32] | None]:
    """(c,) by which logits are to be shifted, so that no class is expected more or less often than it can be, and (c,)
    thresholds that are expected to be the best on the whole pool then. None for no shift, and for both where the
    likeliest class is said.

    believed: items -> their (n, c) probabilities. examples: those that were held out once, with the (m, c)
    probabilities that they were given then.
    """
    if by_likeliest(settings):
        return None, None
    p, counting = one_vs_rest.looked_at(believed, np.nan_to_num(held_out), examples, pool, settings.seed)
    shifts = shifted.of_one(p[len(held_out) :], examples.left)
    return shifts, thresholds(settings.measure, examples.classes, shifted.moved(p, shifts), counting)


def by_likeliest(settings: Settings) -> bool:
    """Whether an item has one class, and the likeliest is said: the best answer by the mean score."""
    plain = settings.evaluate.measure is None or settings.measure.form == choice.METRIC
    return settings.kind.answer == choice.NAME and plain


def thresholds(
    measure: MeasureName, classes: list[str], p: Floats, counting: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """(c,) by which to divide (n, c) calibrated probabilities before the highest is taken. counting: (n,) how many
    items each row stands for.

    By balanced accuracy, the share of each class: so each item is said to be of the class that gains most by it. By
    macro F1, the threshold of each class by itself. By the F1 of one class, as `one_vs_rest.thresholds` has it, where
    the others are one: what is weighed against the class is the likeliest of them. By its recall at a precision, the
    lowest from which on that precision is expected of what is said; where none is, the class is not said.

    A model that tells nothing apart gives all items the share of the class, and then the highest F1 is expected of
    saying it of all of them. So an F1 is not looked for where far more items would be said than are expected.

    >>> from labelwise.tasks.settings import measure_named
    >>> classes, p = ["no", "yes"], np.array([[0.9, 0.1], [0.6, 0.4], [0.9, 0.1], [1.0, 0.0]])
    >>> print(thresholds(measure_named("balanced_accuracy", "choice", classes), classes, p))
    [0.85 0.15]
    >>> print(thresholds(measure_named("f1:yes", "choice", classes), classes, p))
    [0.75 0.25]
    >>> print(thresholds(measure_named("recall:yes at precision 0.3", "choice", classes), classes, p))
    [0.75 0.25]
    """
    weights = np.ones(len(p)) if counting is None else counting
    if measure.form == BALANCED:
        found = weights @ p / weights.sum()
    elif measure.of:
        at, wanted = classes.index(measure.of), one_vs_rest.precisions(measure, [measure.of])
        cut = float(one_vs_rest.thresholds(p[:, [at]], weights, against(p, at)[:, None], wanted, MOST)[0])
        found = np.full(len(classes), 1 - cut)
        found[at] = cut
    else:
        found = one_vs_rest.thresholds(p, weights, most=MOST)
    return np.maximum(found, LEAST).astype(np.float32)


def against(p: Floats, at: int) -> Floats:
    """(n, c) probabilities -> (n,) that of one class over the sum of it and the likeliest other."""
    other = np.delete(p, at, axis=1).max(axis=1)
    return p[:, at] / np.maximum(p[:, at] + other, LEAST)


def kept(thresholds: NDArray[np.float32] | None) -> dict[str, Any]:
    """How a learner's `config.json` holds the thresholds of one class an item."""
    return one_vs_rest.kept(thresholds) | ({} if thresholds is None else {"answer": choice.NAME})


def read(config: dict[str, Any]) -> NDArray[np.float32] | None:
    """What `kept` has put there."""
    return np.asarray(config["thresholds"], np.float32) if "thresholds" in config else None
