"""Tombstones: which items were forgotten, and when. Never what they said.

data/forgotten.csv is in git, so that a tombstone and the version without the item are one commit. An item is known
again by its id, and in another form (a text in another case or with other white space) by the hash of what is compared,
see `Content.fold`.
"""

from pathlib import Path

import pandas as pd

from labelwise.tasks.kinds import Content, text
from labelwise.tasks.records import content_id, number_of
from labelwise.tasks.workspace import Workspace, table_of_text, write_csv

# forgotten_at: ISO 8601, UTC. held, learned: the first and the last round whose data has it, whose model learned it.
COLUMNS = ["id", "fold", "forgotten_at", "held", "learned"]


def place(workspace: Workspace) -> Path:
    """The file of the tombstones."""
    return workspace.root / "data" / "forgotten.csv"


def read(workspace: Workspace) -> pd.DataFrame:
    """All tombstones (COLUMNS, all cells text)."""
    path = place(workspace)
    return table_of_text(path)[COLUMNS] if path.exists() else pd.DataFrame(columns=COLUMNS, dtype=object)


def ids(workspace: Workspace) -> set[str]:
    """The ids of all forgotten items."""
    return set(read(workspace).id)


def rounds_of(span: str) -> range:
    """The rounds that a tombstone names in `held` or `learned`.

    >>> list(rounds_of("round-0001 to round-0003")), list(rounds_of("round-0002")), list(rounds_of(""))
    ([1, 2, 3], [2], [])
    """
    numbers = [number_of(name) for name in span.split(" to ") if name]
    return range(numbers[0], numbers[-1] + 1) if numbers else range(0)


def bury(workspace: Workspace, rows: pd.DataFrame) -> None:
    """Add tombstones (COLUMNS)."""
    write_csv(place(workspace), pd.concat([read(workspace), rows[COLUMNS]], ignore_index=True))


def fold(cell: str, item: Content = text) -> str:
    """The hash by which an item is known again in another form."""
    return content_id(item.fold(cell))


def without(rows: pd.DataFrame, folds: set[str], item: Content = text) -> tuple[pd.DataFrame, int]:
    """The rows (of items) that were not forgotten, and how many were. folds: of the tombstones."""
    if not folds:
        return rows, 0
    gone = rows[item.COLUMN].map(lambda cell: isinstance(cell, str) and fold(cell, item) in folds).astype(bool)
    return rows[~gone].reset_index(drop=True), int(gone.sum())
