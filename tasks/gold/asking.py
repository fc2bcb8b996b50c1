"""Trusted labels: draw items for them (`labelwise gold grow`), put doubtful gold before people (`gold review`), and
take in what people say (`gold collect`, and the loop's stage `pull`)."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from labelwise.tasks import figures, kinds
from labelwise.tasks.errors import InputError, WorkspaceError, quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import Answer, choice, context
from labelwise.tasks.labels import annotations, ledger, removed, renamed
from labelwise.tasks.labels.ledger import OVERLAP
from labelwise.tasks.records import ANSWERS, ASKED
from labelwise.tasks.services import player
from labelwise.tasks.services.label_studio.delivery import deliver
from labelwise.tasks.services.label_studio.exported import ask_of
from labelwise.tasks.services.label_studio.project import LabelStudioProject, open_gold_project
from labelwise.tasks.services.patience import Tell, patient
from labelwise.tasks.services.versions import differences
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace, claimed, read_parquet

BRIEF = (
    "Trusted labels, which models are measured by. Each {item} is answered by two people who do not see each other's "
    "answer; where they differ, it is asked again. No model has a say here."
)


@dataclass(frozen=True)
class GoldCounts:
    """How the gold set stands. own: rows of the user's; grown: drawn items that count; coming: drawn ones that do not
    yet; open, disputed: items people must still answer; aside: items nobody could decide; lapsed: items whose label is
    by a class that no longer exists."""

    own: int
    grown: int
    coming: int
    open: int
    disputed: int
    aside: int
    lapsed: int = 0

    def __str__(self) -> str:
        """
        >>> str(GoldCounts(100, 20, 30, 3, 1, 2))
        '100 own, 20 grown, 30 to come (3 open, 1 disputed), 2 set aside: nobody could decide them'
        """
        line = f"{self.own:,} own, {self.grown:,} grown"
        if self.coming or self.open or self.disputed:
            line += f", {self.coming:,} to come ({self.open:,} open, {self.disputed:,} disputed)"
        line += f", {self.aside:,} set aside: nobody could decide them" if self.aside else ""
        return line + (f", {self.lapsed:,} set aside: of classes that there are no more" if self.lapsed else "")


def counts(workspace: Workspace) -> GoldCounts:
    """Where the gold set stands, by what has been collected."""
    seen = trusted.seen(workspace)
    drawn = trusted.complete(seen)
    states = seen.state.value_counts()
    there = workspace.gold.exists()
    own = read_parquet(workspace.gold, columns=["id"]).id if there else pd.Series(dtype="string")
    return GoldCounts(
        own=int(own.isin(trusted.gold(workspace).id).sum()) if there else 0,
        grown=int(drawn.verdict.notna().sum()),
        coming=int((seen.why == trusted.GROWN).sum()) - len(drawn),
        open=int(states.get("open", 0)),
        disputed=int(states.get("disputed", 0)),
        aside=int(states.get("set aside", 0)),
        lapsed=len(trusted.lapsed(workspace)),
    )


def standing(workspace: Workspace) -> str:
    """Where the gold set stands, and what it lacks to measure by, in words."""
    lack = trusted.too_few(workspace)
    return f"{counts(workspace)}; {lack}" if lack else str(counts(workspace))


def grow(
    workspace: Workspace, n: int, project: LabelStudioProject, number: int | None = None, of: str | None = None
) -> str:
    """Draw n items and bring them to the gold project. number: of the ask, for one that has been begun; None: the next.
    of: the class whose F1 they are to tell most of; None: they are for `evaluate.measure`. Returns a line for people.
    """
    from labelwise.tasks.gold import drawing  # which learns; status looks in here, too

    by = drawing.opinion(workspace, of)

    def choose(number: int) -> pd.DataFrame:
        found = drawing.draw(by, trusted.drawn(workspace), n, workspace.settings)
        cells = found.id.map(stored.cells_by_id(workspace, found.id))
        blank = {"source_id": None, "label": None, "ask": number, "why": trusted.GROWN}
        drawn = found.assign(**{stored.column_of(workspace): cells}, **blank)
        return drawn.merge(stored.beside(workspace, found.id), on="id", how="left")

    said = _ask(workspace, project, choose, number)
    return "; ".join([said, *drawing.expected(workspace, by)])


def review(workspace: Workspace, n: int, project: LabelStudioProject, number: int | None = None) -> str:
    """Put n gold rows of the user's before people: first those of classes that no longer exist, then those that the
    model is surest to be labelled wrongly. number: as for `grow`. Returns a line for people."""
    predictions = figures.predictions(workspace)
    if predictions.empty and trusted.lapsed(workspace).empty:
        raise WorkspaceError(f"{workspace.root} has no model yet that could doubt its gold set", fix="`labelwise run`")
    predictions = predictions.reindex(columns=["id", "actual", "predicted", "confidence"])

    def choose(number: int) -> pd.DataFrame:
        own = read_parquet(workspace.gold)
        asked = trusted.asked(workspace).id
        names = predictions[["actual", "predicted"]].apply(renamed.today, settings=workspace.settings)
        contradicted = predictions[names.predicted != names.actual]
        lapsed = trusted.lapsed(workspace)
        lapsed = lapsed[lapsed.isin(own.id) & ~lapsed.isin(asked)]
        contradicted = contradicted[contradicted.id.isin(own.id) & ~contradicted.id.isin([*asked, *lapsed])]
        if not 1 <= n <= len(lapsed) + len(contradicted):
            of_before = f"{len(lapsed):,} of classes that there are no more, and " if len(lapsed) else ""
            raise InputError(
                "gold review",
                expected=f"1 to {quantity(len(lapsed) + len(contradicted), 'row')}, {of_before}"
                "which the model contradicts and nobody has reviewed",
                got=f"{n:,}",
            )
        surest = contradicted.assign(confidence=contradicted.confidence.astype(float))
        surest = surest.sort_values("confidence", ascending=False, kind="stable")
        surest = pd.concat([pd.DataFrame({"id": lapsed, "confidence": np.nan}), surest[["id", "confidence"]]]).head(n)
        nothing = dict.fromkeys(("turn", "propensity", "among"))
        rows = own.set_index("id").loc[surest.id.tolist()].reset_index()
        doubts = surest.confidence.to_numpy()
        return rows.assign(ask=number, why=trusted.REVIEW, doubt=doubts, **nothing)

    return _ask(workspace, project, choose, number)


def collect(workspace: Workspace, project: LabelStudioProject) -> str:
    """Take in what people have said since the last look, and ask one more person where they differ. Returns a line for
    people."""
    asked = trusted.asked(workspace)
    if asked.empty:
        return "nothing has been put up for trusted labels"
    anew = bring(workspace, project, asked)
    said = f"{_news_in_words(take_in(workspace, project, asked))}: {counts(workspace)}"
    return said + (f"; {anew:,} were gone from Label Studio and are asked anew" if anew else "")


def take_in(workspace: Workspace, project: LabelStudioProject, asked: pd.DataFrame) -> pd.DataFrame:
    """Keep what people have said, changed or withdrawn since the last look, and ask one more person where they differ.
    Returns what is new (ANSWERS). Once all is decided only tasks touched since then are read."""
    known = trusted.answers(workspace)
    before = None if _awaited(trusted.seen(workspace)).any() else ledger.last_look(known)
    touched = project.touched(None if before is None else before - OVERLAP)
    tasks = touched.merge(asked[["id", "ask"]].rename(columns={"ask": "round"}), on=["id", "round"])
    said = answered(
        project.answered(tasks.task_id.tolist()),
        asked,
        workspace.settings.answerable,
        kinds.answer(workspace.settings.kind.answer),
        cells_of(asked, workspace.settings),
    )
    new = news(said, known, tasks)
    if len(new):
        trusted.append(workspace, ANSWERS, new)
    seen = trusted.seen(workspace)
    more = seen[_awaited(seen) & (seen.wanted > trusted.AGREE)]
    for row in more.merge(tasks.drop_duplicates("id")[["id", "task_id"]], on="id").to_dict("records"):
        project.ask_again(int(row["task_id"]), int(row["wanted"]))
    return new


def answered(
    exported: list[dict[str, Any]],
    asked: pd.DataFrame,
    classes: list[str],
    answer: Answer = choice,
    cells: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Rows (ANSWERS) for all answers in the tasks that Label Studio exported. An answer with no label that is a class
    is `refused`: it is kept, and counts as a skip. Tasks that we never asked are left alone. cells: the items, by id,
    where a label names places in them."""
    known = set(zip(asked.id, asked.ask, strict=True))
    rows = []
    for task in exported:
        item, number = ask_of(task["data"])
        for one in task["annotations"] if (item, number) in known else []:
            row = annotations.said(one, answer, (cells or {}).get(item)) | {
                "id": item,
                "ask": number,
                "task_id": task["id"],
            }
            strange = row["status"] == "labelled" and not kinds.known(answer, row["label"], classes)
            rows.append(row | {"label": None, "status": "refused"} if strange else row)
    return ANSWERS.conform(pd.DataFrame(rows, columns=list(ANSWERS.columns)))


