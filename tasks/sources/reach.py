"""Which addresses a source may be read from.

params.yaml travels with its workspace, and a stranger may have written it. So what it names must not make this machine
ask others of its own network: the metadata service of a cloud, a server behind the firewall. What goes beyond is
allowed by LABELWISE_SOURCES in the environment of the user who runs the loop: words such as `http`, `sftp`, `internal`.
"""

import ipaddress
import os
import socket
from typing import Any
from urllib.parse import urlsplit

from fsspec.core import split_protocol

from labelwise.tasks.errors import InputError

KINDS = ("file", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "https", "memory")
INTERNAL = "internal"  # the word that allows addresses which are not public
OUTSIDE = "outside"  # the word that allows what a table names beyond its folder or bucket and the web
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotPublic(OSError):
    """An address that is not on the public internet was to be connected to."""


def refused(error: BaseException | None) -> bool:
    """Whether this is, or follows from, what `options` refuses: stores wrap it in errors of their own."""
    while error is not None:
        if isinstance(error, NotPublic) or isinstance(getattr(error, "os_error", None), NotPublic):
            return True
        error = error.__cause__ or error.__context__
    return False


def refuse(source: str) -> None:
    """InputError when `source` is of a kind that is not allowed, or its web server not on the public internet."""
    kind = split_protocol(source)[0] or "file"
    if "::" in source:
        kind = "chained"  # one inside the other: archives and caches, whose size nobody checks
    if kind not in KINDS and kind not in _allowed():
        raise InputError(
            f"sources of kind {kind!r} are not read",
            expected="a path or " + ", ".join(f"{kind}://" for kind in KINDS[1:-1]),
            fix=f"fetch it yourself, or allow it by LABELWISE_SOURCES={kind} in the environment",
        )
    if kind in ("http", "https"):
        host = _host(source)
        if INTERNAL not in _allowed():
            _refuse_internal(host)


def options(source: str) -> dict[str, Any]:
    """What the file system of `source` is made with: a web client that keeps to public addresses, redirected or not."""
    if not source.startswith(("http://", "https://")) or INTERNAL in _allowed():
        return {}
    return {"get_client": _public_client}


async def _public_client(**client: Any) -> Any:
    """An aiohttp session that looks at each address it is about to connect to, after the name has been looked up."""
    import aiohttp

    def connect(found: Any) -> socket.socket:
        family, kind, protocol, _, where = found
        if not public(where[0]):
            raise NotPublic(f"{where[0]} is not on the public internet")
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=connect), **client)


def public(address: str) -> bool:
    """Whether an IP address is on the public internet, and is no disguise of one that is not.

    >>> [public(each) for each in ("93.184.216.34", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "2002:7f00:1::")]
    [True, False, False, False, False]
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return public(str(ip.ipv4_mapped))
        if ip.sixtofour or ip.teredo or ip in NAT64:
            return False
    return ip.is_global and not ip.is_multicast


def _host(address: str) -> str:
    """The host of a web address. InputError where it is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError as error:  # a bracket that nothing closes, say
        raise InputError(address, expected="a web address, https://HOST/PATH", got=str(error)) from None


def _refuse_internal(host: str) -> None:
    """A clear word before anything is asked. What it cannot see, a redirect or a name that moves, `connect` refuses."""
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return  # not known here: the store says so itself
    inside = sorted(each for each in found if not public(each))
    if inside:
        raise InputError(
            f"{host} is not on the public internet ({inside[0]})",
            expected="a public web address, s3://, or a file",
            fix=f"fetch it yourself, or allow it by LABELWISE_SOURCES={INTERNAL} in the environment",
        )


def allows(word: str) -> bool:
    """Whether the user who runs the loop has said this word."""
    return word in _allowed()


def _allowed() -> set[str]:
    return set(os.environ.get("LABELWISE_SOURCES", "").replace(",", " ").split())
