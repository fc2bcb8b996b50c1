"""How good those are who are no people: each by the labels of people that it did not see."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from labelwise.tasks import kinds
from labelwise.tasks.items import stored
from labelwise.tasks.items.withheld import offered, withheld
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.labels import ledger
from labelwise.tasks.proof import control
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace

SHOWN = 3  # items where they and people differ
DOUBT = 0.05  # outside of an interval


@dataclass(frozen=True)
class Spoken:
    """What a rule or a language model said. labels: a row an item of which it said something, columns id, label.
    remarks: what went wrong, a line each."""

    name: str
    labels: pd.DataFrame
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Judged:
    """One of them by what people said. covers: items of the pool of which it says something; conflicts: those of which
    another says something else; judged: those that people have labelled, of which it is right in `right`, low and high
    the ends of a 95 % interval of that share (Wilson), None without any. chance: how often its word would be right of
    any item; refuted: whether it is worse than that."""

    name: str
    covers: int
    conflicts: int
    judged: int
    right: int
    low: float | None
    high: float | None
    chance: float
    refuted: bool
    remarks: list[str] = field(default_factory=list)
    differ: list[tuple[str, str, str]] = field(default_factory=list)  # item in words, its word, people's


def of_control_arm(workspace: Workspace) -> pd.DataFrame:
    """People's labels (id, label) of the control arm: of a uniform sample of the pool, so that who is judged by them is
    judged as of the whole pool."""
    labels = ledger.effective(ledger.today(workspace))
    ids = pd.Index(offered(workspace))
    still_open = ids.difference(withheld(workspace, ids))
    return labels.loc[control.sample(labels, still_open, workspace.settings.seed), ["id", "label"]]


def judge(workspace: Workspace, spoken: Sequence[Spoken], people: pd.DataFrame) -> list[Judged]:
    """Each by people's labels (id, label)."""
    answer, truth = kinds.answer(workspace.settings.kind.answer), people.set_index("id").label
    frames = [each.labels.assign(of=each.name) for each in spoken]
    said = pd.concat([pd.DataFrame(columns=["id", "label", "of"], dtype=object), *frames], ignore_index=True)
    words = said.groupby("id").label.nunique()
    return [_judged(workspace, each, truth, set(words.index[words > 1]), answer) for each in spoken]


def _judged(workspace: Workspace, each: Spoken, people: pd.Series, conflicts: set[str], answer: Answer) -> Judged:
    known = each.labels[each.labels.id.isin(people.index)]
    truth = people.reindex(known.id)
    right = np.array([holds(word, said, answer) for word, said in zip(known.label, truth, strict=True)], dtype=bool)
    by_chance = [np.mean([holds(word, said, answer) for said in people]) for word in known.label]
    chance = float(np.mean(by_chance)) if by_chance else 0.0
    low, high = interval(int(right.sum()), len(known)) or (None, None)
    wrong = known[~right].head(SHOWN)
    cells, brief = stored.cells_by_id(workspace, wrong.id), kinds.item(workspace.settings.kind.item).brief
    differ = [(plain(brief(cells[at]), 80), word, people[at]) for at, word in zip(wrong.id, wrong.label, strict=True)]
    # Worse than its word would be of any item: nothing speaks for it.
    refuted = high is not None and high < chance
    covers, clash = len(each.labels), int(each.labels.id.isin(conflicts).sum())
    own = each.name, covers, clash, len(known), int(right.sum()), low, high, chance
    return Judged(*own, refuted, each.remarks, differ)


def interval(right: int, of: int) -> tuple[float, float] | None:
    """The ends of the 95 % interval of a share (Wilson); None without any.

    >>> [round(end, 2) for end in interval(81, 100) or ()]
    [0.72, 0.87]
    """
    if not of:
        return None
    ends = binomtest(right, of).proportion_ci(1 - DOUBT, method="wilson")
    return float(ends.low), float(ends.high)


def holds(word: str, said: str, answer: Answer) -> bool:
    """Whether what a rule or a language model says is so, by what people said: the class; of several labels each that
    it names, or none; of spans all of them, and no other."""
    names = answer.members(word)
    if answer.NAME == choice.NAME or answer.PLACES or not names:
        return word == said
    return set(names) <= set(answer.members(said))
