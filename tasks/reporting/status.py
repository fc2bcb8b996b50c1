"""Where a workspace stands: what is asked, answered, labelled and measured, where to look, and what to do next.

It answers at once, also in a workspace that one may only read and with servers down: nothing is imported that only
learns, the servers are asked by plain HTTP, both at the same time.
"""

import json
import os
import shlex
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks import figures, finish, kinds, stop
from labelwise.tasks.answering import tickets
from labelwise.tasks.errors import LabelwiseError, named, quantity
from labelwise.tasks.figures import ACCURACY, headline
from labelwise.tasks.gold import asking
from labelwise.tasks.items import leaks, stored
from labelwise.tasks.items.withheld import kept_for_gold
from labelwise.tasks.labels import ledger, queues, removed, roster
from labelwise.tasks.proof import champion, finishing, prevalence
from labelwise.tasks.proof.prevalence import Prevalence
from labelwise.tasks.records import number_of, round_tags, tag
from labelwise.tasks.reporting.rounds import events_in_words
from labelwise.tasks.services import player
from labelwise.tasks.services.addresses import addresses
from labelwise.tasks.services.label_studio.project import BatchProgress, LabelStudioProject, labelling, open_project
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.services.urls import public
from labelwise.tasks.services.versions import differences, handover, history, remote
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Settings
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace, holder, read_parquet, unfinished


@dataclass(frozen=True)
class Pool:
    """Items of the pool: all; left to ask; kept for gold. refused: rows in quarantine."""

    items: int
    left: int
    reserve: int
    refused: int


@dataclass(frozen=True)
class Status:
    """round: batches learned from; the open batch is that of round + 1. state: new, running, interrupted, waiting,
    answered or finished. asked and answered: tasks of the open batch, and those that reviewers are done with; skipped:
    of these, by a skip alone; None where Label Studio does not say. labels: items with a label; by_class: how many of
    each. reviewers: what they did besides answering, in words. gold: figures of the last model. trusted: how the gold
    set stands, in words. leaks, grouped: items of the pool that are nearly gold, or of a group that gold has. savings,
    advice: in words. answer: what a person said to the advice, '' for nothing. champion: registered version. standing:
    what stands behind it, in words, '' where nothing is known. commit: of the workspace. urls: the three screens. pool:
    None before the first round.
    loop: who is at work here, '' for nobody. learned_at, answered_at: when the last round was saved and the last answer
    given, ISO 8601, '' for never. next: the command to give, or what to do. player: who plays the rounds, where it is
    another copy of the workspace, in words; '' where it is this one. In a clone without its data the state is
    `no data`, and what follows from the data alone is not known. to_label: what reviewers have to do and where, ''
    for nothing. learned: the last round that was saved, None for none; measured: the round whose model `gold` is
    of; measure: what its `accuracy` is, in words. precise: what precision it has, where one is asked for.
    prevalence: how many items of each class there are in the pool and how many of them are found, as the last round
    counted them; None before there was a label. of_class: the class that the model is judged by, '' for all. finished:
    the promise of the finished pool, or how far it is; '' where nobody has asked for one. at_work: what the model at
    work (`labelwise answer`) promised last on this machine; '' where none was. beside: what people have to answer
    of what it gave to them, and experts of the open batch, and where; '' for nothing."""

    round: int
    state: str
    asked: int | None
    answered: int | None
    labels: int
    reviewers: str
    gold: dict[str, float | None]
    trusted: str
    leaks: int
    grouped: int
    savings: str
    advice: str
    answer: str
    champion: str | None
    standing: str
    commit: str
    urls: dict[str, str]
    problems: list[str]
    by_class: dict[str, int] = field(default_factory=dict)
    pool: Pool | None = None
    loop: str = ""
    learned_at: str = ""
    answered_at: str = ""
    next: str = ""
    skipped: int | None = None
    player: str = ""
    to_label: str = ""
    learned: int | None = None
    measured: int = 0
    measure: str = ACCURACY
    precise: str = ""
    prevalence: Prevalence | None = None
    of_class: str = ""
    finished: str = ""
    at_work: str = ""
    beside: str = ""

    def json(self) -> str:
        """The same for a program."""
        return json.dumps(asdict(self), indent=2)


