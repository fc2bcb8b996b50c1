"""A Prefect deployment that runs the loop on a schedule, and whenever Label Studio says that somebody has answered."""

import asyncio
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from time import sleep
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import tzlocal
from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.exceptions import TerminationSignal
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from labelwise.flows.loop import loop
from labelwise.flows.wake import HEADER, Listen, Listener, Tell, Waker
from labelwise.tasks import wait
from labelwise.tasks.errors import InputError, ServiceError
from labelwise.tasks.services.home import private
from labelwise.tasks.services.label_studio.project import LabelStudioProject, open_project
from labelwise.tasks.services.local.credentials import webhook_secret
from labelwise.tasks.services.mlflow import experiment_name
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, running

POLL_S = 2.0  # how often Prefect is asked for runs that are due: what a wake-up waits for at most


def serve(workspace: Path, cron: str, listen: Listen | None, tell: Tell) -> None:
    """Register the deployment and run it when due, or woken by Label Studio, until stopped.

    listen: where webhooks come in; None: the schedule alone wakes the loop. A run that is due while another is at work
    is left out: the next one does what is to be done. InputError when `cron` is no schedule or the address is taken.
    """
    try:
        zone = time_zone()
        schedule = Cron(cron, timezone=zone)
    except ValueError as error:
        raise InputError(f"--cron {cron!r}", expected='five fields such as "*/10 * * * *"', got=str(error)) from None
    # Prefect keeps a folder of one name there, which belongs to the user of this machine who served first.
    tempfile.tempdir = str(private("tmp"))
    runner = Runner(query_seconds=POLL_S, pause_on_shutdown=True)
    deployment: Any = runner.add_flow(  # an id: outside of an event loop it is no coroutine
        loop,
        name=re.sub("[/%&<>]", "-", experiment_name(Workspace.open(workspace).settings)),  # Prefect takes none of these
        schedule=schedule,
        parameters={"workspace": str(workspace), "max_wait": 0},
        description="Does all that can be done now: takes in answers, learns, asks the next batch.",
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    tell(f"serving {workspace}: looks at {cron!r} ({zone}), until you stop it (Ctrl-C)")
    with _woken(workspace, deployment, listen, tell):
        try:
            asyncio.run(runner.start())
        except (KeyboardInterrupt, TerminationSignal):
            tell("stopped")


@contextmanager
def _woken(workspace: Path, deployment: UUID, listen: Listen | None, tell: Tell) -> Iterator[None]:
    """Listens for Label Studio while the block runs."""
    if listen is None:
        yield
        return
    secret, flag = webhook_secret(), Event()
    path = f"/labelwise/{Workspace.open(workspace).settings.project.id}"
    listener = Listener(listen, path, secret, flag.set)
    registration = Registration(workspace, listener.url, secret, flag.set, tell)
    waker = Waker(flag, lambda: due(workspace), lambda: run_now(workspace, deployment), registration.renew, tell)
    tell(f"Label Studio wakes it at {listener.url}")
    waker.start()
    try:
        yield
    finally:
        waker.close()
        listener.close()
        registration.end()


class Registration:
    """Keeps our webhook in Label Studio's project: there once the project is, there again when somebody removed it.

    new: called when it had to be made or changed: what happened before then nobody was told.
    """

    def __init__(self, workspace: Path, url: str, secret: str, new: Callable[[], None], tell: Tell) -> None:
        self._workspace, self._url, self._secret, self._new, self._tell = workspace, url, secret, new, tell
        self._said = ""
        self._project: LabelStudioProject | None = None  # where it is registered
        self._ended, self._at_work = False, Lock()

    def renew(self) -> None:
        """Make it where it is not there, and change it where it is not as it should be. What Label Studio has against
        it is said once."""
        with self._at_work:
            project = None if self._ended else open_project(Workspace.open(self._workspace).settings)
            if project is None or project.found is None:
                return
            try:
                if project.call(self._url, {HEADER: self._secret}):
                    self._new()
                self._project, self._said = project, ""
            except ServiceError as error:
                if str(error) != self._said:
                    self._said = str(error)
                    self._tell(f"wake-up: {error}; until then the schedule alone wakes the loop")

    def end(self) -> None:
        """Take it back, for good: nobody will listen there."""
        with self._at_work:
            self._ended = True
            if self._project is None:
                return
            try:
                self._project.call_no_more(self._url)
            except ServiceError as error:
                self._tell(f"wake-up: {self._url} stays in Label Studio's project: {error}")


def due(workspace: Path) -> bool:
    """Whether a run now would do more than say for whom it waits."""
    here = Workspace.open(workspace)  # again: params.yaml may have changed
    return running(here) or wait.due(here, Versions(here.root))


def run_now(workspace: Path, deployment: UUID) -> bool:
    """Let the deployment run once, and wait for its end. False when another run is at work."""
    if running(Workspace.open(workspace)):
        return False
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment, name="woken", tags=["woken"])
        state: State | None = run.state
        while state is None or not state.is_final():
            sleep(1)
            state = client.read_flow_run(run.id).state
    return not state.is_cancelled()


def time_zone() -> str:
    """The time zone of the caller, so that '0 9 * * *' is nine in the morning here: TZ where that is set, else
    the machine's. InputError where it has no name, by which alone a schedule knows a zone."""
    given = os.environ.get("TZ", "").removeprefix(":")
    try:
        return ZoneInfo(given).key if given and not given.startswith("/") else tzlocal.get_localzone_name() or "UTC"
    except (ValueError, OSError, KeyError) as error:  # "CET-1CEST", "../x"; two files of the machine that differ
        got = repr(given) if given else " ".join(str(error).split())
        raise InputError("the time zone has no name", expected="TZ=Europe/Berlin, say", got=got) from None
