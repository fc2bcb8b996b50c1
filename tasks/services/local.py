"""The three local servers: started from infra/Procfile by honcho, waited for, looked at, stopped.

Beneath home(): `servers.json` (ports and processes), `secrets.env` (sign-in and token, 0600), `webhook.secret` (0600),
`logs/`, and a folder of data for each server. honcho stops all three when one dies; its own log says which one went
first.
"""

import http.client
import json
import os
import re
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import psutil
from filelock import FileLock, Timeout

from labelwise import infra
from labelwise.tasks.errors import InputError, ServiceDown, ServiceError
from labelwise.tasks.services import guard
from labelwise.tasks.services.addresses import Addresses, ask_directly, home
from labelwise.tasks.services.label_studio import installed

Progress = Callable[[str], None]
State = Literal["running", "starting", "stopped"]


@dataclass(frozen=True)
class Server:
    """One line of the Procfile."""

    name: str
    title: str
    port: int  # the one it gets unless somebody has it
    health: str


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


@dataclass(frozen=True)
class Entry:
    """A process as servers.json remembers it. `created` (seconds since 1970) tells it from a later one of that pid."""

    port: int
    pid: int
    created: float


SERVERS = (
    Server("label-studio", "Label Studio", 8080, "/health"),
    Server("mlflow", "MLflow", 5000, "/health"),
    Server("prefect", "Prefect", 4200, "/api/health"),
)
TITLES = {server.name: server.title for server in SERVERS}
RUNNER = "runner"
PROCFILE = Path(infra.__path__[0]) / "Procfile"
READY_SECONDS = 180.0
CHAPTER = "--- labelwise up, "  # written into each log at each start
BIGGEST_LOG = 20_000_000  # bytes; a longer one is set aside at the next start

