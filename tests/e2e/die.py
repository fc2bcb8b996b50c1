"""Faults inside the loop's own process, at the n-th call of a function: it dies by SIGKILL, with nothing cleaned up,
somebody presses Ctrl-C, or its disk is full. `count` finds out how many calls an undisturbed run makes."""

import builtins
import errno
import importlib
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Every function behind which something has changed outside the process: files, versions, tasks, runs.
PLACES = [
    "os:fsync",
    "pathlib:Path.replace",
    "labelwise.tasks.labels.ledger:append",
    "labelwise.tasks.gold.trusted:append",
    "labelwise.tasks.figures:keep_spent",
    "labelwise.tasks.services.versions.workspace:Versions.git",
    "labelwise.tasks.services.versions.workspace:Versions.add",
    "labelwise.tasks.services.versions.workspace:Versions.record",
    "labelwise.tasks.services.versions.workspace:Versions.save",
    "labelwise.tasks.services.versions.workspace:Versions.push",
    "labelwise.tasks.services.label_studio.project:LabelStudioProject.create",
    "labelwise.tasks.services.label_studio.project:LabelStudioProject.add",
    "labelwise.tasks.services.label_studio.project:LabelStudioProject.update",
    "labelwise.tasks.services.label_studio.project:LabelStudioProject.tab",
    "labelwise.tasks.services.mlflow:Tracking._run",
    "labelwise.tasks.services.mlflow:Tracking._log",
    "labelwise.tasks.services.mlflow:Tracking._register",
    "labelwise.tasks.services.mlflow:Tracking.record",
    "labelwise.tasks.services.mlflow:Tracking.attach",
    "labelwise.tasks.services.mlflow:Tracking.note",
    "labelwise.tasks.services.mlflow:Tracking.crown",
]
OPEN = "builtins:open"  # for writing, beneath the workspace: DVC's own files too
Act = Callable[[], None]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def plant(place: str, nth: int, when: str, act: Act, then: Act = lambda: None) -> None:
    """Do `act` before or after the n-th call (from 0) of the function at `place`. then: told that it came to that."""
    calls = 0

    def around(real: Any, *words: Any, **named: Any) -> Any:
        nonlocal calls
        mine = calls == nth
        calls += 1
        if mine and when == "before":
            then()
            act()
        result = real(*words, **named)
        if mine and when == "after":
            then()
            act()
        return result

    replace(place, around)


def count(places: list[str], root: Path) -> dict[str, int]:
    """A dictionary that fills with the number of calls of each place, and of files opened for writing beneath root."""
    counts = dict.fromkeys([*places, OPEN], 0)

    def counting(place: str) -> Any:
        def around(real: Any, *words: Any, **named: Any) -> Any:
            counts[place] += 1
            return real(*words, **named)

        return around

    for place in places:
        replace(place, counting(place))

    def opened(_file: Any) -> None:
        counts[OPEN] += 1

    on_open(root, opened)
    return counts


def fill_disk(root: Path, nth: int, then: Act) -> None:
    """The n-th file (from 0) opened to be written beneath root takes half of the first that is written, and no more."""
    opened = 0

    def broken(file: Any) -> None:
        nonlocal opened
        if opened == nth:
            real = file.write

            def write(content: Any) -> int:
                real(content[: len(content) // 2])
                file.flush()
                then()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.name))

            file.write = write
        opened += 1

    on_open(root, broken)


def die_writing(root: Path, nth: int, name: str = "") -> None:
    """The process dies when half of the first words are in the n-th file (from 0) opened to be written beneath root, of
    those whose name ends in `name`."""
    opened = 0

    def deadly(file: Any) -> None:
        nonlocal opened
        if not str(file.name).endswith(name):
            return
        if opened == nth:
            real = file.write

            def write(content: Any) -> int:
                real(content[: len(content) // 2])
                file.flush()
                die()
                return 0

            file.write = write
        opened += 1

    on_open(root, deadly)


def fill_disk_of_git(nth: int, then: Act, word: str) -> None:
    """The n-th git command (from 0) of those with this word (add, commit) can write no more than some bytes."""
    import subprocess

    calls, real = 0, subprocess.run

    def run(words: Any, *more: Any, **named: Any) -> Any:
        nonlocal calls
        if words[0] == "git" and word in words:
            if calls == nth:
                then()
                named["preexec_fn"] = lambda: (
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                    resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)),
                )
            calls += 1
        return real(words, *more, **named)

    subprocess.run = run  # type: ignore[assignment]


def on_open(root: Path, told: Callable[[Any], None]) -> None:
    """Call `told` with every file that Python code opens to write it beneath root."""
    real = builtins.open

    def opening(file: Any, mode: str = "r", *words: Any, **named: Any) -> Any:
        opened = real(file, mode, *words, **named)
        writes = bool(set(mode) & set("wxa+")) and not isinstance(file, int)
        if writes and Path(os.path.abspath(os.fspath(file))).is_relative_to(root):  # noqa: PTH100  (follows no links)
            told(opened)
        return opened

    import io

    builtins.open = opening
    io.open = opening  # pathlib's


def replace(place: str, around: Callable[..., Any]) -> None:
    """Put `around(real, ...)` in the place of a function, `module:name` or `module:Class.name`."""
    module, _, dotted = place.partition(":")
    owner: Any = importlib.import_module(module)
    *path, name = dotted.split(".")
    for part in path:
        owner = getattr(owner, part)
    real = getattr(owner, name)

    def instead(*words: Any, **named: Any) -> Any:
        return around(real, *words, **named)

    setattr(owner, name, instead)
