"""What models of many subsets of the labels believe, such as the meter asks for by the hundred: what can be settled
once, such as the regularisation, is settled on all labels, and each model is fitted with it. Probabilities are not
calibrated where only what is said counts; where a precision is asked for they are, by what all labels settle."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.kinds.base import Opinion
from labelwise.tasks.learners import Examples, Items, auto, calibration, deciding, frozen, one_vs_rest, tagger
from labelwise.tasks.settings import Settings

Believed = tuple[Opinion, NDArray[np.floating] | None]  # the opinion of n items, and the thresholds of the classes
BelievedBy = Callable[[NDArray[np.int64]], Believed]  # positions of labels -> what a model of these believes


def believed_by(examples: Examples, exam: Items, pool: Items, settings: Settings) -> BelievedBy | None:
    """How models of these labels are fitted quickly, where `train.learner` is one for which there is a way; None
    elsewhere. exam: the items that are asked of; pool: where thresholds are found."""
    if examples.said:
        by_word = settings.train.learner in (frozen.NAME, tagger.NAME, auto.NAME)
        return of_spans(examples, exam, pool, settings) if by_word else None
    if settings.train.learner != frozen.NAME:
        return None
    return (of_several if examples.multilabel else of_one)(examples, exam, pool, settings)


def of_spans(examples: Examples, exam: Items, pool: Items, settings: Settings) -> BelievedBy:
    """Taggers, in fewer steps; calibration and thresholds are those of all labels."""
    whole, scale = tagger.fit(examples, pool, settings), tagger.Scale.of(pool, settings.seed)
    turns = whole.slope, whole.shift, whole.thresholds

    def by(rows: NDArray[np.int64]) -> Believed:
        model = tagger.field(examples.take(rows), scale, *turns, steps=tagger.BRIEF)
        return model.probabilities(exam), model.thresholds

    return by


def of_one(examples: Examples, exam: Items, pool: Items, settings: Settings) -> BelievedBy:
    """Heads of one class an item. Each finds its thresholds by a part of the pool, where the measure is no mean."""
    measure = kinds.measure(settings)
    settled = examples.take(calibration.sampled(examples, settings.seed))
    vectors, asked = examples.items.vectors(), exam.vectors()
    c, logits = frozen.crossed(settled, settings)
    if measure.plain:
        return lambda rows: (frozen.head(examples.take(rows), vectors[rows], c).logits(asked), None)
    looked_at = _looked_at(pool, settings)
    temperature = calibration.temperature(logits, settled.labels) if measure.precision else 1.0

    def by(rows: NDArray[np.int64]) -> Believed:
        head = frozen.head(examples.take(rows), vectors[rows], c).at(temperature)
        return head.of(asked), deciding.thresholds(settings.measure, settings.classes, head.of(looked_at))

    return by


def of_several(examples: Examples, exam: Items, pool: Items, settings: Settings) -> BelievedBy:
    """Heads of several labels an item. Each finds its thresholds by a part of the pool, as the loop's own does."""
    measure = kinds.measure(settings)
    settled = examples.take(calibration.sampled(examples, settings.seed))
    vectors, asked = examples.items.vectors(), exam.vectors()
    c, logits = one_vs_rest.crossed(settled, settings)
    looked_at = _looked_at(pool, settings)
    wanted = one_vs_rest.precisions(settings.measure, settings.classes)
    turns = one_vs_rest.calibrated(logits, settled.labels) if measure.precision else None

    def by(rows: NDArray[np.int64]) -> Believed:
        heads = one_vs_rest.heads(examples.take(rows), vectors[rows], c)
        heads = heads.turned(*turns) if turns else heads
        return heads.of(asked), one_vs_rest.thresholds(heads.of(looked_at), wanted=wanted)

    return by


def _looked_at(pool: Items, settings: Settings) -> NDArray[np.float32]:
    rows = calibration.random_positions(len(pool), one_vs_rest.LOOKED_AT, settings.seed)
    return pool.take(rows).vectors()
