"""Prefect's server: what must be so before it is used, and its errors as ours."""

import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from labelwise.tasks.errors import ServiceDown


def prepare(workspace: Path) -> None:
    """What must be so before prefect is imported: its address in the environment, its terminal quiet. Then imports it,
    out of reach of a workspace that somebody else has made: Prefect follows a prefect.toml, pyproject.toml or .env in
    the folder where it is imported, and such a setting may name code to run."""
    import httpx

    from labelwise.tasks.services.addresses import addresses
    from labelwise.tasks.workspace import Workspace

    _ = Workspace.open(workspace).settings  # a bad params.yaml is said before any server is asked
    where = addresses()
    os.environ.update(where.as_environment())
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")  # our own lines say it in brief
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        httpx.get(f"{where.prefect_api_url}/health", timeout=10).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _no_prefect(where.prefect_api_url, error) from None
    with chdir(sys.prefix):
        import prefect.context  # noqa: F401


@contextmanager
def prefect_may_go() -> Iterator[None]:
    """Prefect's errors as one of ours: its server may go while the loop runs. What was done by then stays done."""
    import httpx
    from prefect.exceptions import PrefectException

    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        raise _no_prefect(os.environ["PREFECT_API_URL"], error) from None
    except RuntimeError as error:
        if "reach API" not in str(error):  # Prefect has no class of its own for that
            raise
        raise _no_prefect(os.environ["PREFECT_API_URL"], error) from None


def _no_prefect(url: str, error: Exception) -> ServiceDown:
    return ServiceDown(
        f"Prefect does not answer at {url}",
        got=str(error) or type(error).__name__,
        fix="`labelwise up`, or set PREFECT_API_URL; then run it again",
    )
