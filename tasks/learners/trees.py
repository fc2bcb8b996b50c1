"""`trees`: gradient-boosted trees on the figures and categories of rows (Friedman 2001, 'Greedy function approximation:
a gradient boosting machine'; as histograms: Ke et al. 2017, 'LightGBM'). A tree cuts a column in two where that tells
classes apart, whatever its scale; so it learns thresholds, and what holds only together, of which a head on vectors
knows little. Worth much from some fifty labels on, where classes follow from cuts.

scikit-learn grows them. What is kept is the nodes of all trees as arrays, and what reads them is here: a model is
safetensors and JSON, and needs no scikit-learn of the same version.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import expit, softmax

from labelwise.tasks.kinds.forms import unpacked
from labelwise.tasks.learners import calibration, deciding, one_vs_rest
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.kernel import Layout
from labelwise.tasks.settings import CATEGORY, Settings

NAME = "trees"
SERVES = frozenset({"choice", "multilabel"})
READS = frozenset({"row"})
ROUNDS, LEAVES, FEWEST, RATE = 30, 8, 3, 0.2  # trees a class, leaves a tree, labels a leaf, share of a step taken
COLUMNS = 0.5  # share of the columns that a cut may be made in: of few labels, each tree should see others
CODES = 32  # categories of a column that have a figure of their own: the most frequent among the labels
SURE = 12.0  # log odds that trees give at most
BLOCK = 4096  # rows read at once

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """How rows become figures: those of the layout, and a figure for each of some categories, 1 where the row has it.
    codes: (column, digest) of these: a model holds no list of what people wrote."""

    columns: dict[str, str]
    codes: list[tuple[str, str]]

    @classmethod
    def of(cls, rows: list[dict[str, Any]], columns: dict[str, str]) -> "Table":
        """From the rows with a label."""
        codes: list[tuple[str, str]] = []
        for name in (name for name, form in columns.items() if form == CATEGORY):
            counts = Counter(digest(row.get(name)) for row in rows)
            codes += [(name, code) for code, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:CODES]]
        return cls(dict(columns), codes)

    def figures(self, cells: Sequence[str]) -> Doubles:
        """n rows -> (n, f); NaN where one is missing."""
        rows = [unpacked(cell) for cell in cells]
        own = Layout.of(self.columns).figures(rows)
        given = {name: np.array([digest(row.get(name)) for row in rows]) for name in {name for name, _ in self.codes}}
        coded = [(given[name] == code).astype(float) for name, code in self.codes]
        whole = np.column_stack([own, *coded]) if coded else own
        return whole if whole.shape[1] else np.zeros((len(rows), 1))


def digest(value: Any) -> str:
    """A category's, '' where it is missing."""
    return "" if value is None else hashlib.sha256(str(value).encode("utf-8", "backslashreplace")).hexdigest()[:12]


