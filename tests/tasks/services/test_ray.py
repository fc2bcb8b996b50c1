"""`engine: ray` on a real cluster of several nodes on this machine: the same as here, whatever dies."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ray
from ray.cluster_utils import Cluster

from labelwise.tasks import embed
from labelwise.tasks.errors import InputError
from labelwise.tasks.items import known
from labelwise.tasks.items.vectors import pool_vectors
from labelwise.tasks.services.ray import each
from labelwise.tasks.settings import parse
from labelwise.tasks.trial.rehearsal import Rows
from labelwise.tasks.workspace import Workspace
from tests.bench import finish
from tests.tasks.test_embed import add_shard, configured


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that does no work and two nodes of a core each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")]))
        patch.setenv("PYTHONPATH", path)  # its workers import these functions
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            made.add_node(num_cpus=1)
        made.wait_for_nodes()
        patch.setenv("RAY_ADDRESS", made.address)
        ray.init(made.address, log_to_driver=False)  # once for all
        yield made
        ray.shutdown()
        made.shutdown()


def doubled(part: int) -> int:
    return 2 * part


def refused(part: int) -> int:
    raise InputError(f"part {part} is bad", fix="leave it out")


def dies_once(note: str, part: int) -> int:
    """A worker that is killed at its first part, wherever that is."""
    path = Path(note)
    if part == 2 and not path.exists():
        path.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * part


def test_parts_come_back_with_their_keys(cluster: Cluster) -> None:
    parts = [(f"part {n}", n) for n in range(20)]
    here, there = dict(each("local", doubled, parts)), dict(each("ray", doubled, parts))
    assert here == there == {f"part {n}": 2 * n for n in range(20)}


def test_a_worker_that_is_killed_costs_its_part(cluster: Cluster, tmp_path: Path) -> None:
    found = dict(each("ray", partial(dies_once, str(tmp_path / "pid")), [(n, n) for n in range(6)]))
    assert (tmp_path / "pid").exists()
    assert found == {n: 2 * n for n in range(6)}


def test_our_own_errors_are_raised_here(cluster: Cluster) -> None:
    with pytest.raises(InputError, match=r"part 0 is bad. To mend it: leave it out"):
        list(each("ray", refused, [(0, 0)]))


def test_no_cluster_is_a_line() -> None:
    nobody = {"RAY_ADDRESS": "127.0.0.1:9", "PYTHONPATH": str(Path(__file__).parents[3])}
    program = """
from labelwise.tasks.errors import LabelwiseError
from labelwise.tasks.services.ray import each
try:
    list(each("ray", len, [(0, [])]))
except LabelwiseError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | nobody, capture_output=True, text=True)
    assert re.search(
        r"^ServiceDown no Ray cluster answers at 127\.0\.0\.1:9: .*set engine: local$", done.stdout, re.M
    ), done


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(embed, "PIECE", 8)
    made = configured(tmp_path)
    for number in range(2):
        add_shard(made, number, [f"shard {number}, ticket {n}: the order is late" for n in range(20)])
    gold = made.pool / "shard-0000.parquet"
    made.gold.parent.mkdir(parents=True, exist_ok=True)
    made.gold.write_bytes(gold.read_bytes())
    return made


def settled(workspace: Workspace, engine: str) -> Workspace:
    """The workspace with another engine."""
    content = json.loads((workspace.root / "params.yaml").read_text()) | {"engine": engine}
    (workspace.root / "params.yaml").write_text(json.dumps(content))
    return Workspace(workspace.root)


def test_vectors_are_those_of_one_machine(cluster: Cluster, workspace: Workspace) -> None:
    embed._encode(workspace, [*workspace.pool.glob("*.parquet")], [])
    here = {file.name: file.read_bytes() for file in workspace.vectors.glob("*.npy")}
    for file in workspace.vectors.iterdir():
        file.unlink()
    workspace = settled(workspace, "ray")
    embed._encode(workspace, [*workspace.pool.glob("*.parquet")], [])
    assert {file.name: file.read_bytes() for file in workspace.vectors.glob("*.npy")} == here
    assert not (workspace.scraps / "pieces").exists() or not list((workspace.scraps / "pieces").glob("*/*"))


