"""The model at work: answers items, and gives people those that it had better not answer.

It answers where its confidence is at least the threshold that the promise allows (proof/answering.py), the item is like
those of the pool (proof/unlike.py), and the class is none that people keep for themselves. A small random share of what
it answers goes to people all the same, blind, so that a promise which no longer holds is noticed (proof/watching.py).
"""

import math
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread
from traceback import format_exception
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.answering import escalation
from labelwise.tasks.answering.tickets import ESCALATED, WATCHED, Ticket, Tickets
from labelwise.tasks.errors import InputError, LabelwiseError, without_secrets
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.proof import watching
from labelwise.tasks.services.label_studio.project import open_project
from labelwise.tasks.workspace import Workspace

NOT_SURE, UNLIKE, POLICY = "not sure", "unlike anything in the pool", "policy"
PAUSE_S = 2.0  # between looks at Label Studio and at the champion
LONGEST_S = 60.0  # between looks while they fail


@dataclass(frozen=True)
class Served:
    """A model and what it may answer. name: for people. threshold:
    the least confidence at which it answers; inf: never. promise: what is promised of what it answers. far: (n, d) ->
    (n,) whether items are unlike those of the pool; None: nobody looks."""

    model: Classifier
    name: str
    threshold: float
    promise: str
    far: Callable[[NDArray[np.float32]], NDArray[np.bool_]] | None = None


@dataclass(frozen=True)
class Said:
    """An answer. reason: why people are asked, '' where they are not. answered: whether the label may be used now."""

    label: str
    confidence: float
    answered: bool
    reason: str = ""
    ticket: str = ""


@dataclass
class Counts:
    """What the keeper did and met, for the metrics."""

    swaps: int = 0  # champions that were taken
    trouble: str = ""  # with Label Studio, MLflow or the webhook, now


class AtWork:
    """What the service asks. Items come as cells, as the tables keep them."""

    def __init__(self, workspace: Workspace, served: Served, tickets: Tickets, draw: Callable[[], float]) -> None:
        self.workspace, self.settings, self.tickets = workspace, workspace.settings, tickets
        self.counts, self._draw, self._lock = Counts(), draw, Lock()
        self._read_to: pd.Timestamp | None = None  # in Label Studio, by its clock
        self._served = served
        self.raised = -math.inf
        self.watch()

    @property
    def served(self) -> Served:
        """The model that answers now."""
        return self._served

    @property
    def threshold(self) -> float:
        """The least confidence at which it answers now."""
        return max(self._served.threshold, self.raised)

    def swap(self, served: Served) -> None:
        """Let another model answer from the next batch on. What was watched of the last one says nothing of it."""
        with self._lock:
            self._served, self.raised = served, -math.inf
            self.counts.swaps += 1

    def answer(self, cells: list[str]) -> list[Said]:
        """An answer for each item. Whatever goes to people is on disk when this returns."""
        served, settings = self._served, self.settings
        threshold = max(served.threshold, self.raised)
        said, vectors = served.model.seen(cells)
        far = served.far(vectors) if served.far else np.zeros(len(cells), bool)
        item, answer, found = served.model.item, served.model.answer, []
        new: list[Ticket] = []
        for cell, label, sure, strange in zip(cells, said.label, said.confidence.astype(float), far, strict=True):
            kept = set(answer.members(label)) & set(settings.answer.never)
            reason = POLICY if kept else UNLIKE if strange else NOT_SURE if not sure >= threshold else ""
            ticket = ""
            if reason or self._draw() < settings.answer.watch:
                why = ESCALATED if reason else WATCHED
                one = Ticket(
                    secrets.token_urlsafe(12),
                    item.identify(cell),
                    cell,
                    why,
                    reason,
                    label,
                    sure,
                    served.name,
                    time.time(),
                )
                new.append(one)
                ticket = one.id
            found.append(Said(label, sure, not reason, reason, ticket))
        if new:
            self.tickets.add(new)
        return found

    def look(self, webhook: str, secret: str) -> None:
        """Bring to people what is new, take in their answers, watch the promise, tell the webhook. ServiceError where
        Label Studio does not answer: nothing is lost, and the next look does it."""
        project = open_project(self.settings)
        fresh = escalation.deliver(self.settings, project, self.tickets)
        decided, self._read_to = escalation.collect(self.settings, project, self.tickets, self._read_to, fresh)
        if decided:
            self.watch()
        if webhook and (wrong := escalation.tell(webhook, secret, self.tickets, self.shown)):
            raise InputError(f"the webhook {webhook} does not take answers", got=wrong)

    @property
    def holds(self) -> bool:
        """Whether what was watched is as the promise has it."""
        return self.raised == -math.inf

    def health(self) -> dict[str, Any]:
        """How it is, for people and for whoever looks whether it is up."""
        return {
            "status": "ok",
            "model": self._served.name,
            "promise": self._served.promise,
            "answers_from": None if math.isinf(self.threshold) else round(self.threshold, 6),
            "holds": self.holds,
            "tickets": self.tickets.count(),
            "trouble": self.counts.trouble or None,
        }

    def watch(self) -> None:
        """Raise the threshold where what people have said shows that the promise no longer holds."""
        served, wanted = self._served, self.settings.answer
        watched = self.tickets.watched(served.name)
        sure, losses = np.array([each.confidence for each in watched]), escalation.losses(self.settings, watched)
        whole = served.model.answer.NAME == "choice"
        self.raised = watching.raised_by(sure, losses, wanted.wrong, 1 - wanted.confidence, whole=whole)

    def shown(self, ticket: Ticket) -> dict[str, Any]:
        """A ticket for other programs."""
        answer = self._served.model.answer
        cell = ticket.cell or ""
        return {
            "ticket": ticket.id,
            "item": ticket.item,
            "state": ticket.state,
            "reason": ticket.reason or None,
            "label": None if ticket.answer is None else answer.value(ticket.answer, cell),
            "suggested": answer.value(ticket.label, cell),
            "confidence": round(ticket.confidence, 6),
            "model": ticket.model,
        }


class Keeper:
    """A thread that looks after Label Studio and the champion while the service answers."""

    def __init__(self, at_work: AtWork, newer: Callable[[], Served | None], webhook: str, secret: str) -> None:
        self._at_work, self._newer, self._webhook, self._secret = at_work, newer, webhook, secret
        self._over, self._thread = Event(), Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End after the look that is at work."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        pause = PAUSE_S
        while not self._over.wait(pause):
            trouble = [self._tried(self._look), self._tried(self._swap)]
            self._at_work.counts.trouble = "; ".join(filter(None, trouble))
            pause = min(2 * pause, LONGEST_S) if self._at_work.counts.trouble else PAUSE_S

    def _look(self) -> None:
        self._at_work.look(self._webhook, self._secret)

    def _swap(self) -> None:
        if (served := self._newer()) is not None:
            self._at_work.swap(served)

    def _tried(self, work: Callable[[], None]) -> str:
        try:
            work()
        except LabelwiseError as error:
            return str(error)
        except Exception as error:  # the thread goes on; whoever may ask for health sees no more than its kind
            print(without_secrets("".join(format_exception(error))), file=sys.stderr, flush=True)
            return f"a fault of ours, {type(error).__name__}: see what the service prints"
        return ""
