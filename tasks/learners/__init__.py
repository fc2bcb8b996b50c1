"""What learns, a file a kind. A learner module has `fit`, which returns a `Model`, and `load`, which reads one back.

To add one, write the module and put it into `LEARNERS`; from another package, register the module under the entry point
group `labelwise.learners`.
"""

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from labelwise.tasks.errors import InputError
from labelwise.tasks.learners import (
    auto,
    bag_of_words,
    contrastive,
    ensemble,
    finetune,
    frozen,
    one_vs_rest,
    propagate,
    tagger,
    trees,
    untrained,
)
from labelwise.tasks.learners.base import Exam, Examples, Items, Left, Model, Prefilter, prefilter_of, thresholds_of
from labelwise.tasks.settings import one_of
from labelwise.tasks.workspace import brought_back, read_json

PLAIN = (".json", ".safetensors")  # what a model is made of

LEARNERS: dict[str, Any] = {
    learner.NAME: learner
    for learner in (auto, frozen, contrastive, finetune, propagate, bag_of_words, trees, ensemble, tagger)
}


def learners() -> dict[str, Any]:
    """Ours and those of installed packages."""
    return {entry.name: entry.load() for entry in entry_points(group="labelwise.learners")} | LEARNERS


def able_to_learn(answer: str, item: str = "text") -> list[str]:
    """The learners that can learn what is said of such an item, and read it. One of another package that does not say
    is taken to learn one class a text.

    >>> "frozen" in able_to_learn("multilabel"), "propagate" in able_to_learn("multilabel")
    (True, False)
    >>> able_to_learn("choice", "image")
    ['auto', 'frozen', 'propagate', 'ensemble']
    """
    return [
        name
        for name, one in learners().items()
        if answer in getattr(one, "SERVES", {"choice"}) and getattr(one, "READS", {"text"}) <= {"vectors", item}
    ]


def thresholds(folder: Path) -> NDArray[np.float32] | None:
    """The thresholds of the model in `folder`, see `Model.thresholds`, without loading it; None where there is none."""
    path = folder / "config.json"
    found = read_json(path).get("thresholds") if path.exists() else None
    return None if found is None else np.asarray(found, np.float32)


def answer(folder: Path) -> str:
    """What the model in `folder` says of an item, as in `kind.answer`."""
    path = folder / "config.json"
    if not path.exists():
        return "choice"
    config = read_json(path)
    return "multilabel" if one_vs_rest.of_several(config) else str(config.get("answer", "choice"))


def load(folder: Path) -> Model:
    """The model in `folder`, whatever kind it is. InputError when the folder holds none, or anything that is neither
    JSON nor safetensors: a stranger may have put it there, and nothing of his is unpickled."""
    strange = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in PLAIN]
    if strange:
        fix = ", or ".join(filter(None, [brought_back(strange[0]), "train it anew (`labelwise run`)"]))
        raise InputError(f"{strange[0]} is no part of a model", expected="files in " + " and ".join(PLAIN), fix=fix)
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["learner"]
        module = untrained if kind == untrained.NAME else one_of("train.learner", str(kind), learners())
        model: Model = module.load(folder)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        RuntimeError,
        SafetensorError,
    ) as error:
        got = f"{type(error).__name__}: {error}"[:160]
        raise InputError(f"{folder} holds no model of ours", got=got, fix=brought_back(folder)) from None
    return model


__all__ = [
    "LEARNERS",
    "Exam",
    "Examples",
    "Items",
    "Left",
    "Model",
    "Prefilter",
    "able_to_learn",
    "answer",
    "learners",
    "load",
    "prefilter_of",
    "thresholds",
    "thresholds_of",
    "untrained",
]
