"""`frozen`: the encoder stays as it is, a logistic head learns on its vectors. Cheap enough for every round."""

import json
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from scipy.special import softmax

from labelwise.tasks.learners import calibration, deciding, one_vs_rest, tagger
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.strength import Strength, chosen
from labelwise.tasks.settings import Settings
from labelwise.tasks.threads import one_thread

NAME = "frozen"
SERVES = frozenset({"choice", "multilabel", "spans"})
READS = frozenset({"vectors"})
STEPS = 500
GRID = (10.0, 100.0, 1.0, 1000.0)  # scikit-learn's C; of equals the first is taken

Features = NDArray[np.float32] | csr_matrix


@dataclass(frozen=True)
class Head:
    """A linear softmax head over the classes that have been seen.

    seen: (s,) positions in `classes`; weights: (s, d); bias: (s,). A class that nobody has given yet has probability 0.
    """

    classes: list[str]
    seen: NDArray[np.int64]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    thresholds: NDArray[np.float32] | None = None
    trained: bool = True
    draft: None = None

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        return self.of(items.vectors())

    def of(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) -> (n, c)."""
        result = np.zeros((len(vectors), len(self.classes)), dtype=np.float32)
        result[:, self.seen] = softmax(self.logits(vectors)[:, self.seen], axis=1)
        return result

    def logits(self, vectors: Features) -> NDArray[np.float32]:
        """(n, d) -> (n, c); minus infinity for classes not seen."""
        result = np.full((vectors.shape[0], len(self.classes)), -np.inf, dtype=np.float32)
        result[:, self.seen] = vectors @ self.weights.T + self.bias
        return result

    def believed(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, c) logits, of whatever features -> (n, c) probabilities."""
        return softmax(logits, axis=1).astype(np.float32)

    def at(self, temperature: float) -> "Head":
        """The same head, its logits divided by the temperature."""
        return replace(self, weights=self.weights / temperature, bias=self.bias / temperature)

    def shifted(self, shifts: NDArray[np.float64]) -> "Head":
        """The same head, its logits shifted by (c,)."""
        return replace(self, bias=self.bias + shifts[self.seen].astype(np.float32))

    def save(self, folder: Path) -> None:
        """`config.json` and `head.safetensors`."""
        config = {"learner": NAME, "classes": self.classes, **deciding.kept(self.thresholds)}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file({"seen": self.seen, "weights": self.weights, "bias": self.bias}, folder / "head.safetensors")


def fit(examples: Examples, pool: Items, settings: Settings) -> Head | one_vs_rest.Heads | tagger.Tagger:
    """A calibrated head, or one a label where an item may have several; where parts of a text are marked, what `tagger`
    learns. Without `train.regularisation`, the one of the least cross-fitted log loss is taken."""
    if examples.said:
        return tagger.fit(examples, pool, settings)
    return one_vs_rest.fit(examples, pool, settings) if examples.multilabel else of_one(examples, settings, pool)


def of_one(examples: Examples, settings: Settings, pool: Items | None = None) -> Head:
    """A calibrated head, of one class an item. Without a pool it has no thresholds, whatever it is judged by."""
    rows = calibration.sampled(examples, settings.seed)
    c, logits = crossed(examples.take(rows), settings)
    temperature = calibration.temperature(logits, examples.labels[rows])
    found = head(examples, examples.items.vectors(), c).at(temperature)
    if pool is None:
        return found
    held_out = found.believed(logits / temperature)
    shifts, limits = deciding.limits(settings, found.probabilities, held_out, examples.take(rows), pool)
    return replace(found if shifts is None else found.shifted(shifts), thresholds=limits)


def crossed(examples: Examples, settings: Settings) -> tuple[Strength, NDArray[np.float64]]:
    """The regularisation of the least cross-fitted log loss, and the (m, c) logits it gives of labels not seen."""
    grid = GRID if settings.train.regularisation is None else (settings.train.regularisation,)
    vectors = examples.items.vectors()

    def tried(strength: Strength) -> tuple[float, NDArray[np.float64]]:
        logits = held_out(examples, vectors, strength, settings.seed)
        temperature = calibration.temperature(logits, examples.labels)
        return calibration.log_loss(logits, examples.labels, temperature), logits

    return chosen(grid, settings, tried)


def held_out(examples: Examples, vectors: Features, c: float | Strength, seed: int) -> NDArray[np.float64]:
    """(m, c) logits of the labels, each by a head of regularisation c on the (m, d) vectors of the other folds."""
    fold = calibration.folds(examples.labels, seed, groups=examples.items.groups)
    logits = np.full((len(examples), len(examples.classes)), -np.inf)
    for number in np.unique(fold):
        seen, rest = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(seen):
            logits[rest] = head(examples.take(seen), vectors[seen], c).logits(vectors[rest])
    return logits


def head(examples: Examples, vectors: Features, c: float | Strength) -> Head:
    """A head of regularisation c, as it comes, on (m, d) vectors, m >= 1. One class alone gives a constant model."""
    if isinstance(c, Strength):
        found = head(examples, c.of(vectors), c.c)
        return replace(found, weights=c.of(found.weights))
    from sklearn.linear_model import LogisticRegression  # who only reads a model needs none of it

    seen = examples.seen
    if len(seen) == 1:
        return Head(examples.classes, seen, np.zeros((1, vectors.shape[1]), np.float32), np.zeros(1, np.float32))
    with warnings.catch_warnings(), one_thread():  # many classes of few labels each are what a first round has
        warnings.filterwarnings("ignore", message="The number of unique classes is greater")
        fitted = LogisticRegression(C=c, max_iter=STEPS).fit(vectors, examples.labels, sample_weight=examples.weights)
    weights, bias = fitted.coef_, fitted.intercept_
    if len(seen) == 2:  # scikit-learn keeps one row for two classes: its softmax is that of (0, w)
        weights, bias = np.vstack([np.zeros_like(weights), weights]), np.concatenate([np.zeros_like(bias), bias])
    return Head(
        examples.classes, seen, np.ascontiguousarray(weights, np.float32), np.ascontiguousarray(bias, np.float32)
    )


def load(folder: Path) -> Head | one_vs_rest.Heads:
    """What `Head.save` or `one_vs_rest.Heads.save` wrote."""
    return one_vs_rest.load(folder) if one_vs_rest.is_in(folder) else load_one(folder)


def load_one(folder: Path) -> Head:
    """The head that `Head.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "head.safetensors")
    return Head(config["classes"], tensors["seen"], tensors["weights"], tensors["bias"], deciding.read(config))