# Carried by every process that `up` starts and by no other: finds those that outlive their runner.
MARK = "LABELWISE_SERVERS_OF"
# Label Studio reads names as plain as HOST, CI and DEBUG; Prefect and MLflow would follow the user's own settings.
# So the servers get these from outside, and nothing else.
INHERITED = (
    *("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", guard.HOSTS),
)
QUIET = {
    "DO_NOT_TRACK": "true",
    "PYTHONUNBUFFERED": "1",  # the last words of a dying server reach its log
    "PYTHONUTF8": "1",  # in any locale
    "PYTHONSAFEPATH": "1",
    "PYTHONNOUSERSITE": "1",
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LATEST_VERSION_CHECK": "false",
    "FEATURE_FLAGS_OFFLINE": "true",
    "DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "DEBUG": "false",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes and 1 GB less
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_COLORS": "false",
}
# Label Studio calls and reads no address that is not public. Our webhook is on loopback, so that alone is taken off its
# list; and its list can only be changed by giving all of it.
UNREACHABLE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
    *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    *("::/128", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32"),
    *("2001:20::/28", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
)
GUARDED = {
    "SSRF_PROTECTION_ENABLED": "true",
    "USE_DEFAULT_BANNED_SUBNETS": "false",
    "USER_ADDITIONAL_BANNED_SUBNETS": ",".join(UNREACHABLE),
}

Record = dict[str, Entry]
_STARTED: list[psutil.Popen] = []  # runners of this process, kept: Python warns when a child that runs is forgotten


def up(progress: Progress) -> Addresses:
    """Start what does not run, wait until all three answer, return where. `progress` is told each step as a line.

    Safe to call twice, also at once. ServiceError names the server that died, or that did not answer in time, with the
    end of its log.
    """
    folder = home()
    with _claimed(folder):
        missing = not _all_alive(folder, _read(folder))
    if missing:
        installed.program(progress)  # minutes, in which nobody else need wait for the folder
    with ExitStack() as kept:  # the ports, until they are listened on
        with _claimed(folder):
            record = _read(folder)
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
    _first_start(folder).unlink(missing_ok=True)
    if _take_over_token(folder):
        progress("Label Studio's token was changed there: it is in secrets.env now")
    return _addresses(folder, record)


def down() -> bool:
    """Stop all three and wait until they are gone; False when none ran. Ports are remembered, data stays."""
    folder = home()
    if not folder.is_dir():
        return False
    with _claimed(folder):
        record = _read(folder)
        ran = _stop(folder, record)
        _write(folder, {name: Entry(entry.port, 0, 0.0) for name, entry in record.items()})
        _log(folder, RUNNER).unlink(missing_ok=True)
    return ran


def ps() -> list[ServerState]:
    """Each server as it is now."""
    folder = home()
    record = _read(folder)
    return [_state(folder, record, server) for server in SERVERS]


def running() -> dict[str, str]:
    """The variables that the living servers provide, by name. Asks the kernel only, so it costs milliseconds."""
    folder = home()
    record = _read(folder)
    alive = {server.name for server in SERVERS if _process(folder, record.get(server.name))}
    if not alive:
        return {}
    every = _addresses(folder, record, alive).as_environment()
    return {name: value for name, value in every.items() if value}


def obituary() -> str:
    """Which server ended by itself and the end of its log, as one line; empty when none did."""
    died = _died(home())
    return f"{_said(died)}; its log ends: {_last_words(home(), died[0])}" if died else ""


def log_tail(name: str, lines: int = 15) -> list[str]:
    """The last lines of a server's log, of its last start only; none where it has none yet."""
    if name not in TITLES:
        raise InputError(f"no such server: {name}", expected="one of " + ", ".join(TITLES))
    return _tail(_log(home(), name))[-lines:]


def sign_in() -> tuple[str, str]:
    """The e-mail address and password of Label Studio's owner, as made at the first start."""
    kept = _secrets(home())
    return kept["LABEL_STUDIO_USERNAME"], kept["LABEL_STUDIO_PASSWORD"]


def webhook_secret() -> str:
    """What Label Studio's events must carry: LABELWISE_WEBHOOK_SECRET, else one made once, in `webhook.secret`.

    Not in secrets.env, which every server is given. InputError when the variable cannot be a header.
    """
    given = os.environ.get("LABELWISE_WEBHOOK_SECRET", "").strip()
    if given:
        if len(given) < 16 or not (given.isascii() and given.isprintable()):
            raise InputError("LABELWISE_WEBHOOK_SECRET", expected="16 or more printable characters of ASCII")
        return given
    folder = home()
    path = folder / "webhook.secret"
    with _claimed(folder):
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8").strip()


# Starting


def _start(folder: Path, record: Record, progress: Progress, kept: ExitStack) -> Record:
    """Start all three under a new runner and write down who they are. Call it with the folder claimed. `kept` holds
    their ports against another home that starts at the same time."""
    if found := obituary():
        progress(f"{found}. Starting again")
    program = installed.program(progress)
    _stop(folder, record)
    secret = _secrets(folder) if (folder / "secrets.env").exists() else _make_secrets(folder)
    ports = _ports(record, progress, kept)
    for server in SERVERS:
        (folder / server.name).mkdir(mode=0o700, exist_ok=True)
        _open_log(_log(folder, server.name))
    if _half_made(folder):
        progress("Label Studio was stopped while it made its database, and cannot go on from there: it makes a new one")
        for path in _database(folder).parent.glob(f"{_database(folder).name}*"):
            path.unlink()
    if not _database(folder).exists():
        _first_start(folder).touch(mode=0o600)
        progress("first start: Label Studio makes its database, which takes up to a minute")
    runner = _spawn(folder, _environment(folder, ports, secret) | {"LABEL_STUDIO_BIN": program})
    record = {RUNNER: Entry(0, runner.pid, runner.create_time())}
    _write(folder, record | {name: Entry(port, 0, 0.0) for name, port in ports.items()})
    record |= {name: Entry(ports[name], *found) for name, found in _children(folder, runner).items()}
    _write(folder, record)
    return record


def _spawn(folder: Path, environment: dict[str, str]) -> psutil.Process:
    """honcho, in a session of its own: it outlives the terminal that started it."""
    # No .env file: honcho would read the one beside the Procfile, which belongs to compose.yaml.
    command = [sys.executable, "-m", "honcho", "--no-colour", "-e", os.devnull, "-f", str(PROCFILE), "start"]
    with open(_log(folder, RUNNER), "wb", opener=_for_its_owner) as log:
        runner = psutil.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,  # Label Studio's database holds its tokens
        )
    _STARTED.append(runner)
    return runner


