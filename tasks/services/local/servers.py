"""All three servers at once: started, waited for, looked at, stopped. honcho stops all three when one ends."""

import http.client
import sqlite3
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from labelwise.tasks.errors import ServiceDown, ServiceError
from labelwise.tasks.services.home import Addresses, home
from labelwise.tasks.services.label_studio import installed
from labelwise.tasks.services.local import cluster, credentials, stores
from labelwise.tasks.services.local.environment import environment
from labelwise.tasks.services.local.layout import (
    RUNNER,
    SERVERS,
    TITLES,
    Server,
    ServerProcess,
    ServerProcesses,
    Tell,
    database_file,
    first_start,
    locked,
    log_file,
    open_log,
    read,
    url_of,
    write,
)
from labelwise.tasks.services.local.ports import assigned
from labelwise.tasks.services.local.processes import children, process_of, spawn, stop
from labelwise.tasks.services.local.story import (
    cause_in_words,
    first_to_end,
    how_it_ended,
    last_lines,
    log_tail,
    why_stopped,
)

READY_SECONDS = 300.0  # a fresh installation compiles what it imports at its first start
State = Literal["running", "starting", "stopped"]


@dataclass(frozen=True)
class ServerState:
    """What `labelwise ps` shows of a server. `note` says why a stopped one stopped, where that is known."""

    name: str
    title: str
    url: str
    state: State
    pid: int | None
    log: Path
    note: str


def up(progress: Tell, database: str | None = None, artifacts: str | None = None) -> Addresses:
    """Start what does not run, wait until all three answer, return where. `progress` is told each step as a line.
    database, artifacts: where they keep what they are told, see stores.py; None: as the last time.

    Safe to call twice, also at once. ServiceError names the server that died, or that did not answer in time, with the
    end of its log, or says that they run already and keep things elsewhere.
    """
    folder = home()
    with locked(folder):
        missing = not _all_alive(folder, read(folder))
        _choose(folder, database, artifacts, missing, progress)
    if missing:
        installed.program(progress)  # minutes, in which nobody else need wait for the folder
    with ExitStack() as kept:  # the ports, until they are listened on
        with locked(folder):
            record = read(folder)
            mine = not _all_alive(folder, record)
            if mine:
                record = _start(folder, record, progress, kept)
        if not mine and all(_ready(folder, record, server) for server in SERVERS):
            progress("Label Studio, MLflow and Prefect already run")
        else:
            try:
                _await_ready(folder, record, progress)
            except KeyboardInterrupt:
                if mine:
                    down()
                raise
    first_start(folder).unlink(missing_ok=True)
    if credentials.take_over_token(folder):
        progress("Label Studio's token was changed there: it is in secrets.env now")
    return _addresses(folder, record)


def _choose(folder: Path, database: str | None, artifacts: str | None, stopped: bool, progress: Tell) -> None:
    """Keep the choice of stores. ServiceError where it is another one and the servers run. Call it with the folder
    held."""
    wanted, news = stores.chosen(folder, database, artifacts)
    if wanted == stores.kept(folder):
        return
    if not stopped:
        raise ServiceError(
            "the servers run, and keep what they know elsewhere", fix="`labelwise down`, then this again"
        )
    stores.ready(folder, wanted, tuple(TITLES), progress)  # before it is kept: an address may be wrong
    stores.keep(folder, wanted)
    if news:
        progress(news)


def down() -> bool:
    """Stop all three and wait until they are gone; False when none ran. Ports are remembered, data stays."""
    folder = home()
    if not folder.is_dir():
        return False
    with locked(folder):
        record = read(folder)
        ran = stop(folder, record)
        cluster.stop(folder)
        write(folder, {name: ServerProcess(entry.port, 0, 0.0) for name, entry in record.items()})
        log_file(folder, RUNNER).unlink(missing_ok=True)
    return ran


def ps() -> list[ServerState]:
    """Each server as it is now."""
    folder = home()
    record = read(folder)
    return [_state(folder, record, server) for server in SERVERS]


def running() -> dict[str, str]:
    """The variables that the living servers provide, by name. Asks the kernel only, so it costs milliseconds."""
    folder = home()
    record = read(folder)
    alive = {server.name for server in SERVERS if process_of(folder, record.get(server.name))}
    if not alive:
        return {}
    every = _addresses(folder, record, alive).as_environment()
    return {name: value for name, value in every.items() if value}


# Starting


def _start(folder: Path, record: ServerProcesses, progress: Tell, kept: ExitStack) -> ServerProcesses:
    """Start all three under a new runner and write down who they are. Call it with the folder held. `kept` holds
    their ports against another home that starts at the same time."""
    if found := how_it_ended():
        progress(f"{found}. Starting again")
    program = installed.program(progress)
    stop(folder, record)
    secret = (credentials.read if (folder / "secrets.env").exists() else credentials.make)(folder)
    chosen = stores.kept(folder)
    stores.ready(folder, chosen, tuple(TITLES), progress)
    ports = assigned(record, progress, kept)
    for server in SERVERS:
        (folder / server.name).mkdir(mode=0o700, exist_ok=True)
        open_log(log_file(folder, server.name))
    if _half_made(folder):
        progress("Label Studio was stopped while it made its database, and cannot go on from there: it makes a new one")
        for path in database_file(folder).parent.glob(f"{database_file(folder).name}*"):
            path.unlink()
    if chosen.database == stores.SQLITE and not database_file(folder).exists():
        first_start(folder).touch(mode=0o600)
        progress("first start: Label Studio makes its database, which takes up to a minute")
    told = environment(folder, ports, secret) | chosen.environment(folder)
    runner = spawn(folder, told | {"LABEL_STUDIO_BIN": program})
    record = {RUNNER: ServerProcess(0, runner.pid, runner.create_time())}
    write(folder, record | {name: ServerProcess(port, 0, 0.0) for name, port in ports.items()})
    record |= {name: ServerProcess(ports[name], *found) for name, found in children(folder, runner).items()}
    write(folder, record)
    return record


