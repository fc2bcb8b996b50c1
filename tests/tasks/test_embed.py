"""Stage `embed`: each text is encoded once, by the real encoder, and found again by row and by id."""

import errno
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelwise.tasks import embed
from labelwise.tasks.errors import SettingsError, WorkspaceError
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import leaks, pieces
from labelwise.tasks.items.leaks import leaked
from labelwise.tasks.items.vectors import Vectors, gold_vectors, pool_vectors, vectors_of
from labelwise.tasks.kinds.wording import MULTILINGUAL
from labelwise.tasks.learners.encoder import PACKAGED, Encoder
from labelwise.tasks.records import ASKED, GOLD, POOL, content_id
from labelwise.tasks.workspace import Workspace, write_parquet

POOL_TEXTS = [["Shares rose.", "", "Ä猫"], ["A goal in the last minute."]]
GOLD_TEXTS = ["Interest rates are rising.", "The cup final."]


def configured(root: Path, **settings: Any) -> Workspace:
    """The workspace at `root`, its settings read anew."""
    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    (root / "params.yaml").write_text(json.dumps(content | {"embed": {"max_tokens": 16} | settings}))
    return Workspace(root)


def add_shard(workspace: Workspace, number: int, texts: list[str]) -> None:
    rows = pd.DataFrame({"id": [content_id(text) for text in texts], "text": texts, "source_id": None})
    write_parquet(workspace.pool / f"shard-{number:04d}.parquet", rows, POOL)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two shards and a gold set, not embedded yet."""
    made = configured(tmp_path)
    for number, texts in enumerate(POOL_TEXTS):
        add_shard(made, number, texts)
    gold = pd.DataFrame({"id": [content_id(text) for text in GOLD_TEXTS], "text": GOLD_TEXTS, "source_id": None})
    write_parquet(made.gold, gold.assign(label="x"), GOLD)
    return made


def stamps(workspace: Workspace) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in workspace.vectors.iterdir()}


def test_the_vectors_are_the_encoders_in_the_order_of_the_tables(workspace: Workspace) -> None:
    assert embed.run(workspace).startswith("6 texts encoded")

    texts = [text for shard in POOL_TEXTS for text in shard]
    gold_ids = pd.Series([content_id(text) for text in GOLD_TEXTS])
    encoder = Encoder(PACKAGED, max_tokens=16)
    pool = pool_vectors(workspace)
    assert pool.ids.tolist() == [content_id(text) for text in texts]
    np.testing.assert_allclose(pool.gather(np.arange(4)), encoder.encode(texts), atol=1e-3)  # float16 on disk
    np.testing.assert_allclose(gold_vectors(workspace, gold_ids), encoder.encode(GOLD_TEXTS), atol=1e-3)


def test_only_what_is_new_or_changed_is_encoded(workspace: Workspace) -> None:
    embed.run(workspace)
    first = stamps(workspace)

    assert embed.run(workspace) == "every item has its vector"
    assert stamps(workspace) == first

    add_shard(workspace, 2, ["new", "newer"])
    assert embed.run(workspace).startswith("2 texts")
    assert first.items() <= stamps(workspace).items()
    assert len(pool_vectors(workspace)) == 6

    (workspace.vectors / "gold.json").write_text("{")  # cut off
    (workspace.vectors / "shard-0001.npy").unlink()
    assert embed.run(workspace).startswith("3 texts")


def test_another_setting_encodes_everything_anew(workspace: Workspace) -> None:
    embed.run(workspace)
    before = pool_vectors(workspace).gather(np.arange(4))
    changed = configured(workspace.root, max_tokens=8)
    assert embed.run(changed).startswith("6 texts")
    assert embed.run(changed) == "every item has its vector"
    assert not np.array_equal(pool_vectors(changed).gather(np.array([3])), before[3:])  # cut shorter


def test_gold_that_has_leaked_into_the_pool_is_found_at_every_pull(workspace: Workspace) -> None:
    embed.run(workspace)
    assert leaked(workspace).empty
    add_shard(workspace, 2, ["the cup final", "of another kind"])
    assert f"; 1 of 6 items of the pool are {leaks.WORDS}; that is 17%" in embed.run(workspace)
    (row,) = leaked(workspace).to_dict("records")
    assert (row["id"], row["gold"]) == (content_id("the cup final"), content_id(GOLD_TEXTS[1]))
    before = stamps(workspace)
    embed.run(workspace)
    assert stamps(workspace) == before

    drawn = {"id": content_id("Shares rose."), "text": "Shares rose.", "source_id": None, "label": None, "ask": 1}
    drawn |= {"why": "grown", "turn": 1, "propensity": 0.2, "among": 6, "doubt": 0.1}
    trusted.append(workspace, ASKED, ASKED.conform(pd.DataFrame([drawn])))
    embed.run(workspace)
    assert set(leaked(workspace).id) == {content_id("the cup final"), content_id("Shares rose.")}
    ids = pd.Series([content_id(GOLD_TEXTS[1]), content_id("Shares rose.")])
    np.testing.assert_allclose(gold_vectors(workspace, ids)[1], pool_vectors(workspace).gather(np.array([0]))[0])


EMOJI = ["😀🎉😍💖", "😢🥀🌧", "🙄😤🖕👎", "💖😍💖✨"]


def test_texts_that_the_encoder_cannot_read_are_not_nearly_gold_for_that(workspace: Workspace) -> None:
    gold = pd.DataFrame({"id": ["g"], "text": ["😀😀🎉"], "source_id": None, "label": "x"})
    write_parquet(workspace.gold, gold, GOLD)
    add_shard(workspace, 2, EMOJI)
    embed.run(workspace)
    assert len(leaked(workspace)) == len(EMOJI)  # to the encoder they are one and the same

    worded = configured(workspace.root, wording=True)
    said = embed.run(worded)
    assert leaked(worded).empty
    assert "does not know most characters of 50% of the texts" in said  # of 8: the rest of the pool is English
    assert MULTILINGUAL in said
    before = stamps(worded)
    assert embed.run(worded) == said.replace(said.partition(";")[0], "every item has its vector")
    assert stamps(worded) == before


def test_a_threshold_that_is_too_low_for_the_encoder_is_noticed_and_raised(workspace: Workspace) -> None:
    add_shard(workspace, 2, ["THE CUP FINAL.", "the cup final", *(f"of {number} kinds" for number in range(14))])
    said = embed.run(configured(workspace.root, wording=False))
    assert f"2 of 20 items of the pool are {leaks.WORDS}; that is 10%" in said
    found = re.search(
        r"raise gold\.near_duplicate in params\.yaml \(0\.98; half of them are at (0\.\d+) or more\)", said
    )
    assert found, said
    for advised in (float(found[1]), None):
        content = json.loads((workspace.root / "params.yaml").read_text()) | {"gold": {"near_duplicate": advised}}
        (workspace.root / "params.yaml").write_text(json.dumps(content))
        said = embed.run(Workspace(workspace.root))
        assert "raise" not in said and len(leaked(workspace)) == (1 if advised else 0)
    # Where characters must be alike as well, what is found is nearly the same
    said = embed.run(configured(workspace.root, wording=True))
    assert "2 of 20 items of the pool are nearly gold" in said and "raise" not in said


def test_messages_of_one_template_are_not_nearly_gold(workspace: Workspace) -> None:
    said = "The nightly backup of the customer database ended with warnings after"
    messages = [f"{said} {n} minutes" for n in range(20, 26)]
    gold = pd.DataFrame({"id": ["g"], "text": messages[0], "source_id": None, "label": "x"})
    write_parquet(workspace.gold, gold, GOLD)
    reworded = messages[0].replace("The", "This")
    add_shard(workspace, 2, [*messages[1:], reworded])
    embed.run(workspace)
    assert len(leaked(workspace)) > 1
    worded = configured(workspace.root, wording=True)
    assert "1 of 10 items of the pool are nearly gold (gold.near_duplicate)" in embed.run(worded)
    assert leaked(worded).id.tolist() == [content_id(reworded)]


def test_wording_is_kept_of_what_is_there_without_encoding_it_anew(workspace: Workspace) -> None:
    embed.run(workspace)
    before = stamps(workspace)
    assert pool_vectors(workspace).wording is None
    worded = configured(workspace.root, wording=True)
    assert embed.run(worded).startswith("every item has its vector")
    assert {
        name: stamp for name, stamp in stamps(worded).items() if name in before and "leaks" not in name
    }.items() <= (before.items())
    wording = pool_vectors(worded).wording
    assert wording is not None
    assert len(wording) == len(pool_vectors(worded))


def test_a_long_shard_is_encoded_in_pieces(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    embed.run(workspace)
    whole = pool_vectors(workspace).gather(np.arange(4))
    monkeypatch.setattr(embed, "PIECE", 2)
    (workspace.vectors / "shard-0000.json").unlink()
    assert embed.run(workspace).startswith("3 texts")
    np.testing.assert_allclose(pool_vectors(workspace).gather(np.arange(4)), whole, atol=1e-3)


def cut_off(*_given: Any) -> None:
    raise InterruptedError


KILLED = """
import os, sys
from pathlib import Path
from labelwise.tasks import embed
from labelwise.tasks.learners import words
from labelwise.tasks.learners.encoder import Encoder
from labelwise.tasks.workspace import Workspace

