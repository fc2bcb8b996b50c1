"""The label ledger: every annotation ever given, append-only, one Parquet shard a round.

The number of the last shard is the round the workspace is in: `round-0000.parquet` is made empty by `labelwise init`,
each later one holds what a batch brought. Everything else about labels is derived from these rows.
"""

import re
from pathlib import Path

import pandas as pd

from tasks.errors import WorkspaceError
from tasks.records import LABELS
from tasks.workspace import write_parquet

RETURNS = 1  # how often an item may come to nothing (skipped, or an answer that cannot count) and be asked again
NOTHING = ("skipped", "refused")

_SHARD = re.compile(r"round-(\d{4,})\.parquet")


def shard(folder: Path, number: int) -> Path:
    """The file of one round."""
    return folder / f"round-{number:04d}.parquet"


def current_round(folder: Path) -> int:
    """The number of rounds whose labels are in. WorkspaceError when a shard is missing in between."""
    numbers = sorted(int(m[1]) for path in folder.glob("round-*.parquet") if (m := _SHARD.fullmatch(path.name)))
    if numbers != list(range(len(numbers))) or not numbers:
        raise WorkspaceError(
            f"{folder} lacks a round",
            expected="round-0000 and on",
            got=str(numbers),
            fix="`dvc checkout data/labels.dvc`",
        )
    return numbers[-1]


def append(folder: Path, number: int, rows: pd.DataFrame) -> None:
    """Add the shard of round `number`. FileExistsError when it is there: a row is never edited."""
    path = shard(folder, number)
    if path.exists():
        raise FileExistsError(path)
    write_parquet(path, rows, LABELS)


def read(folder: Path) -> pd.DataFrame:
    """All rows (LABELS), in the order in which they came in."""
    return pd.concat([pd.read_parquet(shard(folder, n)) for n in range(current_round(folder) + 1)], ignore_index=True)


def read_by_shard(folder: Path) -> pd.DataFrame:
    """All rows with the column `shard`: the number of the round in which a row came in."""
    numbers = range(current_round(folder) + 1)
    return pd.concat([pd.read_parquet(shard(folder, n)).assign(shard=n) for n in numbers], ignore_index=True)


def effective(ledger: pd.DataFrame) -> pd.DataFrame:
    """The label that counts for each item: columns `id`, `label`, `round`, `why`, in order of id. The latest
    supersedes.

    Sorted by id so that training does not depend on the order in which people happened to answer.
    """
    labelled = ledger[ledger.status == "labelled"]
    latest = labelled.sort_values(["created_at", "annotation_id"], kind="stable").drop_duplicates("id", keep="last")
    return latest[["id", "label", "round", "why"]].sort_values("id").reset_index(drop=True)


def set_aside(ledger: pd.DataFrame) -> pd.Index:
    """Ids that came to nothing more than `RETURNS` times. Two people who skip one task count once."""
    asks = ledger[ledger.status.isin(NOTHING)].groupby("id").task_id.nunique()
    return pd.Index(asks.index[asks > RETURNS])


def closed(ledger: pd.DataFrame) -> pd.Index:
    """Ids that must not be asked again: labelled, set aside, or still open at the reviewers from an earlier round."""
    labelled = ledger.id[ledger.status == "labelled"]
    last = ledger.drop_duplicates("id", keep="last")
    still_open = last.id[(last.status == "unanswered") & last.task_id.notna()]  # a task that is gone asks nobody
    return pd.Index(pd.concat([labelled, still_open])).union(set_aside(ledger)).unique()


def awaited(ledger: pd.DataFrame) -> pd.DataFrame:
    """Rows of tasks that may still bring a late answer: asked in an earlier round, and no label from that task yet."""
    answered = set(ledger.task_id[ledger.status == "labelled"].dropna())
    rows = ledger[ledger.task_id.notna() & ~ledger.task_id.isin(answered)]
    return rows.drop_duplicates("task_id", keep="last").reset_index(drop=True)
