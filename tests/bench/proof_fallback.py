"""Does `auto` fall back on chance where its labels teach less than random ones, and not where they teach more? Whole
loops through the loop's own stages, with a planted strategy in the place of `auto`, with and without
`select.fallback`. DATA is a folder of labelled sets as for `make bench-proof`; beside them, BBC News as the demo has
it. Runs are kept in .bench/fallback/. A table of docs/labels.md; by itself, a quarter of an hour a set:

    python -m tests.bench.proof_fallback DATA [SET ...]
"""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from labelwise.flows.demo import bbc_news
from labelwise.tasks import prove
from labelwise.tasks.kinds import text
from labelwise.tasks.learners import Model
from labelwise.tasks.proof import control
from labelwise.tasks.settings import Settings, parse
from labelwise.tasks.strategies import STRATEGIES, Candidates, Choice
from labelwise.tasks.strategies.base import top
from labelwise.tasks.trial import kept, rehearsal
from labelwise.tasks.trial.rehearsal import Rows, Run
from labelwise.tasks.workspace import write_json
from tests.bench import figures
from tests.bench.labels import cleaned

KEPT = figures.KEPT / "fallback"
BBC = "bbc_news"
SETS = (BBC, "convabuse", "banking77")
MOST, ENDS = 5_000, (0.6, 0.8)  # items of a set; up to where the pool goes, and gold; the rest is the exam
BATCH, ROUNDS, CONTROL = 25, 12, 0.2
SEEDS = range(2)
FAIR, CHANCE = "auto", "random"


