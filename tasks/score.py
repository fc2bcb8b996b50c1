"""Stage `score`: what the model thinks of every item of the pool, labelled or not."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, learners, stage
from labelwise.tasks.items.vectors import pool_items, pool_vectors
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.learners import Items, Model, thresholds_of
from labelwise.tasks.records import SCORES
from labelwise.tasks.settings import Score
from labelwise.tasks.strategies.uncertainty import entropy_of, least_confidence_of, margin_of
from labelwise.tasks.workspace import Workspace, write_parquet


def score(ids: pd.Index, items: Items, model: Model, settings: Score, answer: Answer = choice) -> pd.DataFrame:
    """A row an item, in the pool's order: SCORES, then the class probabilities as columns p0, p1, ... (float32)."""
    p = predicted(items, model, settings, answer)
    thresholds = thresholds_of(model)
    simplex = answer.simplex(p, thresholds)
    scores = pd.DataFrame(
        {
            "id": ids,
            "prediction": pd.array(answer.decide(p, model.classes, thresholds), dtype="string")
            if model.trained
            else pd.NA,
            "confidence": answer.expect(p, thresholds),
            "least_confidence": least_confidence_of(simplex),
            "margin": margin_of(simplex),
            "entropy": entropy_of(simplex),
        }
    )
    return SCORES.conform(scores).join(pd.DataFrame(p, columns=[f"p{n}" for n in range(p.shape[1])]))


def predicted(items: Items, model: Model, settings: Score, answer: Answer = choice) -> NDArray[np.float32]:
    """(n, c) probabilities. Where the model has a draft, that judges all items, and the model itself those that
    the draft is least sure of, at most `settings.reencode`: a tuned encoder must not cost a pass over the whole
    pool."""
    quick = model if model.draft is None or len(items) <= settings.reencode else model.draft
    p = np.concatenate([quick.probabilities(block) for block in items.blocks()])
    if quick is not model:
        unsure = np.sort(
            np.argsort(-margin_of(answer.simplex(p, thresholds_of(quick))), kind="stable")[: settings.reencode]
        )
        p[unsure] = model.probabilities(items.take(unsure))
    return p


def run(workspace: Workspace) -> str:
    """Read model and vectors, write data/scores.parquet. Returns a line for people."""
    vectors = pool_vectors(workspace)
    model = learners.load(workspace.model)
    scores = score(
        vectors.ids,
        pool_items(workspace, vectors),
        model,
        workspace.settings.score,
        kinds.answer(workspace.settings.kind.answer),
    )
    write_parquet(workspace.scores, scores)
    if scores.prediction.isna().all():
        return f"{len(scores):,} items, no model yet"
    return f"{len(scores):,} items, mean confidence {scores.confidence.mean():.2f}"


if __name__ == "__main__":
    stage.main(run)
