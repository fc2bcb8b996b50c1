"""The tables of a round's report: what was asked, confused, moved and paid, and by whom it was answered."""

import html
import importlib.metadata
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

import pandas as pd

from labelwise.tasks import evaluate, figures, finish, kinds
from labelwise.tasks.answering import tickets
from labelwise.tasks.errors import quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.items.stored import cells_by_id, contexts_by_id
from labelwise.tasks.kinds import choice, context, spans
from labelwise.tasks.labels import consensus, ledger, renamed, roster
from labelwise.tasks.made_with import LIBRARIES
from labelwise.tasks.promote import weighed
from labelwise.tasks.proof import money, prevalence
from labelwise.tasks.records import number_of, round_tags, tag
from labelwise.tasks.reporting import marks, rounds
from labelwise.tasks.reporting.pictures import shares_of
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, read_parquet, table_of_text

EXAMPLES = 12  # items shown of the last batch
DECODED = 3  # times that a text may have been escaped
WIDE = 25  # classes of a matrix that can be read
FOLDED = 15  # rows; a longer table is folded
SHOWN = 200  # characters of each
NUMBER = re.compile(r"[-+]?[\d.,]*( ?%| ?\([^a-z]*\))?|all|no model yet")


@dataclass(frozen=True)
class Table:
    """A table with its heading; cells are text. said: what it shows, in words, above it."""

    title: str
    head: list[str]
    rows: list[list[str]]
    said: str = ""
    narrow: int = 30  # characters; a longer cell may break anywhere, and a phone shows its row as a list

    @cached_property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, which stand to the right."""
        return [all(NUMBER.fullmatch(cell) for cell in column) for column in zip(*self.rows, strict=True)]

    @property
    def long(self) -> bool:
        """Whether it is folded at first."""
        return len(self.rows) > FOLDED

    @cached_property
    def stacks(self) -> bool:
        """Whether a phone shows a row's cells one below the other."""
        return any(len(cell) > self.narrow for row in self.rows for cell in row)


def dates(versions: Versions) -> dict[int, str]:
    """The day on which each round was saved; today for the one that is being played."""
    listed = versions.git("for-each-ref", "--format=%(refname:short) %(committerdate:short)", "refs/tags").split("\n")
    named = [line.split() for line in listed if line]
    saved = {number_of(name): day for name, *days in named for day in days[:1] if round_tags(name)}
    return {max(saved, default=-1) + 1: datetime.now().astimezone().date().isoformat()} | saved


def by_round(workspace: Workspace, versions: Versions) -> Table:
    """The mean score and the savings of every round."""
    days = dates(versions)
    history = figures.curve(workspace)
    savings = figures.savings(workspace)
    cells = rounds.table(history, pd.DataFrame({"round": pd.Series(dtype="int64")}), workspace.settings.measure.words)
    kept: list[dict[Any, Any]] = history[["round"]].merge(savings, on="round", how="left").to_dict("records")
    cells.insert(1, "saved", [days.get(int(number), "") for number in history["round"]])
    cells["labels / random's (90 %)"] = [
        "" if pd.isna(row["ratio"]) else f"{row['ratio']:.2f} ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})"
        for row in kept
    ]
    said = "Savings as each round measured them; earlier rows are never changed."
    return Table("Rounds", list(cells.columns), cells.to_numpy().tolist(), said)


def to_finish(workspace: Workspace) -> Table:
    """What it would take to finish the pool now, by the share of wrong labels; empty without a model that could, and
    where it is finished."""
    scores = workspace.scores
    there = scores.exists() and read_parquet(scores, columns=["prediction"]).prediction.notna().any()
    going_on = workspace.settings.select.finish is not None
    found = [] if not there or going_on else finish.forecasts(workspace, evaluate.CONFIDENCE, finish.CURVE)
    if not found or not found[0].open:
        return Table("", [], [])
    rows = [
        [
            f"{100 * each.wrong:g} %",
            f"{each.people:,}",
            f"{each.least:,} to {each.most:,}",
            "" if each.seconds is None else f"{each.seconds / 3600:.1f}",
            "" if each.price is None else f"{each.price:,.2f}",
            f"{each.open - each.people:,}",
        ]
        for each in found
    ]
    unit = workspace.settings.prove.currency
    said = "With 95 % confidence, by the model of now. `labelwise finish` does it."
    head = ["wrong at most", "people still label", "in 8 of 10 cases", "hours", unit or "price", "the model labels"]
    return Table("What a finished pool would take", head, rows, said)


