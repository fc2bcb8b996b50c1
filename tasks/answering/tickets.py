"""Tickets: what the model at work gave to people. SQLite, so that nothing is lost however the service ends: a ticket is
on disk before its caller hears of it.

A ticket is `open` until a person has answered its item, then `answered`, or `skipped` where nobody could. Items that
several callers ask are one task for people.
"""

import itertools
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

from labelwise.tasks.errors import quantity
from labelwise.tasks.services.home import home
from labelwise.tasks.workspace import Workspace

# Why people are asked: the model does not answer; it does not answer anything yet, which what people say of all that
# comes in may change; it would answer, and what people say shows whether it may.
ESCALATED, CALIBRATING, WATCHED = "escalated", "calibrating", "watched"
OPEN, ANSWERED, SKIPPED = "open", "answered", "skipped"
TABLES = """
create table if not exists ticket (
    id text primary key, item text not null, cell text, why text not null, reason text not null, label text not null,
    confidence real not null, model text not null, made real not null, task integer, state text not null,
    answer text, answered real, told integer not null default 0
);
create view if not exists light as  -- a picture may be megabytes
    select id, item, null as cell, why, reason, label, confidence, model, made, task, state, answer, answered, told,
    rowid as place from ticket;
create table if not exists look (at real not null default (julianday('now')));
create table if not exists standing (
    model text not null, promise text not null, holds integer not null, at real not null
);
create index if not exists of_item on ticket (item);
create index if not exists of_state on ticket (state, task);
"""
NEW = """
insert into ticket (id, item, cell, why, reason, label, confidence, model, made, state)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open')
"""


@dataclass(frozen=True)
class Ticket:
    """An item before people. cell: the item, None where nobody asked for it. label, confidence: the model's, `model`
    its name. answer: that of people, once there is one. made, answered: seconds since 1970. task: its number in Label
    Studio. told: whether the webhook has it."""

    id: str
    item: str
    cell: str | None
    why: str
    reason: str
    label: str
    confidence: float
    model: str
    made: float
    task: int | None = None
    state: str = OPEN
    answer: str | None = None
    answered: float | None = None
    told: bool = False


@dataclass(frozen=True)
class Standing:
    """What the model at work promised last. holds: whether what is watched says that the promise holds. at: since when,
    seconds since 1970. tickets: how many there are by state."""

    model: str
    promise: str
    holds: bool
    at: float
    tickets: dict[str, int]

    def __str__(self) -> str:
        """
        >>> str(Standing("version 3", "at most 5 % is wrong", False, 0.0, {OPEN: 2, ANSWERED: 1}))
        'version 3: at most 5 % is wrong; people saw more wrong, so it answers less since; 2 tickets open, 1 answered'
        """
        broken = "" if self.holds else "; people saw more wrong, so it answers less since"
        counts = f"{quantity(self.tickets.get(OPEN, 0), 'ticket')} open, {self.tickets.get(ANSWERED, 0):,} answered"
        return f"{self.model}: {self.promise}{broken}; {counts}"


FIELDS = [field.name for field in fields(Ticket)]


