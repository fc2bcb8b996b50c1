"""The demo: three rounds of 25, with a program standing in for the reviewers. BBC News, one section an article; or, as
`multilabel`, facts of each (see facts.py), any number of which may hold; or, as `rare`, whether it is of one section,
of which most articles are left out. Or something else that is said, or another kind of item, see demos/."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from labelwise.flows import facts
from labelwise.flows.demos import Edition, Material, entities, language_model, pictures, recordings
from labelwise.flows.demos import people as several
from labelwise.flows.demos.news import bbc_news
from labelwise.flows.prefect_server import prefect_may_go, prepare
from labelwise.tasks import figures, settings
from labelwise.tasks.errors import InputError, ServiceError, quantity
from labelwise.tasks.finish import saved
from labelwise.tasks.items import stored
from labelwise.tasks.labels import ledger, roster, rules, weak
from labelwise.tasks.labels import people as who_labels
from labelwise.tasks.labels.judged import Judged
from labelwise.tasks.proof import money
from labelwise.tasks.records import content_id
from labelwise.tasks.reporting.rounds import table
from labelwise.tasks.reporting.status import lines, status
from labelwise.tasks.services.home import home
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.local import servers
from labelwise.tasks.settings import kind_of
from labelwise.tasks.upkeep import init, llm
from labelwise.tasks.upkeep import rules as rules_of
from labelwise.tasks.workspace import Workspace

ROUNDS = 3
WRONG, CONFIDENCE = 0.05, 0.95  # of the finished pool that the demo ends with
MANY = 20  # batches, more than any finish asks
NEWS = "BBC News"
ABOUT = {
    ("text", "multilabel"): facts.ABOUT,
    ("text", "spans"): entities.ABOUT,
    ("image", "choice"): pictures.ABOUT,
    ("row", "choice"): recordings.ABOUT,
}
PEOPLE_NAME = "bbc-news-people"
RARE_NOISE = (0.005,)  # there, or more answers would say RARE by mistake than there are articles of it
RARE, OTHER, RARE_NAME = "entertainment", "other", "bbc-news-rare"
LEFT = 0.12  # share of the articles of RARE that `demo --rare` keeps: about one in forty is of it, then
RARE_GOLD_SHARE = 0.4  # there, so that some of RARE are among them


def edition(answer: str, rare: bool, item: str = "text", people: bool = False) -> Edition:
    """SettingsError for a kind that does not exist; InputError for one that has no demo, and for what is of one kind
    alone."""
    kind = kind_of(item, answer)
    for asked, word in ((rare, "--rare"), (people, "--people")):
        if asked and (item, answer) != ("text", "choice"):
            got = f"--item {item} --answer {answer}"
            raise InputError(f"demo {word}", expected="--item text --answer choice", got=got)
    if rare and people:
        raise InputError("demo", expected="--rare or --people", got="both")
    if people:
        more: dict[str, Any] = {"noises": several.NOISES, "rules": several.RULES}
        return Edition(PEOPLE_NAME, kind, NEWS, "2,000 articles", news_material, **more)
    if rare:
        return Edition(RARE_NAME, kind, NEWS, "2,000 articles", news_material, RARE_GOLD_SHARE, RARE_NOISE)
    editions = {
        ("text", "choice"): Edition("bbc-news", kind, NEWS, "2,000 articles", news_material),
        ("text", "multilabel"): Edition("bbc-news-facts", kind, NEWS, "2,000 articles", news_material),
        ("text", "spans"): Edition(
            "bbc-news-entities", kind, NEWS, "2,000 sentences", entities.make, answered="answers.jsonl"
        ),
        ("image", "choice"): Edition(
            "digits", kind, "handwritten digits", "1,800 pictures", pictures.make, answered="answers"
        ),
        ("row", "choice"): Edition(
            "recordings", kind, "made recordings", "1,200 windows", recordings.make, answered="answers.parquet"
        ),
    }
    if (item, answer) not in editions:
        known = ", ".join(f"--item {item} --answer {answer}" for item, answer in editions)
        raise InputError(f"demo: --item {item} --answer {answer} has no demo", expected=known)
    return editions[item, answer]


def demo(
    folder: Path | None,
    tell: Callable[[str], None],
    answer: str = "choice",
    rare: bool = False,
    item: str = "text",
    people: bool = False,
) -> None:
    """Servers, workspace, rounds and a table. Run again, it plays three more rounds in the same workspace.

    folder: None for `demo`, `demo-ANSWER` or `demo-ITEM` where that is another kind, `demo-rare` or `demo-people`.
    answer, item: as in `kind`. rare: whether one section is to be found among all others; people: whether reviewers
    of different worth answer, and rules. InputError where the folder holds another demo's workspace.
    """
    asked = edition(answer, rare, item, people)
    given = ((item, "text"), (answer, "choice"), ("rare" if rare else "", ""), ("people" if people else "", ""))
    folder = folder or Path("-".join(["demo", *(word for word, usual in given if word != usual)]))
    if people:
        tell(f"demo: {several.ABOUT}")
    if (item, answer) in ABOUT:
        tell(f"demo: {ABOUT[item, answer]}")
    if rare:
        tell(f"demo: {RARE} or {OTHER}: {1 - LEFT:.0%} of the articles of {RARE} were left out, to make it rare")
    if (folder / "params.yaml").exists():
        refuse_other(folder, asked)
    tell("demo: 1 of 3: three servers (the first start of Label Studio takes about a minute)")
    servers.up(tell)
    source = folder.with_name(f"{folder.name}.source")
    if (folder / "params.yaml").exists():
        tell(f"demo: 2 of 3: the workspace {folder} is there already: going on with it")
    else:
        tell(f"demo: 2 of 3: {asked.what} into a new workspace, {folder}")
        new_workspace(folder, source, asked)
    # As many as have an account can be asked about an item.
    accounts = [Reviewer(number + 1).id for number in range(len(asked.noises) if people else 0)]
    if people and not (folder / roster.FILE).exists():
        (folder / roster.FILE).write_text(several.EXPERT.format(number=accounts[0]), encoding="utf-8")
    prepare(folder)
    workspace = Workspace.open(folder)
    rounds = ROUNDS - ledger.current_round(workspace.labels) % ROUNDS
    tell(f"demo: 3 of 3: {quantity(rounds, 'round')}; the first encodes {asked.items} (about a minute on two cores)")
    if not people:
        tell(f"demo: a program stands in for two reviewers; {100 * asked.noises[0]:g} % of its answers are wrong")
    from labelwise.flows.loop import finish, loop

    root, finishes = str(folder.resolve()), asked.kind.answer == "choice" and item == "text" and not (rare or people)
    if asked.rules and not weak.shards(workspace):
        with prefect_may_go():
            loop(root, 0)
        tell(f"demo: {folder / rules.FILE}, which is the demo's own, runs here:")
        show(rules_of.run(Workspace.open(folder), False, lambda _question: True, tell), workspace, tell)
        several.ask_language_model(folder, tell)
    with reviewers(folder, asked.answers(source), rounds, asked.noises), prefect_may_go():
        loop(root, rounds)
    if finishes and not figures.looks(workspace):
        tell(f"demo: and the rest of the pool, at most {WRONG:.0%} of it wrong")
        with prefect_may_go():
            finish(root, WRONG, CONFIDENCE, 0)  # takes back the open batch before anybody answers it
        if Workspace.open(folder).settings.select.finish:
            with reviewers(folder, asked.answers(source), MANY, asked.noises), prefect_may_go():
                finish(root, WRONG, CONFIDENCE)
        with prefect_may_go():
            loop(root, 0)  # a batch for whoever looks at the demo
    finale(workspace)
    if people:
        tell("demo: labelwise rules --dry-run")
        show(rules_of.run(Workspace.open(folder), True, None, tell), workspace, tell)
        if language_model.is_here():
            tell("demo: labelwise llm")
            here = Workspace.open(folder)
            for line in llm.lines(llm.found(here), here.settings):
                tell(line)
        tell("demo: labelwise people")
        for line in who_labels.run(workspace):
            tell(line)


def show(found: list[Judged], workspace: Workspace, tell: Callable[[str], None]) -> None:
    """How good each rule is."""
    for line in rules_of.lines(found, stored.items(workspace)):
        tell(line)


def refuse_other(folder: Path, asked: Edition) -> None:
    """InputError where the workspace there is of another demo."""
    there = Workspace.open(folder).settings
    rare, people = RARE in there.classes and OTHER in there.classes, there.project.name == PEOPLE_NAME
    theirs = edition(there.kind.answer, rare, there.kind.item, people)
    if theirs != asked:
        kind = f"--item {theirs.kind.item} --answer {theirs.kind.answer}".removeprefix("--item text ")
        way = {RARE_NAME: "--rare", PEOPLE_NAME: "--people"}.get(theirs.name, kind)
        fix = f"give another folder, or {way} to go on with this one"
        raise InputError(f"demo: the workspace {folder}", expected=asked.name, got=theirs.name, fix=fix)


def thinned(news: pd.DataFrame) -> pd.DataFrame:
    """The articles with a label RARE or OTHER, most of RARE left out, the same ones always."""
    left = news.text.map(lambda text: int(content_id(f"left {text}"), 16) % 1000 < 1000 * LEFT)
    kept = news[(news.label != RARE) | left]
    return kept.assign(label=kept.label.where(kept.label == RARE, OTHER)).reset_index(drop=True)


def new_workspace(folder: Path, source: Path, asked: Edition) -> None:
    """Sources as a user would have them, and a workspace of them."""
    made = asked.make(asked, source)
    init.run(folder, str(made.pool), str(made.gold), None, asked.name, None, made.columns, kind=asked.kind)
    settings.change(folder / "params.yaml", dict(made.settings))
    if asked.rules:
        (folder / rules.FILE).write_text(asked.rules, encoding="utf-8")


def news_material(asked: Edition, source: Path) -> Material:
    """A pool of articles without labels, a gold set, and the answers, kept apart."""
    news, kind = bbc_news(), asked.kind
    if kind.answer == "multilabel":
        news = facts.with_facts(news)
    if asked.name == RARE_NAME:
        news = thinned(news)
    is_gold = news.text.map(lambda text: int(content_id(text), 16) % 100 < 100 * asked.gold)
    source.mkdir(parents=True, exist_ok=True)
    news[~is_gold][["text"]].to_csv(source / "pool.csv", index=False)
    news[is_gold].to_csv(source / "gold.csv", index=False)
    news[~is_gold].to_csv(source / "answers.csv", index=False)
    changes: dict[str, Any] = {"train.learner": "ensemble"}  # tuning an encoder would take minutes a round
    if kind.answer == "multilabel":
        changes["classes"] = facts.descriptions()
    if asked.name == PEOPLE_NAME:
        changes |= several.SETTINGS
    return Material(source / "pool.csv", source / "gold.csv", source / "answers.csv", changes)


@contextmanager
def reviewers(folder: Path, answers: Path, batches: int, noises: tuple[float, ...]) -> Iterator[None]:
    """Two reviewers, or as many as there are shares of wrong answers, in a process of their own, for as long as the
    block runs. ServiceError where they fail: nobody else would answer, and the block would wait for ever."""
    command = ["-P", "-m", "labelwise.flows.cli", "review", "--answers", str(answers), "--workspace", str(folder)]
    shares = ["--noise", ",".join(map(str, noises)), "--users", str(max(len(noises), 2))]
    options = [*shares, "--batches", str(batches)]
    process = subprocess.Popen([sys.executable, *command, *options])

    def watch() -> None:
        if process.wait() > 0:  # below 0 it is we who ended them
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        if not process.poll():
            raise
        raise ServiceError("demo: the reviewers failed, see above", fix="`labelwise demo` goes on from here") from None
    finally:
        process.terminate()
        process.wait()


def blind(metrics: dict[str, float], by_class: pd.DataFrame, rare: str) -> str:
    """What accuracy would have said of a model that looks for a rare class.

    >>> by_class = pd.DataFrame({"class": ["ham", "spam"], "items": ["490", "10"]})
    >>> blind({"accuracy": 0.984, "items": 500}, by_class, "spam")
    'Accuracy would say 98.4% here, and 98.0% of a model that never says spam.'
    """
    if "accuracy" not in metrics:
        return ""
    of_class = int(by_class["items"][by_class["class"] == rare].iloc[0])
    never = 1 - of_class / metrics["items"]
    return f"Accuracy would say {metrics['accuracy']:.1%} here, and {never:.1%} of a model that never says {rare}."


def finale(workspace: Workspace) -> None:
    """What came of it, and where to look; narrow enough for any terminal."""
    measure = workspace.settings.measure.words
    by_stage = figures.seconds_by_stage(workspace).set_index("round")
    waits = by_stage.columns.intersection(list(money.WAITING))
    seconds = pd.DataFrame({"machine": by_stage.drop(columns=waits).sum(axis=1), "people": by_stage[waits].sum(axis=1)})
    cells = table(figures.curve(workspace), seconds.reset_index(), measure)
    shown = Table(*cells.columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in cells.to_numpy().tolist():
        shown.add_row(*row)
    Console(width=80, highlight=False).print(shown)
    print("\n".join(lines(status(workspace))))
    if workspace.settings.measure.of:
        print(
            f"\n{blind(figures.gold_metrics(workspace), figures.per_class(workspace), workspace.settings.measure.of)}"
        )
    if said := saved(workspace):
        print(f"\n{said}")
    print(f"\nThe sign-in for Label Studio is in {home() / 'secrets.env'}; `labelwise down` stops the servers.")
