"""Which servers there are, and what lies under home(): `servers.json` (ports and processes), `logs/`, and a folder of
data for each server."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from labelwise.tasks.errors import ServiceError

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Server:
    """One line of the Procfile."""

    name: str
    title: str
    port: int  # the one it gets unless somebody has it
    health: str


@dataclass(frozen=True)
class ServerProcess:
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
CHAPTER = "--- labelwise up, "  # written into each log at each start
BIGGEST_LOG = 20_000_000  # bytes; a longer one is set aside at the next start
# Carried by every process that `up` starts and by no other: finds those that outlive their runner.
MARK = "LABELWISE_SERVERS_OF"
ServerProcesses = dict[str, ServerProcess]


def url_of(record: ServerProcesses, server: Server) -> str:
    return f"http://127.0.0.1:{record[server.name].port}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
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


def read(folder: Path) -> ServerProcesses:
    """servers.json; empty when it is missing or no longer readable (then the mark still finds the processes)."""
    try:
        content = json.loads((folder / "servers.json").read_text(encoding="utf-8"))
        return {name: ServerProcess(**entry) for name, entry in content.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def write(folder: Path, record: ServerProcesses) -> None:
    write_private(
        folder / "servers.json", json.dumps({name: asdict(entry) for name, entry in record.items()}, indent=2)
    )


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    scratch.unlink(missing_ok=True)
    # Born with its mode: a chmod afterwards would leave a moment in which others can open it.
    with os.fdopen(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(content + "\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def for_its_owner(path: str, flags: int) -> int:
    """Opens a file that nobody else may read."""
    return os.open(path, flags, 0o600)


def database_file(folder: Path) -> Path:
    return folder / "label-studio" / "label_studio.sqlite3"


def first_start(folder: Path) -> Path:
    """Is there from the moment that Label Studio begins to make its database until it has answered."""
    return folder / "label-studio" / "first-start"


def log_file(folder: Path, name: str) -> Path:
    return folder / "logs" / f"{name}.log"


def open_log(path: Path) -> None:
    """Begin a new chapter; a log grown too long is set aside as `.1` first."""
    if path.exists() and path.stat().st_size > BIGGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    with open(path, "a", encoding="utf-8", opener=for_its_owner) as log:
        log.write(f"{CHAPTER}{datetime.now():%Y-%m-%d %H:%M:%S}\n")


def tail(path: Path) -> list[str]:
    """The lines since the last start, of a file however long: at most those in its last 100 kB."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 100_000))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text.rpartition(CHAPTER)[2].splitlines()[1 if CHAPTER in text else 0 :]
