"""The local servers. Where the real ones would cost a minute, real processes that answer like them stand in."""

import ipaddress
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest

from labelwise.tasks.errors import InputError, ServiceDown, ServiceError
from labelwise.tasks.services.addresses import addresses
from labelwise.tasks.services.home import NAMES, Addresses, home
from labelwise.tasks.services.local import credentials, environment, layout, ports, processes, servers, story

# A server that answers 200 everywhere. It has a child, as MLflow has, that would outlive it.
STAND_IN = """
import http.server, os, subprocess, sys
if sys.argv[2:] == ["child"]:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
print("environment:", sorted(os.environ), flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
LINE = '{name}: exec >>"$LABELWISE_HOME/logs/{name}.log" 2>&1; exec {program} "${variable}" {more}'


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A home of the test's own, in which nothing is left running."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))
    yield
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))
    servers.down()


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Procfile of three servers that start in a moment."""
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    python = f"'{sys.executable}' '{script}'"
    lines = [
        LINE.format(
            name="label-studio", program='"$LABEL_STUDIO_BIN"', variable="LABELWISE_LABEL_STUDIO_PORT", more=""
        ),
        LINE.format(name="mlflow", program=python, variable="LABELWISE_MLFLOW_PORT", more="child"),
        LINE.format(name="prefect", program=python, variable="LABELWISE_PREFECT_PORT", more=""),
    ]
    monkeypatch.setattr(processes, "PROCFILE", tmp_path / "Procfile")
    processes.PROCFILE.write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("LABEL_STUDIO_BIN", program(tmp_path / "label-studio", f'exec {python} "$@"'))


def program(path: Path, body: str) -> str:
    """A shell script that can stand for Label Studio's command."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def until(holds: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def states() -> dict[str, str]:
    return {server.name: server.state for server in servers.ps()}


def pids() -> dict[str, int | None]:
    return {server.name: server.pid for server in servers.ps()}


def members() -> list[psutil.Process]:
    """Every process that belongs to this test's servers."""
    return processes.ours(home(), layout.read(home()))


def quiet(_: str) -> None:
    """For those who do not want to know."""


@pytest.mark.usefixtures("stand_ins")
def test_up_says_where_and_down_leaves_nothing() -> None:
    said: list[str] = []
    found = servers.up(said.append)

    assert set(states().values()) == {"running"}
    assert found == addresses()
    assert found.prefect_api_url.endswith("/api")
    assert "first start: Label Studio makes its database, which takes up to a minute" in said
    assert sum("ready at http://127.0.0.1:" in line for line in said) == 3
    everyone = members()
    assert len(everyone) >= 7  # honcho, its three watchers, the servers

    assert servers.down() is True
    assert [process for process in everyone if processes.lives(process)] == []
    assert set(states().values()) == {"stopped"}
    assert {server.note for server in servers.ps()} == {""}
    assert servers.down() is False


@pytest.mark.usefixtures("stand_ins")
def test_up_again_changes_nothing() -> None:
    first = servers.up(quiet)
    before = pids()
    said: list[str] = []

    assert servers.up(said.append) == first
    assert said == ["Label Studio, MLflow and Prefect already run"]
    assert pids() == before


