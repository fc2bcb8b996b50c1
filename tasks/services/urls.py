"""Addresses as text: what may be shown of one, whether it means this machine, and how this machine asks itself."""

import ipaddress
import logging
import os
from urllib.parse import urlsplit

from labelwise.tasks.errors import plain

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


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
