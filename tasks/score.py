"""Stage `score`: what the model thinks of every item of the pool, labelled or not."""

from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks import learners, stage
from tasks.embed import Vectors, pool_vectors
from tasks.learners import Model
from tasks.records import SCORES
from tasks.strategies.uncertainty import entropy_of, least_confidence_of, margin_of
from tasks.workspace import Workspace, write_parquet


def score(vectors: Vectors, model: Model) -> pd.DataFrame:
    """A row an item, in the pool's order: SCORES, then the class probabilities as columns p0, p1, ... (float32)."""
    p = np.concatenate([model.probabilities(block) for block in vectors.blocks()])
    best = pd.array(np.asarray(model.classes)[p.argmax(axis=1)], dtype="string")
    scores = pd.DataFrame(
        {
            "id": vectors.ids,
            "prediction": best if model.trained else pd.NA,
            "confidence": p.max(axis=1),
            "least_confidence": least_confidence_of(p),
            "margin": margin_of(p),
            "entropy": entropy_of(p),
        }
    )
    return SCORES.conform(scores).join(pd.DataFrame(p, columns=[f"p{n}" for n in range(p.shape[1])]))


def probabilities(scores: pd.DataFrame) -> NDArray[np.float32]:
    """The (n, c) class probabilities in a table that `score` made."""
    columns = [column for column in scores.columns if column not in SCORES.columns]
    return cast("NDArray[np.float32]", scores[columns].to_numpy(dtype=np.float32))


def run(workspace: Workspace) -> str:
    """Read model and vectors, write data/scores.parquet. Returns a line for people."""
    scores = score(pool_vectors(workspace), learners.load(workspace.model))
    write_parquet(workspace.scores, scores)
    if scores.prediction.isna().all():
        return f"{len(scores):,} items, no model yet"
    return f"{len(scores):,} items, mean confidence {scores.confidence.mean():.2f}"


if __name__ == "__main__":
    stage.main(run)
