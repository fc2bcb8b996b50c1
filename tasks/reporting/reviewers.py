"""The page for reviewers: what their labels did. People keep going when they see it. No money, and nobody's name."""

import re
from html import escape
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks import figures
from labelwise.tasks.errors import ServiceError, quantity
from labelwise.tasks.figures import ACCURACY
from labelwise.tasks.labels import ledger
from labelwise.tasks.proof import finishing
from labelwise.tasks.reporting import tables
from labelwise.tasks.reporting.page import Card, file_of, picture_links, render
from labelwise.tasks.reporting.rounds import achieved
from labelwise.tasks.reporting.tables import Table
from labelwise.tasks.services.label_studio.project import BatchProgress, labelling, open_project
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, atomic, read_parquet

MOST = 5  # examples
WAITING = re.compile('(<p class="warning open" id="open-batch">)[^\n]*(</p>)')  # in infra/reviewers.html


def write(workspace: Workspace, versions: Versions) -> Path:
    """Write the page of the present round beside its report; the file. WorkspaceError before the first round."""
    path = place(workspace)
    with atomic(path) as scratch:
        scratch.write_text(page(workspace, versions), encoding="utf-8")
    return path


def tell(workspace: Workspace, seen: BatchProgress, tab: str) -> Path | None:
    """Say on the present round's page how far its open batch is and where to answer it; the page, None where there is
    none. tab: the address of the batch's tab."""
    path = place(workspace)
    if not path.exists():
        return None
    left = seen.total - seen.answered
    where = escape(labelling(tab))
    more = f'Go on: <a href="{where}" target="_blank" rel="noopener">{where}</a>' if left else "Complete: thank you."
    said = f"Round {ledger.current_round(workspace.labels) + 1}: {seen}. {more}"
    written = path.read_text(encoding="utf-8")
    with atomic(path) as scratch:
        scratch.write_text(WAITING.sub(lambda found: f"{found[1]}{said}{found[2]}", written), encoding="utf-8")
    return path


def fresh(workspace: Workspace, versions: Versions) -> Path:
    """Write the page as things stand now, with how far the open batch is where Label Studio says it."""
    path = write(workspace, versions)
    number = ledger.current_round(workspace.labels) + 1
    try:
        project = open_project(workspace.settings, looking=True)
        if project.found is not None and (seen := project.progress(number)).total:
            tell(workspace, seen, project.tab_now(number, finishing.word(workspace.settings)))
    except ServiceError:
        pass  # the page says what is known here
    return path


def place(workspace: Workspace) -> Path:
    """The file of the present round's page. WorkspaceError before the first round."""
    return file_of(workspace, "-reviewers")


def page(workspace: Workspace, versions: Versions) -> str:
    """The page of the present round."""
    number = ledger.current_round(workspace.labels)
    rows = ledger.read(workspace.labels)
    known = figures.curve(workspace).dropna(subset="score")
    found = tables.changes(workspace, versions, number)
    return render(
        "reviewers.html",
        name=workspace.settings.project.name,
        round=number,
        date=tables.dates(versions).get(number, ""),
        verdict=opening(known, workspace.settings.measure.words),
        waiting=_waiting(workspace),
        cards=[_answers_card(rows), *_model_cards(known, found, workspace.settings.measure.words), _next(workspace)],
        measure=workspace.settings.measure.words,
        pictures=picture_links(workspace, "learning_curve"),
        learned=_examples(workspace, found, tables.gold_texts(workspace)),
        thanks="Thank you. Every answer counts, also one that comes late; where none fits, skip.",
    )


def opening(known: pd.DataFrame, measure: str = ACCURACY) -> str:
    """What the last labels did, in one sentence. known: the rounds that have a model."""
    if known.empty:
        return "Your answers train a model. The first ones make it."
    last = known.iloc[-1]
    right = f"{achieved(last.score, measure)} of cases it has never seen"
    if len(known) == 1:
        return f"With your first {quantity(int(last.labels), 'label')} {right}."
    before = known.iloc[-2]
    gained = int(last.labels - before.labels)
    if last.score > before.score and gained > 0:
        return f"Your last {quantity(gained, 'label')} took the model from {before.score:.1%} to {last.score:.1%}."
    return f"With your {quantity(int(last.labels), 'label')} {right}."


def _answers_card(rows: pd.DataFrame) -> Card:
    standing = ledger.not_withdrawn(rows)
    answers = standing[standing.annotation_id.notna() & (standing.status == "labelled")]
    last = int((answers["round"] == answers["round"].max()).sum()) if len(answers) else 0
    people = answers.annotator.nunique()
    skips = int((standing.status == "skipped").sum())
    return Card(
        "answers",
        f"{len(answers):,}",
        f"{last} of them in the last batch; {quantity(people, 'person has', 'people have')} answered"
        + (f"; {skips} skipped" if skips else ""),
        "good",
    )


def _model_cards(known: pd.DataFrame, found: pd.DataFrame | None, measure: str) -> list[Card]:
    if known.empty:
        return []
    last, first = known.iloc[-1], known.iloc[0]
    ends = f"95 % interval {last.low:.1%} to {last.high:.1%}"
    since = f"; {100 * (last.score - first.score):+.1f} points since the first batch" if len(known) > 1 else ""
    name = "the model is right in" if measure == ACCURACY else f"{measure} of the model"
    cards = [Card(name, f"{last.score:.1%}", ends + since)]
    if found is not None:
        right, wrong = int(found.right.sum()), int((~found.right).sum())
        said = f"that it got wrong before the last batch; {wrong} went the other way"
        cards.append(Card("cases it now gets right", str(right), said, "good" if right > wrong else ""))
    return cards


def _next(workspace: Workspace) -> Card:
    size = len(read_parquet(workspace.batch))
    if not size:
        return Card("to the next step", "done", "nothing is left to ask")
    wanted = ceil(workspace.settings.wait.quorum * size - 1e-9)
    return Card(
        "to the next step",
        quantity(wanted, "answer or skip", "answers or skips"),
        "then the model learns again, and this page tells what came of it",
    )


def _waiting(workspace: Workspace) -> str:
    """What the page says of the open batch until `tell` is told more."""
    size = len(read_parquet(workspace.batch))
    return f"Round {ledger.current_round(workspace.labels) + 1}: {size} to label" if size else "Nothing is left to ask."


def _examples(workspace: Workspace, found: pd.DataFrame | None, texts: dict[str, str]) -> Table:
    if found is None:
        return Table("", [], [])
    items: list[dict[Any, Any]] = found[found.right].head(MOST).to_dict("records")
    cells = [
        [
            texts.get(row["id"], ""),
            *(tables.said_of(workspace, row[when], tables.cell_of(texts, row["id"])) for when in ("before", "now")),
        ]
        for row in items
    ]
    head = [workspace.settings.kind.item, "it thought", "now it says, rightly"]
    return Table("What it learned from the last batch", head, cells, "Cases that it is measured by and never learns.")
