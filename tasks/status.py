"""Where a workspace stands: what is asked, answered, labelled and measured, and where to look."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from tasks import champion, gold, push, report, stop
from tasks.errors import LabelwiseError
from tasks.items import leaks
from tasks.items.leaks import leaked
from tasks.labels import ledger
from tasks.promote import gold_metrics, open_tracking
from tasks.records import tag
from tasks.services.addresses import addresses, public
from tasks.services.dvc import Versions
from tasks.workspace import Workspace, running


@dataclass(frozen=True)
class Status:
    """round: batches learned from. state: new, running, interrupted, waiting, answered or finished. asked and answered:
    of the open batch; None where the server does not say. labels: items with a label. reviewers: what they did besides
    answering, in words. gold: figures of the last model. trusted: how the gold set stands, in words. leaks: items of
    the pool that are nearly gold. savings, advice: in words. answer: what a person said to the advice, '' for nothing.
    champion: registered version. standing: what stands behind it, in words, '' where nothing is known. commit: of the
    workspace. urls: the three screens."""

    round: int
    state: str
    asked: int | None
    answered: int | None
    labels: int
    reviewers: str
    gold: dict[str, float | None]
    trusted: str
    leaks: int
    savings: str
    advice: str
    answer: str
    champion: str | None
    standing: str
    commit: str
    urls: dict[str, str]
    problems: list[str]

    def json(self) -> str:
        """The same for a program."""
        return json.dumps(asdict(self), indent=2)


def status(workspace: Workspace) -> Status:
    """Look at everything; a server that does not answer leaves its part None and a line in `problems`."""
    versions = Versions(workspace.root)
    number = ledger.current_round(workspace.labels)
    learned = versions.tagged(tag(number))
    problems: list[str] = []
    asked, answered, urls = _outside(workspace, number, learned, problems)
    measured, advice = gold_metrics(workspace), stop.advised(workspace)
    registered = _champion(workspace, problems)
    return Status(
        round=number,
        state=_state(workspace, number, learned, asked, answered),
        asked=asked,
        answered=answered,
        labels=len(ledger.effective(ledger.read(workspace.labels))),
        reviewers=report.deeds(ledger.happened(workspace.labels)),
        gold={
            "accuracy": measured.get("accuracy"),
            "low": measured.get("accuracy_low"),
            "high": measured.get("accuracy_high"),
            "macro_f1": measured.get("macro_f1"),
        },
        trusted=str(gold.standing(workspace)),
        leaks=len(leaks.near(leaked(workspace))),
        savings=report.proof(workspace).get("said", "savings: no model yet").removeprefix("savings: "),
        advice=advice.words,
        answer=_answer(workspace, advice, problems),
        champion=registered,
        standing=str(champion.standing(workspace, registered and registered.rsplit("/", 1)[-1]) or ""),
        commit=versions.head,
        urls=urls,
        problems=problems,
    )


def _state(workspace: Workspace, number: int, learned: bool, asked: int | None, answered: int | None) -> str:
    if running(workspace):
        return "running"
    if not learned:
        return "new" if number == 0 and not workspace.batch.exists() else "interrupted"
    if pd.read_parquet(workspace.batch).empty:
        return "finished"
    if asked == 0:
        return "interrupted"  # before the push
    return "answered" if asked and asked == answered else "waiting"


def _outside(
    workspace: Workspace, number: int, learned: bool, problems: list[str]
) -> tuple[int | None, int | None, dict[str, str]]:
    """Tasks asked and answered, and the addresses of the screens."""
    urls: dict[str, str] = {}
    asked = answered = None
    try:
        where = addresses()
        urls = {
            "label_studio": public(where.label_studio_url),
            "mlflow": public(where.mlflow_tracking_uri),
            "prefect": public(where.prefect_api_url.removesuffix("/api")),
        }
        project = push.open_project(workspace.settings)
        if learned and project.found is not None:
            seen = project.progress(number + 1)
            asked, answered = seen.total, seen.answered
            if not project.offers(workspace.settings.classes):
                problems.append("somebody changed the labelling interface; the loop puts ours back where it can")
            urls["label_studio"] = project.tab(number + 1) if seen.total else f"{project.url}/projects/{project.number}"
    except LabelwiseError as error:
        problems.append(str(error))
    return asked, answered, urls


def _champion(workspace: Workspace, problems: list[str]) -> str | None:
    try:
        tracking = open_tracking(workspace.settings)
        present = tracking.champion()
    except LabelwiseError as error:
        problems.append(str(error))
        return None
    return f"models:/{tracking.name}/{present.version}" if present else None


def _answer(workspace: Workspace, advice: stop.Advised, problems: list[str]) -> str:
    try:
        return stop.Answers(workspace).to(advice)
    except LabelwiseError as error:
        problems.append(str(error))
        return ""


def lines(seen: Status) -> list[str]:
    """The same for people."""
    figures: Any = seen.gold
    accuracy = "no model yet"
    if figures["accuracy"] is not None:
        accuracy = f"{figures['accuracy']:.3f} (95 % interval {figures['low']:.3f} to {figures['high']:.3f})"
    asks = f"; {stop.HOW}" if seen.advice.startswith(stop.STOP) else ""
    advice = seen.advice + (f"; you said {seen.answer}" if seen.answer else asks)
    batch = "none" if not seen.asked else f"{seen.answered} of {seen.asked} answered"
    return [
        f"round        {seen.round} ({seen.state})",
        f"labels       {seen.labels}",
        *(f"reviewers    {did}" for did in [seen.reviewers] if did),
        f"accuracy     {accuracy}",
        f"gold set     {seen.trusted}",
        *(f"leaks        {n} items of the pool are nearly gold: neither asked nor learned" for n in [seen.leaks] if n),
        f"savings      {seen.savings}",
        f"advice       {advice}",
        f"open batch   {batch}",
        f"champion     {seen.champion or 'none'}{seen.standing and f': {seen.standing}'}",
        f"commit       {seen.commit[:12]}",
        *(f"{name:<13}{url}" for name, url in seen.urls.items()),
        *(f"problem      {line}" for line in seen.problems),
    ]