@pytest.mark.usefixtures("stand_ins")
def test_two_at_once_share_one_start() -> None:
    found: list[Addresses] = []
    both = [threading.Thread(target=lambda: found.append(servers.up(quiet))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()

    assert len(found) == 2
    assert found[0] == found[1]
    assert sum("honcho" in " ".join(process.cmdline()) and process.ppid() == os.getpid() for process in members()) == 1


@pytest.mark.usefixtures("stand_ins")
def test_a_taken_port_is_left_alone_and_the_new_one_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        usual = (layout.Server("label-studio", "Label Studio", taken, "/health"), *layout.SERVERS[1:])
        monkeypatch.setattr(ports, "SERVERS", usual)
        said: list[str] = []
        first = servers.up(said.append)
    given = first.label_studio_url.rpartition(":")[2]

    assert int(given) != taken
    assert f"Label Studio: port {taken} is taken; it gets {given}" in said
    servers.down()
    assert servers.up(quiet).label_studio_url == first.label_studio_url  # though its usual one is free by now


def test_two_homes_that_start_at_once_do_not_choose_one_port() -> None:
    wished = {server.name: ports.any_free() for server in layout.SERVERS}
    record = {name: layout.ServerProcess(port, 0, 0.0) for name, port in wished.items()}
    with ExitStack() as first, ExitStack() as second:
        assert ports.assigned(record, quiet, first) == wished
        assert not set(ports.assigned(record, quiet, second).values()) & set(wished.values())
    with ExitStack() as third:  # the servers of the first listen by now, or are dead
        assert ports.assigned(record, quiet, third) == wished


def test_a_listener_on_all_interfaces_counts_as_taken() -> None:
    with socket.socket() as holder:
        holder.bind(("", 0))
        holder.listen()
        assert not ports.is_free(holder.getsockname()[1])


@pytest.mark.usefixtures("stand_ins")
def test_secrets_are_made_once_and_shown_nowhere() -> None:
    servers.up(quiet)
    email, password = credentials.sign_in()
    token = addresses().label_studio_api_key
    content = (home() / "secrets.env").read_text()

    assert [(home() / name).stat().st_mode & 0o777 for name in ("secrets.env", "servers.json")] == [0o600, 0o600]
    assert home().stat().st_mode & 0o777 == 0o700
    assert email == "owner@labelwise.local"
    assert len(token) == 40
    assert len(password) >= 20
    shown = " ".join(word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or [])
    shown += "".join(path.read_text() for path in (home() / "logs").iterdir())
    assert token not in shown
    assert password not in shown

    servers.down()
    servers.up(quiet)
    assert (home() / "secrets.env").read_text() == content


@pytest.mark.usefixtures("stand_ins")
def test_up_learns_the_token_that_somebody_made_anew() -> None:
    servers.up(quiet)
    mail, password = credentials.sign_in()
    with closing(sqlite3.connect(home() / "label-studio" / "label_studio.sqlite3")) as database, database:
        database.execute("CREATE TABLE htx_user (id INTEGER, email TEXT)")
        database.execute("CREATE TABLE authtoken_token (key TEXT, user_id INTEGER)")
        database.execute("INSERT INTO htx_user VALUES (1, ?), (2, 'other@example.org')", [mail])
        database.execute("INSERT INTO authtoken_token VALUES ('made-anew', 1), ('anothers', 2)")
    said: list[str] = []

    assert servers.up(said.append).label_studio_api_key == "made-anew" == addresses().label_studio_api_key
    assert credentials.sign_in() == (mail, password)
    assert "Label Studio's token was changed there: it is in secrets.env now" in said
    assert (home() / "secrets.env").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("stand_ins")
def test_nobody_else_may_read_what_servers_keep(tmp_path: Path) -> None:
    home().mkdir(mode=0o755)  # made by somebody, for all to read
    servers.up(quiet)
    made = [path for path in home().rglob("*") if not path.is_socket()]
    assert len(made) > 8
    assert [path for path in made if path.stat().st_mode & 0o077 and path.suffix != ".lock"] == []


def test_the_webhooks_secret_is_made_once_for_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    made = credentials.webhook_secret()
    assert len(made) >= 32
    assert credentials.webhook_secret() == made
    assert (home() / "webhook.secret").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("LABELWISE_WEBHOOK_SECRET", "one-of-the-teams-own")
    assert credentials.webhook_secret() == "one-of-the-teams-own"
    for bad in ("short", "with\nline breaks in it", "in a wörld of ASCII"):
        monkeypatch.setenv("LABELWISE_WEBHOOK_SECRET", bad)
        with pytest.raises(InputError, match="16 or more printable characters") as caught:
            credentials.webhook_secret()
        assert bad not in str(caught.value)


def test_label_studio_may_call_loopback_and_nothing_else_that_is_not_public() -> None:
    def banned(address: str) -> bool:
        return any(ipaddress.ip_address(address) in ipaddress.ip_network(each) for each in environment.UNREACHABLE)

    inside = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "fd00::1", "fe80::1"]
    assert all(banned(address) for address in [*inside, "::ffff:127.0.0.1", "255.255.255.255"])
    assert not any(banned(address) for address in ("127.0.0.1", "93.184.216.34", "2606:2800::1"))


@pytest.mark.usefixtures("stand_ins")
def test_servers_see_nothing_of_the_users_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "CI", "DJANGO_DB", "PORT", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "theirs")
    servers.up(quiet)
    seen = next(line for line in story.log_tail("prefect") if line.startswith("environment:"))

    assert "MLFLOW_DISABLE_TELEMETRY" in seen
    for name in ("HOST", "CI", "DJANGO_DB", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "AWS_SECRET_ACCESS_KEY"):
        assert f"'{name}'" not in seen


