"""Spans from files to a workspace: read, moved to the kept text, refused with their reasons, counted, told."""

import json
from pathlib import Path
from typing import Any

import pytest

from labelwise.tasks import pull, settings, sources
from labelwise.tasks.errors import InputError, SettingsError
from labelwise.tasks.kinds import bio, offsets, spans
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import content_id
from labelwise.tasks.settings import Columns, Kind, Pull
from labelwise.tasks.trial import review
from labelwise.tasks.trial.plan import Plan, gathered, rows_of
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace, read_parquet

SMILE = "\U0001f600"
SPANS = Kind(answer="spans")
POOL: list[dict[str, Any]] = [{"text": f"number {at} \r\n lives in Rome"} for at in range(9)]
KEPT = "number 3\n lives in Rome"
PLACE = '[[19, 23, "place"]]'


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(path)


def gold(count: int = 8) -> list[dict[str, Any]]:
    """Texts with a blank and \\r\\n before the second mark."""
    texts = [f"Ada{at} \r\n{SMILE} went to Oslo" for at in range(count)]
    return [{"text": text, "label": [[0, 4, "person"], [text.index("Oslo"), len(text), "place"]]} for text in texts]


def made(folder: Path, rows: list[dict[str, Any]], told: list[str] | None = None, **more: Any) -> Workspace:
    sources = written(folder / "pool.jsonl", more.pop("pool", POOL)), written(folder / "gold.jsonl", rows)
    tell = (told if told is not None else []).append
    columns = more.pop("columns", Columns())
    root = init.run(folder / "w", *sources, None, "w", None, columns, tell=tell, kind=SPANS, **more).root
    settings.change(root / "params.yaml", {"pull.max_refused": 0.9})
    return Workspace.open(root)


def test_marks_move_with_their_text_and_bad_rows_are_set_aside(tmp_path: Path) -> None:
    bad = {
        offsets.OUTSIDE: ("far away", [[0, 99, "place"]]),
        offsets.LENGTH_ZERO: ("nothing", [[2, 2, "place"]]),
        offsets.REVERSED: ("turned round", [[4, 2, "place"]]),
        offsets.OTHER_TEXT: ("other words", [{"start": 0, "end": 5, "label": "place", "text": "words"}]),
        offsets.NOT_KEPT: ("blanks  \r\nonly", [[6, 8, "place"]]),
        bio.NO_TAGS: ("of another kind", ["place"]),
    }
    rows = [{"text": text, "label": label} for text, label in bad.values()]
    workspace = made(tmp_path, [*gold(40), *rows, {"text": "nothing to see", "label": []}])
    assert workspace.settings.classes == ["person", "place"]
    done = pull.run(workspace)
    assert done.new_gold == 41 and done.refused == dict.fromkeys(bad, 1)
    kept = read_parquet(workspace.gold).set_index("text").label
    assert kept[f"Ada3\n{SMILE} went to Oslo"] == '[[0, 4, "person"], [15, 19, "place"]]'
    assert kept["nothing to see"] == "[]"
    aside = read_parquet(next(workspace.quarantine.glob("gold-*")))
    assert dict(zip(aside.text, aside.reason, strict=True)) == {text: fault for fault, (text, _) in bad.items()}
    assert aside.label.map(json.loads).tolist() == [label for _, label in bad.values()]


AT = [[0, 3, "person"], [7, 11, "place"]]
TOKENS = {"tokens": ["Ada", "in", "Rome"]}
PERSON = {"start": 0, "end": 3, "label": "person"}
TAGS = TOKENS | {"tags": ["B-person", "O", "B-place"]}
TEXT = {"text": "Ada in Rome"}