def _half_made(folder: Path) -> bool:
    """Whether Label Studio's first start never came to its end. Nobody can have put anything into it then; where there
    is a project all the same (it was slower than `up` waited), it is no longer half made."""
    if not (first_start(folder).exists() and database_file(folder).exists()):
        return False
    with closing(sqlite3.connect(database_file(folder))) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        return "project" not in tables or not database.execute("SELECT 1 FROM project LIMIT 1").fetchone()


# Waiting


def _await_ready(folder: Path, record: ServerProcesses, progress: Tell) -> None:
    """Return when all three answer; ServiceError when one dies, ServiceDown when one is too slow."""
    begun = time.monotonic()
    pending = list(SERVERS)
    progress(f"waiting for {_titles(pending)}: at most {READY_SECONDS:.0f} s")
    told = 15
    while pending:
        _check_none_died(folder, record, progress)
        waited = time.monotonic() - begun
        for server in [server for server in pending if _ready(folder, record, server)]:
            pending.remove(server)
            progress(f"{server.title}: ready at {url_of(record, server)} after {waited:.0f} s")
        if pending and waited > READY_SECONDS:
            raise _too_slow(folder, record, pending[0])
        if pending and waited > told:
            progress(f"still waiting for {_titles(pending)}: {waited:.0f} s of at most {READY_SECONDS:.0f}")
            told += 15
        time.sleep(0.2 if pending else 0)


def _check_none_died(folder: Path, record: ServerProcesses, progress: Tell) -> None:
    """ServiceError with the end of its log when a server has ended, after the others have been stopped as well."""
    alive = process_of(folder, record[RUNNER])  # asked first: the runner may end between the two questions
    died = first_to_end(folder)
    if died is None:
        if alive:
            return
        raise ServiceError("the servers were stopped while they were starting", fix="`labelwise up`")
    name, _ = died
    for line in log_tail(name):
        progress(f"  {line}")
    with locked(folder):
        stop(folder, record)
    raise ServiceError(
        f"{cause_in_words(died)} while it was starting; its log ends: {last_lines(folder, name)}",
        fix=f"see {log_file(folder, name)}, then `labelwise up`",
    )


def _too_slow(folder: Path, record: ServerProcesses, server: Server) -> ServiceDown:
    """It still runs, and is left to: a slow machine may only need a second `up`."""
    where = f"{url_of(record, server)}{server.health}"
    return ServiceDown(
        f"{server.title} does not answer at {where} after {READY_SECONDS:.0f} s; "
        f"its log ends: {last_lines(folder, server.name)}",
        fix=f"`labelwise up` waits on; `labelwise down` stops it; its log is {log_file(folder, server.name)}",
    )


def _ready(folder: Path, record: ServerProcesses, server: Server) -> bool:
    """Whether our own process listens and its health endpoint answers 200.

    Label Studio moves to the next port when its own was taken meanwhile: the stranger there may be healthy too.
    """
    entry = record.get(server.name)
    process = process_of(folder, entry)
    return bool(entry and process and _listens(process, entry.port) and _healthy(entry.port, server.health))


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        family = [process, *process.children(recursive=True)]
        sockets = [each for member in family for each in member.net_connections("tcp")]
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)


def _healthy(port: int, path: str) -> bool:
    # http.client, since no proxy of the user's environment may stand between us and loopback.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()  # hanging up earlier would fill Label Studio's log with broken pipes
        return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# Looking


def _state(folder: Path, record: ServerProcesses, server: Server) -> ServerState:
    entry = record.get(server.name)
    process = process_of(folder, entry)
    state: State = "stopped"
    if process:
        state = "running" if _ready(folder, record, server) else "starting"
    return ServerState(
        server.name,
        server.title,
        url_of(record, server) if entry else "",
        state,
        process.pid if process else None,
        log_file(folder, server.name),
        "" if process else why_stopped(folder, record, server),
    )


def _titles(servers: list[Server]) -> str:
    return ", ".join(server.title for server in servers)


def _addresses(folder: Path, record: ServerProcesses, alive: set[str] | None = None) -> Addresses:
    """Where they answer; an empty string for one that is not `alive` (None: all are)."""
    url = {server.name: url_of(record, server) if alive is None or server.name in alive else "" for server in SERVERS}
    return Addresses(
        label_studio_url=url["label-studio"],
        label_studio_api_key=credentials.read(folder)["LABEL_STUDIO_USER_TOKEN"] if url["label-studio"] else "",
        mlflow_tracking_uri=url["mlflow"],
        prefect_api_url=url["prefect"] and f"{url['prefect']}/api",
    )


def _all_alive(folder: Path, record: ServerProcesses) -> bool:
    """Whether the runner and all three servers run, and none is being taken down."""
    names = [RUNNER, *TITLES]
    return all(process_of(folder, record.get(name)) for name in names) and first_to_end(folder) is None