class Tickets:
    """Those of one workspace, in a file. Any thread may call it."""

    def __init__(self, path: Path, looking: bool = False) -> None:
        """looking: nothing is made or changed; sqlite3.Error where that cannot be."""
        if not looking:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        address = f"file:{quote(str(path))}{'?mode=ro' if looking else ''}"
        self._connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._at_work = Lock()
        if not looking:
            self._connection.execute("pragma journal_mode = wal")
            self._connection.executescript(TABLES)

    def add(self, tickets: list[Ticket]) -> None:
        """Keep new ones, all or none. On disk when it returns."""
        rows = [
            (each.id, each.item, each.cell, each.why, each.reason, each.label, each.confidence, each.model, each.made)
            for each in tickets
        ]
        with self._writing() as connection:
            connection.executemany(NEW, rows)

    def get(self, name: str) -> Ticket | None:
        """A ticket by its id."""
        found = self._read("select * from ticket where id = ?", name)
        return found[0] if found else None

    def undelivered(self) -> list[Ticket]:
        """Those whose item is with nobody yet, the oldest first."""
        return self._read("select * from ticket where state = 'open' and task is null order by made")

    def waiting(self) -> list[Ticket]:
        """Those whose item is with people, without cells."""
        return self._read("select * from light where state = 'open' and task is not null order by made")

    def cell(self, item: str) -> str | None:
        """An item that some ticket is for."""
        with self._at_work:
            found = self._connection.execute("select cell from ticket where item = ? limit 1", (item,)).fetchone()
        return found["cell"] if found else None

    def decided(self, item: str) -> Ticket | None:
        """The last ticket of an item that people have decided."""
        found = self._read(
            "select * from light where item = ? and state != 'open' order by answered desc limit 1", item
        )
        return found[0] if found else None

    def untold(self) -> list[Ticket]:
        """Those that are decided and of which the webhook has not heard. Of what was answered nobody waits to hear."""
        return self._read("select * from ticket where state != 'open' and not told and reason != '' order by made")

    def watched(self, model: str) -> list[Ticket]:
        """What people have said of answers of a model that were drawn to be watched, in their order, without cells."""
        asked = "select * from light where why = 'watched' and state = 'answered' and model = ? order by answered, id"
        return self._read(asked, model)

    def calibrating(self, model: str) -> list[Ticket]:
        """What people have said of all that came in while a model answered nothing, in the order in which it came, up
        to the first that waits for them: what is answered soon may not be like the rest. Each item once: one that comes
        again tells nothing more. Without cells."""
        came = self._read("select * from light where why = 'calibrating' and model = ? order by place", model)
        known = itertools.takewhile(lambda each: each.state != OPEN, came)
        return list({each.item: each for each in known if each.state == ANSWERED}.values())

    def deliver(self, task_of: dict[str, int]) -> None:
        """Note the tasks of items."""
        with self._writing() as connection:
            wanted = [(task, item) for item, task in task_of.items()]
            connection.executemany("update ticket set task = ? where item = ? and state = 'open'", wanted)

    def keep_with_people(self, tasks: Collection[int]) -> None:
        """Note that of those with people only these tasks are there: the items of the others are with nobody."""
        with self._writing() as connection:
            held = connection.execute("select distinct task from ticket where state = 'open' and task is not null")
            gone = [(row["task"],) for row in held.fetchall() if row["task"] not in tasks]
            connection.executemany("update ticket set task = null where task = ? and state = 'open'", gone)

    def decide(self, item: str, state: str, answer: str | None) -> list[Ticket]:
        """Note what people said of an item; gives the tickets that were open."""
        found = self._read("select * from light where item = ? and state = 'open'", item)
        with self._writing() as connection:
            connection.execute(
                "update ticket set state = ?, answer = ?, answered = ? where item = ? and state = 'open'",
                (state, answer, time.time(), item),
            )
        return found

    def said(self) -> list[Ticket]:
        """What people have said, in that order."""
        return self._read("select * from ticket where state = 'answered' order by answered, id")

    def another_look(self) -> int:
        """Count one more look at the gold set, and give how many there have been."""
        with self._writing() as connection:
            connection.execute("insert into look default values")
            return int(connection.execute("select count(*) from look").fetchone()[0])

    def tell(self, name: str) -> None:
        """Note that the webhook has a ticket."""
        with self._writing() as connection:
            connection.execute("update ticket set told = 1 where id = ?", (name,))

    def count(self) -> dict[str, int]:
        """How many there are by state."""
        with self._at_work:
            return dict(self._connection.execute("select state, count(*) from ticket group by state").fetchall())

    def note(self, model: str, promise: str, holds: bool) -> bool:
        """Keep what is promised now; whether that is new."""
        now = (model, promise, int(holds))
        with self._writing() as connection:
            row = connection.execute("select model, promise, holds from standing").fetchone()
            if row is not None and tuple(row) == now:
                return False
            connection.execute("delete from standing")
            connection.execute("insert into standing values (?, ?, ?, ?)", (*now, time.time()))
        return True

    def standing(self) -> Standing | None:
        """What was promised last; None where nothing was."""
        with self._at_work:
            row = self._connection.execute("select model, promise, holds, at from standing").fetchone()
        return None if row is None else Standing(row[0], row[1], bool(row[2]), row[3], self.count())

    def forget(self, items: list[str]) -> int:
        """Remove the tickets of items; how many there were."""
        with self._writing() as connection:
            gone = [connection.execute("delete from ticket where item = ?", (item,)).rowcount for item in items]
        return sum(gone)

    def close(self) -> None:
        """The file may be removed then."""
        with self._at_work:
            self._connection.close()

    def _read(self, query: str, *given: Any) -> list[Ticket]:
        with self._at_work:
            rows = self._connection.execute(query, given).fetchall()
        return [Ticket(**{name: row[name] for name in FIELDS} | {"told": bool(row["told"])}) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing."""
        with self._at_work:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")


def store(workspace: Workspace) -> Path:
    """The file with the tickets of a workspace: with the data of the servers, since it is no version of anything."""
    return home() / "answers" / f"{workspace.settings.project.id}.sqlite3"


def standing(workspace: Workspace) -> Standing | None:
    """What the model at work promised last; None where none was at work on this machine, or where another user's was.
    Only looks."""
    path = store(workspace)
    if not path.exists():
        return None
    try:
        with closing(Tickets(path, looking=True)) as tickets:
            return tickets.standing()
    except sqlite3.Error:  # not ours to read, or of a version that kept none
        return None
