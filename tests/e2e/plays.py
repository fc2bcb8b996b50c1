"""Workspaces that are played by forks of this process, on servers behind tests/e2e/faults.py."""

import importlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from labelwise.tasks.services.label_studio.project import open_gold_project, open_project
from labelwise.tasks.services.local import servers
from tests.e2e import die
from tests.e2e.faults import Fault, as_order
from tests.e2e.processes import ended, fork, inside

BATCH = 4
POOL, GOLD = 80, 40
RUN = ("run", "--max-wait", "0")
GROW, REVIEW, COLLECT = ("gold", "grow", "2"), ("gold", "review", "1"), ("gold", "collect")
WITH_MODEL = (RUN, GROW, REVIEW, COLLECT)  # what is played of a round, from the first with a model on
QUICK = {
    "select.batch": BATCH,
    "gold.reserve": 0.25,
    "wait.poll_seconds": [0.1, 1],
    "train.learner": "frozen",
    "train.regularisation": 1.0,
    "evaluate.resamples": 100,
    "promote.rule": "not_worse",  # so that the alias moves with most rounds
    "promote.tolerance": 0.3,
}
TIMEOUT_S = 2  # of requests to Label Studio and MLflow, so that a slow one is cheap to play
WEB = ("label_studio", "mlflow")


class Stage:
    """The servers behind their proxies, the source, and what an undisturbed play leaves and does."""

    def __init__(self, folder: Path, home: str) -> None:
        self.folder, self.home = folder, home
        self.commands = WITH_MODEL  # what is played of a round
        self.mine = not (Path(home) / "servers.json").exists()  # servers that nobody had started end with us
        self.real = self._up()
        upstreams = {"label_studio": self.real.label_studio_url, "mlflow": self.real.mlflow_tracking_uri}
        upstreams["pipe:prefect"] = self.real.prefect_api_url.removesuffix("/api")
        words = [sys.executable, "-m", "tests.e2e.faults", *(f"{name}={url}" for name, url in upstreams.items())]
        self.proxies = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.proxies.stdout is not None
        ports = json.loads(self.proxies.stdout.readline())
        self.orders = httpx.Client(base_url=f"http://127.0.0.1:{ports['orders']}", timeout=60)
        os.environ |= {
            "LABEL_STUDIO_URL": f"http://127.0.0.1:{ports['label_studio']}",
            "LABEL_STUDIO_API_KEY": self.real.label_studio_api_key,
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports['mlflow']}",
            "PREFECT_API_URL": f"http://127.0.0.1:{ports['prefect']}/api",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(TIMEOUT_S),
            "PREFECT_CLIENT_MAX_RETRIES": "1",
            "DO_NOT_TRACK": "true",
        }

    def _up(self) -> Any:
        with _environment(LABELWISE_HOME=self.home):
            return servers.up(lambda _line: None)

    def close(self) -> None:
        self.proxies.communicate()
        if self.mine:
            with _environment(LABELWISE_HOME=self.home):
                servers.down()

    # Orders to the proxies

    def arm(self, fault: Fault | None) -> None:
        self.orders.post("/arm", json=as_order(fault)).raise_for_status()

    def calm(self) -> None:
        self.orders.post("/calm").raise_for_status()

    def looked(self) -> dict[str, Any]:
        return self.orders.get("/seen").json()

    # Servers

    def kill_server(self, name: str) -> None:
        """kill -9 of a server and its children. Its runner stops the others then; all start again."""
        with _environment(LABELWISE_HOME=self.home):
            pid = next(state.pid for state in servers.ps() if state.name == name)
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)] if pid else []
        for process in family:
            with suppress(psutil.Error):
                process.kill()

    def restart(self) -> None:
        self._up()


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in (*values, "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY")}
    os.environ |= values
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


# A play


