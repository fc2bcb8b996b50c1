"""Seeds: a few texts that people gave of a class, so that its first items are found. They say where to look, and that
is all: nothing is learned from them, and nothing measured by them.

They lie beside the ledger, in append-only shards `seeds-0001.parquet`: a text that was given, or its removal.
"""

from pathlib import Path

import pandas as pd

from labelwise.tasks.items import stored
from labelwise.tasks.labels.classes import Classes
from labelwise.tasks.labels.shards import append as add
from labelwise.tasks.labels.shards import there
from labelwise.tasks.records import SEEDS, Schema
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace, read_parquet

PREFIX = "seeds-"
GIVEN, REMOVED = "given", "removed"


def shards(workspace: Workspace) -> list[Path]:
    """The files, oldest first."""
    return there(workspace, PREFIX)


def append(workspace: Workspace, rows: pd.DataFrame) -> Path:
    """Add a shard. Returns it."""
    return add(workspace, PREFIX, rows, table(workspace))


def table(workspace: Workspace) -> Schema:
    """SEEDS, as this workspace keeps items."""
    return SEEDS.holding(stored.column_of(workspace))


def read(workspace: Workspace) -> pd.DataFrame:
    """The seeds that stand (SEEDS), in the order in which they were given, under the names that their classes have
    today; without those of classes that no longer exist."""
    parts = [read_parquet(path) for path in shards(workspace)]
    rows = pd.concat([table(workspace).frame(), *parts], ignore_index=True)
    named = rows["class"].map(_named(workspace.settings))
    rows = rows.assign(**{"class": named})[named.notna().to_numpy()]
    last = rows.drop_duplicates(["class", "id"], keep="last")
    return table(workspace).conform(last[last.status == GIVEN])


def _named(settings: Settings) -> dict[str, str | None]:
    """What each class that there is or was is called today; None where it no longer exists."""
    now = Classes.of(settings)
    return {name: now.today(name) for name in settings.answerable}
