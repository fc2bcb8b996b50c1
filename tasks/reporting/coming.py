"""The batch that is with the reviewers, or comes to them next. For the engineer: it says why each item is asked."""

import json
from dataclasses import asdict, dataclass

from labelwise.tasks import kinds
from labelwise.tasks.errors import WorkspaceError, quantity
from labelwise.tasks.items.stored import cells_by_id, contexts_by_id
from labelwise.tasks.kinds import context
from labelwise.tasks.labels import ledger, renamed
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace, read_parquet

SHOWN = 80  # characters of a text on the terminal


@dataclass(frozen=True)
class Asked:
    """An item of the batch. prediction, confidence: what the model thinks of it, None without a model. context: further
    columns that reviewers see, by name."""

    rank: int
    why: str
    prediction: str | None
    confidence: float | None
    id: str
    text: str
    context: dict[str, str]
    guess: str = ""  # the prediction, for people


def run(workspace: Workspace) -> tuple[int, list[Asked]]:
    """The number of the open batch's round, and its items in order. WorkspaceError before the first batch."""
    if not workspace.batch.exists():
        raise WorkspaceError(f"{workspace.root} has no batch yet", fix="`labelwise run` chooses the first one")
    batch = read_parquet(workspace.batch).sort_values("rank")
    batch = batch.assign(prediction=renamed.counting(batch.prediction, workspace.settings))
    item = kinds.item(workspace.settings.kind.item)
    kept = cells_by_id(workspace, batch.id) if len(batch) else {}
    contexts = contexts_by_id(workspace, batch.id) if len(batch) and workspace.settings.pull.columns.context else {}
    spoken = kinds.answer(workspace.settings.kind.answer).spoken
    known = batch.astype(object).where(batch.notna(), None).to_dict("records")
    return ledger.current_round(workspace.labels) + 1, [
        Asked(
            row["rank"],
            row["why"],
            row["prediction"],
            row["confidence"],
            row["id"],
            item.brief(kept[row["id"]]) if row["id"] in kept else "",
            context.unpacked(contexts.get(row["id"])),
            spoken(row["prediction"], kept.get(row["id"])) if row["prediction"] is not None else "",
        )
        for row in known
    ]


def as_json(number: int, asked: list[Asked]) -> str:
    """For a program. `context` stands there where there is some."""
    items = [
        {key: value for key, value in asdict(item).items() if key != "guess" and (value or key != "context")}
        for item in asked
    ]
    return json.dumps({"round": number, "items": items}, indent=2)


def lines(number: int, asked: list[Asked]) -> list[str]:
    """For people; texts are cut and safe to print."""
    if not asked:
        return ["nothing is left to ask"]
    return [f"round {number}: {quantity(len(asked), 'item')}"] + [
        f"{item.rank:>4}  {plain(item.why, 12):<12}  {_thought(item):<28}  {item.id}  {plain(item.text, SHOWN)}"
        + (f"  ({plain(context.brief(item.context), SHOWN)})" if item.context else "")
        for item in asked
    ]


def _thought(item: Asked) -> str:
    return f"{plain(item.guess, 20)} ({item.confidence or 0:.0%})" if item.guess else ""