def at_work(workspace: Workspace) -> Table:
    """What the model at work promised last on this machine; empty where none was."""
    found = tickets.standing(workspace)
    if found is None:
        return Table("", [], [])
    since = datetime.fromtimestamp(found.at, UTC).isoformat(" ", "minutes")
    holds = "yes" if found.holds else "no: people saw more wrong, so it answers less"
    waiting, answered = (f"{found.tickets.get(state, 0):,}" for state in (tickets.OPEN, tickets.ANSWERED))
    head = ["model", "promise", "does it hold", "since (UTC)", "tickets open", "answered by people"]
    said = "`labelwise answer`, as this machine knew it when the page was made."
    return Table("The model at work", head, [[found.model, found.promise, holds, since, waiting, answered]], said)


def spent(workspace: Workspace, rows: pd.DataFrame) -> Table:
    """What each round cost: answers at the price of one, computing by its seconds."""
    paid, prices = money.spending(workspace), workspace.settings.prove
    given = ledger.answers(rows)
    answers = given[given.annotation_id.notna()].groupby("round").size()
    seconds = figures.seconds_by_stage(workspace).set_index("round").drop(columns=list(money.WAITING), errors="ignore")
    computed = seconds.sum(axis=1)
    table = pd.DataFrame({"answers": answers, "seconds": computed}).fillna(0.0).sort_index().rename(index=int)
    if table.empty:
        return Table("", [], [])
    table["labels"] = table.answers * (paid.label or 0.0)
    table["computing"] = table.seconds / 3600 * prices.compute_rate
    table["together"] = table.labels + table.computing
    table.loc["all"] = table.sum()
    unknown, unit = paid.label is None, prices.currency and f" {prices.currency}"
    cells = [
        [
            str(number),
            f"{row.answers:.0f}",
            "" if unknown else f"{row.labels:,.2f}",
            f"{row.seconds:,.0f}",
            f"{row.computing:,.2f}",
            "" if unknown else f"{row.together:,.2f}",
        ]
        for number, row in table.iterrows()
    ]
    an_hour = f"{prices.hourly_rate:,.2f}{unit} an hour"
    an_hour += f", some people's at rates of their own ({roster.FILE})" if roster.rates(roster.read(workspace)) else ""
    each = (
        "Nobody knows yet how long an answer takes."
        if paid.label is None
        else f"An answer takes {paid.seconds_a_label:.1f} s: {paid.label:.3f}{unit} at {an_hour}."
    )
    said = f"{each} Computing (s) is {prices.compute_rate:,.2f}{unit} an hour; waiting costs nothing."
    said += f" Answers on gold items, beside these: {paid.gold:,.2f}{unit}." if paid.gold else ""
    said += f" Language models, beside these: {paid.llm:,.2f}{unit}." if paid.llm else ""
    head = ["round", "answers", "pay", "s", "computing", "sum"]
    return Table(f"What it cost{unit and f',{unit}'}", head, cells, said)


def looked_again(workspace: Workspace, rows: pd.DataFrame, most: int = 8) -> Table:
    """What became of labels that people were asked for once more, and what that did to the model; empty without any."""
    answer = kinds.answer(workspace.settings.kind.answer)
    found = figures.proof(workspace).get("looked")
    if not found or answer.PLACES:
        return Table("", [], [])
    first = ledger.first_said(rows)
    today = consensus.current(workspace).set_index("id").label.reindex(first.index)
    both = pd.DataFrame({"was": first, "is": today}).dropna()
    counts = both[both["was"] != both["is"]].value_counts()
    changes: list[tuple[Any, int]] = list(counts[:most].items())
    cells = [[answer.spoken(was, None), answer.spoken(now, None), f"{count:,}"] for (was, now), count in changes]
    said = f"{quantity(found['again'], 'label')} looked at again, {found['changed']:,} changed."
    if found["before"] is not None:
        name, reach = workspace.settings.measure.words, f"{found['low']:+.3f} to {found['high']:+.3f}"
        said += (
            f" By the meter's own, cheaper learner: {name} {found['after']:.3f} with today's labels, "
            f"{found['before']:.3f} with those that these items had first (95 % interval of the difference: {reach})."
        )
    return Table("Labels that were looked at again", ["was", "is now", "items"], cells, said)


