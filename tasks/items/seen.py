"""Items as those see them who label by themselves: rules and language models."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.errors import InputError
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import context
from labelwise.tasks.settings import Kind
from labelwise.tasks.workspace import Workspace


def refuse_kind(kind: Kind, who: str, spans: bool = False) -> None:
    """InputError for a kind of item or answer that they cannot label. who: they, as the message begins; spans: whether
    they can mark parts of a text."""
    if kind.item == "image" or (kinds.answer(kind.answer).PLACES and not spans):
        marks = ", or whose parts are marked" if spans else ""
        raise InputError(
            f"{who}: {kind.item}, {kind.answer}",
            expected=f"texts or rows, of which one class is said or several{marks}",
        )


def seen(workspace: Workspace, ids: pd.Series) -> Iterator[dict[str, Any]]:
    """These items of the pool, each as `id`, `text` or `features`, `context` and `group`, see labels/rule.py."""
    cells = stored.cells_by_id(workspace, ids)
    beside = stored.beside(workspace, ids).set_index("id")
    groups = beside.group.dropna().to_dict() if "group" in beside else {}
    contexts = beside.context.dropna().to_dict() if "context" in beside else {}
    words = workspace.settings.kind.item == "text"
    for each in ids:
        own = {"text": cells[each]} if words else {"features": json.loads(cells[each])}
        more = {"context": context.unpacked(contexts.get(each)), "group": groups.get(each, "")}
        yield {"id": each, **own, **more}
