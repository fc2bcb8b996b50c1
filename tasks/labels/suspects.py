"""Labels that look wrong, which people are asked once more.

What a model says of an item that has not learned its label, p, and what people said of it, give how likely each class
is: a person says another class than the right one with probability e, whichever with the same. e cannot be told from
labels alone, since the model has learned them with what is wrong in them; it is told by what came of the looks before,
from a prior that holds on public test sets (Northcutt et al. 2021, arXiv 2103.14749: 3.4 % of labels).

A look at a label that is wrong with probability d is worth more than a new label where 2 d (1 - e) > 1 - 2 e: a wrong
label that is put right counts twice, since it has misled as much as a right one teaches, and of new labels some
mislead. (To weigh another answer to an item against a new item by what a model says: ActiveLab, Goh & Mueller 2023,
arXiv 2301.11856.)
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.kinds import Answer
from labelwise.tasks.labels import consensus, ledger
from labelwise.tasks.labels.aggregate import Doubles, logsum
from labelwise.tasks.labels.combined import Opinion, Said, Topic, topics_of
from labelwise.tasks.workspace import Workspace

if TYPE_CHECKING:  # `status` must not wait for learners
    from labelwise.tasks.items.vectors import Vectors

LOOKS = 2  # rounds in which a label that nobody contradicts was given, at most; of others one more
ERRORS = np.geomspace(0.005, 0.4, 24)  # that e may be
USUAL, SPREAD = 0.034, 1.0  # the median of e, and the deviation of its logarithm, where nothing is known
LEAST = 1e-6
TRIED, ENOUGH = 4, 30  # one of so many places is used in any case, until so many items have had a second answer


@dataclass(frozen=True)
class Doubts:
    """wrong: (n,) how likely the label that counts for each item is wrong, in the part that is likeliest so. error: how
    often people are wrong; pairs: of how many items that is known by more than one answer."""

    wrong: Doubles
    error: float
    pairs: int

    def worth_a_look(self, most: int, looked_at: NDArray[np.bool_]) -> NDArray[np.int64]:
        """At most `most` of the labels, those first that look worst: which are worth more than new ones, and to begin
        with a part of `most` in any case, by which is learned how often people are wrong. looked_at: (n,) which are
        none of these."""
        order = np.argsort(-self.wrong, kind="stable")
        order = order[~looked_at[order]]
        worth = int((2 * self.wrong[order] * (1 - self.error) > 1 - 2 * self.error).sum())
        tried = math.ceil(most / TRIED) if self.pairs < ENOUGH else 0
        return order[: min(most, max(worth, tried))]


def of(
    workspace: Workspace, rows: pd.DataFrame, labels: pd.DataFrame, most: int, vectors: "Vectors | None" = None
) -> pd.Index:
    """Ids to be looked at again, `most` at most, those first whose labels look worst. Of spans none. rows: of the
    ledger, as of today; labels: the consensus; vectors: of the pool, where they are there."""
    settings = workspace.settings
    answer = kinds.answer(settings.kind.answer)
    if labels.empty or answer.PLACES or not most:
        return pd.Index([])
    given = ledger.labelled(rows).drop_duplicates(["id", "round", "annotator"], keep="last")
    said, _ = consensus.said_of(given[given.label.notna()], labels.id)
    heard = consensus.opinion(consensus.items_in(workspace, vectors)(labels.id), settings)
    found = doubts(said, labels.label.tolist(), answer, settings.classes, heard)
    return pd.Index(labels.id.iloc[found.worth_a_look(most, labels.id.isin(looked_at(rows)).to_numpy())])


def doubts(said: Said, counting: list[str], answer: Answer, classes: list[str], opinion: Opinion) -> Doubts:
    """What is thought of the labels that count for n items, of each of which somebody said something; not of spans.
    said: the earlier answers first. opinion: as in `combine`."""
    n, by_class = said.items, opinion(counting, np.ones(said.items))
    own = topics_of(Said(np.arange(n), np.zeros(n, np.int64), counting, n, 1), answer, classes)
    at = {topic.at: topic.answers.label for topic in own}
    opinions = [(topic, topic.opinion(by_class)) for topic in topics_of(said, answer, classes)]
    error, wrong = _error(opinions), np.zeros(n)
    for topic, p in opinions:
        logs = _logs(topic.answers.counts(), p, error)
        right = np.exp(logs - logsum(logs)[:, None])[np.arange(n), at.get(topic.at, np.zeros(n, np.int64))]
        wrong = np.maximum(wrong, 1 - right)
    return Doubts(wrong, error, said.shared)


def _error(opinions: list[tuple[Topic, Doubles]]) -> float:
    """How often people are wrong, by what they said of items that had a label before: likeliest, given the first."""
    likely = -0.5 * (np.log(ERRORS / USUAL) / SPREAD) ** 2
    for topic, p in opinions:
        counts, first = topic.answers.counts(), np.zeros_like(p)
        of, at = np.unique(topic.answers.item, return_index=True)
        first[of, topic.answers.label[at]] = 1
        again = counts.sum(axis=1) > 1
        for number, error in enumerate(ERRORS):
            both, one = (logsum(_logs(each[again], p[again], float(error))) for each in (counts, first))
            likely[number] += (both - one).sum()
    return float(ERRORS[likely.argmax()])


def _logs(counts: Doubles, p: Doubles, error: float) -> Doubles:
    """(n, r) the logarithm of how likely each reply is right and people say what they say. p: what a model says of what
    people would say."""
    other = error / max(p.shape[1] - 1, 1)
    right = np.clip((p - other) / (1 - error - other), LEAST, None)
    right /= right.sum(axis=1, keepdims=True)
    said = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.log(right) + counts * np.log(1 - error) + (said - counts) * np.log(other))


def looked_at(rows: pd.DataFrame) -> pd.Index:
    """Ids that are not asked again, whatever is thought of them: with the reviewers now, set aside, or asked often
    enough. rows: of the ledger, as of today."""
    given = ledger.labelled(rows).groupby("id")
    enough = given["round"].nunique() >= LOOKS + (given.label.nunique() > 1)
    return pd.Index(enough.index[enough]).union(ledger.still_open(rows)).union(ledger.set_aside(rows))