def last_batch(workspace: Workspace, versions: Versions, rows: pd.DataFrame, number: int) -> Table:
    """The last batch: why each item was asked, what the model thought of it, and what came."""
    own = rows[(rows["round"] == number) & (rows.origin != "imported")]
    last, counting = own.drop_duplicates("id", keep="last"), ledger.effective(own).set_index("id").label
    shown: list[dict[Any, Any]] = last.head(EXAMPLES).to_dict("records")
    if not shown:
        return Table("", [], [])
    kept, contexts = (by_id(workspace, last.id.head(EXAMPLES)) for by_id in (cells_by_id, contexts_by_id))
    path = versions.earlier("data/batch.parquet", tag(number - 1))
    guesses = read_parquet(path).set_index("id") if path else pd.DataFrame(columns=["prediction", "confidence"])
    item = kinds.item(workspace.settings.kind.item)
    guesses = guesses.assign(prediction=renamed.today(guesses.prediction, workspace.settings))

    def thought(item: str) -> str:
        if item not in guesses.index or pd.isna(guesses.prediction[item]):
            return ""
        return said_of(workspace, guesses.prediction[item], kept.get(item), f" ({guesses.confidence[item]:.0%})")

    cells = [
        [
            str(row["why"]) if pd.notna(row["why"]) else "",
            example(kept.get(row["id"]), item, contexts.get(row["id"])),
            thought(row["id"]),
            said_of(workspace, counting[row["id"]], kept.get(row["id"])) if row["id"] in counting else row["status"],
            row["id"],
        ]
        for row in shown
    ]
    counts = ", ".join(f"{count} {word}" for word, count in last.why.value_counts().items())
    said = f"{counts}. `control` was drawn by chance; the first {len(cells)} of {len(last)} are shown."
    head = ["why", item.NAME, "the model thought", "answer", "item"]
    return Table(f"What round {number} asked, and why", head, cells, said)


def classes(workspace: Workspace) -> Table:
    """How many of each class are found and how many there are in the pool, the rarest first."""
    there = prevalence.counted(workspace)
    if there is None:
        return Table("", [], [])
    cells = []
    for one in there.rarest_first(workspace.settings.measure.of):
        shares = [f"{100 * end / max(there.items, 1):.2g}" for end in (one.low, one.high)]
        cells.append(
            [
                one.name,
                f"{one.found:,}",
                "" if one.middle is None else f"{one.middle:,}",
                f"{one.low:,} to {one.high:,}",
                f"{shares[0]} to {shares[1]} %",
                f"{one.found_at_least:.0%}" if one.found else "none found",
            ]
        )
    said = (
        f"Of {there.items:,} items that can be asked or have a label, {there.labelled:,} have one. What is found is "
        f"counted; how many there are follows from the {there.control:,} that were drawn by chance. "
    )
    if all(one.middle is None for one in there.classes):
        said = f"Nobody can know how many there are: {prevalence.NOBODY}. "
    said += "Each class by itself: 95 % intervals, and the share that is found at least, with 95 % confidence."
    head = ["class", "found", "there are about", "95 % interval", "of the pool", "found at least"]
    return Table("Classes: found, and there in the pool", head, cells, said)


