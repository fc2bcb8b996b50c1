"""Texts between two classes, made of the pool's own, for a person to look at. Never part of the loop."""

from pathlib import Path

import numpy as np
import pandas as pd

from labelwise.tasks.errors import WorkspaceError
from labelwise.tasks.items.vectors import pool_items, pool_vectors
from labelwise.tasks.settings import formula
from labelwise.tasks.strategies.synthesis import LOOKED_AT, synthesise
from labelwise.tasks.workspace import Workspace, read_parquet, write_csv

COLUMNS = ["text", "parent_a", "parent_b", "synthetic"]


def run(workspace: Workspace, count: int, to: Path) -> str:
    """Write at most `count` synthetic texts to the CSV file `to`: text, the ids of the two items that each was made
    of, and `synthetic`. Returns a line for people. WorkspaceError before the first model."""
    if not workspace.scores.exists():
        raise WorkspaceError(f"{workspace.root} has no round yet", fix="`labelwise run` plays the first one")
    scores, vectors = read_parquet(workspace.scores, columns=["id", "prediction"]), pool_vectors(workspace)
    if scores.prediction.isna().all():
        raise WorkspaceError(
            "no model says yet which class an item is in", expected="a round with labels", fix="answer the open batch"
        )
    rng = np.random.default_rng(workspace.settings.seed)
    rows = np.sort(rng.permutation(len(scores))[:LOOKED_AT])
    predicted = pd.factorize(scores.prediction.iloc[rows])[0]
    made = synthesise(
        pool_items(workspace, vectors).take(rows).texts(), vectors.gather(rows), predicted, count, rng
    ).assign(
        parent_a=lambda one: scores.id.to_numpy()[rows[one.parent_a.to_numpy(dtype=int)]],
        parent_b=lambda one: scores.id.to_numpy()[rows[one.parent_b.to_numpy(dtype=int)]],
    )
    harmless = made[~made.text.map(formula).astype(bool)]
    write_csv(to, harmless[COLUMNS])
    left_out = (
        f" ({len(made) - len(harmless)} left out: a spreadsheet would run them)" if len(made) > len(harmless) else ""
    )
    return f"{len(harmless)} synthetic texts in {to}{left_out}: read them before you put any into a pool"
