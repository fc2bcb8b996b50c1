"""`frozen`: the encoder stays as it is, a logistic head learns on its vectors. Cheap enough for every round."""

import json
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from tasks.learners import calibration
from tasks.learners.base import Examples, Items
from tasks.settings import Settings

NAME = "frozen"
STEPS = 500
GRID = (10.0, 100.0, 1.0, 1000.0)  # scikit-learn's C; of equals the first is taken
MOST_CROSS_FITTED = 1500  # more labels than this are sampled to choose C and the temperature: it settles earlier


@dataclass(frozen=True)
class Head:
    """A linear softmax head over the classes that have been seen.

    seen: (s,) positions in `classes`; weights: (s, d); bias: (s,). A class that nobody has given yet has probability 0.
    """

    classes: list[str]
    seen: NDArray[np.int64]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
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

    def logits(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) -> (n, c); minus infinity for classes not seen."""
        result = np.full((len(vectors), len(self.classes)), -np.inf, dtype=np.float32)
        result[:, self.seen] = vectors @ self.weights.T + self.bias
        return result

    def at(self, temperature: float) -> "Head":
        """The same head, its logits divided by the temperature."""
        return Head(self.classes, self.seen, self.weights / temperature, self.bias / temperature)

    def save(self, folder: Path) -> None:
        """`config.json` and `head.safetensors`."""
        config = {"learner": NAME, "classes": self.classes}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file({"seen": self.seen, "weights": self.weights, "bias": self.bias}, folder / "head.safetensors")


def fit(examples: Examples, _pool: Items, settings: Settings) -> Head:
    """A calibrated head. Without `train.regularisation`, the one of the least cross-fitted log loss is taken."""
    return calibrated(examples, examples.items.vectors(), settings.train.regularisation, settings.seed)


def calibrated(examples: Examples, vectors: NDArray[np.float32], regularisation: float | None, seed: int) -> Head:
    """The head of (m, d) vectors: C, where it is not given, and temperature come from folds that it has not seen."""
    grid = GRID if regularisation is None else (regularisation,)
    if len(examples.seen) < 2:
        return head(examples, vectors, grid[0])
    _, c, temperature = min((judged(examples, vectors, c, seed) for c in grid), key=itemgetter(0))
    return head(examples, vectors, c).at(temperature)


def judged(examples: Examples, vectors: NDArray[np.float32], c: float, seed: int) -> tuple[float, float, float]:
    """What a regularisation C is worth: (cross-fitted log loss at its best temperature, C, that temperature)."""
    rows = np.random.default_rng(seed).permutation(len(examples))[:MOST_CROSS_FITTED]
    sample = Examples(Items.of(vectors[rows]), examples.labels[rows], examples.classes, _at(examples.weights, rows))
    logits = calibration.cross_fitted(
        sample,
        calibration.folds(sample.labels, seed),
        lambda seen, held_out: head(seen, seen.items.vectors(), c).logits(held_out.items.vectors()),
    )
    temperature = calibration.temperature(logits, sample.labels)
    return calibration.log_loss(logits, sample.labels, temperature), c, temperature


def head(examples: Examples, vectors: NDArray[np.float32], c: float) -> Head:
    """A head of regularisation C, as it comes, on (m, d) vectors, m >= 1. One class alone gives a constant model."""
    seen = examples.seen
    if len(seen) == 1:
        return Head(examples.classes, seen, np.zeros((1, vectors.shape[1]), np.float32), np.zeros(1, np.float32))
    fitted = LogisticRegression(C=c, max_iter=STEPS).fit(vectors, examples.labels, sample_weight=examples.weights)
    weights, bias = fitted.coef_, fitted.intercept_
    if len(seen) == 2:  # scikit-learn keeps one row for two classes: its softmax is that of (0, w)
        weights, bias = np.vstack([np.zeros_like(weights), weights]), np.concatenate([np.zeros_like(bias), bias])
    return Head(
        examples.classes, seen, np.ascontiguousarray(weights, np.float32), np.ascontiguousarray(bias, np.float32)
    )


def load(folder: Path) -> Head:
    """The head that `Head.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "head.safetensors")
    return Head(config["classes"], tensors["seen"], tensors["weights"], tensors["bias"])


def _at(weights: NDArray[np.float32] | None, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
    return None if weights is None else weights[rows]
