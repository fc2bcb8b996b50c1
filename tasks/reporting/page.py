"""The report of a round as one HTML file: the answer first, then what it rests on. No network, no scripts; every text
is escaped, and pictures are images, in which nothing runs."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from labelwise import infra
from labelwise.tasks import figures, stop
from labelwise.tasks.errors import WorkspaceError, quantity
from labelwise.tasks.figures import ACCURACY, headline
from labelwise.tasks.gold import asking
from labelwise.tasks.labels import ledger
from labelwise.tasks.proof import champion, money, prevalence, target
from labelwise.tasks.proof.savings import Interval
from labelwise.tasks.proof.stopping import Advice
from labelwise.tasks.records import tag
from labelwise.tasks.reporting import disagreed, labellers, tables
from labelwise.tasks.reporting.pictures import DARK, LIGHT, as_link, pictures
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, atomic

NEVER = 0.06  # a projected ratio as low as this: random labelling may never come to that accuracy
TONES = {"saves": "good", "costs": "bad", "unclear": "open"}


@dataclass(frozen=True)
class Card:
    """One figure of the answer; tone: good, bad, open or ''."""

    name: str
    figure: str
    said: str
    tone: str = ""


def write(workspace: Workspace, versions: Versions, run_id: str = "") -> Path:
    """Write the page of the present round into .labelwise/reports/; the file. WorkspaceError before the first round.

    run_id: of the round's MLflow run, where it is known.
    """
    path = file_of(workspace)
    with atomic(path) as scratch:
        scratch.write_text(page(workspace, versions, run_id), encoding="utf-8")
    return path


def file_of(workspace: Workspace, what: str = "") -> Path:
    """The file of the present round's page. WorkspaceError before the first round."""
    if not workspace.batch.exists():
        raise WorkspaceError(f"{workspace.root} has no round to report yet", fix="`labelwise run` plays the first one")
    return workspace.scraps / "reports" / f"{tag(ledger.current_round(workspace.labels))}{what}.html"


def page(workspace: Workspace, versions: Versions, run_id: str = "") -> str:
    """The page of the present round."""
    number = ledger.current_round(workspace.labels)
    rows = ledger.today(workspace)
    found, metrics = figures.proof(workspace), headline(workspace)
    advice, limit = stop.advice(workspace), stop.limit(workspace)
    texts = tables.gold_texts(workspace)
    checked = found.get("successor")
    differ, unsettled = disagreed.tables(workspace, rows)
    return render(
        "report.html",
        name=workspace.settings.project.name,
        round=number,
        date=tables.dates(versions).get(number, ""),
        verdict=verdict(
            metrics, found, len(ledger.effective(rows)), bool(advice.stop or limit), workspace.settings.measure.words
        ),
        cards=[
            *_headline_cards(workspace, metrics, found),
            *_of_class(workspace),
            *_targets(workspace),
            _next(advice, limit),
        ],
        successor=_successor(checked) if checked else "",
        warned=bool(checked and checked["worse"]),
        measure=workspace.settings.measure.words,
        pictures=picture_links(workspace, "learning_curve", "calibration"),  # it has the confusion as a table
        measured=bool(found.get("savings")),
        matrix=tables.matrix(workspace),
        rounds=tables.by_round(workspace, versions),
        cost=tables.spent(workspace, rows),
        finish=tables.to_finish(workspace),
        at_work=tables.at_work(workspace),
        labellers=labellers.table(workspace),
        looked=tables.looked_again(workspace, rows),
        differ=differ,
        unsettled=unsettled,
        classes=tables.classes(workspace),
        asked=tables.last_batch(workspace, versions, rows, number),
        confused=tables.confused(workspace, texts),
        calibration=_calibration(metrics),
        moved=tables.moved(workspace, versions, number),
        turned=tables.turned(workspace, versions, number, texts),
        changed=tables.settings_changed(versions, number),
        reviewers=tables.reviewers(rows),
        events=tables.events(workspace),
        versions=tables.made_with(workspace, versions, number, run_id),
        tag=tag(number),
        replay=shlex.join(["labelwise", "replay", tag(number), "--from", str(workspace.root)]),
    )


