"""How far a model says the same on another runtime, and how right it is there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.exports.place import seen
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import vectors
from labelwise.tasks.learners import Items
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.workspace import Workspace

SAMPLE = 1000  # items that are compared


@dataclass(frozen=True)
class Drift:
    """What another runtime changes. agreement: the share of n items that get the same label; score, was: the mean score
    on gold by it and by torch; se: the standard error of their difference."""

    n: int
    agreement: float
    score: float
    was: float
    se: float

    def __str__(self) -> str:
        gap, reach = self.score - self.was, 2 * self.se
        said = f"{self.agreement:.1%} of {self.n:,} items have the same label"
        return f"{said}; on gold {self.score:.3f}, {gap:+.3f} ({gap - reach:+.3f} to {gap + reach:+.3f})"


def measured(workspace: Workspace, model: Classifier, other: Classifier, most: int) -> Drift:
    """How far two models say the same of a sample of the pool, and how right both are on gold. most: items of each."""
    pool, gold = vectors.pool_items(workspace, vectors.pool_vectors(workspace)), vectors.gold_items(workspace)
    shown = gold.take(np.arange(min(len(gold), most)))
    truth = trusted.gold(workspace)["label"].tolist()[: len(shown)]
    return drift(
        model, other, pool.take(drawn(workspace)[0][:most]), shown, truth, vectors.encoded_by(workspace, model.embed)
    )


def drift(model: Classifier, other: Classifier, pool: Items, gold: Items, truth: Sequence[str], known: bool) -> Drift:
    """How far two models say the same of n >= 1 items of the pool, and how right both are on gold. known: whether the
    vectors of the items are those of the first."""
    was = [(model.of(items) if known else model.judged(items.texts())).label for items in (pool, gold)]
    now = [other.judged(items.texts()).label for items in (pool, gold)]
    same = float((was[0].to_numpy() == now[0].to_numpy()).mean())
    before, score = (model.answer.score(said[1].tolist(), truth) for said in (was, now))
    se = float(np.std(score - before) / np.sqrt(len(truth)))
    return Drift(len(pool), same, float(score.mean()), float(before.mean()), se)


def follows_of(workspace: Workspace) -> list[str]:
    """What of the workspace is looked at where a model is measured."""
    settings = workspace.settings
    return [seen(workspace.pool), seen(workspace.trusted), settings.embed.model_dump_json(), str(settings.seed)]


def drawn(workspace: Workspace) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions in the pool, in a random order: of those that are compared, and of the others, of which a table is
    made."""
    n = len(vectors.pool_vectors(workspace))
    order = np.random.default_rng([workspace.settings.seed, 11]).permutation(n)
    compared = max(1, min(SAMPLE, n // 2))
    return order[:compared], order[compared:]
