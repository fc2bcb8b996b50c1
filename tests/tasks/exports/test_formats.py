"""What is exported comes back as it was, by our own readers of such files and by others'."""

import csv
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from labelwise.tasks import exports, kinds, pull
from labelwise.tasks.errors import InputError
from labelwise.tasks.exports import conll, files, hugging_face, label_studio
from labelwise.tasks.exports.files import Table
from labelwise.tasks.exports.table import About, table_of
from labelwise.tasks.kinds import spans
from labelwise.tasks.kinds.values import NUMBER, TEXT
from tests.tasks.exports import cases

TABLES = ("csv", "jsonl", "parquet", "hugging-face", "label-studio")


def halves(frame: pd.DataFrame) -> list[pd.DataFrame]:
    return [frame[:1], frame[1:]]


def written(place: Path, form: str, frame: pd.DataFrame, about: About) -> Path:
    exports.write(place, form, halves(frame), about)
    return place


def read_back(source: Path, about: About) -> pd.DataFrame:
    """id, label and source_id of the rows of a source, as a pull reads them."""
    renamed = {"given_round": "number"}  # a feature that has a name of ours
    columns = about.settings.pull.columns
    if about.item.NAME == "row":
        features = {name: kind for name, kind in columns.features.items() if name != "round"} | renamed
        columns = columns.model_copy(update={"features": features})
    asked = about.settings.pull.model_copy(update={"columns": columns})
    rows = pd.concat(pull._rows(str(source), asked, labelled=True, answer=about.answer, item=about.item))
    cells = [cell.replace('"given_round"', '"round"') for cell in rows[about.item.COLUMN]]
    return rows.assign(id=[about.item.identify(about.item.tidy(cell)) for cell in cells])


@pytest.mark.parametrize(("item", "answer"), cases.KINDS)
@pytest.mark.parametrize("form", TABLES)
def test_a_pull_reads_what_was_exported(form: str, item: str, answer: str, tmp_path: Path) -> None:
    about, frame = cases.about(item, answer, tmp_path / "workspace"), cases.frame(item, answer)
    place = written(tmp_path / f"out{exports.FORMATS[form].ending}", form, frame, about)
    sources = [place]
    if form == "hugging-face":
        sources = [place / "data" / hugging_face.file_of(split) for split in ("train", "test")]
    found = pd.concat([read_back(source, about) for source in sources])
    assert found.id.tolist() == frame.id.tolist()
    assert found.label.tolist() == frame.label.tolist()
    assert found.source_id.fillna("").tolist() == frame.source_id.fillna("").tolist()


def test_what_is_known_of_a_label_stands_beside_it(tmp_path: Path) -> None:
    about, frame = cases.about("text", "choice", tmp_path), cases.frame("text", "choice")
    rows = [
        json.loads(line) for line in written(tmp_path / "a.jsonl", "jsonl", frame, about).read_text().split("\n")[:-1]
    ]
    assert rows[0] == {
        "id": frame.id[0],
        "source_id": None,
        "text": "=1+1",
        "label": "a b",
        "by": "person",
        "people": 2,
        "agreement": 0.5,
        "round": 1,
        "why": "control",
        "gold": False,
        "labelled_at": "2026-01-01T00:00:00.000000Z",
    }
    assert (rows[-1]["round"], rows[-1]["gold"]) == (None, True)
    with (tmp_path / "a.csv").open("w") as _:
        pass
    with pytest.raises(InputError, match="no earlier export"):
        written(tmp_path / "a.csv", "csv", frame, about)
    exports.write(tmp_path / "a.csv", "csv", [frame], about, force=True)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["text"] for row in table] == frame.text.tolist()
    assert table[0] == {name: {None: "", False: "false"}.get(value, str(value)) for name, value in rows[0].items()}


def test_columns_beside_a_text_keep_their_names_unless_they_are_ours(tmp_path: Path) -> None:
    about = cases.about("text", "choice", tmp_path, context=["subject", "why"], group="thread")
    beside = json.dumps({"subject": "Ünpaid", "why": "theirs"})
    frame = cases.frame("text", "choice", context=[beside] + [None] * 9, group="g")
    table = table_of([frame], about)
    (rows,) = table.parts
    assert [*table.columns][:7] == ["id", "source_id", "subject", "given_why", "text", "group", "label"]
    assert (rows[0]["subject"], rows[0]["given_why"], rows[0]["why"]) == ("Ünpaid", "theirs", "control")
    assert rows[1]["subject"] is None and rows[1]["group"] == "g"


