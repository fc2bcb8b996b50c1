"""Tombstones: which items were forgotten, and when. Never what they said.

data/forgotten.csv is in git, so that a tombstone and the version without the item are one commit. An item is known
again by its id, and in another case or with other white space by the hash of its text as it is compared
(records.folded).
"""

from pathlib import Path

import pandas as pd

from tasks.workspace import Workspace, table_of_text

COLUMNS = ["id", "fold", "forgotten_at"]  # forgotten_at: ISO 8601, UTC


def place(workspace: Workspace) -> Path:
    return workspace.root / "data" / "forgotten.csv"


def read(workspace: Workspace) -> pd.DataFrame:
    """All tombstones (COLUMNS, all cells text)."""
    path = place(workspace)
    return table_of_text(path)[COLUMNS] if path.exists() else pd.DataFrame(columns=COLUMNS, dtype=object)


def ids(workspace: Workspace) -> set[str]:
    """The ids of all forgotten items."""
    return set(read(workspace).id)
