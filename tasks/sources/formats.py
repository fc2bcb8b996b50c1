"""Taking a file apart: CSV, TSV, JSON lines, Parquet. To add a kind, write its reader and put it into `READERS`."""

import csv
import difflib
import gzip
import io
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import InputError

Record = tuple[str | None, ...]

ENDINGS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
CHUNK_CHARS = 16_000_000  # a chunk of long texts ends here, however few rows it has
MAX_CELL = 64 * 2**20  # characters; an open quote must not swallow a file of any size
MAX_RATIO = 200  # of what is read to what is stored; text packs 3 to 20 times
FREE = 256 * 2**20  # bytes that may be read before the ratio counts
HEAD = 4096  # bytes looked at to tell what a file is
LOOKS = {  # others are binary data by their NULs
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip file or an Excel workbook",
    b"\x1f\x8b": "a gzip file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
}


def records(handle: IO[bytes], kind: str, name: str, columns: list[str], rows: int) -> Iterator[Record]:
    """The asked cells of each row. InputError when the file is empty or not what its name says.

    rows: how many the caller takes at a time.
    """
    with io.BufferedReader(cast(io.RawIOBase, handle)) as buffered:
        _look(buffered.peek(HEAD)[:HEAD], kind, name)
        yield from READERS[kind](buffered, name, columns, rows)


class Unpacked(gzip.GzipFile):
    """A .gz that is read. InputError when it unpacks to more than MAX_RATIO times its size: nobody's text does."""

    def __init__(self, handle: IO[bytes], name: str) -> None:
        super().__init__(fileobj=handle, mode="rb")
        self._handle, self._address = handle, name

    def readinto(self, buffer: Any) -> int:
        """As io.RawIOBase has it."""
        got = self.read(len(buffer))
        buffer[: len(got)] = got
        refuse_bomb(self.tell(), self._handle.tell(), self._address)
        return len(got)

    def close(self) -> None:
        """The file as well."""
        super().close()
        self._handle.close()


def refuse_bomb(unpacked: int, packed: int, name: str) -> None:
    """InputError when what was read is out of all proportion to what is stored."""
    if unpacked > FREE and unpacked > MAX_RATIO * packed:
        raise InputError(
            f"{name} unpacks to more than {MAX_RATIO} times its size",
            expected="texts",
            got=f"{unpacked:,} bytes of {packed:,}",
            fix="unpack it yourself, and see what it holds",
        )


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """The lines of a text. InputError where one is so long that it is none."""
    for number in itertools.count(1):
        line = text.readline(MAX_CELL)
        if len(line) == MAX_CELL:
            raise InputError(f"{name} line {number} is too long", expected=f"less than {MAX_CELL:,} characters")
        if not line:
            return
        yield line


def place(column: str, header: list[str], name: str) -> int:
    """Where `column` stands in `header`. InputError lists the columns and suggests the nearest."""
    if header.count(column) == 1:
        return header.index(column)
    if column in header:
        raise InputError(f"{name} has several columns {column!r}", fix="give each column a name of its own")
    by_lower = {title.strip().lower(): title for title in header}
    near = difflib.get_close_matches(column.lower(), by_lower, n=1)
    fix = "set pull.columns in params.yaml" + (f"; did you mean {by_lower[near[0]]!r}?" if near else "")
    if len(header) == 1 and set(header[0]) & set(";\t|"):
        fix = "separate the columns by commas, or by tabs in a file named .tsv"
    shown = ", ".join(ascii(title)[1:-1][:40] for title in header[:20]) + (", ..." if len(header) > 20 else "")
    raise InputError(f"{name} has no column {column!r}", expected=f"one of {shown}", fix=fix)