def test_figures_are_exact_where_a_format_can_say_them(tmp_path: Path) -> None:
    about, frame = cases.about("row", "multilabel", tmp_path), cases.frame("row", "multilabel")
    frame["row"] = [cell.replace(str(2**40), str(2**60 + 1)) for cell in frame.row]
    lines = written(tmp_path / "a.jsonl", "jsonl", frame, about).read_text().splitlines()
    first, second = map(json.loads, lines)
    assert (first["age"], first["given_round"], first["round"], second["eeg"]) == (17, 2**60 + 1, 1, None)
    assert first["label"] == ["a b"] and second["label"] == []
    table = pq.read_table(written(tmp_path / "a.parquet", "parquet", frame, about)).to_pylist()
    assert (table[0]["age"], table[0]["eeg"], table[0]["given_round"]) == (17.0, [1.0, 2.5, -3.0], float(2**60))


def test_pictures_lie_beside_a_table_by_their_content_and_in_parquet(tmp_path: Path) -> None:
    about, frame = cases.about("image", "choice", tmp_path / "w"), cases.frame("image", "choice")
    table = pd.read_csv(written(tmp_path / "a.csv", "csv", frame, about))
    assert table.image.tolist() == [f"a_images/{each}.png" for each in frame.id]
    assert table.file.tolist() == ["0/a b.png", "1/a b.png"]
    assert sorted(path.name for path in (tmp_path / "a_images").iterdir()) == sorted(f"{each}.png" for each in frame.id)
    written(tmp_path / "a.csv", "csv", frame[:1], about)  # an earlier export makes way, pictures and all
    assert [path.name for path in (tmp_path / "a_images").iterdir()] == [f"{frame.id[0]}.png"]
    (held,) = pq.read_table(written(tmp_path / "b.parquet", "parquet", frame[:1], about)).column("image").to_pylist()
    assert held["bytes"] == (tmp_path / "a_images" / held["path"]).read_bytes()


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False)), min_size=1))
def test_any_text_and_any_figure_comes_back(pairs: list[tuple[str, float]]) -> None:
    from tempfile import TemporaryDirectory

    rows = [{"text": text, "n": number} for text, number in pairs]
    with TemporaryDirectory() as folder:
        place, table = Path(folder) / "a", Table({"text": TEXT, "n": NUMBER}, [rows[:1], rows[1:]])
        files.put(files.csv, place, table)
        with place.open(newline="", encoding="utf-8") as file:
            found = list(csv.reader(file))
        assert found == [["text", "n"], *([text, json.dumps(number)] for text, number in pairs)]
        files.put(files.jsonl, place, table)
        assert [json.loads(line) for line in place.read_bytes().split(b"\n")[:-1]] == rows
        files.put(files.parquet, place, table)
        assert pq.read_table(place).to_pylist() == rows


# Label Studio


@pytest.mark.parametrize(("item", "answer"), cases.KINDS)
def test_a_task_of_label_studio_says_the_label_by_the_parts_of_the_interface(
    item: str, answer: str, tmp_path: Path
) -> None:
    about, frame = cases.about(item, answer, tmp_path), cases.frame(item, answer)
    tasks = json.loads(written(tmp_path / "a.json", "label-studio", frame, about).read_text(encoding="utf-8"))
    for task, cell, label in zip(tasks, frame[about.item.COLUMN], frame.label, strict=True):
        (annotation,) = task["annotations"]
        assert about.answer.parse(annotation["result"], cell) == label
        assert task["data"].items() >= about.item.task(cell).items()
    assert [task["annotations"][0]["ground_truth"] for task in tasks] == frame.gold.tolist()
    shown = kinds.interface_of(about.settings)
    wanted = {part.get("value", "")[1:] for part in shown.iter() if part.get("value", "").startswith("$")}
    assert wanted <= tasks[0]["data"].keys()


def test_reviewers_of_an_import_see_the_context_escaped(tmp_path: Path) -> None:
    about = cases.about("text", "choice", tmp_path, context=["subject"])
    frame = cases.frame("text", "choice", context=json.dumps({"subject": "<script>"}))
    (task, *_) = label_studio.tasks(frame, about)
    assert "&lt;script&gt;" in task["data"]["context"] and task["data"]["subject"] == "<script>"


# Hugging Face


