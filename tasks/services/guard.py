"""MLflow's and Prefect's servers for this machine's own people: strange names and strange pages are refused.

A web page that somebody has open may send requests to any port of his machine, and may give its own name to this
machine's address to read what comes back (DNS rebinding). Of itself Prefect answers both, and MLflow lets every page of
this machine change what it holds. Label Studio has such a check of its own, which `labelwise up` sets to the same names
(see `local`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:  # who only asks for the names, as every command does, waits for no web framework
    from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS = "LABELWISE_HOSTS"  # names, divided by commas, under which the servers are asked besides OWN
OWN = ("127.0.0.1", "localhost", "[::1]")


def hosts() -> list[str]:
    """The names under which a local server may be asked: this machine's own, and those of LABELWISE_HOSTS."""
    return list(dict.fromkeys([*OWN, *filter(None, map(str.strip, os.environ.get(HOSTS, "").lower().split(",")))]))


def admitted(host: str, origin: str | None, allowed: list[str]) -> bool:
    """Whether a request may be answered: `host` is the header Host, `origin` that of the page which sends it.

    A page has to be under an allowed name and at the server's own port: what another server of this machine shows is
    a stranger's page, too. None: no page, or one that only follows a link.

    >>> admitted("127.0.0.1:4200", "http://localhost:4200", ["127.0.0.1", "localhost"])
    True
    >>> [admitted(host, page, ["127.0.0.1"]) for host, page in (("evil.org:4200", None), ("127.0.0.1:4200", "null"))]
    [False, False]
    """
    name, port = _parts(f"//{host}")
    if name not in allowed:
        return False
    if origin is None:
        return True
    page, at = _parts(origin)
    return page in allowed and at == port


def _parts(address: str) -> tuple[str, int | None]:
    """Name and port, the name of a numeric IPv6 address in brackets; an empty name where it is no address."""
    try:
        split = urlsplit(address)
        name = (split.hostname or "").removesuffix(".")
        return f"[{name}]" if ":" in name else name, split.port
    except ValueError:
        return "", None


class Guard:
    """An ASGI application behind that question: 403, before anything of the request reaches it."""

    def __init__(self, inner: ASGIApp, allowed: list[str]) -> None:
        self._inner, self._allowed = inner, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._admits(scope):
            from starlette.responses import PlainTextResponse
            from starlette.websockets import WebSocketClose

            refusal = "Refused: asked under another name than this server's own, or from another page than its own.\n"
            answer = PlainTextResponse(refusal, 403) if scope["type"] == "http" else WebSocketClose(1008)
            await answer(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        given = {name: value.decode("latin-1") for name, value in scope["headers"]}
        return admitted(given.get(b"host", ""), given.get(b"origin"), self._allowed)


def mlflow() -> ASGIApp:
    """MLflow's application behind the guard, for `uvicorn --factory`: what `mlflow server` serves of a database and
    artifacts: those that LABELWISE_MLFLOW_STORE and LABELWISE_MLFLOW_ARTIFACTS name, else in the working folder."""
    from mlflow.server import constants, handlers

    store = os.environ.get("LABELWISE_MLFLOW_STORE", "sqlite:///mlflow.db")
    root = "mlflow-artifacts:/"  # artifacts go through the server, not past it
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.ARTIFACT_ROOT_ENV_VAR: root,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: os.environ.get("LABELWISE_MLFLOW_ARTIFACTS", "./artifacts"),
    }
    handlers.initialize_backend_stores(store, store, root)
    from mlflow.server.fastapi_app import app  # reads the variables

    return Guard(app, hosts())


def prefect() -> ASGIApp:
    """Prefect's application behind the guard, for `uvicorn --factory`."""
    from prefect.server.api.server import create_app

    return Guard(create_app(final=True), hosts())
