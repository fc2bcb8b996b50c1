"""The model at work learns what people have said of its items before the next round does (`answer.online`).

The learner is fitted anew on the labels of the workspace and on these answers. What comes out takes over only if the
gold set lets it answer at least as many items as the model before it. Each such look at the gold set has a part of the
risk that is kept for them, so the promise is as before; so that they stay few, it learns when there are GROWN more
answers. The next round's champion takes its place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.answering import promised
from labelwise.tasks.answering.at_work import Served
from labelwise.tasks.answering.tickets import ANSWERED, Tickets
from labelwise.tasks.errors import InputError
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import leaks, vectors
from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.labels import escalated, ledger
from labelwise.tasks.learners import Items, Model, auto, ensemble, frozen, propagate, trees
from labelwise.tasks.proof.answering import OF_ONLINE, risk_of_model
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace

GROWN = 0.05  # of the labels
Fit = Callable[[Workspace, Vectors, Items, pd.Series, Settings], Model]
QUICK = {each.NAME for each in (frozen, propagate, trees, ensemble)}  # learners that are fitted in seconds


@dataclass
class Online:
    """What is learned between two champions. fit: `train.with_more`. champion: the model that the rounds made. learned:
    how many answers the last fit had; seen: how many tickets were answered when it was looked for the last time."""

    workspace: Workspace
    tickets: Tickets
    fit: Fit
    champion: Served
    learned: int = 0
    seen: int = 0

    def __post_init__(self) -> None:
        """InputError where this model cannot learn at once."""
        quickly(self.workspace.settings)
        if not vectors.encoded_by(self.workspace, self.champion.model.embed):
            raise InputError(
                "answer.online in params.yaml needs the vectors of the pool by the encoder of this model",
                fix="`labelwise run` makes them; or set answer.online to false",
            )

    def better(self, now: Served) -> Served | None:
        """The model with all answers so far; None where too few are new, and where it may answer fewer items than the
        one that is at work, `now`."""
        workspace, champion, there = self.workspace, self.champion, self.tickets.count().get(ANSWERED, 0)
        if there == self.seen:
            return None
        self.seen = there
        pool, known = vectors.pool_vectors(workspace), ledger.effective(ledger.today(workspace)).id
        answers = said(workspace, self.tickets, known)
        if len(answers) < self.learned + max(1, GROWN * (len(known) + self.learned)):
            return None
        self.learned = len(answers)
        new = champion.model.vectors(answers.cell.tolist())
        apart = apart_from_gold(workspace, pd.Index(answers.id), new)
        answers, new = answers[apart], new[apart]
        settings = quickly(workspace.settings)
        model = self.fit(workspace, pool, Items.of(new, answers.cell.tolist()), answers.label, settings)
        classifier = replace(champion.model, model=model)
        risk = risk_of_model(settings.answer.confidence, self.tickets.another_look(), OF_ONLINE)
        sure = promised.confidences(workspace, classifier, own=True)
        found = promised.threshold(workspace, classifier, sure, True, risk)
        if not found.coverage or found.coverage < now.found.coverage:
            return None
        return Served(classifier, f"{champion.name} and {len(answers):,} answers since", found, champion.far)


def quickly(settings: Settings) -> Settings:
    """The settings by which it learns: `auto` may tune an encoder, which takes a minute, and is `ensemble` here.
    InputError where the learner takes as long as that."""
    learner = ensemble.NAME if settings.train.learner == auto.NAME else settings.train.learner
    if learner not in QUICK or settings.kind.answer == "spans":
        raise InputError(
            "answer.online in params.yaml",
            expected="kind.answer choice or multilabel, and train.learner auto or " + ", ".join(sorted(QUICK)),
            got=f"{settings.kind.answer} and {settings.train.learner}",
            fix="set answer.online to false: the next round learns the answers",
        )
    return settings.model_copy(update={"train": settings.train.model_copy(update={"learner": learner})})


def said(workspace: Workspace, tickets: Tickets, known: pd.Series) -> pd.DataFrame:
    """What people have said of items that may be learned and have no label yet: columns id, cell, label, in the order
    in which it was said. known: ids of those with a label."""
    given = {each.item: each for each in tickets.said()}
    _, accepted = escalated.joining(workspace, {item: each.cell or "" for item, each in given.items()})
    new = set(accepted) - set(known)
    rows = [(item, each.cell, each.answer) for item, each in given.items() if item in new]
    return pd.DataFrame(rows, columns=["id", "cell", "label"])


def apart_from_gold(workspace: Workspace, ids: pd.Index, new: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n,) which of these items, with vectors (n, d), are neither gold nor nearly so."""
    gold = trusted.gold(workspace).id
    near = leaks.leaks(
        ids, new, pd.Index(gold), vectors.gold_vectors(workspace, gold), workspace.settings.gold.near_duplicate
    )
    return np.asarray(~ids.isin(near.id))
