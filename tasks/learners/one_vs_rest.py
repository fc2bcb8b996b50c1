"""Several labels an item: a logistic head a label on the same features (one-vs-rest, or binary relevance: Tsoumakas &
Katakis 2007, 'Multi-label classification: an overview'), how probable each label is, and from where on it is said.

All heads are fitted at once, since they read the same features. What is decided beside the heads (regularisation,
calibration, thresholds) follows from what they say of labels that they have not seen. Many labels have few positives,
so nothing is decided for a label by its own positives alone: it starts from what holds for all labels together, and
leaves that as its positives grow.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from scipy.special import expit, log_expit

from labelwise.tasks.learners import calibration, shifted
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.optimizers import minimize
from labelwise.tasks.learners.strength import Strength, chosen
from labelwise.tasks.settings import MeasureName, Settings
from labelwise.tasks.threads import one_thread

Doubles = NDArray[np.float64]
Floats = NDArray[np.floating]
Features = NDArray[np.float32] | csr_matrix

GRID = (10.0, 1.0, 100.0)  # scikit-learn's C; of equals the first is taken
STEPS, CLOSE = 300, 0.01  # of a fit: most steps, and the length of the gradient at which it ends
SPREAD_SLOPE, SPREAD_SHIFT = 0.3, 0.5  # how far the calibration of a label lies from that of all, before it is seen
NEVER = 1.0  # threshold of a label that nobody has given; its probability is 0
HALF = 0.5
LOOKED_AT = 5_000  # items of the pool, drawn by chance, on which thresholds are looked for


@dataclass(frozen=True)
class Heads:
    """A linear head for each label that has been given.

    seen: (s,) positions in `classes`; weights: (s, d); bias: (s,); thresholds: (c,) probabilities from which on a label
    is said. A label that nobody has given yet has probability 0.
    """

    classes: list[str]
    seen: NDArray[np.int64]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    trained: bool = True
    draft: None = None

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        return self.of(items.vectors())

    def of(self, vectors: Features) -> NDArray[np.float32]:
        """(n, d) -> (n, c)."""
        return self.believed(self.logits(vectors))

    def logits(self, vectors: Features) -> NDArray[np.float32]:
        """(n, d) -> (n, c) log odds; minus infinity for labels not seen."""
        result = np.full((vectors.shape[0], len(self.classes)), -np.inf, dtype=np.float32)
        result[:, self.seen] = vectors @ self.weights.T + self.bias
        return result

    def believed(self, logits: Floats) -> NDArray[np.float32]:
        """(n, c) log odds, of whatever features -> (n, c) probabilities."""
        return expit(logits).astype(np.float32)

    def at(self, temperature: float) -> "Heads":
        """The same heads, their log odds divided by the temperature."""
        even = np.full(len(self.classes), 1 / temperature)
        return self.turned(even, np.zeros_like(even))

    def turned(self, slopes: Floats, shifts: Floats) -> "Heads":
        """The same heads, the log odds of each label multiplied by its slope, (c,), and shifted, (c,)."""
        slope, shift = slopes[self.seen].astype(np.float32), shifts[self.seen].astype(np.float32)
        return replace(self, weights=self.weights * slope[:, None], bias=self.bias * slope + shift)

    def settled(self, shifts: Doubles | None, thresholds: NDArray[np.float32]) -> "Heads":
        """The same heads, their log odds shifted, with these thresholds: what `limits` has found."""
        own = self if shifts is None else self.turned(np.ones_like(shifts), shifts)
        return replace(own, thresholds=thresholds)

    def save(self, folder: Path) -> None:
        """`config.json` and `head.safetensors`."""
        config = {"learner": "frozen", "classes": self.classes, **kept(self.thresholds)}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file({"seen": self.seen, "weights": self.weights, "bias": self.bias}, folder / "head.safetensors")


def kept(thresholds: Floats | None) -> dict[str, list[float]]:
    """How a learner's `config.json` holds the thresholds; nothing where there are none."""
    return {} if thresholds is None else {"thresholds": thresholds.tolist()}


