"""The report of a round as one HTML file: the answer first, then what it rests on. No network, no scripts; every text
is escaped, and pictures are images, in which nothing runs."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader

import infra
from tasks import report
from tasks.errors import WorkspaceError
from tasks.labels import ledger
from tasks.promote import gold_metrics
from tasks.proof import money
from tasks.proof.savings import Interval
from tasks.proof.stopping import Advice
from tasks.push import read_texts
from tasks.services.dvc import Versions
from tasks.snapshot import tag
from tasks.workspace import Workspace, atomic, table_of_text

EXAMPLES = 12  # items shown of the last batch
SHOWN = 200  # characters of each
NEVER = 0.06  # a projected ratio as low as this: random labelling may never come to that accuracy
TONES = {"saves": "good", "costs": "bad", "unclear": "open"}


@dataclass(frozen=True)
class Card:
    """One figure of the answer; tone: good, bad, open or ''."""

    name: str
    figure: str
    said: str
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its heading; cells are text."""

    title: str
    head: list[str]
    rows: list[list[str]]
    said: str = ""


def write(workspace: Workspace, versions: Versions) -> Path:
    """Write the page of the present round into .labelwise/reports/; the file. WorkspaceError before the first round."""
    number = ledger.current_round(workspace.labels)
    if not workspace.batch.exists():
        raise WorkspaceError(f"{workspace.root} has no round to report yet", fix="`labelwise run` plays the first one")
    path = workspace.scraps / "reports" / f"{tag(number)}.html"
    with atomic(path) as scratch:
        scratch.write_text(page(workspace, versions), encoding="utf-8")
    return path


def page(workspace: Workspace, versions: Versions) -> str:
    """The page of the present round."""
    number = ledger.current_round(workspace.labels)
    rows = ledger.read(workspace.labels)
    with TemporaryDirectory() as scratch:
        drawn = report.pictures(workspace, Path(scratch))
        pictures = [report.as_link(path) for path in drawn]
    found = report.proof(workspace)
    next_model = found.get("successor")
    tables = [_rounds(workspace), _asked(workspace, rows, number), _moved(workspace, versions, number)]
    tables += [_money(workspace), _reviewers(rows)]
    environment = Environment(loader=FileSystemLoader(Path(infra.__file__).parent), autoescape=True, trim_blocks=True)
    return environment.get_template("report.html").render(
        name=workspace.settings.project.name,
        round=number,
        cards=_answer(workspace, found),
        warnings=[_worse(next_model)] if next_model and next_model["worse"] else [],
        pictures=pictures,
        names=[path.stem.replace("_", " ") for path in drawn],
        tables=[table for table in tables if table.rows],
        versions=[["commit before this round's", versions.head], *([n, d] for n, d in versions.hashes().items())],
        tag=tag(number),
    )


def _answer(workspace: Workspace, found: dict[str, Any]) -> list[Card]:
    """Accuracy, savings, the worth of the next batch, and whether to stop."""
    metrics, advice = gold_metrics(workspace), report.advice(workspace)
    cards = [Card("accuracy on gold", "no model yet", f"{metrics.get('items', 0):.0f} gold items")]
    if "accuracy" in metrics:
        ends = f"95 % interval {metrics['accuracy_low']:.3f} to {metrics['accuracy_high']:.3f}"
        cards = [Card("accuracy on gold", f"{metrics['accuracy']:.3f}", f"{ends}, {metrics['items']:.0f} gold items")]
    measured = found.get("savings")
    said = found.get("said", "").removeprefix("savings: ")
    if measured:
        ratio, saved = measured["ratio"], measured["saved"]
        stands_still = measured["verdict"] == "costs" and ratio["low"] <= 1
        clear = measured["projected" if stands_still else "ratio"]["middle"]
        shown = "cannot tell yet" if measured["verdict"] == "unclear" else f"{clear:.2f} of random's labels"
        cards.append(Card("labels, against labelling by chance", shown, said, TONES[measured["verdict"]]))
        known = measured["projected"]["high"] < 1 or measured["projected"]["low"] > 1
        endless = f"over {saved['high']:,.0f}" if measured["projected"]["low"] < NEVER else f"{saved['high']:+,.0f}"
        ends = f"90 % interval {saved['low']:+,.0f} to {endless}, from {measured['control']} control labels on"
        net = money.net(Interval(**saved), report.spending(workspace))
        worth = f"; less computing {net:+,.2f} in money" if known and net else ""
        figure = f"{saved['middle']:+,.0f}" if known else "cannot tell yet"
        cards.append(Card("labels saved so far, projected", figure, ends + worth, "" if known else "open"))
    else:
        cards.append(Card("labels, against labelling by chance", "cannot tell yet", said or "no model yet", "open"))
    return [*cards, _next(advice, report.limit(workspace))]


