"""What a model is judged by (`evaluate.measure`): the mean score of an item, or what finds the classes that are rare.

Each measure is a mean of K ratios over gold items, hits over trials, and of that everything else follows: its figure,
an interval, the difference between two models as a sum over items, and a learning curve. Of a mean score there is one
ratio, whose trials are all items. The balanced accuracy has one a class, the recall. Of an F1 the trials are the items
that the truth or the model gives the class, and the hits those where both do: q of them make an F1 of 2 q / (1 + q).
Of spans an item has as many trials as spans that the truth or the model marks in it.

The recall of a class at a precision P is judged where the model itself has put its threshold, for it is deployed there.
A false alarm is worth P / (1 - P) hits then, nine at a precision of 0.9. Trials are the items that have the class and,
where the hits are too few for the false alarms, as many as are lacking: of h hits among t items of the class and a
false alarms it is h / max(t, t - h + a P / (1 - P)). It is the recall where the precision is P or more, and soon far
less below, so that no recall can be bought by false alarms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.kinds import choice
from labelwise.tasks.kinds.base import Answer
from labelwise.tasks.settings import BALANCED, ENTITY_F1, MACRO_F1, MEASURES, OF_CLASS, MeasureName

Floats = NDArray[np.float64]
Labels = Sequence[str | None]


@dataclass(frozen=True)
class Parts:
    """What g gold items bring to the K ratios of a measure. hits: (g, K) in [0, 1]; trials: (g, K) 0 or 1, never less
    than the hits; true: (g, K) 0 or 1, the trials that there are whatever the model says. Of spans any of them may be
    more, since an item may hold several."""

    hits: Floats
    trials: Floats
    true: Floats


@dataclass(frozen=True)
class Paired:
    """Two models on the same g gold items, so that what one has more than the other is a difference of mean scores.

    new, old: (g,) scores in [0, 1]. weights: (g,) what each item counts. scale: the difference of the measure is
    `scale` times that of the weighted means of new and old.
    """

    new: Floats
    old: Floats
    weights: Floats
    scale: float


@dataclass(frozen=True)
class Measure:
    """name: as in `evaluate.measure`, metrics/ and MLflow. words: for people. answer: what is said of an item. parts:
    (said, truth) -> Parts. f1: whether each ratio is turned into an F1. plain: whether it is the mean score, of one
    ratio whose trials are all items. of: the class that it is about, '' for a measure of all. precision: that at which
    the recall of that class is judged, else None. price: the hits that a false alarm asks for there."""

    name: str
    words: str
    answer: Answer
    parts: Callable[[Labels, Sequence[str]], Parts]
    f1: bool = False
    plain: bool = False
    of: str = ""
    precision: float | None = None
    price: float = 0.0

    def asked(self, parts: Parts) -> Floats:
        """(g, K) what each item brings to the trials where false alarms are too many: a miss, or the hits that a false
        alarm asks for."""
        return parts.true - parts.hits + self.price * (parts.trials - parts.true)

    def value(self, said: Labels, truth: Sequence[str], weights: Floats | None = None) -> float:
        """The figure, in [0, 1]; 0 where nothing can be said."""
        given = np.ones(len(truth)) if weights is None else weights
        return float(self.values(self.parts(said, truth), given[None])[0])

    def values(self, parts: Parts, weights: Floats) -> Floats:
        """(r, g) weights -> (r,) the figure with each row of them. A ratio without a trial does not count."""
        hits, trials = weights @ parts.hits, weights @ parts.trials
        known = trials > 0
        if self.precision is not None:
            trials = np.maximum(weights @ parts.true, weights @ self.asked(parts))
        ratios = np.divide(hits, trials, out=np.zeros_like(hits), where=known)
        return np.asarray(self.linked(ratios).sum(axis=1) / np.maximum(known.sum(axis=1), 1))

    def linked(self, ratios: Floats) -> Floats:
        """What ratios of hits to trials count."""
        return 2 * ratios / (1 + ratios) if self.f1 else ratios

    def precision_of(self) -> "Measure | None":
        """The precision itself, where one is asked for: of the items that are said to be of the class, those that are.
        It is not told where none is said to be."""
        if self.precision is None:
            return None

        def parts(said: Labels, truth: Sequence[str]) -> Parts:
            found = self.parts(said, truth)
            told = found.trials - found.true + found.hits
            return Parts(found.hits, told, told)

        return Measure(f"precision:{self.of}", f"precision of {self.of}", self.answer, parts)

    def paired(self, new: Labels, old: Labels, truth: Sequence[str], weights: Floats) -> Paired:
        """The difference between two models as scores of the items.

        Let n be the numerator of a ratio and d its denominator: the hits and trials, or of an F1 twice the hits and
        the trials and hits together; of a recall at a precision with false alarms in it or without, as the model has
        too many of them or not. With F the mean of the two models' ratios and D that of their denominators, one
        ratio is more than the other by sum(n - F d) / D of the one less that of the other, exactly. A ratio of which
        one model has no trial counts 0 there.
        """
        if self.plain:
            return Paired(self.answer.score(new, truth), self.answer.score(old, truth), weights, 1.0)
        parts = self.parts(new, truth), self.parts(old, truth)
        tops = [one.hits * (1 + self.f1) for one in parts]
        bottoms, alarmed = zip(*(self._below(one, weights) for one in parts), strict=True)
        above, below = ([weights @ one for one in of] for of in (tops, bottoms))
        middle = (below[0] + below[1]) / 2
        counts = middle > 0
        share = np.divide(1, middle, out=np.zeros_like(middle), where=counts) / max(int(counts.sum()), 1)
        first, second = (np.divide(n, d, out=np.zeros_like(n), where=d > 0) for n, d in zip(above, below, strict=True))
        at = (first + second) / 2
        own, other = (((n - at * d) * share).sum(axis=1) for n, d in zip(tops, bottoms, strict=True))
        alarms = 1 - parts[0].true  # that there can be
        if self.answer.PLACES:  # any number of them: those that there are
            alarms = np.maximum(*(one.trials - one.true for one in parts))
        best, worst = self._ends(parts[0].true, alarms, at, share, any(alarmed))
        spread = best - worst
        ours, theirs = (
            np.divide(one - worst, spread, out=np.zeros_like(one), where=spread > 0).clip(0, 1) for one in (own, other)
        )
        return Paired(ours, theirs, weights * spread, float((weights * spread).sum()))

    def _below(self, parts: Parts, weights: Floats) -> tuple[Floats, bool]:
        """(g, K) what each item brings to the denominators, and whether false alarms are among that."""
        if self.precision is None:
            return parts.trials + parts.hits * self.f1, self.f1
        asked = self.asked(parts)
        short = bool((weights @ asked > weights @ parts.true).any())
        return (asked if short else parts.true), short

    def _ends(self, true: Floats, alarms: Floats, at: Floats, share: Floats, alarmed: bool) -> tuple[Floats, Floats]:
        """(g,) the most and the least that an answer to each item could bring to the figure. alarms: (g, K) how many
        false ones an answer could hold; alarmed: whether one takes from the figure."""
        best = (true * ((1 + self.f1) * (1 - at) + at * (alarmed and not self.f1)) * share).sum(axis=1)
        worst = -(true * at * share).sum(axis=1)
        if not alarmed:
            return best, worst
        alarms = alarms * at * share * (1 if self.f1 else self.price)
        if self.answer.NAME == choice.NAME:  # of one class there is one false alarm at most
            return best, worst - alarms.max(axis=1, initial=0.0)
        return best, worst - alarms.sum(axis=1)


def mean_score(answer: Answer) -> Measure:
    """The mean score of an item, the kind's own measure: accuracy or set F1."""

    return Measure(*MEASURES[answer.NAME], answer, lambda said, truth: of_scores(answer.score(said, truth)), plain=True)


