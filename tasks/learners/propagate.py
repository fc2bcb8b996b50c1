"""`propagate`: labels spread over the graph of nearest neighbours in the pool (local and global consistency: Zhou et
al. 2004, 'Learning with local and global consistency'). No weights are learned, so a handful of labels goes far where
like lies with like; what lies between the classes it gets wrong for good."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix, diags
from scipy.special import softmax

from labelwise.tasks.learners import calibration
from labelwise.tasks.learners.base import Examples, Floats, Items, Near
from labelwise.tasks.settings import Settings

NAME = "propagate"
SERVES = frozenset({"choice"})
READS = frozenset({"vectors"})
NEIGHBOURS = 10
NODES = 5_000  # of the pool, drawn by chance, beside all that is labelled: bounds time and the size of the model
SPREAD = 0.9  # how much a node takes from its neighbours; the rest from its own label
STEPS = 30
FLOOR = 1e-6
BLOCK = 2048


@dataclass(frozen=True)
class Propagated:
    """nodes: (s, d) float16 vectors, those of the m labelled items first; shares: (s, c) what has reached each node,
    rows sum to 1."""

    classes: list[str]
    nodes: NDArray[np.float16]
    shares: NDArray[np.float32]
    temperature: float
    labelled: int = 0
    trained: bool = True
    draft: None = None
    thresholds: None = None

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c), from the nodes nearest to each."""
        return np.concatenate([self._of(block) for block in items.blocks(BLOCK)])

    @cached_property
    def _wide(self) -> Floats:
        """The nodes as they are computed with: made once, since for one item that takes longer than all the rest."""
        return self.nodes.astype(np.float32)

    @cached_property
    def _others(self) -> Floats:
        """Those without a label."""
        return self._wide[self.labelled :]

    def _of(self, items: Items) -> NDArray[np.float32]:
        near, similar = self._nearest(items)
        weights = weighed(similar)
        shares = np.einsum("nk,nkc->nc", weights, self.shares[near])
        return softmax(logits(shares) / self.temperature, axis=1).astype(np.float32)

    def _nearest(self, items: Items) -> Near:
        if items.near_at is None:
            return nearest(items.vectors(), self._wide, NEIGHBOURS)
        # What has no label is the same in most rounds, and what is nearest among it is remembered.
        others, other_similar = items.near_at(np.arange(len(items)), self._others)
        own, own_similar = nearest(items.vectors(), self._wide[: self.labelled], NEIGHBOURS)
        near = np.concatenate([own, others + self.labelled], axis=1)
        similar = np.concatenate([own_similar, other_similar], axis=1)
        best = _highest(similar, NEIGHBOURS)
        return np.take_along_axis(near, best, axis=1), np.take_along_axis(similar, best, axis=1)

    def save(self, folder: Path) -> None:
        """`config.json` and `graph.safetensors`."""
        config = {"learner": NAME, "classes": self.classes, "temperature": self.temperature}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        own = {"labelled": str(self.labelled)}
        save_file({"nodes": self.nodes, "shares": self.shares}, folder / "graph.safetensors", own)


@dataclass(frozen=True)
class Graph:
    """nodes: (s, d), the m labelled items first; links: (s, s)."""

    nodes: Floats
    links: csr_matrix


def fit(examples: Examples, pool: Items, settings: Settings) -> Propagated:
    """Spread the labels over the labelled items and a sample of the pool. O(s² d) for s nodes, at most m and 5,000."""
    graph = graph_of(examples, pool, settings.seed)
    rows = calibration.sampled(examples, settings.seed)
    temperature = calibration.temperature(crossed(graph, examples, rows, settings.seed), examples.labels[rows])
    return model(graph, examples, temperature)


def graph_of(examples: Examples, pool: Items, seed: int) -> Graph:
    """The graph of the labelled items and a sample of the pool."""
    # Items that are gold or nearly so may be in the sample. They come without a label: the graph knows where they lie,
    # as of all that it will be asked about, and nothing of what gold is measured by.
    sample = np.sort(np.random.default_rng(seed).permutation(pool.first or len(pool))[:NODES])
    nodes = np.vstack([examples.items.vectors(), pool.take(sample).vectors()])
    return Graph(nodes, neighbours(nodes))


