"""`make bench-labels DATA=FOLDER ARGS=candidates`: what a prefilter costs of what choosing gains.

The same loop on a set by chance, by `auto` with all items judged by the whole model, by `auto` with `score.candidates`
at 1 % of the pool, and with as many candidates as SEALS takes them: the neighbours of what has been labelled, nearest
first, each labelled item in turn. What is won over chance is the difference of the areas under the curves (accuracy
over labels), of pairs of one seed. Runs are kept in .bench/, so that a call that was cut off goes on where it was.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import score
from labelwise.tasks.settings import Settings
from labelwise.tasks.trial.kept import settings_of_run
from labelwise.tasks.trial.rehearsal import Estimate, Rows, Run, area, play
from tests.bench import figures

SETS = ("spamassassin", "banking77", "it_tickets", "clinc150", "convabuse", "unfair_tos")
SHARE, LEARNER, BATCH, ROUNDS, SEEDS, GOAL = 0.01, "ensemble", 25, 12, 5, 0.9
CHANCE_OF_NEIGHBOURS = 0.25  # so much of the neighbours' place is left to chance
CHANCE, FULL, OURS, NEIGHBOURS = "random", "auto, all items", "auto, candidates", "auto, neighbours"


def table(
    prepared: Callable[[str], tuple[Rows, Rows, Settings]], names: Iterable[str], write: Callable[..., None]
) -> None:
    """A row a set and way; after each set the table so far."""
    rows = []
    for name in names:
        pool, gold, settings = prepared(name)
        kept = figures.KEPT / name / "candidates"
        kept.mkdir(exist_ok=True)
        runs = {
            way: [played(way, seed, pool, gold, settings, kept) for seed in range(SEEDS)]
            for way in (CHANCE, FULL, OURS, NEIGHBOURS)
        }
        areas = {way: np.array([area(run) for run in own]) for way, own in runs.items()}
        won = {way: areas[way] - areas[CHANCE] for way in (FULL, OURS, NEIGHBOURS)}
        rows += [
            {
                "set": name,
                "way": way,
                "items judged by the whole model": f"{len(pool.table) if way == FULL else most(pool):,}",
                "won over chance": f"{Estimate.of(own.tolist()):+.4f}",
                "less than with all": "" if way == FULL else f"{Estimate.of((won[FULL] - own).tolist()):+.4f}",
                f"share of it ({GOAL} wanted)": "" if way == FULL else share(own, won[FULL]),
            }
            for way, own in won.items()
        ]
        write(rows, "candidates.md")


def share(own: NDArray[np.float64], full: NDArray[np.float64]) -> str:
    """How much is kept of what is won with all items; both (seeds,)."""
    return f"{own.mean() / full.mean():.2f}" if full.mean() > 0 else "nothing to keep"


def most(pool: Rows) -> int:
    """How many candidates there are."""
    return int(SHARE * len(pool.table))


def played(way: str, seed: int, pool: Rows, gold: Rows, settings: Settings, kept: Path) -> Run:
    """One run, unless it has been played before."""
    path = kept / f"{way.replace(', ', '-').replace(' ', '-')}-{seed}.json"
    if not path.exists():
        own = settings_of_run(settings, CHANCE if way == CHANCE else "auto", LEARNER, seed)
        few = most(pool) if way in (OURS, NEIGHBOURS) else None
        own = own.model_copy(update={"score": own.score.model_copy(update={"candidates": few})})
        run = Run(CHANCE if way == CHANCE else "auto", LEARNER, seed)
        looks = neighbours(run, pool) if way == NEIGHBOURS else score.worth_a_look
        with patch.object(score, "worth_a_look", looks):
            for _ in play(run, pool, gold, own, [BATCH] * ROUNDS, 0.0):
                pass
        path.write_text(json.dumps(run.as_json()), encoding="utf-8")
    return Run.of(json.loads(path.read_text(encoding="utf-8")))


def neighbours(run: Run, pool: Rows) -> Callable[..., NDArray[np.int64]]:
    """In place of `worth_a_look`: the nearest neighbours of what the run has asked, and some items by chance."""
    ids, vectors = pd.Index(pool.table.id), pool.vectors.astype(np.float32)

    def looks(_chances: object, _margin: object, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
        labelled = ids.get_indexer([item for batch in run.asked for item in batch])
        near = vectors[labelled] @ vectors.T
        near[:, labelled] = -np.inf
        found = np.zeros(len(ids), dtype=bool)
        found[rng.choice(len(ids), int(CHANCE_OF_NEIGHBOURS * most), replace=False)] = True
        for row in np.argsort(-near, axis=1)[:, :most].T.ravel():
            if found.sum() == most:
                break
            found[row] = True
        return np.flatnonzero(found)

    return looks