def json_cell(value: Any, column: str, where: str) -> str | None:
    """A JSON value as text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | float):  # float: NaN and the infinities, which no parse_float sees
        return json.dumps(value)
    raise InputError(f"{where}: {column!r}", expected="a text", got=f"a {type(value).__name__}")


def _look(head: bytes, kind: str, name: str) -> None:
    """Refuse an empty file, and one whose first bytes say that it is of another kind."""
    start = head.lstrip().lower()
    if not start:
        raise InputError(f"{name} is empty", expected=f"rows of {kind}")
    otherwise = "binary data" if b"\0" in head else "text" if kind == "parquet" else None
    looks = next(
        (look for magic, look in LOOKS.items() if head.startswith(magic) or start.startswith(magic)), otherwise
    )
    if kind == "parquet" and head.startswith(b"PAR1"):
        return
    if looks:
        fix = "save it as UTF-8" if looks.startswith("UTF-16") else "give the file its right ending, or another file"
        raise InputError(f"{name} is not what its name says", expected=kind, got=looks, fix=fix)


def _separated(separator: str, handle: IO[bytes], name: str, columns: list[str], _: int) -> Iterator[Record]:
    """CSV and TSV by the csv module: pandas drops the end of a row with a field too many without a word."""
    csv.field_size_limit(min(MAX_CELL, sys.maxsize))
    text = io.TextIOWrapper(handle, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(_lines(text, name), delimiter=separator, strict=True)
    try:
        header = next((row for row in reader if row), [])
        picks = [place(column, header, name) for column in columns]
        for row in reader:
            if len(row) == len(header):
                yield tuple([row[pick] for pick in picks])
            elif len(row) > 1 or "".join(row).strip():  # else a blank line
                raise InputError(
                    f"{name} line {reader.line_num}",
                    expected=f"{len(header)} fields as in the header",
                    got=str(len(row)),
                    fix="put quotes around texts that hold separators or line breaks",
                )
    except csv.Error as error:
        fix = 'write a quote inside a quoted field as "", or save as JSONL'
        raise InputError(f"{name} line {reader.line_num} cannot be taken apart", got=str(error), fix=fix) from None
    finally:
        text.detach()  # the wrapper must not close what it was lent


def _jsonl(handle: IO[bytes], name: str, columns: list[str], _: int) -> Iterator[Record]:
    """JSON lines. A key may be absent from a row (its cell is None), but not from all of the first thousand."""
    absent, known = set(columns), dict[str, None]()
    for number, line in enumerate(iter(lambda: handle.readline(MAX_CELL), b""), start=1):
        where = f"{name} line {number}"
        if len(line) == MAX_CELL:
            raise InputError(f"{where} is too long", expected=f"less than {MAX_CELL:,} bytes")
        row = _json_row(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, where)
        if row is None:
            continue
        if absent:
            absent -= row.keys()
            known |= dict.fromkeys(row)
            if absent and number >= 1000:
                break
        yield tuple([json_cell(row.get(column), column, where) for column in columns])
    for column in sorted(absent):
        place(column, list(known), name)


def _json_row(line: bytes, where: str) -> dict[str, Any] | None:
    """The object in one line, numbers as they are written; None for a blank line."""
    text = line.decode("utf-8", "surrogateescape").strip()
    if not text:
        return None
    try:
        row = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict):
        return row
    raise InputError(f"{where} is broken", expected="one JSON object a line", got=ascii(text[:40]))


def _parquet(handle: IO[bytes], name: str, columns: list[str], rows: int) -> Iterator[Record]:
    try:
        schema = pq.ParquetFile(handle).schema_arrow
        picks = [schema.names[place(column, schema.names, name)] for column in columns]
        # Texts that are stored once and meant often stay so: unpacked, a small file could fill any memory.
        shared = [pick for pick in picks if not pa.types.is_nested(schema.field(pick).type)]
        file = pq.ParquetFile(handle, read_dictionary=shared)
        groups = [file.metadata.row_group(each) for each in range(file.num_row_groups)]
        stored, read = sum(map(_stored, groups)), 0
        refuse_bomb(sum(group.total_byte_size for group in groups), stored, name)
        for batch in file.iter_batches(_batch_rows(file, rows), columns=picks):
            cells = [_strings(batch.column(pick), pick, name) for pick in picks]
            read += sum(len(cell) for column in cells for cell in column if cell)
            refuse_bomb(read, stored, name)
            yield from zip(*cells, strict=True)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the disk's or the store's fault; pyarrow's own has no number
            raise
        fix = "make or fetch the file anew"
        raise InputError(f"{name} is a broken Parquet file", got=str(error)[:120], fix=fix) from None


def _batch_rows(file: pq.ParquetFile, rows: int) -> int:
    """How many rows hold about CHUNK_CHARS bytes in the widest of the row groups."""
    groups = [file.metadata.row_group(each) for each in range(file.num_row_groups)]
    widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
    return int(max(1, min(rows, CHUNK_CHARS / max(widest, 1))))


def _stored(group: Any) -> int:
    """The bytes that a row group takes in the file."""
    return sum(group.column(each).total_compressed_size for each in range(group.num_columns))


def _strings(column: pa.Array, title: str, name: str) -> list[str | None]:
    """A column as text; bytes that are no UTF-8 as lone surrogates (Parquet's writers do not all check)."""
    if pa.types.is_dictionary(column.type):
        values = _strings(column.dictionary, title, name)
        return [None if at is None else values[at] for at in column.indices.to_pylist()]
    if pa.types.is_nested(column.type):
        raise InputError(f"{name}: column {title!r}", expected="texts", got=f"{column.type} values")
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        column = column.cast(pa.large_string()).cast(pa.large_binary())
    return [None if cell is None else cell.decode("utf-8", "surrogateescape") for cell in column.to_pylist()]


READERS: dict[str, Callable[[IO[bytes], str, list[str], int], Iterator[Record]]] = {
    "csv": partial(_separated, ","),
    "tsv": partial(_separated, "\t"),
    "jsonl": _jsonl,
    "parquet": _parquet,
}
