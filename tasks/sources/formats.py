"""Taking a file apart: CSV, TSV, JSON, JSON lines, Parquet. A new kind is a reader in `READERS`."""

import gzip
import io
import json
import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import files
from labelwise.tasks.sources import encodings, exports, marks, separated
from labelwise.tasks.sources.opened import MAX_CELL, SEVERAL, Opened, Record, place

ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    **dict.fromkeys((".conll", ".bio", ".iob", ".iob2", ".bioes"), "conll"),
}
CHUNK_CHARS = 16_000_000  # a chunk of long texts ends here, however few rows it has
MAX_RATIO = 200  # of what is read to what is stored; text packs 3 to 20 times
FREE = 256 * 2**20  # bytes that may be read before the ratio counts
TITLED = 1000  # objects of JSON whose keys are taken for all
HEAD = 4096  # bytes looked at to tell what a file is
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
UUID_BYTES = 16
WHOLE_NUMBERS = 2**53  # from here on a float stands for several of them
LOOKS = {  # others are binary data by their NULs
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip file or an Excel workbook",
    b"\x1f\x8b": "a gzip file",
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
}


def records(file: Opened, kind: str, encoding: str | None = None) -> Iterator[Record]:
    """The asked cells of each row. encoding: what the user says of files that are not Unicode by their own word.
    InputError when the file is empty or not what its name says."""
    with file.open() as handle:
        head = handle.read(HEAD)
    _look(head, kind, file.name)
    if kind != "parquet":
        file = replace(file, encoding=encodings.of(file.open, file.name, encoding))
    try:
        yield from READERS[kind](file)
    except UnicodeDecodeError as error:
        fix = "give another encoding, or save it as UTF-8"
        raise InputError(f"{file.name}", expected=f"text in {file.encoding}", got=str(error), fix=fix) from None


class Digits(str):
    """A number in a JSON file as it was written: a key such as 1.0 must not become another."""


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


def json_cell(value: Any, column: str, file: Opened, where: str) -> str | None:
    """A JSON value as text; a list only where labels may be lists, or figures."""
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    if isinstance(value, list) and column in file.cells.figures:
        return json.dumps(_with_numbers(value), ensure_ascii=False)
    if column in file.cells.beside:
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bool | float):  # float: NaN and the infinities, which no parse_float sees
        return json.dumps(value)
    is_label = column == file.cells.label
    if file.cells.spans and (is_label or marks.is_tokens(value)):
        return marks.as_json(_with_numbers(value)) if is_label else marks.joined(value)
    if isinstance(value, list) and is_label and file.cells.lists:
        return json.dumps(value, ensure_ascii=False)
    expected, got, fix = "a text", f"a {type(value).__name__}", ""
    if isinstance(value, list):
        fix = SEVERAL if is_label else ""
        if file.cells.spans:
            expected, got = "a text, or the list of its tokens", ascii(value)[:60]
    raise InputError(f"{where}: {column!r}", expected=expected, got=got, fix=fix)


