"""From the address of a source to its files, wherever fsspec finds them; and what stores say when they say no."""

import gzip
import io
import itertools
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from labelwise.tasks.errors import InputError, LabelwiseError, ServiceError
from labelwise.tasks.kinds.files import PICTURES
from labelwise.tasks.sources import formats, reach
from labelwise.tasks.sources.formats import ENDINGS

CHECK = "check the address"
PARTITION = re.compile(r"/[^/=]+=[^/]*$")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
STORES = {"adlfs", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "httpx", "httpx2", "huggingface_hub"}
STORES |= {"requests", "s3fs"}
MOST_FILES = 100_000  # of one source
STAMPS = ("ino", "mtime", "created", "ETag", "LastModified", "etag", "last_modified", "updated", "Last-Modified")


@dataclass(frozen=True)
class File:
    """One file of a source."""

    fs: fsspec.AbstractFileSystem
    path: str
    partitions: dict[str, str | None] = field(default_factory=dict)  # columns that its folders name

    @property
    def name(self) -> str:
        """Its address as a user would write it."""
        return self.path if isinstance(self.fs, LocalFileSystem) else str(self.fs.unstrip_protocol(self.path))

    @property
    def kind(self) -> str:
        """csv, tsv, jsonl or parquet, by its name alone; empty when the name does not say."""
        stem = self._bare.removesuffix(".gz")
        kind = next((kind for ending, kind in ENDINGS.items() if stem.endswith(ending)), "")
        return "" if self._packed and kind == "parquet" else kind

    @property
    def remote(self) -> bool:
        """Whether a service is behind it."""
        return is_remote(self.fs)

    def open(self) -> IO[bytes]:
        """Its bytes, unpacked when it is a .gz. InputError on reading when that is out of all proportion."""
        handle = cast(IO[bytes], self.fs.open(self.path, "rb"))
        if not self._packed:
            return handle
        return cast(IO[bytes], io.BufferedReader(formats.Unpacked(handle, self.name)))  # which reads by `readinto`

    @property
    def _packed(self) -> bool:
        return self._bare.endswith(".gz")

    @property
    def _bare(self) -> str:
        """The path in lower case, without the ?version=2 of a web address."""
        path = self.path.lower()
        return urlsplit(path).path if "://" in path else path


def files(source: str) -> list[File]:
    """The files behind `source`, sorted by name, all of one kind. InputError as in `sources.chunks`."""
    if not source:
        raise InputError("no source is given", fix="set pull.pool and pull.gold in params.yaml")
    fs, path = file_system(source)
    with explained(source, remote=is_remote(fs)):
        fs.invalidate_cache()  # a loop on a schedule must see what came since its last look
        found = [File(fs, each, _partitions(each, path)) for each in _paths(fs, path, source)]
    for file in found:
        if not file.kind:
            expected = "a name ending in " + ", ".join(ENDINGS)
            raise InputError(f"{file.name} is of no known kind", expected=expected, fix="save it as one of these")
    kinds = sorted({file.kind for file in found})
    if len(kinds) > 1:
        fix = f"name one kind by a glob, such as {source.rstrip('/')}/*.{kinds[0]}"
        raise InputError(f"{source} holds several kinds", expected="files of one kind", got=", ".join(kinds), fix=fix)
    return found


def fingerprint(source: str) -> list[list[str]] | None:
    """Address, size and stamps of each of the files; None where the store has no stamps."""
    seen = []
    for file in files(source):
        with explained(file.name, remote=file.remote):
            about = file.fs.info(file.path)
        stamps = [f"{key}={about[key]}" for key in STAMPS if about.get(key) is not None]
        if not stamps:
            return None
        seen.append([file.name, str(about.get("size")), *stamps])
    return seen


def is_of_store(error: Exception) -> bool:
    """Whether an error is one of what stands behind an address: of the network, of an address that is none, or of the
    packages that speak to stores, which have kinds of their own."""
    roots = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError | EOFError | ValueError) or bool(roots & STORES)


@contextmanager
def explained(address: str, *, remote: bool) -> Iterator[None]:
    """What the store behind `address` raises, as one of our errors. Each store has its own, so all are caught."""
    try:
        yield
    except LabelwiseError:
        raise
    except FileNotFoundError:
        raise InputError(f"{address} is not there", fix=CHECK) from None
    except PermissionError as error:
        raise InputError(f"{address} may not be read", got=str(error), fix="check your credentials for it") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        fix = "make or fetch the file anew"
        raise InputError(f"{address} is no whole gzip file", got=str(error), fix=fix) from None
    except Exception as error:
        if not remote:
            raise
        got = f"{type(error).__name__}: {error}"[:300]
        fix = "check the address and your credentials"
        raise ServiceError(f"{address} cannot be read", got=got, fix=fix) from error


def is_remote(fs: fsspec.AbstractFileSystem) -> bool:
    return not isinstance(fs, LocalFileSystem | MemoryFileSystem)


