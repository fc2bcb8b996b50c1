"""Weak labels beside people's: what rules and language models say of items that no person has labelled.

How much they count for, and how strongly to regularise then, is decided by people's labels: a head (of spans the field
of `tagger`) learns all others and the weak ones, at each weight of WEIGHTS, and is judged by those that were held out.
The weight of the least log loss is taken, or none where that is less than a standard error better. (The mean of the
weights, each as likely as it makes those labels, gained nothing where weak labels are good, and lost where they are
bad; so did soft labels in place of weights: docs/rules.md.)
"""

from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.learners import calibration, frozen, one_vs_rest, tagger
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.settings import Settings

Judged = tuple[NDArray[np.float64], NDArray[np.bool_] | None]
WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0)  # of a weak label that is surely right, to a person's 1
FEW = 10  # of fewer labels of people nothing can be told
MOST = 3000  # weak labels, drawn by chance: more teach little more
# Labels of people, and weak ones, by which weights are compared, which takes most of the time.
COMPARED, COMPARED_SPANS = (600, 1000), (200, 300)


@dataclass(frozen=True)
class Compared:
    """What weak labels do. weight: of one that is surely right, to a person's 1. labels: of people, held out, by which
    that was found; of these the share that heads say rightly who learned people's labels `alone`, and with weak ones
    `beside` them; low, high: the ends of a 95 % interval of the difference (paired, normal). The shares are None where
    nothing was compared, and where items have several labels."""

    weight: float
    labels: int = 0
    alone: float | None = None
    beside: float | None = None
    low: float | None = None
    high: float | None = None

    def as_json(self) -> dict[str, float | None]:
        """As it lies beside the model."""
        return {name: value and round(value, 6) for name, value in asdict(self).items()}


def beside(given: Examples, weak: Examples, settings: Settings) -> tuple[Examples, Settings, Compared]:
    """People's examples, then the weak ones at their weight; the settings, with the regularisation at which these teach
    most; and what was found. weak: their weights are how likely each is right; what is no likelier than its class is
    anyhow counts nothing. (Were that one in c, what is said of a rare class, and rightly so less often, would count too
    little beside the rest, and the model say it too rarely.) Where nobody has labelled anything they are all there is.
    """
    rows = calibration.random_positions(len(weak), MOST, settings.seed)
    weak = weak.take(rows)
    chance = 0.0 if weak.multilabel else usual(given.labels, len(given.classes))[weak.labels]
    sure = np.clip((weak.counting - chance) / (1 - chance), 0.0, 1.0)
    weak = replace(weak, weights=sure.astype(np.float32)).take(np.flatnonzero(sure > 0))
    if not len(weak):
        return given, settings, Compared(0.0)
    if len(given) < FEW:
        return replace(_joined(given, weak, 1.0), guessed=None), settings, Compared(1.0)
    own = settings.train.regularisation
    grid = frozen.GRID if own is None else (own,)
    if weak.said:
        grid = (0.0,)  # a field of spans has a strength of its own
    most = COMPARED_SPANS if weak.said else COMPARED
    some = given.take(calibration.random_positions(len(given), most[0], settings.seed))
    few = weak.take(calibration.random_positions(len(weak), most[1], settings.seed))
    share = len(weak) / len(few)  # which each of these stands for
    found = {(weight, c): _judged(some, few, weight * share, c, settings) for weight in WEIGHTS for c in grid}
    alone = min((found[0.0, each] for each in grid), key=_loss)
    weight, c = min(found, key=lambda tried: _loss(found[tried]))
    gain = alone[0] - found[weight, c][0]
    if gain.mean() <= gain.std() / np.sqrt(len(gain)):
        return given, settings, _compared(0.0, alone, alone)
    learned = settings.train.model_copy(update={} if weak.said else {"regularisation": c})
    compared = _compared(weight, alone, found[weight, c])
    return _joined(given, weak, weight), settings.model_copy(update={"train": learned}), compared


def usual(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(c,) how often each class is said, as if it had been said once more.

    >>> usual(np.array([0, 0, 1]), 2).tolist()
    [0.6, 0.4]
    """
    often = 1.0 + np.bincount(labels, minlength=classes)
    return np.asarray(often / often.sum())


def _loss(judged: Judged) -> float:
    return float(judged[0].mean())


def _compared(weight: float, alone: Judged, beside: Judged) -> Compared:
    if alone[1] is None or beside[1] is None:
        return Compared(weight, len(alone[0]))
    gain = beside[1].astype(float) - alone[1]
    off = 1.96 * float(gain.std(ddof=1)) / np.sqrt(len(gain))
    shares = float(alone[1].mean()), float(beside[1].mean())
    return Compared(weight, len(gain), *shares, float(gain.mean()) - off, float(gain.mean()) + off)


def _joined(given: Examples, weak: Examples, weight: float) -> Examples:
    return Examples(
        Items.joined(given.items, weak.items),
        np.concatenate([given.labels, weak.labels]),
        given.classes,
        np.concatenate([given.counting, np.float32(weight) * weak.counting]),
        given.left,
        given.exams,
        said=[*given.said, *weak.said],
        guessed=np.arange(len(given) + len(weak)) >= len(given),
    )


def _judged(some: Examples, weak: Examples, weight: float, c: float, settings: Settings) -> Judged:
    """(m,) the log loss of each of people's labels, by a head of the others and of the weak ones; and whether it says
    that label, None of several labels and of spans."""
    fold = calibration.folds(some.labels, settings.seed, groups=some.items.groups)
    if some.said:
        return _by_fields(some, weak, weight, fold, settings), None
    vectors = some.items.vectors()
    logits = np.full((len(some), len(some.classes)), np.nan if some.multilabel else -np.inf)
    for number in np.unique(fold):
        seen, rest = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(seen):
            continue
        taught = some.take(seen)
        taught = _joined(taught, weak, weight) if weight else taught
        own = taught.items.vectors()
        if some.multilabel:
            said = one_vs_rest.heads(taught, own, c).logits(vectors[rest]).astype(np.float64)
            logits[rest] = np.where(np.isfinite(said), said, np.nan)  # no item has the label
        else:
            logits[rest] = frozen.head(taught, own, c).logits(vectors[rest])
    if some.multilabel:
        return one_vs_rest.log_losses(logits, some.labels).mean(axis=1), None
    losses = calibration.log_losses(logits, some.labels, calibration.temperature(logits, some.labels))
    return losses, logits.argmax(axis=1) == some.labels


def _by_fields(
    some: Examples, weak: Examples, weight: float, fold: NDArray[np.int64], settings: Settings
) -> NDArray[np.float64]:
    """(m,) the same of spans."""
    scale, of = tagger.Scale.of(weak.items, settings.seed), np.union1d(some.seen, weak.seen)
    losses = np.zeros(len(some))
    for number in np.unique(fold):
        seen, rest = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        taught = some.take(seen)
        taught = _joined(taught, weak, weight) if weight else taught
        field = tagger.field(taught, scale, steps=tagger.BRIEF, of=of)
        losses[rest] = tagger.log_losses(field, some.take(rest))
    return losses
