"""Stage `train`: fit the learner on the labels that count."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks import stage
from tasks.embed import pool_vectors
from tasks.errors import WorkspaceError
from tasks.labels import ledger
from tasks.learners import Model, learners, untrained
from tasks.settings import Settings, one_of
from tasks.workspace import Workspace, atomic


def train(vectors: NDArray[np.float32], labels: pd.Series, settings: Settings) -> Model:
    """A model from (n, d) vectors and n labels; without any, the untrained one. WorkspaceError: a label is no class."""
    learner = one_of("train.learner", settings.train.learner, learners())
    if labels.empty:
        return untrained.Untrained(settings.classes)
    positions = pd.Index(settings.classes).get_indexer(pd.Index(labels))
    if (positions < 0).any():
        stranger = labels[positions < 0].iloc[0]
        raise WorkspaceError(
            f"the ledger holds the label {stranger!r}, which is no class (any more)",
            expected="one of " + ", ".join(settings.classes),
            fix="put it back into `classes` in params.yaml",
        )
    model: Model = learner.fit(vectors, positions, settings.classes, settings.train, settings.seed)
    return model


def run(workspace: Workspace) -> str:
    """Read the ledger and the vectors, write model/. Returns a line for people."""
    labels = ledger.effective(ledger.read(workspace.labels))
    model = train(pool_vectors(workspace).of(labels.id), labels.label, workspace.settings)
    with atomic(workspace.model) as scratch:
        scratch.mkdir()
        model.save(scratch)
    return f"{len(labels)} labels in {labels.label.nunique()} of {len(model.classes)} classes"


if __name__ == "__main__":
    stage.main(run)
