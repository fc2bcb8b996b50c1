"""One file of a source on its way to rows: what the readers of all kinds are given, and how they find columns."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds.cells import TEXTS, Cells
from labelwise.tasks.sources.marks import OTHER_NAMES

Record = tuple[str | None, ...]

MAX_CELL = 64 * 2**20  # characters; an open quote must not swallow a file of any size
SEVERAL = "for several classes an item make the workspace with `labelwise init --answer multilabel`"
NAME_IT = (
    "name it: --text-column, --label-column, --id-column, --group-column or --context of `labelwise init`, later "
    "pull.columns in params.yaml"
)

PUT_BACK = (
    "put it back, its cells blank where nothing is known; or name others by --features of `labelwise init`, later "
    "pull.columns.features in params.yaml"
)


@dataclass(frozen=True)
class Opened:
    """name: for people. open: gives its bytes from the start, each time. columns: asked, in the order of the cells;
    optional: those of them that may be absent. encoding: of text files. rows: how many the caller takes at a time."""

    name: str
    open: Callable[[], IO[bytes]]
    columns: list[str]
    rows: int
    optional: frozenset[str] = field(default_factory=frozenset)
    encoding: str = "utf-8-sig"
    cells: Cells = TEXTS

    @property
    def errors(self) -> str:
        """What becomes of bytes that do not decode: in UTF-8 lone surrogates, so that the row can be set aside."""
        return "surrogateescape" if self.encoding in ("utf-8", "utf-8-sig") else "strict"


def place(column: str, header: list[str], file: Opened) -> int | None:
    """Where `column` stands in `header`; None for one that may be absent. InputError lists the columns and suggests the
    nearest."""
    if header.count(column) == 1:
        return header.index(column)
    if column in header:
        raise InputError(f"{file.name} has several columns {column!r}", fix="give each column a name of its own")
    if column in file.optional:
        return None
    others = [each for each in OTHER_NAMES.get(column, ()) if header.count(each) == 1]
    if file.cells.spans and others:
        return header.index(others[0])
    by_lower = {title.strip().lower(): title for title in header}
    near = difflib.get_close_matches(column.lower(), by_lower, n=1)
    named = NAME_IT.replace("--text-column", "--image-column") if file.cells.held else NAME_IT
    named = PUT_BACK if column in file.cells.figures else named
    fix = named + (f"; did you mean {by_lower[near[0]]!r}?" if near else "")
    if len(header) == 1 and set(header[0]) & set(";\t|"):
        fix = "separate the columns by commas, or by tabs in a file named .tsv"
    shown = ", ".join(ascii(title)[1:-1][:40] for title in header[:20]) + (", ..." if len(header) > 20 else "")
    raise InputError(f"{file.name} has no column {column!r}", expected=f"one of {shown}", fix=fix)
