"""What wrong.py, weak.py and overlap.py share: a set ready to be played, the batch of a round by the loop's own
stages, and how their tables are asked for."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from labelwise.tasks import kinds
from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.kinds import Measure
from labelwise.tasks.labels import sought
from labelwise.tasks.labels.agreement import encoded
from labelwise.tasks.labels.sought import Way
from labelwise.tasks.learners import Items, Model, thresholds_of
from labelwise.tasks.score import score
from labelwise.tasks.select import Opinion, as_labelled, select
from labelwise.tasks.settings import Settings
from labelwise.tasks.train import Weak, taught
from labelwise.tasks.trial.kept import settings_of_run
from labelwise.tasks.trial.rehearsal import BASELINE, Rows, by_name, judged, leaked
from tests.bench import figures, finish

RowsOf = Callable[[Path, str, int], Iterable[dict[str, str]]]


@dataclass(frozen=True)
class Played:
    """A set as one strategy plays it, with the learner `frozen`."""

    pool: Rows
    gold: Rows
    settings: Settings
    vectors: Vectors
    items: Items
    near: pd.DataFrame
    measure: Measure
    truth: pd.Series
    ways: Callable[[list[str]], list[Way]] | None

    @classmethod
    def of(cls, data: Path, name: str, strategy: str, seed: int) -> "Played":
        """That of a name."""
        pool, gold, settings = finish.prepared(data, name)
        settings = settings_of_run(settings, strategy, "frozen", seed)
        vectors = Vectors(pd.Index(pool.table.id), [pool.vectors], pool.wording, pool.groups())
        near, truth = leaked(pool, gold, settings.gold.near_duplicate), pool.table.set_index("id").label
        ways = by_name(settings) if settings.select.seek and strategy != BASELINE else None
        return cls(pool, gold, settings, vectors, pool.items(), near, kinds.measure(settings), truth, ways)

    def model(self, known: pd.DataFrame, weak: Weak | None = None) -> Model:
        """Of these labels."""
        return taught(known, self.near, self.vectors, self.items, self.settings, weak=weak)[0]

    def judged(self, model: Model) -> float:
        """What it is worth on gold."""
        return judged(model, self.gold.items(), self.gold.table.label, self.measure)

    def batch(self, model: Model, known: pd.DataFrame, size: int, seed: int, number: int) -> pd.DataFrame:
        """The batch of a round (BATCH)."""
        opinion = Opinion(self.measure.answer, thresholds_of(model))
        scores = score(self.vectors.ids, self.items, model, self.settings.score, self.measure.answer)
        labelled = as_labelled(scores, self.vectors, known, self.settings.classes, opinion)
        wanted = self.settings.select.model_copy(update={"batch": size})
        looked_for = None
        if self.ways:
            now = self.settings.model_copy(update={"select": wanted})
            looked_for = sought.looked_for(self.items, self.vectors.rows(known.id), known, now, (), self.ways)
        closed, rng = pd.Index(known.id).union(pd.Index(self.near.id)), np.random.default_rng([seed, number])
        return select(scores, self.vectors, labelled, closed, wanted, rng, seed, opinion, looked_for=looked_for)


@cache
def vectors_of(folder: Path, ids: tuple[str, ...]) -> NDArray[np.float32]:
    """The vectors of these items of a set."""
    tables = [pd.read_parquet(folder / f"{part}.parquet", columns=["id", "text"]) for part in ("pool", "gold")]
    return encoded(pd.concat(tables).drop_duplicates("id").set_index("id").text.reindex(ids).fillna("").tolist())


def printed(part: str, sets: Sequence[str], seeds: int, rows_of: RowsOf, data: Path, words: Sequence[str]) -> None:
    """A table a set."""
    parser = argparse.ArgumentParser(prog=f"bench-people {part}")
    parser.add_argument("sets", nargs="*", default=list(sets))
    parser.add_argument("--seeds", type=int, default=seeds)
    asked = parser.parse_args(words)
    print(figures.machine(), flush=True)
    with threadpool_limits(1):
        for name in asked.sets:
            print(f"\n{figures.table(pd.DataFrame(rows_of(data, name, asked.seeds)))}", flush=True)
