"""What learns, a file a kind. A learner module has `fit`, which returns a `Model`, and `load`, which reads one back.

To add one, write the module and put it into `LEARNERS`; from another package, register the module under the entry point
group `labelwise.learners`.
"""

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.learners import auto, contrastive, ensemble, finetune, frozen, propagate, untrained
from tasks.learners.base import Examples, Items, Model
from tasks.settings import one_of

LEARNERS: dict[str, Any] = {
    learner.NAME: learner for learner in (auto, frozen, contrastive, finetune, propagate, ensemble)
}


def learners() -> dict[str, Any]:
    """Ours and those of installed packages."""
    return {entry.name: entry.load() for entry in entry_points(group="labelwise.learners")} | LEARNERS


def load(folder: Path) -> Model:
    """The model in `folder`, whatever kind it is. InputError when the folder holds none."""
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["learner"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError) as error:
        raise InputError(f"{folder} holds no model: {type(error).__name__}") from None
    module = untrained if kind == untrained.NAME else one_of("train.learner", kind, learners())
    model: Model = module.load(folder)
    return model


__all__ = ["LEARNERS", "Examples", "Items", "Model", "learners", "load", "untrained"]