def status(workspace: Workspace) -> Status:
    """Look at everything; a server that does not answer leaves its part None and a line in `problems`."""
    versions = Versions(workspace.root)
    if remote.missing(workspace):
        return _without_data(workspace, versions)
    number = ledger.current_round(workspace.labels)
    learned = versions.tagged(tag(number))
    with ThreadPoolExecutor(2) as both:
        labelling = both.submit(_label_studio, workspace, versions, number, learned)
        models = both.submit(_mlflow, workspace)
        rows = ledger.today(workspace)
        counting, measured, advice = ledger.effective(rows), headline(workspace), stop.advised(workspace)
        members = kinds.answer(workspace.settings.kind.answer).members
        by_class = Counter(name for label in counting.label for name in members(label))
        near, trusted, pool = leaks.leaked(workspace), asking.standing(workspace), _pool(workspace, rows)
        seen, urls, problems, beside = labelling.result()
        registered, why, remembered, rounds, more = models.result()
    asked, answered, skipped = (seen.total, seen.answered, seen.skipped) if seen else (None, None, None)
    urls |= {"mlflow": rounds} if rounds else {}
    answer, loop = stop.answer_to(advice, remembered), holder(workspace)
    batch = read_parquet(workspace.batch, columns=["id"]) if workspace.batch.exists() else None
    done = finish.done(workspace)
    state = _state(number, learned, batch, asked, answered, bool(loop), unfinished(workspace), bool(done))
    before = number - 1 if number and versions.tagged(tag(number - 1)) else None
    saved = number if learned else before
    last, to_label = ledger.last_look(rows), _to_label(urls, seen)
    elsewhere, hand_over = _player(workspace, versions, remembered)
    return Status(
        round=number,
        state=state,
        asked=asked,
        answered=answered,
        skipped=skipped,
        labels=len(counting),
        reviewers=events_in_words(ledger.happened(workspace.labels)),
        gold={name: measured.get(key) for name, key in FIGURES.items()},
        trusted=trusted,
        leaks=len(leaks.near(near)),
        grouped=len(leaks.grouped(near)),
        savings=figures.proof(workspace).get("said", "savings: no model yet").removeprefix("savings: "),
        advice=advice.words,
        answer=answer,
        champion=registered,
        standing=str(champion.standing(workspace, registered and registered.rsplit("/", 1)[-1]) or why),
        commit=versions.head,
        urls=urls,
        problems=list(dict.fromkeys([*problems, *more, *_hindered(workspace, versions)])),
        by_class={name: by_class[name] for name in workspace.settings.classes},
        pool=pool,
        loop=loop,
        learned=saved,
        measured=before if not learned and before is not None and _measured_before(versions, before) else number,
        measure=workspace.settings.measure.words,
        precise=figures.precise(measured, workspace.settings.measure),
        learned_at="" if saved is None else versions.committed_at(tag(saved)).isoformat(),
        answered_at="" if last is None else last.isoformat(timespec="seconds"),
        next=hand_over or _next(workspace, state, urls, seen is not None, to_label, answer),
        player=elsewhere,
        to_label=to_label,
        beside=beside,
        prevalence=prevalence.counted(workspace),
        of_class=workspace.settings.measure.of,
        finished=finish.going_on(workspace) or done,
        at_work=str(tickets.standing(workspace) or ""),
    )