embed.PIECE, calls = 2, []
def killing(made):
    def encode(*given, **more):
        calls.append(1)
        if len(calls) == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
        return made(*given, **more)
    return encode
Encoder.encode, words.read = killing(Encoder.encode), killing(words.read)
embed.run(Workspace(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("answer", ["choice", "spans"])
def test_killed_while_encoding_it_goes_on_from_the_piece_it_was_at(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(embed, "PIECE", 2)
    path, long = workspace.root / "params.yaml", [f"Text number {number}." for number in range(7)]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"kind": {"answer": answer}}))
    here = Workspace(workspace.root)
    add_shard(here, 2, long)
    embed.run(here)
    whole = {file.name: file.read_bytes() for file in here.vectors.iterdir()}
    shutil.rmtree(here.vectors)
    done = 3  # gold and the first shard have one and two pieces; the fourth call is the second shard's, the fifth ours

    command = [sys.executable, "-c", KILLED, str(here.root), str(done + 3)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    kept = list((here.scraps / pieces.FOLDER).rglob("*.npz"))
    assert kept and sum(int(file.stem.split("-")[1]) for file in kept) <= len(long)
    assert not (here.vectors / "shard-0002.npy").exists()

    said = embed.run(here)
    assert re.match(r"\d+ texts encoded by .*, [24] of them before the last run was cut off", said), said
    assert {file.name: file.read_bytes() for file in here.vectors.iterdir()} == whole
    assert not list((here.scraps / pieces.FOLDER).iterdir())


def test_pieces_of_other_texts_or_of_another_encoder_are_not_taken(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed.run(workspace)
    whole = (workspace.vectors / "gold.npy").read_bytes()
    monkeypatch.setattr(embed, "_joined", cut_off)
    for changed in ({"max_tokens": 8}, {}):  # the gold set comes first
        with pytest.raises(InterruptedError):
            embed.run(configured(workspace.root, **changed))
    monkeypatch.undo()
    assert ", 2 of them before" in embed.run(configured(workspace.root))
    assert (workspace.vectors / "gold.npy").read_bytes() == whole


def test_a_piece_that_is_broken_is_named_and_made_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "_joined", cut_off)
    with pytest.raises(InterruptedError):
        embed.run(workspace)
    monkeypatch.undo()
    (piece,) = (workspace.scraps / pieces.FOLDER).rglob("*.npz")
    piece.write_bytes(piece.read_bytes()[:50])
    with pytest.raises(WorkspaceError, match=rf"{piece.name} is broken: .*To mend it: `rm (\S+)`") as raised:
        embed.run(workspace)
    found = re.search(r"`(rm .*?)`", str(raised.value))
    assert found
    subprocess.run(found[1].split(), cwd=workspace.root, check=True)
    assert embed.run(workspace).startswith("6 texts encoded by all-MiniLM-L6-v2")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file here stands for a full disk")
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process() -> None:
    with pytest.raises(OSError, match="No space left") as raised:
        embed._joined(Path("/dev/full"), [np.zeros((3, 384), np.float16)], 3)
    assert raised.value.errno == errno.ENOSPC


@pytest.mark.parametrize("part", [np.s_[:, :3], np.s_[1:], np.s_[0]], ids=["dimension", "items", "one"])
def test_vectors_of_another_encoder_or_of_other_items_are_not_taken(workspace: Workspace, part: Any) -> None:
    embed.run(workspace)
    path = vectors_of(workspace, workspace.pool / "shard-0001.parquet")
    there = np.load(path)
    np.save(path, there[part])
    with pytest.raises(WorkspaceError, match="is of other items or of another encoder") as raised:
        pool_vectors(workspace)
    assert f"expected {len(there)} vectors of 384 figures, got an array of {there[part].shape[0]}" in str(raised.value)


def test_a_shard_whose_every_item_was_forgotten_is_encoded_anew_like_any_other(workspace: Workspace) -> None:
    add_shard(workspace, 2, [])
    for settings in ({}, {"max_tokens": 8}):
        changed = configured(workspace.root, **settings)
        assert embed.run(changed).startswith("6 texts encoded")
        pool = pool_vectors(changed)
        assert (len(pool), [len(shard) for shard in pool.shards]) == (4, [3, 1, 0])
        assert pool.gather(np.arange(4)).shape == (4, 384)
    assert leaked(changed).empty


# Vectors


SHARDS = st.lists(st.integers(1, 5), min_size=1, max_size=5).flatmap(
    lambda sizes: st.tuples(*[arrays(np.float16, (size, 3), elements=st.integers(-9, 9)) for size in sizes])
)


@given(shards=SHARDS, data=st.data())
def test_gather_over_several_shards_is_that_of_one_array(shards: tuple[Any, ...], data: st.DataObject) -> None:
    whole = np.concatenate(shards)
    vectors = Vectors(pd.Index([f"i{n}" for n in range(len(whole))]), list(shards))
    rows = np.array(data.draw(st.lists(st.integers(0, len(whole) - 1))), dtype=np.int64)

    found = vectors.gather(rows)

    assert found.dtype == np.float32
    assert np.array_equal(found, whole[rows])
    assert vectors.rows(pd.Series([f"i{row}" for row in rows], dtype="string")).tolist() == rows.tolist()


def test_an_item_that_is_not_in_the_pool_is_named() -> None:
    vectors = Vectors(pd.Index(["a"]), [np.zeros((1, 3), dtype=np.float16)])
    with pytest.raises(WorkspaceError, match="1 labelled item is not in the pool: got stranger"):
        vectors.rows(pd.Series(["a", "stranger"]))


def test_items_of_a_group_that_gold_has_are_found_at_every_pull(workspace: Workspace) -> None:
    """Of the user's own gold and of what was drawn; a shard of before there were groups has none."""
    embed.run(workspace)
    without = stamps(workspace)
    texts = ["a thread begins", "and ends", "another thread", "goes on", "alone"]
    groups = ["A", "A", "B", "B", None]
    ids = [content_id(text) for text in texts]
    rows = pd.DataFrame({"id": ids, "text": texts, "source_id": None, "group": groups})
    write_parquet(workspace.pool / "shard-0002.parquet", rows, POOL)
    assert "pull.columns.group" not in embed.run(workspace)
    assert {name: stamp for name, stamp in stamps(workspace).items() if name in without} == without

    gold = pd.read_parquet(workspace.gold)
    write_parquet(workspace.gold, gold.assign(group=["A", None]), GOLD)
    assert embed.run(workspace).endswith(f"; 2 of 9 items of the pool are {leaks.OF_GROUP}")
    assert set(leaked(workspace).id) == set(ids[:2])
    assert embed.run(workspace).startswith("every item has its vector; 2 of 9")

    drawn = rows.iloc[[2]].assign(label=None, ask=1, why="grown", turn=1, propensity=0.2, among=6, doubt=0.1)
    trusted.append(workspace, ASKED, drawn)
    embed.run(workspace)
    found = leaked(workspace)
    assert set(found.id) == set(ids[:4])
    assert len(leaks.grouped(found)) == 3
    assert pool_vectors(workspace).groups is not None
    assert np.asarray(pool_vectors(workspace).groups).tolist() == [-1] * 4 + [0, 0, 1, 1, -1]


@pytest.mark.parametrize("engine", ["onnx", "int8"])
def test_another_engine_makes_the_vectors_and_says_how_far_off_they_are(workspace: Workspace, engine: str) -> None:
    embed.run(workspace)
    before = pool_vectors(workspace).gather(np.arange(4))
    workspace = configured(workspace.root, engine=engine, wording=True)
    said = embed.run(workspace)
    now = pool_vectors(workspace).gather(np.arange(4))

    cosines = (before * now).sum(axis=1)
    if engine == "onnx":
        assert cosines.min() > 0.9999
        assert "cosine" not in said
    else:
        told = re.search(r"by int8, (0\.\d+) cosine to float32 on average, (0\.\d+) at least, of 2 items", said)
        assert told
        assert 0.9 < float(told[2]) <= float(told[1]) < 0.9999
    assert embed.run(workspace) == "every item has its vector"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": {"item": "text", "answer": "spans"}, "embed": {"engine": "onnx"}}, "onnx is not for spans"),
        ({"embed": {"engine": "int8", "precision": "bfloat16"}}, "bfloat16 is for engine torch, not int8"),
        ({"embed": {"engine": "fast"}}, "engine"),
    ],
)
def test_an_engine_that_cannot_read_the_items_is_refused(workspace: Workspace, settings: Any, said: str) -> None:
    content = json.loads((workspace.root / "params.yaml").read_text()) | settings
    (workspace.root / "params.yaml").write_text(json.dumps(content))
    with pytest.raises(SettingsError, match=said):
        _ = Workspace(workspace.root).settings
