"""What the model at work gave to people: brought to Label Studio once, and their answers to the tickets.

Everything is looked up before it is made, so that a look that was cut off, or a Label Studio that took a request and
did not say so, makes nothing twice.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.answering.tickets import ANSWERED, SKIPPED, Ticket, Tickets
from labelwise.tasks.labels import annotations, escalated
from labelwise.tasks.labels.ledger import OVERLAP
from labelwise.tasks.services.label_studio.exported import ROUND_OF_ESCALATED
from labelwise.tasks.services.label_studio.project import LabelStudioProject
from labelwise.tasks.settings import Settings

SIGNATURE, MOMENT = "X-Labelwise-Signature", "X-Labelwise-Timestamp"
CALL_S = 10.0  # what the webhook may take


def task(settings: Settings, ticket: Ticket) -> dict[str, Any]:
    """A ticket as Label Studio imports it. What the model thinks stays hidden: people answer by themselves."""
    assert ticket.cell is not None
    own = kinds.item(settings.kind.item).task(ticket.cell)
    data = {"item": ticket.item, "round": ROUND_OF_ESCALATED, "suggestion": "", escalated.CELL: ticket.cell}
    return {"data": own | data}


def deliver(settings: Settings, project: LabelStudioProject, tickets: Tickets) -> set[int]:
    """Bring open tickets to people, an item once: gives the tasks that hold them. What people have said of an item
    before is the answer to its new tickets, too."""
    new = {each.item: each for each in tickets.undelivered()}
    for item in [*new]:
        if (before := tickets.decided(item)) is not None:
            tickets.decide(item, before.state, before.answer)
            del new[item]
    if not new or project.found is None:
        return set()
    there = project.escalated(new)
    if missing := [each for item, each in new.items() if item not in there]:
        project.add([task(settings, each) for each in missing])
        there |= project.escalated([each.item for each in missing])
    project.tab_of_escalated()
    tickets.deliver(there)
    return set(there.values())


def missing(project: LabelStudioProject, tickets: Tickets) -> None:
    """What somebody has deleted in Label Studio, or what was lost with it, is to be brought there once more: a caller
    waits for it."""
    if project.found is not None and tickets.waiting():
        tickets.keep_with_people(set(project.tasks(ROUND_OF_ESCALATED).task_id))


def collect(
    settings: Settings, project: LabelStudioProject, tickets: Tickets, since: pd.Timestamp | None, fresh: set[int]
) -> tuple[list[Ticket], pd.Timestamp | None]:
    """Take in what people have said; gives the tickets that this decided, and the moment up to which tasks were read.
    since: that of the last look; None: all that wait are read. fresh: tasks that are read whenever they were touched:
    they may be older than their tickets."""
    waiting = {each.task: each for each in tickets.waiting() if each.task is not None}
    if not waiting or project.found is None:
        return [], since
    if since is None:
        read, newest = {*waiting}, pd.Timestamp.now("UTC") - OVERLAP  # the clock of another machine may be behind
    else:
        touched = project.touched(since - OVERLAP)
        read = waiting.keys() & {*touched.task_id[touched.answers > 0], *fresh}
        newest = pd.Timestamp(touched.updated_at.max()) if len(touched) else since
    answer = kinds.answer(settings.kind.answer)
    decided = []
    for exported in project.answered(sorted(read)):
        ticket = waiting[exported["id"]]
        cell = tickets.cell(ticket.item)
        said = [annotations.said(each, answer, cell) for each in exported["annotations"]]
        given = [each for each in said if each["label"] is not None]
        last = max(given or said, key=lambda each: each["created_at"])
        decided += tickets.decide(ticket.item, ANSWERED if given else SKIPPED, last["label"])
    return decided, newest


def losses(settings: Settings, watched: list[Ticket]) -> NDArray[np.float64]:
    """(w,) how wrong the model's answers were by what people said of these items, each in [0, 1]."""
    answer = kinds.answer(settings.kind.answer)
    said, truth = [each.label for each in watched], [str(each.answer) for each in watched]
    return np.asarray(1 - answer.score(said, truth), dtype=np.float64)


def signed(secret: str, moment: str, body: bytes) -> str:
    """The signature of a call: HMAC-SHA256 of the moment, a dot and the body, in hexadecimal digits.

    >>> signed("key", "0", b"{}")[:19]
    'sha256=7314351dd949'
    """
    return "sha256=" + hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()


def tell(url: str, secret: str, tickets: Tickets, show: Callable[[Ticket], dict[str, Any]]) -> str:
    """Call `url` for each decided ticket that it has not heard of; gives what went wrong, '' for nothing. A call may
    come twice, when the first went through and no answer came."""
    for ticket in tickets.untold():
        body = json.dumps(show(ticket)).encode()
        moment = str(int(time.time()))
        headers = {"Content-Type": "application/json", MOMENT: moment, SIGNATURE: signed(secret, moment, body)}
        try:
            httpx.post(url, content=body, headers=headers, timeout=CALL_S).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return str(error) or type(error).__name__
        tickets.tell(ticket.id)
    return ""
