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

from tasks import learners
from tasks.learners.encoder import Encoder

ENCODER_FILE = "encoder.json"


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
        p = self.model.probabilities(
            learners.Items(
                len(read),
                lambda rows: self._vectors([read[row] for row in rows]),
                lambda rows: [read[row] for row in rows],
            )
        )
        labels = np.asarray(self.model.classes, dtype=object)[p.argmax(axis=1)]
        return pd.DataFrame({"label": labels, "confidence": p.max(axis=1)})

    def _vectors(self, texts: list[str]) -> NDArray[np.float32]:
        """float16 and back, as the vectors were when the head learned."""
        return self.encoder.encode(texts).astype(np.float16).astype(np.float32)


def _load_pyfunc(folder: str) -> Classifier:
    """The hook that MLflow calls with the folder that was logged."""
    encoder = json.loads((Path(folder) / ENCODER_FILE).read_text(encoding="utf-8"))
    return Classifier(Encoder(encoder["encoder"], encoder["max_tokens"]), learners.load(Path(folder)))
