"""Every annotation in Label Studio to its row, and every row to its annotation."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.past.audit.part import Part
from labelwise.tasks.services.label_studio.exported import ask_of

WITHDRAWN, GONE = "withdrawn", "gone"  # rows that say: this annotation was deleted; this task was, its answers stay
NO_LABEL = ("refused", WITHDRAWN)  # rows that do not say what was answered
Key = tuple[str, int, int]  # item, round and number: Label Studio gives a number again after it was free


def answers(
    name: str,
    exported: Collection[Mapping[str, Any]],
    rows: pd.DataFrame,
    pending: Collection[int],
    forgotten: Collection[str] = (),
    answer: Answer = choice,
) -> Part:
    """Compare tasks with annotations, as Label Studio exports them, with rows (columns id, round, label, status,
    annotator, annotation_id, in the order in which they came in).

    pending: annotations that the next look takes in, or again: nothing is wrong with those yet. An annotation that has
    another number now, or repeats what its reviewer has said of the item before, is accounted for by that row.
    """
    known = rows[rows.annotation_id.notna()]
    recorded = {_key(row): row for row in known.to_dict("records")}  # of one annotation the last row
    given = {
        (*ask, int(each["id"])): (task, each)
        for task in exported
        if (ask := ask_of(task["data"]))[0]
        for each in task["annotations"]
    }
    kept = {key for key in given.keys() & recorded.keys() if not _edited(given[key][1], recorded[key])}
    waiting = {key for key in given.keys() | recorded.keys() if key[2] in pending} - kept
    said = {
        (*key[:2], str(row["annotator"]), _answer_in_words(row))
        for key, row in recorded.items()
        if row["status"] != WITHDRAWN
    }
    answered = {(*key[:2], _who(each), _given(each, answer)) for key, (_, each) in given.items()}
    last = rows.drop_duplicates(["id", "round"], keep="last")
    gone = set(zip(last.id[last.status == GONE], last["round"][last.status == GONE], strict=True))

    found = Part(name, len(given.keys() | recorded.keys()), waiting=len(waiting))
    found.surplus = [
        f"annotation {each['id']} is on task {task['id']}, which the loop has not made"
        for task in exported
        for each in task["annotations"]
        if not ask_of(task["data"])[0]
    ]
    for key in sorted(given.keys() - recorded.keys() - waiting):
        task, each = given[key]
        if key[0] in forgotten:
            found.surplus.append(f"item {key[0]}: task {task['id']} is there although the item was forgotten")
        elif (*key[:2], _who(each), _given(each, answer)) not in said:
            found.surplus.append(f"item {key[0]}: its annotation {key[2]} has no row")
    for key in sorted(recorded.keys() - given.keys() - waiting):
        row = recorded[key]
        elsewhere = (*key[:2], str(row["annotator"]), _answer_in_words(row)) in answered
        if row["status"] != WITHDRAWN and key[:2] not in gone and not elsewhere:
            found.missing.append(
                f"item {key[0]}: its annotation {key[2]} ({_answer_in_words(row)}) is not in Label Studio"
            )
    for key in sorted((given.keys() & recorded.keys()) - waiting):
        row, now = recorded[key], _given(given[key][1], answer)
        if row["status"] == WITHDRAWN:
            found.surplus.append(f"item {key[0]}: its annotation {key[2]} was withdrawn, and is in Label Studio")
        elif row["status"] not in NO_LABEL and now != _answer_in_words(row):
            found.changed.append(
                f"item {key[0]}: annotation {key[2]} says {now} in Label Studio, {_answer_in_words(row)} here"
            )
    doubled = known[known.duplicated()]
    found.surplus += [
        f"item {row['id']}: annotation {row['annotation_id']} twice" for row in doubled.to_dict("records")
    ]
    return found


def _key(row: Mapping[Any, Any]) -> Key:
    return str(row["id"]), int(row["round"]), int(row["annotation_id"])


def _answer_in_words(row: Mapping[Any, Any]) -> str:
    return "skipped" if row["status"] == "skipped" else repr(row["label"])


def _given(annotation: Mapping[str, Any], answer: Answer) -> str:
    return "skipped" if annotation["was_cancelled"] else repr(answer.parse(annotation["result"]))


def _edited(annotation: Mapping[str, Any], row: Mapping[Any, Any]) -> bool:
    """Whether it was touched after it was collected; if not, no other look would make the row say something else."""
    times = pd.Series([annotation.get("updated_at"), row["created_at"]], dtype="string")
    now, then = pd.to_datetime(times, utc=True, format="ISO8601", errors="coerce")
    return not now <= then  # also where one of them is unknown


def _who(annotation: Mapping[str, Any]) -> str:
    who = annotation.get("completed_by")
    return str(who["id"] if isinstance(who, dict) else who)
