"""A Prefect deployment that runs the loop on a schedule, served by this process."""

from pathlib import Path

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from flows.loop import loop
from tasks.errors import InputError
from tasks.promote import experiment
from tasks.workspace import Workspace


def serve(workspace: Path, cron: str) -> None:
    """Register the deployment and run it when due, until stopped. InputError when `cron` is no schedule.

    A run that is due while another is at work is left out: the next one does what is to be done.
    """
    try:
        schedule = Cron(cron, timezone=_time_zone())
    except ValueError as error:
        raise InputError(f"--cron {cron!r}", expected='five fields such as "*/10 * * * *"', got=str(error)) from None
    loop.serve(
        name=experiment(Workspace.open(workspace).settings),
        schedule=schedule,
        parameters={"workspace": str(workspace), "max_wait": 0},
        description="Does all that can be done now: takes in answers, learns, asks the next batch.",
        global_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        entrypoint_type=EntrypointType.MODULE_PATH,
        pause_on_shutdown=True,
    )


def _time_zone() -> str:
    """This machine's time zone, so that '0 9 * * *' is nine in the morning here."""
    local = Path("/etc/localtime")
    return str(local.resolve()).partition("zoneinfo/")[2] or "UTC"
