"""Where rows come from: the asked columns of a CSV, TSV, JSONL or Parquet source, streamed as text.

A source is a file, a folder (all its files of one kind), a glob, any fsspec address (s3://, gs://, https://, memory://)
or a dataset of the Hugging Face hub (hf://owner/dataset[/config][:split]).

Two kinds of fault are told apart. A file that cannot be taken apart with certainty (a line with a field too many, an
open quote, broken JSON) stops with the number of the line: going on would cut or shift texts in silence. A cell that is
bad by itself (null, blank, bytes that are no UTF-8) is handed on, for the caller to put that one row in quarantine.
"""

import csv
import difflib
import gzip
import io
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast
from urllib.parse import urlsplit

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from tasks.errors import InputError, LabelwiseError, ServiceError

HUB = "hf://"
HUB_FILES = "hf://datasets/"  # fsspec's own addresses of single files on the hub
KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
SEPARATORS = {"csv": ",", "tsv": "\t"}
CHUNK_CHARS = 16_000_000  # a chunk of long texts ends here, however few rows it has
MAX_CELL = 64 * 2**20  # characters; an open quote must not swallow a file of any size
HEAD = 4096  # bytes looked at to tell what a file is
STAMPS = ("ino", "mtime", "created", "ETag", "LastModified", "etag", "last_modified", "updated", "Last-Modified")
LOOKS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"PK\x03\x04": "a zip file or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"SQLite format 3": "an SQLite database",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
}
Record = tuple[str | None, ...]


@dataclass(frozen=True)
class File:
    """One file of a source: `name` is its address as a user would write it."""

    fs: fsspec.AbstractFileSystem
    path: str
    name: str

    @property
    def kind(self) -> str | None:
        """csv, tsv, jsonl or parquet, by its name alone; None when the name does not say."""
        stem = self._bare.removesuffix(".gz")
        kind = next((kind for ending, kind in KINDS.items() if stem.endswith(ending)), None)
        return None if self._packed and kind == "parquet" else kind

    def open(self) -> IO[bytes]:
        """Its bytes, unpacked when it is a .gz."""
        return cast(IO[bytes], self.fs.open(self.path, "rb", compression="gzip" if self._packed else None))

    @property
    def _packed(self) -> bool:
        return self._bare.endswith(".gz")

    @property
    def _bare(self) -> str:
        """The path in lower case, without the ?version=2 of a web address."""
        path = self.path.lower()
        return urlsplit(path).path if "://" in path else path


def chunks(source: str, columns: Sequence[str], rows: int = 50_000) -> Iterator[pd.DataFrame]:
    """The asked columns of `source`, at most `rows` at a time (fewer when texts are long), cells as str or None.

    Only the asked columns are kept, numbers as they are written ("007" stays). A cell of a CSV is never None and 'NA'
    is a text. Bytes that are no UTF-8 come as lone surrogates, so that the caller can refuse that row alone.

    InputError: nothing there, an empty file, an unknown ending, no such column, or a file that is not what its name
    says. ServiceError: the store behind an address said no.
    """
    wanted = list(dict.fromkeys(columns))
    if _on_hub(source):
        with _explained(source, remote=True):
            yield from _batched(_hub(source, wanted), wanted, rows)
        return
    for file in files(source):
        with _explained(file.name, remote=_is_remote(file.fs)):
            yield from _batched(_records(file, wanted, rows), wanted, rows)


def files(source: str) -> list[File]:
    """The files behind `source`, sorted by name, all of one kind. InputError as in `chunks`."""
    if not source:
        raise InputError("no source is given", fix="set pull.pool and pull.gold in params.yaml")
    fs, path = _filesystem(source)
    with _explained(source, remote=_is_remote(fs)):
        fs.invalidate_cache()  # a loop on a schedule must see what came since its last look
        found = [File(fs, each, _address(fs, each)) for each in _paths(fs, path, source)]
    return _of_one_kind(found, source)


