"""Stage `snapshot`: make what happened durable. The labels of a batch go into the ledger before any training starts;
model, metrics and the next batch follow, under a tag of their own."""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.items import stored, suites
from labelwise.tasks.items.suites import check_labels
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.labels import annotations, changes, escalated, ledger
from labelwise.tasks.labels.ledger import OVERLAP
from labelwise.tasks.records import LABELS, RUN
from labelwise.tasks.records import tag as tag  # by this name flows know it
from labelwise.tasks.services.expectations import Page, build_docs
from labelwise.tasks.services.label_studio.exported import ROUND_OF_ESCALATED, ask_of
from labelwise.tasks.services.label_studio.project import LabelStudioProject
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, read_parquet, write_parquet

ASK = ["id", "round", "why", "propensity"]


@dataclass(frozen=True)
class Collected:
    """What a look at Label Studio brought: rows (LABELS) for the ledger; answers that cannot count, with `reason`.

    strange: annotations of tasks that we never asked, which are left alone. joining: rows (POOL) of items that the pool
    lacks, which the model at work gave to people.
    """

    rows: pd.DataFrame
    refused: pd.DataFrame
    page: Page
    strange: int = 0
    joining: pd.DataFrame | None = None


def collect(
    exported: list[dict[str, Any]], asks: pd.DataFrame, answer: Answer = choice, cells: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """A row (LABELS, and `import_id`) for each annotation of the tasks that we asked.

    exported: tasks with annotations, as Label Studio exports them. asks: columns id, round, why, propensity. cells: the
    items as they are kept, by id, where a label names places in them.
    """
    known = {(row["id"], row["round"]): row for row in asks.to_dict("records")}
    rows = [
        _blank(known[ask] | {"task_id": task["id"]})
        | annotations.said(annotation, answer, (cells or {}).get(ask[0]))
        | {"import_id": annotation.get("import_id")}
        for task in exported
        if (ask := ask_of(task["data"])) in known
        for annotation in task["annotations"]
    ]
    numbers = pd.array([row["import_id"] for row in rows], dtype="Int64")
    return _frame(rows).assign(import_id=numbers)


def sift(rows: pd.DataFrame, classes: list[str], asked_ids: Iterable[str], answer: Answer = choice) -> Collected:
    """Rows for the ledger; those that break a rule of its suite say `refused`, and are given with their reason too."""
    checked = check_labels(rows, classes, set(asked_ids), answer)
    refusals = checked.refusals
    bad = rows.index.isin(list(refusals))
    refused = rows[bad].assign(reason=[refusals[position].reason for position in rows.index[bad]])
    known = rows.assign(label=rows.label.mask(bad), status=rows.status.mask(bad, "refused"))
    return Collected(known, refused, checked.page)


def unanswered(asked: pd.DataFrame, collected: pd.DataFrame) -> pd.DataFrame:
    """A row (LABELS) for each item asked in this round that nobody has answered, so that every ask leaves a trace."""
    said = set(zip(collected["id"], collected["round"], strict=True))
    silent = asked[[ask not in said for ask in zip(asked["id"], asked["round"], strict=True)]].drop_duplicates("id")
    return _frame([_blank(row) | {"status": "unanswered"} for row in silent.to_dict("records")])


def run_labels(workspace: Workspace, versions: Versions, project: LabelStudioProject) -> str:
    """Bring all that is new into the ledger as the next shard; commit and push it. Returns a line for people."""
    number = ledger.current_round(workspace.labels) + 1
    collected = look(workspace, project)
    _set_aside(workspace, number, collected)
    build_docs(workspace.scraps / "data_docs", [collected.page])
    if collected.joining is not None:
        escalated.join(workspace, collected.joining)  # first: a label of an item that is not there could not be learned
    ledger.append(workspace.labels, number, collected.rows)
    said = save_labels(workspace, versions)
    return said + (f"; {n} answers to tasks we never asked are left alone" if (n := collected.strange) else "")


def look(workspace: Workspace, project: LabelStudioProject) -> Collected:
    """What the ledger lacks: answers to this round's batch, and whatever was done to tasks of earlier rounds since.

    Only tasks that were touched since the last look are read. The overlap makes up for what was being written during
    that look; what comes twice is known again.
    """
    rows = ledger.read(workspace.labels)
    number = ledger.current_round(workspace.labels) + 1
    asked = read_parquet(workspace.batch).merge(project.tasks(number), on="id", how="left").assign(round=number)
    earlier = ledger.asks(rows)
    before = ledger.last_look(rows)
    touched = project.touched(None if before is None else before - OVERLAP)
    late = _escalated(project, earlier, workspace.settings.select.finish is not None)
    seen = pd.concat([touched, late])[touched.columns].drop_duplicates("task_id")
    sent, joining, cells = _sent(workspace, project, seen)
    parts = [earlier[ASK], asked[ASK], *([sent[ASK]] if len(sent) else [])]
    asks = pd.concat(parts, ignore_index=True).drop_duplicates(["id", "round"])
    answered = asked[asked.answers > 0].assign(updated_at=None)  # whatever the clocks say
    seen = pd.concat([seen, answered])[touched.columns].drop_duplicates("task_id")
    ours = seen.merge(asks[["id", "round"]], on=["id", "round"])
    exported = project.answered(_tasks_of(ours, rows))
    answer, classes = kinds.answer(workspace.settings.kind.answer), workspace.settings.answerable
    cells |= stored.cells_by_id(workspace, asks.id) if answer.PLACES else {}
    said = sift(collect(exported, asks, answer, cells), classes, asks.id, answer)
    new = changes.news(rows, said.rows, ours)
    gone = changes.gone(earlier[earlier["round"] > 0], project.count_between, project.tasks)
    silent = unanswered(asked, said.rows)
    found = pd.concat([part for part in (gone, new, silent) if len(part)] or [LABELS.frame()], ignore_index=True)
    refused = said.refused[said.refused.index.isin(new.index)].reset_index(drop=True)
    others = ~seen.task_id.isin(ours.task_id) & ~((seen["round"] == ROUND_OF_ESCALATED) & (seen.id != ""))
    return Collected(found, refused, said.page, int(seen.answers[others].sum()), joining)


def _escalated(project: LabelStudioProject, earlier: pd.DataFrame, finishing: bool) -> pd.DataFrame:
    """The answered tasks of what the model at work gave to people that no round has taken in, whenever they were
    answered: while a pool is being finished it is the pool of then, and these wait."""
    if finishing or not project.count(ROUND_OF_ESCALATED):
        return pd.DataFrame()
    found = project.tasks(ROUND_OF_ESCALATED)
    known = earlier.id[earlier["round"] == ROUND_OF_ESCALATED]
    return found[(found.answers > 0) & ~found.id.isin(known)].assign(round=ROUND_OF_ESCALATED, updated_at=None)


def _sent(
    workspace: Workspace, project: LabelStudioProject, seen: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame | None, dict[str, str]]:
    """Of the tasks seen those that the model at work gave to people: asks (ASK) of them, the rows that the pool lacks,
    and the cells."""
    sent = seen[(seen["round"] == ROUND_OF_ESCALATED) & (seen.id != "") & (seen.answers > 0)]
    if sent.empty or workspace.settings.select.finish:
        return pd.DataFrame(columns=ASK), None, {}
    cells = escalated.cells_of(workspace, project.answered(sent.task_id.tolist()))
    new, accepted = escalated.joining(workspace, cells)
    return escalated.asks(accepted), new, cells


def _tasks_of(seen: pd.DataFrame, rows: pd.DataFrame) -> list[int]:
    """The numbers of these tasks, and of all others that the ledger has for the same asks."""
    same = rows[["id", "round", "task_id"]].dropna().merge(seen[["id", "round"]].drop_duplicates(), on=["id", "round"])
    return sorted({*seen.task_id.astype(int), *same.task_id.astype(int)})


def save_labels(workspace: Workspace, versions: Versions) -> str:
    """Commit the ledger and send it to the DVC remote: from here on no label can be lost with this machine."""
    number = ledger.current_round(workspace.labels)
    counts = read_parquet(ledger.shard(workspace.labels, number)).status.value_counts()
    parts = [f"{counts.get('labelled', 0)} labels"]
    parts += [f"{counts[word]} {word}" for word in suites.STATUSES if word in counts and word != "labelled"]
    versions.add()
    versions.save(f"round {number}: {', '.join(parts)}")
    versions.push()
    return ", ".join(parts)


def recover(workspace: Workspace, versions: Versions) -> None:
    """Finish what a loop that died had begun to save. All else it had begun is found by the stages themselves."""
    if versions.uncommitted("data/labels"):
        save_labels(workspace, versions)
    versions.push()
    finish_round(workspace, versions)


def finish_round(workspace: Workspace, versions: Versions) -> None:
    """Tag the round that a loop committed and died before it tagged it: to play it again would commit it twice."""
    number = ledger.current_round(workspace.labels)
    said = versions.message("HEAD").splitlines()[0]
    if re.fullmatch(rf"round {number}: .*, asks \d+", said) and not versions.changes():
        versions.save(said, tag(number))


def run_round(workspace: Workspace, versions: Versions, score: str, run_id: str) -> str:
    """Commit and tag a round that is complete, and send it to the DVC remote. Returns a line for people."""
    number = ledger.current_round(workspace.labels)
    asks = len(read_parquet(workspace.batch))
    message = f"round {number}: {score}, asks {asks}"
    versions.save(f"{message}\n\n{RUN}: {run_id}" if run_id else message)
    versions.push()
    versions.save(message, tag(number))
    return message


def _blank(asked: dict[Hashable, Any]) -> dict[str, Any]:
    """A ledger row that says only what was asked."""
    nothing = {"label": None, "annotator": None, "annotation_id": None, "lead_time_s": np.nan, "created_at": None}
    origin = "asked" if asked["round"] != ROUND_OF_ESCALATED else escalated.ORIGIN
    return {key: asked[key] for key in ("id", "round", "why", "propensity", "task_id")} | nothing | {"origin": origin}


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return LABELS.conform(pd.DataFrame(rows, columns=list(LABELS.columns)))


def _set_aside(workspace: Workspace, number: int, collected: Collected) -> None:
    """Keep, with a reason, the answers that do not count and the items skipped too often."""
    rows = pd.concat([ledger.read(workspace.labels), collected.rows], ignore_index=True)
    newly = rows[rows.id.isin(ledger.set_aside(rows)) & rows.id.isin(collected.rows.id)]
    dropped = newly.drop_duplicates("id", keep="last").assign(reason="asked twice and came to nothing")
    kept = pd.concat([dropped, collected.refused])
    if len(kept):
        write_parquet(workspace.quarantine / f"labels-{number:04d}.parquet", kept)