def confused(workspace: Workspace, texts: dict[str, str], most: int = 8) -> Table:
    """The pairs of classes that are taken for each other most, each with the error that the model was surest of; where
    an item may have several, the classes that are missed or said in vain most."""
    answers = figures.predictions(workspace)
    if answers.empty:
        return Table("", [], [])
    answer = kinds.answer(workspace.settings.kind.answer)
    if answer is not choice:
        return missed(answers, answer, texts, most)
    answers = weighed(answers)
    wrong = answers[answers.actual != answers.predicted]
    if wrong.empty:
        return Table("", [], [])
    wrong = wrong.assign(sure=wrong.confidence.astype(float)).sort_values("sure", ascending=False)
    pairs = wrong.groupby(["actual", "predicted"], sort=False).agg(
        n=("id", "size"), item=("id", "first"), weight=("weight", "sum")
    )
    of_class = answers.groupby("actual").weight.sum()
    top: list[dict[Any, Any]] = (
        pairs.sort_values("n", ascending=False, kind="stable")[:most].reset_index().to_dict("records")
    )
    cells = [
        [
            row["actual"],
            row["predicted"],
            str(row["n"]),
            f"{row['weight'] / of_class[row['actual']]:.0%}",
            texts.get(row["item"], ""),
        ]
        for row in top
    ]
    said = f"It has {len(wrong):,} of {quantity(len(answers), 'gold item')} wrong. "
    said += "The example is the error it was surest of."
    if answers.weight.nunique() > 1:
        said += " Shares of a class count each item by its weight, as all figures do."
    return Table("What it confuses", ["is", "taken for", "items", "of the class", "example"], cells, said)


def missed(answers: pd.DataFrame, answer: kinds.Answer, texts: dict[str, str], most: int = 8) -> Table:
    """The classes that a model misses or says in vain most often, each with the error that it was surest of; of marks
    in an item each counts by itself."""
    errors = [
        {"class": part[-1], "missed": part in truth, "item": row["id"], "sure": float(row["confidence"])}
        for row in answers.to_dict("records")
        if (truth := _parts(row["actual"], answer)) != (guess := _parts(row["predicted"], answer))
        for part in sorted(truth ^ guess)
    ]
    if not errors:
        return Table("", [], [])
    table = pd.DataFrame(errors).sort_values("sure", ascending=False, kind="stable")
    found = table.groupby("class", sort=False).agg(
        missed=("missed", "sum"), total=("missed", "size"), item=("item", "first")
    )
    top: list[dict[Any, Any]] = (
        found.sort_values("total", ascending=False, kind="stable")[:most].reset_index().to_dict("records")
    )
    cells = [
        [row["class"], str(row["missed"]), str(row["total"] - row["missed"]), texts.get(row["item"], "")] for row in top
    ]
    wrong = len({error["item"] for error in errors})
    what = "mark" if answer.PLACES else "class"
    of_all = quantity(len(answers), "gold item")
    said = f"In {wrong:,} of {of_all} it has a {what} too few or too many. The example is its surest error."
    return Table("What it misses and says in vain", ["class", "missed", "said in vain", "example"], cells, said)


def _parts(label: str, answer: kinds.Answer) -> set[tuple[Any, ...]]:
    """What a label says, each with its class at the end: the classes alone, or the marks."""
    return set(spans.spans_of(label)) if answer.PLACES else {(name,) for name in answer.members(label)}


def matrix(workspace: Workspace) -> Table:
    """Which class is taken for which, in percent of the class, or where an item may have several, which stand beside
    which: gold items weighed. Empty for very many classes."""
    answers, answer = figures.predictions(workspace), kinds.answer(workspace.settings.kind.answer)
    if answers.empty:
        return Table("", [], [])
    shares = marks.taken_for(weighed(answers)) if answer.PLACES else shares_of(answers, answer)
    if len(shares) > WIDE:
        return Table("", [], [])
    cells = [[name, *(f"{100 * share:.0f}" if share else "" for share in row)] for name, *row in shares.itertuples()]
    if answer.PLACES:
        said = "Of the marks of each class in the gold set, a row, the percent where the model has each other, or none."
        return Table("Which class is taken for which", ["is", *map(str, shares.columns)], cells, said)
    if answer is not choice:
        said = "Of the gold items with a class, a row, the percent that have each other class, too."
        return Table("Which classes stand together", ["of", *map(str, shares.columns)], cells, said)
    said = "Of each class, a row, the percent that is taken for each other; on the diagonal it is right."
    return Table("Which class is taken for which", ["is", *map(str, shares.columns)], cells, said)