@pytest.mark.parametrize(
    ("wrong", "said", "advice", "right"),
    [
        (TEXT | {"label": [[0, 3, "person"], [7, 99, "place"]]}, "outside the text", "count start", {"label": AT}),
        (TEXT | {"label": [[-3, 3, "person"]]}, "outside the text", "count start", {"label": AT}),
        (TEXT | {"label": [[3, 0, "person"]]}, "ends before it starts", "let start be", {"label": AT}),
        (TEXT | {"label": [[3, 3, "person"]]}, "length zero", "let start be", {"label": AT}),
        (TEXT | {"label": [PERSON | {"text": "Bob"}]}, "other words", "count", {"label": [PERSON | {"text": "Ada"}]}),
        (TEXT | {"label": [[0, 3, ""]]}, "no class", "name its class", {"label": AT}),
        (TEXT | {"label": [[0, None, "person"]]}, "whole numbers", "as whole numbers", {"label": AT}),
        (TEXT | {"label": "person"}, "no JSON list", "`--answer choice`", {"label": AT}),
        (TEXT | {"label": ["person", "place"]}, "not BIO", "`--answer multilabel`", {"label": AT}),
        (TOKENS | {"tags": ["PER", "O", "LOC"]}, "not BIO", "as B-CLASS, I-CLASS or O", TAGS),
        (TOKENS | {"tags": ["B-person", "O", "I-place"]}, "not BIO", "I-CLASS only after", TAGS),
        (TOKENS | {"tags": ["B-person"]}, "differ in number", "each token one tag", TAGS),
        (TAGS | {"text": "Ada to Rome"}, "do not join to the text", "leave the text out", {"text": None}),
    ],
)
def test_what_cannot_be_read_is_one_line_and_whoever_does_what_it_says_has_classes(
    tmp_path: Path, wrong: dict[str, Any], said: str, advice: str, right: dict[str, Any]
) -> None:
    def classes(row: dict[str, Any]) -> list[str]:
        kept = {key: value for key, value in row.items() if value is not None}
        source = Pull(pool="", gold=written(tmp_path / "gold.jsonl", [kept]))
        return init.classes_for(source, None, spans)

    line = rf"no label can be read: expected .*, got 1 x .*{said}.*, such as .*To mend it: .*{advice}"
    with pytest.raises(InputError, match=line):
        classes(wrong)
    assert "person" in classes(wrong | right)


def test_each_fault_says_what_to_do_and_one_class_that_nobody_marks_is_none(tmp_path: Path) -> None:
    assert all(spans.FAULTS.values())
    other = written(tmp_path / "gold.jsonl", [TEXT | {"label": []}])
    said = r"expected gold rows in which something is marked.*To mend it: give such rows"
    with pytest.raises(InputError, match=said):
        init.classes_for(Pull(pool="", gold=other), None, spans)


def test_another_unit_is_told_by_init_and_by_pull(tmp_path: Path) -> None:
    rows, told = gold(), list[str]()
    for row in rows:
        row["label"] = [[0, 4, "person"], [row["label"][1][0] + 1, row["label"][1][1] + 1, "place"]]
    workspace = made(tmp_path, rows, told)
    said = "the spans of 8 labels are counted in UTF-16 units: taken as such"
    assert any(said in line for line in told)
    assert any(said in line for line in pull.run(workspace).warnings)
    assert set(read_parquet(workspace.gold).label) == {'[[0, 4, "person"], [15, 19, "place"]]'}