def test_a_server_that_dies_while_starting_says_so_with_the_end_of_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On the real Procfile: the two others are the real ones, and go with it."""
    body = "echo 'migrating'; echo 'no such table: core_settings' >&2; exit 3"
    monkeypatch.setenv("LABEL_STUDIO_BIN", program(tmp_path / "label-studio", body))
    said: list[str] = []

    with pytest.raises(ServiceError) as caught:
        servers.up(said.append)

    line = str(caught.value)
    assert "Label Studio ended by itself with code 3 while it was starting" in line
    assert "its log ends: migrating | no such table: core_settings" in line
    assert str(home() / "logs" / "label-studio.log") in line
    assert "  no such table: core_settings" in said
    notes = {server.name: server.note for server in servers.ps()}
    assert notes["label-studio"] == "ended by itself with code 3"
    assert notes["mlflow"] == "stopped because Label Studio ended"
    assert members() == []


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("CREATE TABLE django_migrations (app)", False),
        ("CREATE TABLE project (id)", False),
        ("CREATE TABLE project (id); INSERT INTO project VALUES (1)", True),
    ],
)
def test_a_first_start_that_was_cut_off_begins_anew_unless_somebody_has_worked_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, kept: bool
) -> None:
    database = home() / "label-studio" / "label_studio.sqlite3"
    whole = os.environ["LABEL_STUDIO_BIN"]
    make = f"import sqlite3; sqlite3.connect('{database}').executescript('{content}')"
    body = f'"{sys.executable}" -c "{make}"; exit 3'
    monkeypatch.setenv("LABEL_STUDIO_BIN", program(tmp_path / "cut-off", body))
    with pytest.raises(ServiceError, match="while it was starting"):
        servers.up(quiet)
    assert database.exists()

    monkeypatch.setenv("LABEL_STUDIO_BIN", whole)
    said: list[str] = []
    servers.up(said.append)
    assert database.exists() == kept
    assert any("cannot go on from there: it makes a new one" in line for line in said) != kept
    servers.down()
    database.touch()
    servers.up(said.append)
    assert database.exists()  # once it has answered, it is never touched again


@pytest.mark.usefixtures("stand_ins")
def test_a_server_killed_later_is_reported_and_the_next_up_repairs() -> None:
    servers.up(quiet)
    everyone = members()
    os.kill(pids()["mlflow"] or 0, signal.SIGKILL)
    until(lambda: set(states().values()) == {"stopped"}, "honcho stops the others")

    notes = {server.name: server.note for server in servers.ps()}
    assert notes["mlflow"] == "was killed by signal 9"
    assert notes["prefect"] == "stopped because MLflow ended"
    with pytest.raises(
        ServiceDown, match=r"no local server runs for .* \(MLflow was killed by signal 9; its log ends:"
    ):
        addresses()

    said: list[str] = []
    servers.up(said.append)
    assert "MLflow was killed by signal 9" in said[0]
    assert set(states().values()) == {"running"}
    assert [process for process in everyone if processes.lives(process)] == []  # its child too


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("command", ["up", "down"])
def test_servers_that_outlive_their_runner_are_found(command: str) -> None:
    servers.up(quiet)
    everyone = members()
    runner = layout.read(home())[layout.RUNNER].pid
    os.kill(runner, signal.SIGKILL)
    (home() / "servers.json").unlink()  # and nothing is written about them either

    if command == "up":
        servers.up(quiet)
        assert set(states().values()) == {"running"}
    else:
        assert servers.down() is True
    assert [process for process in everyone if processes.lives(process)] == []


def test_a_reused_pid_is_never_killed() -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    try:
        (home() / "logs").mkdir(parents=True)
        entry = {"port": 1, "pid": bystander.pid, "created": time.time() - 3600}
        content = dict.fromkeys((layout.RUNNER, "label-studio", "mlflow", "prefect"), entry)
        (home() / "servers.json").write_text(json.dumps(content))

        assert set(states().values()) == {"stopped"}
        assert servers.running() == {}
        assert servers.down() is False
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.usefixtures("stand_ins")
def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is left running: on a slow machine, a second `up` waits on."""
    monkeypatch.setattr(servers, "READY_SECONDS", 1.5)
    monkeypatch.setenv("LABEL_STUDIO_BIN", program(tmp_path / "slow", "echo migrating; exec sleep 300"))

    with pytest.raises(
        ServiceDown, match=r"Label Studio does not answer at http://.*/health after .* s; its log ends: migrating"
    ):
        servers.up(quiet)

    assert states() == {"label-studio": "starting", "mlflow": "running", "prefect": "running"}


