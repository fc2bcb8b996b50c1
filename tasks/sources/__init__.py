"""Where rows come from: the asked columns of a CSV, TSV, JSONL or Parquet source, streamed as text.

A source is a file, a folder (all its files of one kind, or partitions such as label=spam/), a glob, any fsspec address
(s3://, gs://, https://, memory://) or a dataset of the Hugging Face hub (hf://owner/dataset[/config][:split]).

Two kinds of fault are told apart. A file that cannot be taken apart with certainty (a line with a field too many, an
open quote, broken JSON) stops with the number of the line: going on would cut or shift texts in silence. A cell that is
bad by itself (null, blank, bytes that are no UTF-8) is handed on, for the caller to put that one row in quarantine.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from labelwise.tasks.kinds.cells import TEXTS, Cells
from labelwise.tasks.kinds.files import Files
from labelwise.tasks.sources import addresses, folders, formats, held, hub
from labelwise.tasks.sources.opened import Opened, Record


def chunks(
    source: str,
    columns: Sequence[str],
    rows: int = 50_000,
    *,
    encoding: str | None = None,
    optional: Collection[str] = (),
    cells: Cells = TEXTS,
) -> Iterator[pd.DataFrame]:
    """The asked columns of `source`, at most `rows` at a time (fewer when texts are long), cells as str or None.

    Only the asked columns are kept, numbers as they are written ("007" stays). A cell of a CSV is never None and 'NA'
    is a text. Bytes that are no UTF-8 come as lone surrogates, so that the caller can refuse that row alone.
    encoding: of text files that are not Unicode by their own word. optional: columns that may be absent; their cells
    are None then. cells: what they may hold beside a text; where they stand for files, a folder or archive of such
    files is a source, too, see `folders`.

    InputError: nothing there, an empty file, an unknown ending, no such column, or a file that is not what its name
    says. ServiceError: the store behind an address said no.
    """
    wanted = list(dict.fromkeys(columns))
    files = cells.files
    more: dict[str, Any] = {"optional": frozenset(optional), "cells": cells}
    if hub.names_dataset(source):
        with addresses.explained(source, remote=True):
            yield from _frames(hub.records(Opened(source, hub.no_bytes, wanted, rows, **more)), wanted, rows)
        return
    if files and (found := folders.tree(source, files)):
        asked = Opened(source, hub.no_bytes, wanted, rows, **more)
        with addresses.explained(source, remote=addresses.is_remote(found.fs)):
            yield from _frames(folders.records(found, asked, files), wanted, rows)
        return
    for file in addresses.files(source):
        inside = [column for column in wanted if column not in file.partitions]
        opened = Opened(file.name, file.open, inside, rows, **more)
        with addresses.explained(file.name, remote=file.remote):
            records = formats.records(opened, file.kind, encoding)
            if cells.held in inside:
                records = held.cells(records, inside.index(cells.held), file.fs, file.path)
            for frame in _frames(records, inside, rows):
                yield frame.assign(**{name: value for name, value in file.partitions.items() if name in wanted})[wanted]


def columns(source: str, encoding: str | None = None, files: Files | None = None) -> list[str]:
    """The names of the columns of a source: those of its first file, and of its partitions. None of a dataset of the
    Hugging Face hub, nor of a folder or archive of such files. InputError as in `chunks`."""
    if hub.names_dataset(source) or (files and folders.tree(source, files)):
        return []
    file = addresses.files(source)[0]
    with addresses.explained(file.name, remote=file.remote):
        inside = formats.columns(Opened(file.name, file.open, [], 0), file.kind, encoding)
    return [*inside, *(name for name in file.partitions if name not in inside)]


def above(source: str, files: Files | None) -> str:
    """The folder that all class folders of a source lie in, such as `photos/`, since all its files do: it is taken for
    no class. '' where there is none, and for tables. InputError as in `chunks`."""
    if not files or hub.names_dataset(source) or not (found := folders.tree(source, files)):
        return ""
    with addresses.explained(source, remote=addresses.is_remote(found.fs)):
        return folders.above(found, files)


def fingerprint(source: str, files: Files | None = None) -> list[list[str]] | None:
    """What tells whether `source` has changed without reading it; None when nothing does. Files that a table names are
    not looked at: the table changes with them, but for those that could not be had, see `again`."""
    if hub.names_dataset(source):
        return None
    found = folders.tree(source, files) if files else None
    return folders.fingerprint(found) if found else addresses.fingerprint(source)


def again(source: str, files: Files, names: Iterable[str]) -> Iterator[str]:
    """The cells of files that tables of `source` name, read once more; none where `fingerprint` looks at each file.
    InputError as in `chunks`."""
    if hub.names_dataset(source) or folders.tree(source, files):
        return
    for table in addresses.files(source):
        with addresses.explained(table.name, remote=table.remote):
            for (cell,) in held.cells(((name,) for name in names), 0, table.fs, table.path):
                if cell is not None:
                    yield cell


def _frames(records: Iterable[Record], columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
    """Records gathered into frames of at most `rows` rows and about CHUNK_CHARS characters."""
    batch: list[Record] = []
    chars = 0
    for record in records:
        batch.append(record)
        chars += sum([len(cell) for cell in record if cell])
        if len(batch) >= rows or chars >= formats.CHUNK_CHARS:
            yield pd.DataFrame(batch, columns=columns, dtype=object)
            batch, chars = [], 0
    if batch:
        yield pd.DataFrame(batch, columns=columns, dtype=object)