def outliers(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """A bad strategy, planted: what is least like all the rest."""
    vectors = candidates.gather(np.arange(len(candidates)))
    return top(-(vectors @ vectors.mean(axis=0)), k, rng)


def easiest(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Another: what the model is surest of."""
    return top(candidates.probabilities.max(axis=1), k, rng)


BAD = {"outliers": outliers, "easiest": easiest}


@dataclass
class Played:
    """A run with the exam accuracy after each round, the share of each batch by chance, and whether the signal was
    there after it."""

    run: Run
    exam: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    less: list[bool] = field(default_factory=list)

    @property
    def area(self) -> float:
        """The mean exam accuracy over the labels."""
        return float(np.trapezoid(self.exam) / (len(self.exam) - 1))


def rows(data: Path, name: str) -> tuple[Rows, Settings]:
    """All items of a set with their vectors, computed once and kept."""
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    if name == BBC:
        whole = bbc_news()
    else:
        cleaned(data, name, folder)
        whole = pd.concat([pd.read_parquet(folder / f"{part}.parquet") for part in ("pool", "gold")])
    whole = whole.drop_duplicates("text").assign(id=lambda table: table.text.map(text.identify))
    whole = whole.sample(min(MOST, len(whole)), random_state=0).sort_values("id", ignore_index=True)
    content: dict[str, Any] = {"project": {"name": "b", "id": "b"}, "pull": {"pool": "", "gold": ""}}
    content |= {"classes": sorted(set(whole.label)), "train": {"learner": "frozen"}, "gold": {"near_duplicate": None}}
    settings = parse(content)
    return Rows(whole[["id", "text", "label"]], kept.encoded(whole, settings, folder)), settings


def drawn(whole: Rows, seed: int) -> list[Rows]:
    """Pool, gold and exam of a seed."""
    order = np.random.default_rng([seed, 7]).permutation(len(whole.table))
    parts = map(np.sort, np.split(order, [int(end * len(order)) for end in ENDS]))
    return [Rows(whole.table.iloc[part].reset_index(drop=True), whole.vectors[part]) for part in parts]


def played(name: str, whole: Rows, settings: Settings, strategy: str, seed: int, falls: bool) -> Played:
    """One run, or what was kept of it. The arm of each batch is what `select` would make of what `prove` found. Where
    the signal never came, a run that falls back is that which does not."""
    if falls and not any((stays := played(name, whole, settings, strategy, seed, False)).less[:-1]):
        return stays
    path = KEPT / name / f"{strategy}-{seed}-{'falls' if falls else 'stays'}.json"
    if path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
        return Played(**content | {"run": Run.of(content["run"])})
    pool, gold, exam = drawn(whole, seed)
    found: dict[str, Any] = {}
    result = Played(Run(strategy, "frozen", seed))

    def watch(model: Model) -> None:
        result.exam.append(rehearsal.judged(model, exam.items(), exam.table.label))

    for number in range(1, ROUNDS + 1):
        own = control.Arm(CONTROL)
        arm = control.fallen_back(own, found) if falls else own
        select = {"strategy": strategy, "control": arm.share}
        if strategy == CHANCE:
            select["near_duplicate"] = None  # else it is a little better than chance
        now = settings.model_copy(update={"seed": seed, "select": settings.select.model_copy(update=select)})
        for _ in rehearsal.play(result.run, pool, gold, now, [BATCH] * number, 0.0, watch):
            pass
        found = proven(result.run, pool, gold, now) if strategy != CHANCE else {}
        result.share.append(arm.share)
        result.less.append(control.fallen_back(own, found) != own)
    write_json(path, asdict(result))
    return result


def proven(run: Run, pool: Rows, gold: Rows, settings: Settings) -> dict[str, Any]:
    """What `prove` makes of a run, as far as `select` looks at it."""
    asked = [
        (item, number, why)
        for number, batch in enumerate(zip(run.asked, run.why, strict=True), start=1)
        for item, why in zip(*batch, strict=True)
    ]
    labels = pd.DataFrame(asked, columns=["id", "round", "why"]).sort_values("id", ignore_index=True)
    labels = labels.merge(pool.table[["id", "label"]], on="id")
    at = pd.Index(pool.table.id).get_indexer(pd.Index(labels.id))
    still_open = pd.Index(pool.table.id).difference(pd.Index(labels.id))
    labels = labels.assign(control=control.sample(labels, still_open, settings.seed))
    items, weighed = pool.items().take(at), gold.table.assign(weight=1.0)
    judged = prove.judged_by(labels, items, weighed, gold.items(), pool.items(), settings)
    taught = prove.teaching(judged, labels, weighed, settings)
    settled = taught is not None and taught.less  # then the meter has no say, and it takes its time
    return prove.Proof(None if settled else prove.metered(judged, labels, weighed, settings), taught).as_json()


def row(name: str, strategy: str, whole: Rows, settings: Settings) -> dict[str, str]:
    """A strategy on a set: when it is found out, and what falling back brings."""
    sides = [[played(name, whole, settings, strategy, seed, falls) for seed in SEEDS] for falls in (False, True)]
    chance = [played(name, whole, settings, CHANCE, seed, False) for seed in SEEDS]
    first = [next((at for at, less in enumerate(one.less, start=1) if less), None) for one in sides[0]]
    last = [f"{np.mean([one.exam[-1] for one in side]):.3f}" for side in (*sides, chance)]
    areas = [
        ", ".join(f"{one.area / other.area:.3f}" for one, other in zip(side, chance, strict=True)) for side in sides
    ]
    return {
        "set": name,
        "in the place of auto": strategy,
        "first said after round": ", ".join("never" if at is None else str(at) for at in first),
        "rounds in which it was said": f"{np.mean([one.less for one in sides[0]]):.0%}",
        "batches by chance, with": f"{np.mean([one.share for one in sides[1]]):.0%}",
        "area of chance's, without": areas[0],
        "with": areas[1],
        "last accuracy, without": last[0],
        "with ": last[1],
        "chance": last[2],
    }


def main(data: Path, names: list[str]) -> None:
    """Play what has not been played, and print the table as far as it goes."""
    table = []
    STRATEGIES.update(BAD)
    with threadpool_limits(1):
        for name in names or SETS:
            whole, settings = rows(data, name)
            for strategy in (FAIR, *BAD):
                table.append(row(name, strategy, whole, settings))
                print(figures.table(pd.DataFrame(table)), flush=True)
    print(f"\n{figures.machine()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