def _children(folder: Path, runner: psutil.Process) -> dict[str, tuple[int, float]]:
    """Pid and time of birth of each server, as soon as honcho has told all three."""
    deadline = time.monotonic() + 30
    while True:
        alive = _lives(runner)  # asked first: what it told before it died still counts
        pids = {name: int(pid) for name, pid in re.findall(r"(\S+)\.1 started \(pid=(\d+)\)", _story(folder))}
        if len(pids) == len(SERVERS):
            return {name: (pid, _created(pid)) for name, pid in pids.items()}
        if not alive or time.monotonic() > deadline:
            raise ServiceError("honcho did not start the servers", got=" | ".join(_tail(_log(folder, RUNNER))[-3:]))
        time.sleep(0.05)


def _created(pid: int) -> float:
    """When the process was born; 0 when it has died already (its death is reported from honcho's log)."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _environment(folder: Path, ports: dict[str, int], kept: dict[str, str]) -> dict[str, str]:
    """All that the servers see."""
    ask_directly()  # they call one another, and Label Studio calls us
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    places = {
        MARK: str(folder),
        "PATH": path,
        "LABELWISE_HOME": str(folder),
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "label-studio"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder / "prefect" / "page"),  # of itself in its package's folder
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{ports['prefect']}/api",  # else its page looks at port 4200
    }
    numbers = {f"LABELWISE_{name.upper().replace('-', '_')}_PORT": str(port) for name, port in ports.items()}
    return inherited | QUIET | GUARDED | _admitting(ports) | kept | places | numbers


def _admitting(ports: dict[str, int]) -> dict[str, str]:
    """The names under which the servers may be asked, and the pages that may ask them: see `guard`."""
    names = guard.hosts()
    outside = [name for name in names if name not in guard.OWN]
    return {
        "ALLOWED_HOSTS": ",".join(names),
        "CORS_ALLOW_ALL_ORIGINS": "false",
        "CSRF_TRUSTED_ORIGINS": ",".join(f"https://{name}" for name in outside),  # behind a proxy with TLS
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join([*names, *(f"{name.replace('[', '[[]')}:*" for name in names)]),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"https://{name}" for name in outside),
        # Its page asks under 127.0.0.1, whichever name of this machine brought it up.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{name}:{ports['prefect']}" for name in guard.OWN),
    }


def _half_made(folder: Path) -> bool:
    """Whether Label Studio's first start never came to its end. Nobody can have put anything into it then; where there
    is a project all the same (it was slower than `up` waited), it is no longer half made."""
    if not (_first_start(folder).exists() and _database(folder).exists()):
        return False
    with closing(sqlite3.connect(_database(folder))) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        return "project" not in tables or not database.execute("SELECT 1 FROM project LIMIT 1").fetchone()


def _ports(record: Record, progress: Progress, kept: ExitStack) -> dict[str, int]:
    """A free port for each: the one it had last, its usual one, any."""
    ports: dict[str, int] = {}
    for server in SERVERS:
        last = record[server.name].port if server.name in record else server.port
        wished = (port for port in (last, server.port) if port not in ports.values())
        ports[server.name] = next((port for port in wished if _is_free(port) and _keep(port, kept)), 0) or next(
            port for port in iter(_any_free, 0) if port not in ports.values() and _keep(port, kept)
        )
        if ports[server.name] != last:
            progress(f"{server.title}: port {last} is taken; it gets {ports[server.name]}")
    return ports


def _keep(port: int, kept: ExitStack) -> bool:
    """Whether no other start has its eye on the port: a server takes up to a minute before it listens."""
    try:
        kept.enter_context(FileLock(Path(tempfile.gettempdir()) / f"labelwise-{os.getuid()}-{port}.lock", timeout=0))
    except OSError:  # held, or somebody else's
        return False
    return True


def _is_free(port: int) -> bool:
    """Whether nobody listens there. Both questions are needed: a bind alone may succeed beside a wildcard listener."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        # As the servers do it: connections of the last run that still linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Waiting


