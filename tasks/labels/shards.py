"""Tables that lie beside the ledger's own, in append-only shards of one name and a number: `seeds-0001.parquet`."""

import re
from pathlib import Path

import pandas as pd

from labelwise.tasks.records import Schema
from labelwise.tasks.workspace import Workspace, write_parquet


def there(workspace: Workspace, prefix: str) -> list[Path]:
    """The files whose names begin so, oldest first."""
    return sorted(workspace.labels.glob(f"{prefix}*.parquet"))


def append(workspace: Workspace, prefix: str, rows: pd.DataFrame, table: Schema) -> Path:
    """Add one. Returns it."""
    numbers = (int(found[1]) for path in there(workspace, prefix) if (found := re.search(r"-(\d+)$", path.stem)))
    path = workspace.labels / f"{prefix}{max(numbers, default=0) + 1:04d}.parquet"
    write_parquet(path, rows, table)
    return path
