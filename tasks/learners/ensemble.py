"""`ensemble`: what `frozen`, `propagate` and a reader of the items themselves say, weighed by how right each was about
labels it had not seen. The reader is `bag_of_words` of texts and `trees` of rows; pictures have none.

The head draws straight borders between vectors, of rows between standardised figures; the graph follows the shape of
the pool, words and thresholds are what no encoder has put into a vector; where one of them errs the others often do
not. Their weights come from the ledger, so what is of no use gets none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from labelwise.tasks.learners import bag_of_words, calibration, deciding, frozen, one_vs_rest, propagate, trees
from labelwise.tasks.learners.base import Examples, Items, Model, Prefilter
from labelwise.tasks.learners.kernel import Kernel, settled
from labelwise.tasks.settings import Settings

NAME = "ensemble"
SERVES = frozenset({"choice", "multilabel"})
READS = frozenset({"vectors"})
READERS = {"text": bag_of_words, "row": trees}  # what reads the items themselves, by what these are
# Of these the weights start from an equal say (`calibration.steadied`), and frequencies have no part: on most of eleven
# sets of rows that was better than weights by few labels alone. Texts are as before there was another kind.
STEADIED = frozenset({"row"})
FIGURED = frozenset({"row"})  # of these the head reads standardised figures, by the scale of a part of the pool
SCALED_BY = 5_000  # items of that part at most
LEAST = 0.01  # weight of the reader below which it could change no answer, and need not read
Reader = bag_of_words.BagOfWords | trees.Trees


@dataclass(frozen=True)
class Ensemble:
    """A weighted sum of logits: weights = (head, graph, frequency of the classes among the labels, reader). reader:
    None, and no weight, where it is of no use: then no item need be read. shifts: (c,) added to the sum, see
    `learners/shifted.py`; None for none. figures: what makes the head's features of rows; None where these are the
    vectors."""

    head: frozen.Head
    graph: propagate.Propagated
    frequency: list[float]
    reader: Reader | None
    weights: list[float]
    thresholds: NDArray[np.float32] | None = None
    shifts: NDArray[np.float64] | None = None
    figures: Kernel | None = None
    trained: bool = True
    draft: None = None

    @property
    def classes(self) -> list[str]:
        return self.head.classes

    @property
    def prefilter(self) -> Prefilter | None:
        """The head by itself, where it reads vectors."""
        return self.head if self.figures is None else None

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        return softmax(self.logits(items), axis=1).astype(np.float32)

    def logits(self, items: Items) -> NDArray[np.floating]:
        """n items -> (n, c); minus infinity for classes not seen."""
        shares = np.log(np.maximum(self.graph.probabilities(items), propagate.FLOOR))
        head = self.head.logits(figured(items, self.figures).vectors())
        known = np.isfinite(head)
        parts = [np.where(known, head, 0), shares, logarithms(self.frequency)]
        if self.reader is not None:
            parts.append(np.where(known, self.reader.logits(items), 0))
        whole = sum(w * part for w, part in zip(self.weights, parts, strict=True))
        return np.where(known, whole if self.shifts is None else whole + self.shifts, -np.inf)

    def save(self, folder: Path) -> None:
        """`config.json`, and a folder a member."""
        config: dict[str, Any] = {"learner": NAME, "frequency": self.frequency, "weights": self.weights}
        config |= deciding.kept(self.thresholds)
        config |= {} if self.shifts is None else {"shifts": self.shifts.tolist()}
        config |= {} if self.figures is None else {"figures": self.figures.known()}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        _save_members(folder, {frozen.NAME: self.head, propagate.NAME: self.graph}, self.reader)


def _save_members(folder: Path, members: Mapping[str, Model], reader: Reader | None) -> None:
    """A folder a member."""
    every: dict[str, Model] = {**members, **({reader.learner: reader} if reader else {})}
    for name, member in every.items():
        (folder / name).mkdir()
        member.save(folder / name)


@dataclass(frozen=True)
class Labels:
    """The same of several labels an item: log odds by the heads on the vectors and by the reader, added. Both are
    weighed and calibrated by themselves. reader: None where it is of no use."""

    head: one_vs_rest.Heads
    reader: Reader | None
    trained: bool = True
    draft: None = None

    @property
    def classes(self) -> list[str]:
        return self.head.classes

    @property
    def thresholds(self) -> NDArray[np.float32]:
        return self.head.thresholds

    @property
    def prefilter(self) -> Prefilter:
        """The heads by themselves."""
        return self.head

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        logits = self.head.logits(items.vectors())
        return self.head.believed(logits if self.reader is None else logits + self.reader.logits(items))

    def save(self, folder: Path) -> None:
        """`config.json`, and a folder a member."""
        config = {"learner": NAME, **one_vs_rest.kept(self.thresholds)}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        _save_members(folder, {frozen.NAME: self.head}, self.reader)


def fit(examples: Examples, pool: Items, settings: Settings) -> Ensemble | Labels:
    """All members on the same labels, their weights from labels that none had seen."""
    return of_labels(examples, pool, settings) if examples.multilabel else of_one(examples, pool, settings)


def of_labels(examples: Examples, pool: Items, settings: Settings) -> Labels:
    """Of several labels an item: the two that have a head a label. What spreads over a graph are shares, which say
    which of several classes an item has, and not whether it has any."""
    rows = calibration.sampled(examples, settings.seed)
    targets = examples.labels[rows]
    regularisation, quiet = one_vs_rest.crossed(examples.take(rows), settings)
    reader: Reader | None = None
    odds, own, theirs = quiet, 1.0, 0.0
    if module := READERS.get(settings.kind.item):
        read, reader = module.crossed_labels(examples, rows, settings)
        weights = one_vs_rest.pooling([quiet, read], targets)
        if weights[1] >= LEAST:
            odds, (own, theirs) = weights[0] * quiet + weights[1] * read, weights
    slopes, shifts = one_vs_rest.calibrated(odds, targets)
    head = one_vs_rest.heads(examples, examples.items.vectors(), regularisation).turned(own * slopes, shifts)
    found = Labels(head, reader.turned(theirs * slopes, np.zeros_like(shifts)) if reader and theirs else None)
    limits = one_vs_rest.limits(found.probabilities, odds * slopes + shifts, examples.take(rows), pool, settings)
    return replace(found, head=head.settled(*limits))


def of_one(examples: Examples, pool: Items, settings: Settings) -> Ensemble:
    """Of one class an item."""
    rows = calibration.sampled(examples, settings.seed)
    given, c = examples.labels[rows], len(examples.classes)
    figures = scaled_by(pool, settings) if settings.kind.item in FIGURED else None
    read = replace(examples, items=figured(examples.items, figures))
    regularisation, quiet = frozen.crossed(read.take(rows), settings)
    graph = propagate.graph_of(examples, pool, settings.seed)
    spread = propagate.crossed(graph, examples, rows, settings.seed)
    fold = calibration.folds(given, settings.seed, groups=examples.take(rows).items.groups)
    prior = np.stack([logarithms(frequencies(given[fold != number], c)) for number in range(calibration.FOLDS)])[fold]
    opinions, reader = {"head": quiet, "graph": spread, "frequency": prior}, None
    if module := READERS.get(settings.kind.item):
        opinions["reader"], reader = module.crossed(examples, rows, settings)
    weights = weights_of(opinions, given, settings.kind.item)
    if reader and weights[-1] < LEAST:
        reader, weights = None, weights[:-1]
    head = frozen.head(read, read.items.vectors(), regularisation)
    members = head, propagate.model(graph, examples), frequencies(examples.labels, c), reader
    found = Ensemble(*members, weights, figures=figures)
    known = np.isfinite(quiet)
    weighed = sum(w * np.where(known, one, 0) for w, one in zip(found.weights, opinions.values(), strict=False))
    held_out = softmax(np.where(known, weighed, -np.inf), axis=1)
    shifts, limits = deciding.limits(settings, found.probabilities, held_out, examples.take(rows), pool)
    return replace(found, shifts=shifts, thresholds=limits)


def scaled_by(pool: Items, settings: Settings) -> Kernel:
    """What makes figures of rows, by the scale of the pool."""
    rows = calibration.random_positions(len(pool), SCALED_BY, settings.seed)
    return Kernel.of(settled(pool.take(rows).texts(), settings.pull.columns.features))


def figured(items: Items, figures: Kernel | None) -> Items:
    """The same items, with their figures as vectors."""
    if figures is None:
        return items
    return replace(items, vectors_at=lambda at: figures.plain(items.texts_at(at)))


def weights_of(opinions: Mapping[str, NDArray[np.floating]], labels: NDArray[np.int64], item: str) -> list[float]:
    """The weight of each opinion, (m, c) logits of the m labels by those that had not seen them, in their order."""
    if item not in STEADIED:
        return list(map(float, calibration.pooling([*opinions.values()], labels)))
    heeded = {name: opinion for name, opinion in opinions.items() if name != "frequency"}
    found = dict(zip(heeded, calibration.steadied([*heeded.values()], labels), strict=True))
    return [float(found.get(name, 0.0)) for name in opinions]


def frequencies(labels: NDArray[np.int64], classes: int) -> list[float]:
    """The share of each of the c classes among the labels; zeros when there are none."""
    shares: list[float] = (np.bincount(labels, minlength=classes) / max(len(labels), 1)).tolist()
    return shares


def logarithms(frequency: list[float]) -> NDArray[np.float64]:
    """(c,) log frequency of each class; 0 for one that has not been seen, which other members rule out."""
    values = np.asarray(frequency)
    return np.log(np.where(values > 0, values, 1))


def load(folder: Path) -> Ensemble | Labels:
    """What `Ensemble.save` or `Labels.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    there = (module for module in READERS.values() if (folder / module.NAME).exists())
    reader = next((module.load(folder / module.NAME) for module in there), None)
    if one_vs_rest.is_in(folder):
        return Labels(one_vs_rest.load(folder / frozen.NAME), reader)
    return Ensemble(
        frozen.load_one(folder / frozen.NAME),
        propagate.load(folder / propagate.NAME),
        config["frequency"],
        reader,
        config["weights"],
        deciding.read(config),
        np.asarray(config["shifts"]) if "shifts" in config else None,
        Kernel.of(config["figures"]) if "figures" in config else None,
    )
