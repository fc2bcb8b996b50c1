"""A port for each server."""

import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock

from labelwise.tasks.services.local.layout import SERVERS, ServerProcesses, Tell


def assigned(record: ServerProcesses, progress: Tell, kept: ExitStack) -> dict[str, int]:
    """A free port for each: the one it had last, its usual one, any."""
    ports: dict[str, int] = {}
    for server in SERVERS:
        last = record[server.name].port if server.name in record else server.port
        wished = (port for port in (last, server.port) if port not in ports.values())
        ports[server.name] = next((port for port in wished if is_free(port) and _keep(port, kept)), 0) or next(
            port for port in iter(any_free, 0) if port not in ports.values() and _keep(port, kept)
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


def is_free(port: int) -> bool:
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


def any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
