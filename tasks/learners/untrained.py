"""The model of round 0: it knows the classes and nothing else. It spares every later stage a special case."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.learners.base import Items

NAME = "untrained"


@dataclass(frozen=True)
class Untrained:
    """No opinion on anything."""

    classes: list[str]
    trained: bool = False
    draft: None = None
    thresholds: None = None

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """NaN for every class."""
        return np.full((len(items), len(self.classes)), np.nan, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """One JSON file."""
        (folder / "config.json").write_text(json.dumps({"learner": NAME, "classes": self.classes}), encoding="utf-8")


def load(folder: Path) -> Untrained:
    """The model that `Untrained.save` wrote."""
    return Untrained(json.loads((folder / "config.json").read_text(encoding="utf-8"))["classes"])