def file_system(source: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system and the path on it; InputError says what to install, or that it may not be read."""
    reach.refuse(source)
    try:
        return cast(tuple[fsspec.AbstractFileSystem, str], url_to_fs(source, **reach.options(source)))
    except ImportError as error:
        fix = "pip install labelwise[s3]" if source.startswith(("s3://", "s3a://")) else str(error)
        raise InputError(f"{source} cannot be read without a further package", fix=fix) from None
    except ValueError as error:
        raise InputError(source, expected="a path or an address that fsspec knows", got=str(error)) from None


def _paths(fs: fsspec.AbstractFileSystem, path: str, source: str) -> list[str]:
    """The paths of the files: `path` itself, those in the folder (not below it, not hidden), or what the glob finds."""
    try:
        about = fs.info(path)
    except FileNotFoundError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None  # a web server that is down: fsspec calls that 'not found' too
        return globbed(fs, path, source)
    if about["type"] != "directory":
        return _regular(fs, [path])
    if isinstance(fs, LocalFileSystem):
        with os.scandir(path) as entries:  # before each of them is looked at
            refuse_too_many(sum(1 for _ in itertools.islice(entries, MOST_FILES + 1)), source)
    listed = fs.ls(path, detail=True)
    inside = [each["name"] for each in listed if each["type"] != "directory"]
    if any(each["type"] == "directory" and PARTITION.search(each["name"]) for each in listed):
        inside += [name for name in fs.find(path) if all(PARTITION.match(f"/{part}") for part in _between(name, path))]
        inside = sorted(set(inside))
    known = sorted(name for name in inside if name.rpartition("/")[2][0] not in "._" and File(fs, name).kind)
    if not known:
        folders = sorted(each["name"].rpartition("/")[2] for each in listed if each["type"] == "directory")
        got = "only folders: " + ", ".join(folders[:5]) if folders else ""
        fix = "name one of them" if folders else ""
        if any(name.lower().endswith(PICTURES) for name in fs.find(path, maxdepth=2)):
            fix = "for pictures make the workspace with `labelwise init --item image`"
        raise InputError(f"{source} holds no data", expected="files ending in " + ", ".join(ENDINGS), got=got, fix=fix)
    refuse_too_many(len(known), source)
    return _regular(fs, known, within=path)


def _between(name: str, folder: str) -> list[str]:
    """The names of the folders between a folder and a file in it."""
    return name.removeprefix(folder.rstrip("/") + "/").split("/")[:-1]


def _partitions(name: str, folder: str) -> dict[str, str | None]:
    """The columns that folders such as label=spam/ name, and their value in this file."""
    pairs = [part.partition("=") for part in _between(name, folder) if "=" in part] if name.startswith(folder) else []
    return {key: None if value == NO_VALUE else unquote(value) for key, _, value in pairs}


def globbed(fs: fsspec.AbstractFileSystem, path: str, source: str) -> list[str]:
    """What the glob `path` finds, sorted. InputError when that is nothing, or when it is no glob at all."""
    if not set(path) & set("*?["):
        raise InputError(f"{source} is not there", fix=CHECK)
    found = cast(dict[str, dict[str, Any]], fs.glob(path, detail=True))
    names = sorted(name for name, about in found.items() if about["type"] != "directory")
    if not names:
        raise InputError(f"no file matches {source}", fix=CHECK)
    refuse_too_many(len(names), source)
    return _regular(fs, names, within=re.split(r"[*?\[]", path)[0].rpartition("/")[0] or "/")


def _regular(fs: fsspec.AbstractFileSystem, names: list[str], within: str = "") -> list[str]:
    """The names. InputError for a pipe or a device, whose end nobody knows, and for a link that leads out of the folder
    `within`: anyone who may put files there could else have any file of this machine read."""
    if not isinstance(fs, LocalFileSystem):
        return names
    root = os.path.realpath(within)
    for name in names:
        real = os.path.realpath(name)
        if within and os.path.commonpath([root, real]) != root and not _in_cache_of_hub(name, real):
            fix = f"name {real} as a source of its own if it is meant"
            raise InputError(f"{name} is a link that leads out of {within}", fix=fix)
        if Path(real).exists() and not Path(real).is_file():
            raise InputError(f"{name} is no regular file", fix="save what it gives to a file")
    return names


def _in_cache_of_hub(name: str, real: str) -> bool:
    """Whether this is how the hub's cache keeps a file: a link in snapshots/REVISION/ to blobs/HASH beside it."""
    repository, found, _ = str(Path(name).absolute()).rpartition("/snapshots/")
    return bool(found) and Path(real).parent == Path(repository).resolve() / "blobs"


def refuse_too_many(count: int, source: str) -> None:
    if count > MOST_FILES:
        fix = "join them into larger files (Parquet is best), or name a part of them by a glob"
        raise InputError(f"{source} holds too many files", expected=f"{MOST_FILES:,} at most", fix=fix)