def _await_ready(folder: Path, record: Record, progress: Progress) -> None:
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
            progress(f"{server.title}: ready at {_url(record, server)} after {waited:.0f} s")
        if pending and waited > READY_SECONDS:
            raise _too_slow(folder, record, pending[0])
        if pending and waited > told:
            progress(f"still waiting for {_titles(pending)}: {waited:.0f} s of at most {READY_SECONDS:.0f}")
            told += 15
        time.sleep(0.2 if pending else 0)


def _check_none_died(folder: Path, record: Record, progress: Progress) -> None:
    """ServiceError with the end of its log when a server has ended, after the others have been stopped as well."""
    alive = _process(folder, record[RUNNER])  # asked first: the runner may end between the two questions
    died = _died(folder)
    if died is None:
        if alive:
            return
        raise ServiceError("the servers were stopped while they were starting", fix="`labelwise up`")
    name, _ = died
    for line in log_tail(name):
        progress(f"  {line}")
    with _claimed(folder):
        _stop(folder, record)
    raise ServiceError(
        f"{_said(died)} while it was starting; its log ends: {_last_words(folder, name)}",
        fix=f"see {_log(folder, name)}, then `labelwise up`",
    )


def _too_slow(folder: Path, record: Record, server: Server) -> ServiceDown:
    """It still runs, and is left to: a slow machine may only need a second `up`."""
    where = f"{_url(record, server)}{server.health}"
    return ServiceDown(
        f"{server.title} does not answer at {where} after {READY_SECONDS:.0f} s; "
        f"its log ends: {_last_words(folder, server.name)}",
        fix=f"`labelwise up` waits on; `labelwise down` stops it; its log is {_log(folder, server.name)}",
    )


def _ready(folder: Path, record: Record, server: Server) -> bool:
    """Whether our own process listens and its health endpoint answers 200.

    Label Studio moves to the next port when its own was taken meanwhile: the stranger there may be healthy too.
    """
    entry = record.get(server.name)
    process = _process(folder, entry)
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


def _state(folder: Path, record: Record, server: Server) -> ServerState:
    entry = record.get(server.name)
    process = _process(folder, entry)
    state: State = "stopped"
    if process:
        state = "running" if _ready(folder, record, server) else "starting"
    return ServerState(
        server.name,
        server.title,
        _url(record, server) if entry else "",
        state,
        process.pid if process else None,
        _log(folder, server.name),
        "" if process else _why_stopped(folder, record, server),
    )


def _why_stopped(folder: Path, record: Record, server: Server) -> str:
    """Why it does not run, where that is known: it died, another died, honcho died."""
    died = _died(folder)
    if died is None:
        entry = record.get(RUNNER)
        return "its runner was killed" if entry and entry.pid and "SIGTERM" not in _story(folder) else ""
    return _ending(died[1]) if died[0] == server.name else f"stopped because {TITLES[died[0]]} ended"


def _died(folder: Path) -> tuple[str, int] | None:
    """Name and exit code of the server that ended by itself first; None when none did or somebody stopped them."""
    for line in _story(folder).splitlines():
        if re.search(r"\| SIG(TERM|INT) received", line):
            return None
        if found := re.search(r"\| (\S+)\.1 stopped \(rc=(-?\d+)\)", line):
            return found[1], int(found[2])
    return None