def cells_of(asked: pd.DataFrame, settings: Settings) -> dict[str, str]:
    """The items that were asked (ASKED), by id."""
    return dict(zip(asked["id"], asked[kinds.item(settings.kind.item).COLUMN], strict=True))


def bring(workspace: Workspace, project: LabelStudioProject, asked: pd.DataFrame) -> int:
    """Bring to the gold project, which is made where there is none, what it lacks of all that people must still answer;
    returns how many tasks."""
    settings = workspace.settings
    if project.settle() is None:
        project.create(
            kinds.interface_of(settings), answers=trusted.AGREE, description=BRIEF.format(item=settings.kind.item)
        )
    project.instruct(kinds.instructions_of(settings, BRIEF))
    project.offer(kinds.interface_of(settings))
    new = 0
    awaited = _awaited(trusted.seen(workspace, asked))
    for number in trusted.asks(asked):
        inside = asked.ask == number
        if project.count(number) != inside.sum():
            rows = asked[inside & awaited].to_dict("records")
            wanted = [{"data": _shown(row, settings) | {"item": row["id"], "round": number}} for row in rows]
            new += deliver(project, wanted, number)
    return new


def _shown(row: dict[Any, Any], settings: Settings) -> dict[str, str]:
    """What people see of an item (a row of ASKED)."""
    item = kinds.item(settings.kind.item)
    shown = item.task(row[item.COLUMN])
    if not settings.pull.columns.context:
        return shown
    beside = row.get("context")
    return shown | {context.NAME: context.as_html(beside if isinstance(beside, str) else None)}