def moved(workspace: Workspace, versions: Versions, number: int) -> Table:
    """Classes by how far their F1 moved since the last round."""
    now, before = figures.per_class(workspace), versions.earlier(figures.tracked(figures.PER_CLASS), tag(number - 1))
    if now.empty or before is None:
        return Table("", [], [])
    then = table_of_text(before)
    then["class"] = then["class"].replace(workspace.settings.renamed)
    then = then.drop_duplicates("class", keep=False)  # of two that are one now nothing can be said
    both = now.merge(then, on="class", suffixes=("", "_before"))
    if both.empty:
        return Table("", [], [])
    both["moved"] = both.f1.astype(float) - both.f1_before.astype(float)
    both = both.sort_values("moved", key=abs, ascending=False).head(EXAMPLES)
    classes: list[dict[Any, Any]] = both.to_dict("records")
    cells = [[row["class"], f"{float(row['f1']):.3f}", f"{row['moved']:+.3f}", row["items"]] for row in classes]
    last = figures.curve(workspace).iloc[-1]
    said = "" if pd.isna(last.changed) else f"{last.changed:.1%} of the pool's predictions are other ones now. "
    found = changes(workspace, versions, number)
    if found is not None:
        said += (
            f"On gold, {quantity(int(found.right.sum()), 'item')} turned right and {(~found.right).sum()} turned wrong."
        )
    return Table("What moved since the last round", ["class", "F1", "change", "gold items"], cells, said)


def turned(workspace: Workspace, versions: Versions, number: int, texts: dict[str, str], most: int = 8) -> Table:
    """Gold items whose prediction turned right or wrong."""
    found = changes(workspace, versions, number)
    if found is None or found.empty:
        return Table("", [], [])
    items: list[dict[Any, Any]] = found.sort_values("right", kind="stable").head(most).to_dict("records")
    cells = [
        [
            "right" if row["right"] else "wrong",
            texts.get(row["id"], ""),
            *(said_of(workspace, row[when], cell_of(texts, row["id"])) for when in ("before", "now")),
        ]
        for row in items
    ]
    head = ["now", workspace.settings.kind.item, "taken before for", "taken now for"]
    return Table("Gold items that turned", head, cells)


def changes(workspace: Workspace, versions: Versions, number: int) -> pd.DataFrame | None:
    """`rounds.turned` for this round and the one before it; None where one of them has no model."""
    now, before = (
        figures.predictions(workspace),
        versions.earlier(figures.tracked(figures.PREDICTIONS), tag(number - 1)),
    )
    if before is None:
        return None
    tables = now, table_of_text(before)
    if any(table.empty for table in tables):
        return None
    today = workspace.settings
    named = (table[["actual", "predicted"]].apply(renamed.today, settings=today) for table in tables)
    return rounds.turned(*(table.assign(**dict(names)) for table, names in zip(tables, named, strict=True)))


def events(workspace: Workspace) -> Table:
    """What reviewers did besides answering, by the round in which it was taken in."""
    events = ledger.happened(workspace.labels)
    shown = events[events.any(axis=1)].tail(EXAMPLES)
    if shown.empty:
        return Table("", [], [])
    cells = [[str(number), *map(str, row)] for number, *row in shown.itertuples()]
    said = f"In all: {rounds.events_in_words(events)}. Later words count: docs/guarantees.md has the rules."
    return Table("Answers changed, tasks gone", ["round", *events.columns], cells, said)


