"""Datasets of the Hugging Face hub, streamed by the `datasets` package where that is installed."""

import os
from collections.abc import Iterator
from typing import IO, Any

from labelwise.tasks.errors import InputError
from labelwise.tasks.sources import formats
from labelwise.tasks.sources.opened import Opened, Record, place

HUB = "hf://"
HUB_FILES = "hf://datasets/"  # fsspec's own addresses of single files on the hub


def names_dataset(source: str) -> bool:
    """Whether `source` is a dataset of the hub, which has no files of ours to open."""
    return source.startswith(HUB) and not source.startswith(HUB_FILES)


def records(source: str, columns: list[str], optional: frozenset[str] = frozenset()) -> Iterator[Record]:
    """The asked cells of each row; class numbers as the names of their classes."""
    owner, name, config, split = parts(source)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import datasets
    except ImportError:
        raise InputError(f"{source} needs the `datasets` package", fix="pip install labelwise[hub]") from None
    dataset = datasets.load_dataset(f"{owner}/{name}", config, split=split, streaming=True)
    features = dataset.features or {}
    header = list(dataset.column_names or features or next(iter(dataset), {}))
    asked = Opened(source, _no_bytes, columns, 0, optional)
    there = [column for column in columns if place(column, header, asked) is not None]
    classes = {column: getattr(features.get(column), "names", None) for column in columns}
    for number, row in enumerate(dataset.select_columns(there), start=1):
        yield tuple([_cell(row.get(column), classes[column], column, f"{source} line {number}") for column in columns])


def _no_bytes() -> IO[bytes]:
    raise NotImplementedError("a dataset of the hub has no bytes of its own")


def _cell(value: Any, classes: list[str] | None, column: str, where: str) -> str | None:
    if classes and isinstance(value, int):
        return classes[value] if value >= 0 else None  # -1 is the hub's mark for a hidden label
    return str(value) if isinstance(value, int) else formats.json_cell(value, column, where)


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
