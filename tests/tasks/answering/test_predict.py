"""A row out for each row in, whatever the file, and nothing dropped in silence."""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelwise.tasks import kinds
from labelwise.tasks.answering import predict, promised
from labelwise.tasks.answering.at_work import Served, promise
from labelwise.tasks.answering.model import Chosen
from labelwise.tasks.errors import InputError
from labelwise.tasks.exports.files import FORMS
from labelwise.tasks.kinds import Answer, Content, choice, image, multilabel, row, spans, text
from labelwise.tasks.learners.serving import PULL
from labelwise.tasks.proof.answering import Threshold
from labelwise.tasks.settings import Columns, Pull
from labelwise.tasks.workspace import Workspace
from tests.tasks.kinds.pictures import folder_of


@dataclass
class Model:
    """Says of an item that it is long, or short; of a text, where `Ada` and what stands after her is."""

    item: Content = text
    answer: Answer = choice
    pull: Pull = PULL
    asked: list[int] = field(default_factory=list)
    fails_at: int = 99

    @property
    def model(self) -> Any:
        return type("Learned", (), {"classes": ["long", "short"]})

    def judged(self, cells: list[str]) -> pd.DataFrame:
        self.asked.append(len(cells))
        if len(self.asked) == self.fails_at:
            raise InputError("no more")
        return pd.DataFrame({"label": [self.said(cell) for cell in cells], "confidence": 0.75}, dtype=object)

    def said(self, cell: str) -> str:
        if self.answer is spans:
            at = cell.find("Ada")
            return spans.label_of([] if at < 0 else [(at, at + 3, "long"), (at, len(cell), "short")])
        name = "long" if len(cell) > 12 else "short"
        return multilabel.label_of([name]) if self.answer is multilabel else name


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    return workspace(tmp_path)


def workspace(folder: Path, **content: Any) -> Workspace:
    made = Workspace(folder / "workspace")
    made.root.mkdir(exist_ok=True)
    usual = {"project": {"name": "n", "id": "i"}, "classes": ["long", "short"], "pull": {"pool": "p", "gold": "g"}}
    (made.root / "params.yaml").write_text(json.dumps(usual | content))
    return made


def play(here: Workspace, source: Path | str, out: Path, model: Model | None = None, **more: Any) -> list[str]:
    answers: Any = model or Model()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict, "chosen", lambda *_words: Chosen(answers, "version 3"))
        lines = predict.run(here, str(source), out, **more)
    assert lines.pop(1).startswith("0 of them are `answered`: it answers nothing yet")  # it has no gold set
    return lines


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# What comes in

TABLE = [{"key": "007", "text": "=a text of some length", "n": 17}, {"key": "8", "text": "short", "n": None}]


