"""Faults: of which kinds there are, where one strikes by chance or by plan, and how."""

import json
import os
import random
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e import die
from tests.e2e.faults import Fault
from tests.e2e.plays import COLLECT, GROW, REVIEW, RUN, TIMEOUT_S, WEB, Play, Seen
from tests.e2e.processes import ended

WRITES = ("POST", "PATCH", "PUT", "DELETE")
ON_A_REQUEST = [
    *("refuse", "lose", "error", "done_error", "busy", "slow", "late", "cut", "half", "down"),
    *("kill_before", "kill_after", "kill_during"),
]
HERE = [
    *("kill at a place", "kill at a moment", "kill while writing", "Ctrl-C"),
    *("disk full", "disk full for git", "locks left"),
]
KINDS = [*(f"request: {kind}" for kind in ON_A_REQUEST), *HERE, "Prefect down", "server killed"]


@dataclass(frozen=True)
class Plan:
    """A fault to come: its kind, in words, and what `strike` needs."""

    kind: str
    what: str
    how: dict[str, Any]
    of: tuple[str, ...] = RUN  # the command that it strikes


@dataclass
class Struck:
    """A fault that was tried. what: in words; kind: of KINDS; struck: whether the run came to it."""

    kind: str
    what: str
    struck: bool = False
    code: int = 0
    said: str = ""


# Where


def draw(chance: random.Random, kind: str, seen: Seen) -> Plan:
    """Where a fault of a kind strikes, by what an undisturbed run of the round does."""
    return Plan(kind, *_drawn(chance, kind, seen))


def _drawn(chance: random.Random, kind: str, seen: Seen) -> tuple[str, dict[str, Any]]:
    if kind.startswith("request: "):
        wanted = kind.removeprefix("request: ")
        writes = {name: [at for at, words in enumerate(made) if changes(words)] for name, made in seen.requests.items()}
        server = chance.choice([name for name in WEB if writes[name]] or [name for name in WEB if seen.requests[name]])
        made, numbers = seen.requests[server], writes[server] or list(range(len(seen.requests[server])))
        if wanted not in ("cut", "late", "lose", "done_error") and chance.random() < 0.4:
            numbers = list(range(len(made)))
        at = chance.choice(numbers)
        seconds = {"slow": TIMEOUT_S + 0.6, "late": TIMEOUT_S + chance.choice([0.1, 0.6, 3.0]), "kill_during": 0.02}
        fault = Fault(server, wanted, at, seconds.get(wanted, 0.0))
        if chance.random() < 0.5:  # the first of its like: a run that goes on from the middle comes to it too
            fault = replace(fault, at=0, like=f"^{alike(made[at])}$")
        return f"{server} request {fault.at} {fault.like or made[at]}", {"fault": fault}
    if kind == "kill at a place":
        place = chance.choice([place for place, calls in seen.calls.items() if calls and place != die.OPEN])
        nth, when = chance.randrange(seen.calls[place]), chance.choice(["before", "after"])
        return f"{when} {place} call {nth}", {"place": place, "nth": nth, "when": when}
    if kind in ("kill at a moment", "Ctrl-C"):
        seconds = round(chance.uniform(0.05, seen.seconds), 2)
        return f"after {seconds} s", {"seconds": seconds}
    if kind in ("kill while writing", "disk full"):
        if kind == "disk full" and chance.random() < 0.5:
            nth = chance.randrange(seen.calls["os:fsync"])
            return f"os:fsync call {nth}", {"place": "os:fsync", "nth": nth}
        nth = chance.randrange(seen.calls[die.OPEN])
        return f"file {nth}", {"nth": nth}
    if kind == "disk full for git":
        word = chance.choice(["add", "commit"])  # once for the labels, once for the round; a gold command has one
        nth = chance.randrange(2 if seen.calls["labelwise.tasks.labels.ledger:append"] else 1)
        return f"git {word}, call {nth}", {"word": word, "nth": nth}
    if kind == "locks left":
        return "after a kill", {"seconds": round(chance.uniform(0.5, seen.seconds), 2)}
    if kind == "Prefect down":
        seconds = round(chance.uniform(0.0, seen.seconds), 2)
        return f"after {seconds} s", {"fault": Fault("prefect", "down", 0, seconds)}
    name = chance.choice(["label-studio", "mlflow"])
    return f"{name} after {(seconds := round(chance.uniform(0.3, seen.seconds), 2))} s", {
        "server": name,
        "seconds": seconds,
    }