def test_what_is_remembered_is_found_on_the_cluster(
    cluster: Cluster, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "LARGE", 10)
    monkeypatch.setattr(known, "PIECE", 8)
    monkeypatch.setattr(known, "BLOCK", 16)
    embed._encode(workspace, [*workspace.pool.glob("*.parquet")], [])
    rows, nodes = np.arange(40), pool_vectors(workspace).gather(np.arange(0, 40, 5))
    found = []
    for engine in ("local", "ray"):
        workspace = settled(workspace, engine)
        items = known.remembering(workspace, pool_vectors(workspace))
        assert items.terms_at is not None and items.near_at is not None
        near, terms = items.near_at(rows, nodes), items.terms_at(rows)
        found.append([*near, terms.buckets, terms.counts, terms.ends])
        for file in (workspace.scraps / known.FOLDER).iterdir():
            file.unlink()
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


PROGRAM = """
import os, signal, sys
import psutil
from pathlib import Path
from labelwise.tasks import embed
from labelwise.tasks.errors import LabelwiseError
from labelwise.tasks.workspace import Workspace
embed.PIECE = 2
keep = embed.Pieces.keep
def kept(self, *more):
    keep(self, *more)
    if self.rows == 4:
        own = psutil.Process()
        for process in [own] if sys.argv[2] == "stage" else own.children(recursive=True):
            process.kill()
embed.Pieces.keep = kept
workspace = Workspace(Path(sys.argv[1]))
try:
    embed._encode(workspace, [*workspace.pool.glob("*.parquet")], [])
except LabelwiseError as error:
    print(type(error).__name__, error)
"""  # when two pieces are kept, it kills itself, or the cluster that it has started


def test_a_cluster_that_goes_away_loses_nothing(workspace: Workspace) -> None:
    """A line, and the next run goes on from what was kept, without a cluster."""
    settled(workspace, engine="ray")
    words = [sys.executable, "-c", PROGRAM, str(workspace.root), "cluster"]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}  # one of its own
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=150)
    assert re.search(r"^ServiceDown the Ray cluster went away: .* set engine: local$", done.stdout, re.M), done
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "PIECE", 2)
        assert embed._encode(settled(workspace, engine="local"), [*workspace.pool.glob("*.parquet")], []) >= 4


def test_a_stage_that_is_killed_in_its_job_goes_on_from_what_was_kept(cluster: Cluster, workspace: Workspace) -> None:
    tables = [*workspace.pool.glob("*.parquet")]
    embed._encode(workspace, tables, [])
    here = {file.name: file.read_bytes() for file in workspace.vectors.glob("*.npy")}
    for file in workspace.vectors.iterdir():
        file.unlink()
    workspace = settled(workspace, engine="ray")
    words = [sys.executable, "-c", PROGRAM, str(workspace.root), "stage"]
    assert subprocess.run(words, capture_output=True, check=False, timeout=150).returncode == -signal.SIGKILL
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "PIECE", 2)
        assert embed._encode(workspace, tables, []) >= 4
    assert {file.name: file.read_bytes() for file in workspace.vectors.glob("*.npy")} == here


def test_simulated_loops_of_a_bench_are_those_of_one_machine(cluster: Cluster) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=360)
    drawn = rng.normal(size=(360, 64))
    drawn[:, 0] += 4 * labels
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)
    made = pd.DataFrame({"id": [f"{at:016x}" for at in range(360)], "label": np.array(["ham", "spam"])[labels]})
    made["text"] = "text " + made.id
    pool, gold = Rows(made[:300], vectors[:300]), Rows(made[300:].reset_index(drop=True), vectors[300:])
    sections = {
        "project": {"name": "n", "id": "i"},
        "pull": {"pool": "", "gold": ""},
        "select": {"near_duplicate": None},
    }
    settings = parse({**sections, "classes": ["ham", "spam"]})
    do = partial(finish.one_run, finish.Case("spamassassin", "auto", 0.1, 0.0), (pool, gold, settings))
    here, there = (dict(each(engine, do, [("first", 0), ("second", 1)])) for engine in ("local", "ray"))
    for name, looks in here.items():
        for look, other in zip(looks, there[name], strict=True):
            for field, value in vars(look).items():
                np.testing.assert_array_equal(value, getattr(other, field))
