"""The folder where this program and its local servers keep what is theirs, and what the environment says of the
services."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from labelwise.tasks.errors import ServiceDown

NAMES = {
    "LABEL_STUDIO_URL": "Label Studio",
    "LABEL_STUDIO_API_KEY": "Label Studio",
    "MLFLOW_TRACKING_URI": "MLflow",
    "PREFECT_API_URL": "Prefect",
}


@dataclass(frozen=True)
class Addresses:
    """Where to reach each service. The token is left out of the repr, so that no log shows it."""

    label_studio_url: str
    label_studio_api_key: str = field(repr=False)
    mlflow_tracking_uri: str
    prefect_api_url: str

    def as_environment(self) -> dict[str, str]:
        """The same under the names that the services' own clients read."""
        return {name: getattr(self, name.lower()) for name in NAMES}


def home() -> Path:
    """Where the local servers keep data, logs and secrets: LABELWISE_HOME; else `.labelwise` in a checkout that holds
    its environment; else the user's folder for programs' data, which is not removed with an environment. Where that
    cannot be written (HOME=/), or there is one already, it is beside the environment, too."""
    given = os.environ.get("LABELWISE_HOME", "").strip()
    if given:
        return Path(given).expanduser().resolve()
    place = Path(sys.prefix).parent.resolve()
    beside = place / ".labelwise"
    checkout = place == Path(__file__).resolve().parents[2]
    if checkout or beside.is_dir() or not can_write_own_folder():
        return beside
    return platformdirs.user_data_path("labelwise").resolve()


def can_write_own_folder() -> bool:
    """Whether the user's own folder can be written, as it cannot with HOME=/."""
    return os.access(os.path.expanduser("~"), os.W_OK)  # noqa: PTH111 - Path.home() raises where there is none


def private(name: str) -> Path:
    """A folder in home() that its owner alone may enter; made when it is not there."""
    home().mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home() / name
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def from_environment(names: Iterable[str]) -> dict[str, str]:
    """Those of the variables that are set, without blanks and closing slashes."""
    given = {name: os.environ.get(name, "").strip().rstrip("/") for name in names}
    known = {name: value for name, value in given.items() if value}
    pair = [name for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY") if name in known]
    if len(pair) == 1:
        # Half of a pair would send one server's token to another.
        raise ServiceDown(
            f"only {pair[0]} is set",
            expected="LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY together",
            fix="set both for a server of your own, or neither for the local one (`labelwise up`)",
        )
    return known


def enumerated(words: list[str]) -> str:
    """Words as a person lists them.

    >>> enumerated(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
