"""Stage `select`: choose the batch that reviewers are asked next."""

import numpy as np
import pandas as pd

from tasks import stage
from tasks.embed import Vectors, pool_vectors
from tasks.labels import ledger
from tasks.records import BATCH
from tasks.score import probabilities
from tasks.settings import Select, one_of
from tasks.strategies import COLD_STARTS, Candidates, strategies
from tasks.workspace import Workspace, write_parquet


def select(
    scores: pd.DataFrame, vectors: Vectors, closed: pd.Index, settings: Select, rng: np.random.Generator
) -> pd.DataFrame:
    """The batch (BATCH), first the item to be asked first. What is left of the pool, when that is less.

    scores and vectors are in the pool's order; `closed` holds the ids that must not be asked.
    """
    strategy = one_of("select.strategy", settings.strategy, strategies())
    cold_start = one_of("select.cold_start", settings.cold_start, COLD_STARTS)
    if scores.prediction.isna().all():
        strategy = cold_start
    open_rows = np.flatnonzero(~scores.id.isin(closed).to_numpy())
    k = min(settings.batch, len(open_rows))
    if k == 0:
        return BATCH.frame()
    candidates = Candidates(probabilities(scores)[open_rows], lambda indices: vectors.gather(open_rows[indices]))
    choice = strategy(candidates, k, rng)
    asked = scores.iloc[open_rows[choice.indices]].reset_index(drop=True)
    return BATCH.conform(
        pd.DataFrame(
            {
                "id": asked.id,
                "rank": np.arange(1, k + 1),
                "score": choice.scores,
                "why": choice.why,
                "propensity": choice.propensity,
                "prediction": asked.prediction,
                "confidence": asked.confidence,
            }
        )
    )


def run(workspace: Workspace) -> str:
    """Read scores, vectors and ledger, write data/batch.parquet. Returns a line for people."""
    settings = workspace.settings
    rng = np.random.default_rng([settings.seed, ledger.current_round(workspace.labels)])
    closed = ledger.closed(ledger.read(workspace.labels))
    batch = select(pd.read_parquet(workspace.scores), pool_vectors(workspace), closed, settings.select, rng)
    write_parquet(workspace.batch, batch)
    if batch.empty:
        return "nothing is left to ask"
    return f"{len(batch)} items by {batch.why.iloc[0]}"


if __name__ == "__main__":
    stage.main(run)
