"""`make bench-people DATA=FOLDER ARGS=wrong`: a loop whose people err.

Each set is played by labels drawn by chance, by `auto`, and by `auto` with a part of each batch for labels that look
wrong (`select.suspects`), which another person answers then. A share of people's answers is wrong, whichever class
with the same chance. What is compared has had as many answers; seeds are paired. ARGS: wrong, names of sets, --seeds N.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from labelwise.tasks.labels import consensus, suspects
from labelwise.tasks.labels.combined import DAWID_SKENE, Opinion, Said, combine
from labelwise.tasks.trial.rehearsal import BASELINE, Run, area, labels_for
from tests.bench import figures, finish
from tests.bench.loops import Played, printed

SETS = ("banking77", "convabuse", "it_tickets", "spamassassin")
ERRORS = (0.0, 0.1, 0.2)
WAYS = ((BASELINE, 0.0), ("auto", 0.0), ("auto", 0.2))
ROUNDS, PEOPLE, SEEDS, ENOUGH = 8, 4, 4, 0.95


@dataclass
class Answered:
    """What people said so far: a row an answer, in order, of the person who has not answered the item yet."""

    here: Played
    seed: int
    error: float
    rows: list[tuple[str, str, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        classes, seeds = self.here.settings.classes, [self.seed + 1000 * person for person in range(PEOPLE)]
        self.said = [self.here.pool.answers(self.error, classes, seed) for seed in seeds]

    def ask(self, ids: Sequence[str], whys: Sequence[str], number: int) -> None:
        """People answer these items."""
        times = Counter(row[0] for row in self.rows)
        self.rows += [(item, self.said[times[item]][item], number, why) for item, why in zip(ids, whys, strict=True)]

    def table(self) -> pd.DataFrame:
        """The answers, and who gave each."""
        table = pd.DataFrame(self.rows, columns=["id", "label", "round", "why"])
        return table.assign(person=table.groupby("id").cumcount())

    def known(self) -> tuple[pd.DataFrame, Said]:
        """What is agreed on, as stage `agree` has it, and the answers behind it."""
        table, settings = self.table(), self.here.settings
        known = table.drop_duplicates("id").sort_values("id", ignore_index=True).drop(columns="person")
        at = pd.Index(known.id).get_indexer(pd.Index(table.id))
        said = Said(at, table.person.to_numpy(), table.label.tolist(), len(known), PEOPLE)
        known["label"] = known.id.map(table.drop_duplicates("id", keep="last").set_index("id").label)
        if said.shared >= consensus.ENOUGH:
            heard = self.opinion(known)
            found = combine(said, DAWID_SKENE, self.here.measure.answer, settings.classes, heard, strange=False)
            known = known.assign(label=found.label, trust=found.trust.round(6))
        return known, said

    def opinion(self, known: pd.DataFrame) -> Opinion:
        """As stage `agree` hears it."""
        return consensus.opinion(self.here.items.take(self.here.vectors.rows(known.id)), self.here.settings)

    def doubted(self, known: pd.DataFrame, said: Said, most: int) -> list[str]:
        """The items that are asked once more."""
        answer, classes = self.here.measure.answer, self.here.settings.classes
        found = suspects.doubts(said, known.label.tolist(), answer, classes, self.opinion(known))
        given = self.table().groupby("id")
        often = given["round"].nunique() >= suspects.LOOKS + (given.label.nunique() > 1)
        return list(known.id.iloc[found.worth_a_look(most, known.id.map(often).to_numpy(bool))])


def played(data: Path, name: str, way: tuple[str, float], seed: int, error: float) -> tuple[Run, dict[str, float]]:
    """A loop, and what came of its looks: how many, the share of them that found a wrong label, and the share of all
    labels that are right in the end."""
    strategy, share = way
    here, size = Played.of(data, name, strategy, seed), finish.SETS[name].batch
    people, run, looks, hits = Answered(here, seed, error), Run(strategy, "frozen", seed), 0, 0
    known, said = people.known()
    model = here.model(known)
    for number in range(1, ROUNDS + 1):
        again = people.doubted(known, said, int(share * size)) if share and len(known) else []
        labels = known.set_index("id").label
        looks, hits = looks + len(again), hits + sum(labels[each] != here.truth[each] for each in again)
        chosen = here.batch(model, known, size - len(again), seed, number)
        people.ask([*again, *chosen.id], [*["relabel"] * len(again), *chosen.why], number)
        known, said = people.known()
        model = here.model(known)
        run.labels.append(len(people.rows))
        run.score.append(here.judged(model))
    right = float((known.label.to_numpy() == here.truth[known.id].to_numpy()).mean())
    return run, {"looks": looks, "found wrong": hits / max(looks, 1), "right": right}


def whole(data: Path, name: str) -> float:
    """What the model of the whole pool, without an error, gets right."""
    here = Played.of(data, name, BASELINE, 0)
    known = here.pool.table[["id", "label"]].assign(round=1, why=BASELINE).sort_values("id", ignore_index=True)
    return here.judged(here.model(known))


def rows_of(data: Path, name: str, seeds: int) -> Iterator[dict[str, str]]:
    """A row a share of wrong answers and a way."""
    target = ENOUGH * whole(data, name)
    for error in ERRORS:
        by_way = {way: [played(data, name, way, seed, error) for seed in range(seeds)] for way in WAYS}
        base = [area(run) for run, _ in by_way[WAYS[0]]]
        for way, found in by_way.items():
            areas = [area(run) for run, _ in found]
            needed = [labels_for(run, target) for run, _ in found]
            some = [each for each in needed if each is not None]
            told = pd.DataFrame([about for _, about in found]).mean()
            strategy, share = way
            yield {
                "set": name,
                "wrong": f"{error:.0%}",
                "way": strategy + (f", looks {share:.0%}" if share else ""),
                "area": f"{np.mean(areas):.3f}",
                "of random's": "1" if areas == base else f"{figures.Ratio(areas, base):.2f}",
                "in the end": f"{np.mean([run.score[-1] for run, _ in found]):.3f}",
                f"answers for {target:.3f}": f"{np.mean(some):.0f} ({len(some)} of {seeds})" if some else "not reached",
                "looks": f"{told['looks']:.0f}",
                "found wrong": f"{told['found wrong']:.0%}" if told["looks"] else "",
                "labels right": f"{told['right']:.3f}",
            }


def main(data: Path, words: Sequence[str]) -> None:
    """Print the tables."""
    printed("wrong", SETS, SEEDS, rows_of, data, words)
