"""A few labelled items of each kind, as frames of an export."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.exports.table import About
from labelwise.tasks.kinds import multilabel, picture, spans
from labelwise.tasks.settings import parse
from tests.tasks.kinds.pictures import BLUE, RED, as_bytes, drawn

HOSTILE = ["=1+1", '-1 "a", b\nc', "NA", "null", "😀 Zoë\u2028x", "@SUM(A1)", " indented", "[]", "1e5"]
SENTENCE = "😀 Ada met Bob-Ray in New York"
FEATURES = {"age": "number", "job": "category", "eeg": "signal of 3", "round": "number"}
ROWS = [
    {"age": 17, "job": "=x", "eeg": [1, 2.5, -3], "round": 2**40},
    {"age": 1.5, "job": None, "eeg": None, "round": 3},
]
KINDS = [("text", "choice"), ("text", "multilabel"), ("text", "spans"), ("image", "choice"), ("row", "multilabel")]


def cells_of(item: str) -> list[str]:
    if item == "image":
        return [picture.cell_of(as_bytes(drawn(colour)), f"{n}/a b.png", 512) for n, colour in enumerate((RED, BLUE))]
    if item == "row":
        return [json.dumps(row, separators=(",", ":")) for row in ROWS]
    return [*HOSTILE, SENTENCE]


def labels_of(answer: str, count: int) -> list[str]:
    if answer == "spans":
        found = [[], [(2, 5, "a b"), (10, 17, "=c"), (10, 13, "a b"), (21, 29, "a b")]]
        return [spans.label_of(found[at == count - 1]) for at in range(count)]
    if answer == "multilabel":
        return [multilabel.label_of([["a b"], [], ["=c", "a b"]][at % 3]) for at in range(count)]
    return [["a b", "=c"][at % 2] for at in range(count)]


def about(item: str, answer: str, root: Path, **columns: Any) -> About:
    named = columns | ({"features": FEATURES} if item == "row" else {})
    content = {
        "project": {"name": "n`<b>", "id": "i"},
        "kind": {"item": item, "answer": answer},
        "classes": ["a b", "=c"],
        "pull": {"pool": "p", "gold": "g", "columns": {"id": "source_id", **named}},
    }
    return About(root, parse(content), "from round 3")


def frame(item: str, answer: str, **more: Any) -> pd.DataFrame:
    """Items with labels; of which the last is gold."""
    cells = cells_of(item)
    kind = kinds.item(item)
    known = {
        "id": list(map(kind.identify, cells)),
        "source_id": pd.Series([f"T-{n}" if n else None for n in range(len(cells))], dtype=object),
        kind.COLUMN: cells,
        "label": labels_of(answer, len(cells)),
        "by": "person",
        "people": pd.array([2] * len(cells), dtype="Int64"),
        "agreement": 0.5,
        "round": pd.array([1] * (len(cells) - 1) + [None], dtype="Int64"),
        "why": "control",
        "gold": [False] * (len(cells) - 1) + [True],
        "labelled_at": "2026-01-01T00:00:00.000000Z",
    }
    return pd.DataFrame(known | more)
