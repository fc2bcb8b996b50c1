"""Stage `push`: bring the batch to the reviewers, once, whatever happened before."""

from typing import Any

import pandas as pd
import pyarrow.compute as pc

from labelwise.tasks.errors import ServiceDown
from labelwise.tasks.items import stored
from labelwise.tasks.labels import ledger, renamed
from labelwise.tasks.services.label_studio import project as label_studio
from labelwise.tasks.services.label_studio.project import LabelStudioProject, instructions, suggestion
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace, read_parquet, read_table

UNSWAYED = ("control", "gold", "relabel")  # whose answers count because no model has a say in them
SUGGESTS = "Where the model has an opinion, it stands below the text. It is often wrong: it asks what it is unsure of."


def tasks(
    batch: pd.DataFrame, texts: dict[str, str], round_number: int, prediction_shown: bool
) -> list[dict[str, Any]]:
    """Label Studio's import format for a batch, in order of rank; texts by item id."""
    made = []
    for row in batch.sort_values("rank").to_dict("records"):
        shown = prediction_shown and pd.notna(row["prediction"]) and row["why"] not in UNSWAYED
        said = suggestion(row["prediction"], row["confidence"]) if shown else ""
        data = {"text": texts[row["id"]], "item": row["id"], "round": round_number, "suggestion": said}
        made.append({"data": data})
    return made


def push(project: LabelStudioProject, wanted: list[dict[str, Any]], round_number: int) -> int:
    """Import the tasks that the round lacks; returns how many. Doubles without an answer are removed, and tasks without
    one suggest what is suggested now.

    The count after the import catches a request of ours that was cut off but went through all the same. ServiceDown
    when not all arrived: what is there is found by the next try.
    """
    there: set[str] = set()
    if project.count(round_number):
        found = without_doubles(project, round_number)
        there = set(found.id)
        _suggest(project, wanted, found[found.answers == 0])
    missing = [task for task in wanted if task["data"]["item"] not in there]
    if missing:
        project.add(missing)
        if project.count(round_number) != len(wanted):
            arrived = without_doubles(project, round_number).id
            lacking = sum(task["data"]["item"] not in set(arrived) for task in wanted)
            if lacking:
                raise ServiceDown(
                    f"Label Studio did not take the whole batch of round {round_number}",
                    expected=f"{len(wanted)} tasks",
                    got=str(len(wanted) - lacking),
                    fix="run it again: it brings what is missing",
                )
    return len(missing)


def _suggest(project: LabelStudioProject, wanted: list[dict[str, Any]], unanswered: pd.DataFrame) -> None:
    """Let these tasks suggest what they should: `push.show_prediction` may change while a batch is open, and batches of
    earlier versions have no suggestions."""
    suggested = {task["data"]["item"]: task["data"].get("suggestion", "") for task in wanted}
    for row in unanswered.to_dict("records"):
        said = suggested.get(row["id"], "")
        if row["data"].get("suggestion", "") != said:
            project.change(row["task_id"], row["data"] | {"suggestion": said})


def without_doubles(project: LabelStudioProject, round_number: int) -> pd.DataFrame:
    """The tasks of a round, one an item; of two, the one with an answer stays, else the older. The others are removed:
    imports that went through unheard."""
    found = project.tasks(round_number).sort_values(["answers", "task_id"], ascending=[False, True])
    doubled = found.duplicated("id") & (found.answers == 0)
    project.remove(found.task_id[doubled].tolist())
    return found[~doubled]


def read_texts(workspace: Workspace, ids: pd.Series) -> dict[str, str]:
    """The texts of these items, by id; the rest of the pool stays on disk."""
    asked = pc.field("id").isin(ids.tolist())
    found = [read_table(shard, ["id", "text"], asked).to_pydict() for shard in stored.shards(workspace)]
    return {item: text for part in found for item, text in zip(part["id"], part["text"], strict=True)}


def open_project(settings: Settings, looking: bool = False) -> LabelStudioProject:
    """The workspace's project, whether it exists or not. looking: for a look, see LabelStudioProject."""
    return LabelStudioProject(settings.project.name, settings.project.id, looking=looking)


def open_gold_project(settings: Settings) -> LabelStudioProject:
    """The project in which people give trusted labels, whether it exists or not."""
    return LabelStudioProject(settings.project.name, settings.project.id, "gold")


def run(workspace: Workspace, project: LabelStudioProject, news: str) -> str:
    """Bring data/batch.parquet to Label Studio; `news` is what the reviewers are told. Returns a line for people."""
    settings = workspace.settings
    number = ledger.current_round(workspace.labels) + 1
    batch = read_parquet(workspace.batch)
    batch = batch.assign(prediction=renamed.today(batch.prediction, settings.renamed))
    made = project.settle() is None
    if made:
        project.create(settings.classes)
    wanted = tasks(batch, read_texts(workspace, batch.id), number, settings.push.show_prediction)
    pushed = push(project, wanted, number)
    if number > 1:
        without_doubles(project, number - 1)  # an import may go through when its round is over
    # Each time, so that a push that was cut off leaves nothing undone. Predictions are those of earlier versions.
    project.update(description=news, show_collab_predictions=False)
    about = SUGGESTS if any(task["data"]["suggestion"] for task in wanted) else ""
    project.instruct(instructions(settings.classes, settings.descriptions, about))
    before, ours = project.choices(), project.offer(settings.classes)
    news_of_choices = label_studio.changed(before, settings.classes, settings.renamed) if ours else ""
    remarks = [
        *([news_of_choices] if news_of_choices else []),
        *(["the project was gone from Label Studio and is made anew"] if made and number > 1 else []),
        *([f"Label Studio calls the project {project.called!r}"] if project.called != project.title else []),
        *([] if ours else [label_studio.NOT_OURS]),
    ]
    said = f"{pushed} tasks new, {len(wanted)} in round {number}" + (f" ({'; '.join(remarks)})" if remarks else "")
    return f"{said}: {project.tab(number)}"