def _without_data(workspace: Workspace, versions: Versions) -> Status:
    """Of a clone that nobody has given its data: what git and the servers know."""
    number = max(map(number_of, round_tags(versions.git("tag", "--merged", "HEAD", "--list", "round-*"))), default=0)
    learned = versions.tagged(tag(number))
    seen, urls, problems, beside = _label_studio(workspace, versions, number, learned)
    registered, why, remembered, page, more = _mlflow(workspace)
    urls |= {"mlflow": page} if page else {}
    elsewhere, hand_over = _player(workspace, versions, remembered)
    measured, rounds = headline(workspace), figures.curve(workspace)
    try:
        remote.refuse_missing(workspace)
    except LabelwiseError as lack:
        problems.append(str(lack))
    return Status(
        round=number,
        state="no data",
        asked=seen.total if seen else None,
        answered=seen.answered if seen else None,
        skipped=seen.skipped if seen else None,
        labels=0 if rounds.empty else int(rounds.labels.iloc[-1]),
        reviewers="",
        gold={name: measured.get(key) for name, key in FIGURES.items()},
        trusted="not known without the data",
        leaks=0,
        grouped=0,
        savings=figures.proof(workspace).get("said", "savings: no model yet").removeprefix("savings: "),
        advice="not known without the data",
        answer="",
        champion=registered,
        standing=why,
        commit=versions.head,
        urls=urls,
        problems=list(dict.fromkeys([*problems, *more, *_hindered(workspace, versions)])),
        learned=number if learned else None,
        measured=number,
        measure=workspace.settings.measure.words,
        precise=figures.precise(measured, workspace.settings.measure),
        to_label=_to_label(urls, seen),
        beside=beside,
        learned_at=versions.committed_at(tag(number)).isoformat() if learned else "",
        next=hand_over or handover.command(versions, "dvc pull"),
        player=elsewhere,
        prevalence=prevalence.counted(workspace),
        of_class=workspace.settings.measure.of,
    )


def _player(workspace: Workspace, versions: Versions, remembered: dict[str, str]) -> tuple[str, str]:
    """Who plays, where it is another copy, and the command by which this one takes over."""
    other = player.another(workspace, remembered)
    if other is None:
        return "", ""
    try:
        return str(other), player.way(workspace, versions, other)
    except LabelwiseError:  # what hinders it is said by the command itself
        return str(other), command("run", workspace, "--take-over")


def _measured_before(versions: Versions, before: int) -> bool:
    """Whether the round after that one, which was cut off, has not come to figures of its own yet."""
    return not versions.git("diff", "--name-only", tag(before), "--", "metrics/gold.json")


def _pool(workspace: Workspace, rows: pd.DataFrame) -> Pool | None:
    shards = stored.shards(workspace)
    if not shards:
        return None
    ids = pd.Index(pd.concat([read_parquet(shard, columns=["id"]).id for shard in shards]))
    kept = kept_for_gold(ids, workspace.settings)
    closed = ledger.closed(rows).union(kept).union(pd.Index(leaks.leaked(workspace).id))
    refused = sum(stored.rows(file) for file in workspace.quarantine.glob("*.parquet"))
    return Pool(len(ids), int((~ids.isin(closed)).sum()), len(kept), refused)


def _state(
    number: int,
    learned: bool,
    batch: pd.DataFrame | None,
    asked: int | None,
    answered: int | None,
    running: bool,
    unfinished: bool,
    done: bool,
) -> str:
    if running:
        return "running"
    if not learned or batch is None:
        return "new" if number == 0 and batch is None and not unfinished else "interrupted"
    if batch.empty:
        return "finished"
    if asked == 0:
        return "finished" if done else "interrupted"  # before the push
    return "answered" if asked and asked == answered else "waiting"


def _to_label(urls: dict[str, str], seen: BatchProgress | None) -> str:
    """What reviewers have to do, and where; '' for nothing."""
    left = seen.total - seen.answered if seen else 0
    return f"label {left} more: {labelling(urls['label_studio'])}" if left else ""


def _next(workspace: Workspace, state: str, urls: dict[str, str], known: bool, to_label: str, answer: str) -> str:
    """The command that brings the workspace on, or what people have to do. known: whether Label Studio says how far the
    open batch is."""
    if len(urls) < len(SCREENS) or (state == "waiting" and not known):
        return "labelwise up"
    if state == "running":
        return to_label or "wait: the loop is at work"
    if answer == stop.STOP:
        return command("go-on", workspace)
    if state == "finished":
        return command("report", workspace)
    return command("run", workspace, *(["--max-wait", "0"] if state in ("waiting", "answered") else []))


def command(name: str, workspace: Workspace | Path, *words: str) -> str:
    """A command of ours for this workspace, as a shell takes it from anywhere.

    >>> print(command("run", Path("/srv/support tickets"), "--max-wait", "0"))
    labelwise run --workspace '/srv/support tickets' --max-wait 0
    """
    root = workspace.root if isinstance(workspace, Workspace) else workspace.absolute()
    return shlex.join(["labelwise", name, "--workspace", str(root), *words])


