"""The model at work: answers items, and gives people those that it had better not answer.

It answers where its confidence is at least the threshold that the promise allows (proof/answering.py), the item is like
those of the pool (proof/unlike.py), and the class is none that people keep for themselves. A small random share of what
it answers goes to people all the same, blind, so that a promise which no longer holds is noticed (proof/watching.py).
While it may answer nothing all items go to people, and what they say tells from which confidence on it may.
"""

import math
import secrets
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from traceback import format_exception
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.answering import escalation
from labelwise.tasks.answering.tickets import CALIBRATING, ESCALATED, WATCHED, Ticket, Tickets
from labelwise.tasks.errors import InputError, LabelwiseError, quantity, without_secrets
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.proof import answering, watching
from labelwise.tasks.proof.answering import Threshold
from labelwise.tasks.services.label_studio.project import LabelStudioProject, open_project
from labelwise.tasks.settings import Answering
from labelwise.tasks.workspace import Workspace

LESS = "people saw more wrong, so it answers less since"
NOT_SURE, UNLIKE, POLICY = "not sure", "unlike anything in the pool", "policy"
PAUSE_S = 2.0  # between looks at Label Studio and at the champion
LONGEST_S = 60.0  # between looks while they fail


@dataclass(frozen=True)
class Served:
    """A model and what it may answer. name: for people. found: the least confidence at which it may answer by the gold
    set. far: (n, d) -> (n,) whether items are unlike those of the pool; None: nobody looks."""

    model: Classifier
    name: str
    found: Threshold
    far: Callable[[NDArray[np.float32]], NDArray[np.bool_]] | None = None

    def judged(self, cells: list[str]) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
        """What the model says of items, and whether each is unlike those of the pool."""
        if self.far is None:
            return self.model.judged(cells), np.zeros(len(cells), bool)
        said, vectors = self.model.seen(cells)
        return said, self.far(vectors)

    def reasons(
        self,
        labels: Sequence[str],
        sure: NDArray[np.float64],
        far: NDArray[np.bool_],
        least: float,
        never: Collection[str],
    ) -> list[str]:
        """Why people are to answer each item instead, '' where the model may. labels, sure: what it says of them, and
        how sure it is; far: whether each is unlike those of the pool; least: the confidence at which it answers; never:
        the classes that people keep for themselves."""
        kept = [not set(never).isdisjoint(self.model.answer.members(label)) for label in labels]
        each = zip(kept, far, sure >= least, strict=True)
        return [POLICY if policy else UNLIKE if strange else "" if fine else NOT_SURE for policy, strange, fine in each]


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

    def __init__(
        self,
        workspace: Workspace,
        served: Served,
        tickets: Tickets,
        draw: Callable[[], float],
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """draw: gives numbers in [0, 1) by chance, which choose what is watched. tell: is told each new promise."""
        self.workspace, self.settings, self.tickets, self._tell = workspace, workspace.settings, tickets, tell
        self.counts, self._draw, self._lock = Counts(), draw, Lock()
        self._read_to: pd.Timestamp | None = None  # in Label Studio, by its clock
        self._project: LabelStudioProject | None = None
        self._take(served)

    @property
    def served(self) -> Served:
        """The model that answers now."""
        return self._served

    @property
    def threshold(self) -> float:
        """The least confidence at which it answers now."""
        return max(self.found.value, self.raised)

    @property
    def promise(self) -> str:
        """What is promised of what it answers now, in a sentence."""
        of = "the items that came in" if math.isinf(self._served.found.value) else "items like the pool"
        return promise(self.found, self.settings.answer, of)

    def swap(self, served: Served) -> None:
        """Let another model answer from the next batch on. What was watched of the last one says nothing of it."""
        self._take(served)
        self.counts.swaps += 1

    def answer(self, cells: list[str]) -> list[Said]:
        """An answer for each item. Whatever goes to people is on disk when this returns."""
        with self._lock:
            served, base, raised = self._served, self.found.value, self.raised
        wanted = self.settings.answer
        said, far = served.judged(cells)
        sure = said.confidence.to_numpy(np.float64)
        reasons = served.reasons(said.label.tolist(), sure, far, max(base, raised), wanted.never)
        found, new = [], []
        for cell, label, confidence, reason in zip(cells, said.label, sure.tolist(), reasons, strict=True):
            ticket = ""
            if reason or self._draw() < wanted.watch:
                why = WATCHED if not reason else why_asked(reason, confidence, base, raised)
                item = served.model.item.identify(cell)
                ticket = secrets.token_urlsafe(12)
                new.append(Ticket(ticket, item, cell, why, reason, label, confidence, served.name, time.time()))
            found.append(Said(label, confidence, not reason, reason, ticket))
        if new:
            self.tickets.add(new)
        return found

    def look(self, webhook: str, secret: str) -> None:
        """Bring to people what is new, take in their answers, watch the promise, tell the webhook. ServiceError where
        Label Studio does not answer: nothing is lost, and the next look does it."""
        project, self._project = self._project or open_project(self.settings), None  # one that fails is opened anew
        if self._read_to is None:
            escalation.missing(project, self.tickets)
        fresh = escalation.deliver(self.settings, project, self.tickets)
        decided, self._read_to = escalation.collect(self.settings, project, self.tickets, self._read_to, fresh)
        if project.found is not None:  # a client a look would be a megabyte each, and more work than the look
            self._project = project
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
            "promise": self.promise,
            "answers_from": None if math.isinf(self.threshold) else round(self.threshold, 6),
            "holds": self.holds,
            "tickets": self.tickets.count(),
            "trouble": self.counts.trouble or None,
        }

    def watch(self) -> None:
        """Take in what people have said: raise the threshold where the promise no longer holds, and find one where the
        gold set shows none."""
        self._take(self._served)

    def _take(self, served: Served) -> None:
        """Let a model answer from the next batch on, as what people have said of its answers allows."""
        wanted, whole = self.settings.answer, served.model.answer.NAME == "choice"
        found = served.found
        if math.isinf(found.value):
            sure, losses = self._people(self.tickets.calibrating(served.name))
            found = answering.by_traffic(sure, losses, wanted.wrong, wanted.confidence, whole)
        sure, losses = self._people(self.tickets.watched(served.name))
        raised = watching.raised_by(sure, losses, wanted.wrong, 1 - wanted.confidence, whole=whole)
        with self._lock:
            self._served, self.found, self.raised = served, found, raised
        if self.tickets.note(served.name, self.promise, self.holds):
            self._tell(f"{served.name}: {self.promise}{'' if self.holds else f'; {LESS}'}")

    def _people(self, tickets: list[Ticket]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) how sure the model was of these items, and (n,) how wrong by what people said."""
        return np.array([each.confidence for each in tickets]), escalation.losses(self.settings, tickets)

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


def why_asked(reason: str, confidence: float, base: float, raised: float) -> str:
    """Why people are asked an item that the model does not answer. base: the confidence at which it may answer by what
    was promised, raised: by what was watched since, inf: at none."""
    if reason == NOT_SURE and math.isinf(base):
        return CALIBRATING
    # All that it would have answered is watched then: that is what may let it answer again.
    return WATCHED if reason == NOT_SURE and raised == math.inf and confidence >= base else ESCALATED


def promise(found: Threshold, wanted: Answering, of: str = "items like the pool") -> str:
    """What is promised, in a sentence.

    >>> promise(Threshold(0.91, 0.62, 180), Answering())
    'of what it answers, about 62 % of items like the pool, at most 5 % is wrong, with 95 % confidence'
    """
    share, sure = f"{100 * wanted.wrong:g} %", f"{100 * wanted.confidence:g} %"
    if math.isinf(found.value):
        needs = f"; about {quantity(found.needs, 'more answer')} may do" if found.needs else ""
        return f"it answers nothing yet: nothing shows that at most {share} would be wrong{needs}"
    return (
        f"of what it answers, about {100 * found.coverage:.0f} % of {of}, at most {share} is wrong, "
        f"with {sure} confidence"
    )


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