def alike(request: str) -> str:
    """A pattern of requests that differ in no more than the numbers of projects, runs, tasks and rounds.

    >>> alike("POST /api/projects/12/import")
    'POST /api/projects/[^/]+/import'
    """
    like = re.sub(r"/([0-9]+|[0-9a-f]{32}|m-[0-9a-f]{32})(?=/|$)", "/[^/]+", request)
    return re.sub(r"/round-[0-9]+", "/round-[0-9]+", like)


def changes(request: str) -> bool:
    """Whether a request, `METHOD /path`, changes something."""
    return request.split()[0] in WRITES and not request.endswith("/search")


# How

AT_A_PLACE = {"kill at a place": (die.die, -signal.SIGKILL), "Ctrl-C": (die.interrupt, 130)}  # and how it ends


def strike(play: Play, plan: Plan) -> Struck:
    """Play the command that is next once, with one fault."""
    kind, how = plan.kind, plan.how
    stage, struck = play.stage, Struck(kind, plan.what)
    mark = play.log.with_suffix(".struck")
    mark.unlink(missing_ok=True)
    there = lambda: os.close(os.open(mark, os.O_CREAT | os.O_WRONLY))  # noqa: E731  (not by `open`: it may be planted)
    stage.arm(None)
    if "fault" in how:
        fault: Fault = how["fault"]
        if fault.kind.startswith("kill"):
            gate, opened = os.pipe()  # the loop waits until its pid is known to the proxy
            pid = play.start(lambda: os.read(gate, 1))
            stage.arm(replace(fault, pids=(pid,)))
            os.write(opened, b".")
            os.close(gate)
            os.close(opened)
        else:
            stage.arm(fault)
            pid = play.start()
        struck.code = ended(pid)
        struck.struck = bool(stage.looked()[fault.server]["struck"])
        if fault.kind != "late" and struck.code <= 0:
            stage.calm()
        stage.arm(None)
    elif kind in AT_A_PLACE and "place" in how:
        act, code = AT_A_PLACE[kind]
        struck.code = play.run(partial(die.plant, how["place"], how["nth"], how["when"], act))
        struck.struck = struck.code == code
        if how.get("locks"):
            leave_locks(play.root)
    elif kind == "kill while writing":
        struck.code = play.run(partial(die.die_writing, play.root, how["nth"], how.get("name", "")))
        struck.struck = struck.code == -signal.SIGKILL
    elif kind in ("kill at a moment", "Ctrl-C", "locks left", "server killed"):
        pid = play.start()
        struck.struck, struck.code = _after(pid, how["seconds"], partial(_act, play, kind, how, pid))
    elif kind == "disk full":
        plan = partial(die.plant, how["place"], how["nth"], "before", die.full, there) if "place" in how else None
        struck.code = play.run(plan or partial(die.fill_disk, play.root, how["nth"], there))
        struck.struck = mark.exists()
    elif kind == "disk full for git":
        struck.code = play.run(partial(die.fill_disk_of_git, how["nth"], there, how["word"]))
        struck.struck = mark.exists()
    struck.said = play.said()
    if kind == "server killed":
        stage.restart()
    return struck


