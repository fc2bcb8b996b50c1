"""Weak labels: what rules and language models say of items. They never outweigh a person, and never enter gold.

They lie beside the ledger, in append-only shards `weak-0001.parquet` (WEAK): what was said once is read ever after, and
a replay asks nobody. A later row of the same source and item takes the place of an earlier one; null as label says that
the source says nothing of it (any more).
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from labelwise.tasks.labels import renamed
from labelwise.tasks.labels.shards import append as add
from labelwise.tasks.labels.shards import there
from labelwise.tasks.records import WEAK
from labelwise.tasks.workspace import Workspace, read_parquet

PREFIX = "weak-"
NO_ITEM = ""
RULE, LLM = "rule:", "llm:"  # how the name of a source begins: a rule, a language model


def shards(workspace: Workspace) -> list[Path]:
    """The files, oldest first."""
    return there(workspace, PREFIX)


def append(workspace: Workspace, rows: pd.DataFrame) -> Path:
    """Add a shard. Returns it."""
    return add(workspace, PREFIX, rows, WEAK)


def every(workspace: Workspace, first: int | None = None) -> pd.DataFrame:
    """Each row ever written, in order. first: of so many shards alone."""
    return pd.concat([WEAK.frame(), *map(read_parquet, shards(workspace)[:first])], ignore_index=True)


def asked_before(workspace: Workspace) -> pd.DataFrame:
    """Each time that a language model was asked (WEAK with what is further of it), in order."""
    rows = every(workspace)
    rows = rows.reindex(columns=[*WEAK.columns, *WEAK.further])
    return rows[rows.source.str.startswith(LLM)]


def without(rows: pd.DataFrame, gone: Collection[str]) -> pd.DataFrame:
    """The rows of a shard without these items. What an answer cost stays known, in a row that names no item."""
    named = rows.id.isin(gone)
    paid = rows[named & (rows.reindex(columns=["cost"]).cost.astype(float) > 0)].assign(id=NO_ITEM, label=None)
    return WEAK.conform(pd.concat([rows[~named], paid], ignore_index=True))


def spent(workspace: Workspace) -> float:
    """What language models have cost so far, in `prove.currency`; of items that were forgotten since, too."""
    return float(every(workspace).reindex(columns=["cost"]).cost.astype(float).sum())


def held(workspace: Workspace) -> pd.DataFrame:
    """`read`, but while the pool is being finished what there was when that began: its model stays what it is."""
    plan = workspace.settings.select.finish
    return read(workspace, None if plan is None else plan.weak)


def read(workspace: Workspace, first: int | None = None) -> pd.DataFrame:
    """The weak labels that stand (id, label, source), in order of source and id, by the names that classes have today;
    without those of classes that no longer exist. first: see `every`."""
    rows = every(workspace, first).drop_duplicates(["source", "id"], keep="last")
    rows = rows.assign(label=renamed.counting(rows.label, workspace.settings))
    return rows.loc[rows.label.notna(), ["id", "label", "source"]].sort_values(["source", "id"], ignore_index=True)
