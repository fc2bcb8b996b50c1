"""Stage `push`: bring the batch to the reviewers, once, whatever happened before."""

from typing import Any

import pandas as pd
import pyarrow.dataset as ds

from tasks.errors import ServiceDown
from tasks.items import stored
from tasks.labels import ledger
from tasks.records import tag
from tasks.services import label_studio
from tasks.services.label_studio import LabelStudioProject, choice
from tasks.settings import Settings
from tasks.workspace import Workspace


def tasks(
    batch: pd.DataFrame, texts: dict[str, str], round_number: int, prediction_shown: bool
) -> list[dict[str, Any]]:
    """Label Studio's import format for a batch, in order of rank; texts by item id."""
    made = []
    for row in batch.sort_values("rank").to_dict("records"):
        task: dict[str, Any] = {"data": {"text": texts[row["id"]], "item": row["id"], "round": round_number}}
        if prediction_shown and pd.notna(row["prediction"]):
            version = tag(round_number - 1)
            task["predictions"] = [
                {"model_version": version, "score": row["confidence"], "result": choice(row["prediction"])}
            ]
        made.append(task)
    return made


def push(project: LabelStudioProject, wanted: list[dict[str, Any]], round_number: int) -> int:
    """Import the tasks that the round lacks; returns how many. Doubles without an answer are removed.

    The count after the import catches a request of ours that was cut off but went through all the same. ServiceDown
    when not all arrived: what is there is found by the next try.
    """
    there: set[str] = set()
    if project.count(round_number):
        there = set(without_doubles(project, round_number).id)
    missing = [task for task in wanted if task["data"]["item"] not in there]
    if missing:
        project.add(missing)
        if project.count(round_number) != len(wanted):
            arrived = without_doubles(project, round_number).id.nunique()
            if arrived < len(wanted):
                raise ServiceDown(
                    f"Label Studio did not take the whole batch of round {round_number}",
                    expected=f"{len(wanted)} tasks",
                    got=str(arrived),
                    fix="run it again: it brings what is missing",
                )
    return len(missing)


def without_doubles(project: LabelStudioProject, round_number: int) -> pd.DataFrame:
    """The tasks of a round, one an item; of two, the one with an answer stays, else the older. The others are removed:
    imports that went through unheard."""
    found = project.tasks(round_number).sort_values(["answers", "task_id"], ascending=[False, True])
    doubled = found.duplicated("id") & (found.answers == 0)
    project.remove(found.task_id[doubled].tolist())
    return found[~doubled]


def read_texts(workspace: Workspace, ids: pd.Series) -> dict[str, str]:
    """The texts of these items, by id; the rest of the pool stays on disk."""
    pool = ds.dataset(stored.shards(workspace), format="parquet")
    found = pool.to_table(columns=["id", "text"], filter=ds.field("id").isin(ids.tolist())).to_pydict()
    return dict(zip(found["id"], found["text"], strict=True))


def open_project(settings: Settings) -> LabelStudioProject:
    """The workspace's project, whether it exists or not."""
    return LabelStudioProject(settings.project.name, settings.project.id)


def open_gold_project(settings: Settings) -> LabelStudioProject:
    """The project in which people give trusted labels, whether it exists or not."""
    return LabelStudioProject(settings.project.name, settings.project.id, "gold")


def run(workspace: Workspace, project: LabelStudioProject, news: str) -> str:
    """Bring data/batch.parquet to Label Studio; `news` is what the reviewers are told. Returns a line for people."""
    settings = workspace.settings
    number = ledger.current_round(workspace.labels) + 1
    batch = pd.read_parquet(workspace.batch)
    if project.settle() is None and number == 1:
        project.create(settings.classes, settings.push.show_prediction)
    wanted = tasks(batch, read_texts(workspace, batch.id), number, settings.push.show_prediction)
    version = tag(number - 1) if any("predictions" in task for task in wanted) else ""
    pushed = push(project, wanted, number)
    if number > 1:
        without_doubles(project, number - 1)  # an import may go through when its round is over
    # Each time, so that a push that was cut off leaves nothing undone; a version must have predictions to be shown.
    project.update(model_version=version, description=news)
    ours = project.offer(settings.classes)
    said = f"{pushed} tasks new, {len(wanted)} in round {number}" + ("" if ours else f" ({label_studio.NOT_OURS})")
    return f"{said}: {project.tab(number)}"
