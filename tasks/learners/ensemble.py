"""`ensemble`: the mean of what several learners say (Lakshminarayanan et al. 2017, arXiv 1612.01474): steadier than the best
of them, at the cost of all."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.learners import contrastive, frozen, propagate
from tasks.learners.base import Examples, Items, Model
from tasks.settings import Settings

NAME = "ensemble"
MEMBERS = {"frozen": frozen, "propagate": propagate, "contrastive": contrastive}


@dataclass(frozen=True)
class Ensemble:
    """Members by name."""

    members: dict[str, Model]
    trained: bool = True

    @property
    def classes(self) -> list[str]:
        return self.members["frozen"].classes

    @property
    def draft(self) -> Model:
        return self.members["frozen"]

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        return np.mean([member.probabilities(items) for member in self.members.values()], axis=0)

    def save(self, folder: Path) -> None:
        """`config.json`, and a folder a member."""
        (folder / "config.json").write_text(json.dumps({"learner": NAME, "classes": self.classes}), encoding="utf-8")
        for name, member in self.members.items():
            (folder / name).mkdir()
            member.save(folder / name)


def fit(examples: Examples, pool: Items, settings: Settings) -> Ensemble:
    """Every member on the same labels."""
    return Ensemble({name: member.fit(examples, pool, settings) for name, member in MEMBERS.items()})


def load(folder: Path) -> Ensemble:
    """The model that `Ensemble.save` wrote."""
    return Ensemble({name: member.load(folder / name) for name, member in MEMBERS.items()})
