"""A workspace that version 0.1 made, with its runs in MLflow: three rounds of one class a text."""

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest
import torch

import labelwise
from labelwise.flows.replay import replay
from labelwise.tasks.answering import bundle, predict
from labelwise.tasks.errors import InputError
from labelwise.tasks.past.replay import DIFFERS
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.upkeep import upgrade
from labelwise.tasks.workspace import Workspace, read_parquet, write_csv

ARCHIVE = Path(__file__).parent / "recorded" / "choice.tar.xz"
STAGES = ["embed", "train", "evaluate", "score", "select", "prove"]
USERS = ("tasks.py", "flows.py", "infra.py")  # names that users give modules of their own


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace; beside it its DVC remote, and MLflow's folder."""
    folder = tmp_path_factory.mktemp("recorded")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "tickets"


@pytest.fixture(scope="module")
def mlflow(recorded: Path) -> Iterator[str]:
    """MLflow's address, on what was recorded."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["uvicorn", "--factory", "labelwise.tasks.services.guard:mlflow", "--log-level", "warning"]
    where = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", *words, "--port", str(port)],
        cwd=recorded.with_name("mlflow"),
        env=os.environ | where,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"{address}/health").raise_for_status()
                break
            except httpx.HTTPError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", address)
            yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A folder with a user's modules that end whoever imports them."""
    for name in USERS:
        (tmp_path / name).write_text("raise SystemExit('taken')\n")
    return tmp_path


@pytest.mark.parametrize("name", ["round-0001", "round-0002", "round-0003"])
@pytest.mark.usefixtures("mlflow")
def test_a_round_comes_out_as_it_was(recorded: Path, name: str) -> None:
    """The same bits where the processor is the same, and the libraries are; nothing differs anywhere. On processors
    with AVX2 alone `propagate` was seen to take the other of two neighbours that are as near: there its graph, and the
    figures that come of it, may differ; everything else must not, the batch neither (docs/guarantees.md)."""
    seen = replay(recorded, name, "", False, print)
    differ = {part.part: part.said for part in seen.parts if part.verdict == DIFFERS}
    if torch.backends.cpu.get_cpu_capability() == "AVX2":
        differ.pop("metrics", None)
        if differ.get("model", "").endswith("in propagate/graph.safetensors"):
            del differ["model"]
    assert differ == {}
    assert {"pool", "gold", "ledger", "model", "metrics", "batch"} <= {part.part for part in seen.parts}


@pytest.mark.usefixtures("mlflow")
def test_its_registered_model_takes_texts(recorded: Path, users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own loader cannot: the model names a module that is called otherwise now."""
    monkeypatch.syspath_prepend(users)
    texts = read_parquet(recorded / "data" / "gold" / "gold.parquet").text.tolist()[:8]
    tracking = open_tracking(Workspace.open(recorded).settings)
    by_alias = labelwise.load(f"models:/{tracking.name}@champion").predict(texts)
    assert by_alias.label.isin(["access", "billing", "bug"]).all()
    newest = labelwise.load(f"models:/{tracking.name}/{tracking.registered()[-1].version}").predict(texts)
    assert newest.equals(labelwise.load(recorded).predict(texts))
    # The same on the command line, by the registered files, and by those of its round where MLflow does not answer.
    here, table, told = Workspace.open(recorded), users / "texts.csv", list[str]()
    write_csv(table, pd.DataFrame({"text": texts}))
    said, may = predict.run(here, str(table), users / "out.jsonl", tell=told.append)
    assert "of them are `answered`: " in may
    assert not told and said.startswith(f"{users / 'out.jsonl'}: {len(texts)} labels by version 3 (round-0002)")
    found = pd.read_json(users / "out.jsonl", lines=True)
    assert found.label.tolist() == by_alias.label.tolist()
    assert found.confidence.to_numpy() == pytest.approx(by_alias.confidence.to_numpy(), abs=1e-5)
    # As a folder of its own, where the encoder lies beside it.
    assert bundle.run(here, users / "bundle", "", tell=told.append).startswith(f"{users / 'bundle'}: version 3, ")
    assert labelwise.load(users / "bundle").predict(texts).label.tolist() == by_alias.label.tolist()
    with pytest.raises(InputError, match="expected one of"):
        bundle.run(here, users / "bundle", "99", tell=told.append)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    predict.run(here, str(table), users / "again.jsonl", tell=told.append)
    assert told[0].startswith("MLflow does not answer: version 3 is taken")
    assert (users / "again.jsonl").read_text() == (users / "out.jsonl").read_text()


def test_its_stages_are_called_by_their_present_names_and_none_runs_again_for_that(recorded: Path, users: Path) -> None:
    here = Workspace.open(shutil.copytree(recorded, recorded.with_name("upgraded"), symlinks=True))
    versions = Versions(here.root)
    path = here.root / "dvc.yaml"
    mine = "  mine: # of mine\n    cmd: python -m tasks.embed --mine\n    deps: [ data/pool ]\n"
    before = path.read_text().replace("  train:\n", f"{mine}  train:\n")
    path.write_text(before)
    versions.save("a stage of mine")
    with versions.inside() as dvc:
        dvc.fetch()
    then = versions.head

    said = upgrade.run(here, versions)
    assert "in a commit of its own" in said
    assert "Your own lines with tasks.embed were left" in said
    after = path.read_text()
    assert mine in after
    assert [line for line in after.splitlines() if line not in before.splitlines()] == [
        f"    cmd: python -P -m labelwise.tasks.{name}" for name in STAGES
    ]
    assert versions.git("diff", "--name-only", then, "HEAD").split() == ["dvc.lock", "dvc.yaml"]
    assert versions.git("rev-list", "--count", f"{then}..HEAD") == "1"
    assert versions.changes() == []
    assert [name for name in STAGES if versions.changed(name)] == []
    assert upgrade.run(here, versions) == ""
    assert versions.git("rev-list", "--count", f"{then}..HEAD") == "1"

    # one that was killed between the files and the commit
    versions.git("reset", "--quiet", "--soft", "HEAD~1")
    assert upgrade.run(here, versions) == said
    assert versions.changes() == []

    for name in (*USERS, "labelwise.py", "pandas.py"):
        (here.root / name).write_text("raise SystemExit('taken')\n")
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["dvc", "repro", "--force", "--single-item", "evaluate"],
        cwd=here.root,
        env=os.environ | {"PATH": places, "PYTHONPATH": str(users)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accuracy" in done.stdout