def _next(advice: Advice, limit: str) -> Card:
    figure = "stop" if advice.stop or limit else "go on"
    if advice.gain is not None:
        figure += f": {advice.gain.middle:+.2f} points"
    return Card("the next batch", figure, limit or advice.why, "open" if advice.stop or limit else "good")


def _worse(check: dict[str, Any]) -> str:
    return (
        f"Warning: a model of another kind learns less from the chosen labels than from random ones: "
        f"{check['chosen']:.3f} against {check['random']:.3f} with {check['labels']} labels of each "
        f"(difference {check['low']:+.3f} to {check['high']:+.3f})."
    )


def _rounds(workspace: Workspace) -> Table:
    rounds = report.curve(workspace)
    savings = report.kept(workspace, "savings.csv", report.SAVINGS)
    cells = report.table(rounds, pd.DataFrame({"round": pd.Series(dtype="int64")}))
    kept: list[dict[Any, Any]] = rounds[["round"]].merge(savings, on="round", how="left").to_dict("records")
    cells["labels / random's (90 %)"] = [
        "" if pd.isna(row["ratio"]) else f"{row['ratio']:.2f} ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})"
        for row in kept
    ]
    said = "Savings as each round measured them; earlier rows are never changed."
    return Table("Rounds", list(cells.columns), cells.to_numpy().tolist(), said)


def _asked(workspace: Workspace, rows: pd.DataFrame, number: int) -> Table:
    last = rows[rows["round"] == number].drop_duplicates("id")
    why = ", ".join(f"{count} {word}" for word, count in last.why.value_counts().items())
    shown: list[dict[Any, Any]] = last.head(EXAMPLES).to_dict("records")
    texts = read_texts(workspace, last.id.head(EXAMPLES)) if shown else {}
    cells = [
        [
            row["why"],
            texts.get(row["id"], "")[:SHOWN],
            row["label"] if pd.notna(row["label"]) else row["status"],
            row["id"],
        ]
        for row in shown
    ]
    return Table(f"What round {number} asked, and why", ["why", "text", "answer", "item"], cells, why)


def _moved(workspace: Workspace, versions: Versions, number: int) -> Table:
    now = workspace.metrics / "per_class.csv"
    before = versions.earlier("metrics/per_class.csv", tag(number - 1))
    if not now.exists() or before is None:
        return Table("", [], [])
    both = table_of_text(now).merge(table_of_text(before), on="class", suffixes=("", "_before"))
    if both.empty:
        return Table("", [], [])
    both["moved"] = both.f1.astype(float) - both.f1_before.astype(float)
    both = both.sort_values("moved", key=abs, ascending=False).head(EXAMPLES)
    moved: list[dict[Any, Any]] = both.to_dict("records")
    cells = [[row["class"], f"{float(row['f1']):.3f}", f"{row['moved']:+.3f}", row["items"]] for row in moved]
    return Table("What moved since the last round", ["class", "F1", "change", "gold items"], cells)


def _money(workspace: Workspace) -> Table:
    paid = report.spending(workspace)
    if paid.label is None or paid.labels is None or paid.total is None:
        return Table("", [], [])
    each = f"{paid.seconds_a_label:.1f} s each, {paid.label:.3f}"
    cells = [["labels", each, f"{paid.labels:,.2f}"], ["computing", "", f"{paid.compute:,.2f}"]]
    return Table("What it cost", ["", "", "money"], [*cells, ["together", "", f"{paid.total:,.2f}"]])


def _reviewers(rows: pd.DataFrame) -> Table:
    given = rows[rows.annotator.notna()]
    twice = given[given.status == "labelled"].groupby("id").filter(lambda one: one.annotator.nunique() > 1)
    same = twice.groupby("id").label.nunique() == 1
    said = (
        f"Of {len(same)} items that two or more answered, {same.mean():.0%} got the same answer." if len(same) else ""
    )
    cells = [
        [
            str(who),
            str(int((own.status == "labelled").sum())),
            str(int((own.status == "skipped").sum())),
            f"{own.lead_time_s.median():.1f}" if own.lead_time_s.notna().any() else "",
        ]
        for who, own in given.groupby("annotator")
    ]
    return Table("Reviewers", ["reviewer", "answers", "skips", "median seconds"], cells, said)
