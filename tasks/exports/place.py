"""Where an export may go: nothing is replaced but an earlier export that is as it was written."""

import glob
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from labelwise.tasks.errors import InputError, WorkspaceError
from labelwise.tasks.workspace import atomic, read_json, write_json

# What the loop, git and DVC have in a workspace.
OWN = (
    "data",
    "model",
    "metrics",
    "finished",
    ".git",
    ".dvc",
    ".labelwise",
    "params.yaml",
    "dvc.yaml",
    "dvc.lock",
    "code.yaml",
)
NOTE = Path(".labelwise") / "exports.json"  # in the workspace: what was written where, as `seen` has it


@contextmanager
def replacing(places: Sequence[Path], root: Path, force: bool = False) -> Iterator[list[Path]]:
    """Scratch paths that take these places together when the block ends well. root: the workspace that is exported.
    force: whether a file of another's may be replaced; a folder of another's never is.

    InputError: one is there that is no earlier export, or was changed since.
    """
    for place in places:
        refuse_strange(place, root, force)
        clear(place)
    with ExitStack() as scratches:
        # The last is put in place last: what names the others.
        yield [scratches.enter_context(atomic(place)) for place in reversed(places)][::-1]
    remember(places, root)


def clear(place: Path) -> None:
    """Remove what processes that died have left of an export to this place."""
    for scrap in place.parent.glob(f".{glob.escape(place.name)}.*.part"):
        number = scrap.name.split(".")[-2]
        if number.isdecimal() and not _lives(int(number)):
            if scrap.is_dir():
                shutil.rmtree(scrap)
            else:
                scrap.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's, or no number of a process
        return True
    return True


def refuse_strange(place: Path, root: Path, force: bool) -> None:
    """InputError where nothing may be written to `place`."""
    real = place.resolve()
    inside = real.relative_to(root).parts[:1] if real.is_relative_to(root) else ("",)
    if root.is_relative_to(real) or inside[0] in OWN:
        fix = "name a place of its own"
        raise InputError(f"{place} is a part of the workspace itself", expected="another place", fix=fix)
    if not place.exists() and not place.is_symlink():
        return
    if known(root).get(str(real)) == seen(place):
        return
    what = "was changed since it was exported" if str(real) in known(root) else "is there, and no earlier export"
    if place.is_dir():
        raise InputError(f"{place} {what}", expected="a new folder", fix="name another one, or move it away")
    if not force:
        raise InputError(f"{place} {what}", expected="a new file", fix="name another one, or replace it by --force")


def known(root: Path) -> dict[str, str]:
    """What was written where."""
    note = root / NOTE
    with suppress(WorkspaceError):  # a scrap: without it the next export is refused, and nothing else
        return read_json(note) if note.exists() else {}
    return {}


def remember(places: Sequence[Path], root: Path) -> None:
    """Keep what was written; where the workspace may only be read, the next export to this place is refused."""
    there = {str(place.resolve()): seen(place) for place in places if place.exists()}
    with suppress(OSError):
        write_json(root / NOTE, known(root) | there)


def seen(place: Path) -> str:
    """What tells whether a file, or anything in a folder, was changed: names, sizes and times."""
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    found = hashlib.sha256()
    for file in files:
        about = file.lstat()
        stamp = "" if file.is_dir() else f"{about.st_size} {about.st_mtime_ns}"
        found.update(f"{file.relative_to(place)}\0{stamp}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()[:32]
