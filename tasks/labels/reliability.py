"""How often each weak source is right, and what several of them come to, of items that no person has labelled.

What a source says is taken for what its word was worth where people have labelled, too: of each source and each class
that it says, drawn towards the source as a whole, and that towards PRIOR. Sources are taken for independent of each
other given the class (Dawid & Skene 1979; of rules: Ratner et al. 2016, 'Data programming', arXiv 1605.07723), and a
word that is worth less than none counts as none. How much all of it together may say against people's labels is
decided where it is learned from, see learners/weakly.py.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.kinds.base import NO, YES
from labelwise.tasks.labels.aggregate import Doubles
from labelwise.tasks.labels.weak import RULE
from labelwise.tasks.records import CONSENSUS
from labelwise.tasks.settings import Settings

PRIOR, JUDGED = 0.7, 4.0  # how often a source is right of which nothing is known, and for how many labels that counts
WHY = "weak"


def combined(weak: pd.DataFrame, labels: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """What weak labels (id, label, source) come to, of items without a person's label (CONSENSUS, `people` 0), in order
    of id. labels: people's (id, label). Of spans they are what the source says of each that agrees best with people."""
    answer, classes = kinds.answer(settings.kind.answer), settings.classes
    strange = [label for label in weak.label.unique() if not set(answer.members(label)) <= set(classes)]
    weak = weak[~weak.label.isin(strange)].reset_index(drop=True)
    ids = sorted(set(weak.id) - set(labels.id))
    if not ids:
        return CONSENSUS.frame()
    known = labels.set_index("id").label
    if answer.PLACES:
        return _of_the_best(weak[~weak.id.isin(known.index)], _agreeing(weak, known, answer))
    said: list[dict[str, str]] = [{} for _ in ids]
    trust = np.ones(len(ids))
    one = answer.NAME == choice.NAME
    for question in [""] if one else classes:
        voices = weak.assign(reply=[answer.reply(label, question) for label in weak.label])
        if not one:  # a rule says what holds, and no more
            voices = voices[(voices.reply == YES) | ~voices.source.str.startswith(RULE)]
        truth = pd.Series([answer.reply(label, question) for label in known], known.index, dtype=object)
        replies = classes if one else [NO, YES]
        p = opinion(voices, truth, ids, replies)
        best = p.argmax(axis=1)
        trust *= p[np.arange(len(ids)), best]
        for own, reply in zip(said, best.tolist(), strict=True):
            own[question] = replies[reply]
    return _table(pd.DataFrame({"id": ids, "label": [answer.joined(own) for own in said], "trust": trust.round(6)}))


def _agreeing(weak: pd.DataFrame, known: pd.Series, answer: Answer) -> dict[str, float]:
    """What a label of each source is worth by people's, in [0, 1], drawn towards PRIOR. known: people's, by id."""
    found = {}
    for source, rows in weak[weak.id.isin(known.index)].groupby("source"):
        found[str(source)] = answer.score(rows.label.tolist(), known[rows.id].tolist())
    judged = {source: found.get(source, np.empty(0)) for source in weak.source.unique()}
    return {source: (each.sum() + JUDGED * PRIOR) / (len(each) + JUDGED) for source, each in judged.items()}


def _of_the_best(weak: pd.DataFrame, worth: Mapping[str, float]) -> pd.DataFrame:
    """A row an item (CONSENSUS): of those who said something of it the source that is worth most."""
    rows = weak.assign(trust=weak.source.map(worth).astype(np.float64).round(6))
    rows = rows.sort_values(["id", "trust", "source"], ascending=[True, False, True], ignore_index=True)
    return _table(rows.drop_duplicates("id", ignore_index=True)[["id", "label", "trust"]])


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    return CONSENSUS.conform(rows.assign(people=0, doubt=0.0, round=0, why=WHY))


def opinion(voices: pd.DataFrame, truth: pd.Series, ids: Sequence[str], replies: Sequence[str]) -> Doubles:
    """(n, r) how likely each reply is right, of these n items. voices: id, reply, source; truth: what people replied,
    by id."""
    often = 1 + truth.value_counts().reindex(list(replies), fill_value=0).to_numpy(np.float64)
    prior = often / often.sum()
    logs = np.tile(np.log(prior), (len(ids), 1))
    said, truths = voices.reply.to_numpy(object), truth.reindex(voices.id).to_numpy(object)
    judged = voices.id.isin(truth.index).to_numpy()
    row = pd.Index(list(ids)).get_indexer(pd.Index(voices.id))
    for of in voices.groupby("source").indices.values():
        whole = _drawn((said == truths)[of][judged[of]], PRIOR)
        for at, reply in enumerate(replies):
            same = of[said[of] == reply]
            p = max(_drawn((said == truths)[same][judged[same]], whole), float(prior[at]))
            says = (1 - p) * prior / (1 - prior[at])
            says[at] = p
            logs[row[same][row[same] >= 0]] += np.log(says / prior)
    likely = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))


def _drawn(right: NDArray[np.bool_], towards: float) -> float:
    return float((right.sum() + JUDGED * towards) / (len(right) + JUDGED))
