"""Folders and archives of files that are an item each, such as pictures.

The columns are those of the files themselves, the label (the class folder that a file lies in: `cats/1.jpg`), `name`
and `folder`. What an archive holds is read as it stands there, and nothing of it is unpacked onto the disk.
"""

import errno
import gzip
import hashlib
import json
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import files as kept
from labelwise.tasks.kinds.files import Files
from labelwise.tasks.sources import addresses, formats, held
from labelwise.tasks.sources.opened import Opened, Record, place

# What the ways of packing raise of a damaged archive; of OSError see `_is_damage`. RuntimeError: a way that is not
# known; UnicodeError: a name that is no text.
DAMAGES: tuple[type[Exception], ...] = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
DAMAGES += (struct.error, RuntimeError, UnicodeError, OverflowError, OSError)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
NAME, FOLDER = "name", "folder"


@dataclass(frozen=True)
class Tree:
    """Files of one source. root: what their names are relative to; paths: on `fs`, in order; archive: the one path of
    an archive that holds them, or ''."""

    source: str
    fs: fsspec.AbstractFileSystem
    root: str
    paths: list[str]
    archive: str = ""


def tree(source: str, files: Files) -> Tree | None:
    """The files of a source that is a folder, glob or archive of such files, or one of them; None where it is tables,
    whatever they hold. InputError where nothing is there."""
    fs, path = addresses.file_system(source)
    with addresses.explained(source, remote=addresses.is_remote(fs)):
        if path.lower().endswith(ARCHIVES):
            return Tree(source, fs, "", [], path)
        if path.lower().endswith(files.endings) and not set(path) & set("*?["):
            return Tree(source, fs, path.rpartition("/")[0], [path])
        if fs.isdir(path):
            if _holds_tables(fs, path):
                return None
            found = _below(path, source) if isinstance(fs, LocalFileSystem) else sorted(fs.find(path))
            names, root = [name for name in found if _is_file(name, path, files)], path.rstrip("/")
        elif set(path) & set("*?["):
            names = [name for name in addresses.globbed(fs, path, source) if name.lower().endswith(files.endings)]
            root = path[: min(path.find(each) for each in "*?[" if each in path)].rpartition("/")[0]
        else:
            return None
    if not names and set(path) & set("*?["):
        return None  # tables, or what is refused as tables are
    if not names:
        expected = "files ending in " + ", ".join((*files.endings, *formats.ENDINGS))
        raise InputError(f"{source} holds no data", expected=expected, fix="name the folder that has them")
    addresses.refuse_too_many(len(names), source)
    return Tree(source, fs, root, names)


def _holds_tables(fs: fsspec.AbstractFileSystem, path: str) -> bool:
    """Whether a folder has tables, or partitions such as label=spam/."""
    listed = fs.ls(path, detail=True)
    return any(
        addresses.PARTITION.search(each["name"])
        if each["type"] == "directory"
        else bool(addresses.File(fs, each["name"]).kind)
        for each in listed
    )


def _below(folder: str, source: str) -> list[str]:
    """All files in and below a folder of this machine, sorted. InputError for a link to another folder."""
    found: list[str] = []
    for here, folders, names in os.walk(folder):
        for name in folders:
            if Path(here, name).is_symlink():
                fix = "name it as a source of its own if it is meant, or take it out"
                raise InputError(f"{here}/{name} is a link to a folder", fix=fix)
        found += [f"{here.rstrip('/')}/{name}" for name in names]
        addresses.refuse_too_many(len(found), source)
    return sorted(found)


def _is_file(path: str, root: str, files: Files) -> bool:
    parts = path.removeprefix(root).split("/")
    return path.lower().endswith(files.endings) and not any(part.startswith(".") for part in parts)


def records(found: Tree, asked: Opened, files: Files) -> Iterator[Record]:
    """The asked cells of each file. InputError for a column that a folder does not have, a label where no file lies in
    a class folder included."""
    title = asked.cells.label
    header = [files.column, *([title] if title else []), NAME, FOLDER]
    picks = [(column, place(column, header, asked)) for column in asked.columns]
    names = _names(found, files)
    labelled = title in asked.columns
    shared = _shared(names)
    if labelled and names and not any("/" in name.removeprefix(shared) for name in names):
        raise InputError(
            f"{found.source} has no class folders, so no file has a label",
            expected="a folder a class, such as cats/1.jpg and dogs/2.jpg; or a table with columns of files and labels",
            got=f"{names[0]!a}",
        )
    for name, cell in _cells(found, files):
        short = name.removeprefix(shared)
        folder, _, _ = short.rpartition("/")
        of_class = short.split("/")[0] if "/" in short else None
        label = json.dumps([of_class], ensure_ascii=False) if asked.cells.lists and of_class else of_class
        row = {files.column: cell, NAME: name, FOLDER: folder or None} | ({title: label} if title else {})
        yield tuple([None if at is None else row[column] for column, at in picks])


def above(found: Tree, files: Files) -> str:
    """The folder that all class folders lie in, such as `photos/`; '' where they lie in none."""
    return _shared(_names(found, files))


