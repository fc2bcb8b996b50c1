"""What is remembered of a large pool comes to the same bits as what is found anew, also when the pool has grown."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import score
from labelwise.tasks.errors import WorkspaceError
from labelwise.tasks.items import known, stored, vectors
from labelwise.tasks.items.vectors import column, fingerprint, pool_items, pool_vectors, vectors_of
from labelwise.tasks.learners import Items, ensemble, propagate
from labelwise.tasks.learners.base import Examples
from labelwise.tasks.learners.propagate import BLOCK, Propagated
from labelwise.tasks.learners.terms import Terms
from labelwise.tasks.records import GOLD, POOL, content_id
from labelwise.tasks.upkeep.purge import purge
from labelwise.tasks.workspace import Workspace, write_parquet

SIZE, NODES, LABELLED, CLASSES = 2 * BLOCK + 500, 300, 40, ["x", "y", "z"]
MADE = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A pool of one shard that counts as large, with vectors by chance."""
    monkeypatch.setattr(known, "LARGE", BLOCK)
    monkeypatch.setattr(vectors, "LARGE", BLOCK)
    monkeypatch.setattr(propagate, "NODES", NODES)
    (tmp_path / "params.yaml").write_text(json.dumps(MADE))
    here = Workspace(tmp_path)
    grow(here, 1, SIZE)
    return here


def grow(here: Workspace, number: int, size: int) -> None:
    """A further shard."""
    texts = [f"text {number} {row}, word{row % 7} word{row % 11}" for row in range(size)]
    rows = pd.DataFrame({"id": [content_id(text) for text in texts], "text": texts, "source_id": None})
    shard = here.pool / f"shard-{number:04d}.parquet"
    write_parquet(shard, rows, POOL)
    made = np.random.default_rng(number).normal(size=(size, 16))
    here.vectors.mkdir(exist_ok=True)
    path = vectors_of(here, shard)
    np.save(path, (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16))
    path.with_suffix(".json").write_text(json.dumps(fingerprint(shard, here.settings.embed)))


def model_of(here: Workspace) -> Propagated:
    items = pool_items(here, pool_vectors(here))
    rows = np.arange(0, SIZE, SIZE // LABELLED)[:LABELLED]
    return propagate.fit(Examples(items.take(rows), rows % 3, CLASSES), items, here.settings)


def remembered(here: Workspace) -> Items:
    return known.remembering(here, pool_vectors(here))


def files(here: Workspace) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (here.scraps / known.FOLDER).iterdir()}


def test_what_is_remembered_comes_to_the_same_bits(workspace: Workspace) -> None:
    model = model_of(workspace)
    cold = model.probabilities(remembered(workspace))
    before = files(workspace)
    np.testing.assert_array_equal(model.probabilities(remembered(workspace)), cold)
    assert files(workspace) == before
    near_at = remembered(workspace).near_at
    assert near_at
    near, _ = near_at(np.arange(9), model.nodes[LABELLED:].astype(np.float32))
    assert (near + 30_000 >= 30_000).all()  # beside so many labelled nodes
    # Another way to the same: one product with all nodes, where nothing is remembered. Those as near may be others.
    plain = model.probabilities(pool_items(workspace, pool_vectors(workspace)))
    assert (np.abs(plain - cold).max(axis=1) < 1e-5).mean() > 0.99


def test_where_the_model_judges_candidates_nothing_is_remembered_of_the_others(workspace: Workspace) -> None:
    items, rows = pool_items(workspace, pool_vectors(workspace)), np.arange(0, SIZE, SIZE // LABELLED)[:LABELLED]
    workspace.model.mkdir()
    ensemble.fit(Examples(items.take(rows), rows % 3, CLASSES), items, workspace.settings).save(workspace.model)
    path = workspace.root / "params.yaml"
    path.write_text(json.dumps(MADE | {"score": {"candidates": 200}}))
    here = Workspace(workspace.root)
    assert f"{SIZE:,} items, 200 of them candidates" in score.run(here)
    kept = pd.read_parquet(here.scores)
    assert kept.candidate.sum() == 200 and kept.prediction.notna().all() and kept.shape == (SIZE, 6 + 1 + len(CLASSES))
    assert not (here.scraps / known.FOLDER).exists()
    before = here.scores.read_bytes()
    score.run(here)
    assert here.scores.read_bytes() == before


def test_a_pool_that_grew_comes_to_what_it_would_anew(workspace: Workspace) -> None:
    model_of(workspace).probabilities(remembered(workspace))
    kept = np.load(workspace.scraps / known.FOLDER / "near.npy")
    grow(workspace, 2, 700)
    model = model_of(workspace)
    now = model.probabilities(remembered(workspace))
    assert np.array_equal(np.load(workspace.scraps / known.FOLDER / "near.npy")[: 2 * BLOCK], kept[: 2 * BLOCK])
    for file in (workspace.scraps / known.FOLDER).iterdir():
        file.unlink()
    np.testing.assert_array_equal(model.probabilities(remembered(workspace)), now)


def test_few_new_items_leave_the_nodes_as_they_are(workspace: Workspace) -> None:
    before = model_of(workspace).nodes
    grow(workspace, 2, SIZE // 10)
    np.testing.assert_array_equal(model_of(workspace).nodes, before)
    grow(workspace, 3, SIZE)
    assert not np.array_equal(model_of(workspace).nodes, before)


def test_words_are_those_of_the_texts_in_any_order(workspace: Workspace) -> None:
    grow(workspace, 2, 300)
    texts = [text for shard in stored.shards(workspace) for text in column(shard, "text").to_pylist()]
    items = remembered(workspace)
    for rows in (np.arange(SIZE - 3, SIZE + 4), np.array([SIZE + 5, 3, SIZE + 1, 2, 2]), np.arange(0)):
        found, expected = items.take(rows).terms(), Terms.of([texts[row] for row in rows])
        for name in known.WORDS:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize(
    "name", ["near.npy", "similar.npy", "shard-0001.counts.npy", "shard-0001.ends.json", "near.json"]
)
def test_a_broken_file_is_named_and_found_again_once_it_is_removed(workspace: Workspace, name: str) -> None:
    model = model_of(workspace)

    def judged() -> list[bytes]:
        items = remembered(workspace)
        return [model.probabilities(items).tobytes(), items.terms().counts.tobytes()]

    whole, broken = judged(), workspace.scraps / known.FOLDER / name
    broken.write_bytes(broken.read_bytes()[:40])
    try:
        assert judged() == whole  # what a file follows from is written anew where it cannot be read
    except WorkspaceError as error:
        assert name in str(error)
        found = re.search(r"`(rm .*?)`", str(error))
        assert found
        subprocess.run(found[1].split(), cwd=workspace.root, check=True)
        assert judged() == whole


def test_what_is_forgotten_is_not_remembered(workspace: Workspace) -> None:
    write_parquet(workspace.gold, GOLD.frame(), GOLD)
    remembered(workspace).take(np.arange(3)).terms()
    assert files(workspace)
    purge(workspace, [content_id("text 1 0, word0 word0")], [])
    assert not (workspace.scraps / known.FOLDER).exists()