def of_scores(scores: Floats) -> Parts:
    """(g,) scores in [0, 1] as what they bring to their mean."""
    every = np.ones((len(scores), 1))
    return Parts(scores[:, None], every, every)


def by_class(name: MeasureName, answer: Answer, classes: Sequence[str]) -> Measure:
    """The mean of the classes' recalls (balanced accuracy) or of their F1; the F1 of all classes together (entity F1);
    or the recall of one at a precision."""
    f1 = name.form in (MACRO_F1, OF_CLASS, ENTITY_F1)
    either = name.form != BALANCED  # whether trials are those of the model, too
    together = name.form == ENTITY_F1

    def parts(said: Labels, truth: Sequence[str]) -> Parts:
        found = answer.counts(said, truth, classes)
        hits, told, true = found.sum(axis=2, keepdims=True) if together else found
        return Parts(hits, told + true - hits if either else true, true)

    return Measure(name.text, name.words, answer, parts, f1, of=name.of, precision=name.precision, price=name.price)


def measure_of(name: MeasureName, answer: Answer, classes: Sequence[str]) -> Measure:
    """The measure that the settings name."""
    if name.form == MEASURES[answer.NAME][0]:
        return mean_score(answer)
    return by_class(name, answer, [name.of] if name.of else classes)


OF_CHOICE = mean_score(choice)  # the accuracy