# Of `Status.gold`, by the names of `figures.headline`. `accuracy` is the key of the JSON, whatever the kind.
FIGURES = {"accuracy": "score", "low": "score_low", "high": "score_high", "macro_f1": "macro_f1"}
SCREENS = ("label_studio", "mlflow", "prefect")
RAREST = 3  # classes of which is said how many there are


def _label_studio(
    workspace: Workspace, versions: Versions, number: int, learned: bool
) -> tuple[BatchProgress | None, dict[str, str], list[str], str]:
    """How far the open batch is, the addresses of the screens, what hindered to know them, and what the model at work
    gave to people."""
    urls: dict[str, str] = {}
    problems: list[str] = []
    seen, waits = None, ""
    try:
        where = addresses()
        urls = {
            "label_studio": public(where.label_studio_url),
            "mlflow": public(where.mlflow_tracking_uri),
            "prefect": public(where.prefect_api_url.removesuffix("/api")),
        }
        project = open_project(workspace.settings, looking=True)
        if (learned or number) and project.found is not None:
            seen = project.progress(number + 1) if learned else None
            if learned and (other := _other_interface(workspace, versions, project, number)):
                problems.append(other)
            urls["label_studio"] = project.tab_now(
                number + 1 if learned else number, finishing.word(workspace.settings)
            )
            waits = "; ".join(_beside(workspace, project, number + 1))
        elif learned:
            seen = BatchProgress(0, 0)
    except LabelwiseError as error:
        problems.append(str(error))
    return seen, urls, problems, waits


def _beside(workspace: Workspace, project: LabelStudioProject, number: int) -> Iterator[str]:
    """What people have to answer that is not in the round's own tab, and where. number: of the round."""
    if n := project.escalations():
        yield f"answer {n} escalated: {labelling(project.escalated_now())}"
    people, word = roster.read(workspace), finishing.word(workspace.settings)
    for queue in queues.queues(people, people):
        if n := project.count_for(queue.whose, number, open_alone=True):
            where = labelling(project.tab_for_now(queue, number, word))
            yield f"{n} of these for {plain(queue.called, 60)}: {where}"


def _other_interface(workspace: Workspace, versions: Versions, project: LabelStudioProject, number: int) -> str:
    """What is to be said where reviewers see another labelling interface than follows from params.yaml; '' where they
    see that one. It is ours where it follows from params.yaml as it was since the round before `number`."""
    shown = project.shown()
    if shown == project.marked(kinds.interface_of(workspace.settings)):
        return ""
    since = next((tag(n) for n in (number - 1, number) if n >= 0 and versions.tagged(tag(n))), "HEAD")
    later = history.log(versions, f"{since}..HEAD", path=Settings.FILE)
    past = history.settings_at(versions, [since, *(commit.id for commit in later)])
    if any(shown == project.marked(kinds.interface_of(each)) for each in past):
        return "reviewers still choose by params.yaml as it was; the next `labelwise run` shows them what it says now"
    return "somebody changed the labelling interface; the loop puts ours back where it can"


def _mlflow(workspace: Workspace) -> tuple[str | None, str, dict[str, str], str, list[str]]:
    """The champion, why it is that, what the experiment remembers, the address of its page, and what hindered to know
    them."""
    try:
        tracking = open_tracking(workspace.settings, looking=True)
        present, remembered, page = tracking.champion(), tracking.remembered(), tracking.page
    except LabelwiseError as error:
        return None, "", {}, "", [str(error)]
    if present is None:
        return None, "", remembered, page, []
    return f"models:/{tracking.name}/{present.version}", present.tags.get("reason", ""), remembered, page, []


def _hindered(workspace: Workspace, versions: Versions) -> list[str]:
    """What the loop would refuse to begin with, and can be known at once."""
    try:
        differences.refuse_side_tracks(versions)
    except LabelwiseError as error:
        return [str(error)]
    may = os.access(workspace.root, os.W_OK)
    more = versions.of_another() if may else "you may only read this workspace: no loop can run in it"
    return [said for said in [_changed(workspace, versions), more] if said]


