"""Self-training, an option of every learner: learn once, take the surest items of the pool at their word, learn again
(Yarowsky 1995; class-balanced as in Zou et al. 2018, arXiv 1810.07911)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from labelwise.tasks.learners.base import Examples, Items, Model
from labelwise.tasks.settings import Settings

Fit = Callable[[Examples, Items, Settings], Model]

LOOKED_AT = 2000  # items of the pool, drawn by chance
SURE = 0.9
WEIGHT = 0.5  # of an item that no person has labelled


def around(fit: Fit, offered: Items) -> Fit:
    """The same learner, taught a second time with those of the items offered that the first time made it sure of."""

    def fit_twice(examples: Examples, pool: Items, settings: Settings) -> Model:
        model = fit(examples, pool, settings)
        more = with_sure_items(model, examples, offered, settings.seed)
        return model if len(more) == len(examples) else fit(more, pool, settings)

    return fit_twice


def with_sure_items(model: Model, examples: Examples, offered: Items, seed: int) -> Examples:
    """The examples, and after them items of which the model is at least 90 % sure: the surest of each class, no class
    more than it has labels, so that what is common does not crowd out what is rare. Their weight is half a label's."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(offered))[:LOOKED_AT])
    p = model.probabilities(offered.take(rows))
    predicted, confidence = p.argmax(axis=1), p.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    sure = [
        row
        for label, count in zip(*np.unique(examples.labels, return_counts=True), strict=True)
        for row in order[(predicted[order] == label) & (confidence[order] >= SURE)][:count]
    ]
    if not sure:
        return examples
    return joined(examples, offered.take(rows[sure]), predicted[sure])


def joined(examples: Examples, items: Items, labels: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Examples:
    """The examples, then these items with labels that no person gave."""
    own = examples.items
    whole = Items.of(np.vstack([own.vectors(), items.vectors()]), [*own.texts(), *items.texts()])
    if own.groups is not None and items.groups is not None:
        whole = replace(whole, groups=np.append(own.groups, items.groups))
    weights = np.append(examples.counting, np.full(len(items), WEIGHT, np.float32))
    guessed = np.arange(len(whole)) >= len(examples)
    together = np.concatenate([examples.labels, labels])
    return Examples(whole, together, examples.classes, weights, examples.left, examples.exams, guessed=guessed)
