"""What a language model was asked and is not written down yet: a line a request and one for what came of it.

Each is on the disk before the next step, so that whatever cuts the asking off, it is known what was paid.
"""

import json
import os
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from labelwise.tasks.labels import weak
from labelwise.tasks.records import WEAK
from labelwise.tasks.services.chat import Reply
from labelwise.tasks.workspace import Workspace, atomic


class Journal:
    """The requests of an asking that is not yet written down, a line each and one for what came of it, each on the disk
    before the next step. What the weak labels have is taken out when it is opened."""

    def __init__(self, workspace: Workspace) -> None:
        self.path = workspace.scraps / "llm.jsonl"
        self.records: dict[str, dict[str, Any]] = {}
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]  # the last line may have been cut off
        for line in whole.splitlines():
            self._take(json.loads(line))
        written = weak.asked_before(workspace)
        there = set(zip(written.id, written.written_at, written.source, strict=True))
        for item, each in [*self.records.items()]:
            if (item, each["written_at"], each["source"]) in there:
                del self.records[item]
        if whole != content:
            with self.path.open("r+b") as file:
                file.truncate(len(whole))

    def __contains__(self, item: str) -> bool:
        return item in self.records

    @property
    def cost(self) -> float:
        """What is in it, in `prove.currency`."""
        return sum(each["cost"] for each in self.records.values())

    def asking(self, item: str, source: str, prompt: str, most: float) -> None:
        """That an item is about to be asked: which weak source, by a prompt of which digest, at which cost at most."""
        asked = {"id": item, "source": source, "prompt": prompt}
        self._write(asked | {"written_at": datetime.now(UTC).isoformat(), "label": None, "cost": most})

    def told(self, item: str, label: str | None, reply: Reply, paid: float) -> None:
        """What came of it."""
        tokens = {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out}
        self._write({"id": item, "label": label, **tokens, "cost": paid})

    def unsent(self, item: str) -> None:
        """That it was not asked after all."""
        self._write({"id": item, "unsent": True})

    def rows(self) -> pd.DataFrame:
        """What is in it (WEAK), in order of id."""
        names = [*WEAK.columns, *WEAK.further]
        rows = pd.DataFrame([*self.records.values()], columns=names).sort_values("id", ignore_index=True)
        return WEAK.conform(rows)

    def forget(self, items: Collection[str]) -> None:
        """Take items out of it. What they cost stays, in one record that names no item."""
        kept = {item: each for item, each in self.records.items() if item not in items}
        if gone := [each for item, each in self.records.items() if item in items]:
            before = kept.get(weak.NO_ITEM, {"cost": 0.0})
            paid = before["cost"] + sum(each["cost"] for each in gone)
            kept[weak.NO_ITEM] = gone[-1] | {"id": weak.NO_ITEM, "label": None, "cost": paid}
            with atomic(self.path) as scratch:
                scratch.write_text("".join(json.dumps(each) + "\n" for each in kept.values()), encoding="utf-8")
            self.records = kept

    def clear(self) -> None:
        """It is written down elsewhere."""
        self.records.clear()
        self.path.unlink(missing_ok=True)

    def _take(self, line: Mapping[str, Any]) -> None:
        if line.get("unsent"):
            self.records.pop(line["id"], None)
        else:
            self.records[line["id"]] = self.records.get(line["id"], {}) | dict(line)

    def _write(self, line: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._take(line)
