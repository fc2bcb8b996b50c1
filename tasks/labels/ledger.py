"""The label ledger: every annotation ever given, append-only, one Parquet shard a round.

The number of the last shard is the round the workspace is in: `round-0000.parquet` is made empty by `labelwise init`,
each later one holds what a batch brought. Everything else about labels is derived from these rows.

A row is never edited. A changed answer is a later row of the same annotation, a deleted one a later row `withdrawn`, a
task that is gone from Label Studio a row `gone`, one that came back under another number a row `moved`.
"""

import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from labelwise.tasks.errors import WorkspaceError
from labelwise.tasks.labels import renamed
from labelwise.tasks.records import LABELS
from labelwise.tasks.workspace import Workspace, brought_back, opened, read_parquet, write_parquet

RETURNS = 1  # how often an item may come to nothing (skipped, or an answer that cannot count) and be asked again
NOTHING = ("skipped", "refused")
OPEN = ("unanswered", "withdrawn", "moved")  # as the last word on an ask: a reviewer has its task before him
RELABEL = "relabel"  # why an item is asked whose label has lapsed
IMPORTED = "imported"  # origin and reason of labels that came with the data, and their annotator where nobody says who
NOBODY = "(deleted)"  # the annotator whose account was deleted
ANNOTATION = ["id", "round", "annotation_id", "annotator"]  # Label Studio gives a number again that it has given before

Version = tuple[Path, int, int]  # of a shard: file, when it was written, inode
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
            fix=brought_back(folder),
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
    return _rows(*_versions(folder)).copy(deep=False)  # pandas copies what is written to


def today(workspace: Workspace) -> pd.DataFrame:
    """All rows, their labels under the names that the classes have today: for what uses labels. Null is the label of
    a row that says `labelled` by a class that no longer exists. `read` gives them as they were said, for what keeps
    the record."""
    rows = read(workspace.labels)
    return rows.assign(label=renamed.counting(rows.label, workspace.settings))


def held(workspace: Workspace) -> pd.DataFrame:
    """The rows of `today` that may be learned: while the pool is being finished its model stays what it is, and later
    ones wait."""
    rows, plan = today(workspace), workspace.settings.select.finish
    return rows if plan is None else rows.iloc[: count(workspace.labels, plan.round)]


def _versions(folder: Path) -> list[Version]:
    """The shards by number."""
    paths = [shard(folder, number) for number in range(current_round(folder) + 1)]
    return [(path, (found := path.stat()).st_mtime_ns, found.st_ino) for path in paths]


@lru_cache(maxsize=1)
def _rows(*versions: Version) -> pd.DataFrame:
    """The rows of these shards. pandas itself would take five times as long for a year of small files."""
    return LABELS.conform(pa.concat_tables(map(_shard, versions)).to_pandas())


@lru_cache(maxsize=4096)
def _shard(version: Version) -> pa.Table:
    """A shard; as long as nobody writes it again it is read once a process."""
    with opened(version[0]) as file:
        return pq.ParquetFile(file).read().replace_schema_metadata()


# What counts


def answers(ledger: pd.DataFrame) -> pd.DataFrame:
    """The last word on each annotation, in the order of the ledger; labels that came without one as they are."""
    numbered = ledger[ledger.annotation_id.notna()]
    superseded = numbered.index[numbered.duplicated(ANNOTATION, keep="last")]
    return ledger.drop(index=superseded)


def not_withdrawn(ledger: pd.DataFrame) -> pd.DataFrame:
    """The answers that nobody has withdrawn."""
    said = answers(ledger)
    return said[said.status != "withdrawn"]


def count(folder: Path, number: int) -> int:
    """How many rows of `read` came in up to round `number`."""
    return sum(_shard(version).num_rows for version in _versions(folder)[: number + 1])


def read_by_shard(folder: Path) -> pd.DataFrame:
    """All rows with the column `shard`: the number of the round in which a row came in."""
    numbers = range(current_round(folder) + 1)
    return pd.concat([read_parquet(shard(folder, n)).assign(shard=n) for n in numbers], ignore_index=True)


def effective(ledger: pd.DataFrame) -> pd.DataFrame:
    """The label that counts for each item: columns `id`, `label`, `round`, `why`, in order of id. The latest
    supersedes, also one by a class that no longer exists: then none counts.

    `round` and `why` are those of the ask that chose the item: to have it labelled again chooses nothing, so that an
    item of the control arm stays in it, and one that a strategy chose stays that strategy's.

    Sorted by id so that training does not depend on the order in which people happened to answer.
    """
    given = labelled(ledger)
    latest = given.drop_duplicates("id", keep="last")
    anew = latest.why == RELABEL
    if anew.any():
        before = given[(given.why != RELABEL) & given.id.isin(latest.id[anew])]
        chose = before.drop_duplicates("id", keep="last").set_index("id")
        known = anew & latest.id.isin(chose.index)
        for name in ("round", "why"):
            latest.loc[known, name] = chose.loc[latest.id[known], name].array
    counting = latest[latest.label.notna()]
    return counting[["id", "label", "round", "why"]].sort_values("id").reset_index(drop=True)