def _look(head: bytes, kind: str, name: str) -> None:
    """Refuse an empty file, and one whose first bytes say that it is of another kind."""
    start = head.lstrip().lower()
    if not start:
        raise InputError(f"{name} is empty", expected=f"rows of {kind}")
    wide = any(head.startswith(mark) for mark, encoding in encodings.MARKS.items() if encoding != encodings.UTF8)
    if wide and kind != "parquet":
        return
    otherwise = "binary data" if b"\0" in head else "text" if kind == "parquet" else None
    looks = next(
        (look for magic, look in LOOKS.items() if head.startswith(magic) or start.startswith(magic)), otherwise
    )
    if kind == "parquet" and head.startswith(b"PAR1"):
        return
    if looks == "binary data" and encodings.looks_like(head[: len(head) // 2 * 2]).startswith("utf-16"):
        return  # without a byte order mark; what to do is said where the encoding is looked for
    if looks:
        fix = "give the file its right ending, or another file"
        raise InputError(f"{name} is not what its name says", expected=kind, got=looks, fix=fix)


def _jsonl(file: Opened) -> Iterator[Record]:
    """JSON lines."""
    with file.open() as handle, io.TextIOWrapper(handle, encoding=file.encoding, errors=file.errors) as text:
        yield from _picked(_objects(text, file), file)


def _objects(text: io.TextIOWrapper, file: Opened) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(iter(lambda: text.readline(MAX_CELL), ""), start=1):
        where = f"{file.name} line {number}"
        if len(line) == MAX_CELL:
            raise InputError(f"{where} is too long", expected=f"less than {MAX_CELL:,} characters")
        if not line.strip("\ufeff \t\r\n"):
            continue
        try:
            row = json.loads(line.strip().lstrip("\ufeff"), parse_int=Digits, parse_float=Digits)
        except (ValueError, RecursionError):
            row = None
        row = marks.of_pair(row) if file.cells.spans else row
        if not isinstance(row, dict):
            raise InputError(f"{where} is broken", expected="one JSON object a line", got=ascii(line.strip()[:40]))
        yield where, row


def _json(file: Opened) -> Iterator[Record]:
    """A JSON list of objects, read in parts; JSON lines under the same ending, too."""
    with file.open() as handle:
        begins = handle.read(HEAD).decode(file.encoding, "ignore").lstrip("\ufeff \t\r\n")[:1]
    if begins != "[":
        yield from _jsonl(file)
        return
    import ijson

    with file.open() as handle, io.TextIOWrapper(handle, encoding=file.encoding, errors=file.errors) as text:
        try:
            numbered = enumerate(ijson.items(text, "item"), start=1)
            named = ((f"{file.name} row {number}", row) for number, row in numbered)
            yield from _picked(((where, _object(row, where, file.cells.spans)) for where, row in named), file)
        except (ijson.JSONError, RecursionError, UnicodeEncodeError) as error:
            got = str(error)[:120]
            raise InputError(f"{file.name} is broken", expected="a JSON list of objects", got=got) from None


def _object(row: Any, where: str, spans: bool) -> dict[str, Any]:
    row = marks.of_pair(row) if spans else row
    if not isinstance(row, dict):
        raise InputError(where, expected="an object with the columns", got=f"a {type(row).__name__}")
    return {key: _as_written(value) for key, value in row.items()}


def _as_written(value: Any) -> Any:
    """Numbers as text, also those in lists and objects."""
    if isinstance(value, list):
        return [_as_written(each) for each in value]
    if isinstance(value, dict):
        return {key: _as_written(each) for key, each in value.items()}
    return Digits(value) if type(value) in (int, Decimal) else value


def _with_numbers(value: Any) -> Any:
    """Numbers as numbers again, those in lists and objects; as text where nobody can compute with one."""
    if isinstance(value, list):
        return [_with_numbers(each) for each in value]
    if isinstance(value, dict):
        return {key: _with_numbers(each) for key, each in value.items()}
    if not isinstance(value, Digits):
        return value
    number = float(value)
    if not math.isfinite(number):
        return value
    return int(value) if value.lstrip("-").isdecimal() else number


def _picked(rows: Iterator[tuple[str, dict[str, Any]]], file: Opened) -> Iterator[Record]:
    """The asked cells of objects. A key may be absent from a row (its cell is None), but not from all of the first
    thousand."""
    absent, known = set(file.columns) - file.optional, dict[str, None]()
    number = 0
    for where, whole in rows:
        for row in exports.flat(whole, where, file.cells.lists, file.cells.spans):
            number += 1
            row = marks.called(row, file.columns, file.cells.label) if file.cells.spans else row
            if absent:
                absent -= row.keys()
                known |= dict.fromkeys(row)
                if absent and number >= 1000:
                    break
            yield tuple([json_cell(row.get(column), column, file, where) for column in file.columns])
    for column in sorted(absent):
        place(column, list(known), file)


def _conll(file: Opened) -> Iterator[Record]:
    """A token a line, its tag last, blank lines between sentences."""
    if not file.cells.spans:
        fix = "make the workspace with `labelwise init --answer spans`"
        raise InputError(file.name, expected="a table of items", got="tokens with tags", fix=fix)
    own = next((column for column in file.columns if column != file.cells.label), "")
    for column in file.columns:
        place(column, [own, *([file.cells.label] if file.cells.label else [])], file)
    with file.open() as handle, io.TextIOWrapper(handle, encoding=file.encoding, errors=file.errors) as text:
        lines = enumerate(iter(lambda: text.readline(MAX_CELL), ""), start=1)
        for tokens, tags in marks.of_conll(lines, file.name, tagged=file.cells.label is not None):
            cells = {own: marks.joined(tokens), file.cells.label: marks.as_json({"tokens": tokens, "tags": tags})}
            yield tuple([cells.get(column) for column in file.columns])


def _parquet(source: Opened) -> Iterator[Record]:
    name = source.name
    with source.open() as handle:
        try:
            schema = pq.ParquetFile(handle).schema_arrow
            places = [place(column, schema.names, source) for column in source.columns]
            picks = [None if at is None else schema.names[at] for at in places]
            beside = marks.tokens_beside(schema.names, picks) if source.cells.spans and source.cells.label else []
            asked = [pick for pick in [*picks, *beside] if pick is not None]
            # Texts that are stored once and meant often stay so: unpacked, a small file could fill any memory.
            file = pq.ParquetFile(handle, read_dictionary=[pick for pick in asked if _is_text(schema.field(pick).type)])
            groups = [file.metadata.row_group(each) for each in range(file.num_row_groups)]
            stored, read = handle.seek(0, io.SEEK_END), 0
            refuse_bomb(sum(group.total_byte_size for group in groups), stored, name)
            names, features = _class_names(schema), _features(schema)
            for batch in file.iter_batches(_batch_rows(file, source.rows), columns=asked):
                if source.cells.spans:
                    named = dict(zip([*source.columns, *beside], [*picks, *beside], strict=True))
                    cells = _marked(batch, named, source, features)
                else:
                    cells = [
                        [None] * len(batch)
                        if pick is None
                        else _cells(batch.column(pick), pick, source, names.get(pick))
                        for pick in picks
                    ]
                read += sum(len(cell) for column in cells for cell in column if cell)
                refuse_bomb(read, stored, name)
                yield from zip(*cells, strict=True)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # the disk's or the store's fault; pyarrow's has no number
                raise
            fix = "make or fetch the file anew"
            raise InputError(f"{name} is a broken Parquet file", got=str(error)[:120], fix=fix) from None


def _marked(
    batch: pa.RecordBatch, picks: dict[str, str | None], source: Opened, features: dict[str, Any]
) -> list[list[str | None]]:
    """The asked columns where labels may be spans, and texts tokens. picks: the file's own name of each column."""
    values: dict[str, list[Any]] = {}
    for name, pick in picks.items():
        if pick is None:
            values[name] = [None] * len(batch)
        elif pa.types.is_nested(batch.schema.field(pick).type):
            values[name] = [marks.with_names(value, features.get(pick)) for value in batch.column(pick).to_pylist()]
        else:
            values[name] = _cells(batch.column(pick), pick, source, None)
    given = (dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))
    rows = (marks.called(row, source.columns, source.cells.label) for row in given)
    cells = [[json_cell(row[name], name, source, source.name) for name in source.columns] for row in rows]
    return [list(column) for column in zip(*cells, strict=True)]


def _is_text(type_: pa.DataType) -> bool:
    return any(kind(type_) for kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))