def is_in(folder: Path) -> bool:
    """Whether what a folder holds says several labels of an item."""
    return of_several(json.loads((folder / "config.json").read_text(encoding="utf-8")))


def of_several(config: Mapping[str, Any]) -> bool:
    """Whether a model with this `config.json` says several labels of an item. One that says one class may have
    thresholds, too, and then it says so (see `deciding.kept`)."""
    return "thresholds" in config and config.get("answer", "multilabel") == "multilabel"


def load(folder: Path) -> Heads:
    """The heads that `Heads.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "head.safetensors")
    thresholds = np.array(config["thresholds"], np.float32)
    return Heads(config["classes"], tensors["seen"], tensors["weights"], tensors["bias"], thresholds)


# Fitting


def fit(examples: Examples, pool: Items, settings: Settings) -> Heads:
    """Calibrated heads with their thresholds. Without `train.regularisation`, that of the least cross-fitted log loss
    is taken, the same for all labels."""
    rows = calibration.sampled(examples, settings.seed)
    c, logits = crossed(examples.take(rows), settings)
    slopes, shifts = calibrated(logits, examples.labels[rows])
    whole = heads(examples, examples.items.vectors(), c).turned(slopes, shifts)
    odds = logits * slopes + shifts
    return whole.settled(*limits(whole.probabilities, odds, examples.take(rows), pool, settings))


def crossed(examples: Examples, settings: Settings) -> tuple[Strength, Doubles]:
    """The regularisation of the least cross-fitted log loss, and the (m, c) log odds it gives of labels not seen; NaN
    where the other folds hold no positive."""
    grid = GRID if settings.train.regularisation is None else (settings.train.regularisation,)
    vectors = examples.items.vectors()
    plain = dict(zip(grid, held_out(examples, vectors, grid, settings.seed), strict=True))

    def tried(strength: Strength) -> tuple[float, Doubles]:
        even = strength.scale == 1
        of_c = (strength.c,)
        found = plain[strength.c] if even else held_out(examples, strength.of(vectors), of_c, settings.seed)[0]
        return log_loss(found, examples.labels), found

    return chosen(grid, settings, tried)


def held_out(examples: Examples, features: Features, grid: tuple[float, ...], seed: int) -> list[Doubles]:
    """For each C of the grid (m, c) log odds of the labels, each by heads on the (m, d) features of the other folds."""
    fold = calibration.folds(examples.labels, seed, groups=examples.items.groups)
    found = [np.full(examples.labels.shape, np.nan) for _ in grid]
    for number in np.unique(fold):
        learned, rest = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(learned):
            continue
        part = examples.take(learned)
        space = Space.of(features[learned], part.counting.astype(np.float64))
        for logits, c in zip(found, grid, strict=True):
            said = heads_in(space, part, c).logits(features[rest]).astype(np.float64)
            logits[rest] = np.where(np.isfinite(said), said, np.nan)
    return found


def heads(examples: Examples, features: Features, c: float | Strength) -> Heads:
    """Heads of regularisation c (scikit-learn's) on (m, d) features, m >= 1, as they come: every threshold is a half. A
    label that every item has is constant, by the rule of succession."""
    if isinstance(c, Strength):
        found = heads(examples, c.of(features), c.c)
        return replace(found, weights=c.of(found.weights))
    return heads_in(Space.of(features, examples.counting.astype(np.float64)), examples, c)


def heads_in(space: "Space", examples: Examples, c: float) -> Heads:
    """The same, in the space of their features."""
    seen = examples.seen
    solved = fitted(space, examples.labels[:, seen].astype(np.float64), examples.counting.astype(np.float64), c)
    limits = np.full(len(examples.classes), NEVER, np.float32)
    limits[seen] = HALF
    weights = np.ascontiguousarray(solved[:-1].T, np.float32)
    return Heads(examples.classes, seen, weights, solved[-1].astype(np.float32), limits)


@dataclass(frozen=True)
class Space:
    """Features along which the loss of a linear head is curved by itself, each for its own part: their principal axes.
    Words have so many that they stay as they are; rarely do two of them go together.

    within: (m, r); squares: (r,) sums of squares along each; axes: (d, r), None for words; middle: (d,) what was
    taken off.
    """

    within: Doubles | csr_matrix
    squares: Doubles
    axes: Doubles | None
    middle: Doubles

    @classmethod
    def of(cls, features: Features, counting: Doubles) -> "Space":
        """Of (m, d) features, m >= 1; (m,) what each counts."""
        d = features.shape[1]
        if isinstance(features, csr_matrix):
            words = csr_matrix(features, dtype=np.float64)
            return cls(words, np.asarray(words.multiply(words).T @ counting), None, np.zeros(d))
        dense = features.astype(np.float64)
        middle = counting @ dense / counting.sum()
        apart = dense - middle
        weighed = np.sqrt(counting)[:, None] * apart
        with one_thread():
            squares, axes = np.linalg.eigh(weighed.T @ weighed if len(dense) >= d else weighed @ weighed.T)
        kept = squares > max(float(squares[-1]), 1e-300) * 1e-9
        squares, axes = squares[kept], axes[:, kept]
        if len(dense) < d:
            axes = weighed.T @ axes / np.sqrt(squares)
        return cls(apart @ axes, squares, axes, middle)

    def back(self, inner: Doubles) -> Doubles:
        """(r + 1, k) weights and bias of k heads here -> (d + 1, k) those on the features themselves."""
        weights = inner[:-1] if self.axes is None else self.axes @ inner[:-1]
        return np.vstack([weights, inner[-1] - self.middle @ weights])


def fitted(space: Space, targets: Doubles, counting: Doubles, c: float) -> Doubles:
    """(d + 1, k) the weights of k heads and in the last row their bias, each of the least
    C · Σ counting · log loss + |weights|² / 2, which is scikit-learn's.

    (m, k) targets of 0 and 1, (m,) counting. All heads by one L-BFGS (Liu & Nocedal 1989), in steps that are scaled by
    how curved the loss is where a head knows nothing but how frequent its label is. O(mdk) a step, some 20 steps.
    """
    (m, r), k = space.within.shape, targets.shape[1]
    frequency = np.clip(counting @ targets / counting.sum(), 1 / (m + 2), 1 - 1 / (m + 2))
    curved = c * frequency * (1 - frequency)
    scale = 1 / np.sqrt(np.vstack([np.outer(space.squares, curved) + 1, counting.sum() * curved]))
    signs, weight = 2 * targets - 1, c * counting[:, None]
    across = csr_matrix(space.within.T) if isinstance(space.within, csr_matrix) else space.within.T

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        inner = flat.reshape(r + 1, k) * scale
        margins = signs * (space.within @ inner[:r] + inner[r])
        pull = -signs * expit(-margins) * weight
        value = (inner[:r] ** 2).sum() / 2 - (weight * log_expit(margins)).sum()
        gradient = np.vstack([across @ pull + inner[:r], pull.sum(axis=0)])
        return float(value), (gradient * scale).ravel()

    prior = np.log(frequency / (1 - frequency))
    start = np.vstack([np.zeros((r, k)), prior / scale[r]])
    options: Any = {"maxiter": STEPS, "gtol": CLOSE * c**0.5, "ftol": 1e-12}
    flat: Any = start.ravel()
    with one_thread():
        inner = minimize(loss, flat, jac=True, method="L-BFGS-B", options=options).x.reshape(r + 1, k) * scale
    everywhere = (targets == 1).all(axis=0)
    inner[:, everywhere] = 0
    inner[r, everywhere] = np.log(counting.sum() + 1)
    return space.back(inner)


# Calibration


def log_loss(logits: Doubles, targets: Floats) -> float:
    """Mean negative log-likelihood in nats of (m, c) targets, by log odds that are calibrated as those of all labels
    together ask for. Unknown ones, NaN, do not count; 0 when none is left."""
    losses, known = log_losses(logits, targets), np.isfinite(logits)
    return float(losses[known].mean()) if known.any() else 0.0


def log_losses(logits: Doubles, targets: Floats) -> Doubles:
    """(m, c) the same of each target, 0 of unknown ones."""
    slope, shift = calibrated(logits, targets, spread=(1e-6, 1e-6))
    signed = (2 * targets - 1) * (logits * slope + shift)
    return np.where(np.isfinite(logits), -log_expit(signed), 0.0)


def calibrated(
    logits: Doubles, targets: Floats, spread: tuple[float, float] = (SPREAD_SLOPE, SPREAD_SHIFT)
) -> tuple[Doubles, Doubles]:
    """(c,) slopes and (c,) shifts that make probabilities of (m, c) log odds of labels held out (Platt 1999).

    Those of all labels are fitted together: a label's slope is a common one times a factor around 1, its shift lies
    around 0, each normal with the spread (the factor in logarithm). So a label with three positives has nearly the
    common slope, one with hundreds its own. Targets are smoothed as in Platt; NaN among the log odds counts nothing.
    """
    known = np.isfinite(logits)
    c = logits.shape[1]
    if not known.any():
        return np.ones(c), np.zeros(c)
    z = np.where(known, logits, 0)
    given = ((targets > 0) & known).sum(axis=0)
    absent = known.sum(axis=0) - given
    y = np.where(targets > 0, (given + 1) / (given + 2), 1 / (absent + 2))

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        common, own, shift = flat[0], flat[1 : c + 1], flat[c + 1 :]
        slope = np.exp(common + own)
        said = z * slope + shift
        value = -(known * (y * log_expit(said) + (1 - y) * log_expit(-said))).sum()
        gap = known * (expit(said) - y)
        by_slope = (gap * z).sum(axis=0) * slope + own / spread[0] ** 2
        by_shift = gap.sum(axis=0) + shift / spread[1] ** 2
        value += ((own / spread[0]) ** 2).sum() / 2 + ((shift / spread[1]) ** 2).sum() / 2
        gradient = np.concatenate([[((gap * z).sum(axis=0) * slope).sum()], by_slope, by_shift])
        return float(value), gradient

    limits = [(-np.log(calibration.HOTTEST), -np.log(calibration.COOLEST))] + [(None, None)] * (2 * c)
    found = minimize(loss, np.zeros(2 * c + 1), jac=True, method="L-BFGS-B", bounds=limits).x
    return np.exp(found[0] + found[1 : c + 1]), found[c + 1 :]


def pooling(opinions: list[Doubles], targets: Floats) -> Doubles:
    """The weight of each of several models' (m, c) log odds in their sum, >= 0 and the same for all labels, that gives
    the least log loss of the (m, c) targets, as `calibration.pooling` does for one class an item; each label has a
    shift beside, as in `calibrated`. Equal weights where nothing can be learned."""
    known = np.all([np.isfinite(one) for one in opinions], axis=0)
    n, c = len(opinions), targets.shape[1]
    start = np.concatenate([np.full(n, 1 / n), np.zeros(c)])
    if not known.any():
        return start[:n]
    stacked, signs = np.where(known, np.stack(opinions), 0), 2 * (targets > 0) - 1

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights, shift = flat[:n], flat[n:]
        margins = signs * (np.tensordot(weights, stacked, 1) + shift)
        gap = -signs * expit(-margins) * known
        value = -(log_expit(margins) * known).sum() + ((shift / SPREAD_SHIFT) ** 2).sum() / 2
        return float(value), np.concatenate(
            [(stacked * gap).sum(axis=(1, 2)), gap.sum(axis=0) + shift / SPREAD_SHIFT**2]
        )

    limits = [(0.0, 1 / calibration.COOLEST)] * n + [(None, None)] * c
    return np.asarray(minimize(loss, start, jac=True, bounds=limits, method="L-BFGS-B").x[:n])


# Thresholds


def limits(
    believed: Callable[[Items], Floats],
    odds: Doubles,
    examples: Examples,
    pool: Items,
    settings: Settings,
    most: int = LOOKED_AT,
) -> tuple[Doubles | None, NDArray[np.float32]]:
    """(c,) by which log odds are to be shifted, so that no label is expected more or less often than it can be (None
    for no shift), and (c,) thresholds that are expected to be the best on the whole pool then: of the F1 of each label,
    unless `evaluate.measure` asks for a precision.

    examples: those that were held out once, with the (r, c) calibrated log odds that they were given then: a model is
    too sure of what it has learned. Of the rest of the pool, a sample of `most` items at most counts by what the model
    believes of it. Both are needed: labels are asked where a model is unsure, and after a while few positives are left
    among the rest.
    """
    held_out = np.where(np.isfinite(odds), expit(odds), 0)
    p, counting = looked_at(believed, held_out, examples, pool, settings.seed, most)
    shifts = shifted.of_several(p[len(held_out) :], examples.left)
    asked = precisions(settings.measure, examples.classes)
    return shifts, thresholds(shifted.moved_each(p, shifts), counting, wanted=asked)


def precisions(measure: MeasureName, classes: list[str]) -> Doubles | None:
    """(c,) the precision that a measure asks of a class, NaN for the others; None where it asks of none."""
    if measure.precision is None:
        return None
    return np.where(np.array(classes) == measure.of, measure.precision, np.nan)


def looked_at(
    believed: Callable[[Items], Floats],
    held_out: Floats,
    examples: Examples,
    pool: Items,
    seed: int,
    most: int = LOOKED_AT,
) -> tuple[Floats, Doubles]:
    """(n, c) probabilities of what thresholds are looked for on, and (n,) how many items of the pool each stands for:
    of the examples what they were given while held out, (m, c), of the rest of a sample what the model believes."""
    drawn = pool.take(calibration.random_positions(len(pool), most, seed))
    known = {row.tobytes() for row in examples.items.vectors()}
    fresh = drawn.take(np.flatnonzero([row.tobytes() not in known for row in drawn.vectors()]))
    each = [1.0, len(pool) / max(len(drawn), 1)]
    return np.concatenate([held_out, believed(fresh)]), np.repeat(each, [len(held_out), len(fresh)])


def thresholds(
    p: Floats,
    counting: Doubles | None = None,
    by: Floats | None = None,
    wanted: Doubles | None = None,
    most: float = np.inf,
) -> NDArray[np.float32]:
    """(c,) the threshold of each label that is expected to give the highest F1 on items with these (n, c) calibrated
    probabilities: 2 Σ p of those said / (how many are said + Σ p of all) (Lewis 1995, 'Evaluating and optimizing
    autonomous text classification systems'; it lies at half of that F1: Lipton et al. 2014, arXiv 1402.1892). 1 for a
    label that nothing has. counting: (n,) how many items each stands for; one each if None. by: (n, c) what the
    thresholds are of, where it is not p. wanted: (c,) a precision, where the lowest threshold that is expected to have
    it is looked for instead, 1 if there is none; else NaN. most: how many items may be said for each that is expected;
    1 where no threshold says so few."""
    n, c = p.shape
    if not n:
        return np.full(c, NEVER, np.float32)
    given = p if by is None else by
    order = np.argsort(-given, axis=0, kind="stable")
    weight = np.ones((n, c)) if counting is None else counting[order]
    falling = np.take_along_axis(given, order, axis=0).astype(np.float64)
    hits = np.cumsum(weight * np.take_along_axis(p, order, axis=0), axis=0)
    said = np.cumsum(weight, axis=0)
    gain = 2 * hits / (said + hits[-1])
    apart = np.diff(falling, axis=0, append=-1) < 0  # what is equal is said together
    if wanted is not None:
        gain = np.where(np.isnan(wanted), gain, np.where(apart & (hits >= wanted * said), hits, -1))
    if np.isfinite(most):
        gain = np.where(apart & (said <= most * hits[-1]), gain, -1)
    last = gain.argmax(axis=0)
    at, below = (falling[np.minimum(row, n - 1), np.arange(c)] for row in (last, last + 1))
    return np.where((at > 0) & (gain.max(axis=0) >= 0), (at + below) / 2, NEVER).astype(np.float32)
