"""What is forgotten is gone from every table, stays out, and takes nothing else with it, whatever cut it off."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import pull
from labelwise.tasks.errors import InputError
from labelwise.tasks.items import forgotten, leaks
from labelwise.tasks.items.vectors import (
    fingerprint,
    fingerprint_of_words,
    fresh,
    fresh_words,
    vectors_of,
    words_in,
    words_of,
)
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners.words import MARKS
from labelwise.tasks.records import ANSWERS, BATCH, LEAKS, QUARANTINE, content_id
from labelwise.tasks.upkeep import purge
from labelwise.tasks.upkeep.forget import resolve
from labelwise.tasks.workspace import Workspace, write_csv, write_json, write_parquet
from tests.tasks.labels.rows import labelled, rows

TEXTS = ["one", "Two words", "two  WORDS", "three"]
IDS = [content_id(text) for text in TEXTS]
GONE = {IDS[1], IDS[2]}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every table there is, each with rows of the items to forget and of others; vectors that tell whose they are."""
    tmp_path = tmp_path_factory.mktemp("template")
    (tmp_path / "in").mkdir()
    write_csv(tmp_path / "in" / "pool.csv", pd.DataFrame({"text": TEXTS}))
    write_csv(tmp_path / "in" / "gold.csv", pd.DataFrame({"text": ["gold one", "gold two"], "label": ["x", "y"]}))
    sources = {"pool": str(tmp_path / "in" / "pool.csv"), "gold": str(tmp_path / "in" / "gold.csv")}
    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": sources}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    made = Workspace(tmp_path)
    pull.run(made)
    for path in [*made.pool.glob("*.parquet"), made.gold]:
        table = pd.read_parquet(path)
        vectors = vectors_of(made, path)
        vectors.parent.mkdir(exist_ok=True)
        np.save(vectors, np.array([[int(item[:4], 16) % 1000] for item in table.id], dtype=np.float16))
        write_json(vectors.with_suffix(".json"), fingerprint(path, made.settings.embed))
    shard = next(made.pool.glob("*.parquet"))
    near = pd.DataFrame({"id": IDS[:2], "gold": [content_id("gold one")] * 2, "similarity": 1.0})
    write_parquet(leaks.leaks_of(made, shard), near, LEAKS)
    ledger.append(made.labels, 0, rows(labelled(IDS[0], "x", 1), labelled(IDS[1], "y", 2)))
    batch = {"rank": 1, "score": 0.5, "why": "w", "propensity": 0.1, "prediction": "x", "confidence": 0.5}
    write_parquet(made.batch, pd.DataFrame({"id": IDS[2:]}).assign(**batch), BATCH)
    write_parquet(made.scores, pd.DataFrame({"id": IDS, "p0": np.float32(0.5)}))
    said = dict.fromkeys(ANSWERS.columns, "1") | {"ask": 1, "task_id": 1, "annotation_id": 1, "lead_time_s": 1.0}
    write_parquet(made.trusted / "answers-0001.parquet", pd.DataFrame([said | {"id": item} for item in IDS]), ANSWERS)
    refused = {"source_id": None, "label": None, "reason": "r"}
    kept_out = pd.DataFrame({"id": ["q1", "q2"], "text": ["TWO words ", "four"]}).assign(**refused)
    write_parquet(made.quarantine / "pool-shard-0001.parquet", kept_out, QUARANTINE)
    write_parquet(made.quarantine / "labels-0001.parquet", pd.DataFrame({"id": IDS[:2], "reason": "r"}))
    write_csv(made.metrics / "predictions.csv", pd.DataFrame({"id": IDS, "predicted": "x"}))
    (made.scraps / "reports").mkdir(parents=True)
    (made.scraps / "reports" / "round-0000.html").write_text("Two words")
    return tmp_path


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Workspace:
    """A copy of its own."""
    root = Path(shutil.copytree(template, tmp_path / "workspace"))
    params = root / "params.yaml"
    params.write_text(params.read_text().replace(str(template), str(root)))
    return Workspace(root)


def tables(workspace: Workspace) -> dict[str, list[str]]:
    """The ids in every table, by file."""
    files = sorted(workspace.root.glob("data/**/*.parquet"))
    found = {str(file.relative_to(workspace.root)): pd.read_parquet(file).id.tolist() for file in files}
    return found | {"predictions": pd.read_csv(workspace.metrics / "predictions.csv").id.tolist()}


def bury(workspace: Workspace) -> None:
    stone = {"forgotten_at": "2026", "held": "", "learned": ""}
    forgotten.bury(workspace, pd.DataFrame({"id": [*GONE], "fold": [forgotten.fold(TEXTS[1])] * 2}).assign(**stone))


def check(workspace: Workspace, before: dict[str, list[str]]) -> None:
    """Every table has lost the items and nothing else, and vectors still lie in the order of their rows."""
    expected = {name: [item for item in ids if item not in GONE | {"q1"}] for name, ids in before.items()}
    assert tables(workspace) == expected
    for path in [*workspace.pool.glob("*.parquet"), workspace.gold]:
        table, vectors = pd.read_parquet(path), vectors_of(workspace, path)
        assert np.load(vectors)[:, 0].tolist() == [int(item[:4], 16) % 1000 for item in table.id]
        assert fresh(vectors_of(workspace, path), path, workspace.settings.embed)
    assert not (workspace.scraps / "reports").exists()
    assert not list(workspace.root.rglob("*.part"))


