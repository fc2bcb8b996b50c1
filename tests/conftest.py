"""What several tests share: the real servers, started once for the whole run."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.local.servers import down, ps, up
from tests.team import BUCKET, KEYS, Cluster, postgresql, s3

# `make test &` of a shell has SIGINT ignored, and so would have every `labelwise serve` that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A run that fails fails again, and none by the clock; `--hypothesis-profile default` draws cases that no run has seen.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


BEGAN = time.monotonic()
TEAM = "LABELWISE_TEST_TEAM"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=float, help="no long test begins after; -rs --no-fold-skipped names them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    most = item.config.getoption("--minutes")
    if most is not None and item.get_closest_marker("long") and time.monotonic() - BEGAN > 60 * most:
        pytest.skip(f"not begun: {most:g} minutes have passed (--minutes)")


SHARING = ("tests/e2e/test_provable.py", "tests/e2e/test_demo.py")  # whose tests share what takes a minute to make


class Scheduling(LoadScopeScheduling):
    """What goes to a worker at once: of those on the real servers a test, of others a file."""

    def _split_scope(self, nodeid: str) -> str:
        alone = nodeid.startswith("tests/e2e/") and not nodeid.startswith(SHARING)
        return nodeid if alone else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)  # when tests/e2e/conftest.py has marked its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that both workers have something to do until the end."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture(scope="session", autouse=True)
def what_dvc_remembers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """In a folder of this run's own, and not where the loop keeps it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("dvc")))
        yield


@pytest.fixture(scope="session")
def database() -> Iterator[Cluster | None]:
    """What is under the servers: a PostgreSQL where LABELWISE_TEST_TEAM is set, None where each has a file."""
    if not os.environ.get(TEAM):
        yield None
        return
    with postgresql() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """Where models and versions are kept where LABELWISE_TEST_TEAM is set, an address of S3; '' for folders."""
    if not os.environ.get(TEAM):
        yield ""
        return
    with s3() as address, pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        for name in ("AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"):
            patch.setenv(name, address)
        yield address


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, database: Cluster | None, store: str) -> Iterator[Addresses]:
    """Label Studio, MLflow and Prefect, real ones, in a home of their own, and the four variables that lead there.

    LABELWISE_TEST_HOME names a home to use instead, so that a second run skips the minute of the first start; servers
    that already run there are left running. Each of several workers has servers of its own.
    """
    kept, worker = os.environ.get("LABELWISE_TEST_HOME"), os.environ.get("PYTEST_XDIST_WORKER", "")
    home = str(Path(kept) / worker) if kept else str(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABELWISE_HOME", home)
        found = all(server.state == "running" for server in ps())
        addresses = up(print, database.address, f"s3://{BUCKET}/mlflow") if database else up(print)
        for name, value in addresses.as_environment().items():
            patch.setenv(name, value)
        patch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()  # it may have been imported before its address was known
        yield addresses
        patch.setenv("LABELWISE_HOME", home)
        if not found:
            down()