def _features(schema: pa.Schema) -> dict[str, Any]:
    """What a dataset of the Hugging Face hub says of its columns."""
    try:
        return dict(json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of classes that a dataset of the Hugging Face hub keeps as numbers, by column."""
    try:
        features = _features(schema)
        named = {str(column): _of_lists(feature) for column, feature in features.items()}
        return {column: list(feature["names"]) for column, feature in named.items() if _is_class_label(feature)}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _of_lists(feature: Any) -> Any:
    """What the lists of a column hold; of another column, what it holds itself."""
    inner = feature[0] if isinstance(feature, list) and feature else feature
    return inner.get("feature", inner) if isinstance(inner, dict) else inner


def _is_class_label(feature: Any) -> bool:
    return isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list)


def _batch_rows(file: pq.ParquetFile, rows: int) -> int:
    """How many rows hold about CHUNK_CHARS bytes in the widest of the row groups."""
    groups = [file.metadata.row_group(each) for each in range(file.num_row_groups)]
    widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
    return int(max(1, min(rows, CHUNK_CHARS / max(widest, 1))))


def _cells(column: pa.Array, title: str, file: Opened, classes: list[str] | None) -> list[str | None]:
    """A column as text. A list of names is JSON where labels may be lists; an empty one is a label, a null none. Bytes
    of files are as kinds/files.py packs them; a list of figures is JSON, too."""
    if title == file.cells.held and (found := _files(column)) is not None:
        return found
    lists = any(is_list(column.type) for is_list in LISTS)
    if title in file.cells.figures and (lists or pa.types.is_floating(column.type)):
        return [None if cell is None else json.dumps(cell, default=str) for cell in column.to_pylist()]
    if title in file.cells.beside and not classes and _is_odd(column.type):
        return [None if cell is None else _as_json(cell) for cell in column.to_pylist()]
    if title != file.cells.label or not lists:
        return _strings(column, title, file.name, classes)
    where = f"{file.name}: column {title!r}"
    if not file.cells.lists:
        raise InputError(where, expected="a class", got=f"{column.type} values", fix=SEVERAL)
    names = iter(_strings(column.flatten(), title, file.name, classes))
    lengths = pc.list_value_length(column).to_pylist()
    return [
        None if length is None else json.dumps(list(islice(names, length)), ensure_ascii=False) for length in lengths
    ]


def _is_odd(type_: pa.DataType) -> bool:
    """Whether it is a type that `_strings` refuses, or may: as a text it would not be a key."""
    odd = (pa.types.is_nested, pa.types.is_floating, pa.types.is_fixed_size_binary, pa.types.is_duration)
    return any(is_odd(type_) for is_odd in odd) or isinstance(type_, pa.ExtensionType)


def _as_json(value: Any) -> str:
    """A value of any type; what JSON has no word for as Python writes it."""
    return json.dumps(value, ensure_ascii=False, default=str).strip('"')


def _files(column: pa.Array) -> list[str | None] | None:
    """The files in a column of bytes, or of bytes with their path as the Hugging Face hub has it; None for another
    column."""
    type_ = column.type
    if pa.types.is_dictionary(type_):
        values = _files(column.dictionary)
        return None if values is None else [None if at is None else values[at] for at in column.indices.to_pylist()]
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return [None if cell is None else files.packed(cell, "") for cell in column.to_pylist()]
    if pa.types.is_struct(type_) and type_.get_field_index("bytes") >= 0:
        return [files.of_hub(cell) for cell in column.to_pylist()]
    return None


def _strings(column: pa.Array, title: str, name: str, classes: list[str] | None = None) -> list[str | None]:
    """A column as text; bytes that are no UTF-8 as lone surrogates (Parquet's writers do not all check). classes: what
    its numbers stand for; -1 is a label that is hidden."""
    where, type_ = f"{name}: column {title!r}", column.type
    if pa.types.is_dictionary(type_):
        used = column.indices.dictionary_encode()  # each batch has the values of all before it in its dictionary, too
        values = _strings(column.dictionary.take(used.dictionary), title, name, classes)
        return [None if at is None else values[at] for at in used.indices.to_pylist()]
    if getattr(type_, "extension_name", "") == "arrow.uuid":
        return _uuids(column.storage.to_pylist())
    if pa.types.is_fixed_size_binary(type_) and type_.byte_width == UUID_BYTES:
        return _uuids(column.to_pylist())
    if (
        pa.types.is_nested(type_)
        or pa.types.is_fixed_size_binary(type_)
        or pa.types.is_duration(type_)
        or isinstance(type_, pa.ExtensionType)
    ):
        raise InputError(where, expected="texts", got=f"{type_} values", fix="write the column as text")
    if classes is not None and pa.types.is_integer(type_):
        return [_class(cell, classes, where) for cell in column.to_pylist()]
    if pa.types.is_floating(type_):
        return [None if cell is None else _number(cell, where) for cell in column.to_pylist()]
    try:
        if not (pa.types.is_binary(type_) or pa.types.is_large_binary(type_)):
            column = column.cast(pa.large_string()).cast(pa.large_binary())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise InputError(where, expected="texts", got=f"{type_} values", fix="write the column as text") from None
    cells = column.to_pylist()
    texts = [None if cell is None else cell.decode("utf-8", "surrogateescape") for cell in cells]
    uuids = any(map(_broken, texts)) and all(cell is None or len(cell) == UUID_BYTES for cell in cells)
    return _uuids(cells) if uuids else texts


def _uuids(cells: list[bytes | None]) -> list[str | None]:
    return [None if cell is None else str(uuid.UUID(bytes=cell)) for cell in cells]


def _broken(text: str | None) -> bool:
    """Whether it has bytes that were no UTF-8."""
    return text is not None and not text.isascii() and any("\udc80" <= each <= "\udcff" for each in text)


def _class(cell: int | None, classes: list[str], where: str) -> str | None:
    if cell is None or cell == -1:
        return None
    if not 0 <= cell < len(classes):
        raise InputError(where, expected=f"class numbers from 0 to {len(classes) - 1}, or -1 for none", got=str(cell))
    return classes[cell]


def _number(cell: float, where: str) -> str:
    """A float as text: 17.0 is 17, since tools make floats of whole numbers where one is missing. InputError where it
    stands for several: as a key it would be another one's, too."""
    if abs(cell) >= WHOLE_NUMBERS and cell.is_integer():
        got = f"floats such as {cell:.0f}, whose last digits are lost"
        raise InputError(where, expected="texts or whole numbers", got=got, fix="write the column as text")
    return str(int(cell)) if cell.is_integer() else repr(cell)


def columns(file: Opened, kind: str, encoding: str | None = None) -> list[str]:
    """The names of all columns of a file; of JSON those of its first thousand objects. InputError as in `records`."""
    if kind == "parquet":
        with file.open() as handle:
            _look(handle.read(HEAD), kind, file.name)
            try:
                return [str(name) for name in pq.ParquetFile(handle).schema_arrow.names]
            except pa.ArrowInvalid as error:
                fix = "make or fetch the file anew"
                raise InputError(f"{file.name} is a broken Parquet file", got=str(error)[:120], fix=fix) from None
    with file.open() as handle:
        _look(handle.read(HEAD), kind, file.name)
    file = replace(file, encoding=encodings.of(file.open, file.name, encoding))
    if kind in ("csv", "tsv"):
        return separated.titles(file, "," if kind == "csv" else "\t")
    with file.open() as handle, io.TextIOWrapper(handle, encoding=file.encoding, errors=file.errors) as text:
        whole = kind == "json" and text.read(1).lstrip("\ufeff") == "["
    with file.open() as handle, io.TextIOWrapper(handle, encoding=file.encoding, errors=file.errors) as text:
        if whole:
            import ijson

            rows: Iterator[Any] = ijson.items(text, "item")
        else:
            rows = (row for _, row in _objects(text, file))
        known = [name for row in islice(rows, TITLED) if isinstance(row, dict) for name in row]
    return list(dict.fromkeys(known))


READERS: dict[str, Callable[[Opened], Iterator[Record]]] = {
    "csv": partial(separated.records, usual=","),
    "tsv": partial(separated.records, usual="\t"),
    "jsonl": _jsonl,
    "json": _json,
    "parquet": _parquet,
    "conll": _conll,
}