def _after(pid: int, seconds: float, act: Callable[[], None]) -> tuple[bool, int]:
    """Let a child run for so long, then do something to it. Whether it still ran then, and its exit code."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return False, os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    act()
    return True, ended(pid)


def _act(play: Play, kind: str, how: dict[str, Any], pid: int) -> None:
    if kind == "server killed":
        play.stage.kill_server(how["server"])
        return
    if kind == "Ctrl-C":
        os.killpg(pid, signal.SIGINT)  # a terminal tells git, too
        return
    os.kill(pid, signal.SIGKILL)
    if kind == "locks left":
        leave_locks(play.root)


def leave_locks(root: Path) -> None:
    """What git, DVC and we ourselves leave when they are killed at the worst moment."""
    for name in ("index.lock", "HEAD.lock", "refs/heads/main.lock"):
        (root / ".git" / name).touch()
    stranger = os.getppid()  # lives, but is no DVC: the number has been given again
    held = {"write": {str(root / "data" / "labels"): {"pid": stranger, "cmd": "dvc add"}}, "read": {}}
    record = root / ".dvc" / "tmp" / "rwlock"
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps(held) if root.stat().st_mtime_ns % 2 else '{"write": {"da')
    os.utime(record, (0, 0))
    (root / ".labelwise").mkdir(exist_ok=True)
    (root / ".labelwise" / "lock").touch()


# The boundaries of a round, in the order in which it comes to them. A command that a fault ends is given again, and
# goes on to the next boundary; one that survives it goes on to its end.

GIT_AND_DVC = "labelwise.tasks.services.versions.workspace:Versions"
LABEL_STUDIO = "labelwise.tasks.services.label_studio.project:LabelStudioProject"
MLFLOW = "labelwise.tasks.services.mlflow:Tracking"


def _kill(when: str, place: str, nth: int = 0, **how: Any) -> Plan:
    words = f"{when} {place.partition(':')[2]}" + (f", call {nth}" if nth else "")
    return Plan("kill at a place", words, {"place": place, "nth": nth, "when": when, **how})


def _interrupt(when: str, place: str) -> Plan:
    return replace(_kill(when, place), kind="Ctrl-C")


def _request(kind: str, server: str, like: str, seconds: float = 0.0) -> Plan:
    return Plan(f"request: {kind}", f"{server} {like}", {"fault": Fault(server, kind, 0, seconds, (), like)})


def _of(command: tuple[str, ...], *plans: Plan) -> list[Plan]:
    return [replace(plan, of=command) for plan in plans]


ROUND = [
    Plan("kill while writing", "dvc.lock", {"nth": 3, "name": "dvc.lock"}),
    Plan("disk full", "a file of a stage", {"place": "os:fsync", "nth": 4}),
    _kill("after", f"{GIT_AND_DVC}.push"),  # committed, not tagged
    _request("half", "label_studio", "GET /api/tasks/$"),  # goes on by itself, to the end of round 0
    _kill("after", "labelwise.tasks.labels.ledger:append"),
    _kill("before", f"{GIT_AND_DVC}.push", 0, locks=True),  # labels committed, not sent
    _interrupt("before", "labelwise.tasks.learners.frozen:fit"),
    _kill("after", f"{MLFLOW}._register"),
    _kill("after", f"{MLFLOW}.crown"),
    Plan("disk full for git", "git commit", {"word": "commit", "nth": 0}),
]
GOLD = [
    *_of(
        GROW,
        _kill("after", "labelwise.tasks.gold.trusted:append"),  # drawn, not kept
        _interrupt("after", f"{GIT_AND_DVC}.add"),
        _kill("before", f"{GIT_AND_DVC}.push"),  # committed, not sent
        _request("down", "label_studio", "POST /api/projects/$"),
        _kill("after", f"{LABEL_STUDIO}.create"),
        _interrupt("after", f"{LABEL_STUDIO}.add"),
        _kill("after", f"{LABEL_STUDIO}.tab"),
        _kill("after", f"{GIT_AND_DVC}.push"),  # all done, not said
    ),
    *_of(
        REVIEW,
        _interrupt("after", "labelwise.tasks.gold.trusted:append"),
        _request("done_error", "label_studio", "/import"),
    ),
    *_of(
        COLLECT,
        _kill("after", "labelwise.tasks.gold.trusted:append"),
        _interrupt("after", f"{GIT_AND_DVC}.save"),
    ),
]
FURTHER = [
    _kill("before", f"{GIT_AND_DVC}.record", 3),  # scored, not recorded
    _kill("after", f"{LABEL_STUDIO}.add"),
    _kill("before", f"{LABEL_STUDIO}.progress"),
    _request("late", "label_studio", "/import", TIMEOUT_S + 0.6),
    _request("lose", "label_studio", "POST /api/dm/views/$"),
    _request("done_error", "mlflow", "POST /api/2.0/mlflow/runs/create"),
    _request("cut", "label_studio", "/import"),
    Plan("Prefect down", "after 2 s", {"fault": Fault("prefect", "down", 0, 2.0)}),
    _request("lose", "mlflow", "POST /api/2.0/mlflow/model-versions/create"),
    _request("busy", "label_studio", "POST /api/dm/views/$"),
    *_of(
        GROW,
        _kill("after", f"{LABEL_STUDIO}.add"),  # with people, not kept
        _request("slow", "label_studio", "/import", TIMEOUT_S + 0.6),
    ),
    *_of(
        REVIEW,
        _kill("after", f"{LABEL_STUDIO}.tab"),
        _request("down", "label_studio", "GET /api/tasks/$"),
    ),
    *_of(COLLECT, _request("error", "label_studio", "GET /api/tasks/$"), _kill("before", f"{GIT_AND_DVC}.push")),
]
# `make test` plays the first: two rounds, 0 and 1; `make test-long` the second.
BOUNDARIES = {"round": ROUND, "gold": [*ROUND, *GOLD], "all": [*ROUND, *GOLD, *FURTHER]}