def files_of(folder: Path) -> dict[str, Path]:
    plain = "key,text,n\n007,=a text of some length,17\n8,short,\n"
    content = {
        "a.csv": plain.encode(),
        "a.tsv": plain.replace(",", "\t").encode(),
        "a.csv.gz": gzip.compress(plain.encode()),
        "a.jsonl": "\n".join(map(json.dumps, TABLE)).encode(),
        "a.json": json.dumps(TABLE).encode(),
    }
    for name, each in content.items():
        (folder / name).write_bytes(each)
    pq.write_table(pa.Table.from_pylist(TABLE), folder / "a.parquet")
    return {name: folder / name for name in [*content, "a.parquet"]}


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.jsonl", "a.json", "a.parquet"])
def test_every_kind_of_file_keeps_its_columns(name: str, here: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    said = play(here, files_of(tmp_path)[name], out)
    assert said == [f"{out}: 2 labels by version 3, mean confidence 0.75"]
    first, second = lines(out)
    known = {"key": "007", "text": "=a text of some length", "n": "17"}
    assert first == {"row": 1, **known, "label": "long", "confidence": 0.75, "answered": False}
    assert list(first) == ["row", "key", "text", "n", "label", "confidence", "answered"]
    assert (second["row"], second["key"], second["n"], second["label"]) == (2, "8", second["n"], "short")
    assert not second["n"]
    assert not (tmp_path / "out.quarantine.jsonl").exists()


def test_what_may_stand_without_people_says_so(
    here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As sure as the promise wants, like the pool, and of no class that people keep for themselves."""
    (here.root / "params.yaml").write_text(
        (here.root / "params.yaml").read_text()[:-1] + ', "answer": {"never": ["long"]}}'
    )
    answers: Any = Model()
    served = Served(answers, "version 3", Threshold(0.75, 0.6, 100))
    monkeypatch.setattr(predict, "chosen", lambda *_words: Chosen(answers, "version 3"))
    monkeypatch.setattr(promised, "serve", lambda *_words: served)
    said = predict.run(here, str(files_of(tmp_path)["a.csv"]), tmp_path / "out.csv")
    assert said[1] == "1 of them are `answered`: " + promise(served.found, here.settings.answer)
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == [
        "1,007,=a text of some length,17,long,0.75,false",
        "2,8,short,,short,0.75,true",
    ]


def test_what_is_no_plain_value_beside_the_item_is_kept_as_json(here: Workspace, tmp_path: Path) -> None:
    rows = [{"text": "one", "tags": ["a", "b"], "meta": {"x": [1]}, "label": ["several", "classes"]}]
    (tmp_path / "a.jsonl").write_text(json.dumps(rows[0]))
    table = pa.table({"text": ["one"], "v": [[0.5, 1.5]], "x": [0.1], "u": pa.array([b"0" * 16], pa.binary(16))})
    pq.write_table(table, tmp_path / "a.parquet")
    play(here, tmp_path / "a.jsonl", tmp_path / "out.jsonl")
    (found,) = lines(tmp_path / "out.jsonl")
    assert found["tags"] == '["a", "b"]' and json.loads(found["given_label"]) == ["several", "classes"]
    assert "meta" in found
    play(here, tmp_path / "a.parquet", tmp_path / "b.jsonl")
    (found,) = lines(tmp_path / "b.jsonl")
    assert (found["v"], found["x"]) == ("[0.5, 1.5]", "0.1")


def test_a_column_of_a_name_of_ours_gets_another_and_that_is_said(here: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label,text,row\nmine,a text,9\n")
    said = play(here, tmp_path / "a.csv", tmp_path / "out.jsonl")
    assert [line.partition(" of ")[0] for line in said[1:]] == ["the column 'label'", "the column 'row'"]
    (found,) = lines(tmp_path / "out.jsonl")
    assert found == {
        "row": 1,
        "given_label": "mine",
        "text": "a text",
        "given_row": "9",
        "label": "short",
        "confidence": 0.75,
        "answered": False,
    }


@pytest.mark.parametrize("ending", FORMS)
def test_all_endings_say_the_same(ending: str, here: Workspace, tmp_path: Path) -> None:
    out = tmp_path / f"out{ending}"
    play(here, files_of(tmp_path)["a.csv"], out, Model(answer=multilabel))
    read: dict[str, Any] = {
        ".csv": lambda path: pd.read_csv(path).assign(label=lambda rows: rows.label.map(json.loads)),
        ".jsonl": lambda path: pd.read_json(path, lines=True),
        ".parquet": pd.read_parquet,
    }
    found = read[ending](out)
    assert [list(label) for label in found.label] == [["long"], ["short"]]
    assert found.confidence.tolist() == [0.75, 0.75] and found.row.tolist() == [1, 2]


def test_tasks_of_label_studio_are_read_flat(here: Workspace, tmp_path: Path) -> None:
    task = {"id": 4, "data": {"text": "a text of some length", "key": "K-1"}, "annotations": []}
    (tmp_path / "a.json").write_text(json.dumps([task]))
    play(here, tmp_path / "a.json", tmp_path / "out.jsonl")
    (found,) = lines(tmp_path / "out.jsonl")
    assert (found["text"], found["label"]) == ("a text of some length", "long")


# What cannot be read


def test_bad_rows_are_set_aside_with_their_reason_and_counted(here: Workspace, tmp_path: Path) -> None:
    content = ["text,key", "fine: Zoë,1", ",2", "bad \udcff byte,3", "x" * 20_001 + ",4", "fine é,5", ""]
    (tmp_path / "a.csv").write_bytes("\n".join(content).encode("utf-8", "surrogateescape"))
    out, aside = tmp_path / "out.csv", tmp_path / "out.quarantine.csv"
    (said,) = play(here, tmp_path / "a.csv", out)
    assert said.startswith(
        f"{out}: 2 labels by version 3, mean confidence 0.75; 3 rows cannot be read and are in {aside}"
    )
    assert pd.read_csv(out).key.tolist() == [1, 5]
    refused = pd.read_csv(aside)
    assert refused.row.tolist() == [2, 3, 4]
    assert refused.reason.tolist() == [
        "text is blank",
        "row is not UTF-8",
        "text has 20001 characters, at most 20000 allowed",
    ]
    assert refused.text[1] == "bad \\udcff byte"
    (tmp_path / "a.csv").write_text("text,key\nfine,1\n")
    play(here, tmp_path / "a.csv", out)
    assert not aside.exists()  # of an earlier run


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "a.csv",
            b"body,n\nx,1\n",
            "has no column 'text': expected one of body, n. To mend it: give the column that",
        ),
        ("a.jsonl", b'{"body": "x"}\n', "has no column 'text': expected one of body"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"text\n", "has no row that can be read: expected one at least, got none"),
        (
            "a.csv",
            b"text,n\n,1\n,2\n",
            "has no row that can be read: expected one at least, got 2 rows: 2 x text is",
        ),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0", "is not what its name says"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0", "is of no known kind"),
        ("a.xlsx", b"PK\x03\x04", "is of no known kind"),
    ],
)
def test_a_source_without_such_items_leaves_nothing_behind(
    name: str, content: bytes, problem: str, here: Workspace, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        play(here, tmp_path / name, tmp_path / "out.csv")
    assert problem in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {name, "workspace"}


def test_the_column_may_have_another_name(here: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body,text\nthis one is long,x\n")
    play(here, tmp_path / "a.csv", tmp_path / "out.jsonl", column="body")
    (found,) = lines(tmp_path / "out.jsonl")
    assert (found["body"], found["text"], found["label"]) == ("this one is long", "x", "long")


# What comes out


def test_parts_are_read_as_they_come_and_rows_count_on(
    here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "ROWS", 3)
    (tmp_path / "a.csv").write_text("text\n" + "".join(f"text {n}\n" for n in range(8)))
    model = Model()
    play(here, tmp_path / "a.csv", tmp_path / "out.csv", model)
    assert model.asked == [3, 3, 2]
    assert pd.read_csv(tmp_path / "out.csv").row.tolist() == list(range(1, 9))
    before = (tmp_path / "out.csv").read_bytes()
    with pytest.raises(InputError, match="no more"):
        play(here, tmp_path / "a.csv", tmp_path / "out.csv", Model(fails_at=2))
    assert (tmp_path / "out.csv").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_what_a_dead_process_has_left_is_cleared(here: Workspace, tmp_path: Path) -> None:
    (tmp_path / ".out.csv.999999999.part").write_text("half")
    (tmp_path / ".out.csv.1.part").write_text("of one that lives")
    play(here, files_of(tmp_path)["a.csv"], tmp_path / "out.csv")
    assert [path.name for path in tmp_path.glob(".*")] == [".out.csv.1.part"]


@pytest.mark.parametrize(
    ("out", "problem"),
    [
        ("mine.csv", "is there, and no earlier export: expected a new file"),
        ("a.csv", "is the source itself"),
        ("out.txt", "expected a name ending in .csv, .jsonl, .parquet"),
        ("workspace/data/out.csv", "is a part of the workspace itself"),
    ],
)
def test_nothing_of_anothers_is_written_over(out: str, problem: str, here: Workspace, tmp_path: Path) -> None:
    source = files_of(tmp_path)["a.csv"]
    (tmp_path / "mine.csv").write_text("mine")
    with pytest.raises(InputError) as caught:
        play(here, source, tmp_path / out)
    assert problem in str(caught.value)
    assert (tmp_path / "mine.csv").read_text() == "mine"
    (tmp_path / "new.quarantine.csv").write_text("mine")
    with pytest.raises(InputError, match=r"new.quarantine.csv is there"):
        play(here, source, tmp_path / "new.csv")
    play(here, source, tmp_path / "mine.csv", force=True)
    assert len(pd.read_csv(tmp_path / "mine.csv")) == 2


# Kinds


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_are_told_by_the_names_of_their_files(packed: bool, tmp_path: Path) -> None:
    import shutil

    here = workspace(tmp_path, kind={"item": "image", "answer": "choice"})
    source = folder_of(tmp_path / "photos", 2)
    (source / "red" / "broken.png").write_bytes(b"nothing")
    if packed:
        source = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", source))
    (said,) = play(here, source, tmp_path / "out.jsonl", Model(image))
    assert "4 labels" in said and "1 x file is no picture" in said
    assert [found["image"] for found in lines(tmp_path / "out.jsonl")] == [
        "blue/000.png",
        "blue/001.png",
        "red/000.png",
        "red/001.png",
    ]
    assert lines(tmp_path / "out.quarantine.jsonl") == [
        {"row": 5, "image": "red/broken.png", "reason": "file is no picture"}
    ]


def test_a_table_of_pictures_keeps_its_paths(tmp_path: Path) -> None:
    here = workspace(tmp_path, kind={"item": "image", "answer": "choice"})
    folder_of(tmp_path, 1)
    (tmp_path / "a.csv").write_text("photo,shop\nred/000.png,4\nred/gone.png,5\n")
    play(here, tmp_path / "a.csv", tmp_path / "out.csv", Model(image), column="photo")
    assert pd.read_csv(tmp_path / "out.csv")[["row", "photo", "shop"]].to_numpy().tolist() == [[1, "red/000.png", 4]]
    assert pd.read_csv(tmp_path / "out.quarantine.csv").reason.tolist() == ["file is not there"]
    with pytest.raises(InputError, match=r"has no column 'image': expected one of photo, shop"):
        play(here, tmp_path / "a.csv", tmp_path / "b.csv", Model(image))
    with pytest.raises(InputError, match=r"for pictures make the workspace"):
        play(workspace(tmp_path), tmp_path / "red", tmp_path / "b.csv")


def test_rows_are_read_by_the_features_that_the_model_knows(tmp_path: Path) -> None:
    features = Columns(features={"age": "number", "job": "category"})
    pull = {"pool": "p", "gold": "g", "columns": {"features": features.features | {"later": "number"}}}
    here = workspace(tmp_path, kind={"item": "row", "answer": "choice"}, pull=pull)
    model = Model(row, pull=PULL.model_copy(update={"columns": features}))
    (tmp_path / "a.csv").write_text("id,age,job\nx,17,cook\ny,many,\n")
    (said,) = play(here, tmp_path / "a.csv", tmp_path / "out.csv", model)
    assert said.endswith("1 x text stands where a figure was expected")
    assert pd.read_csv(tmp_path / "out.csv").to_numpy().tolist() == [[1, "x", 17, "cook", "long", 0.75, False]]
    (tmp_path / "b.csv").write_text("age\n17\n")
    with pytest.raises(InputError, match=r"has no column 'job': expected one of age. To mend it: give the column"):
        play(here, tmp_path / "b.csv", tmp_path / "out.csv", model)


def test_marks_are_where_they_are_in_the_text_as_it_came(tmp_path: Path) -> None:
    here = workspace(tmp_path, kind={"item": "text", "answer": "spans"})
    given = ["a \r\n  Ada ran \r\nhome  ", "nobody"]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": each}) for each in given))
    play(here, tmp_path / "a.jsonl", tmp_path / "out.jsonl", Model(answer=spans))
    first, second = lines(tmp_path / "out.jsonl")
    assert first["text"] == given[0] and second["label"] == []
    assert [mark["text"] for mark in first["label"]] == ["Ada", "Ada ran \r\nhome"]
    assert all(given[0][mark["start"] : mark["end"]] == mark["text"] for mark in first["label"])
    (tmp_path / "a.jsonl").write_text(json.dumps({"tokens": ["in", "Ada", "town"], "ner_tags": ["O", "O", "O"]}))
    play(here, tmp_path / "a.jsonl", tmp_path / "tokens.jsonl", Model(answer=spans))
    assert lines(tmp_path / "tokens.jsonl")[0]["text"] == "in Ada town"


def test_classes_have_the_names_of_today(tmp_path: Path) -> None:
    here = workspace(tmp_path, classes=["lengthy", "other"], renamed={"long": "lengthy"}, dropped=["short"])
    said = play(here, files_of(tmp_path)["a.csv"], tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv").label.tolist() == ["lengthy", "short"]
    assert said[1:] == ["the model still says short, which is no class any more"]


def test_a_model_says_of_each_kind_what_its_answer_is() -> None:
    for name, answer in kinds.ANSWERS.items():
        model: Any = Model(answer=answer)
        found = predict.value(model, model.said("in Ada"), "in Ada", "in Ada")
        assert (
            found
            == {
                "choice": "short",
                "multilabel": ["short"],
                "spans": [
                    {"start": 3, "end": 6, "label": "long", "text": "Ada"},
                    {"start": 3, "end": 6, "label": "short", "text": "Ada"},
                ],
            }[name]
        )