def _changed(workspace: Workspace, versions: Versions) -> str:
    """Which files are gone or are not as the last version has them; '' for none, and where somebody is at work."""
    try:
        remote.refuse_missing(workspace)
        if not unfinished(workspace):
            differences.refuse_seen_at_once(versions)
        removed.refuse(workspace, versions)
    except LabelwiseError as error:
        return str(error)
    return ""


def lines(seen: Status) -> list[str]:
    """The same for people."""
    figures: Any = seen.gold
    score = "no model yet" if figures["macro_f1"] is None else "cannot be told by the gold set"
    if figures["accuracy"] is not None:
        score = f"{figures['accuracy']:.3f} (95 % interval {figures['low']:.3f} to {figures['high']:.3f})"
        score += f", the model of round {seen.measured}" if seen.measured != seen.round else ""
        score += f"; {seen.precise}" if seen.precise else ""
    asks = f"; {stop.HOW}" if seen.advice.startswith(stop.STOP) else ""
    advice = seen.advice + (f"; you said {seen.answer}" if seen.answer else asks)
    asked, answered, skipped = seen.asked or 0, seen.answered or 0, seen.skipped or 0
    batch = f"round {seen.round + 1}: {BatchProgress(asked, answered, skipped)}" if asked else "none"
    classes = ", ".join(f"{plain(named([name]), 40)} {n:,}" for name, n in seen.by_class.items() if n)
    none = sum(not n for n in seen.by_class.values())
    classes += (f"; {none} without one" if none else "") if classes else ""
    when = [f"round {seen.learned} saved {seen.learned_at}"] * bool(seen.learned_at)
    when += [f"last answer {seen.answered_at}"] * bool(seen.answered_at)
    pool = seen.pool
    held = f"{quantity(pool.items, 'item')}, {pool.left:,} left to ask, {pool.reserve:,} kept for gold" if pool else ""
    held += f"; {quantity(pool.refused, 'row')} refused (data/quarantine)" if pool and pool.refused else ""
    present = seen.champion or ("not known now" if seen.standing else "none")
    cut_off = "; the last one was cut off, the next goes on from there" if seen.state == "interrupted" else ""
    return [
        f"round        {seen.round} ({seen.state})",
        f"loop         {seen.loop or ('none is at work' + cut_off)}",
        *(f"player       {who}; this copy only looks, `next` lets it take over" for who in [seen.player] if who),
        *(f"when         {said}" for said in ["; ".join(when)] if said),
        *(f"pool         {said}" for said in [held] if said),
        f"labels       {seen.labels}{f' ({classes})' if classes else ''}",
        *(f"classes      {line}" for line in _classes(seen.prevalence, seen.of_class)),
        *(f"reviewers    {did}" for did in [seen.reviewers] if did),
        f"{seen.measure:<12} {score}",
        f"gold set     {seen.trusted}",
        *(f"leaks        {quantity(n, *leaks.OF_POOL)} {leaks.WORDS}" for n in [seen.leaks] if n),
        *(f"groups       {quantity(n, *leaks.OF_POOL)} {leaks.OF_GROUP}" for n in [seen.grouped] if n),
        f"savings      {seen.savings}",
        f"advice       {advice}",
        f"open batch   {batch}",
        f"champion     {present}{seen.standing and f': {seen.standing}'}",
        *(f"finish       {said}" for said in [seen.finished] if said),
        *(f"answer       {said}" for said in [seen.at_work] if said),
        f"commit       {seen.commit[:12]}",
        *(f"{name:<13}{url}" for name, url in seen.urls.items()),
        *(f"problem      {line}" for line in seen.problems),
        *(f"to do        {what}" for what in [seen.beside] if what),
        *(f"to do        {what}" for what in [seen.to_label] if what and what != seen.next),
        f"next         {seen.next}",
    ]


def _classes(there: Prevalence | None, leading: str) -> list[str]:
    """How many there are of the class that the model is judged by and of the rarest ones, in words."""
    if there is None:
        return []
    if all(one.middle is None for one in there.classes):
        return [f"nobody can know how many there are of each: {prevalence.NOBODY}"]
    rarest = there.rarest_first(leading)
    said = "; ".join(there.sentence(one, plain(named([one.name]), 40)) for one in rarest[:RAREST])
    more = len(rarest) - RAREST
    return [f"{said}; {more} more, see the report" if more > 0 else said]