def fingerprint(source: str) -> list[list[str]] | None:
    """What tells whether `source` has changed without reading it: address, size and stamps of each of its files.

    None where the store has no stamps, and for datasets of the hub.
    """
    if _on_hub(source):
        return None
    seen = []
    for file in files(source):
        with _explained(file.name, remote=_is_remote(file.fs)):
            about = file.fs.info(file.path)
        stamps = [f"{key}={about[key]}" for key in STAMPS if about.get(key) is not None]
        if not stamps:
            return None
        seen.append([file.name, str(about.get("size")), *stamps])
    return seen


# Finding the files


def _on_hub(source: str) -> bool:
    return source.startswith(HUB) and not source.startswith(HUB_FILES)


def _is_remote(fs: fsspec.AbstractFileSystem) -> bool:
    return not {"file", "memory"} & set([fs.protocol] if isinstance(fs.protocol, str) else fs.protocol)


def _filesystem(source: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system and the path on it; InputError says what to install."""
    protocol = source.partition("://")[0]
    try:
        return cast(tuple[fsspec.AbstractFileSystem, str], url_to_fs(source))
    except ImportError as error:
        package = "labelwise[s3]" if protocol in ("s3", "s3a") else ""
        wanted = f"pip install {package}" if package else str(error)
        raise InputError(f"{source} cannot be read without a further package", fix=wanted) from None
    except ValueError as error:
        raise InputError(source, expected="a path or an address that fsspec knows", got=str(error)) from None


def _paths(fs: fsspec.AbstractFileSystem, path: str, source: str) -> list[str]:
    """The paths of the files: `path` itself, those in the folder (not below it, not hidden), or what the glob finds."""
    try:
        about = fs.info(path)
    except FileNotFoundError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None  # a web server that is down: fsspec calls that 'not found' too
        return _globbed(fs, path, source)
    if about["type"] != "directory":
        return [path]
    inside = [each["name"] for each in fs.ls(path, detail=True) if each["type"] != "directory"]
    known = sorted(name for name in inside if name.rpartition("/")[2][0] not in "._" and File(fs, name, name).kind)
    if not known:
        raise InputError(f"{source} holds no data", expected="files ending in " + ", ".join(KINDS))
    return known


def _globbed(fs: fsspec.AbstractFileSystem, path: str, source: str) -> list[str]:
    """What the glob `path` finds, sorted. InputError when that is nothing, or when it is no glob at all."""
    if not set(path) & set("*?["):
        raise InputError(f"{source} is not there", fix="check pull.pool and pull.gold in params.yaml")
    found = cast(dict[str, dict[str, Any]], fs.glob(path, detail=True))
    names = sorted(name for name, about in found.items() if about["type"] != "directory")
    if not names:
        raise InputError(f"no file matches {source}", fix="check pull.pool and pull.gold in params.yaml")
    return names


def _address(fs: fsspec.AbstractFileSystem, path: str) -> str:
    return path if not _is_remote(fs) and "memory" not in fs.protocol else str(fs.unstrip_protocol(path))


def _of_one_kind(found: list[File], source: str) -> list[File]:
    """The files, when all are of one known kind."""
    for file in found:
        if file.kind is None:
            expected = "a name ending in " + ", ".join(KINDS)
            raise InputError(f"{file.name} is of no known kind", expected=expected, fix="save it as one of these")
    kinds = sorted({str(file.kind) for file in found})
    if len(kinds) > 1:
        fix = f"name one kind by a glob, such as {source.rstrip('/')}/*.{kinds[0]}"
        raise InputError(f"{source} holds several kinds", expected="files of one kind", got=", ".join(kinds), fix=fix)
    return found


# Taking them apart


def _batched(records: Iterable[Record], columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
    """Records gathered into frames of at most `rows` rows and about CHUNK_CHARS characters."""
    batch: list[Record] = []
    chars = 0
    for record in records:
        batch.append(record)
        chars += sum([len(cell) for cell in record if cell])
        if len(batch) >= rows or chars >= CHUNK_CHARS:
            yield pd.DataFrame(batch, columns=columns, dtype=object)
            batch, chars = [], 0
    if batch:
        yield pd.DataFrame(batch, columns=columns, dtype=object)


def _records(file: File, columns: list[str], rows: int) -> Iterator[Record]:
    """The asked cells of each row of `file`. InputError when it is empty or not what its name says."""
    with file.open() as raw, io.BufferedReader(cast(io.RawIOBase, raw)) as handle:
        _look(handle.peek(HEAD)[:HEAD], file)
        if file.kind == "parquet":
            yield from _parquet(handle, file.name, columns, rows)
        elif file.kind == "jsonl":
            yield from _jsonl(handle, file.name, columns)
        else:
            yield from _separated(handle, file.name, columns, SEPARATORS[str(file.kind)])


def _look(head: bytes, file: File) -> None:
    """Refuse an empty file, and one whose first bytes say that it is of another kind."""
    if not head.strip():
        raise InputError(f"{file.name} is empty", expected=f"rows of {file.kind}")
    is_parquet = head.startswith(b"PAR1")
    if file.kind == "parquet" and is_parquet:
        return
    start = head.lstrip().lower()
    looks = next((look for magic, look in LOOKS.items() if head.startswith(magic) or start.startswith(magic)), None)
    if looks is None and b"\0" in head:
        looks = "binary data"
    if looks is None and file.kind == "parquet":
        looks = "text"
    if looks:
        fix = "save it as UTF-8" if looks.startswith("UTF-16") else "give the file its right ending, or another file"
        raise InputError(f"{file.name} is not what its name says", expected=str(file.kind), got=looks, fix=fix)


def _separated(handle: IO[bytes], name: str, columns: list[str], separator: str) -> Iterator[Record]:
    """CSV and TSV by the csv module: pandas drops the end of a row with a field too many without a word."""
    csv.field_size_limit(min(MAX_CELL, sys.maxsize))
    text = io.TextIOWrapper(handle, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter=separator, strict=True)
    try:
        header = next((row for row in reader if row), [])
        picks = [_index(header, column, name) for column in columns]
        for row in reader:
            if len(row) != len(header):
                if len(row) <= 1 and not "".join(row).strip():
                    continue  # a blank line
                raise _wrong_width(name, reader.line_num, len(row), len(header))
            yield tuple([row[pick] for pick in picks])
    except csv.Error as error:
        fix = 'write a quote inside a quoted field as "", or save as JSONL'
        raise InputError(f"{name} line {reader.line_num} cannot be taken apart", got=str(error), fix=fix) from None
    finally:
        text.detach()  # the wrapper must not close what it was lent


def _wrong_width(name: str, line: int, got: int, expected: int) -> InputError:
    fix = "put quotes around texts that hold separators or line breaks"
    return InputError(f"{name} line {line}", expected=f"{expected} fields as in the header", got=str(got), fix=fix)


def _jsonl(handle: IO[bytes], name: str, columns: list[str]) -> Iterator[Record]:
    """JSON lines. A key may be absent from a row (its cell is None), but not from all of the first thousand."""
    missing = set(columns)
    known: dict[str, None] = {}
    held: list[Record] = []
    for number, line in enumerate(handle, start=1):
        row = _object(line, name, number)
        if row is None:
            continue
        record = tuple([_cell(row.get(column), column, name, number) for column in columns])
        if not missing:
            yield record
            continue
        held.append(record)
        missing -= row.keys()
        known.update(dict.fromkeys(row))
        if not missing or len(held) == 1000:
            _all_known(missing, known, name)
            missing = set()
            yield from held
    if missing:
        _all_known(missing, known, name)


def _all_known(missing: set[str], known: Iterable[str], name: str) -> None:
    for column in sorted(missing):
        _index(list(known), column, name)


def _object(line: bytes, name: str, number: int) -> dict[str, Any] | None:
    """The object in one line, numbers as they are written; None for a blank line."""
    text = line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape").strip()
    if not text:
        return None
    try:
        row = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict):
        return row
    raise InputError(f"{name} line {number} is broken", expected="one JSON object a line", got=ascii(text[:40]))


def _cell(value: Any, column: str, name: str, number: int) -> str | None:
    """A JSON value as text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | float):  # float: NaN and the infinities, which no parse_float sees
        return json.dumps(value)
    raise InputError(f"{name} line {number}: {column!r}", expected="a text", got=f"a {type(value).__name__}")


