"""The loop dies by `kill -9` at a place, a new run goes on, and the end is that of a run that nobody disturbed."""

import os
import signal
import subprocess
import sys
from typing import Any

import mlflow
import pandas as pd
import pytest

from tasks import promote, push
from tasks.services.addresses import Addresses
from tasks.services.mlflow import Tracking
from tasks.workspace import Workspace
from tests.e2e.conftest import Make, Source, answer, play, rows, tool

SCORE = "tasks.score:write_parquet"
IMPORT = "tasks.services.label_studio:LabelStudioProject.add"
POLL = "tasks.services.label_studio:LabelStudioProject.progress"
FIT = "tasks.learners.ensemble:fit"
LEDGER = "tasks.labels.ledger:append"
SAVE = "tasks.services.dvc:Versions.save"
REGISTER = "tasks.services.mlflow:Tracking._register"
CROWN = "tasks.services.mlflow:Tracking.crown"

# where it dies, and whether the first batch has been answered by then
PLACES = [
    pytest.param("before", SCORE, False, id="scoring"),
    pytest.param("before", IMPORT, False, id="pushing, before the request"),
    pytest.param("after", IMPORT, False, id="pushing, after the request"),
    pytest.param("before", POLL, False, id="waiting"),
    pytest.param("after", LEDGER, True, id="labels written, not committed"),
    pytest.param("after", SAVE, True, id="labels committed, not pushed"),
    pytest.param("before", FIT, True, id="training"),
    pytest.param("after", REGISTER, True, id="registered, not promoted"),
    pytest.param("after", CROWN, True, id="promoted, not committed"),
]


def state(workspace: Workspace, servers: Addresses) -> dict[str, Any]:
    """What all four systems hold, without what differs by nature (times, numbers that servers give)."""
    project = push.open_project(workspace.settings)
    name = promote.experiment(workspace.settings)
    client = mlflow.MlflowClient(servers.mlflow_tracking_uri)
    runs = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    champion = Tracking(name).champion()
    assert champion is not None
    return {
        "ledger": rows(workspace)[["id", "label", "status", "round", "why"]].sort_values("id").to_numpy().tolist(),
        "batch": pd.read_parquet(workspace.batch).to_csv(),
        "metrics": (workspace.metrics / "gold.json").read_text(),
        "curve": (workspace.metrics / "curve.csv").read_text(),
        "tags": tool(workspace.root, "git", "tag"),
        "commits": tool(workspace.root, "git", "log", "--format=%s", "--reverse"),
        "uncommitted": tool(workspace.root, "git", "status", "--porcelain"),
        "dvc": tool(workspace.root, "dvc", "status"),
        "tasks": {number: sorted(project.tasks(number).id) for number in (1, 2)},
        "runs": [(run.data.tags["labelwise.round"], run.info.status, run.data.metrics["accuracy"]) for run in runs],
        "versions": len(client.search_model_versions(f"name = '{name}'")),
        "champion": champion.version,
    }


@pytest.fixture(scope="module")
def undisturbed(
    request: pytest.FixtureRequest, servers: Addresses, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    from tasks import init, settings
    from tasks.settings import Columns
    from tests.e2e.conftest import BATCH, CLASSES

    root = tmp_path_factory.mktemp("undisturbed") / "news"
    init.run(root, str(source.pool), str(source.gold), CLASSES, "news", None, Columns())
    quick = {"select.batch": BATCH, "wait.poll_seconds": [0.2, 1], "train.learner": "ensemble"}
    settings.change(root / "params.yaml", quick)
    workspace = Workspace.open(root)
    play(workspace)
    answer(workspace, source)
    play(workspace)
    return state(workspace, servers)


@pytest.mark.parametrize(("when", "place", "answered"), PLACES)
def test_killed_and_run_again(
    when: str,
    place: str,
    answered: bool,
    make: Make,
    source: Source,
    servers: Addresses,
    undisturbed: dict[str, Any],
) -> None:
    workspace = make()
    if answered:
        play(workspace)
        answer(workspace, source)
    words = ["run", "--workspace", str(workspace.root), "--max-wait", "0"]
    died = subprocess.run(
        [sys.executable, "-m", "tests.e2e.die", when, place, *words], env=os.environ, capture_output=True, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    play(workspace)
    if not answered:
        answer(workspace, source)
        play(workspace)
    assert state(workspace, servers) == undisturbed
