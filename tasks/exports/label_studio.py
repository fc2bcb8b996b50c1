"""Labels as tasks with annotations, as Label Studio imports them: a JSON list. A project that takes them has the
interface of the workspace's own; the names of its parts are those of `kinds.interface_of`."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks.exports.files import Table
from labelwise.tasks.exports.table import About, table_of
from labelwise.tasks.kinds import context
from labelwise.tasks.kinds.values import PICTURE


def write(path: Path, frames: Iterable[pd.DataFrame], about: About) -> list[str]:
    """Write a task an item, a task a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[")
        for number, task in enumerate(task for frame in frames for task in tasks(frame, about)):
            file.write(",\n" * bool(number) + json.dumps(task, ensure_ascii=False))
        file.write("]\n")
    return []


def tasks(frame: pd.DataFrame, about: About) -> Iterator[dict[str, Any]]:
    """The tasks. Their data has the columns of the other formats, but for the label, and what the interface shows."""
    table: Table = table_of([frame], about)
    left_out = {"label", "gold", *(name for name, kind in table.columns.items() if kind == PICTURE)}
    beside = frame["context"].tolist() if "context" in frame else [None] * len(frame)
    rows = [row for part in table.parts for row in part]
    for row, cell, label, given in zip(rows, frame[about.item.COLUMN], frame["label"], beside, strict=True):
        data = {name: value for name, value in row.items() if name not in left_out} | about.item.task(cell)
        data["suggestion"] = ""  # what a model thinks, which the interface shows: nothing
        if about.settings.pull.columns.context:
            data[context.NAME] = context.as_html(None if pd.isna(given) else given)
        said = {"result": about.answer.result(label, cell), "ground_truth": bool(row.get("gold"))}
        yield {"data": data, "annotations": [said]}
