"""Every annotation in Label Studio to its row, and every row to its annotation."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from tasks.audit.part import Part
from tasks.services.label_studio import chosen

GONE = "withdrawn"  # the status of a row that says: this annotation was deleted
NO_LABEL = ("refused", GONE)  # of rows that do not say what was answered


def answers(
    name: str,
    exported: Collection[Mapping[str, Any]],
    rows: pd.DataFrame,
    pending: Collection[int],
    forgotten: Collection[str] = (),
) -> Part:
    """Compare tasks with annotations, as Label Studio exports them, with rows (columns id, label, status,
    annotation_id, in the order in which they came in). pending: annotations that the next look takes in, or anew:
    nothing is wrong with those yet."""
    known = rows[rows.annotation_id.notna()]
    last = known.drop_duplicates("annotation_id", keep="last")
    recorded = {int(row["annotation_id"]): row for row in last.to_dict("records")}
    given = {int(each["id"]): (task, each) for task in exported for each in task["annotations"]}
    waiting = {number for number in pending if number in given or number in recorded}
    found = Part(name, len(given.keys() | recorded.keys()), waiting=len(waiting))
    for number in sorted(given.keys() - recorded.keys() - waiting):
        found.surplus.append(_surplus(number, given[number][0], set(forgotten)))
    for number in sorted(recorded.keys() - given.keys() - waiting):
        row = recorded[number]
        if row["status"] != GONE:
            found.missing.append(f"item {row['id']}: its annotation {number} ({_answer(row)}) is not in Label Studio")
    for number in sorted((given.keys() & recorded.keys()) - waiting):
        row, said = recorded[number], _given(given[number][1])
        if row["status"] == GONE:
            found.surplus.append(f"item {row['id']}: its annotation {number} was withdrawn, and is in Label Studio")
        elif row["status"] not in NO_LABEL and said != _answer(row):
            found.changed.append(
                f"item {row['id']}: annotation {number} says {said} in Label Studio, {_answer(row)} here"
            )
    doubled = known[known.duplicated()]
    found.surplus += [
        f"item {row['id']}: annotation {row['annotation_id']} twice" for row in doubled.to_dict("records")
    ]
    return found


def _surplus(number: int, task: Mapping[str, Any], forgotten: set[str]) -> str:
    item = task.get("data", {}).get("item")
    if item is None:
        return f"annotation {number} is on task {task['id']}, which the loop has not made"
    return f"item {item}: " + (
        f"task {task['id']} is there although the item was forgotten"
        if item in forgotten
        else f"its annotation {number} has no row"
    )


def _answer(row: Mapping[Any, Any]) -> str:
    return "skipped" if row["status"] == "skipped" else repr(row["label"])


def _given(annotation: Mapping[str, Any]) -> str:
    return "skipped" if annotation["was_cancelled"] else repr(chosen(annotation["result"]))
