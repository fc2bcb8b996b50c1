"""Loads a model back, to take texts and give labels: `labelwise.load("models:/NAME@champion").predict(["some text"])`,
or the same with `mlflow.pyfunc.load_model`.

MLflow calls `_load_pyfunc` by name (its `loader_module` way), so nothing is pickled, neither written nor read. Models
that were registered before 0.2 name that module as it was called then, which no longer exists: `load` reads these, too.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, learners, settings
from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.learners.encoder import Encoder
from labelwise.tasks.workspace import read_json

REGISTERED = "models:/"  # how an address of MLflow's begins
ENCODER_FILE = "encoder.json"
BLOCK = 65_536  # texts whose vectors are held at once


@dataclass(frozen=True)
class Classifier:
    """Text in, label out: a class, or where a text may have several, the JSON list of their names."""

    encoder: Encoder
    model: learners.Model
    answer: Answer = choice

    def predict(self, texts: Any, _params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A row a text: `label`, and `confidence`, the score that it is expected to have, in [0, 1]. Texts: a list, a
        Series, or a frame with a `text` column."""
        if isinstance(texts, pd.DataFrame):
            texts = texts["text"] if "text" in texts else texts.iloc[:, 0]
        read = [str(text) for text in texts]
        parts = [self._judged(read[start : start + BLOCK]) for start in range(0, len(read), BLOCK)]
        p = np.concatenate([np.empty((0, len(self.model.classes)), np.float32), *parts])
        thresholds = learners.thresholds_of(self.model)
        labels = self.answer.decide(p, self.model.classes, thresholds)
        confidence = self.answer.expect(p, thresholds).astype(np.float32)
        return pd.DataFrame({"label": labels, "confidence": confidence})

    def _judged(self, texts: list[str]) -> NDArray[np.float32]:
        """(n, c) probabilities. The frozen encoder reads the texts once at most, however many parts of the model ask
        for their vectors: float16 and back, as these were when the heads learned."""
        vectors: list[NDArray[np.float32]] = []

        def at(rows: NDArray[np.integer]) -> NDArray[np.float32]:
            if not vectors:
                vectors.append(self.encoder.encode(texts).astype(np.float16).astype(np.float32))
            return vectors[0][rows]

        return self.model.probabilities(learners.Items(len(texts), at, lambda rows: [texts[row] for row in rows]))


def load(model: str | Path) -> Classifier:
    """A model that takes texts and gives labels.

    model: `models:/NAME@ALIAS` or `models:/NAME/VERSION`, registered in MLflow (MLFLOW_TRACKING_URI, or the local
    server); or a folder: a workspace, its `model/`, or what was downloaded from MLflow.

    InputError where there is no such model, or anything in it is neither JSON nor safetensors. ServiceError where
    MLflow does not give it.
    """
    if str(model).startswith(REGISTERED):
        from labelwise.tasks.services.mlflow import fetched

        with TemporaryDirectory() as scratch:
            return _bundled(fetched(str(model), Path(scratch)))
    folder = Path(model).expanduser().resolve()
    for bundle in (folder, *folder.glob("data/*")):  # below data/: as MLflow keeps it
        if (bundle / ENCODER_FILE).is_file():
            return _bundled(bundle)
    own = folder if folder.name == "model" else folder / "model"
    if (own.parent / "params.yaml").is_file() and own.is_dir():
        embed = settings.read(own.parent / "params.yaml").embed
        return _loaded(Encoder(embed.encoder, embed.max_tokens), own)
    known = "models:/NAME@ALIAS, models:/NAME/VERSION, a workspace or the folder of a model"
    raise InputError(f"there is no model at {model}", expected=known)


def _bundled(folder: Path) -> Classifier:
    """The model in a folder that says beside it which encoder it goes with, as MLflow keeps it."""
    encoder = read_json(folder / ENCODER_FILE)
    return _loaded(Encoder(encoder["encoder"], encoder["max_tokens"]), folder)


def _loaded(encoder: Encoder, folder: Path) -> Classifier:
    return Classifier(encoder, learners.load(folder), kinds.answer(learners.answer(folder)))


def _load_pyfunc(folder: str) -> Classifier:
    """The hook that MLflow calls with the folder that was logged."""
    return _bundled(Path(folder))
