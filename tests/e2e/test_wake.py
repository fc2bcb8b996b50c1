"""The real Label Studio wakes the real loop: two answers at once are one round, and a webhook removed comes back."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from labelwise.tasks import kinds
from labelwise.tasks.kinds.choice import result as choice
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.label_studio.project import open_project
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import Make, play, rows, tool
from tests.waiting import until

NEVER = "0 0 1 1 *"  # the schedule has no part in this


@contextmanager
def serving(workspace: Workspace, *words: str) -> Iterator[Path]:
    """`labelwise serve`, called in a folder that a stranger has filled; gives the file of what it says."""
    here, said = workspace.root.parent / "here", workspace.root.parent / "said"
    here.mkdir()
    (here / "sklearn.py").write_text(f"open({str(here / 'owned')!r}, 'w')\n")
    (here / ".env").write_text("PREFECT_LOGGING_CONFIG_PATH=evil.yml\nPREFECT_API_URL=http://127.0.0.1:9/api\n")
    command = [str(Path(sys.executable).parent / "labelwise"), "serve", "--workspace", str(workspace.root), *words]
    with said.open("w") as file, subprocess.Popen(command, cwd=here, stdout=file, stderr=file) as process:
        try:
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, said.read_text()
            assert not re.search("Traceback|never awaited", said.read_text()), said.read_text()
            assert not (here / "owned").exists()


def woken(workspace: Workspace, servers: Addresses) -> int:
    """How many runs of this workspace were begun by a wake-up, so Prefect says."""
    wanted = {"flow_runs": {"tags": {"all_": ["woken"]}}, "sort": "START_TIME_DESC"}
    runs = httpx.post(f"{servers.prefect_api_url}/flow_runs/filter", json=wanted).raise_for_status().json()
    return sum(run["parameters"]["workspace"] == str(workspace.root) for run in runs)


@pytest.mark.long
def test_label_studio_wakes_the_loop(make: Make, servers: Addresses) -> None:
    workspace = make(select__batch=2, select__control=0.5)
    reviewers = [Reviewer(1), Reviewer(2)]

    def hooks() -> list[Any]:
        project = open_project(workspace.settings)
        return list(project.client.webhooks.list(project=str(project.number))) if project.found else []

    def answer_both(number: int) -> None:
        tasks = open_project(workspace.settings).tasks(number).task_id.tolist()
        with ThreadPoolExecutor(2) as pool:  # both within some milliseconds
            list(pool.map(lambda who, task: who.answer(task, choice("sport"), 1.0), reviewers, tasks))

    play(workspace)
    with serving(workspace, "--cron", NEVER) as said:
        until(lambda: bool(hooks()), 120)
        (hook,) = hooks()
        answer_both(1)
        until(lambda: tool(workspace.root, "git", "tag").split() == ["round-0000", "round-0001"], 120)
    assert hooks() == []  # nobody listens there any longer
    assert rows(workspace).status.tolist() == ["labelled", "labelled"]
    assert len(pd.read_parquet(workspace.batch)) == open_project(workspace.settings).count(2) == 2
    assert woken(workspace, servers) == 1
    secret = hook.headers["X-Labelwise-Secret"]
    assert len(secret) > 30 and secret not in said.read_text()
    assert not [path for path in workspace.root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_the_registration_is_kept(make: Make) -> None:
    from labelwise.flows.serve import Registration

    workspace, said, new = make(), list[str](), list[int]()
    project = open_project(workspace.settings)

    def renew(port: int) -> list[Any]:
        url = f"http://127.0.0.1:{port}/labelwise/abc"
        Registration(workspace.root, url, "a-secret-of-16-or-more", lambda: new.append(port), said.append).renew()
        return list(project.client.webhooks.list(project=str(project.number))) if new else []

    assert renew(1001) == []  # no project yet
    project.create(kinds.interface_of(workspace.settings))
    (made,) = renew(1001)
    assert (made.url, made.send_payload) == ("http://127.0.0.1:1001/labelwise/abc", False)
    (same,) = renew(1001)
    assert (same, new) == (made, [1001])
    (moved,) = renew(1002)  # the next `serve` has another port
    assert (moved.id, moved.url) == (made.id, "http://127.0.0.1:1002/labelwise/abc")
    other = project.client.webhooks.create(project=project.number, url="http://127.0.0.1:1/somebody-elses")
    project.client.webhooks.create(project=project.number, url="http://127.0.0.1:1/labelwise/abc")
    assert {hook.id for hook in renew(1002)} == {moved.id, other.id}  # a second one of ours is removed, no other
    for change in ({"is_active": False}, {"headers": {}}, {"actions": []}):
        project.client.webhooks.update(moved.id, **change)
        (mended,) = [hook for hook in renew(1002) if hook.id == moved.id]
        assert mended.is_active and mended.headers and len(mended.actions) == 4
    project.client.webhooks.delete(moved.id)
    assert len(renew(1002)) == 2
    assert said == []


def test_a_label_studio_that_cannot_call_is_said_once(make: Make) -> None:
    from labelwise.flows.serve import Registration

    workspace, said = make(), list[str]()
    open_project(workspace.settings).create(kinds.interface_of(workspace.settings))
    kept = Registration(workspace.root, "http://169.254.169.254/labelwise/abc", "secret", lambda: None, said.append)
    kept.renew()
    kept.renew()  # an address that local servers do not call, as no Label Studio calls loopback of itself
    (line,) = said
    assert line.endswith("until then the schedule alone wakes the loop")
