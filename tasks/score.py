"""Stage `score`: what the model thinks of every item of the pool, labelled or not."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, learners, stage
from labelwise.tasks.errors import quantity
from labelwise.tasks.items.known import remembering
from labelwise.tasks.items.vectors import pool_vectors
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.learners import Items, Model, thresholds_of
from labelwise.tasks.learners.base import BLOCK
from labelwise.tasks.records import SCORES, probabilities
from labelwise.tasks.settings import Score
from labelwise.tasks.strategies.uncertainty import entropy_of, least_confidence_of, margin_of
from labelwise.tasks.workspace import Workspace, write_parquet


def score(ids: pd.Index, items: Items, model: Model, settings: Score, answer: Answer = choice) -> pd.DataFrame:
    """A row an item, in the pool's order: SCORES, then what `Answer.kept` says of the model's opinion as columns p0,
    p1,
    ... (float32): of one class an item or of several, their probabilities.

    Where the model has a draft, that judges all items, and the model itself those that the draft is least sure of, at
    most `settings.reencode`: a tuned encoder must not cost a pass over the whole pool.
    """
    quick = model if model.draft is None or len(items) <= settings.reencode else model.draft
    starts = range(0, len(items), BLOCK)
    thresholds = thresholds_of(model)
    blocks = zip(starts, items.blocks(), strict=True)
    parts = [judged(ids[at : at + BLOCK], block, quick, answer, thresholds) for at, block in blocks]
    scores = pd.concat(parts, ignore_index=True) if parts else judged(ids, items, quick, answer, thresholds)
    if quick is not model:
        margin = margin_of(answer.simplex(probabilities(scores), thresholds_of(quick)))
        unsure = np.sort(np.argsort(-margin, kind="stable")[: settings.reencode])
        anew = judged(ids[unsure], items.take(unsure), model, answer, thresholds).set_axis(unsure)
        scores = pd.concat([scores.drop(index=pd.Index(unsure)), anew]).sort_index()
    return scores


def judged(
    ids: pd.Index, items: Items, model: Model, answer: Answer, thresholds: NDArray[np.float32] | None
) -> pd.DataFrame:
    """The table of these items, by one model."""
    opinion = model.probabilities(items)
    kept = answer.kept(opinion, thresholds)
    simplex = answer.simplex(kept, thresholds)
    scores = pd.DataFrame(
        {
            "id": ids,
            "prediction": pd.array(answer.decide(opinion, model.classes, thresholds), dtype="string")
            if model.trained
            else pd.NA,
            "confidence": answer.expect(opinion, thresholds),
            "least_confidence": least_confidence_of(simplex),
            "margin": margin_of(simplex),
            "entropy": entropy_of(simplex),
        }
    )
    return SCORES.conform(scores).join(pd.DataFrame(kept, columns=[f"p{n}" for n in range(kept.shape[1])]))


def run(workspace: Workspace) -> str:
    """Read model and vectors, write data/scores.parquet. Returns a line for people."""
    vectors = pool_vectors(workspace)
    model = learners.load(workspace.model)
    scores = score(
        vectors.ids,
        remembering(workspace, vectors),
        model,
        workspace.settings.score,
        kinds.answer(workspace.settings.kind.answer),
    )
    write_parquet(workspace.scores, scores)
    if scores.prediction.isna().all():
        return f"{quantity(len(scores), 'item')}, no model yet"
    return f"{quantity(len(scores), 'item')}, mean confidence {scores.confidence.mean():.2f}"


if __name__ == "__main__":
    stage.main(run)
