"""`ensemble`: what `frozen` and `propagate` say, weighed by how right each was about labels it had not seen.

The head draws straight borders, the graph follows the shape of the pool; where one of them errs the other often does
not. Their weights come from the ledger, so where the graph is of no use it gets none.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from tasks.learners import calibration, frozen, propagate
from tasks.learners.base import Examples, Items
from tasks.settings import Settings

NAME = "ensemble"


@dataclass(frozen=True)
class Ensemble:
    """A weighted sum of logits: weights = (head, graph, frequency of the classes among the labels)."""

    head: frozen.Head
    graph: propagate.Propagated
    frequency: list[float]
    weights: list[float]
    trained: bool = True
    draft: None = None

    @property
    def classes(self) -> list[str]:
        return self.head.classes

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        return softmax(self.logits(items), axis=1).astype(np.float32)

    def logits(self, items: Items) -> NDArray[np.floating]:
        """n items -> (n, c); minus infinity for classes not seen."""
        shares = np.log(np.maximum(self.graph.probabilities(items), propagate.FLOOR))
        head = self.head.logits(items.vectors())
        known = np.isfinite(head)
        parts = (np.where(known, head, 0), shares, logarithms(self.frequency))
        return np.where(known, sum(w * part for w, part in zip(self.weights, parts, strict=True)), -np.inf)

    def save(self, folder: Path) -> None:
        """`config.json`, and a folder a member."""
        config = {"learner": NAME, "frequency": self.frequency, "weights": self.weights}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        for name, member in ((frozen.NAME, self.head), (propagate.NAME, self.graph)):
            (folder / name).mkdir()
            member.save(folder / name)


def fit(examples: Examples, pool: Items, settings: Settings) -> Ensemble:
    """Both members on the same labels, their weights from labels that neither had seen."""
    rows = calibration.sampled(examples, settings.seed)
    graph = propagate.graph_of(examples, pool, settings.seed)
    c, quiet = frozen.crossed(examples.take(rows), settings)
    spread = propagate.crossed(graph, examples, rows, settings.seed)
    frequency = (np.bincount(examples.labels, minlength=len(examples.classes)) / len(examples)).tolist()
    prior = np.broadcast_to(logarithms(frequency), quiet.shape)
    weights = calibration.pooling([quiet, spread, prior], examples.labels[rows]).tolist()
    head = frozen.head(examples, examples.items.vectors(), c)
    return Ensemble(head, propagate.model(graph, examples), frequency, weights)


def logarithms(frequency: list[float]) -> NDArray[np.float64]:
    """(c,) log frequency of each class; 0 for one that has not been seen, which other members rule out."""
    values = np.asarray(frequency)
    return np.log(np.where(values > 0, values, 1))


def load(folder: Path) -> Ensemble:
    """The model that `Ensemble.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    head, graph = frozen.load(folder / frozen.NAME), propagate.load(folder / propagate.NAME)
    return Ensemble(head, graph, config["frequency"], config["weights"])
