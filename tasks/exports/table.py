"""Labels with their items and where they come from, as a table of values: what most formats are made of."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.exports.files import Table
from labelwise.tasks.kinds import Answer, Content, context
from labelwise.tasks.kinds.values import NUMBER, PICTURE, TEXT, WHOLE, YES_NO
from labelwise.tasks.settings import Settings

# What may be known of a label, and what it is; `ABOUT` says it to people.
PROVENANCE = {
    "by": TEXT,
    "people": WHOLE,
    "agreement": NUMBER,
    "confidence": NUMBER,
    "round": WHOLE,
    "why": TEXT,
    "gold": YES_NO,
    "labelled_at": TEXT,
}
ABOUT = {
    "id": "a hash of the item's content",
    "source_id": "your own key",
    "group": "what the item belongs to",
    "label": "the label",
    "by": "who gave it: person, model, language model, rule, gold for the gold set, or imported with the data",
    "people": "how many people have given a label that stands",
    "agreement": "the mean score of their labels against this one, 1 where all said the same",
    "confidence": "the score that the label is expected to have",
    "round": "in which the item was asked",
    "why": "the item was asked; `control` and `random` were drawn by chance",
    "gold": "whether it is of the gold set, which no model learned from",
    "labelled_at": "when the label was given, UTC",
}
FIRST = ("id", "source_id")
GIVEN = "given_"  # before a column of the user's that has a name of ours


@dataclass(frozen=True)
class About:
    """What an export is about. root: the workspace. said: where the labels come from, a line. columns: what of
    PROVENANCE is known of them. pictures: the folder that their files go into, and its name as the table has it."""

    root: Path
    settings: Settings
    said: str
    columns: tuple[str, ...] = tuple(name for name in PROVENANCE if name != "confidence")
    pictures: tuple[Path, str] | None = field(default=None)

    @cached_property
    def item(self) -> Content:
        return kinds.item(self.settings.kind.item)

    @cached_property
    def answer(self) -> Answer:
        return kinds.answer(self.settings.kind.answer)

    @cached_property
    def ours(self) -> dict[str, str]:
        """The types of the columns that do not come with the item."""
        group = ["group"] * bool(self.settings.pull.columns.group)
        known = {name: PROVENANCE[name] for name in self.columns}
        return {"id": TEXT, "source_id": TEXT, **dict.fromkeys(group, TEXT), "label": self.answer.VALUE, **known}

    @cached_property
    def theirs(self) -> dict[str, str]:
        """The types of those that do: what the item is, and its context."""
        columns = self.settings.pull.columns
        return dict.fromkeys(columns.context, TEXT) | self.item.value_types(columns)

    @cached_property
    def named(self) -> dict[str, str]:
        """Their names, see `apart`."""
        return apart(self.theirs, self.ours)

    def with_pictures(self, folder: Path, name: str) -> "About":
        """With the folder of their files."""
        return replace(self, pictures=(folder, name))


def apart(names: Iterable[str], ours: Iterable[str]) -> dict[str, str]:
    """The user's columns -> the names that they have beside ours.

    >>> apart(["subject", "label"], ["label"])
    {'subject': 'subject', 'label': 'given_label'}
    """
    taken, found = {*ours, *names}, {}
    for name in names:
        found[name] = name
        while name in ours and found[name] in taken:
            found[name] = GIVEN + found[name]
        taken.add(found[name])
    return found


def table_of(frames: Iterable[pd.DataFrame], about: About) -> Table:
    """The table of frames with the columns id, source_id, that of the item, label, those of `about.columns`, and where
    they have them group and context."""
    own = {about.named[name]: kind for name, kind in about.theirs.items()}
    first = {name: about.ours[name] for name in FIRST}
    rest = {name: kind for name, kind in about.ours.items() if name not in FIRST}
    return Table(first | own | rest, (list(_rows(frame, about)) for frame in frames))


def _rows(frame: pd.DataFrame, about: About) -> Iterator[dict[str, Any]]:
    columns = [name for name in about.ours if name != "label" and name in frame]
    known = {name: _plain(frame[name], about.ours[name]) for name in columns}
    contexts = _plain(frame["context"], TEXT) if "context" in frame else [None] * len(frame)
    for at, (cell, label) in enumerate(zip(frame[about.item.COLUMN], frame["label"], strict=True)):
        theirs = context.unpacked(contexts[at]) | about.item.values(cell)
        yield (
            {name: values[at] for name, values in known.items()}
            | {called: theirs.get(name) for name, called in about.named.items()}
            | {"label": about.answer.value(label, cell)}
        )


def _plain(values: pd.Series, kind: str) -> list[Any]:
    """Python's own values, None for a missing one."""
    make: Any = {WHOLE: int, NUMBER: float, YES_NO: bool}.get(kind, str)
    return [None if pd.isna(value) else make(value) for value in values]


def with_files(table: Table, folder: Path, name: str) -> Table:
    """The table with the pictures in files of `folder`, and their paths in its columns. name: of that folder, as the
    table has it."""
    held = [column for column, kind in table.columns.items() if kind == PICTURE]
    folder.mkdir(parents=True, exist_ok=True)

    def put(row: dict[str, Any]) -> dict[str, Any]:
        found = {column: row[column] for column in held if row[column]}
        for picture in found.values():
            (folder / picture["path"]).write_bytes(picture["bytes"])
        return row | {column: f"{name}/{picture['path']}" for column, picture in found.items()}

    types = {**table.columns, **dict.fromkeys(held, TEXT)}
    return Table(types, ([put(row) for row in part] for part in table.parts))
