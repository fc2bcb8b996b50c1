"""`auto`: the learner that says most of labels it has not seen. No learner wins everywhere, and the best one changes
as labels grow; so the ledger decides, each round anew, by labels held out. Gold is not looked at.

Tuning costs a pass through the encoder for every item that is judged, so it must be worth it: `contrastive` is taken
only when it has the lower log loss on the same held-out third.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.learners import calibration, contrastive, frozen
from tasks.learners.base import Examples, Items, Model
from tasks.settings import Settings

NAME = "auto"
CHOICE = {"frozen": frozen, "contrastive": contrastive}
FEWEST = 12  # fewer labels than this decide nothing: `frozen`


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
    chosen, reason = choose(examples, settings)
    model: Model = CHOICE[chosen].fit(examples, pool, settings)
    return Auto(chosen, reason, model)


def choose(examples: Examples, settings: Settings) -> tuple[str, str]:
    """The name of the learner, and why."""
    if len(examples) < FEWEST or len(examples.seen) < 2:
        return "frozen", "too few labels to compare learners"
    logits, held_out = contrastive.held_out(examples, settings)
    labels = examples.labels[held_out]
    rest = np.setdiff1d(np.arange(len(examples)), held_out)
    head = frozen.fit(examples.take(rest), examples.items, settings)
    quiet = head.logits(examples.items.take(held_out).vectors())
    losses = {
        name: calibration.log_loss(values, labels, calibration.temperature(values, labels))
        for name, values in (("frozen", quiet), ("contrastive", logits))
    }
    chosen = min(losses, key=lambda name: losses[name])
    figures = " and ".join(f"{loss:.3f} for {name}" for name, loss in losses.items())
    return chosen, f"log loss on {len(labels)} held-out labels: {figures}"


def load(folder: Path) -> Auto:
    """The model that `Auto.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    chosen = config["chosen"]
    return Auto(chosen, config["reason"], CHOICE[chosen].load(folder / chosen))
