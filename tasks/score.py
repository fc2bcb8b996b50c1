"""Stage `score`: what the model thinks of every item of the pool, labelled or not."""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, learners, stage
from labelwise.tasks.errors import quantity
from labelwise.tasks.items.known import remembering
from labelwise.tasks.items.vectors import pool_items, pool_vectors
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.kinds.base import Opinion
from labelwise.tasks.learners import Items, Model, Prefilter, prefilter_of, thresholds_of
from labelwise.tasks.learners.base import BLOCK
from labelwise.tasks.learners.calibration import random_positions
from labelwise.tasks.records import SCORES
from labelwise.tasks.settings import Score
from labelwise.tasks.strategies.prefilter import worth_a_look
from labelwise.tasks.strategies.uncertainty import entropy_of, least_confidence_of, margin_of
from labelwise.tasks.workspace import Workspace, write_blocks

COMPARED, TEMPERATURES, HALVINGS = 1000, (0.01, 100.0), 20


def score(
    ids: pd.Index,
    items: Items,
    model: Model,
    settings: Score,
    answer: Answer = choice,
    seed: int | Sequence[int] = 0,
) -> pd.DataFrame:
    """The whole table of `scored`."""
    return pd.concat(list(scored(ids, items, model, settings, answer, seed)), ignore_index=True)


def scored(
    ids: pd.Index,
    items: Items,
    model: Model,
    settings: Score,
    answer: Answer = choice,
    seed: int | Sequence[int] = 0,
) -> Iterator[pd.DataFrame]:
    """A row an item, in the pool's order, as many in a table as memory has room for, one table at least: SCORES, then
    what `Answer.kept` says of the model's opinion as columns p0, p1, ... (float32): of one class an item or of several,
    their probabilities.

    Of more items than `settings.candidates` the quick part of the model judges all, and the model itself so many of
    them (strategies/prefilter.py); `seed` says which of these are there by chance. Where the model has a draft, that
    judges all items, and the model itself those that the draft is least sure of, at most `settings.reencode`: a tuned
    encoder must not cost a pass over the whole pool.
    """
    thresholds, first = thresholds_of(model), model.draft if len(items) > settings.reencode else None
    few = settings.candidates or 0
    if quick := prefilter(model, len(items), settings):
        compared = random_positions(len(items), min(COMPARED, few), 0)
        first = as_sure(quick, model, ids[compared], items.take(compared), answer)
    if first is None:
        for at, block in in_blocks(items):
            yield told(ids[at : at + BLOCK], model.probabilities(block), model, answer, thresholds)
        return
    opinions = [first.probabilities(block) for _, block in in_blocks(items)]
    kept = [answer.kept(opinion, thresholds) for opinion in opinions]
    limits = thresholds if quick else thresholds_of(first)
    margin = np.concatenate([margin_of(answer.simplex(each, limits)) for each in kept])
    if quick:
        chances = np.concatenate([answer.chances(each) for each in kept])
        rows = worth_a_look(chances, margin, few, np.random.default_rng(seed))
        anew = score(ids[rows], items.take(rows), model, settings, answer)
    else:
        rows = np.sort(np.argsort(-margin, kind="stable")[: settings.reencode])
        anew = told(ids[rows], model.probabilities(items.take(rows)), model, answer, thresholds)
    for at, opinion in zip(range(0, len(items), BLOCK), opinions, strict=True):
        begin, end = np.searchsorted(rows, [at, at + BLOCK])
        table = told(ids[at : at + BLOCK], opinion, first, answer, thresholds)
        table = replaced(table, rows[begin:end] - at, anew.iloc[begin:end])
        yield table.assign(candidate=np.isin(np.arange(len(table)) + at, rows)) if quick else table


def prefilter(model: Model, items: int, settings: Score) -> Prefilter | None:
    """What judges all of so many items before the model judges its candidates; None where it judges all itself."""
    return prefilter_of(model) if settings.candidates and items > settings.candidates else None


def as_sure(quick: Prefilter, model: Model, ids: pd.Index, items: Items, answer: Answer) -> Prefilter:
    """The quick part of a model at the temperature at which it is on average as sure of these items as the whole model:
    else what the one says of an item could not be held against what the other says of the next."""
    thresholds = thresholds_of(model)

    def sureness(judge: Model) -> float:
        return float(told(ids, judge.probabilities(items), judge, answer, thresholds).confidence.mean())

    wanted, low, high = sureness(model), *np.log(TEMPERATURES)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if sureness(quick.at(float(np.exp(middle)))) > wanted else (low, middle)
    return quick.at(float(np.exp((low + high) / 2)))


def chance(model: Path) -> int:
    """What is drawn by chance follows from the model's files: another draw each round, the same again in a replay."""
    found = 0
    for path in sorted(each for each in model.rglob("*") if each.is_file()):
        found = zlib.crc32(path.read_bytes(), found)
    return found


def in_blocks(items: Items) -> Iterator[tuple[int, Items]]:
    """Where each part of the items begins, and the part; one that is empty where there are none."""
    yield from zip(range(0, len(items), BLOCK), items.blocks(BLOCK), strict=True) if len(items) else [(0, items)]


def replaced(scores: pd.DataFrame, rows: NDArray[np.integer], anew: pd.DataFrame) -> pd.DataFrame:
    """The table with other values in these rows, which are in order."""
    return pd.concat([scores.drop(index=pd.Index(rows)), anew.set_axis(rows)]).sort_index()


def told(
    ids: pd.Index, opinion: Opinion, model: Model, answer: Answer, thresholds: NDArray[np.float32] | None
) -> pd.DataFrame:
    """The table of items of which a model has these opinions."""
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
    settings, vectors = workspace.settings, pool_vectors(workspace)
    model = learners.load(workspace.model)
    few = prefilter(model, len(vectors), settings.score) is not None
    items = pool_items(workspace, vectors) if few else remembering(workspace, vectors)
    answer = kinds.answer(settings.kind.answer)
    seed, seen = chance(workspace.model) if few else 0, list[tuple[int, float, bool]]()

    def noted(block: pd.DataFrame) -> pd.DataFrame:
        seen.append((len(block), block.confidence.sum(), bool(block.prediction.notna().any())))
        return block

    write_blocks(workspace.scores, map(noted, scored(vectors.ids, items, model, settings.score, answer, seed)))
    counts, sums, said = zip(*seen, strict=True)
    if not any(said):
        return f"{quantity(sum(counts), 'item')}, no model yet"
    of = f", {settings.score.candidates:,} of them candidates" if few else ""
    return f"{quantity(sum(counts), 'item')}{of}, mean confidence {sum(sums) / sum(counts):.2f}"


if __name__ == "__main__":
    stage.main(run)
