"""The model at work: an HTTP service that answers items, and gives people those that it had better not answer."""

import asyncio
import os
import random
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from threadpoolctl import threadpool_limits

from labelwise.flows.wake import Listen
from labelwise.tasks import train
from labelwise.tasks.answering import promised
from labelwise.tasks.answering.at_work import AtWork, Keeper, Served
from labelwise.tasks.answering.online import Online
from labelwise.tasks.answering.quick import AS_LEARNED, Runtime
from labelwise.tasks.answering.service import application
from labelwise.tasks.answering.tickets import Tickets, store
from labelwise.tasks.errors import InputError
from labelwise.tasks.services.guard import Guard, hosts
from labelwise.tasks.services.local.credentials import answer_token, webhook_secret
from labelwise.tasks.services.urls import is_loopback
from labelwise.tasks.workspace import Workspace

Tell = Callable[[str], None]
GRACE_S = 10  # for requests that are being answered when it is stopped


@dataclass(frozen=True)
class Manner:
    """How it serves. version: of the model, '' for the champion, whose successors are taken then. webhook: who is told
    what people said, '' for nobody. runtime: what the model runs on."""

    listen: Listen
    version: str = ""
    webhook: str = ""
    runtime: Runtime = AS_LEARNED


def answer(workspace: Path, manner: Manner, tell: Tell) -> None:
    """Serve until stopped. InputError where there is no model, the address is taken, or the webhook is no address."""
    here = Workspace.open(workspace)
    _refuse_no_address(manner.webhook)
    if here.settings.answer.online and not manner.runtime.same:
        fix = "leave --runtime out, or set answer.online in params.yaml to false"
        raise InputError("answer.online", expected="--runtime torch or onnx", got=manner.runtime.name, fix=fix)
    listening = _socket(manner.listen)
    url = manner.listen.at(listening.getsockname()[1])
    open_ = is_loopback(url) and not os.environ.get("LABELWISE_ANSWER_TOKEN")
    token = "" if open_ else answer_token()
    keeping = promised.Champion(here, manner.version, tell, manner.runtime)
    served = keeping.first()
    tickets = Tickets(store(here))
    at_work = AtWork(here, served, tickets, random.SystemRandom().random, tell)
    keeper = Keeper(at_work, successors(keeping, at_work), manner.webhook, webhook_secret())
    listening.listen()  # who asks as soon as it is said waits a moment, and is not refused
    tell(f"{served.name} answers at {url}: {at_work.promise}")
    tell("callers send the token of LABELWISE_ANSWER_TOKEN" if token else "anybody on this machine may ask")
    keeper.start()
    try:
        app = application(at_work, token)
        # What stands around the encoder is small: threads of BLAS, which spin while they wait, take its cores from it.
        with threadpool_limits(1, user_api="blas"):
            _run(app if token else Guard(app, hosts()), listening)
    finally:
        keeper.close()
        tickets.close()
        listening.close()
    tell("stopped")


def successors(keeping: promised.Champion, at_work: AtWork) -> Callable[[], Served | None]:
    """What takes over from the model at work: another champion, and where `answer.online` says so, what has learned
    since. Gives it, or None, whenever it is called."""
    if not at_work.settings.answer.online:
        return keeping.newer
    learning = Online(at_work.workspace, at_work.tickets, train.with_more, at_work.served)

    def newer() -> Served | None:
        nonlocal learning
        if (champion := keeping.newer()) is not None:
            learning = Online(at_work.workspace, at_work.tickets, train.with_more, champion)
            return champion
        # After an alarm the gold set is not like what comes in, so it does not tell whether another model is right.
        return learning.better(at_work.served) if at_work.holds else None

    return newer


def _run(app: Callable[..., Any], listening: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    for name in (signal.SIGINT, signal.SIGTERM):  # uvicorn ends by these, and raises them again afterwards
        signal.signal(name, lambda *_: None)
    asyncio.run(server.serve(sockets=[listening]))


def _socket(listen: Listen) -> socket.socket:
    """The address, taken before the seconds that a model takes. InputError where somebody has it."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    # Said to be TCP, or asyncio leaves Nagle's algorithm on: the second part of an answer waits 40 ms for the first.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((listen.host, listen.port))
    except OSError as error:
        found.close()
        where = f"--listen {listen.host}:{listen.port}"
        raise InputError(f"{where} cannot be taken", got=error.strerror or str(error), fix="name another one") from None
    return found


def _refuse_no_address(webhook: str) -> None:
    if webhook and not webhook.startswith(("http://", "https://")):
        raise InputError("--webhook", expected="http://NAME/PATH or https://NAME/PATH", got=repr(webhook[:80]))
