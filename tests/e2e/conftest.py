"""A small labelling project on the real servers, and how to play it."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, sync_playwright

from labelwise.flows.demo import bbc_news
from labelwise.tasks import settings
from labelwise.tasks.labels import ledger
from labelwise.tasks.services.home import Addresses, home
from labelwise.tasks.services.local import stores
from labelwise.tasks.settings import Columns
from labelwise.tasks.trial import review
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace
from tests.team import BUCKET

CLASSES = ["business", "politics", "sport"]
BATCH = 12
KILLED = """
from pathlib import Path
from tests.e2e import die
die.plant("labelwise.tasks.services.versions.workspace:Versions.save", 0, "before", die.die)
from labelwise.flows.loop import loop
loop({root!r}, None, 0)
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SOON = 60_000  # ms; a busy machine draws slowly


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True)
class Source:
    """Headlines: short, so that encoding them takes a second."""

    pool: Path
    gold: Path
    answers: Path


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source")
    news = bbc_news()
    news["label"] = news.label.replace({"sports": "sport"})
    news = news[news.label.isin(CLASSES)].assign(text=news.text.str.split().str[:12].str.join(" "))
    rows = news.drop_duplicates("text").sample(400, random_state=0)
    made = Source(folder / "pool.csv", folder / "gold.csv", folder / "answers.csv")
    rows[:300][["text"]].to_csv(made.pool, index=False)
    rows[:300].to_csv(made.answers, index=False)
    rows[300:].to_csv(made.gold, index=False)
    return made


Make = Callable[..., Workspace]


@pytest.fixture
def make(servers: Addresses, source: Source, store: str, tmp_path: Path) -> Make:
    """Make a workspace; keyword arguments `select__batch=5` change params.yaml before the first commit."""

    def new(name: str = "news", **changes: object) -> Workspace:
        root = tmp_path / name
        remote = f"s3://{BUCKET}/dvc/{tmp_path.name}/{name}" if store else None
        init.run(root, str(source.pool), str(source.gold), CLASSES, name, remote, Columns())
        dotted = {key.replace("__", "."): value for key, value in changes.items()}
        quick = {
            "select.batch": BATCH,
            "wait.poll_seconds": [0.2, 1],
            "train.learner": "frozen",
            "evaluate.resamples": 200,
            "select.suspects": 0.0,  # each batch is of new items, so that a test can count them
        }
        settings.change(root / "params.yaml", quick | dotted)
        return Workspace.open(root)

    return new


@pytest.fixture
def page() -> Iterator[Page]:
    program = os.environ.get("LABELWISE_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no browser here: install chromium, or name one in LABELWISE_BROWSER")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(SOON)
        yield opened
        browser.close()


def play(workspace: Workspace, rounds: int | None = None, max_wait: float = 0) -> str:
    """The loop in this process; imported late, when Prefect's address is in the environment."""
    from labelwise.flows.loop import loop

    return loop(str(workspace.root), rounds, max_wait)


def killed(workspace: Workspace) -> None:
    """The loop, which dies before it saves what it has learned in this round."""
    program = [sys.executable, "-c", KILLED.format(root=str(workspace.root))]
    died = subprocess.run(program, env=os.environ, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()[-2000:]


def answer(workspace: Workspace, source: Source, **manner: float) -> None:
    """Reviewers answer the open batch."""
    review.run(Workspace.open(workspace.root), source.answers, review.Manner(**manner), print)  # type: ignore[arg-type]


def uncount(task_ids: pd.Series) -> None:
    """As a busy Label Studio leaves them: annotations that it stored and has not counted."""
    forget = "UPDATE task SET total_annotations = 0, cancelled_annotations = 0, is_labeled = {no} WHERE id = {task}"
    if server := stores.kept(home()).postgresql(home()):
        with server.connected(server.name("label-studio")) as opened, opened.cursor() as cursor:
            cursor.executemany(forget.format(no="false", task="%s"), [(int(each),) for each in task_ids])
        return
    forget = forget.format(no="0", task="?")
    with closing(sqlite3.connect(home() / "label-studio" / "label_studio.sqlite3", timeout=60)) as database, database:
        database.executemany(forget, [(int(each),) for each in task_ids])


def play_rounds(workspace: Workspace, source: Source, count: int) -> None:
    """Ask, answer and learn `count` times; the next batch is with the reviewers then."""
    play(workspace)
    for _ in range(count):
        answer(workspace, source)
        play(workspace)


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`labelwise ...` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "labelwise.flows.cli", *words],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=300,
        check=False,
    )


def tool(workspace: Path, *words: str) -> str:
    """What git, dvc or another program of this environment prints in a workspace."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words, cwd=workspace, capture_output=True, text=True, env=os.environ | {"PATH": path}, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def rows(workspace: Workspace) -> pd.DataFrame:
    """The ledger."""
    return ledger.read(workspace.labels)
