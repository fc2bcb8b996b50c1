"""The HTTP service of `labelwise answer`: items in, labels out, tickets for those that people get."""

import asyncio
import base64
import binascii
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from labelwise.tasks.answering.at_work import AtWork, Said
from labelwise.tasks.answering.batching import Batcher
from labelwise.tasks.answering.description import described
from labelwise.tasks.answering.predict import value
from labelwise.tasks.answering.reading import faults
from labelwise.tasks.errors import InputError
from labelwise.tasks.learners.serving import Classifier

BODY = 16 * 2**20  # bytes of a request
ITEMS = 1000  # in a request
UNREADABLE = "cannot be read"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Refused(Exception):
    """A request that is not answered: an HTTP status, and why."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status, self.error = status, error


class Metrics:
    """What Prometheus is told."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        here = self.registry
        self.items = Counter("labelwise_items", "Items, by what came of them.", ["result"], registry=here)
        self.seconds = Histogram("labelwise_request_seconds", "From the request to its answer.", registry=here)
        self.refused = Counter(
            "labelwise_refused_requests", "Requests that were not answered.", ["status"], registry=here
        )
        self.tickets = Gauge("labelwise_tickets", "Tickets by state.", ["state"], registry=here)
        self.threshold = Gauge("labelwise_threshold", "The least confidence at which the model answers.", registry=here)
        self.holds = Gauge("labelwise_promise_holds", "0 when what is watched says that it does not.", registry=here)
        self.swaps = Gauge("labelwise_champions_taken", "How often another champion was taken.", registry=here)
        self.trouble = Gauge("labelwise_trouble", "1 while Label Studio, MLflow or the webhook fail.", registry=here)

    def text(self, at_work: AtWork) -> bytes:
        """All of it now."""
        for state, count in at_work.tickets.count().items():
            self.tickets.labels(state).set(count)
        self.threshold.set(at_work.threshold)
        self.holds.set(at_work.holds)
        self.swaps.set(at_work.counts.swaps)
        self.trouble.set(bool(at_work.counts.trouble))
        return generate_latest(self.registry)


def application(at_work: AtWork, token: str) -> Starlette:
    """The service. token: what callers must send as `Authorization: Bearer TOKEN`; '' where anybody who reaches it may
    ask."""
    batcher: Batcher[str, Said] = Batcher(at_work.answer)
    metrics = Metrics()

    def guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Errors as JSON, and nothing before the token was right."""

        async def handle(request: Request) -> Response:
            try:
                _refuse_strangers(request, token)
                return await handler(request)
            except Refused as error:
                metrics.refused.labels(str(error.status)).inc()
                return JSONResponse({"error": error.error}, error.status)
            except ClientDisconnect:
                return Response(status_code=499)

        return handle

    async def answer(request: Request) -> Response:
        with metrics.seconds.time():
            given = _items(await _content(request))
            served = at_work.served
            came, wrong = await run_in_threadpool(_read, given, at_work)
            kept = ["" if fault else served.model.item.tidy(cell) for cell, fault in zip(came, wrong, strict=True)]
            said = iter(await batcher.ask([cell for cell, fault in zip(kept, wrong, strict=True) if not fault]))
            shown = [_shown(served.model, *each, said) for each in zip(came, kept, wrong, strict=True)]
        for each in shown:
            metrics.items.labels("answered" if each["answered"] else each["reason"].partition(":")[0]).inc()
        return JSONResponse({"model": served.name, "answers": shown})

    async def ticket(request: Request) -> Response:
        found = at_work.tickets.get(request.path_params["ticket"])
        if found is None:
            raise Refused(404, "there is no such ticket")
        return JSONResponse(at_work.shown(found))

    async def health(_request: Request) -> Response:
        return JSONResponse(at_work.health())

    async def measured(_request: Request) -> Response:
        return Response(metrics.text(at_work), media_type=TEXT)

    async def openapi(_request: Request) -> Response:
        return JSONResponse(described(at_work.served.model, bool(token)))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(batcher.run())
        yield
        work.cancel()

    routes = [
        Route("/answer", guarded(answer), methods=["POST"]),
        Route("/tickets/{ticket}", guarded(ticket)),
        Route("/metrics", guarded(measured)),
        Route("/health", health),
        Route("/openapi.json", openapi),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _refuse_strangers(request: Request, token: str) -> None:
    given = request.headers.get("authorization", "")
    if token and not hmac.compare_digest(given.encode("latin-1"), f"Bearer {token}".encode()):
        raise Refused(401, "send the token of this service as `Authorization: Bearer TOKEN`")


async def _content(request: Request) -> Any:
    """The JSON of a request."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY:
            raise Refused(413, f"expected at most {BODY // 2**20} MiB in a request: send fewer items at once")
    try:
        return json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused(400, "expected JSON in UTF-8, and these bytes are none") from None
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"expected JSON, got {type(error).__name__}: {str(error)[:120]}") from None


def _items(content: Any) -> list[Any]:
    """The items of a request."""
    given = content.get("items") if isinstance(content, dict) else None
    if not isinstance(given, list) or not given:
        raise Refused(422, 'expected {"items": [...]}, with one item at least')
    if len(given) > ITEMS:
        raise Refused(413, f"expected at most {ITEMS:,} items in a request, got {len(given):,}: send them in parts")
    return given


def _read(given: list[Any], at_work: AtWork) -> tuple[list[str], list[str]]:
    """The items as they came, and what is wrong with each, '' for nothing."""
    model, name = at_work.served.model, at_work.served.model.item.NAME
    try:
        if name == "row":
            if not all(isinstance(each, dict) for each in given):
                raise Refused(422, "expected each item as an object with the columns of a row")
            items: Any = given
        else:
            items = [each.get(name) if isinstance(each, dict) else each for each in given]
            if not all(isinstance(each, str) for each in items):
                raise Refused(422, f'expected each item as a string, or as {{"{name}": "..."}}')
        if name == "image":  # never as a path: no caller has files of this machine read
            items = [base64.b64decode(each.partition("base64,")[2] or each, validate=True) for each in items]
        cells = list(model.item.given(items, model.pull))
    except binascii.Error:
        raise Refused(422, "expected each picture as base64 of its bytes") from None
    except InputError as error:
        raise Refused(422, str(error)) from None
    return cells, faults(model.item, cells, at_work.settings.pull.max_chars)


def _shown(model: Classifier, came: str, kept: str, fault: str, said: Iterator[Said]) -> dict[str, Any]:
    """An answer for other programs."""
    if fault:
        nothing = {"label": None, "confidence": None, "ticket": None}
        return nothing | {"answered": False, "reason": f"{UNREADABLE}: {fault}"}
    one = next(said)
    return {
        "label": value(model, one.label, kept, came),
        "confidence": round(one.confidence, 6),
        "answered": one.answered,
        "reason": one.reason or None,
        "ticket": one.ticket or None,
    }
