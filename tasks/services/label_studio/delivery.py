"""Bring tasks to a project once each, whatever happened before."""

from typing import Any

import pandas as pd

from labelwise.tasks.errors import ServiceDown
from labelwise.tasks.services.label_studio.project import WHOSE, LabelStudioProject


def deliver(project: LabelStudioProject, wanted: list[dict[str, Any]], batch_number: int) -> int:
    """Import the tasks that the batch lacks; returns how many. Doubles without an answer are removed, and tasks without
    one suggest what is suggested now.

    The count after the import catches a request of ours that was cut off but went through all the same. ServiceDown
    when not all arrived: what is there is found by the next try.
    """
    there: set[str] = set()
    if project.count(batch_number):
        found = without_doubles(project, batch_number)
        there = set(found.id)
        _suggest(project, wanted, found[found.answers == 0])
    missing = [task for task in wanted if task["data"]["item"] not in there]
    if missing:
        project.add(missing)
        if project.count(batch_number) != len(wanted):
            arrived = without_doubles(project, batch_number).id
            lacking = sum(task["data"]["item"] not in set(arrived) for task in wanted)
            if lacking:
                raise ServiceDown(
                    f"Label Studio did not take the whole batch of round {batch_number}",
                    expected=f"{len(wanted)} tasks",
                    got=str(len(wanted) - lacking),
                    fix="run it again: it brings what is missing",
                )
    if any("predictions" in task for task in wanted):
        _mark(project, wanted, batch_number)
    return len(missing)


def marked(result: list[dict[str, Any]], confidence: float) -> dict[str, Any]:
    """What a model marks in an item, as a prediction of Label Studio's. All have one version: it shows those of one."""
    return {"model_version": "labelwise", "score": float(confidence), "result": result}


def _mark(project: LabelStudioProject, wanted: list[dict[str, Any]], batch_number: int) -> None:
    """Let tasks without an answer have the marks that they should: a busy server takes tasks without them, and
    `push.show_prediction` may change while a batch is open."""
    marks = {task["data"]["item"]: task.get("predictions", []) for task in wanted}
    found, there = project.tasks(batch_number), project.predictions(batch_number)
    for row in found[found.answers == 0].to_dict("records"):
        own = marks.get(row["id"], [])
        if there.get(row["task_id"], []) != [each["result"] for each in own]:
            project.predict(row["task_id"], own)


def _suggest(project: LabelStudioProject, wanted: list[dict[str, Any]], unanswered: pd.DataFrame) -> None:
    """Let these tasks suggest what they should, and be for whom they should: `push.show_prediction` and people.yaml may
    change while a batch is open, and batches of earlier versions have no suggestions."""
    data = {task["data"]["item"]: task["data"] for task in wanted}
    for row in unanswered.to_dict("records"):
        now, own = row["data"], data.get(row["id"], {})
        should = {"suggestion": own.get("suggestion", "")}
        if WHOSE in own or now.get(WHOSE):
            should[WHOSE] = own.get(WHOSE, "")
        if {"suggestion": ""} | {key: now.get(key) for key in should if key in now} != should:
            project.change(row["task_id"], now | should)


def without_doubles(project: LabelStudioProject, batch_number: int) -> pd.DataFrame:
    """The tasks of a batch, one an item; of two, the one with an answer stays, else the older. The others are removed:
    imports that went through though no answer came."""
    found = project.tasks(batch_number).sort_values(["answers", "task_id"], ascending=[False, True])
    doubled = found.duplicated("id") & (found.answers == 0)
    project.remove(found.task_id[doubled].tolist())
    return found[~doubled]