def first_said(ledger: pd.DataFrame) -> pd.Series:
    """By id, the first label of each item that was labelled in more than one round, rows as of `today`; not of those
    whose first label is by a class that no longer exists."""
    given = labelled(ledger)
    again = given.groupby("id")["round"].nunique()
    first = given[given.id.isin(again.index[again > 1])].drop_duplicates("id")
    return first[first.label.notna()].set_index("id").label


def lapsed(ledger: pd.DataFrame) -> pd.Index:
    """Ids whose last word is by a class that no longer exists (rows as of `today`): what is said of them is to be said
    again."""
    latest = labelled(ledger).drop_duplicates("id", keep="last")
    return pd.Index(latest.id[latest.label.isna()])


def labelled(ledger: pd.DataFrame) -> pd.DataFrame:
    """The answers that stand and are no skips, in the order in which they supersede each other."""
    said = not_withdrawn(ledger)
    return said[said.status == "labelled"].sort_values(["created_at", "annotation_id"], kind="stable")


def voices(ledger: pd.DataFrame) -> pd.DataFrame:
    """The last word of each person on each item, in the order in which they were given; none that is by a class that no
    longer exists."""
    last = labelled(ledger).drop_duplicates(["id", "annotator"], keep="last")
    return last[last.label.notna()]


# What may be asked again


def set_aside(ledger: pd.DataFrame) -> pd.Index:
    """Ids that came to nothing in more than `RETURNS` rounds. Two people who skip one task count once."""
    said = not_withdrawn(ledger)
    asked = said[said.status.isin(NOTHING)].groupby("id")["round"].nunique()
    return pd.Index(asked.index[asked > RETURNS])


def closed(ledger: pd.DataFrame) -> pd.Index:
    """Ids that no strategy may ask again: labelled, by whatever class, set aside, or still open at the reviewers from
    an earlier round."""
    given = pd.Index(labelled(ledger).id.unique())
    return given.union(still_open(ledger)).union(set_aside(ledger)).unique()


def to_relabel(ledger: pd.DataFrame) -> pd.Index:
    """Ids that may be put up to be labelled again (rows as of `today`): lapsed, neither set aside since nor with the
    reviewers already."""
    return lapsed(ledger).difference(still_open(ledger)).difference(set_aside(ledger))


def still_open(ledger: pd.DataFrame) -> pd.Index:
    """Ids that reviewers have before them, from an earlier round."""
    asked = asks(ledger)
    return pd.Index(
        asked.id[asked.status.isin(OPEN) & asked.task_id.notna()]
    ).unique()  # without a task nobody is asked


def asks(ledger: pd.DataFrame) -> pd.DataFrame:
    """Every ask so far, one row each: `id`, `round`, `why`, `propensity`, `task_id`, `status` of its last row."""
    asked = ledger[~ledger.origin.isin(["imported"])]
    last = asked.drop_duplicates(["id", "round"], keep="last")
    return last[["id", "round", "why", "propensity", "task_id", "status"]].reset_index(drop=True)


def last_look(ledger: pd.DataFrame) -> pd.Timestamp | None:
    """When the last thing happened that the ledger knows of, by Label Studio's clock; None before the first."""
    told = ledger.created_at[ledger.task_id.notna()].dropna()
    return None if told.empty else pd.to_datetime(told, utc=True, format="ISO8601").max()


# What reviewers did besides answering


def happened(folder: Path) -> pd.DataFrame:
    """A row a shard, by its number: answers `changed`, `withdrawn` and `refused`, tasks `gone` and `moved`, and
    `repeated`, further answers by one person to what was asked once."""
    rows = [_shard(version).num_rows for version in _versions(folder)]
    arrived = np.repeat(np.arange(len(rows)), rows)
    ledger = read(folder)
    said = ledger.annotation_id.notna() & (ledger.status != "withdrawn")
    again = ledger[said].duplicated(ANNOTATION).reindex(ledger.index, fill_value=False)
    person = ledger[said & ~again].duplicated(["id", "round", "annotator"]).reindex(ledger.index, fill_value=False)
    events = pd.DataFrame({"changed": again, "repeated": person})
    for status in ("withdrawn", "refused", "gone", "moved"):
        events[status] = ledger.status == status
    return events.groupby(arrived).sum().reindex(range(len(rows)), fill_value=0).rename_axis("round")


OVERLAP = pd.Timedelta(minutes=10)  # longer than any look takes
