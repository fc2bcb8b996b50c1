"""What is computed of a table piece by piece is kept as it is done: whatever cuts the work off, it goes on from there.

Pieces lie in `.labelwise/pieces`, in a folder a table, with what they follow from; they go when the whole is written.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.items.vectors import noted
from labelwise.tasks.workspace import Workspace, atomic, reading, write_json

FOLDER = "pieces"  # in the workspace's scraps
Arrays = Mapping[str, NDArray[Any]]


class Pieces:
    """The pieces of a table that are done. Those of another table of this name, or by other settings, are taken away.
    made_of: what they follow from."""

    def __init__(self, workspace: Workspace, table: Path, made_of: dict[str, object]) -> None:
        self._folder, note = workspace.scraps / FOLDER / table.stem, workspace.scraps / FOLDER / f"{table.stem}.json"
        if noted(note) != made_of:
            shutil.rmtree(self._folder, ignore_errors=True)
            write_json(note, made_of)

    @property
    def rows(self) -> int:
        """How many rows the pieces have that are there."""
        return sum(int(path.stem.partition("-")[2]) for path in self._folder.glob("*.npz"))

    def missing(self, pieces: Iterable[list[str]]) -> Iterator[tuple[int, list[str]]]:
        """Those that are not done, each with its number."""
        for number, piece in enumerate(pieces):
            if not self._file(number, len(piece)).exists():
                yield number, piece

    def keep(self, number: int, rows: int, found: Arrays) -> None:
        """What was computed of so many rows, once: another may have been as quick."""
        with atomic(self._file(number, rows)) as scratch, scratch.open("wb") as file:
            np.savez(file, allow_pickle=False, **found)

    def _file(self, number: int, rows: int) -> Path:
        return self._folder / f"{number:06d}-{rows}.npz"

    def each(self, name: str) -> Iterator[NDArray[Any]]:
        """The arrays of this name, in the order of the pieces."""
        for path in sorted(self._folder.glob("*.npz")):
            with reading(path):
                try:
                    with np.load(path) as file:
                        found = file[name]
                except BadZipFile as error:  # no kind of any other
                    raise ValueError(error) from error
            yield found

    def remove(self) -> None:
        """The whole is written."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.with_suffix(".json").unlink(missing_ok=True)