def pull(workspace: Workspace) -> str:
    """What the loop does of it: take in answers, and say so where that cannot be though some are awaited. What was
    decided may be said otherwise later."""
    asked = trusted.asked(workspace)
    if asked.empty:
        return ""
    project = open_gold_project(workspace.settings)
    awaited = bool(_awaited(trusted.seen(workspace)).any())
    if project.found is None and not awaited:
        return ""
    if awaited:
        return collect(workspace, project)
    new = take_in(workspace, project, asked)
    return f"{_news_in_words(new)}: {counts(workspace)}" if len(new) else ""


def run_grow(workspace: Workspace, n: int, tell: Tell, of: str | None = None) -> str:
    """`labelwise gold grow N`, with `--for CLASS` or without."""
    words = shlex.join(["grow", str(n), *([] if of is None else ["--for", of])])
    return run_and_save(workspace, words, lambda here, project, number: grow(here, n, project, number, of), tell)


def run_review(workspace: Workspace, n: int, tell: Tell) -> str:
    """`labelwise gold review N`."""
    return run_and_save(workspace, f"review {n}", lambda here, project, number: review(here, n, project, number), tell)


def run_collect(workspace: Workspace, tell: Tell) -> str:
    """`labelwise gold collect`."""
    return run_and_save(workspace, "collect", lambda here, project, _number: collect(here, project), tell)


