"""The files that cells of a table stand for, such as pictures: a path beside the table, or an address, read with the
guards that sources have. What comes out is as kinds/files.py has it."""

import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

import fsspec
from fsspec.core import split_protocol, url_to_fs
from fsspec.implementations.local import LocalFileSystem

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds.files import (
    BIG,
    DATA,
    ELSEWHERE,
    MISSING,
    MOST,
    OUTSIDE,
    REFUSED,
    UNREACHABLE,
    packed,
    unread,
)
from labelwise.tasks.sources import addresses, reach
from labelwise.tasks.sources.opened import Record

HERE = ("file", "local", "memory")  # kinds of addresses: of this machine
BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf")  # of stores whose paths begin with the bucket
AT_ONCE = 8  # files of other machines that are asked for together
TRIES = 2  # at each of those
GONE = (404, 410)  # of a web server
SECONDS = 60  # for one file of a web server


def cells(records: Iterable[Record], at: int | None, fs: fsspec.AbstractFileSystem, table: str) -> Iterator[Record]:
    """The records of a table with the files in place of what names them. at: where that stands, None where the table
    does not have it. table: its path on `fs`: names are taken as beside it."""
    if at is None:
        yield from records
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for some in _batched(records, AT_ONCE):
            named = [record[at] for record in some]
            far = any("://" in (cell or "") for cell in named) or not isinstance(fs, LocalFileSystem)
            found = (pool.map if far else map)(lambda cell: _file(cell, fs, table), named)
            for record, cell in zip(some, found, strict=True):
                yield (*record[:at], cell, *record[at + 1 :])


def _batched(records: Iterable[Record], size: int) -> Iterator[tuple[Record, ...]]:
    rest = iter(records)
    while some := tuple(itertools.islice(rest, size)):
        yield some


def _file(cell: str | None, fs: fsspec.AbstractFileSystem, table: str) -> str | None:
    if cell is None or not cell.strip():
        return None
    if cell.startswith(DATA):
        return cell
    name = cell.strip()
    try:
        there = _address(name, fs, table) if "://" in name else _beside(name, fs, table)
    except InputError:
        return unread(REFUSED, name)
    except (OSError, ValueError, ImportError):  # an address that is none
        return unread(MISSING, name)
    if there is None:
        here = "://" not in name or split_protocol(name)[0] in HERE
        return unread(OUTSIDE if here else ELSEWHERE, name)
    return fetched(*there, name)


def _address(name: str, fs: fsspec.AbstractFileSystem, table: str) -> tuple[fsspec.AbstractFileSystem, str] | None:
    """Where an address leads. InputError where it may not be read; None for a file of this machine, and for what is
    neither on the web nor in the bucket of its table: else a table of a stranger's could have any picture shown that
    the credentials of whoever runs the loop open."""
    kind = split_protocol(name)[0]
    if kind in HERE:
        return (LocalFileSystem(), name.partition("://")[2]) if reach.allows(reach.OUTSIDE) else None
    reach.refuse(name)
    options = reach.options(name)
    web = kind in ("http", "https")
    free = web or reach.allows(reach.OUTSIDE)
    if not free and (kind not in BUCKETS or kind not in fs.protocol):
        return None
    if web:
        import aiohttp

        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=SECONDS)}
    there, path = cast(tuple[fsspec.AbstractFileSystem, str], url_to_fs(name, **options))
    own = there == fs and _bucket(kind, path) == _bucket(kind, table)
    return (there, path) if free or own else None


def _bucket(kind: str | None, path: str) -> list[str]:
    """What of a path on a store says whose it is: of the Hugging Face hub, the repository in any of its revisions.

    >>> _bucket("s3", "own/set/a.png"), _bucket("hf", "datasets/o/d@4f2a/train/a.png")
    (['own'], ['datasets', 'o', 'd'])
    """
    return path.partition("@")[0].split("/")[:3] if kind == "hf" else path.split("/")[:1]


def _beside(name: str, fs: fsspec.AbstractFileSystem, table: str) -> tuple[fsspec.AbstractFileSystem, str] | None:
    """Where a name leads that stands in a table; None where that is not in or below the table's folder: else a table
    of a stranger's could have any picture of this machine shown to reviewers."""
    plain = name.replace("\\", "/") if "/" not in name else name  # written on Windows
    folder = table.rpartition("/")[0]
    if not isinstance(fs, LocalFileSystem):
        climbs = plain.startswith("/") or ".." in plain.split("/")
        return None if climbs else (fs, f"{folder}/{plain.removeprefix('./')}")
    root = os.path.realpath(folder or ".")
    real = os.path.realpath(Path(root) / plain)
    inside = os.path.commonpath([root, real]) == root
    return (fs, real) if inside or reach.allows(reach.OUTSIDE) else None


def fetched(fs: fsspec.AbstractFileSystem, path: str, name: str) -> str:
    """The cell of the file at `path`. name: what people know it by."""
    if isinstance(fs, LocalFileSystem):
        try:
            there = Path(path).is_file()  # and no pipe or device, whose end nobody knows
        except OSError:  # a name that no disk takes
            there = False
        if not there:
            return unread(MISSING, name)
        try:
            return read_from(fs.open(path, "rb"), name)
        except OSError:
            return unread(UNREACHABLE, name)
    for _ in range(TRIES):
        try:
            # Read as it comes, and no further than MOST, whatever a web server says of its size.
            more: dict[str, Any] = {"block_size": 0} if path.startswith(("http://", "https://")) else {}
            return read_from(fs.open(path, "rb", **more), name)
        except Exception as error:
            if not addresses.is_of_store(error):
                raise
            fault = _fault(error)
        if fault != UNREACHABLE:
            return unread(fault, name)
    return unread(UNREACHABLE, name)


def _fault(error: BaseException) -> str:
    """Why a store did not give a file."""
    if reach.refused(error):
        return REFUSED
    if not isinstance(error, FileNotFoundError):
        return UNREACHABLE
    # fsspec calls whatever a web server says 'not found', and a server that is down, too.
    status = getattr(error.__cause__, "status", None)
    return MISSING if error.__cause__ is None or status in GONE else UNREACHABLE


def read_from(handle: IO[bytes], name: str) -> str:
    """The cell of an open file, which is closed."""
    with handle:
        parts, size = [], 0
        while size <= MOST and (part := handle.read(min(MOST + 1 - size, 2**20))):
            parts.append(part)
            size += len(part)
    return unread(BIG, name) if size > MOST else packed(b"".join(parts), name)
