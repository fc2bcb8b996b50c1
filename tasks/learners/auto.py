"""`auto`: the learner that was most right about labels it had not seen. None wins everywhere, and the best one changes
as labels grow; so the ledger decides, each round anew. Gold is not looked at.

Up to 300 labels a tuned encoder (`contrastive`) competes with the `ensemble` of head and graph, on a third of the
labels that both did not see. With more, the ensemble is as good in what was measured, and judging an item costs it no
pass through an encoder.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.learners import calibration, contrastive, ensemble, frozen
from tasks.learners.base import Examples, Items, Model
from tasks.settings import Settings

NAME = "auto"
CHOICE = {"frozen": frozen, "ensemble": ensemble, "contrastive": contrastive}
FEWEST, MOST_TUNED = 12, 300  # labels, between which tuning is tried


@dataclass(frozen=True)
class Auto:
    """The model of the learner that was chosen, and in words why it was."""

    chosen: str
    reason: str
    model: Model
    trained: bool = True

    @property
    def classes(self) -> list[str]:
        return self.model.classes

    @property
    def draft(self) -> Model | None:
        return self.model.draft

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        return self.model.probabilities(items)

    def save(self, folder: Path) -> None:
        """`config.json`, and the model in a folder that bears the learner's name."""
        config = {"learner": NAME, "classes": self.classes, "chosen": self.chosen, "reason": self.reason}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / self.chosen).mkdir()
        self.model.save(folder / self.chosen)


def fit(examples: Examples, pool: Items, settings: Settings) -> Auto:
    """Choose by held-out labels, then learn from all of them."""
    if len(examples.seen) < 2:
        return Auto("frozen", "one class only", frozen.fit(examples, pool, settings))
    quiet = ensemble.fit(examples, pool, settings)
    if not FEWEST <= len(examples) <= MOST_TUNED:
        return Auto("ensemble", f"tuning is tried from {FEWEST} to {MOST_TUNED} labels", quiet)
    started = contrastive.start(examples, settings)
    if not len(started.held_out):
        return Auto("ensemble", "too few labels to compare learners", quiet)
    labels = examples.labels[started.held_out]
    rest = examples.take(np.setdiff1d(np.arange(len(examples)), started.held_out))
    rival = ensemble.fit(rest, pool, settings).logits(examples.items.take(started.held_out))
    losses = {"ensemble": _loss(rival, labels), "contrastive": _loss(started.logits, labels)}
    figures = " and ".join(f"{loss:.3f} for {name}" for name, loss in losses.items())
    reason = f"log loss on {len(labels)} labels held out: {figures}"
    if losses["contrastive"] >= losses["ensemble"]:
        return Auto("ensemble", reason, quiet)
    return Auto("contrastive", reason, contrastive.finish(started, examples, pool, settings))


def _loss(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    return calibration.log_loss(logits, labels, calibration.temperature(logits, labels))


def load(folder: Path) -> Auto:
    """The model that `Auto.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    chosen = config["chosen"]
    model: Model = CHOICE[chosen].load(folder / chosen)
    return Auto(chosen, config["reason"], model)
