"""A table of values as a file: CSV, JSON lines, Parquet."""

import csv as separated
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from labelwise.tasks.kinds.values import LABEL, LABELS, MARKS, NUMBER, NUMBERS, PICTURE, TEXT, WHOLE, YES_NO

Columns = Mapping[str, str]  # the type of each by name, see kinds/values.py
Part = list[dict[str, Any]]  # some rows
Write = Callable[[Part], None]
Form = Callable[[Path, Columns], AbstractContextManager[Write]]


@dataclass(frozen=True)
class Table:
    """Rows, some at a time."""

    columns: Columns
    parts: Iterable[Part]


def put(form: Form, path: Path, table: Table) -> None:
    """Write a table."""
    with form(path, table.columns) as write:
        for part in table.parts:
            write(part)


@contextmanager
def csv(path: Path, columns: Columns) -> Iterator[Write]:
    """A CSV in UTF-8. Texts stand there as they are, also those that a spreadsheet would take for a formula; what is no
    text, number or truth value is JSON; a missing value is an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        plain = separated.writer(file, lineterminator="\n")
        quoted = separated.writer(file, lineterminator="\n", quoting=separated.QUOTE_ALL)
        plain.writerow(columns)

        def write(part: Part) -> None:
            for row in part:
                cells = [_cell(row.get(name)) for name in columns]
                # Before Python 3.13 a cell with a lone \r is not put in quotes by itself.
                (quoted if any("\r" in cell for cell in cells) else plain).writerow(cells)

        yield write


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@contextmanager
def jsonl(path: Path, columns: Columns) -> Iterator[Write]:
    """An object a line, with all columns."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda part: file.writelines(
            json.dumps({name: row.get(name) for name in columns}, ensure_ascii=False) + "\n" for row in part
        )


@contextmanager
def parquet(path: Path, columns: Columns) -> Iterator[Write]:
    """A Parquet file, a row group a part."""
    with of_schema(path, schema(columns)) as write:
        yield write


@contextmanager
def of_schema(path: Path, columns: pa.Schema) -> Iterator[Write]:
    """A Parquet file of these types."""
    figures = [field.name for field in columns if pa.types.is_floating(field.type)]

    def write(part: Part) -> None:
        # Whole numbers that no float stands for would be refused.
        rows = [row | {name: _float(row.get(name)) for name in figures} for row in part] if figures else part
        writer.write_table(pa.Table.from_pylist(rows, schema=columns))

    with pq.ParquetWriter(path, columns, compression="zstd") as writer:
        yield write


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def schema(columns: Columns, label: pa.DataType | None = None) -> pa.Schema:
    """The types of Arrow's. label: what the name of a class is; None: a text. Pictures are as datasets of the Hugging
    Face hub have them."""
    text = pa.string()
    name = label or text
    marks = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("label", name), ("text", text)])
    types = {
        TEXT: text,
        WHOLE: pa.int64(),
        NUMBER: pa.float64(),
        YES_NO: pa.bool_(),
        NUMBERS: pa.list_(pa.float64()),
        PICTURE: pa.struct([("bytes", pa.binary()), ("path", text)]),
        LABEL: name,
        LABELS: pa.list_(name),
        MARKS: pa.list_(marks),
    }
    return pa.schema([(column, types[kind]) for column, kind in columns.items()])


FORMS: dict[str, Form] = {".csv": csv, ".jsonl": jsonl, ".parquet": parquet}