def _parquet(handle: IO[bytes], name: str, columns: list[str], rows: int) -> Iterator[Record]:
    try:
        file = pq.ParquetFile(handle)
        header = file.schema_arrow.names
        picks = [header[_index(header, column, name)] for column in columns]
        for batch in file.iter_batches(_batch_rows(file, rows), columns=picks):
            yield from zip(*[_strings(batch.column(pick), pick, name) for pick in picks], strict=True)
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


def _strings(column: pa.Array, title: str, name: str) -> list[str | None]:
    """A column as text; bytes that are no UTF-8 as lone surrogates (Parquet's writers do not all check)."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type):
        raise InputError(f"{name}: column {title!r}", expected="texts", got=f"{column.type} values")
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        column = column.cast(pa.large_string()).cast(pa.large_binary())
    return [None if cell is None else cell.decode("utf-8", "surrogateescape") for cell in column.to_pylist()]


def _index(header: list[str], column: str, name: str) -> int:
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


# The hub


def _hub(source: str, columns: list[str]) -> Iterator[Record]:
    """The rows of a dataset on the Hugging Face hub, streamed; class numbers as the names of their classes."""
    owner, name, config, split = hub_parts(source)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import datasets
    except ImportError:
        raise InputError(f"{source} needs the `datasets` package", fix="pip install labelwise[hub]") from None
    dataset = datasets.load_dataset(f"{owner}/{name}", config, split=split, streaming=True)
    features = dataset.features or {}
    header = list(dataset.column_names or features or next(iter(dataset), {}))
    for column in columns:
        _index(header, column, source)
    classes = {column: getattr(features.get(column), "names", None) for column in columns}
    for number, row in enumerate(dataset.select_columns(columns), start=1):
        yield tuple([_hub_cell(row[column], classes[column], column, source, number) for column in columns])


def _hub_cell(value: Any, classes: list[str] | None, column: str, source: str, number: int) -> str | None:
    if classes and isinstance(value, int):
        return classes[value] if value >= 0 else None  # -1 is the hub's mark for a hidden label
    return str(value) if isinstance(value, int) else _cell(value, column, source, number)


def hub_parts(source: str) -> tuple[str, str, str | None, str]:
    """Owner, dataset, configuration (or None) and split (train when not said) of an hf:// address.

    >>> hub_parts("hf://PolyAI/banking77:test")
    ('PolyAI', 'banking77', None, 'test')
    >>> hub_parts("hf://nyu-mll/glue/sst2")
    ('nyu-mll', 'glue', 'sst2', 'train')
    """
    path, _, split = source.removeprefix(HUB).partition(":")
    parts = path.strip("/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise InputError(source, expected="hf://owner/dataset, hf://owner/dataset/config, and :split if you wish")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else None, split or "train"


@contextmanager
def _explained(address: str, *, remote: bool) -> Iterator[None]:
    """What the store behind `address` raises, as one of our errors. Each store has its own, hence Exception."""
    try:
        yield
    except LabelwiseError:
        raise
    except FileNotFoundError:
        raise InputError(f"{address} is not there", fix="check pull.pool and pull.gold in params.yaml") from None
    except PermissionError as error:
        raise InputError(f"{address} may not be read", got=str(error), fix="check your credentials for it") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{address} is no whole gzip file", got=str(error), fix="make or fetch the file anew"
        ) from None
    except Exception as error:
        if not remote:
            raise
        got = f"{type(error).__name__}: {error}"[:300]
        raise ServiceError(
            f"{address} cannot be read", got=got, fix="check the address and your credentials"
        ) from error
