"""Items that the model at work gave to people, and what becomes of their answers: they are labels like any other, and
their items join the pool. No round asked for them, so they stand in round 0, with `why` escalated and no propensity.

Label Studio holds them until a round takes them in: a task says its item, the cell of it, and round 0.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.items import forgotten, sifting, stored, suites
from labelwise.tasks.records import POOL
from labelwise.tasks.services import expectations
from labelwise.tasks.services.label_studio.exported import ROUND_OF_ESCALATED, ask_of
from labelwise.tasks.workspace import Workspace, write_parquet

WHY = ORIGIN = "escalated"
CELL = "cell"  # in a task's data: the item as the tables keep it


def cells_of(workspace: Workspace, exported: list[dict[str, Any]]) -> dict[str, str]:
    """The cells of escalated tasks by item. A task whose cell is no such item is left out: somebody else made it."""
    item = kinds.item(workspace.settings.kind.item)
    found = {}
    for task in exported:
        name, number = ask_of(task["data"])
        cell = task["data"].get(CELL)
        if number == ROUND_OF_ESCALATED and isinstance(cell, str) and item.identify(cell) == name:
            found[name] = cell
    return found


def joining(workspace: Workspace, cells: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """Of these items, by id, the rows (POOL) that the pool lacks and may have, by the rules of a pull; and the ids of
    all that are in it then. The others are gold, were forgotten, or break a rule."""
    settings = workspace.settings
    item = kinds.item(settings.kind.item)
    rows = pd.DataFrame({item.COLUMN: list(cells.values())}, dtype=object).assign(source_id=None)
    if not len(rows):
        return POOL.holding(item.COLUMN).frame(), []
    rows = forgotten.without(rows, set(forgotten.read(workspace).fold), item)[0]
    suite = suites.pool(settings.pull.max_chars, 1.0, item)
    refused = expectations.refusals(suite, suites.measured(rows, item=item)) if len(rows) else {}
    gold = set(map(item.fold, stored.gold(workspace)[item.COLUMN]))
    seen = stored.pool(workspace)
    new = sifting.new_pool(rows, refused, gold, seen, item).new
    there = seen.stored.has(list(cells))
    return new, [*new["id"], *(name for name, known in zip(cells, there, strict=True) if known)]


def asks(ids: list[str]) -> pd.DataFrame:
    """A row for each item as for an ask of the loop: id, round, why, propensity."""
    return pd.DataFrame({"id": ids, "round": ROUND_OF_ESCALATED, "why": WHY, "propensity": float("nan")})


def join(workspace: Workspace, rows: pd.DataFrame) -> None:
    """Add rows to the pool, as a shard of their own."""
    if len(rows):
        write_parquet(stored.next_shard(workspace)[0], rows, POOL.holding(stored.column_of(workspace)))
