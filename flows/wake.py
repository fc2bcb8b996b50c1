"""Wake-up: Label Studio tells us that somebody has answered, and the loop looks for itself.

An event says nothing but "look": it may be lost, doubled, late or forged, and the schedule looks anyway. So the secret
in its header is all that is read of it, and all that it does is to raise a flag. One thread looks while the flag is
raised: an event that comes while a run is at work raises it again, and causes one further look.
"""

import asyncio
import hmac
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from labelwise.tasks.errors import InputError, LabelwiseError

HEADER = "X-Labelwise-Secret"
BODY = 65_536  # bytes of an event that are taken off the wire, to be thrown away
CONNECTIONS = 64  # at once
LONGEST_S = 5.0  # that a connection may last, however slowly it talks
SETTLE_S = 0.5  # answers that come together are one look
LOOK_S = 30.0  # how often the registration is looked after
PAUSES_S = (1.0, 60.0)  # between tries while something else is at work: the first, and the longest

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Listen:
    """Where the listener is: `host` and `port` (0: any that is free). url: where Label Studio finds it, '': there."""

    host: str = "127.0.0.1"
    port: int = 0
    url: str = ""

    @classmethod
    def parse(cls, address: str, url: str = "") -> "Listen":
        """From HOST:PORT. InputError when it is none, or when nobody could call back such an address.

        >>> Listen.parse("127.0.0.1:8765")
        Listen(host='127.0.0.1', port=8765, url='')
        """
        host, colon, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65_536):
            raise InputError(f"--listen {address!r}", expected="HOST:PORT, such as 127.0.0.1:8765")
        if host in ("0.0.0.0", "::") and not url:  # noqa: S104
            fix = "add --webhook-url http://NAME:PORT, by which Label Studio finds this machine"
            raise InputError(f"--listen {address!r} is every address of this machine, and none to call", fix=fix)
        if url and not _callable(url):
            raise InputError("--webhook-url", expected="http://NAME:PORT, nothing more", got=repr(url))
        return cls(host, int(port), url.rstrip("/"))

    def at(self, port: int) -> str:
        """The address on this machine, once the port is known.

        >>> Listen.parse("[::1]:0").at(8765)
        'http://[::1]:8765'
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}"


def _callable(url: str) -> bool:
    """Whether it is http://NAME:PORT, or the same with https, and nothing more."""
    try:
        given = urlsplit(url)
        _ = given.port
    except ValueError:  # a bracket that nothing closes, a port that is no number
        return False
    return given.scheme in ("http", "https") and bool(given.hostname) and not (given.username or given.query)


# The listener


class TimeLimited(H11Protocol):
    """HTTP/1.1, one request a connection, which is cut when it takes too long."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(LONGEST_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


def application(path: str, secret: str, wake: Callable[[], None]) -> Starlette:
    """Answers an event at `path` with 204 and calls `wake`; 401 without the secret, before anything else is read."""

    async def event(request: Request) -> Response:
        given = request.headers.get(HEADER, "").encode("latin-1")
        if not hmac.compare_digest(given, secret.encode("ascii")):
            return _closing(401)
        wake()
        return _closing(204 if await _drained(request) else 413)

    return Starlette(routes=[Route(path, event, methods=["POST"])])


async def _drained(request: Request) -> bool:
    """Take the body off the wire, so that the sender reads our answer and no broken pipe. False: it is too long."""
    seen = 0
    try:
        async for part in request.stream():
            seen += len(part)
            if seen > BODY:
                return False
    except ClientDisconnect:
        pass
    return True


def _closing(status: int) -> Response:
    return Response(status_code=status, headers={"Connection": "close"})


class Listener:
    """The application on a socket of its own, in a thread. `url` is where Label Studio finds it."""

    def __init__(self, listen: Listen, path: str, secret: str, wake: Callable[[], None]) -> None:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        try:
            self._socket = socket.create_server((listen.host, listen.port), family=family)
        except OSError as error:
            fix = "choose another port by --listen HOST:PORT, or --no-webhook"
            got = os.strerror(error.errno) if error.errno else str(error)
            raise InputError(f"cannot listen at {listen.host}:{listen.port}", got=got, fix=fix) from None
        self.port: int = self._socket.getsockname()[1]
        self.url = (listen.url or listen.at(self.port)) + path
        config = uvicorn.Config(
            application(path, secret, wake),
            http=TimeLimited,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="critical",  # anyone who can reach the port could fill the log
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            h11_max_incomplete_event_size=16_384,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.should_exit = True
        self._thread.join(LONGEST_S)
        self._socket.close()


# Who looks


class Waker:
    """Looks when the flag is raised, one look at a time; raised during a look, however often, it is one look more.

    due: whether a run now would do anything. run: plays one run to its end; False when it could not begin, because
    another one is at work. renew: called after each look, and at least every LOOK_S seconds.
    """

    def __init__(
        self, flag: Event, due: Callable[[], bool], run: Callable[[], bool], renew: Callable[[], None], tell: Tell
    ) -> None:
        self._flag, self._due, self._run, self._renew, self._tell = flag, due, run, renew, tell
        self._ended = Event()

    def start(self) -> None:
        """Begin, with a first look: it finds what came while nobody listened."""
        self._flag.set()
        Thread(target=self._work, daemon=True).start()

    def close(self) -> None:
        """End after the present look."""
        self._ended.set()
        self._flag.set()

    def _work(self) -> None:
        self._guarded(self._renew)
        while not self._ended.is_set():
            if self._flag.wait(LOOK_S) and not self._ended.wait(SETTLE_S):
                self._flag.clear()  # from here on an event means a further look
                self._guarded(self._look)
            self._guarded(self._renew)

    def _look(self) -> None:
        """One look; put off while something else is at work."""
        pause, longest = PAUSES_S
        while self._due() and not self._run():
            self._guarded(self._renew)
            if self._ended.wait(pause):
                return
            pause = min(longest, 2 * pause)

    def _guarded(self, do: Callable[[], None]) -> None:
        """What fails is said and left to the schedule: this thread must go on."""
        try:
            do()
        except LabelwiseError as error:
            self._tell(f"wake-up: {error}")
        except Exception as error:  # of Prefect's client and of the wire: there are many kinds
            self._tell(f"wake-up: {type(error).__name__}: {str(error)[:200]}")
