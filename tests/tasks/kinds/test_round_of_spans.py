"""A round of marked texts, stage by stage, and the same again from the same seed."""

import json
from pathlib import Path

import pandas as pd
import pytest

from labelwise.flows import rehearse
from labelwise.tasks import embed, evaluate, kinds, prove, pull, push, score, select, train
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import spans, text
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import LABELS
from labelwise.tasks.trial.plan import Plan
from labelwise.tasks.workspace import Workspace, read_parquet

NAMES, CITIES = ("Ada", "Bob", "Cleo", "Dan", "Eve", "Finn"), ("Rome", "Oslo", "Lima", "Paris", "Cairo", "Delhi")


def marked(sentence: str) -> str:
    """The label of a sentence: its name and its city."""
    places = [(sentence.find(word), word, of) for of, words in (("name", NAMES), ("city", CITIES)) for word in words]
    return spans.label_of([(at, at + len(word), of) for at, word, of in places if at >= 0])


def written(folder: Path) -> None:
    """A pool and a gold set with labels."""
    folder.mkdir()
    pool = [f"{name} went from {city} by train" for name in NAMES[:4] for city in CITIES[:4]]
    gold = [f"yesterday {name} saw {city}" for name, city in zip(NAMES, CITIES, strict=True)]
    for name, texts in (("pool", pool), ("gold", [*gold, "nothing at all was seen"])):
        lines = [json.dumps({"text": each, "label": json.loads(marked(each))}) for each in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))


def opened(folder: Path) -> Workspace:
    """A workspace with that pool and gold set."""
    written(folder)
    content = {
        "project": {"name": "n", "id": "i"},
        "kind": {"item": "text", "answer": "spans"},
        "classes": ["city", "name"],
        "pull": {"pool": str(folder / "pool.jsonl"), "gold": str(folder / "gold.jsonl"), "columns": {"id": None}},
        "select": {"batch": 6},
        "evaluate": {"resamples": 100},
    }
    (folder / "params.yaml").write_text(json.dumps(content))
    return Workspace(folder)


def played(folder: Path) -> tuple[pd.DataFrame, dict[str, bytes], dict[str, bytes]]:
    """The second batch, and the files of metrics and of the model that chose it."""
    workspace = opened(folder)
    assert pull.run(workspace).new_gold == 7
    embed.run(workspace)
    ledger.append(workspace.labels, 0, LABELS.frame())
    train.run(workspace)
    score.run(workspace)
    select.run(workspace)
    asked = read_parquet(workspace.batch)
    cells = stored.cells_by_id(workspace, asked.id)
    given = {"status": "labelled", "annotator": "1", "round": 1, "origin": "asked", "created_at": "2026-01-01T00:00Z"}
    rows = pd.DataFrame(
        {"id": asked.id, "label": [marked(cells[each]) for each in asked.id], "why": asked.why, **given}
    )
    ledger.append(workspace.labels, 1, LABELS.conform(rows.reindex(columns=list(LABELS.columns))))
    for stage in (train, evaluate, score, select, prove):
        stage.run(workspace)
    batch = read_parquet(workspace.batch)
    assert len(batch) == 6 and not set(batch.id) & set(asked.id)
    wanted = push.tasks(batch, stored.cells_by_id(workspace, batch.id), 2, True, kinds.answer("spans"), text)
    assert all(task["data"]["text"].endswith("by train") for task in wanted)
    metrics, model = (
        {str(file.relative_to(top)): file.read_bytes() for file in sorted(top.rglob("*")) if file.is_file()}
        for top in (workspace.root / "metrics", workspace.model)
    )
    return batch, metrics, model


def test_a_round_of_spans_is_the_same_again_from_the_same_seed(tmp_path: Path) -> None:
    (batch, metrics, model), again = played(tmp_path / "one"), played(tmp_path / "two")
    pd.testing.assert_frame_equal(batch, again[0])
    assert metrics and metrics == again[1]
    assert model and model == again[2]
    assert batch.prediction.map(spans.spans_of).map(bool).any()  # something has been learned


def test_words_that_an_older_rule_has_cut_are_read_anew(tmp_path: Path) -> None:
    workspace = opened(tmp_path / "here")
    pull.run(workspace)
    assert embed.run(workspace).startswith("23 texts encoded")
    assert embed.run(workspace).startswith("every item has its vector")
    files = {path: path.read_bytes() for path in workspace.vectors.iterdir()}
    notes = [path for path in files if path.suffix == ".json" and "words" in json.loads(path.read_text())]
    assert len(notes) == 4 * 2  # the vectors' own notes say what they did before
    for note in notes:
        older = json.loads(note.read_text())
        del older["words"]
        note.write_text(json.dumps(older))
        note.with_suffix(".npy").write_bytes(b"cut otherwise")
    assert embed.run(workspace).startswith("23 texts encoded")
    assert {path: path.read_bytes() for path in workspace.vectors.iterdir()} == files


def test_a_rehearsal_counts_the_words_that_people_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    written(tmp_path / "in")
    sources = (str(tmp_path / "in" / f"{name}.jsonl") for name in ("pool", "gold"))
    plan = Plan(*sources, ["random", "auto"], ["tagger"], 4, 2, 1, 0.0, answer="spans")
    told: list[str] = []
    rehearse.rehearse(plan, tmp_path / "out", None, told.append)
    found = json.loads((tmp_path / "out" / "rehearsal.json").read_text())
    assert [run["tokens"] for run in found["runs"]] == [[24, 48]] * 2  # six words a text
    assert [run["labels"] for run in found["runs"]] == [[4, 8]] * 2
    entries = {entry["strategy"]: entry for entry in found["summary"]}
    assert {"bound", "mean", "low", "high", "share"} <= entries["auto"]["ratio_of_tokens"].keys()
    assert entries["auto"]["ratio_of_tokens"] == entries["auto"]["ratio"]  # all texts are of one length
    assert "ratio_of_tokens" not in entries["random"]
    assert any("(cold start: auto needs a label that marks something)" in line for line in told)
    kept = {path: path.stat().st_size for path in (tmp_path / "out").glob("words-*.npz")}
    for path in kept:
        path.unlink()  # another version kept words of its own beside these vectors
    rehearse.rehearse(plan, tmp_path / "out", None, told.append)
    assert kept == {path: path.stat().st_size for path in (tmp_path / "out").glob("words-*.npz")}
    assert len(kept) == 2 and json.loads((tmp_path / "out" / "rehearsal.json").read_text()) == found
