"""Loads a registered model back: `mlflow.pyfunc.load_model("models:/NAME@champion").predict(["some text"])`.

MLflow calls `_load_pyfunc` by name (its `loader_module` way), so nothing is pickled, neither written nor read.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import learners
from labelwise.tasks.learners.encoder import Encoder

ENCODER_FILE = "encoder.json"
BLOCK = 65_536  # texts whose vectors are held at once


@dataclass(frozen=True)
class Classifier:
    """Text in, class out."""

    encoder: Encoder
    model: learners.Model

    def predict(self, texts: Any, _params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A row a text: `label`, `confidence`. Texts: a list, a Series, or a frame with a `text` column."""
        if isinstance(texts, pd.DataFrame):
            texts = texts["text"] if "text" in texts else texts.iloc[:, 0]
        read = [str(text) for text in texts]
        parts = [self._judged(read[start : start + BLOCK]) for start in range(0, len(read), BLOCK)]
        p = np.concatenate([np.empty((0, len(self.model.classes)), np.float32), *parts])
        labels = np.asarray(self.model.classes, dtype=object)[p.argmax(axis=1)]
        return pd.DataFrame({"label": labels, "confidence": p.max(axis=1)})

    def _judged(self, texts: list[str]) -> NDArray[np.float32]:
        """(n, c) probabilities. The frozen encoder reads the texts once at most, however many parts of the model ask
        for their vectors: float16 and back, as these were when the heads learned."""
        vectors: list[NDArray[np.float32]] = []

        def at(rows: NDArray[np.integer]) -> NDArray[np.float32]:
            if not vectors:
                vectors.append(self.encoder.encode(texts).astype(np.float16).astype(np.float32))
            return vectors[0][rows]

        return self.model.probabilities(learners.Items(len(texts), at, lambda rows: [texts[row] for row in rows]))


def _load_pyfunc(folder: str) -> Classifier:
    """The hook that MLflow calls with the folder that was logged."""
    encoder = json.loads((Path(folder) / ENCODER_FILE).read_text(encoding="utf-8"))
    return Classifier(Encoder(encoder["encoder"], encoder["max_tokens"]), learners.load(Path(folder)))
