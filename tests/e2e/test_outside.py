"""What the loop says and does when a server is down, refuses or is somebody else's; and the schedule."""

import json
import os
import re
import signal
import subprocess
import sys

import httpx
import pytest

from labelwise.tasks.errors import ServiceError
from labelwise.tasks.reporting import status
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.label_studio.project import open_project
from tests.e2e.conftest import BATCH, Make, Source, command, play, play_rounds, tool
from tests.waiting import until

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The single line that a failed command says; no traceback, no second line."""
    said = [line for line in done.stderr.splitlines() if line and not line.startswith("round ")]
    assert done.returncode not in (0, 1), done
    assert len(said) == 1 and said[0].startswith("labelwise: "), done.stderr
    return said[0]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"LABEL_STUDIO_URL": NOBODY}, "Label Studio does not answer at"),
        ({"LABEL_STUDIO_API_KEY": "0" * 40}, "refuses our token"),
        ({"MLFLOW_TRACKING_URI": NOBODY}, "MLflow does not answer at"),
        ({"PREFECT_API_URL": f"{NOBODY}/api"}, "Prefect does not answer at"),
    ],
)
def test_a_server_that_is_down_or_refuses(make: Make, changed: dict[str, str], expected: str) -> None:
    workspace = make()
    done = command("run", "--workspace", str(workspace.root), "--max-wait", "0", **changed)
    assert expected in one_line(done)
    assert tool(workspace.root, "git", "status", "--porcelain") in ("", "M params.yaml", " M params.yaml")
    assert not workspace.batch.exists()


def test_status_goes_without_servers(make: Make) -> None:
    workspace = make()
    environment = {"LABEL_STUDIO_URL": NOBODY, "MLFLOW_TRACKING_URI": NOBODY}
    done = command("status", "--workspace", str(workspace.root), "--json", **environment)
    assert done.returncode == 0
    assert '"state": "new"' in done.stdout


@pytest.mark.long
def test_a_personal_access_token_will_do(
    make: Make, servers: Addresses, monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    """Hosted Label Studio gives these, not the old kind."""
    made = httpx.post(
        f"{servers.label_studio_url}/api/token/",
        headers={"Authorization": f"Token {servers.label_studio_api_key}"},
    )
    assert made.is_success, made.text
    workspace = make()
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", made.json()["token"])
    assert command("run", "--workspace", str(workspace.root), "--max-wait", "0").returncode == 0
    assert open_project(workspace.settings).count(1) == BATCH


def test_a_token_that_was_made_anew_on_a_server_of_ones_own(
    make: Make, servers: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, person = make(), Reviewer(9)
    monkeypatch.setenv("LABEL_STUDIO_URL", servers.label_studio_url.replace("127.0.0.1", "localhost"))  # not `up`'s
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", person.browser.get("/api/current-user/token").json()["token"])
    assert open_project(workspace.settings).found is None  # it is let in
    new = person._post("/api/current-user/reset-token").raise_for_status().json()["token"]

    mend = "set LABEL_STUDIO_API_KEY to the new token, from Account & Settings there"
    with pytest.raises(ServiceError, match=rf"refuses our token \(401\)\. To mend it: {mend}$"):
        play(workspace)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", new)
    assert open_project(workspace.settings).found is None


def test_no_secret_is_kept_in_the_workspace_or_in_mlflow(make: Make, source: Source, servers: Addresses) -> None:
    workspace = make()
    play_rounds(workspace, source, 1)
    secret = servers.label_studio_api_key.encode()
    kept = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if secret in path.read_bytes()]
    runs = httpx.post(
        f"{servers.mlflow_tracking_uri}/api/2.0/mlflow/runs/search", json={"experiment_ids": ["1", "2", "3"]}
    ).content
    assert secret not in runs


def test_strangers_names_and_pages_are_refused(servers: Addresses) -> None:
    """A page that somebody has open while the servers run, and one that gives its own name to this machine."""
    prefect = servers.prefect_api_url.removesuffix("/api")
    places = {
        servers.label_studio_url: ("/user/login/", "/api/projects/"),
        servers.mlflow_tracking_uri: ("/", "/api/2.0/mlflow/experiments/create"),
        prefect: ("/", "/api/deployments/filter"),
    }
    for url, (page, changing) in places.items():
        port = url.rpartition(":")[2]
        assert httpx.get(url + page).is_success
        for name in ("evil.example", "127.0.0.1.evil.example", "10.evil.example"):
            assert httpx.get(url + page, headers={"Host": f"{name}:{port}"}).status_code in (400, 403), (url, name)
        strange = {"Origin": f"http://evil.example:{port}"}
        assert httpx.post(url + changing, json={"name": "theirs"}, headers=strange).status_code in (401, 403)
        neighbour = {"Origin": "http://127.0.0.1:9"}  # a page of another server of this machine
        assert httpx.post(url + changing, json={"name": "theirs"}, headers=neighbour).status_code in (401, 403)
        for answer in (httpx.get(url + page, headers=strange), httpx.options(url + changing, headers=strange)):
            assert "access-control-allow-origin" not in answer.headers, url
    with httpx.Client(base_url=servers.label_studio_url) as stranger:
        stranger.get("/user/signup/")
        form = {"email": "stranger@evil.example", "password": "long-enough-1", "allow_newsletters": "false"}
        form["csrfmiddlewaretoken"] = stranger.cookies["csrftoken"]
        assert stranger.post("/user/signup/", data=form).status_code == 403


@pytest.mark.long
def test_the_schedule_runs_the_loop(make: Make) -> None:
    workspace = make()
    words = [
        sys.executable,
        "-m",
        "labelwise.flows.cli",
        "serve",
        "--workspace",
        str(workspace.root),
        "--cron",
        "* * * * *",
    ]
    serving = subprocess.Popen(words, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until(lambda: status.status(workspace).asked == BATCH, 180)
    finally:
        serving.send_signal(signal.SIGINT)
        said, _ = serving.communicate(timeout=60)
    assert re.search("Traceback", said) is None, said


@pytest.mark.long
def test_two_loops_at_once_do_no_harm(make: Make) -> None:
    workspace = make()
    words = [sys.executable, "-m", "labelwise.flows.cli", "run", "--workspace", str(workspace.root), "--max-wait", "0"]
    both = [subprocess.Popen(words, env=os.environ, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert {process.returncode for process in both} <= {0, 4}, said  # 4: busy
    assert 0 in {process.returncode for process in both}
    assert open_project(workspace.settings).count(1) == BATCH
    assert tool(workspace.root, "git", "tag").split() == ["round-0000"]


def test_a_bad_schedule_is_one_line(make: Make) -> None:
    done = command("serve", "--workspace", str(make().root), "--cron", "every day")
    assert "--cron" in one_line(done)


def test_a_run_whose_process_was_killed_is_not_shown_as_running_for_ever(make: Make, servers: Addresses) -> None:
    workspace = make(select__batch=3)
    note = workspace.scraps / "loop.json"
    with subprocess.Popen(
        [sys.executable, "-m", "labelwise.flows.cli", "run", "--workspace", str(workspace.root)]
    ) as process:
        until(lambda: note.exists() and bool(json.loads(note.read_text()).get("run")), 120)
        process.kill()
    run = json.loads(note.read_text())["run"]

    def state() -> str:
        return str(httpx.get(f"{servers.prefect_api_url}/flow_runs/{run}").raise_for_status().json()["state_type"])

    assert state() == "RUNNING"  # Prefect cannot know
    assert play(workspace).startswith("0 of 3 answered")
    assert state() == "CRASHED"
