"""Which address wins, and what is said when there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from labelwise.tasks.errors import ServiceDown
from labelwise.tasks.services.addresses import addresses
from labelwise.tasks.services.home import NAMES, Addresses, home
from labelwise.tasks.services.local import servers

LOCAL = {
    "LABEL_STUDIO_URL": "http://127.0.0.1:8080",
    "LABEL_STUDIO_API_KEY": "local-token",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
    "PREFECT_API_URL": "http://127.0.0.1:4200/api",
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of the variables set, and a home where nothing runs."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))


def test_the_environment_alone_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: f"https://{name.lower()}.example.org" for name in NAMES}
    for name, value in given.items():
        monkeypatch.setenv(name, f" {value}/ ")

    assert addresses().as_environment() == given


def test_the_environment_wins_over_the_local_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "running", lambda: dict(LOCAL))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    monkeypatch.setenv("PREFECT_API_URL", "")  # set, but to nothing: the same as not set

    assert addresses().as_environment() == LOCAL | {"MLFLOW_TRACKING_URI": "https://mlflow.example.org"}


def test_nothing_set_and_nothing_running() -> None:
    with pytest.raises(ServiceDown) as caught:
        addresses()

    assert str(caught.value) == (
        "no local server runs for Label Studio, MLflow and Prefect. To mend it: `labelwise up`, or set "
        "LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY, MLFLOW_TRACKING_URI and PREFECT_API_URL"
    )
    assert caught.value.exit_code == 5


def test_says_only_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        servers, "running", lambda: {name: value for name, value in LOCAL.items() if name != "PREFECT_API_URL"}
    )

    with pytest.raises(ServiceDown, match=r"no local server runs for Prefect\. .* or set PREFECT_API_URL$"):
        addresses()


@pytest.mark.parametrize("name", ["LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"])
def test_one_servers_token_never_goes_to_another(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(servers, "running", lambda: dict(LOCAL))
    monkeypatch.setenv(name, "https://labels.example.org")

    with pytest.raises(ServiceDown, match=f"only {name} is set"):
        addresses()


def test_the_token_is_not_shown() -> None:
    assert "local-token" not in repr(Addresses(**{name.lower(): value for name, value in LOCAL.items()}))


def test_home_is_beside_the_environment_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert home() == tmp_path.resolve() / "home"
    monkeypatch.delenv("LABELWISE_HOME")
    assert home() == (Path(sys.prefix).parent / ".labelwise").resolve()


def test_home_of_an_installed_package_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Beside the environment of a tool, or of the system, there is no place for it."""
    monkeypatch.delenv("LABELWISE_HOME")
    placed = tmp_path / "labelwise" / "tasks" / "services" / "home.py"
    monkeypatch.setattr("labelwise.tasks.services.home.__file__", str(placed))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert home() == (tmp_path / "data" / "labelwise").resolve()
    monkeypatch.setenv("HOME", "/not-there")
    assert home() == (tmp_path / ".labelwise").resolve()
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".labelwise").mkdir()  # of a version that always had it there
    assert home() == (tmp_path / ".labelwise").resolve()


def test_no_sdk_is_imported_on_the_way() -> None:
    code = "import sys, labelwise.tasks.services.local; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"mlflow", "prefect", "label_studio_sdk", "dvc", "pandas", "starlette"}.isdisjoint(shown.stdout.split())
