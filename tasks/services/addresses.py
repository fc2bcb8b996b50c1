"""Where the four services answer, and with which token: the environment first, the local servers otherwise.

A team's own servers need nothing but the four variables; nobody who runs `labelwise up` needs to set any.
"""

import ipaddress
import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from labelwise.tasks.errors import ServiceDown, plain

NAMES = {
    "LABEL_STUDIO_URL": "Label Studio",
    "LABEL_STUDIO_API_KEY": "Label Studio",
    "MLFLOW_TRACKING_URI": "MLflow",
    "PREFECT_API_URL": "Prefect",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


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


def public(address: str) -> str:
    """An address without user and password: for pages, logs and links.

    >>> public("https://me:secret@mlflow.example.org:5000/x")
    'https://mlflow.example.org:5000/x'
    """
    scheme, found, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if found else address


def is_loopback(url: str) -> bool:
    """Whether an address means the machine that looks it up.

    >>> is_loopback("http://127.0.0.1:8080"), is_loopback("http://labels.example.org")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def ask_directly(*urls: str) -> None:
    """Let no proxy stand between this machine and itself: for every client in this process and in those it starts.

    Loopback, and the hosts of `urls`, join NO_PROXY in both spellings, since libraries differ in which they read. All
    else goes where the user's variables say, but for a proxy that no client of ours can speak to: httpx refuses to
    make any client as long as one is named, also for this machine, so it is left out and said.
    """
    given = {name: os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")}
    direct = [*LOOPBACK, *(urlsplit(url).hostname or "" for url in urls)]
    for name, other in (("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")):
        listed = [host.strip() for host in (given[name] or given[other]).split(",") if host.strip()]
        # A lone * means that nothing goes through a proxy; beside other words it would lose that meaning.
        os.environ[name] = ",".join(listed if listed == ["*"] else dict.fromkeys([*listed, *direct]))
    for name in [name for name in os.environ if name.lower() in PROXIES]:
        value = os.environ[name].strip()
        if value.lower().startswith("socks://"):  # as desktops write it
            os.environ[name] = value = f"socks5{value[5:]}"
        if value and not _usable(value):
            logging.getLogger("labelwise").warning(
                "labelwise: %s=%s is left out: expected http, https, socks5 or socks5h://HOST:PORT", name, plain(value)
            )
            del os.environ[name]


def _usable(proxy: str) -> bool:
    """Whether httpx takes it for a proxy."""
    try:
        found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        return found.scheme in ("http", "https", "socks5", "socks5h") and bool(found.hostname) and found.port != 0
    except ValueError:  # a port that is no number, a bracket that nothing closes
        return False


def home() -> Path:
    """Where the local servers keep data, logs and secrets: LABELWISE_HOME; else `.labelwise` beside the environment of
    a checkout; else, for an installed package, the user's folder for programs' data, which is not removed with an
    environment. Where that cannot be written (HOME=/), or one is there already, it is beside the environment, too."""
    given = os.environ.get("LABELWISE_HOME", "").strip()
    if given:
        return Path(given).expanduser().resolve()
    beside = (Path(sys.prefix).parent / ".labelwise").resolve()
    checkout = (Path(__file__).parents[2] / "pyproject.toml").is_file()
    if checkout or beside.is_dir() or not os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111 - as in terminal
        return beside
    return platformdirs.user_data_path("labelwise").resolve()


def private(name: str) -> Path:
    """A folder in home() that its owner alone may enter; made when it is not there."""
    home().mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home() / name
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def addresses() -> Addresses:
    """Each address from the environment where it is set, else from the local servers.

    Nothing is asked over the network: a service that is set from outside may still not answer.
    ServiceDown where a variable is missing and the local server does not run.
    """
    return Addresses(**{name.lower(): value for name, value in known(*NAMES).items()})


def known(*names: str) -> dict[str, str]:
    """Just these of NAMES: who only reads MLflow need not have Label Studio. ServiceDown as above."""
    found = _from_environment(names)
    if len(found) < len(names):
        from labelwise.tasks.services import local  # only here: who sets all of them never pays for its imports

        found = {name: value for name, value in local.running().items() if name in names} | found
        if missing := [name for name in names if name not in found]:
            wanted = _listed([NAMES[name] for name in missing if name != "LABEL_STUDIO_API_KEY"])
            died = f" ({why})" if (why := local.obituary()) else ""
            raise ServiceDown(
                f"no local server runs for {wanted}{died}",
                fix=f"`labelwise up`, or set {_listed(missing)}",
            )
    ask_directly(*(value for name, value in found.items() if name.endswith(("URL", "URI")) and is_loopback(value)))
    return found


def is_local(name: str) -> bool:
    """Whether what we use for one of NAMES is what the local servers have, and not set from outside to something else.
    The environment alone does not tell: a loop hands all four to the processes it starts."""
    from labelwise.tasks.services import local

    given = os.environ.get(name, "").strip().rstrip("/")
    return not given or given == local.running().get(name)


def _from_environment(names: Iterable[str]) -> dict[str, str]:
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


def _listed(words: list[str]) -> str:
    """Words as a person lists them.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
