"""`contrastive`: the encoder's upper layers learn to put texts of one class together and others apart, a logistic head
learns on the vectors that come of it. Worth most while labels are few (SetFit: Tunstall et al. 2022, arXiv 2209.11055).

SetFit draws pairs and encodes both texts of each. Here every text of a batch is encoded once and compared with all
others of that batch (supervised contrastive loss: Khosla et al. 2020, arXiv 2004.11362): the same comparisons for a
small part of the passes. One in three labels is held out first, to calibrate; then the tuning goes on with all of
them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.learners import calibration, encoder, frozen, tuned
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.settings import Settings

NAME = "contrastive"
SERVES = frozenset({"choice"})
READS = frozenset({"vectors", "text"})
NEEDS = encoder.NEEDS
RATE = 1e-4
BATCH = 32  # texts compared with each other
SAME = 4  # texts of one class that go together, so that each finds its like in the batch
SHARPNESS = 0.1  # temperature of the loss
REGULARISATION = 10.0  # of the head, as scikit-learn's C
PASSES = 3000  # texts that go through the encoder in one tuning, at most: bounds the cost
EPOCHS = 6  # times that each label is seen in the first tuning, where the passes allow it; then half as often again


@dataclass(frozen=True)
class Started:
    """A tuning that has seen two thirds of the labels. logits: (h, c) what it says of the rest, at positions
    held_out."""

    tower: tuned.Tower
    texts: list[tuned.Prepared]
    logits: NDArray[np.float32]
    held_out: NDArray[np.int64]


def fit(examples: Examples, _pool: Items, settings: Settings) -> tuned.Tuned:
    """Tune on two thirds of the labels, calibrate on the third, tune on with all. 30 s for 100 long texts on two
    cores."""
    return finish(start(examples, settings), examples, settings)


def start(examples: Examples, settings: Settings) -> Started:
    """Tune on two thirds of the labels; where there are more labels than passes, of as many as there are passes."""
    examples = examples.take(calibration.random_positions(len(examples), PASSES, settings.seed))
    tower = tuned.Tower(settings.embed)
    texts = tower.prepared(examples.items.texts())
    fold = calibration.held_out(examples, settings.seed)
    seen, held_out = np.flatnonzero(fold > 0), np.flatnonzero(fold == 0)
    if len(np.unique(examples.labels[seen])) < 2:
        return Started(tower, texts, np.zeros((0, len(examples.classes)), np.float32), held_out[:0])
    _tune(tower, [texts[row] for row in seen], examples.take(seen), EPOCHS, settings.seed)
    vectors = tuned.encoded(tower, [texts[row] for row in seen])
    head = frozen.head(examples.take(seen), vectors, REGULARISATION)
    return Started(tower, texts, head.logits(tuned.encoded(tower, [texts[row] for row in held_out])), held_out)


def finish(started: Started, examples: Examples, settings: Settings) -> tuned.Tuned:
    """Calibrate on the labels held out, and tune on with all."""
    tower = started.tower
    tuned_on = examples.take(calibration.random_positions(len(examples), PASSES, settings.seed))
    temperature = calibration.temperature(started.logits, tuned_on.labels[started.held_out])
    if len(tuned_on.seen) > 1:
        _tune(tower, started.texts, tuned_on, EPOCHS // 2, settings.seed + 1)
    tower.settle()
    whole = len(tuned_on) == len(examples)
    vectors = tuned.encoded(tower, started.texts) if whole else tower.encoder.encode(examples.items.texts())
    head = frozen.head(examples, vectors, REGULARISATION).at(temperature)
    return tuned.Tuned(NAME, tower, head, frozen.of_one(examples, settings))


def _tune(tower: tuned.Tower, texts: list[tuned.Prepared], examples: Examples, epochs: int, seed: int) -> None:
    import torch

    targets, weights = torch.from_numpy(examples.labels), torch.from_numpy(examples.counting)
    rng = np.random.default_rng(seed)
    batches = [batch for _ in range(epochs) for batch in batches_of(examples.labels, rng)][: PASSES // BATCH]
    tuned.train(
        tower,
        [batches],
        lambda rows: contrast(tower.vectors([texts[row] for row in rows]), targets[rows], weights[rows]),
        RATE,
    )


def batches_of(labels: NDArray[np.int64], rng: np.random.Generator) -> list[list[int]]:
    """Every item once, in batches of about `BATCH`, up to `SAME` of a class side by side."""
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[by_class], prepend=-1))
    groups = [
        group[at : at + SAME].tolist() for group in np.split(by_class, starts[1:]) for at in range(0, len(group), SAME)
    ]
    flat = [row for at in rng.permutation(len(groups)) for row in groups[at]]
    return [flat[start : start + BATCH] for start in range(0, len(flat), BATCH)]


def contrast(vectors: Any, labels: Any, weights: Any) -> Any:
    """The supervised contrastive loss of (b, d) unit vectors with (b,) labels: the mean negative log share, among all
    others of the batch, of those of its own class, each item by its weight, (b,). Items without one of their class in
    the batch count nothing."""
    import torch

    alone = torch.eye(len(labels), dtype=torch.bool)
    similar = (vectors @ vectors.T / SHARPNESS).masked_fill(alone, -torch.inf)
    log_share = (similar - similar.logsumexp(1, keepdim=True)).masked_fill(alone, 0)
    same = (labels[:, None] == labels) & ~alone
    counts = same.sum(1)
    there = counts > 0
    losses = -(log_share * same).sum(1)[there] / counts[there]
    return (weights[there] * losses).sum() / weights[there].sum().clamp(min=1) + 0 * vectors.sum()


load = tuned.load