def test_gone_from_every_table(workspace: Workspace) -> None:
    before = tables(workspace)
    types = {path: pd.read_parquet(path).dtypes.to_dict() for path in workspace.root.glob("data/**/*.parquet")}
    for _ in range(2):  # done twice is done once
        purge.purge(workspace, GONE, {forgotten.fold(TEXTS[1])})
        check(workspace, before)
    assert {path: pd.read_parquet(path).dtypes.to_dict() for path in types} == types


@pytest.mark.parametrize("place", ["_vectors", "_write", "write_json", "atomic"])
@pytest.mark.parametrize("time", [1, 3])
def test_whatever_cuts_it_off_the_next_one_ends_it(
    workspace: Workspace, place: str, time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real, calls = tables(workspace), getattr(purge, place), [0]

    def cut(*words: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == time:
            raise KeyboardInterrupt
        return real(*words, **named)

    monkeypatch.setattr(purge, place, cut)
    for _ in range(2):
        try:
            purge.purge(workspace, GONE, {forgotten.fold(TEXTS[1])})
        except KeyboardInterrupt:
            monkeypatch.undo()
    check(workspace, before)


def test_what_reads_alike_is_meant_too_and_an_unknown_id_is_named() -> None:
    texts = pd.DataFrame({"id": IDS, "text": TEXTS})
    assert set(resolve(texts, [IDS[1]]).id) == GONE
    assert resolve(texts, [IDS[0], IDS[0]]).id.tolist() == [IDS[0]]
    assert resolve(texts, []).empty
    with pytest.raises(InputError, match=r"1 of 2 items are unknown, so nothing was changed.*'nonesuch'"):
        resolve(texts, [IDS[0], "nonesuch"])


def test_no_pull_brings_it_back_not_even_in_another_case(workspace: Workspace) -> None:
    purge.purge(workspace, GONE, {forgotten.fold(TEXTS[1])})
    bury(workspace)
    source = Path(workspace.settings.pull.pool)
    write_csv(source, pd.DataFrame({"text": [*TEXTS, "\tTWO\n words", "five"]}))
    write_csv(
        Path(workspace.settings.pull.gold),
        pd.DataFrame({"text": ["gold one", "gold two", "two words"], "label": ["x", "y", "x"]}),
    )
    pulled = pull.run(workspace)
    assert (pulled.pool_rows, pulled.new_pool, pulled.gold_rows, pulled.forgotten) == (3, 1, 2, 4)
    assert "left out 4: forgotten by request, yet the source has them" in pulled.summary()
    assert not GONE & {item for ids in tables(workspace).values() for item in ids}
    texts = pd.concat(pd.read_parquet(file) for file in workspace.root.glob("data/*/*.parquet")).get("text").dropna()
    assert not any("two words" in " ".join(text.lower().split()) for text in texts)
    assert pull.run(workspace).forgotten == 4  # nothing changed, and it is said again


def test_a_tombstone_says_nothing_of_the_text(workspace: Workspace) -> None:
    bury(workspace)
    kept = forgotten.place(workspace).read_text().lower()
    assert "two" not in kept and "words" not in kept
    assert forgotten.ids(workspace) == GONE


def test_the_words_of_what_is_forgotten_go_with_it_wherever_it_is_cut_off(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Workspace(Path(shutil.copytree(template, tmp_path / "there")))
    shard = next(made.pool.glob("*.parquet"))
    texts = pd.read_parquet(shard).text.tolist()
    lengths = np.array([len(text.split()) for text in texts])
    files = words_of(made, shard)
    of_text = np.repeat(np.arange(len(texts)), lengths)
    whole = {
        "starts": np.concatenate([[0], np.cumsum(lengths)]),
        "places": np.stack([of_text, of_text], axis=1).astype(np.int32),
        "marks": np.tile(of_text[:, None], MARKS).astype(np.uint16),
        "states": of_text[:, None].astype(np.float16),
    }
    for name, rows_ in whole.items():
        np.save(files[name], rows_)
        write_json(files[name].with_suffix(".json"), fingerprint_of_words(shard, made.settings.embed))
    kept = [at for at, item in enumerate(pd.read_parquet(shard).id) if item not in GONE]

    class CutOff(Exception):
        pass

    saved, count = np.save, [0]
    for number in range(1, 6):  # each array that is written, one attempt more each time

        def save(*given: Any, at: int = number, **more: Any) -> None:
            count[0] += 1
            if count[0] == at:
                raise CutOff
            saved(*given, **more)

        count[0] = 0
        monkeypatch.setattr(np, "save", save)
        try:
            purge.purge(made, GONE, {forgotten.fold(TEXTS[1])})
            break
        except CutOff:
            continue
    monkeypatch.setattr(np, "save", saved)
    purge.purge(made, GONE, {forgotten.fold(TEXTS[1])})
    found = words_in(made, shard)
    assert found is not None and found.lengths.tolist() == lengths[kept].tolist()
    for name in ("places", "marks", "states"):
        assert np.asarray(getattr(found, name))[:, 0].tolist() == np.repeat(kept, lengths[kept]).tolist()
    assert fresh_words(made, shard)
