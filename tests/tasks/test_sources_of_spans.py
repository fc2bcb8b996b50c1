"""Spans and tokens in files of all kinds and in exports of other tools: read, and what is none refused by its line."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelwise.tasks import sources
from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import spans
from labelwise.tasks.kinds.cells import Cells

SMILE = "\U0001f600"
TEXT = f"Ada {SMILE} met Bob"
BOTH = '[[0, 3, "PER"], [10, 13, "PER"]]'
TAGS = ["O", "B-PER", "I-PER"]


def read(path: Path, columns: tuple[str, ...] = ("text", "label")) -> list[tuple[str | None, str | None, str | None]]:
    """Texts, labels and faults of a file."""
    label = columns[1] if len(columns) > 1 else None
    rows = next(iter(sources.chunks(str(path), columns, cells=Cells(label, lists=True, spans=True))))
    texts = rows[columns[0]].tolist()
    found = spans.read_all(rows[label].tolist() if label else [None] * len(texts), texts)
    return list(zip(texts, found.labels, found.faults, strict=True))


def written(path: Path, *rows: dict[str, Any]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    else:
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def studio(*answers: list[dict[str, Any]] | None) -> dict[str, Any]:
    """A task of Label Studio with these results, None for a skip."""
    given = [{"result": each or [], "was_cancelled": each is None} for each in answers]
    return {"id": 7, "data": {"text": TEXT}, "annotations": given, "predictions": [{"result": [{"type": "labels"}]}]}


def region(start: int, end: int, text: str) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": text, "labels": ["PER"]}
    return {"id": "x", "from_name": "label", "to_name": "text", "type": "labels", "value": value}


BOOKS = {"annotation_id": 1, "annotator": 1, "created_at": "", "updated_at": "", "lead_time": 1.5}
REGIONS = [region(0, 3, "Ada"), region(10, 13, "Bob"), {"type": "relation", "from_id": "x", "to_id": "x"}]


@pytest.mark.parametrize("ending", ["jsonl", "json"])
@pytest.mark.parametrize(
    ("row", "label"),
    [
        ([TEXT, {"entities": [[0, 3, "PER"], [10, 13, "PER"]]}], BOTH),  # spaCy 2
        ([TEXT, {"entities": []}], "[]"),
        ({"text": TEXT, "spans": [{"start": 0, "end": 3, "label": "PER"}], "answer": "reject"}, None),  # Prodigy
        ({"text": TEXT, "label": [[0, 3, "PER"], [10, 13, "PER"]]}, BOTH),  # doccano
        ({"text": TEXT, "label": []}, "[]"),
        ({"text": TEXT, "label": None}, None),
        ({"text": TEXT, "labels": [[0, 3, "PER"], [10, 13, "PER"]]}, BOTH),
        (
            {
                "text": TEXT,
                "entities": [
                    {"id": 1, "label": "PER", "start_offset": 0, "end_offset": 3},
                    {"id": 2, "label": "PER", "start_offset": 10, "end_offset": 13},
                ],
                "relations": [],
            },
            BOTH,
        ),
        ({"text": TEXT, "spans": [{"start": 0, "end": 3, "label": "PER"}], "_task_hash": 1, "answer": "reject"}, None),
        (
            {
                "text": TEXT,
                "tokens": [{"text": "Ada", "start": 0, "end": 3, "id": 0}],
                "spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}],
                "_input_hash": 1,
                "answer": "accept",
            },
            '[[0, 3, "PER"]]',
        ),
        ({"text": TEXT, "tokens": [], "_input_hash": 1, "_task_hash": 2, "answer": "accept"}, "[]"),  # Prodigy
        (studio(REGIONS, None), BOTH),
        (studio([]), "[]"),
        (studio(None), None),
        (studio(), None),
        ({"id": 1, "text": TEXT, "ner": [each["value"] for each in REGIONS[:2]]} | BOOKS, BOTH),  # JSON-MIN
        ({"id": 1, "text": TEXT} | BOOKS, "[]"),
        ({"text": TEXT, "tokens": ["Ada", SMILE, "met", "Bob"], "ner_tags": ["B-PER", "O", "O", "B-PER"]}, BOTH),
        ({"tokens": ["Ada", SMILE, "met", "Bob"], "tags": ["S-PER", "O", "O", "S-PER"]}, BOTH),
        ({"words": ["Ada", SMILE, "met", "Bob"], "label": ["I-PER", "O", "O", "I-PER"]}, BOTH),
    ],
)
def test_rows_of_json(tmp_path: Path, ending: str, row: Any, label: str | None) -> None:
    assert read(written(tmp_path / f"rows.{ending}", row)) == [(TEXT, label, None)]


def test_several_answers_to_a_task_are_several_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.json", studio(REGIONS, [], REGIONS))
    assert [label for _, label, _ in read(path)] == [BOTH, "[]"]


def test_what_marks_something_else_than_a_text_is_refused_by_its_row(tmp_path: Path) -> None:
    boxes = {"type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["PER"]}}
    with pytest.raises(InputError, match=r"rows.json row 2.*expected spans of a text, got rectanglelabels.*<Labels>"):
        read(written(tmp_path / "rows.json", studio([]), studio([boxes])))


def test_spans_where_a_class_belongs_say_what_to_do(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", {"text": TEXT, "label": [[0, 3, "PER"]]})
    with pytest.raises(InputError, match="--answer spans"):
        list(sources.chunks(str(path), ["text", "label"], cells=Cells("label")))


def test_columns_under_names_of_the_users_own(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", {"toks": ["Ada", "ran"], "ner": ["B-PER", "O"]})
    assert read(path, ("toks", "ner")) == [("Ada ran", '[[0, 3, "PER"]]', None)]
    assert read(path, ("toks",)) == [("Ada ran", None, None)]
    with pytest.raises(InputError, match="has no column 'label'"):
        read(path)


def test_a_csv_holds_labels_as_json_or_as_pandas_writes_lists(tmp_path: Path) -> None:
    import pandas as pd

    rows = pd.DataFrame({"text": [TEXT] * 2, "label": [[(0, 3, "PER"), (10, 13, "PER")], json.loads(BOTH)]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert [row[1] for row in read(tmp_path / "rows.csv")] == [BOTH, BOTH]


def parquet(path: Path, features: dict[str, Any] | None = None, **columns: Any) -> Path:
    said = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if features else None
    pq.write_table(pa.table(columns).replace_schema_metadata(said), path)
    return path


def test_parquet(tmp_path: Path) -> None:
    named = {"names": TAGS, "_type": "ClassLabel"}
    features = {"ner_tags": {"feature": named, "_type": "Sequence"}, "tokens": {"feature": {"dtype": "string"}}}
    path = parquet(tmp_path / "a.parquet", features, tokens=[["Ada", "B.", "ran"], ["x"]], ner_tags=[[1, 2, 0], [0]])
    assert read(path) == [("Ada B. ran", '[[0, 6, "PER"]]', None), ("x", "[]", None)]
    assert read(path, ("tokens", "ner_tags")) == read(path)
    assert read(path, ("text",)) == [("Ada B. ran", None, None), ("x", None, None)]

    objects = [[{"start": 0, "end": 3, "label": 1}], None, []]
    features = {"spans": [{"start": {"dtype": "int64"}, "label": {"names": ["LOC", "PER"], "_type": "ClassLabel"}}]}
    path = parquet(tmp_path / "b.parquet", features, text=["Ada"] * 3, spans=objects)
    assert [label for _, label, _ in read(path)] == ['[[0, 3, "PER"]]', None, "[]"]

    path = parquet(tmp_path / "c.parquet", text=["Ada  ran"], words=[["Ada", "ran"]], tags=[["B-PER", "O"]])
    assert read(path) == [("Ada  ran", '[[0, 3, "PER"]]', None)]
    path = parquet(tmp_path / "d.parquet", text=["Ada"], label=['[[0, 3, "PER"]]'])
    assert read(path) == [("Ada", '[[0, 3, "PER"]]', None)]
    numbers = parquet(tmp_path / "e.parquet", tokens=[["Ada"]], tags=[[1]])
    assert read(numbers)[0][2] is not None


CONLL = (
    f"""-DOCSTART- -X- -X- O

