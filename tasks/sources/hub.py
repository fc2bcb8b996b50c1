"""Datasets of the Hugging Face hub, streamed by the `datasets` package where that is installed."""

import os
from collections.abc import Iterator
from typing import IO, Any

from fsspec.core import url_to_fs

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import files
from labelwise.tasks.sources import formats, held, marks
from labelwise.tasks.sources.opened import Opened, Record, place

HUB = "hf://"
HUB_FILES = "hf://datasets/"  # fsspec's own addresses of single files on the hub


def names_dataset(source: str) -> bool:
    """Whether `source` is a dataset of the hub, which has no files of ours to open."""
    return source.startswith(HUB) and not source.startswith(HUB_FILES)


def records(asked: Opened) -> Iterator[Record]:
    """The asked cells of each row; class numbers as the names of their classes, files as kinds/files.py has them."""
    source, columns = asked.name, asked.columns
    owner, name, config, split = parts(source)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import datasets
    except ImportError:
        raise InputError(f"{source} needs the `datasets` package", fix="pip install labelwise[hub]") from None
    dataset = datasets.load_dataset(f"{owner}/{name}", config, split=split, streaming=True)
    rows = _read(dataset, datasets, asked)
    if asked.cells.held not in columns:
        return rows
    fs, root = url_to_fs(f"{HUB_FILES}{owner}/{name}")
    return held.cells(rows, columns.index(asked.cells.held), fs, f"{root}/{split}")


def _read(dataset: Any, datasets: Any, asked: Opened) -> Iterator[Record]:
    """The rows of a dataset as it is streamed; of a file its bytes, or where they are, a path or an address."""
    columns = asked.columns
    features = dataset.features or {}
    header = list(dataset.column_names or features or next(iter(dataset), {}))
    there = [column for column in columns if place(column, header, asked) is not None]
    classes = {column: _names(features.get(column)) for column in columns}
    if asked.cells.held in there and type(features.get(asked.cells.held)).__name__ == "Image":  # as bytes, not decoded
        dataset = dataset.cast_column(asked.cells.held, datasets.Image(decode=False))
    if asked.cells.spans:
        yield from _marked(dataset, header, asked)
        return
    for number, row in enumerate(dataset.select_columns(there), start=1):
        where = f"{asked.name} line {number}"
        yield tuple([_cell(row.get(column), classes[column], column, asked, where) for column in columns])


def _marked(dataset: Any, header: list[str], asked: Opened) -> Iterator[Record]:
    """The same where labels may be spans, and texts tokens."""
    at = {column: place(column, header, asked) for column in asked.columns}
    picks = {column: header[where] for column, where in at.items() if where is not None}
    picks |= {name: name for name in marks.tokens_beside(header, [*picks.values()]) if asked.cells.label}
    features = dataset.features.to_dict() if dataset.features else {}
    for number, whole in enumerate(dataset.select_columns([*dict.fromkeys(picks.values())]), start=1):
        row = {column: marks.with_names(whole.get(pick), features.get(pick)) for column, pick in picks.items()}
        row = marks.called(row, asked.columns, asked.cells.label)
        where = f"{asked.name} line {number}"
        yield tuple(
            [formats.json_cell(_named(row.get(column), None), column, asked, where) for column in asked.columns]
        )


def no_bytes() -> IO[bytes]:
    """What stands where a file would be opened."""
    raise NotImplementedError("a dataset of the hub has no bytes of its own")


def _names(feature: Any) -> list[str] | None:
    """The names of the classes that are numbers in a column, or in its lists."""
    return getattr(getattr(feature, "feature", feature), "names", None)


def _cell(value: Any, classes: list[str] | None, column: str, asked: Opened, where: str) -> str | None:
    if column == asked.cells.held and isinstance(value, dict) and "bytes" in value:
        return files.of_hub(value)
    if isinstance(value, list):
        value = [_named(each, classes) for each in value]
    return formats.json_cell(_named(value, classes), column, asked, where)


def _named(value: Any, classes: list[str] | None) -> Any:
    """A number as the name of its class, or as text."""
    if classes and isinstance(value, int):
        return classes[value] if value >= 0 else None  # -1 is the hub's mark for a hidden label
    return str(value) if isinstance(value, int) else value


def parts(source: str) -> tuple[str, str, str | None, str]:
    """Owner, dataset, configuration (or None) and split (train when not said) of an hf:// address.

    >>> parts("hf://PolyAI/banking77:test")
    ('PolyAI', 'banking77', None, 'test')
    >>> parts("hf://nyu-mll/glue/sst2")
    ('nyu-mll', 'glue', 'sst2', 'train')
    """
    path, _, split = source.removeprefix(HUB).partition(":")
    named = path.strip("/").split("/")
    if len(named) not in (2, 3) or not all(named):
        raise InputError(source, expected="hf://owner/dataset, hf://owner/dataset/config, and :split if you wish")
    return named[0], named[1], named[2] if len(named) == 3 else None, split or "train"
