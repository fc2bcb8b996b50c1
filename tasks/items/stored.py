"""What the workspace holds already: shards of the pool, the gold set, the quarantine. Read in parts, never changed."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.items.identity import Ids
from labelwise.tasks.items.sifting import Seen
from labelwise.tasks.records import BESIDE, GOLD
from labelwise.tasks.workspace import Workspace, opened, read_table

BYTES_AT_ONCE = 64 * 2**20  # of what is read at once; pictures have 100,000 each


def items(workspace: Workspace) -> int:
    """How many items the pool has."""
    return sum(rows(shard) for shard in shards(workspace))


def gold(workspace: Workspace) -> pd.DataFrame:
    """The gold set (records.GOLD)."""
    table = GOLD.holding(column_of(workspace))
    if not workspace.gold.exists():
        return table.frame()
    with opened(workspace.gold) as handle, pq.ParquetFile(handle) as file:
        columns = table.readable(file.schema_arrow.names)
        parts = [file.read_row_group(group, columns=columns).to_pandas() for group in range(file.num_row_groups)]
    return table.conform(pd.concat([table.frame(), *parts]))


def pool(workspace: Workspace) -> Seen:
    """What there is in the pool."""
    seen = Seen()
    for shard in shards(workspace):
        for part in _parts(shard, ["id", "source_id"]):
            ids = part.column("id").to_pylist()
            seen.stored.add(ids)
            seen.owners.add(part.column("source_id").to_pylist(), ids)
    return seen


def column_of(workspace: Workspace) -> str:
    """The column that has the items in the tables of the workspace."""
    return kinds.item(workspace.settings.kind.item).COLUMN


def cells(workspace: Workspace, rows: NDArray[np.integer]) -> list[str]:
    """The items at these rows of the pool, in this order. Reads only the row groups that hold one."""
    found: dict[int, str] = {}
    name = column_of(workspace)
    wanted, start = np.unique(rows), 0
    for shard in shards(workspace):
        with opened(shard) as handle, pq.ParquetFile(handle) as file:
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                mine = wanted[(wanted >= start) & (wanted < end)]
                if len(mine):
                    column = file.read_row_group(group, columns=[name])[name]
                    found |= dict(zip(mine.tolist(), column.take(mine - start).to_pylist(), strict=True))
                start = end
    return [found[row] for row in rows.tolist()]


def pool_folds(workspace: Workspace, asked: set[str]) -> set[str]:
    """Which of the `asked` folded items the pool has. Reads it only when some are asked."""
    if not asked:
        return set()
    item = kinds.item(workspace.settings.kind.item)
    parts = (part for shard in shards(workspace) for part in _parts(shard, [item.COLUMN]))
    return {fold for part in parts for cell in part.column(0).to_pylist() if (fold := item.fold(cell)) in asked}


def refused(workspace: Workspace, source: str) -> Ids:
    """The ids of the rows in quarantine that came from `source`: pool or gold."""
    ids = Ids()
    for file in workspace.quarantine.glob(f"{source}-*.parquet"):
        for part in _parts(file, ["id"]):
            ids.add(part.column("id").to_pylist())
    return ids


def shards(workspace: Workspace) -> list[Path]:
    """The files of the pool, oldest first."""
    return sorted(workspace.pool.glob("shard-*.parquet"))


def next_shard(workspace: Workspace) -> tuple[Path, Path]:
    """Where the next shard goes, and its refused rows: under one number, which neither has used."""
    name = f"shard-{_next([*shards(workspace), *workspace.quarantine.glob('pool-shard-*.parquet')]):04d}.parquet"
    return workspace.pool / name, workspace.quarantine / f"pool-{name}"


def next_gold_refused(workspace: Workspace) -> Path:
    """Where the next refused rows of the gold source go."""
    return workspace.quarantine / f"gold-{_next(workspace.quarantine.glob('gold-*.parquet')):04d}.parquet"


def _next(paths: Iterable[Path]) -> int:
    return max((int(number[1]) for path in paths if (number := re.search(r"-(\d+)$", path.stem))), default=0) + 1


def _parts(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """A file of ours, a row group at a time: what was read of one goes before the next is. WorkspaceError when it is
    broken."""
    with opened(path) as handle, pq.ParquetFile(handle) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)


def pieces(path: Path, column: str, most: int) -> Iterator[list[str]]:
    """A column of a table in order, in lists of `most` cells, or of fewer from BYTES_AT_ONCE characters on; one empty
    list for a table without rows."""
    piece: list[str] = []
    size, given = 0, False
    for part in _parts(path, [column]):
        for cell in part.column(0).to_pylist():
            piece.append(cell)
            size += len(cell)
            if len(piece) == most or size >= BYTES_AT_ONCE:
                yield piece
                piece, size, given = [], 0, True
    if piece or not given:
        yield piece


def rows(path: Path) -> int:
    """How many rows a table of ours has."""
    with opened(path) as file:
        return int(pq.read_metadata(file).num_rows)


def cells_by_id(workspace: Workspace, ids: pd.Series) -> dict[str, str]:
    """These items as they are kept, by id. Reads only the row groups that hold one."""
    name, found = column_of(workspace), dict[str, str]()
    asked = pa.array(ids.tolist(), type=pa.string())
    for shard in shards(workspace) if len(asked) else []:
        with opened(shard) as handle, pq.ParquetFile(handle) as file:
            for group in range(file.num_row_groups):
                own = file.read_row_group(group, columns=["id"])["id"].cast(pa.string())
                mine = np.flatnonzero(pc.is_in(own, value_set=asked).to_numpy())
                if len(mine):
                    column = file.read_row_group(group, columns=[name])[name]
                    found |= dict(zip(own.take(mine).to_pylist(), column.take(mine).to_pylist(), strict=True))
    return found


def contexts_by_id(workspace: Workspace, ids: pd.Series) -> dict[str, str]:
    """The contexts of those of these items that have one (see kinds/context.py), by id."""
    found = beside(workspace, ids)
    return dict(found.set_index("id").context.dropna()) if "context" in found else {}


def beside(workspace: Workspace, ids: pd.Series) -> pd.DataFrame:
    """What the pool holds beside these items: `id` and those columns of records.BESIDE that it has."""
    asked = pc.field("id").isin(pa.array(ids.tolist(), pa.large_string()))
    parts = [
        read_table(shard, ["id", *columns], asked).to_pandas()
        for shard in shards(workspace)
        if (columns := [name for name in BESIDE if has_column(shard, name)])
    ]
    return pd.concat([pd.DataFrame({"id": []}, dtype=object), *parts], ignore_index=True)


def groups(workspace: Workspace) -> NDArray[np.int64] | None:
    """(n,) a number for the group of each item of the pool, in its order, -1 where it has none; None where none has."""
    if not any(has_column(shard, "group") for shard in shards(workspace)):
        return None
    names = pd.concat([groups_of(shard) for shard in shards(workspace)], ignore_index=True)
    return np.asarray(pd.factorize(names)[0], dtype=np.int64)


def groups_of(path: Path) -> pd.Series:
    """The group of each row of a table of items, null where it has none."""
    if not has_column(path, "group"):
        return pd.Series([None] * rows(path), dtype="string")
    return read_table(path, ["group"])["group"].to_pandas().astype("string")


def has_column(path: Path, name: str) -> bool:
    """Whether a table of ours has this column: those of records.BESIDE come with the settings."""
    with opened(path) as file:
        return name in pq.read_schema(file).names


def without_context(workspace: Workspace) -> int:
    """How many items were pulled when no column was named for their context."""
    return sum(rows(shard) for shard in shards(workspace) if not has_column(shard, "context"))