# sent_id = 1
Ada NNP B-NP B-PER
{SMILE} SYM O O
met VBD B-VP O
Bob NNP B-NP B-PER


#tag\tO
# \tO
"""
    + "1\tSt\tB-PER\n2\tIves\tI-PER\n\n"
)


@pytest.mark.parametrize("ending", ["conll", "bio", "iob2"])
def test_files_with_a_token_a_line(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    path.write_text(CONLL.replace("# \tO\n", "# \tO\n\n"), encoding="utf-8")
    assert read(path) == [(TEXT, BOTH, None), ("#tag #", "[]", None), ("St Ives", '[[0, 7, "PER"]]', None)]
    assert [text for text, _, _ in read(path, ("text",))] == [TEXT, "#tag #", "St Ives"]
    with pytest.raises(InputError, match="--answer spans"):
        list(sources.chunks(str(path), ["text", "label"], cells=Cells("label")))


def test_a_line_without_a_tag_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.conll"
    path.write_text("Ada B-PER\nmet\n")
    with pytest.raises(InputError, match=r"rows\.conll line 2: expected a token and its tag, got 'met'"):
        read(path)


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"tokens": ["Ada", "B."], "ner_tags": [1, 2], "id": "0"}, {"tokens": ["x"], "ner_tags": [0], "id": "1"}]
    said = {"tokens": {"feature": {"dtype": "string"}}, "ner_tags": {"feature": {"names": TAGS, "_type": "ClassLabel"}}}

    class Features(dict[str, Any]):
        def to_dict(self) -> dict[str, Any]:
            return said

    def columns(wanted: list[str]) -> list[dict[str, Any]]:
        return [{column: row[column] for column in wanted} for row in rows]

    dataset = SimpleNamespace(features=Features(said), column_names=list(rows[0]), select_columns=columns)
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=lambda *_, **__: dataset))
    (chunk,) = sources.chunks("hf://o/d", ["text", "label"], cells=Cells(label="label", lists=True, spans=True))
    assert chunk.text.tolist() == ["Ada B.", "x"]
    assert spans.read_all(chunk.label.tolist(), chunk.text.tolist()).labels == ['[[0, 6, "PER"]]', "[]"]
    (chunk,) = sources.chunks("hf://o/d", ["tokens", "id"], cells=Cells(spans=True))
    assert chunk.to_numpy().tolist() == [["Ada B.", "0"], ["x", "1"]]


def test_tokens_of_an_empty_sentence_are_an_empty_text(tmp_path: Path) -> None:
    """One such row is refused by itself, and not the whole file."""
    rows = {"tokens": ["in", "Rome"], "tags": ["O", "B-LOC"]}, {"tokens": [], "tags": []}
    assert read(written(tmp_path / "a.jsonl", *rows)) == [("in Rome", '[[3, 7, "LOC"]]', None), ("", "[]", None)]