def fingerprint(found: Tree) -> list[list[str]] | None:
    """What tells whether the files have changed without reading them; None where the store does not say."""
    seen = hashlib.sha256()
    for path in [found.archive] if found.archive else found.paths:
        about = found.fs.info(path)
        stamps = [f"{key}={about[key]}" for key in addresses.STAMPS if about.get(key) is not None]
        if not stamps:
            return None
        seen.update("\0".join([path, str(about.get("size")), *stamps, "\n"]).encode("utf-8", "surrogateescape"))
    return [[found.source, seen.hexdigest()]]


def _names(found: Tree, files: Files) -> list[str]:
    """The names of all files, as `_cells` gives them."""
    if not found.archive:
        return [path.removeprefix(found.root).lstrip("/") for path in found.paths]
    with found.fs.open(found.archive, "rb") as handle:
        names = [name for name, _ in _listed(handle, found, files)]
    addresses.refuse_too_many(len(names), found.source)
    if not names:
        raise InputError(f"{found.source} holds no data", expected="files ending in " + ", ".join(files.endings))
    return names


def _cells(found: Tree, files: Files) -> Iterator[tuple[str, str]]:
    """Name and cell of each file."""
    if found.archive:
        with found.fs.open(found.archive, "rb") as handle:
            for name, opened in _listed(handle, found, files):
                yield name, kept.unread(kept.OUTSIDE, name) if _climbs(name) else opened()
        return
    local = isinstance(found.fs, LocalFileSystem)
    root = os.path.realpath(found.root or ".")
    for path in found.paths:
        name = path.removeprefix(found.root).lstrip("/")
        out = local and os.path.commonpath([root, os.path.realpath(path)]) != root
        yield name, kept.unread(kept.OUTSIDE, name) if out else held.fetched(found.fs, path, name)


def _climbs(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or ":" in parts[0]


def _listed(handle: IO[bytes], found: Tree, files: Files) -> Iterator[tuple[str, Callable[[], str]]]:
    """Name of each such file of an archive, and what reads it while it is at hand. InputError for what is no archive,
    for one that asks for a password, and for one that would unpack out of all proportion."""
    try:
        listing = _in_zip if found.archive.lower().endswith(".zip") else _in_tar
        yield from listing(handle, found, files)
    except DAMAGES as error:
        if not _is_damage(error):
            raise
        fix = "make or fetch the file anew"
        raise InputError(f"{found.source} is a broken archive", got=str(error)[:120], fix=fix) from None


def _in_zip(handle: IO[bytes], found: Tree, files: Files) -> Iterator[tuple[str, Callable[[], str]]]:
    packed, unpacked = handle.seek(0, os.SEEK_END), 0
    with zipfile.ZipFile(handle) as archive:
        for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
            if not _wanted(entry.filename, files):  # which a folder is not, since its name ends in /
                continue
            if entry.flag_bits & 1:
                raise InputError(f"{found.source} asks for a password", fix="unpack it, and give the folder")
            unpacked += entry.file_size
            formats.refuse_bomb(unpacked, packed, found.source)
            plain = not stat.S_ISLNK(entry.external_attr >> 16)
            yield entry.filename, partial(_read, entry.filename, partial(archive.open, entry) if plain else None)


def _in_tar(handle: IO[bytes], found: Tree, files: Files) -> Iterator[tuple[str, Callable[[], str]]]:
    packed, unpacked = found.fs.size(found.archive), 0
    with tarfile.open(fileobj=handle, mode="r|*") as archive:  # from start to end: gzip knows no other way
        for entry in archive:
            unpacked += entry.size
            formats.refuse_bomb(unpacked, packed, found.source)
            if entry.isdir() or not _wanted(entry.name, files):
                continue
            name = entry.name.removeprefix("./")
            yield name, partial(_read, name, partial(archive.extractfile, entry) if entry.isreg() else None)


def _read(name: str, opening: Callable[[], IO[bytes] | None] | None) -> str:
    """The cell of a file in an archive. opening: None for a link, which may lead anywhere."""
    if opening is None:
        return kept.unread(kept.OUTSIDE, name)
    try:
        handle = opening()
        return kept.unread(kept.BROKEN, name) if handle is None else held.read_from(handle, name)
    except DAMAGES as error:
        if not _is_damage(error):
            raise
        return kept.unread(kept.BROKEN, name)


def _is_damage(error: Exception) -> bool:
    """Whether an error is the archive's fault, and not that of the disk or the store, which says nothing of its files.
    These have a number or a kind of their own, but for a place before the file's start, where only the archive sends.
    """
    if not isinstance(error, OSError):
        return True
    return type(error) in (OSError, gzip.BadGzipFile) and error.errno in (None, errno.EINVAL)


def _wanted(name: str, files: Files) -> bool:
    """Whether a name in an archive is that of such a file, and not one that Macs add or hide."""
    parts = name.replace("\\", "/").removeprefix("./").split("/")
    hidden = any(part.startswith(".") and part != ".." for part in parts) or "__MACOSX" in parts
    return name.lower().endswith(files.endings) and not hidden


def _shared(names: Sequence[str]) -> str:
    """The folder that all these names of files lie below, where it tells nothing.

    >>> _shared(["photos/cats/1.jpg", "photos/dogs/2.jpg"]), _shared(["cats/1.jpg", "cats/2.jpg"]), _shared(["1.jpg"])
    ('photos/', '', '')
    """
    folders = {name.rpartition("/")[0] for name in names if not _climbs(name)}
    shared = os.path.commonpath(sorted(folders)) if len(folders) > 1 else ""
    return f"{shared}/" if shared else ""