def test_a_row_shows_the_unit_of_all_chunks_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of many chunks has the proof; every reader settles the same, and says the same when there is none."""
    monkeypatch.setattr("labelwise.tasks.sources.formats.CHUNK_CHARS", 60)
    rows: list[dict[str, Any]] = [{"text": f"{SMILE} ab cd{at}", "label": [[3, 5, "thing"]]} for at in range(8)]
    proof = {"text": f"{SMILE} no ab", "label": [{"start": 6, "end": 8, "label": "other", "text": "ab"}]}
    for name, given, kept in (("with", [*rows, proof], [[2, 4, "thing"]]), ("without", rows, [[3, 5, "thing"]])):
        (folder := tmp_path / name).mkdir()
        path = written(folder / "given.jsonl", given)
        assert len(list(sources.chunks(path, ["text", "label"], cells=Cells(label="label", spans=True)))) > 1
        told = list[str]()
        workspace = made(folder, given, told)
        remark = "are counted in UTF-16 units" if kept[0][0] == 2 else "no row shows which it is: taken as characters"
        assert workspace.settings.classes == (["other", "thing"] if kept[0][0] == 2 else ["thing"])
        assert sum(remark in line for line in told) == 1
        done = pull.run(workspace)
        assert sum(remark in line for line in done.warnings) == 1
        labels = read_parquet(workspace.gold).set_index("text").label
        want = {row["text"]: json.dumps(kept) for row in rows}
        assert labels[list(want)].to_dict() == want

        told.clear()
        answers = review.read_answers(Path(path), workspace.settings, told.append)
        assert {text: answers[content_id(text)] for text in want} == want
        plan = Plan(path, None, ["random"], ["tagger"], 1, 1, 1, 0.0, answer="spans")
        assert rows_of(path, plan, told.append).set_index("text").label[list(want)].to_dict() == want
        there = init.labels_in(path, workspace.settings.pull, told.append, spans)
        assert there.set_index("text").label[list(want)].to_dict() == want
        assert sum(remark in line for line in told) == 3


def test_tokens_with_tags_are_texts_everywhere(tmp_path: Path) -> None:
    tagged = [{"tokens": [f"Ada{at}", "in", "Rome"], "ner_tags": ["B-person", "O", "B-place"]} for at in range(8)]
    pool = [{"tokens": ["nobody", "in", f"Rome{at}"]} for at in range(9)]
    workspace = made(tmp_path, tagged, pool=pool)
    done = pull.run(workspace)
    assert (done.new_pool, done.new_gold, done.refused) == (9, 8, {})
    assert set(read_parquet(workspace.gold).label) == {'[[0, 4, "person"], [8, 12, "place"]]'}


def test_labels_that_are_there_already_begin_the_ledger(tmp_path: Path) -> None:
    there = [POOL[3] | {"label": [[21, 25, "place"]]}, POOL[4] | {"label": []}]
    workspace = made(tmp_path, gold(), labelled=written(tmp_path / "labelled.jsonl", there))
    assert set(ledger.read(workspace.labels).label) == {PLACE, "[]"}

    wrong = written(tmp_path / "wrong.jsonl", [POOL[3] | {"label": [[21, 99, "place"]]}])
    expected = rf"wrong.jsonl: 1 row: {offsets.OUTSIDE}: expected a JSON list of \[start, end, class\].* for 'number 3"
    (tmp_path / "second").mkdir()
    with pytest.raises(InputError, match=expected):
        made(tmp_path / "second", gold(), labelled=wrong)


def test_one_class_is_enough_to_mark_and_none_is_not(tmp_path: Path) -> None:
    only = [{"text": f"Ada {at}", "label": [[0, 3, "person"]]} for at in range(5)]
    assert made(tmp_path, only).settings.classes == ["person"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="gold rows in which something is marked"):
        made(tmp_path / "none", [row | {"label": []} for row in only])
    content = settings.read(tmp_path / "w" / "params.yaml").model_dump() | {
        "kind": {"item": "text", "answer": "choice"}
    }
    with pytest.raises(SettingsError, match="`classes`: expected two at least, got person alone"):
        settings.parse(content)


def test_answers_of_a_stand_in_and_rows_of_a_rehearsal_are_about_the_kept_text(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.jsonl", [row | {"label": [[21, 25, "place"]]} for row in POOL])
    workspace = made(tmp_path, gold())
    assert set(review.read_answers(Path(path), workspace.settings).values()) == {PLACE}
    plan = Plan(path, None, ["random"], ["tagger"], 1, 1, 1, 0.0, answer="spans")
    rows = rows_of(path, plan, [].append)
    assert rows.text[3] == KEPT and set(rows.label) == {PLACE}
    start, end, _ = json.loads(PLACE)[0]
    assert {text[start:end] for text in rows.text} == {"Rome"}


def test_what_a_rehearsal_measures_by_has_each_class_in_its_share(tmp_path: Path) -> None:
    """Hardly two rows have the same label where that names places."""
    rows = [{"text": f"{'x' * at} in Rome", "label": [[at + 4, at + 8, "place"]]} for at in range(1, 61)]
    rows += [{"text": f"{'x' * at} and Ada", "label": [[at + 5, at + 8, "person"]]} for at in range(1, 31)]
    rows += [{"text": f"{'x' * at} is all", "label": []} for at in range(1, 31)]
    plan = Plan(written(tmp_path / "rows.jsonl", rows), None, ["random"], ["tagger"], 1, 1, 1, 0.0, answer="spans")
    pool, kept = gathered(plan, [].append)
    names = kept.label.map(lambda label: "".join(spans.members(label)))
    assert names.value_counts().to_dict() == {"place": 20, "person": 10, "": 10}
    assert len(pool) == 80
