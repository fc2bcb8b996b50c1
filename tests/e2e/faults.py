"""`python -m tests.e2e.faults NAME=URL...`: reverse proxies on loopback that can be told to do harm to one request.

Prints a line of JSON: where each proxy listens, and where it takes orders. An order is `POST /arm` with a `Fault`; `GET
/seen` says which requests came since then and whether the fault struck; `POST /calm` ends it and waits until nothing is
under way. All ends when standard input does. A server named `pipe:NAME` is passed on byte by byte (websockets too) and
only knows the fault `down`.
"""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding", "expect"}


@dataclass(frozen=True)
class Fault:
    """What to do to the request number `at` (from 0) of a server, of those whose `METHOD /path` has the pattern `like`.
    seconds: of `slow` and `late`. pids: whom the `kill` kinds kill.

    refuse: not passed on, connection closed; down: so is every later one. lose: passed on, the answer is lost. error,
    busy: not passed on, 500 or 429. done_error: passed on, but 500. slow: the answer comes late. late: passed on late.
    cut: half of it is passed on. half: half of its answer comes back. kill_before, kill_after, kill_during: the
    processes are killed then.
    """

    server: str
    kind: str
    at: int
    seconds: float = 0.0
    pids: tuple[int, ...] = ()
    like: str = ""


