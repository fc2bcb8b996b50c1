"""Labels as a folder that `datasets.load_dataset` loads: Parquet with the names of the classes, and a card. The gold
set, where it is asked for, is the split `test`."""

import html
import io
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from ruamel.yaml import YAML

from labelwise.tasks.errors import plain
from labelwise.tasks.exports.files import Columns, of_schema, schema
from labelwise.tasks.exports.table import ABOUT, About, table_of
from labelwise.tasks.kinds.values import LABEL, LABELS, MARKS, NUMBER, NUMBERS, PICTURE, TEXT, WHOLE, YES_NO

CARD, DATA = "README.md", "data"
TRAIN, TEST = "train", "test"
TYPES = {TEXT: "string", WHOLE: "int64", NUMBER: "float64", YES_NO: "bool"}


def write(path: Path, frames: Iterable[pd.DataFrame], about: About) -> list[str]:
    """Write the folder."""
    table, classes = table_of(frames, about), about.settings.classes
    numbers = {name: number for number, name in enumerate(classes)}
    known = json.dumps({"info": {"features": {name: feature(kind, classes) for name, kind in table.columns.items()}}})
    columns = schema(table.columns, pa.int64()).with_metadata({"huggingface": known})
    (path / DATA).mkdir(parents=True)
    rows: Counter[str] = Counter()
    with ExitStack() as opened:
        writers: dict[str, Any] = {}
        for part in table.parts:
            for split in (TRAIN, TEST):
                mine = [row | _numbered(row, numbers) for row in part if (split == TEST) == bool(row.get("gold"))]
                if mine and split not in writers:
                    writers[split] = opened.enter_context(of_schema(path / DATA / file_of(split), columns))
                if mine:
                    writers[split](mine)
                    rows[split] += len(mine)
    (path / CARD).write_text(card(table.columns, rows, about), encoding="utf-8")
    return []


def file_of(split: str) -> str:
    """The name of a split's file."""
    return f"{split}-00000-of-00001.parquet"


def _numbered(row: dict[str, Any], numbers: dict[str, int]) -> dict[str, Any]:
    """The label with numbers for the names of classes."""
    label = row["label"]
    if isinstance(label, str):
        return {"label": numbers[label]}
    return {
        "label": [
            numbers[each] if isinstance(each, str) else each | {"label": numbers[each["label"]]} for each in label
        ]
    }


def feature(kind: str, classes: list[str]) -> Any:
    """What `datasets` is told of a column, in a form that its versions since 2 read."""

    def value(name: str) -> dict[str, str]:
        return {"dtype": name, "_type": "Value"}

    names = {"names": classes, "_type": "ClassLabel"}
    if kind in TYPES:
        return value(TYPES[kind])
    return {
        NUMBERS: [value("float64")],
        PICTURE: {"_type": "Image"},
        LABEL: names,
        LABELS: [names],
        MARKS: [{"start": value("int64"), "end": value("int64"), "label": names, "text": value("string")}],
    }[kind]


def yaml_feature(name: str, kind: str, classes: list[str]) -> dict[str, Any]:
    """The same for the head of the card."""
    names = {"class_label": {"names": {str(number): each for number, each in enumerate(classes)}}}
    if kind in (LABELS, NUMBERS):
        return {"name": name, "list": names if kind == LABELS else "float64"}
    if kind == MARKS:
        parts = {"start": "int64", "end": "int64", "label": names, "text": "string"}
        return {"name": name, "list": [{"name": part, "dtype": dtype} for part, dtype in parts.items()]}
    return {"name": name, "dtype": {PICTURE: "image", LABEL: names}.get(kind, TYPES.get(kind))}


def card(columns: Columns, rows: Counter[str], about: About) -> str:
    """The card: a head for programs, then what people ask first."""
    classes = about.settings.classes
    head = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{DATA}/{split}-*"} for split in (TRAIN, TEST) if rows[split]],
            }
        ],
        "dataset_info": {"features": [yaml_feature(name, kind, classes) for name, kind in columns.items()]},
    }
    written = io.StringIO()
    YAML(typ="safe", pure=True).dump(head, written)
    lines = [f"- `{_shown(name)}`: {ABOUT.get(name, 'of your data')}" for name in columns]
    counts = ", ".join(f"{rows[split]:,} in `{split}`" for split in (TRAIN, TEST) if rows[split])
    return (
        f"---\n{written.getvalue()}---\n\n# {_shown(about.settings.project.name)}\n\n{_shown(about.said)}\n\n"
        f"Rows: {counts}. Written by `labelwise export`.\n\n"
        f'```python\nfrom datasets import load_dataset\n\nload_dataset("FOLDER")\n```\n\n' + "\n".join(lines) + "\n"
    )


def _shown(text: str) -> str:
    """A name in the card, where none is a command of Markdown's or HTML's."""
    return html.escape(plain(text)).replace("`", "'")
