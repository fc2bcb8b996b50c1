"""Tickets: what the model at work gave to people. SQLite, so that nothing is lost however the service ends: a ticket is
on disk before its caller hears of it.

A ticket is `open` until a person has answered its item, then `answered`, or `skipped` where nobody could. Items that
several callers ask are one task for people.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from labelwise.tasks.services.home import home
from labelwise.tasks.workspace import Workspace

ESCALATED, WATCHED = "escalated", "watched"  # why people are asked
OPEN, ANSWERED, SKIPPED = "open", "answered", "skipped"
TABLES = """
create table if not exists ticket (
    id text primary key, item text not null, cell text, why text not null, reason text not null, label text not null,
    confidence real not null, model text not null, made real not null, task integer, state text not null,
    answer text, answered real, told integer not null default 0
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
    """An item before people. label, confidence: the model's, `model` its name. answer: that of people, once there is
    one. made, answered: seconds since 1970. task: its number in Label Studio. told: whether the webhook has it."""

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


class Tickets:
    """Those of one workspace, in a file. Any thread may call it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        self._connection.executescript(TABLES)
        self._at_work = Lock()

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
        """Those whose item is with people."""
        return self._read("select * from ticket where state = 'open' and task is not null order by made")

    def decided(self, item: str) -> Ticket | None:
        """The last ticket of an item that people have decided."""
        found = self._read("select * from ticket where item = ? and state != 'open' order by answered desc", item)
        return found[0] if found else None

    def untold(self) -> list[Ticket]:
        """Those that are decided and of which the webhook has not heard. Of what was watched nobody waits to hear."""
        return self._read("select * from ticket where state != 'open' and not told and why = 'escalated' order by made")

    def watched(self, model: str) -> list[Ticket]:
        """What people have said of answers of a model that were drawn to be watched, in their order."""
        asked = "select * from ticket where why = 'watched' and state = 'answered' and model = ? order by answered, id"
        return self._read(asked, model)

    def deliver(self, task_of: dict[str, int]) -> None:
        """Note the tasks of items."""
        with self._writing() as connection:
            wanted = [(task, item) for item, task in task_of.items()]
            connection.executemany("update ticket set task = ? where item = ? and state = 'open'", wanted)

    def decide(self, item: str, state: str, answer: str | None) -> list[Ticket]:
        """Note what people said of an item; gives the tickets that were open."""
        found = self._read("select * from ticket where item = ? and state = 'open'", item)
        with self._writing() as connection:
            connection.execute(
                "update ticket set state = ?, answer = ?, answered = ? where item = ? and state = 'open'",
                (state, answer, time.time(), item),
            )
        return found

    def tell(self, name: str) -> None:
        """Note that the webhook has a ticket."""
        with self._writing() as connection:
            connection.execute("update ticket set told = 1 where id = ?", (name,))

    def count(self) -> dict[str, int]:
        """How many there are by state."""
        with self._at_work:
            return dict(self._connection.execute("select state, count(*) from ticket group by state").fetchall())

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
        return [Ticket(**dict(row) | {"told": bool(row["told"])}) for row in rows]

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