def run_and_save(
    workspace: Workspace, words: str, do: Callable[[Workspace, LabelStudioProject, int], str], tell: Tell
) -> str:
    """Do one of these, the command `labelwise gold WORDS`, in a workspace that no loop holds, and keep what came of it
    as a version. One that was cut off is continued: the same command again draws nothing again.

    do: gets the number of the ask that this command makes, if it makes one.
    """
    with claimed(workspace) as claim:
        versions = Versions(workspace.root)
        versions.clear()
        if claim.loop_unfinished:
            claim.refuse_unfinished()
        if claim.unfinished:
            versions.restore()
        differences.refuse_side_tracks(versions)
        play = player.entitled(workspace, versions, tell)
        removed.refuse(workspace, versions)
        command = f"gold {words}"
        if said := resume(workspace, versions, tell, again=claim.unfinished_command == command):
            tell(said)
        differences.refuse_strange_changes(versions)
        last = _last_ask(trusted.asked(workspace))
        number = last if (claim.unfinished_command, claim.unfinished_ask) == (command, last) else last + 1
        claim.begin(command=command, ask=number)
        project = open_gold_project(workspace.settings)
        try:
            line = patient(lambda: do(workspace, project, number), tell, met=False)
        except InputError:  # nothing was done, and given again it is refused again
            claim.end()
            raise
        keep(workspace, versions)
        patient(play.keep, tell)
    return line


def resume(workspace: Workspace, versions: Versions, tell: Tell, again: bool = False) -> str:
    """Go on with a command that was cut off: keep what it had written, and bring to people what it had drawn. again:
    whether that command is the one given now. Returns a line for people, '' when there is nothing of that kind."""
    added = versions.only_added("data/gold", f"{ASKED.name}-", f"{ANSWERS.name}-")
    if not added:
        return ""
    keep(workspace, versions)
    project = open_gold_project(workspace.settings)
    patient(lambda: bring(workspace, project, trusted.asked(workspace)), tell, met=False)
    said = f"a `labelwise gold` command did not end; kept {', '.join(added)} and gone on from there"
    return said if again else f"{said}: it need not be given again"


def keep(workspace: Workspace, versions: Versions) -> None:
    """Commit the gold set and send it to the DVC remote."""
    versions.add(["data/gold"])
    versions.save(f"gold: {counts(workspace)}", only=["data/gold.dvc", "data/.gitignore"])
    versions.push()


def _ask(
    workspace: Workspace, project: LabelStudioProject, choose: Callable[[int], pd.DataFrame], number: int | None
) -> str:
    """Write down what `choose` chooses for an ask, unless an earlier try has, then bring it to the project."""
    asked = trusted.asked(workspace)
    number = number or _last_ask(asked) + 1
    if number not in trusted.asks(asked):
        table = ASKED.holding(stored.column_of(workspace))
        trusted.append(workspace, table, table.conform(choose(number)))
        asked = trusted.asked(workspace)
    bring(workspace, project, asked)
    return (
        f"{quantity(int((asked.ask == number).sum()), 'item')} put up for trusted labels: {project.tab(number, 'Ask')}"
    )


def _last_ask(asked: pd.DataFrame) -> int:
    """The number of the last ask, 0 before the first."""
    return int(asked.ask.max()) if len(asked) else 0


def news(said: pd.DataFrame, known: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Rows (ANSWERS) that are not known: answers that are new or were changed, and those that their task holds no
    longer, as withdrawn. said: all that these tasks (task_id, updated_at) hold. A task that was deleted takes no answer
    back: who wants one gone deletes the annotation."""
    last = known.drop_duplicates(trusted.ANSWER, keep="last")
    before = said[trusted.ANSWER].merge(last[[*trusted.ANSWER, "label", "status"]], on=trusted.ANSWER, how="left")
    same = (before.label.fillna("") == said.label.fillna("")) & (before.status.fillna("") == said.status)
    held = last.set_index(trusted.ANSWER).index.isin(said.set_index(trusted.ANSWER).index)
    gone = last[~held & (last.status != trusted.WITHDRAWN)]
    gone = gone.merge(tasks[["id", "task_id", "updated_at"]], on=["id", "task_id"])
    gone = gone.assign(label=None, status=trusted.WITHDRAWN, created_at=gone.updated_at)
    return pd.concat([said[~same.to_numpy()], ANSWERS.conform(gone)], ignore_index=True)


def _awaited(seen: pd.DataFrame) -> "pd.Series[bool]":
    """Which of the items that were asked people must still answer."""
    return seen.state.isin(["open", "disputed"])


def _news_in_words(new: pd.DataFrame) -> str:
    withdrawn = int((new.status == trusted.WITHDRAWN).sum())
    return quantity(len(new) - withdrawn, "new answer") + (f", {withdrawn:,} withdrawn" if withdrawn else "")