@pytest.mark.usefixtures("stand_ins")
def test_a_stranger_on_the_port_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Label Studio moves aside when somebody was quicker; what answers on its port must not get its token."""
    monkeypatch.setattr(servers, "READY_SECONDS", 1.5)
    moved = f"exec '{sys.executable}' '{tmp_path / 'stand_in.py'}' 0"
    monkeypatch.setenv("LABEL_STUDIO_BIN", program(tmp_path / "moved", moved))
    monkeypatch.setattr(servers, "_healthy", lambda *_: True)

    with pytest.raises(ServiceDown, match="Label Studio does not answer"):
        servers.up(quiet)


def test_label_studio_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABEL_STUDIO_BIN", str(tmp_path / "nowhere"))
    with pytest.raises(ServiceError, match=r"Label Studio is not installed: .*nowhere.*correct LABEL_STUDIO_BIN"):
        servers.up(quiet)


@pytest.mark.usefixtures("stand_ins")
def test_lost_secrets_are_not_replaced_under_a_living_database() -> None:
    (home() / "label-studio").mkdir(parents=True)
    (home() / "label-studio" / "label_studio.sqlite3").touch()

    with pytest.raises(ServiceError, match=r"secrets.env is gone.*restore the file"):
        servers.up(quiet)


def test_a_home_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "file" / "home"))

    with pytest.raises(ServiceError, match=r"cannot write .*: Not a directory"):
        servers.up(quiet)


@pytest.mark.usefixtures("stand_ins")
def test_what_a_start_stumbles_on_is_not_called_unwritable() -> None:
    (home() / "logs" / "mlflow.log").mkdir(parents=True)

    with pytest.raises(IsADirectoryError, match=r"mlflow\.log"):
        servers.up(quiet)
    (home() / "logs" / "mlflow.log").rmdir()
    assert servers.up(quiet)  # the folder was let go
    servers.down()


def test_logs_are_appended_and_set_aside_when_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "some.log"
    log.write_text("old words\n")
    assert layout.tail(log) == ["old words"]
    layout.open_log(log)
    with log.open("a") as file:
        file.write("new words\n")
    assert "old words" in log.read_text()
    assert layout.tail(log) == ["new words"]  # what came before would only lead astray

    monkeypatch.setattr(layout, "BIGGEST_LOG", 10)
    layout.open_log(log)
    assert "old words" not in log.read_text()
    assert "old words" in (tmp_path / "some.log.1").read_text()


def test_no_such_server() -> None:
    assert story.log_tail("mlflow") == []
    with pytest.raises(InputError, match="no such server: redis: expected one of label-studio, mlflow, prefect"):
        story.log_tail("redis")
