"""`make bench-people DATA=FOLDER ARGS=overlap`: who is to be asked a second time, and what that spares.

Each item of a set is answered once, by one of a simulated crowd; then, a part of the set at a time, once more where it
says most: where a label looks wrong (as `select.suspects` chooses), or where stage `agree` trusts least. How many
answers are needed until what is agreed on is as often right as where everything is answered three times? People and
seeds are paired. ARGS: overlap, names of sets, --seeds N.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.kinds import choice
from labelwise.tasks.labels import consensus, suspects
from labelwise.tasks.labels.agreement import settings_for
from labelwise.tasks.labels.combined import DAWID_SKENE, MAJORITY, Combined, Said, combine
from labelwise.tasks.learners import Items
from tests.bench import figures
from tests.bench.loops import printed, vectors_of

SETS = ("banking77", "convabuse", "it_tickets", "spamassassin")
ITEMS, PEOPLE, SEEDS, THRICE, STEP = 1000, 20, 5, 3, 0.1
CROWDS = ((6, 2), (16, 4), (18, 1))  # of beta distributions: how often a person is right


@dataclass
class Crowd:
    """A set, the truth, and what people say of it: answers[i, k] is what the k-th who is asked about item i says, and
    who is person[i, k]. times: (n,) how many were asked."""

    items: Items
    classes: list[str]
    truth: NDArray[np.int64]
    answers: NDArray[np.int64]
    person: NDArray[np.int64]
    times: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.times = np.ones(len(self.truth), np.int64)
        self.settings = settings_for(self.classes)

    @classmethod
    def of(cls, data: Path, name: str, good: tuple[int, int], seed: int) -> "Crowd":
        rows = pd.read_parquet(data / name / "pool.parquet").dropna(subset="label").drop_duplicates("id")
        rows = rows.sample(min(len(rows), ITEMS), random_state=0)
        names = sorted(rows.label.unique())
        truth = pd.Index(names).get_indexer(pd.Index(rows.label))
        rng = np.random.default_rng([seed, 11])
        right = rng.beta(*good, PEOPLE)
        person = rng.permuted(np.tile(np.arange(PEOPLE), (len(rows), 1)), axis=1)[:, :THRICE]
        off = rng.integers(1, len(names), person.shape) * (rng.random(person.shape) > right[person])
        answers = (truth[:, None] + off) % len(names)
        return cls(Items.of(vectors_of(data / name, tuple(rows.id))), names, truth, answers, person)

    def said(self, times: NDArray[np.int64]) -> Said:
        """What the first so many of each item said, the first of all items first."""
        asked = [(k, np.flatnonzero(times > k)) for k in range(THRICE)]
        item = np.concatenate([rows for _, rows in asked])
        label, person = (np.concatenate([table[rows, k] for k, rows in asked]) for table in (self.answers, self.person))
        return Said(item, person, [self.classes[at] for at in label], len(times), PEOPLE)

    def agreed(self, times: NDArray[np.int64], by: str = DAWID_SKENE) -> Combined:
        """As stage `agree` has it."""
        opinion = consensus.opinion(self.items, self.settings) if by == DAWID_SKENE else None
        return combine(self.said(times), by, choice, self.classes, opinion, strange=False)

    def right(self, found: Combined) -> float:
        """The share of labels that are."""
        return float(np.mean(np.array(found.label) == np.array(self.classes)[self.truth]))

    def doubted(self, found: Combined, by_trust: bool) -> NDArray[np.int64]:
        """The items that are asked once more, in order: twice at most, and a third time where people differ."""
        said = self.said(self.times)
        if by_trust:
            wrong = 1 - found.trust
        else:
            opinion = consensus.opinion(self.items, self.settings)
            wrong = suspects.doubts(said, found.label, choice, self.classes, opinion).wrong
        closed = self.times >= np.where(found.doubt > 0, THRICE, THRICE - 1)
        order = np.argsort(-wrong, kind="stable")
        return order[~closed[order]][: int(STEP * len(order))]


def needed(crowd: Crowd, targets: Sequence[float], by_trust: bool) -> list[float | None]:
    """Answers an item until the labels are as often right as each of the targets; None where they never are."""
    crowd.times[:] = 1
    answers: list[float | None] = [None] * len(targets)
    while any(each is None for each in answers):
        found = crowd.agreed(crowd.times)
        right = crowd.right(found)
        for at, target in enumerate(targets):
            if answers[at] is None and right >= target:
                answers[at] = float(crowd.times.mean())
        again = crowd.doubted(found, by_trust)
        if not len(again):
            break
        crowd.times[again] += 1
    return answers


def rows_of(data: Path, name: str, seeds: int) -> Iterator[dict[str, str]]:
    """A row a crowd."""
    for good in CROWDS:
        by_way: dict[str, list[list[float | None]]] = {"looks": [], "least trust": []}
        shares = []
        for seed in range(seeds):
            crowd = Crowd.of(data, name, good, seed)
            thrice, once = np.full(len(crowd.truth), THRICE), np.ones(len(crowd.truth), np.int64)
            ends = crowd.right(crowd.agreed(thrice, MAJORITY)), crowd.right(crowd.agreed(thrice))
            shares.append([crowd.right(crowd.agreed(once)), *ends])
            for way, found in by_way.items():
                found.append(needed(crowd, ends, way == "least trust"))
        once_right, by_majority, by_agree = np.mean(shares, axis=0)
        row = {
            "set": name,
            "people": f"beta{good}",
            "right: once": f"{once_right:.3f}",
            "thrice, majority": f"{by_majority:.3f}",
            "thrice, `agree`": f"{by_agree:.3f}",
        }
        for way, found in by_way.items():
            for at, target in enumerate(("majority", "`agree`")):
                some = [each[at] / THRICE for each in found if each[at] is not None]
                shown = f"{figures.Estimate(some):.2f}" if len(some) == seeds else f"{len(some)} of {seeds} seeds"
                row[f"{way}: of the answers for {target} of three"] = shown
        yield row


def main(data: Path, words: Sequence[str]) -> None:
    """Print the tables."""
    printed("overlap", SETS, SEEDS, rows_of, data, words)
