"""What a team has and one person does not: a PostgreSQL under the servers and an S3-compatible store. Real ones."""

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from moto.server import ThreadedMotoServer

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parts[-2]))
BUCKET = "labelwise"
KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}


UID = 1000  # the Dockerfile's user


def as_user(command: list[str], own: Path) -> list[str]:
    """The command by a user who is not root and may write `own` alone; as it is where the tests are not root's."""
    own.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        return command
    os.chown(own, UID, UID)
    for folder in own.parents:
        if folder.stat().st_mode & 0o055 != 0o055 and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(0o755)  # pytest's are for one user alone
    # It may read what an interpreter below /root needs.
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *reads, *command]


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL on loopback, as an administrator has it."""

    folder: Path
    port: int
    connections: int

    @property
    def address(self) -> str:
        return f"postgresql://team:p%40ss@127.0.0.1:{self.port}"

    def run(self, *command: str) -> None:
        """One of its programs, by a user that is not root: PostgreSQL refuses to be that."""
        other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        program = [*other, str(PROGRAMS[-1] / command[0]), *command[1:]]
        with (self.folder / "out").open("a") as out:
            done = subprocess.run(
                program, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
            )
        assert done.returncode == 0, (self.folder / "out").read_text()[-2000:]

    def make(self) -> None:
        (self.folder / "password").write_text("p@ss")
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        password = f"--pwfile={self.folder / 'password'}"
        self.run("initdb", f"--pgdata={self.folder / 'data'}", "--username=team", "--auth=scram-sha-256", password)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        options += f" -c max_connections={self.connections}"
        log = f"--log={self.folder / 'log'}"
        self.run("pg_ctl", "start", "--wait", f"--pgdata={self.folder / 'data'}", log, f"--options={options}")

    def stop(self) -> None:
        """As `service postgresql restart` does it: its clients are thrown out."""
        self.run("pg_ctl", "stop", "--wait", "--mode=fast", f"--pgdata={self.folder / 'data'}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgresql(connections: int = 100) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="labelwise-postgresql-"))  # not below a folder that is root's alone
    made = Cluster(folder, free_port(), connections)
    try:
        made.make()
        made.start()
        yield made
    finally:
        with suppress(AssertionError):  # it may be stopped already
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def s3() -> Iterator[str]:
    """The address of a store with an empty bucket, in which everything is kept in memory."""
    import boto3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        deadline = time.monotonic() + 30
        store = boto3.client(
            "s3",
            endpoint_url=address,
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
            region_name="us-east-1",
        )
        while True:
            try:
                store.create_bucket(Bucket=BUCKET)
                break
            except OSError:  # it does not listen yet
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield address
    finally:
        server.stop()