def render(template: str, **content: Any) -> str:
    """A template of infra/ with its content, escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(infra.__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(**content)


def picture_links(workspace: Workspace, *names: str) -> dict[str, tuple[str, str]]:
    """These pictures by name, each as data addresses for a light and a dark page; empty before the first model."""
    with TemporaryDirectory() as scratch:
        links = []
        for theme in (LIGHT, DARK):
            drew = pictures(workspace, Path(scratch), theme, names)
            links.append({path.stem: as_link(path) for path in drew})
    light, dark = links
    return {name: (light[name], dark[name]) for name in light}


def verdict(metrics: dict[str, float], found: dict[str, Any], labels: int, stop: bool, measure: str = ACCURACY) -> str:
    """The answer in one sentence.

    >>> verdict({"score": 0.9}, {}, 50, False)
    'Right in 90.0% of the gold set with 50 labels. Whether labels are saved: cannot tell yet. Go on.'
    """
    if "score" not in metrics:
        if len(metrics) > 1:
            return f"The gold set does not tell the {measure} of this model."
        return "No model yet: the first answers make one."
    measured = found.get("savings") or {"verdict": "unclear"}
    saved = {
        "saves": "The loop saves labels.",
        "costs": "No gain: the loop needs more labels than chance.",
        "unclear": "Whether labels are saved: cannot tell yet.",
    }[measured["verdict"]]
    given = quantity(labels, "label")
    right = f"Right in {metrics['score']:.1%} of the gold set with {given}."
    if measure != ACCURACY:
        right = f"{measure[0].upper()}{measure[1:]} {metrics['score']:.1%} on the gold set with {given}."
    return f"{right} {saved} {'Stopping is advised.' if stop else 'Go on.'}"


def _headline_cards(workspace: Workspace, metrics: dict[str, float], found: dict[str, Any]) -> list[Card]:
    """The mean score and the savings."""
    trusted = f"{quantity(int(metrics.get('items', 0)), 'gold item')} ({asking.standing(workspace)})"
    measure = workspace.settings.measure.words
    cards = [Card(f"{measure} on gold", "not measured" if len(metrics) > 1 else "no model yet", trusted)]
    if "score" in metrics:
        ends = f"95 % interval {metrics['score_low']:.3f} to {metrics['score_high']:.3f}"
        precise = figures.precise(metrics, workspace.settings.measure)
        said = "; ".join(filter(None, [f"{ends}, {trusted}", precise]))
        cards = [Card(f"{measure} on gold", f"{metrics['score']:.3f}", said)]
    if standing := champion.standing(workspace):
        shown = f"{standing.gold.score:.3f}" if standing.gold else "not measured"
        cards.append(Card("the champion, on gold", shown, f"version {standing.version}: {standing}"))
    measured = found.get("savings")
    said = found.get("said", "").removeprefix("savings: ")
    if not measured:
        return [*cards, Card("labels, against labelling by chance", "cannot tell yet", said or "no model yet", "open")]
    ratio, saved = measured["ratio"], measured["saved"]
    stands_still = measured["verdict"] == "costs" and ratio["low"] <= 1
    clear = measured["projected" if stands_still else "ratio"]["middle"]
    shown = "cannot tell yet" if measured["verdict"] == "unclear" else f"{clear:.2f} of random's labels"
    cards.append(Card("labels, against labelling by chance", shown, said, TONES[measured["verdict"]]))
    if not measured.get("known", True):
        more = f"{measured['missing']} more control labels until this can be projected"
        return [*cards, Card("labels saved so far, projected", "not known yet", more, "open")]
    known = measured["projected"]["high"] < 1 or measured["projected"]["low"] > 1
    endless = f"over {saved['high']:,.0f}" if measured["projected"]["low"] < NEVER else f"{saved['high']:+,.0f}"
    ends = f"90 % interval {saved['low']:+,.0f} to {endless}, from {measured['control']} control labels on"
    net = money.net(Interval(**saved), money.spending(workspace))
    currency = workspace.settings.prove.currency
    worth = f"; less computing {net:+,.2f} {currency or 'in money'}" if known and net else ""
    figure = f"{saved['middle']:+,.0f}" if known else "cannot tell yet"
    tone = ("good" if saved["low"] > 0 else "bad") if known else "open"
    return [*cards, Card("labels saved so far, projected", figure, ends + worth, tone)]


def _of_class(workspace: Workspace) -> list[Card]:
    """How many there are of the class that the model is judged by."""
    there, name = prevalence.counted(workspace), workspace.settings.measure.of
    one = there.of(name) if there else None
    if there is None or one is None:
        return []
    figure = "not known" if one.middle is None else f"{one.found:,} of {one.there}"
    said = there.sentence(one)
    if one.found and one.middle is not None:
        said += f", of {there.items:,} items; at least {one.found_at_least:.0%} are found, with 95 % confidence"
    return [Card(f"found of {name}", figure, said, "open" if one.middle is None else "")]


def _targets(workspace: Workspace) -> list[Card]:
    """The labels that the scores of `prove.targets` still take."""
    settings = workspace.settings
    wanted = sorted(settings.prove.targets)
    found = target.needed(figures.curve(workspace), wanted, settings.seed)
    if not found:
        said = f"nobody knows before {target.ROUNDS} rounds have a model"
        return [Card(f"labels still needed for {wanted[0]:.0%}", "not known yet", said, "open")] if wanted else []
    return [_target(each) for each in found]


def _target(needed: target.Needed) -> Card:
    name = f"labels still needed for {needed.score:.0%}"
    if needed.middle == 0:
        return Card(name, "none", "it is there, as the gold set has it", "good")
    ends = f"{'over a hundred times as many' if needed.low is None else f'{needed.low:,}'} to " + (
        "never" if needed.high is None else f"{needed.high:,}"
    )
    said = f"90 % interval {ends}, by the learning curve of the rounds so far"
    if needed.middle is None:
        return Card(name, "perhaps never", f"{said}: other labels, learner or encoder would have to bring it", "bad")
    return Card(name, f"about {needed.middle:,}", said)


def _next(advice: Advice, limit: str) -> Card:
    figure = "stop" if advice.stop or limit else "go on"
    if advice.gain is not None:
        figure += f": {advice.gain.middle:+.2f} points"
    return Card("the next batch", figure, limit or advice.why, "open" if advice.stop or limit else "good")


def _successor(check: dict[str, Any]) -> str:
    figures = (
        f"{check['chosen']:.3f} against {check['random']:.3f} with {check['labels']} labels of each "
        f"(difference {check['low']:+.3f} to {check['high']:+.3f})"
    )
    if check["worse"]:
        return f"Warning: a model of another kind learns less from the chosen labels than from random ones: {figures}."
    return f"A model of another kind, chosen labels against random ones: {figures}: no loss is shown."


def _calibration(metrics: dict[str, float]) -> str:
    if "calibration_error" not in metrics:
        return ""
    error, low, high = (metrics.get(f"calibration_error{end}", float("nan")) for end in ("", "_low", "_high"))
    ends = f" (95 % interval {low:.1%} to {high:.1%})" if low == low else ""
    said = "the root mean square over ten bins of confidence, less what chance adds"
    return f"Its confidence is off by {error:.1%}{ends}: the calibration error, {said}."