class Play:
    """One workspace, and what is done to it."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.root = stage.folder / name
        self.log = stage.folder / f"{name}.log"
        self.ended: list[tuple[str, ...]] = []  # the commands that came to their end, in order
        inside(partial(make, self.root, stage), self.log)

    def run(self, prepared: Callable[[], Any] = lambda: None) -> int:
        """The command that is next; its exit code."""
        return ended(self.start(prepared))

    def start(self, prepared: Callable[[], Any] = lambda: None) -> int:
        return fork(partial(run_command, self.root, self.next[1], prepared), self.log)

    @property
    def next(self) -> tuple[int, tuple[str, ...]]:
        """The round, and the command that is to be played of it: round 0 has no model, and so no gold commands."""
        done = len(self.ended) - 1
        of = self.stage.commands
        return (0, RUN) if done < 0 else (1 + done // len(of), of[done % len(of)])

    def people(self, chance: random.Random | None = None) -> None:
        """A command has come to its end: people do what follows from it, and the next one is to be played."""
        self.ended.append(self.next[1])
        if self.next[1] == COLLECT:
            inside(partial(answer_gold, self.root), self.log.with_suffix(".answers"))
        elif self.next[1] == RUN:
            self.answer(None, chance)

    def said(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def answer(self, most: int | None = None, chance: random.Random | None = None) -> int:
        return inside(partial(answer, self.root, most, chance), self.log.with_suffix(".answers"))

    def facts(self) -> Counter[str]:
        from tests.e2e import facts

        return Counter(inside(partial(facts.of, self.root), self.log.with_suffix(".facts")))


def run_command(root: Path, words: tuple[str, ...], prepared: Callable[[], Any]) -> None:
    """`labelwise WORDS`, in a child."""
    from labelwise.flows.cli import main
    from labelwise.tasks.learners import encoder
    from labelwise.tasks.reporting import pictures
    from labelwise.tasks.services import patience
    from labelwise.tasks.services.label_studio import project as label_studio

    encoder.Encoder = Words  # type: ignore[misc,assignment]
    for name in ("learning_curve", "confusion", "calibration"):
        setattr(pictures, name, lambda *_words: Blank())
    patience.PAUSE_S, label_studio.TIMEOUT_S = 0.2, TIMEOUT_S
    patience.TRIES = 4
    prepared()
    sys.argv = ["labelwise", *words, "--workspace", str(root)]
    main()


class Words:
    """Stands in for the encoder, which takes seconds to load: a text's vector follows from its words alone."""

    def __init__(self, _name: str, _max_tokens: int, _precision: str | None = None) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        self.model = HashingVectorizer(n_features=64)

    def encode(self, texts: list[str], progress: Callable[[int], None] = lambda _done: None) -> Any:
        progress(len(texts))
        return self.model.transform(texts).toarray()

    def unknown(self, texts: list[str]) -> Any:
        """Every word has a place."""
        import numpy as np

        return np.zeros(len(texts), dtype=np.float32)


class Blank:
    """Stands in for a picture: drawing takes longer than all else."""

    def savefig(self, path: Path) -> None:
        path.write_bytes(b"a picture")


def make(root: Path, stage: Stage) -> None:
    """A workspace small enough that a round takes seconds."""
    from labelwise.tasks import settings
    from labelwise.tasks.settings import Columns
    from labelwise.tasks.upkeep import init

    source = stage.folder / "source"
    classes = ["business", "politics", "sport"]
    init.run(root, str(source / "pool.csv"), str(source / "gold.csv"), classes, "chaos", None, Columns())
    settings.change(root / "params.yaml", QUICK)


def make_source(folder: Path) -> None:
    """Headlines: short, so that encoding them takes a second."""
    from labelwise.flows.demo import bbc_news

    folder.mkdir(parents=True)
    news = bbc_news()
    news["label"] = news.label.replace({"sports": "sport"})
    news = news[news.label.isin(["business", "politics", "sport"])]
    rows = news.assign(text=news.text.str.split().str[:12].str.join(" ")).drop_duplicates("text")
    rows = rows.sample(POOL + GOLD, random_state=0)
    rows[:POOL][["text"]].to_csv(folder / "pool.csv", index=False)
    rows.to_csv(folder / "answers.csv", index=False)
    rows[POOL:].to_csv(folder / "gold.csv", index=False)


def answer(root: Path, most: int | None, chance: random.Random | None) -> int:
    """Reviewers answer what is open of the present round, `most` items at most; of an item that stands there twice, one
    task, as chance has it. Returns how many."""
    import pandas as pd

    from labelwise.tasks.kinds.choice import result as choice
    from labelwise.tasks.labels import ledger
    from labelwise.tasks.trial import review
    from labelwise.tasks.workspace import Workspace

    here = Workspace.open(root)
    project = open_project(here.settings)
    if project.found is None:
        return 0
    known = review.read_answers(root.parent / "source" / "answers.csv", here.settings)
    tasks = project.tasks(ledger.current_round(here.labels) + 1)
    open_tasks = tasks[~tasks.id.isin(tasks.id[tasks.answers > 0])]
    if chance is not None:
        open_tasks = open_tasks.sample(frac=1, random_state=chance.randrange(2**31))
    rows = pd.DataFrame(open_tasks).drop_duplicates("id").to_dict("records")[:most]
    for row in rows:
        project.client.annotations.create(
            id=int(row["task_id"]), result=choice(known[row["id"]]), lead_time=5.0, was_cancelled=False
        )
    return len(rows)