@dataclass(frozen=True)
class Forest:
    """Trees as arrays, all nodes in a row. roots: (t,) where each begins; of: (t,) the score that each adds to.
    feature, threshold, left, right, missing, value: (nodes,); a leaf leads to itself. start: (k,) the scores before any
    tree."""

    roots: NDArray[np.int32]
    of: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: Doubles
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing: NDArray[np.uint8]
    value: Doubles
    start: Doubles

    @classmethod
    def grown(cls, model: Any) -> "Forest":
        """The nodes of scikit-learn's model. It has no public name for them: tests/tasks/learners/test_trees.py says
        whether what is read of them gives what it says itself."""
        trees: list[tuple[int, Any]] = [
            (score, tree.nodes) for rounds in model._predictors for score, tree in enumerate(rounds)
        ]
        sizes = np.array([len(nodes) for _, nodes in trees], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else sizes
        nodes: Any = np.concatenate([nodes for _, nodes in trees]) if trees else np.zeros(0)
        offset, here = np.repeat(starts, sizes), np.arange(sizes.sum())
        leaf = nodes["is_leaf"].astype(bool)
        return cls(
            starts.astype(np.int32),
            np.array([score for score, _ in trees], np.int32),
            np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
            np.where(leaf, 0, nodes["num_threshold"]).astype(np.float64),
            np.where(leaf, here, nodes["left"] + offset).astype(np.int32),
            np.where(leaf, here, nodes["right"] + offset).astype(np.int32),
            nodes["missing_go_to_left"].astype(np.uint8),
            nodes["value"].astype(np.float64),
            np.asarray(model._baseline_prediction, np.float64).ravel(),
        )

    def scores(self, figures: Doubles) -> Doubles:
        """(n, f) -> (n, k): down all trees at once. O(n t depth)."""
        at = np.tile(self.roots, (len(figures), 1))
        rows = np.arange(len(figures))[:, None]
        for _ in range(LEAVES):  # no tree of so many leaves is deeper
            seen = figures[rows, self.feature[at]]
            goes_left = np.where(np.isnan(seen), self.missing[at] > 0, seen <= self.threshold[at])
            below = np.where(goes_left, self.left[at], self.right[at])
            if (below == at).all():
                break
            at = below
        added = np.zeros((len(figures), len(self.start)))
        for score in range(len(self.start)):
            added[:, score] = self.value[at[:, self.of == score]].sum(axis=1)
        return self.start + added

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """For safetensors."""
        return {f"{prefix}{name}": np.ascontiguousarray(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def read(cls, arrays: dict[str, NDArray[Any]], prefix: str) -> "Forest":
        """What `arrays` gave. ValueError where a node leads nowhere: a stranger may have written it."""
        found = cls(**{name: arrays[f"{prefix}{name}"] for name in cls.__dataclass_fields__})
        nodes, each = len(found.value), (found.roots, found.left, found.right)
        if any(len(part) and not 0 <= part.min() <= part.max() < nodes for part in each) or found.feature.min() < 0:
            raise ValueError("a tree has a node that is not there")
        return found


def grown(figures: Doubles, targets: NDArray[Any], weights: NDArray[Any] | None, seed: int) -> Forest:
    """Trees that tell k >= 2 sorts of (m, f) figures apart: one score where k is 2, else k."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # who only reads a model needs none of it
    from threadpoolctl import threadpool_limits

    options: dict[str, Any] = {"max_iter": ROUNDS, "max_leaf_nodes": LEAVES, "learning_rate": RATE}
    options |= {"max_features": COLUMNS, "min_samples_leaf": FEWEST, "early_stopping": False, "random_state": seed}
    model = HistGradientBoostingClassifier(**options)
    # So few rows gain nothing by several threads, which on a busy machine wait for each other.
    with threadpool_limits(1):
        return Forest.grown(model.fit(figures, targets, sample_weight=weights))


@dataclass(frozen=True)
class Trees:
    """seen: (s,) positions in `classes` of those that have been given; forests: one for all of them, none where one
    class alone was seen; where an item may have several labels, one each. slopes, shifts: (c,), of the calibration."""

    classes: list[str]
    seen: NDArray[np.int64]
    table: Table
    forests: list[Forest]
    slopes: Doubles
    shifts: Doubles
    several: bool = False
    thresholds: NDArray[np.float32] | None = None
    learner: ClassVar[str] = NAME
    trained: bool = True
    draft: None = None

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        logits = self.logits(items)
        return (expit(logits) if self.several else softmax(logits, axis=1)).astype(np.float32)

    def logits(self, items: Items) -> Doubles:
        """n items -> (n, c); minus infinity for classes not seen."""
        parts = [self.of(self.table.figures(block.texts())) for block in items.blocks(BLOCK)]
        return np.concatenate([np.zeros((0, len(self.classes))), *parts])

    def of(self, figures: Doubles) -> Doubles:
        """(n, f) -> (n, c)."""
        result = np.full((len(figures), len(self.classes)), -np.inf)
        own = raw(self.forests, figures, len(self.seen), self.several)
        result[:, self.seen] = own * self.slopes[self.seen] + self.shifts[self.seen]
        return result

    def turned(self, slopes: Doubles, shifts: Doubles) -> "Trees":
        """The same trees, calibrated anew."""
        return replace(self, slopes=self.slopes * slopes, shifts=self.shifts * slopes + shifts)

    def save(self, folder: Path) -> None:
        """`config.json` and `trees.safetensors`."""
        config: dict[str, Any] = {"learner": NAME, "classes": self.classes, "columns": self.table.columns}
        config |= {"codes": self.table.codes, "several": self.several, "forests": len(self.forests)}
        config |= (one_vs_rest if self.several else deciding).kept(self.thresholds)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        arrays = {"seen": self.seen, "slopes": self.slopes, "shifts": self.shifts}
        for number, forest in enumerate(self.forests):
            arrays |= forest.arrays(f"{number}.")
        save_file(arrays, folder / "trees.safetensors")


def raw(forests: list[Forest], figures: Doubles, seen: int, several: bool) -> Doubles:
    """(n, f) -> (n, s) scores of the classes that were seen, of which two are those of (0, score)."""
    if not forests:
        return np.zeros((len(figures), seen))
    scores = np.hstack([np.clip(forest.scores(figures), -SURE, SURE) for forest in forests])
    return scores if several or seen > 2 else np.hstack([np.zeros_like(scores), scores])


def fit(examples: Examples, pool: Items, settings: Settings) -> Trees:
    """Calibrated trees on the labelled rows, by labels held out."""
    rows = calibration.sampled(examples, settings.seed)
    targets = examples.labels[rows]
    if examples.multilabel:
        odds, found = crossed_labels(examples, rows, settings)
        slopes, shifts = one_vs_rest.calibrated(odds, targets)
        whole = found.turned(slopes, shifts)
        moved, limits = one_vs_rest.limits(
            whole.probabilities, odds * slopes + shifts, examples.take(rows), pool, settings
        )
        return replace(whole if moved is None else whole.turned(np.ones_like(moved), moved), thresholds=limits)
    logits, found = crossed(examples, rows, settings)
    slope = np.full(len(examples.classes), 1 / calibration.temperature(logits, targets))
    whole = found.turned(slope, np.zeros_like(slope))
    held_out = softmax(logits * slope, axis=1).astype(np.float32)
    moved, either = deciding.limits(settings, whole.probabilities, held_out, examples.take(rows), pool)
    return replace(whole if moved is None else whole.turned(np.ones_like(moved), moved), thresholds=either)


def crossed(examples: Examples, rows: NDArray[np.int64], settings: Settings) -> tuple[Doubles, Trees]:
    """(r, c) logits of the labels at these rows, each from the labels at the rows of the other folds alone; and the
    trees of all labels, not calibrated."""
    table, figures = _table(examples, settings)
    part = examples.take(rows)
    fold = calibration.folds(part.labels, settings.seed, groups=part.items.groups)
    logits = np.full((len(part), len(part.classes)), -np.inf)
    for number in np.unique(fold):
        known, rest = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(known):
            logits[rest] = one_each(part.take(known), figures[rows[known]], table, settings.seed).of(
                figures[rows[rest]]
            )
    return logits, one_each(examples, figures, table, settings.seed)


def crossed_labels(examples: Examples, rows: NDArray[np.int64], settings: Settings) -> tuple[Doubles, Trees]:
    """The same where an item may have several labels: (r, c) log odds, NaN where the other folds hold no positive."""
    table, figures = _table(examples, settings)
    part = examples.take(rows)
    fold = calibration.folds(part.labels, settings.seed, groups=part.items.groups)
    odds = np.full((len(part), len(part.classes)), np.nan)
    for number in np.unique(fold):
        known, rest = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(known):
            found = each_label(part.take(known), figures[rows[known]], table, settings.seed).of(figures[rows[rest]])
            odds[rest] = np.where(np.isfinite(found), found, np.nan)
    return odds, each_label(examples, figures, table, settings.seed)


def _table(examples: Examples, settings: Settings) -> tuple[Table, Doubles]:
    cells = examples.items.texts()
    table = Table.of([unpacked(cell) for cell in cells], settings.pull.columns.features)
    return table, table.figures(cells)


def one_each(examples: Examples, figures: Doubles, table: Table, seed: int) -> Trees:
    """Trees of one class an item. One class alone gives a constant model."""
    seen, c = examples.seen, len(examples.classes)
    forests = [grown(figures, examples.labels, examples.weights, seed)] if len(seen) > 1 else []
    return Trees(examples.classes, seen, table, forests, np.ones(c), np.zeros(c))


def each_label(examples: Examples, figures: Doubles, table: Table, seed: int) -> Trees:
    """Trees a label. One that all have, or none, has no trees: as sure as the number of them makes it."""
    c, seen = len(examples.classes), examples.seen
    forests = []
    for label in seen:
        given = examples.labels[:, label] > 0
        forests.append(_always(len(given)) if given.all() else grown(figures, given, examples.weights, seed))
    return Trees(examples.classes, seen, table, forests, np.ones(c), np.zeros(c), several=True)


def _always(labels: int) -> Forest:
    """A tree that is a leaf."""
    none = np.zeros(1, np.int32)
    flat, start = np.zeros(1), np.array([np.log(labels + 1.0)])
    return Forest(none, none, none, flat, none, none, none.astype(np.uint8), flat, start)


def load(folder: Path) -> Trees:
    """The model that `Trees.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    arrays = load_file(folder / "trees.safetensors")
    table = Table(config["columns"], [(name, code) for name, code in config["codes"]])
    forests = [Forest.read(arrays, f"{number}.") for number in range(config["forests"])]
    own = arrays["seen"], table, forests, arrays["slopes"], arrays["shifts"], config["several"]
    return Trees(config["classes"], *own, deciding.read(config))
