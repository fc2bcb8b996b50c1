"""A PostgreSQL of our own, of the programs that Debian's package brings, on loopback, its data in `postgresql/`."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from labelwise.tasks.errors import ServiceError
from labelwise.tasks.services.local.layout import Tell, log_file, tail, write_private
from labelwise.tasks.services.local.ports import any_free

OWN = "postgresql"  # as `--database` names it
USER = "labelwise"
CONNECTIONS = 200  # Label Studio keeps one a thread, Prefect's pool has 15, MLflow's 15
DEBIAN = Path("/usr/lib/postgresql")


def address(folder: Path) -> str:
    """Where it listens, with its password. ServiceError where there is none yet."""
    try:
        return (folder / OWN / "address").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise ServiceError("there is no PostgreSQL here yet", fix=f"`labelwise up --database {OWN}`") from None


def start(folder: Path, progress: Tell) -> None:
    """Make it where there is none, and start it where it does not run. ServiceError where its programs are missing, or
    it does not come up."""
    place, data = folder / OWN, folder / OWN / "data"
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        fix = "start it as a service and name it: `labelwise up --database postgresql://USER:PASSWORD@127.0.0.1:5432`"
        raise ServiceError("PostgreSQL does not run as root", fix=fix)
    if not (data / "PG_VERSION").exists():
        _make(place, progress)
    if _pg_ctl(data, "status").returncode == 0:
        return
    port = address(folder).rpartition(":")[2]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections={CONNECTIONS}"
    log = log_file(folder, OWN)
    done = _pg_ctl(data, "start", "--wait", "--timeout=60", f"--log={log}", f"--options={options}")
    if done.returncode != 0:
        said = tail(log)[-1:] or done.stderr.splitlines()[-1:] or ["nothing"]
        raise ServiceError("PostgreSQL does not start", got=said[0][:200], fix=f"see {log}")
    progress(f"PostgreSQL: ready at 127.0.0.1:{port}")


def stop(folder: Path) -> None:
    """Stop it where it runs; its clients are told to go."""
    data = folder / OWN / "data"
    if (data / "PG_VERSION").exists() and _pg_ctl(data, "status").returncode == 0:
        _pg_ctl(data, "stop", "--mode=fast", "--wait", "--timeout=60")


def _make(place: Path, progress: Tell) -> None:
    """In a folder of another name first: whatever cuts it off, it is made anew."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch, password = place / "being-made", secrets.token_hex(20)
    shutil.rmtree(scratch, ignore_errors=True)
    write_private(place / "password", password)
    progress("PostgreSQL: making its data, which takes some seconds")
    done = subprocess.run(
        [
            *(_program(None, "initdb"), f"--pgdata={scratch}", f"--username={USER}", "--auth=scram-sha-256"),
            *(f"--pwfile={place / 'password'}", "--encoding=UTF8", "--locale=C.UTF-8"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    (place / "password").unlink()
    if done.returncode != 0:
        raise ServiceError("PostgreSQL's data cannot be made", got=done.stderr.strip()[-200:])
    write_private(place / "address", f"postgresql://{USER}:{password}@127.0.0.1:{any_free()}")
    scratch.rename(place / "data")


def _pg_ctl(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    version = (data / "PG_VERSION").read_text(encoding="utf-8").strip()
    command = [_program(version, "pg_ctl"), *arguments, f"--pgdata={data}"]
    # Not in a pipe: the server that it starts would hold it open.
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          text=True, check=False)  # fmt: skip


def _program(version: str | None, name: str) -> str:
    """The program of this version, else the newest that is there."""
    bins = [path for path in DEBIAN.glob(f"{version or '*'}/bin/{name}") if path.exists()]
    if bins:
        return str(max(bins, key=lambda path: float(path.parts[-3])))
    found = shutil.which(name)
    if found is None:
        what = f"PostgreSQL{f' {version}' if version else ''} is not installed"
        fix = "`apt install postgresql`, or name a server: --database postgresql://USER:PASSWORD@HOST:5432"
        raise ServiceError(what, fix=fix)
    return found
