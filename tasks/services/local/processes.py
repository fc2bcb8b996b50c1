"""The processes of the servers, started by honcho from infra/Procfile: found again, and ended."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from labelwise import infra
from labelwise.tasks.errors import ServiceError
from labelwise.tasks.services.local.layout import (
    MARK,
    RUNNER,
    SERVERS,
    ServerProcess,
    ServerProcesses,
    for_its_owner,
    log_file,
    tail,
)
from labelwise.tasks.services.local.story import honcho_log

PROCFILE = Path(infra.__path__[0]) / "Procfile"
_STARTED: list[psutil.Popen] = []  # runners of this process, kept: Python warns when a child that runs is forgotten


def spawn(folder: Path, environment: dict[str, str]) -> psutil.Process:
    """honcho, in a session of its own: it outlives the terminal that started it."""
    # No .env file: honcho would read the one beside the Procfile, which belongs to compose.yaml.
    command = [sys.executable, "-m", "honcho", "--no-colour", "-e", os.devnull, "-f", str(PROCFILE), "start"]
    with open(log_file(folder, RUNNER), "wb", opener=for_its_owner) as log:
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


def children(folder: Path, runner: psutil.Process) -> dict[str, tuple[int, float]]:
    """Pid and time of birth of each server, as soon as honcho has told all three."""
    deadline = time.monotonic() + 30
    while True:
        alive = lives(runner)  # asked first: what it told before it died still counts
        pids = {name: int(pid) for name, pid in re.findall(r"(\S+)\.1 started \(pid=(\d+)\)", honcho_log(folder))}
        if len(pids) == len(SERVERS):
            return {name: (pid, _created(pid)) for name, pid in pids.items()}
        if not alive or time.monotonic() > deadline:
            raise ServiceError("honcho did not start the servers", got=" | ".join(tail(log_file(folder, RUNNER))[-3:]))
        time.sleep(0.05)


def _created(pid: int) -> float:
    """When the process was born; 0 when it has died already (its death is reported from honcho's log)."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def stop(folder: Path, record: ServerProcesses) -> bool:
    """End every process that a start from this folder left; False when there is none."""
    if not ours(folder, record):
        return False
    if runner := process_of(folder, record.get(RUNNER)):
        # honcho tells the servers, kills after 5 s what has not gone, and goes last.
        _signal(runner, psutil.Process.terminate)
        _wait([runner], 12)
    # What honcho does not know of: children of a server that was killed, servers of a runner that was killed.
    for how in (psutil.Process.terminate, psutil.Process.kill):
        left = ours(folder, record)
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
    while (left := [process for process in processes if lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def ours(folder: Path, record: ServerProcesses) -> list[psutil.Process]:
    """All living processes that belong to these servers: those written down, and those that carry the mark."""
    known = {process.pid: process for entry in record.values() if (process := process_of(folder, entry))}
    marked = {process.pid: process for process in psutil.process_iter() if _marked(process, folder) and lives(process)}
    return list((known | marked).values())


def process_of(folder: Path, entry: ServerProcess | None) -> psutil.Process | None:
    """The living process of an entry; None when it is gone, also when its pid went to somebody else."""
    if entry is None or not entry.pid:
        return None
    try:
        process = psutil.Process(entry.pid)
        # The clock may have been set since: then the time of birth seems to have moved, and the mark decides.
        same = abs(process.create_time() - entry.created) < 1 or _marked(process, folder)
        return process if same and lives(process) else None
    except psutil.Error:
        return None


def _marked(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == str(folder)
    except (psutil.Error, OSError):
        return False


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(process: psutil.Process, how: Callable[[psutil.Process], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        how(process)