def test_the_folder_of_a_hub_names_the_classes_in_data_and_card(tmp_path: Path) -> None:
    about, frame = cases.about("text", "spans", tmp_path), cases.frame("text", "spans")
    place = written(tmp_path / "set", "hugging-face", frame, about)
    held = pq.read_table(place / "data" / hugging_face.file_of("test"))
    features = json.loads(held.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"][0]["label"] == {"names": ["a b", "=c"], "_type": "ClassLabel"}
    assert held.column("label").to_pylist()[0][0] == {"start": 2, "end": 5, "label": 0, "text": "Ada"}
    card = (place / "README.md").read_text(encoding="utf-8")
    head = YAML(typ="safe").load(card.split("---\n")[1])
    assert [split["split"] for split in head["configs"][0]["data_files"]] == ["train", "test"]
    named = {each["name"]: each for each in head["dataset_info"]["features"]}
    assert named["label"]["list"][2]["dtype"]["class_label"]["names"] == {"0": "a b", "1": "=c"}
    assert "<b>" not in card and "9 in `train`, 1 in `test`" in card


def test_without_gold_there_is_no_split_of_it(tmp_path: Path) -> None:
    about, frame = cases.about("text", "choice", tmp_path), cases.frame("text", "choice")
    place = written(tmp_path / "set", "hugging-face", frame[~frame.gold], about)
    assert [path.name for path in (place / "data").iterdir()] == [hugging_face.file_of("train")]
    assert "split: test" not in (place / "README.md").read_text()


# CoNLL


def test_tokens_and_tags_say_every_mark_that_none_overlaps(tmp_path: Path) -> None:
    about, frame = cases.about("text", "spans", tmp_path), cases.frame("text", "spans")
    place = tmp_path / "a.conll"
    said = exports.write(place, "conll", halves(frame), about)
    assert said[0].startswith("1 mark in 1 text left out")
    *_, last = place.read_text(encoding="utf-8").strip().split("\n\n")
    lines = [line.split("\t") for line in last.splitlines()]
    assert [(line[0], line[3]) for line in lines][1:] == [
        ("Ada", "B-a b"),
        ("met", "O"),
        ("Bob", "B-=c"),
        ("-", "I-=c"),
        ("Ray", "I-=c"),
        ("in", "O"),
        ("New", "B-a b"),
        ("York", "I-a b"),
    ]
    assert {line[1] for line in lines} == {frame.id.iloc[-1]}
    assert [cases.SENTENCE[int(line[2]) :].startswith(line[0]) for line in lines] == [True] * len(lines)
    rows = read_back(place, about.__class__(tmp_path, about.settings, ""))
    kept = [cases.SENTENCE[start:end] for start, end, _ in spans.spans_of(rows.label.iloc[-1])]
    assert len(rows) == len(frame) and len(kept) == 3


@given(st.text(st.sampled_from("ab -\n😀é1")), st.lists(st.integers(0, 12), max_size=6))
def test_marks_are_cut_out_of_words_and_nothing_that_shows_is_lost(text: str, places: list[int]) -> None:
    borders = sorted({place for place in places if place <= len(text)})
    marks = [(start, end, "x") for start, end in [*pairwise(borders)][::2]]
    tokens = conll.tagged(text, marks)
    assert "".join(text[start:end] for start, end, _ in tokens) == "".join(text.split())
    for start, end, _ in marks:
        inside = [tag for first, after, tag in tokens if start <= first and after <= end]
        assert inside == (["B-x"] + ["I-x"] * (len(inside) - 1) if text[start:end].split() else [])
    assert sum(tag == "B-x" for _, _, tag in tokens) == sum(bool(text[start:end].split()) for start, end, _ in marks)


# Which


@pytest.mark.parametrize(
    ("place", "named", "answer", "found"),
    [
        ("a.CSV", "", "choice", "csv"),
        ("a", "", "choice", "hugging-face"),
        ("a.txt", "jsonl", "choice", "jsonl"),
        ("a.conll", "", "spans", "conll"),
        ("a.txt", "", "choice", None),
        ("a.csv", "excel", "choice", None),
        ("a.conll", "", "multilabel", None),
    ],
)
def test_the_format_is_the_one_named_else_that_of_the_ending(
    place: str, named: str, answer: str, found: str | None, tmp_path: Path
) -> None:
    about = cases.about("text", answer, tmp_path)
    if found:
        assert exports.format_of(Path(place), named, about) == found
    else:
        with pytest.raises(InputError, match=r"expected (\.csv|spans).* To mend it: "):
            exports.format_of(Path(place), named, about)


def test_what_fails_halfway_leaves_the_earlier_export_and_nothing_else(tmp_path: Path) -> None:
    about, frame = cases.about("text", "choice", tmp_path / "w"), cases.frame("text", "choice")
    place = written(tmp_path / "a.csv", "csv", frame, about)
    before = place.read_bytes()

    def failing() -> Any:
        yield frame
        raise InputError("gone")

    with pytest.raises(InputError, match="gone"):
        exports.write(place, "csv", failing(), about)
    assert place.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name != "w"] == ["a.csv"]
    assert io.BytesIO(before).readline().startswith(b"id,source_id,text,label")