def model(graph: Graph, examples: Examples, temperature: float = 1.0) -> Propagated:
    """All labels, spread."""
    shares = spread(graph.links, _truth(graph, examples, np.arange(len(examples))))
    return Propagated(examples.classes, graph.nodes.astype(np.float16), shares, temperature, len(examples))


def crossed(graph: Graph, examples: Examples, rows: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """(r, c) logits of the labels at these rows, each from the labels at the rows of the other folds alone."""
    fold = calibration.folds(examples.labels[rows], seed, groups=examples.take(rows).items.groups)
    result = np.full((len(rows), len(examples.classes)), -np.inf)
    for number in np.unique(fold):
        shares = spread(graph.links, _truth(graph, examples, rows[fold != number]))
        result[fold == number] = logits(shares)[rows[fold == number]]
    return result


def _truth(graph: Graph, examples: Examples, rows: NDArray[np.int64]) -> Floats:
    truth = np.zeros((len(graph.nodes), len(examples.classes)), np.float32)
    truth[rows, examples.labels[rows]] = 1 if examples.weights is None else examples.weights[rows]
    return truth


def neighbours(nodes: Floats) -> csr_matrix:
    """The (s, s) graph of the ten nearest, weighted by their cosine, symmetric, scaled so that spreading converges."""
    s = len(nodes)
    found = [nearest(nodes[at : at + BLOCK], nodes, NEIGHBOURS + 1) for at in range(0, s, BLOCK)]
    columns = np.concatenate([near for near, _ in found])
    weights = np.concatenate([weighed(similar) for _, similar in found])
    rows = np.repeat(np.arange(s), columns.shape[1])
    graph = csr_matrix((weights.ravel(), (rows, columns.ravel())), shape=(s, s))
    graph.setdiag(0)
    graph = graph.maximum(graph.T)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    scale = diags(1 / np.sqrt(np.maximum(degree, FLOOR)))
    return csr_matrix(scale @ graph @ scale, dtype=np.float32)


def nearest(vectors: Floats, nodes: Floats, k: int) -> Near:
    """The k of (s, d) nodes that are nearest to each of n vectors, or all where they are fewer, in no order."""
    similar = vectors @ nodes.T
    near = _highest(similar, k)
    return near, np.take_along_axis(similar, near, axis=1)


def _highest(rows: Floats, k: int) -> NDArray[np.int64]:
    """(n, k) where the highest figures of each row are, or all where there are fewer, in no order."""
    k = min(k, rows.shape[1])
    return np.argpartition(-rows, k - 1, axis=1)[:, :k] if k else np.zeros((len(rows), 0), np.int64)


def weighed(similar: Floats) -> Floats:
    """(n, k) cosines -> the weights of the neighbours: those above zero, scaled to sum to 1."""
    weights = np.maximum(similar, FLOOR)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def spread(graph: csr_matrix, truth: Floats) -> NDArray[np.float32]:
    """(s, c) shares of the classes at each node after the (s, c) truth has spread; rows sum to 1. Each class is scaled
    by the number of its labels, so that what is common does not flood what is rare."""
    start = truth / np.maximum(truth.sum(axis=0), 1)
    reached = start
    for _ in range(STEPS):
        reached = SPREAD * (graph @ reached) + (1 - SPREAD) * start
    total = reached.sum(axis=1, keepdims=True)
    even = (truth.sum(axis=0) > 0) / max((truth.sum(axis=0) > 0).sum(), 1)
    return np.where(total > 0, reached / np.maximum(total, 1e-30), even).astype(np.float32)


def logits(shares: Floats) -> NDArray[np.floating]:
    """Logarithms of shares; minus infinity for classes that reach no node at all."""
    return np.where((shares > 0).any(axis=0), np.log(np.maximum(shares, FLOOR)), -np.inf)


def load(folder: Path) -> Propagated:
    """The model that `Propagated.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with safe_open(folder / "graph.safetensors", "numpy") as file:
        nodes, shares = file.get_tensor("nodes"), file.get_tensor("shares")
        labelled = int((file.metadata() or {}).get("labelled", 0))  # a model of before does not tell them apart
    return Propagated(config["classes"], nodes, shares, config["temperature"], labelled)
