"""Stage `push`: bring the batch to the reviewers, once, whatever happened before."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.errors import quantity
from labelwise.tasks.items.stored import cells_by_id, contexts_by_id
from labelwise.tasks.kinds import Answer, Content, choice, context, text
from labelwise.tasks.labels import ledger, queues, renamed, roster
from labelwise.tasks.proof import finishing
from labelwise.tasks.services.label_studio.delivery import deliver, marked, without_doubles
from labelwise.tasks.services.label_studio.project import NOT_EXPERTS, NOT_OURS, WHOSE, LabelStudioProject, changed
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace, read_parquet

UNSWAYED = ("control", "gold", "relabel", "exam")  # whose answers count because no model has a say in them
SUGGESTS = (
    "Where the model has an opinion, it stands below the {item}. It is often wrong: it asks what it is unsure of."
)
MARKS = (
    "Where the model has an opinion, its marks are in the {item} when you open it: take back what is wrong and add "
    "what is missing. It is often wrong: it asks what it is unsure of."
)


def tasks(
    batch: pd.DataFrame,
    cells: dict[str, str],
    round_number: int,
    prediction_shown: bool,
    answer: Answer = choice,
    item: Content = text,
    contexts: Mapping[str, str] | None = None,
    whose: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Label Studio's import format for a batch, in order of rank. cells: the items, by id; contexts likewise, None
    where the interface shows none. hard: ids of items that are for experts. What a label marks in its item is marked
    in advance: to say it in words helps nobody."""
    made = []
    for row in batch.sort_values("rank").to_dict("records"):
        shown = prediction_shown and pd.notna(row["prediction"]) and row["why"] not in UNSWAYED
        said = answer.suggestion(row["prediction"], row["confidence"]) if shown else ""
        data = {**item.task(cells[row["id"]]), "item": row["id"], "round": round_number, "suggestion": said}
        beside = {} if contexts is None else {context.NAME: context.as_html(contexts.get(row["id"]))}
        marks = answer.result(row["prediction"], cells[row["id"]]) if answer.PLACES and shown else []
        before = {"predictions": [marked(marks, row["confidence"])] if marks else []} if answer.PLACES else {}
        theirs = {WHOSE: whose.get(row["id"], "")} if whose else {}
        made.append({"data": data | beside | theirs, **before})
    return made


def too_few(wanted: int, accounts: int) -> str:
    """What to say where fewer people can answer than are asked for."""
    there = quantity(accounts, "account")
    return f"people.overlap is {wanted}, and Label Studio has {there}: sign more people up there, or lower it"


def run(workspace: Workspace, project: LabelStudioProject, news: str) -> str:
    """Bring data/batch.parquet to Label Studio; `news` is what the reviewers are told. Returns a line for people."""
    settings = workspace.settings
    number = ledger.current_round(workspace.labels) + 1
    batch = read_parquet(workspace.batch)
    batch = batch.assign(prediction=renamed.counting(batch.prediction, settings))  # nothing is suggested but a class
    made = project.settle() is None
    if made:
        project.create(kinds.interface_of(settings))
    kind = kinds.answer(settings.kind.answer), kinds.item(settings.kind.item)
    contexts = contexts_by_id(workspace, batch.id) if settings.pull.columns.context else None
    labelling = roster.read(workspace)
    roster.refuse_strange(labelling, settings)
    accounts = project.accounts() if labelling else {}
    hard = queues.hard(workspace, batch) if roster.experts(labelling, accounts) else set()
    whose = queues.whose(batch, contexts or {}, hard, labelling, accounts, kind[0]) if labelling else {}
    cells, shown = cells_by_id(workspace, batch.id), settings.push.show_prediction
    wanted = tasks(batch, cells, number, shown, *kind, contexts, whose)
    pushed = deliver(project, wanted, number)
    alone = project.people == 1 or settings.select.finish is not None  # of an exam the first answer counts
    people = 1 if alone else project.share(number)
    if number > 1:
        without_doubles(project, number - 1)  # an import may go through when its round is over
    # Each time, so that a push that was cut off leaves nothing undone. Predictions are those of earlier versions.
    project.update(description=news, show_collab_predictions=kind[0].PLACES)
    about = (MARKS if kind[0].PLACES else SUGGESTS) if any(task["data"]["suggestion"] for task in wanted) else ""
    project.instruct(kinds.instructions_of(settings, about))
    before, ours = project.choices(), project.offer(kinds.interface_of(settings))
    news_of_choices = changed(before, kind[0].choices(settings.classes), settings.renamed) if ours else ""
    word = finishing.word(settings)
    parts = [(each, n) for each in queues.queues(labelling, accounts) if (n := project.count_for(each.whose, number))]
    tab = project.tab(number, word, [NOT_EXPERTS]) if whose else project.tab(number, word)
    remarks = [
        *([news_of_choices] if news_of_choices else []),
        *(["the project was gone from Label Studio and is made anew"] if made and number > 1 else []),
        *([f"Label Studio calls the project {project.called!r}"] if project.called != project.title else []),
        *([] if ours else [NOT_OURS]),
        *([f"{people} people an item"] if people > 1 else []),
        *([] if alone or people == project.people else [too_few(project.people, people)]),
        *(roster.strangers(labelling, accounts) if labelling else []),
        *(f"{n} for {plain(each.called, 60)}: {project.tab_for(each, number, word)}" for each, n in parts),
    ]
    said = f"{quantity(pushed, 'task')} new, {len(wanted)} in round {number}" + (
        f" ({'; '.join(remarks)})" if remarks else ""
    )
    return f"{said}: {tab}"