class Proxy:
    """In front of one server. It counts the requests and harms one."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.client = httpx.AsyncClient(
            base_url=upstream, timeout=120, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self.under_way = 0
        self.arm(None)

    def arm(self, fault: Fault | None) -> None:
        self.fault = fault
        self.seen: list[str] = []
        self.struck = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        words, fault = f"{request.method} {request.url.path}", self.fault
        number = sum(fault is None or bool(re.search(fault.like, each)) for each in self.seen)
        self.seen.append(words)
        harmed = bool(fault and re.search(fault.like, words) and number == fault.at)
        harmed = harmed or bool(fault and fault.kind == "down" and self.struck)
        self.under_way += 1
        try:
            body = await request.body()
            if fault is None or not harmed:
                await (await self.passed_on(request, body))(scope, receive, send)
                return
            self.struck = self.struck or words
            answer = await HARMS[fault.kind](self, request, body, fault)
            if answer:
                await answer(scope, receive, send)
            else:
                hang_up(receive)
        except Exception:
            hang_up(receive)
        finally:
            self.under_way -= 1

    async def passed_on(self, request: Request, body: bytes) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name not in HOP]
        headers.append(("accept-encoding", "identity"))
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        answer = await self.client.request(request.method, path, content=body, headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name not in HOP}
        return Response(answer.content, answer.status_code, kept)

    async def refuse(self, _request: Request, _body: bytes, _fault: Fault) -> None:
        pass

    async def lose(self, request: Request, body: bytes, _fault: Fault) -> None:
        await self.passed_on(request, body)

    async def error(self, _request: Request, _body: bytes, _fault: Fault) -> Response:
        return Response("out of order", 500)

    async def done_error(self, request: Request, body: bytes, _fault: Fault) -> Response:
        await self.passed_on(request, body)
        return Response("out of order, after all was done", 500)

    async def busy(self, _request: Request, _body: bytes, _fault: Fault) -> Response:
        return Response("too many", 429, {"Retry-After": "1"})

    async def slow(self, request: Request, body: bytes, fault: Fault) -> Response:
        answer = await self.passed_on(request, body)
        await asyncio.sleep(fault.seconds)
        return answer

    async def late(self, request: Request, body: bytes, fault: Fault) -> Response:
        await asyncio.sleep(fault.seconds)
        return await self.passed_on(request, body)

    async def cut(self, request: Request, body: bytes, _fault: Fault) -> None:
        """Half of the body reaches the server, then the line is dead."""
        url = httpx.URL(self.upstream)
        _, writer = await asyncio.open_connection(url.host, url.port)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        lines = [f"{request.method} {path} HTTP/1.1", f"host: {url.host}:{url.port}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items() if name not in HOP]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body[: len(body) // 2])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    async def half(self, request: Request, body: bytes, _fault: Fault) -> Response:
        whole = await self.passed_on(request, body)
        return HalfAnswer(whole.body, whole.status_code, dict(whole.headers))

    async def kill_before(self, _request: Request, _body: bytes, fault: Fault) -> None:
        kill(fault.pids)

    async def kill_after(self, request: Request, body: bytes, fault: Fault) -> None:
        await self.passed_on(request, body)
        kill(fault.pids)

    async def kill_during(self, request: Request, body: bytes, fault: Fault) -> None:
        under_way = asyncio.ensure_future(self.passed_on(request, body))
        await asyncio.sleep(fault.seconds)
        kill(fault.pids)
        with suppress(httpx.HTTPError):
            await under_way


class HalfAnswer(Response):
    """An answer that announces all of its body and brings half."""

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        await asyncio.sleep(0.01)
        hang_up(receive)


Harm = Callable[[Proxy, Request, bytes, Fault], Awaitable[Response | None]]
HARMS: dict[str, Harm] = {
    "refuse": Proxy.refuse,
    "down": Proxy.refuse,
    "lose": Proxy.lose,
    "error": Proxy.error,
    "done_error": Proxy.done_error,
    "busy": Proxy.busy,
    "slow": Proxy.slow,
    "late": Proxy.late,
    "cut": Proxy.cut,
    "half": Proxy.half,
    "kill_before": Proxy.kill_before,
    "kill_after": Proxy.kill_after,
    "kill_during": Proxy.kill_during,
}


def hang_up(receive: Any) -> None:
    """Close the connection without another word; uvicorn has no other way to do so."""
    receive.__self__.transport.abort()


def kill(pids: tuple[int, ...]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Pipe:
    """In front of a server that speaks more than HTTP: bytes there and back, until it is down."""

    def __init__(self, upstream: str) -> None:
        url = httpx.URL(upstream)
        self.host, self.port = url.host, url.port
        self.open: set[asyncio.StreamWriter] = set()
        self.under_way = 0
        self.arm(None)

    def arm(self, fault: Fault | None) -> None:
        self.fault = fault
        self.seen: list[str] = []
        self.struck = ""
        if fault:
            asyncio.get_running_loop().call_later(fault.seconds, self.fall, fault)

    def fall(self, fault: Fault) -> None:
        if self.fault is fault:
            self.struck = "everything"
            for writer in self.open:
                writer.transport.abort()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.struck:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:  # the server itself is down
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self.open |= both
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        self.open -= both


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


async def serve(upstreams: dict[str, str]) -> None:
    proxies: dict[str, Proxy | Pipe] = {}
    ports: dict[str, int] = {}
    running: list[Coroutine[Any, Any, None]] = []

    def listen(app: Any) -> int:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_keep_alive=60)
        running.append(uvicorn.Server(config).serve([listener]))
        return int(listener.getsockname()[1])

    for name, upstream in upstreams.items():
        if name.startswith("pipe:"):
            pipe = proxies[name.removeprefix("pipe:")] = Pipe(upstream)
            server = await asyncio.start_server(pipe.connected, "127.0.0.1", 0)
            ports[name.removeprefix("pipe:")] = server.sockets[0].getsockname()[1]
        else:
            proxy = proxies[name] = Proxy(upstream)
            ports[name] = listen(proxy)

    async def arm(request: Request) -> Response:
        order = await request.json()
        fault = Fault(**order) if order else None
        for name, proxy in proxies.items():
            proxy.arm(fault if fault and fault.server == name else None)
        return JSONResponse({})

    async def seen(_request: Request) -> Response:
        return JSONResponse({name: {"seen": proxy.seen, "struck": proxy.struck} for name, proxy in proxies.items()})

    async def calm(_request: Request) -> Response:
        for proxy in proxies.values():
            proxy.arm(None)
        while any(proxy.under_way for proxy in proxies.values()):
            await asyncio.sleep(0.02)
        return JSONResponse({})

    routes = [Route("/arm", arm, methods=["POST"]), Route("/seen", seen), Route("/calm", calm, methods=["POST"])]
    ports["orders"] = listen(Starlette(routes=routes))
    print(json.dumps(ports), flush=True)
    serving = [asyncio.ensure_future(each) for each in running]
    await asyncio.to_thread(sys.stdin.read)  # until the one who gives orders is gone
    os._exit(len(serving) - len(running))


def as_order(fault: Fault | None) -> Any:
    """A fault as `POST /arm` takes it."""
    return asdict(fault) if fault else {}


if __name__ == "__main__":
    asyncio.run(serve(dict(word.split("=", 1) for word in sys.argv[1:])))