def answer_gold(root: Path) -> None:
    """Two people answer what is put up for trusted labels, and agree."""
    from labelwise.tasks.gold import trusted
    from labelwise.tasks.kinds.choice import result as choice
    from labelwise.tasks.trial import review
    from labelwise.tasks.workspace import Workspace

    here = Workspace.open(root)
    project = open_gold_project(here.settings)
    known = review.read_answers(root.parent / "source" / "answers.csv", here.settings)
    users: Any = project.client.users.list()
    people = sorted(user.id for user in users)[:2]
    while len(people) < 2:
        name = f"chaos-{len(people)}"
        people.append(project.client.users.create(email=f"{name}@localhost.org", username=name).id)
    for number in trusted.asks(trusted.asked(here)):
        for row in project.tasks(number).to_dict("records"):
            for person in people[int(row["answers"]) :]:
                project.client.annotations.create(
                    id=int(row["task_id"]), result=choice(known[row["id"]]), completed_by=person, was_cancelled=False
                )


# A play that nobody disturbs


@dataclass
class Seen:
    """What an undisturbed run of one round does: requests by server, calls by place, seconds."""

    requests: dict[str, list[str]]
    calls: dict[str, int]
    seconds: float


class Undisturbed:
    """A play that nobody disturbs, played on as far as it is asked: what each command of a round does, and what the
    round leaves."""

    def __init__(self, stage: Stage, tell: Callable[[str], None]) -> None:
        self.play, self.tell = Play(stage, "undisturbed"), tell
        self.seen: dict[tuple[int, tuple[str, ...]], Seen] = {}
        self._facts: list[Counter[str]] = []

    def does(self, number: int, command: tuple[str, ...]) -> Seen:
        """What a command of a round does. Later rounds do as the last that was played."""
        return self.seen.get((number, command)) or self.seen[(len(self._facts) - 1, command)]

    def facts(self, number: int) -> Counter[str]:
        """What there is when this round's batch is with the reviewers, and its trusted labels are taken in."""
        while len(self._facts) <= number:
            self._on()
        return self._facts[number]

    def _on(self) -> None:
        stage, counted = self.play.stage, self.play.log.with_suffix(".counts")
        if self._facts:
            self.play.answer()
        at = self.play.next[0]
        while self.play.next[0] == at:
            _, command = self.play.next
            stage.arm(None)
            begun = time.monotonic()
            if self.play.run(partial(counting, self.play.root, counted)):
                raise RuntimeError(f"the undisturbed play failed: {self.play.log.read_text()[-3000:]}")
            took = time.monotonic() - begun
            requests = {name: stage.looked()[name]["seen"] for name in WEB}
            self.seen[at, command] = Seen(requests, json.loads(counted.read_text())["calls"], took)
            last = at == 0 or command == stage.commands[-1]
            if last:
                self._facts.append(self.play.facts())  # before the reviewers answer
                self.play.ended.append(command)
            else:
                self.play.people()
            made = ", ".join(f"{len(each)} requests to {name}" for name, each in requests.items())
            self.tell(f"undisturbed: round {at}, {' '.join(command)} in {took:.1f} s, {made}")


def counting(root: Path, to: Path) -> None:
    """Write down, when this process ends, how often it came to each place."""
    counts, leave = die.count(die.PLACES, root), os._exit

    def leaving(code: int) -> None:
        to.write_text(json.dumps({"calls": counts, "modules": sorted(sys.modules)}))
        leave(code)

    os._exit = leaving  # type: ignore[assignment]


def import_all() -> None:
    """What a run of the loop needs, once for all of them."""
    import mlflow.pyfunc  # noqa: F401
    from dvc.repo import Repo  # noqa: F401
    from label_studio_sdk import LabelStudio  # noqa: F401

    import tests.e2e.facts  # noqa: F401


def import_as(log: Path) -> None:
    """Import what an undisturbed run has imported in the end."""
    for name in json.loads(log.with_suffix(".counts").read_text())["modules"]:
        with suppress(Exception):
            importlib.import_module(name)
