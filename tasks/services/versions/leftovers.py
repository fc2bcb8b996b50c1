"""What a process that died leaves in a workspace: locks of git and DVC that nobody holds any more, files cut off while
they were written. A lock is removed only when no process that could hold it is alive."""

import json
import os
import shutil
import time
from pathlib import Path

import psutil

WAIT_S = 10.0  # for a git that outlives the loop that started it: it works for a moment


def remove_dead_locks(root: Path) -> None:
    """Remove git's locks where no git works in the repository, and DVC's record of readers and writers where all of
    them are dead. The kernel itself frees DVC's other lock."""
    end = time.monotonic() + WAIT_S
    while locks := git_locks(root):
        if not _git_works(root):  # asked after the locks were listed: a git that starts now takes none of these
            for lock in locks:
                lock.unlink(missing_ok=True)
        elif time.monotonic() > end:
            break  # somebody's own git: it will be said by what git refuses
        else:
            time.sleep(0.1)
    record = root / ".dvc" / "tmp" / "rwlock"
    if record.exists() and not _holders_live(record):
        record.unlink()


def git_locks(root: Path) -> list[Path]:
    """The lock files in the repository, those of its objects apart."""
    folder = root / ".git"
    return [*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock")]


def remove_scraps(root: Path) -> None:
    """Remove what writes that were cut off left, see workspace.atomic."""
    for folder in (root, root / "data", root / "metrics", root / ".labelwise"):
        for scratch in (folder.glob if folder == root else folder.rglob)(".*.part"):
            if scratch.is_dir():
                shutil.rmtree(scratch)
            else:
                scratch.unlink()


def _git_works(root: Path) -> bool:
    """Whether a git process works in this folder."""
    for process in psutil.process_iter(["name", "cwd", "cmdline"]):
        seen = process.info
        if (seen["name"] or "").startswith("git"):
            places = [seen["cwd"] or "", *(seen["cmdline"] or [])]
            if any(Path(place).is_relative_to(root) for place in places if place.startswith(os.sep)):
                return True
    return False


def _holders_live(record: Path) -> bool:
    """Whether a process named in DVC's record lives: not we ourselves, and not a later one of the same number, as
    containers have it. A record cut off in the middle names nobody."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        holders = [*known.get("write", {}).values(), *(one for many in known.get("read", {}).values() for one in many)]
        pids = {int(holder["pid"]) for holder in holders}
    except (ValueError, AttributeError, TypeError, KeyError):
        return False
    return any(_born_before(pid, record.stat().st_mtime) for pid in pids - {os.getpid()})


def _born_before(pid: int, moment: float) -> bool:
    try:
        return psutil.Process(pid).create_time() <= moment
    except psutil.Error:
        return False