def _story(folder: Path) -> str:
    """What honcho has told since its start."""
    try:
        return _log(folder, RUNNER).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _said(died: tuple[str, int]) -> str:
    return f"{TITLES[died[0]]} {_ending(died[1])}"


def _ending(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended by itself with code {code}"


def _last_words(folder: Path, name: str) -> str:
    """The last three lines that say more than 'I am healthy', short enough for an error of one line."""
    words = [line.strip()[:200] for line in _tail(_log(folder, name)) if line.strip() and "/health" not in line]
    return " | ".join(words[-3:]) or "(nothing)"


def _titles(servers: list[Server]) -> str:
    return ", ".join(server.title for server in servers)


def _url(record: Record, server: Server) -> str:
    return f"http://127.0.0.1:{record[server.name].port}"


def _addresses(folder: Path, record: Record, alive: set[str] | None = None) -> Addresses:
    """Where they answer; an empty string for one that is not `alive` (None: all are)."""
    url = {server.name: _url(record, server) if alive is None or server.name in alive else "" for server in SERVERS}
    return Addresses(
        label_studio_url=url["label-studio"],
        label_studio_api_key=_secrets(folder)["LABEL_STUDIO_USER_TOKEN"] if url["label-studio"] else "",
        mlflow_tracking_uri=url["mlflow"],
        prefect_api_url=url["prefect"] and f"{url['prefect']}/api",
    )


# Stopping


def _stop(folder: Path, record: Record) -> bool:
    """End every process that a start from this folder left; False when there is none."""
    if not _ours(folder, record):
        return False
    if runner := _process(folder, record.get(RUNNER)):
        # honcho tells the servers, kills after 5 s what has not gone, and goes last.
        _signal(runner, psutil.Process.terminate)
        _wait([runner], 12)
    # What honcho does not know of: children of a server that was killed, servers of a runner that was killed.
    for how in (psutil.Process.terminate, psutil.Process.kill):
        left = _ours(folder, record)
        for process in left:
            _signal(process, how)
        left = _wait(left, 5)
    if left:
        raise ServiceError(f"process {left[0].pid} does not end", fix=f"`kill -9 {left[0].pid}`")
    _STARTED[:] = [started for started in _STARTED if started.poll() is None]
    return True


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still live after at most so long. A zombie is gone: in a container nobody may ever collect it."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _ours(folder: Path, record: Record) -> list[psutil.Process]:
    """All living processes that belong to these servers: those written down, and those that carry the mark."""
    known = {process.pid: process for entry in record.values() if (process := _process(folder, entry))}
    marked = {process.pid: process for process in psutil.process_iter() if _marked(process, folder) and _lives(process)}
    return list((known | marked).values())


def _process(folder: Path, entry: Entry | None) -> psutil.Process | None:
    """The living process of an entry; None when it is gone, also when its pid went to somebody else."""
    if entry is None or not entry.pid:
        return None
    try:
        process = psutil.Process(entry.pid)
        # The clock may have been set since: then the time of birth seems to have moved, and the mark decides.
        same = abs(process.create_time() - entry.created) < 1 or _marked(process, folder)
        return process if same and _lives(process) else None
    except psutil.Error:
        return None


def _marked(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == str(folder)
    except (psutil.Error, OSError):
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _all_alive(folder: Path, record: Record) -> bool:
    """Whether the runner and all three servers run, and none is being taken down."""
    names = [RUNNER, *TITLES]
    return all(_process(folder, record.get(name)) for name in names) and _died(folder) is None


def _signal(process: psutil.Process, how: Callable[[psutil.Process], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        how(process)


# Files


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold the folder for one start or stop; it is made if it is not there, for its owner alone."""
    lock = FileLock(folder / "servers.lock", timeout=90)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "logs").mkdir(mode=0o700, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ServiceError(f"another `labelwise up` or `down` has held {folder} for 90 s", fix="let it end") from None
    except OSError as error:
        raise ServiceError(
            f"cannot write {error.filename or folder}: {error.strerror}", fix="set LABELWISE_HOME"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _read(folder: Path) -> Record:
    """servers.json; empty when it is missing or no longer readable (then the mark still finds the processes)."""
    try:
        content = json.loads((folder / "servers.json").read_text(encoding="utf-8"))
        return {name: Entry(**entry) for name, entry in content.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _write(folder: Path, record: Record) -> None:
    _write_private(
        folder / "servers.json", json.dumps({name: asdict(entry) for name, entry in record.items()}, indent=2)
    )


def _write_private(path: Path, content: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    scratch.unlink(missing_ok=True)
    # Born with its mode: a chmod afterwards would leave a moment in which others can open it.
    with os.fdopen(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(content + "\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _for_its_owner(path: str, flags: int) -> int:
    """Opens a file that nobody else may read."""
    return os.open(path, flags, 0o600)


def _make_secrets(folder: Path) -> dict[str, str]:
    """Sign-in and token of Label Studio's owner, made once: Label Studio keeps those of its first start."""
    if _database(folder).exists():
        raise ServiceError(
            f"{folder / 'secrets.env'} is gone, and the data in {folder / 'label-studio'} knows its old token",
            fix="restore the file, or move that folder away to start anew",
        )
    made = {
        "LABEL_STUDIO_USERNAME": "owner@labelwise.local",
        "LABEL_STUDIO_PASSWORD": secrets.token_urlsafe(18),
        "LABEL_STUDIO_USER_TOKEN": secrets.token_hex(20),
    }
    _write_secrets(folder, made)
    return made


def _write_secrets(folder: Path, content: dict[str, str]) -> None:
    _write_private(folder / "secrets.env", "\n".join(f"{name}={value}" for name, value in content.items()))


def _secrets(folder: Path) -> dict[str, str]:
    """What _make_secrets wrote."""
    path = folder / "secrets.env"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ServiceDown(f"{path} is missing", fix="`labelwise up`") from None
    kept = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    for name in ("LABEL_STUDIO_USERNAME", "LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN"):
        if not kept.get(name):
            raise ServiceError(f"{path} has no {name}", fix="restore the file")
    return kept


def _take_over_token(folder: Path) -> bool:
    """Write down the owner's token as Label Studio knows it: somebody may have made a new one on its page, and a start
    does not put the old one back. Whether it was another."""
    kept = _secrets(folder)
    mail, token = kept["LABEL_STUDIO_USERNAME"], kept["LABEL_STUDIO_USER_TOKEN"]
    asked = "SELECT key FROM authtoken_token JOIN htx_user ON htx_user.id = user_id WHERE email = ?"
    try:
        with closing(sqlite3.connect(f"{_database(folder).as_uri()}?mode=ro", uri=True)) as database:
            known = [key for (key,) in database.execute(asked, [mail])]
    except sqlite3.Error:  # busy, or none: then the next request says what is wrong
        return False
    if not known or token in known:
        return False
    _write_secrets(folder, kept | {"LABEL_STUDIO_USER_TOKEN": str(known[0])})
    return True


def _database(folder: Path) -> Path:
    return folder / "label-studio" / "label_studio.sqlite3"


def _first_start(folder: Path) -> Path:
    """Is there from the moment that Label Studio begins to make its database until it has answered."""
    return folder / "label-studio" / "first-start"


def _log(folder: Path, name: str) -> Path:
    return folder / "logs" / f"{name}.log"


def _open_log(path: Path) -> None:
    """Begin a new chapter; a log grown too long is set aside as `.1` first."""
    if path.exists() and path.stat().st_size > BIGGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    with open(path, "a", encoding="utf-8", opener=_for_its_owner) as log:
        log.write(f"{CHAPTER}{datetime.now():%Y-%m-%d %H:%M:%S}\n")


def _tail(path: Path) -> list[str]:
    """The lines since the last start, of a file however long: at most those in its last 100 kB."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 100_000))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text.rpartition(CHAPTER)[2].splitlines()[1 if CHAPTER in text else 0 :]
