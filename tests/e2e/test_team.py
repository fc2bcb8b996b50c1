"""A team: PostgreSQL under the servers, models and versions in S3, several reviewers at once. `make test-team`."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import boto3
import pandas as pd
import psycopg2
import pytest

from labelwise.tasks.kinds import choice
from labelwise.tasks.labels import ledger
from labelwise.tasks.reporting import reviewers
from labelwise.tasks.services.home import home
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.label_studio.project import open_project
from labelwise.tasks.services.local import stores
from labelwise.tasks.services.local.servers import ps
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import BATCH, CLASSES, Make, Source, answer, command, rows, tool
from tests.e2e.test_outside import one_line
from tests.team import BUCKET, Cluster
from tests.waiting import until

pytestmark = pytest.mark.team


def run(workspace: Workspace, *more: str) -> subprocess.CompletedProcess[str]:
    return command("run", "--workspace", str(workspace.root), "--max-wait", "0", *more)


def test_a_round_lives_in_postgresql_and_s3(
    make: Make, source: Source, database: Cluster, store: str, tmp_path: Path
) -> None:
    workspace = make()
    assert run(workspace).returncode == 0
    answer(workspace, source)
    done = run(workspace)
    assert done.returncode == 0, done.stderr

    # each of the three has its tables there, and no file beside
    found = stores.kept(home()).postgresql(home())
    assert found is not None and found.port == database.port
    counted = {"label_studio": "task", "mlflow": "runs", "prefect": "flow_run"}
    for name, table in counted.items():
        with found.connected(found.name(name)) as opened, opened.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone()[0] > 0  # type: ignore[index]
    assert not list(home().glob("*/*.db")) and not list(home().glob("*/*.sqlite3"))
    # its address, which has a password, is nowhere but in the file of its owner
    assert (home() / stores.FILE).stat().st_mode & 0o077 == 0
    for log in (home() / "logs").glob("*.log"):
        assert "p%40ss" not in log.read_text() and "p@ss" not in log.read_text(), log

    # models and versions are in the bucket, and from there they come back
    keys = [entry["Key"] for entry in boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert any(key.startswith("mlflow/") and key.endswith(".safetensors") for key in keys)
    assert any(key.startswith("dvc/") for key in keys)
    replayed = command("replay", "1", "--workspace", str(workspace.root))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    clone = tmp_path / "clone"
    tool(tmp_path, "git", "clone", "-q", str(workspace.root), str(clone))
    tool(clone, "dvc", "pull", "-q")
    assert ledger.read(clone / "data" / "labels").equals(rows(workspace))


def test_ten_reviewers_at_once(make: Make, source: Source) -> None:
    workspace = make(select__batch=60)
    assert run(workspace).returncode == 0
    tasks = open_project(workspace.settings).tasks(1)
    people = [Reviewer(number + 1) for number in range(10)]
    share = [tasks.task_id[number::10].tolist() for number in range(10)]

    def label(number: int) -> int:
        given = (people[number].answer(task, choice.result(CLASSES[number % 3]), 1.0) for task in share[number])
        return sum(given)

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(label, range(10))) == 60
    done = run(workspace)
    assert done.returncode == 0, done.stderr
    given = rows(workspace)
    assert sorted(given.id) == sorted(tasks.id) and not given.id.duplicated().any()
    said = dict(zip(given.id, given.label, strict=True))
    for number in range(10):
        assert {said[item] for item in tasks.id[number::10]} == {CLASSES[number % 3]}
    assert given.annotator.nunique() == 10


def test_postgresql_is_restarted_under_a_round(make: Make, source: Source, database: Cluster, tmp_path: Path) -> None:
    """The loop that waits for answers goes on when it is back; one that begins meanwhile says what is missing."""
    workspace, other = make(), make("other")
    assert run(workspace).returncode == 0
    page, said = reviewers.place(workspace), tmp_path / "said"
    before = page.stat().st_mtime_ns
    words = ["run", "--workspace", str(workspace.root), "--rounds", "1", "--max-wait", "300"]
    with said.open("w") as file:
        program = [sys.executable, "-m", "labelwise.flows.cli", *words]
        waiting = subprocess.Popen(program, stdout=file, stderr=file, env=os.environ)
    until(lambda: page.stat().st_mtime_ns != before or waiting.poll() is not None, 120)  # it has looked once
    database.stop()
    try:
        assert re.search(r"(Label Studio|MLflow|Prefect)", one_line(run(other)))
        assert waiting.poll() is None, said.read_text()  # it is patient
    finally:
        database.start()
    answer(workspace, source)
    assert waiting.wait(300) == 0, said.read_text()
    assert len(rows(workspace)) == BATCH
    assert all(server.state == "running" for server in ps())
    assert tool(workspace.root, "git", "status", "--porcelain") == ""
    assert run(other).returncode == 0


def test_no_connection_is_left(make: Make, database: Cluster) -> None:
    workspace = make()
    with ExitStack() as kept:
        try:
            while True:
                opened = psycopg2.connect(f"{database.address}/postgres")
                kept.callback(opened.close)
        except psycopg2.OperationalError as error:
            assert "too many" in str(error) or "reserved" in str(error)
        said = one_line(run(workspace))
        assert re.search(r"(Label Studio|MLflow|Prefect)", said), said
    done = run(workspace)
    assert done.returncode == 0, done.stderr
    assert pd.read_parquet(workspace.batch).id.nunique() == BATCH