def reviewers(rows: pd.DataFrame) -> Table:
    """Who answered how much, how long it took, and how far they agree where several answered one item."""
    said = ledger.answers(rows)
    given = said[said.annotator.notna() & (said.origin != "imported")]
    if given.empty:
        return Table("", [], [])
    answers = given[given.status == "labelled"].drop_duplicates(["id", "annotator"], keep="last")
    pairs = answers.merge(answers, on="id", suffixes=("", "_other"))
    pairs = pairs[pairs.annotator != pairs.annotator_other]
    same = pairs.label == pairs.label_other
    cells = []
    for who, own in given.groupby("annotator"):
        each = money.seconds_a_label(own.lead_time_s)
        with_others = same[pairs.annotator == who]
        cells.append(
            [
                str(who),
                str(int((own.status == "labelled").sum())),
                str(int((own.status == "skipped").sum())),
                f"{with_others.mean():.0%} ({len(with_others)})" if len(with_others) else "",
                "" if each is None else f"{own.lead_time_s.median():.1f}",
                "" if each is None else f"{each * own.lead_time_s.notna().sum() / 60:,.1f}",
            ]
        )
    items = answers.id[answers.id.duplicated()].nunique()
    agreed = f"agreement {same.mean():.0%} on {quantity(items, 'item')} that two or more answered" if items else ""
    words = f"Of answers by two people to one item: {agreed}." if items else "No item was answered by two people."
    words += " In the minutes a tab that was left open counts as ten times the median."
    return Table("Reviewers", ["reviewer", "answers", "skips", "agrees (pairs)", "median s", "minutes"], cells, words)


def made_with(workspace: Workspace, versions: Versions, number: int, run_id: str) -> Table:
    """Versions of data, labels, settings and libraries."""
    cells = [["round", tag(number)], ["commit before it", versions.head]]
    cells += [[f"DVC {name}", digest] for name, digest in versions.hashes().items()]
    cells += [["seed", str(workspace.settings.seed)]]
    cells += [["MLflow run", run_id]] if run_id else []
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    listed = ", ".join(f"{name} {version}" for name, version in libraries.items())
    return Table(
        "Versions, and how to replay this round",
        [],
        [*cells, ["Python", platform.python_version()], ["libraries", listed]],
    )


def settings_changed(versions: Versions, number: int) -> str:
    """The lines of params.yaml that changed since the last round, '' for none."""
    if not versions.tagged(tag(number - 1)):
        return ""
    lines = versions.git("diff", "--unified=0", tag(number - 1), "--", "params.yaml").splitlines()
    return "\n".join(line for line in lines if re.match(r"[-+](?![-+])", line))


def cut(text: str) -> str:
    """The beginning of a text, in which `&amp;` of some web page is an ampersand; what is shown is escaped again."""
    for _ in range(DECODED):
        text = html.unescape(text)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def said_of(workspace: Workspace, label: str, cell: str | None, more: str = "") -> str:
    """What is said of an item, for people; where it marks places in the item, with these. more: words after it."""
    answer = kinds.answer(workspace.settings.kind.answer)
    if not answer.PLACES:
        return answer.spoken(label, cell) + more
    shown = marks.marked(label, cell, workspace.settings.classes)
    return marks.Marked(shown + more).of(shown.pieces, more)


def cell_of(texts: Mapping[str, str], item: str) -> str | None:
    """The cell of an example, None where it is not known."""
    return getattr(texts.get(item), "cell", None)


class Example(str):
    """An item in a table: in words, and as a picture where it is one. cell: the item."""

    cell: str | None = None
    draw: Callable[[], str] = str

    @property
    def picture(self) -> str:
        """A data address, made when it is asked for; '' where there is none."""
        return self.draw()


def example(cell: str | None, item: kinds.Content, beside: Any = None) -> Example:
    """The beginning of an item in words, and in brackets that of its context, where it has one. cell: None for an item
    that is no longer there."""
    said = context.brief(context.unpacked(beside)) if isinstance(beside, str) else ""
    shown = Example(cut(item.brief(cell) if cell is not None else "") + (f" ({cut(said)})" if said else ""))
    shown.draw = partial(item.thumbnail, cell) if cell is not None else str
    shown.cell = cell
    return shown


def gold_texts(workspace: Workspace) -> dict[str, str]:
    """The items of the gold set, the user's own and what was drawn, by id, as examples are shown."""
    if not workspace.gold.exists():
        return {}
    rows, kind = trusted.gold(workspace), kinds.item(workspace.settings.kind.item)
    contexts = rows["context"] if "context" in rows else [None] * len(rows)
    shown = (example(cell, kind, beside) for cell, beside in zip(rows[kind.COLUMN], contexts, strict=True))
    return dict(zip(rows["id"], shown, strict=True))
