"""Writing what a pull found: aside first, and in place only when all is well."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from labelwise.tasks.records import Schema
from labelwise.tasks.workspace import Workspace, atomic


class Drafts:
    """Parquet files written aside, a row group for each `add`, and put in place together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[Path, pq.ParquetWriter] = {}

    def add(self, path: Path, rows: pd.DataFrame, table: Schema) -> None:
        """Append `rows` to the draft of `path`. No rows, no file."""
        if rows.empty:
            return
        content = pa.Table.from_pandas(table.conform(rows), preserve_index=False)
        if path not in self._writers:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writers[path] = pq.ParquetWriter(self._folder / path.name, content.schema, compression="zstd")
        self._writers[path].write_table(content)

    def place(self) -> None:
        """Put the drafts where they belong, in the order in which they were begun.

        Killed between two of them, the next pull finds the rows of the second unpulled and drafts them again.
        """
        for writer in self._writers.values():
            writer.close()  # may still find the disk full: before the first file is in place
        for path in self._writers:
            with atomic(path) as scratch:
                shutil.move(self._folder / path.name, scratch)

    def drop(self) -> None:
        """Leave nothing behind."""
        for writer in self._writers.values():
            with suppress(OSError):  # a full disk has been told of already
                writer.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def drafting(workspace: Workspace) -> Iterator[Drafts]:
    """Drafts in a folder of scraps, which DVC does not see. Clears what a killed pull left behind."""
    drafts = Drafts(workspace.scraps / "pull")
    drafts.drop()
    for place in (workspace.pool, workspace.gold.parent, workspace.quarantine):
        for part in place.glob(".*.part"):
            part.unlink()
    try:
        yield drafts
    finally:
        drafts.drop()
