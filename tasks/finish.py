"""Stage `finish`: have every item of the pool labelled, with a promise on how many labels are wrong.

A fixed model labels the items it is surest of; people answer an exam among these, then label the rest. While that goes
on, `select.finish` in params.yaml holds the plan, `train` learns no label that came after it, and `select` asks what
proof/finishing.py says. Why the promise is kept: proof/promise.py.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from ruamel.yaml.comments import CommentedMap

from labelwise.tasks import figures, kinds, settings
from labelwise.tasks.errors import InputError, WorkspaceError, quantity
from labelwise.tasks.items import stored
from labelwise.tasks.labels import consensus, ledger, renamed, weak
from labelwise.tasks.proof import control, finishing, money, promise
from labelwise.tasks.proof.finishing import GOLD, LIST, LLM, MACHINES, MODEL, NOBODY, PERSON, RULE, TABLE
from labelwise.tasks.records import BATCH, FINISHED, tag
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Finish
from labelwise.tasks.workspace import Workspace, atomic, columns_of, read_parquet, write_csv, write_parquet

KEY = "select.finish"  # where params.yaml has the plan
CURVE = (0.005, 0.01, 0.02, 0.05, 0.1)  # shares that a forecast compares
LOOKED_AT = 20  # rounds, the last ones, whose control arm says how often people slip
WHOSE = {LLM: "a language model's", RULE: "rules'"}
ABANDON = "`labelwise finish --abandon`, then `labelwise finish` begins again; labels stay"


# Before


@dataclass(frozen=True)
class Forecast:
    """What a promise is expected to take: people label `exam` and other items, `people` in all, from `least` to `most`
    in 8 of 10 cases, of `open` that have no label of people; the pool has `items`. seconds, price: of these answers,
    None where nobody has been timed."""

    wrong: float
    people: int
    least: int
    most: int
    exam: int
    open: int
    items: int
    seconds: float | None
    price: float | None
    currency: str = ""

    def __str__(self) -> str:
        """
        >>> str(Forecast(0.02, 812, 610, 1_450, 240, 9_000, 9_214, 18_000.0, 150.0, "EUR"))
        'at most 2 % wrong: people still label 812 (610 to 1,450) of 9,214 items (150 EUR, 5.0 h), the model 8,188'
        """
        price = f"{self.price:,.0f} {self.currency}".strip()
        paid = "" if self.seconds is None else f" ({price}, {self.seconds / 3600:.1f} h)"
        return (
            f"at most {100 * self.wrong:g} % wrong: people still label {self.people:,} ({self.least:,} to "
            f"{self.most:,}) of {self.items:,} items{paid}, the model {self.open - self.people:,}"
        )


def forecasts(workspace: Workspace, confidence: float, shares: Collection[float]) -> list[Forecast]:
    """What these shares of wrong labels would take with the model of now; none for what is finished as well as that."""
    paid, unit, found = money.spending(workspace), workspace.settings.prove.currency, []
    slips = slipping(workspace)
    for wrong in sorted(set(shares)):
        try:
            asked = wanted(workspace, wrong, confidence)
        except InputError:
            continue
        pool = finishing.gather(workspace, asked)
        plan = finishing.planned(workspace, pool, asked, slips)
        seconds = None if paid.seconds_a_label is None else paid.seconds_a_label * plan.people
        price = None if paid.label is None else paid.label * plan.people
        counts = plan.people, plan.least, plan.most, plan.exam, len(pool.open), len(pool.items)
        found.append(Forecast(wrong, *counts, seconds, price, unit))
    return found


def slipping(workspace: Workspace) -> NDArray[np.float64]:
    """How likely each of `promise.SLIPS` is, by what people said of the control arm: what a model had thought of its
    items, when they were chosen, it had not learned. Batches that are not in DVC's cache any more are left out."""
    said = ledger.effective(ledger.today(workspace))
    drawn = said[(said.why == control.WHY) & (said["round"] > 1)].set_index("id")
    versions, parts = Versions(workspace.root), [BATCH.frame()]
    for number in sorted(drawn["round"].unique())[-LOOKED_AT:]:
        batch = versions.earlier("data/batch.parquet", tag(int(number) - 1))
        parts += [] if batch is None else [read_parquet(batch)]
    asked = pd.concat(parts, ignore_index=True)
    asked = asked.assign(prediction=renamed.counting(asked.prediction, workspace.settings))
    asked = asked[asked.id.isin(drawn.index) & asked.prediction.notna()].drop_duplicates("id", keep="last")
    answer = kinds.answer(workspace.settings.kind.answer)
    losses = 1 - answer.score(asked.prediction.tolist(), drawn.label[asked.id].tolist())
    return promise.slipping(finishing.expected(workspace, 1 - asked.confidence.to_numpy()), losses)


def wanted(workspace: Workspace, wrong: float, confidence: float) -> Finish:
    """The plan for the model of the round that the workspace is in. InputError for shares that cannot be, and where all
    is finished as well as that."""
    if not 0 < wrong < 1:
        raise InputError(
            "finish --wrong",
            expected="a share above 0 and below 1, such as 0.02",
            got=f"{wrong:g}",
            fix="no label at all is wrong only where people label everything: `labelwise run`" if wrong == 0 else "",
        )
    if not 0.5 <= confidence < 1:
        raise InputError("finish --confidence", expected="from 0.5 to below 1, such as 0.95", got=f"{confidence:g}")
    number, shards = ledger.current_round(workspace.labels), len(stored.shards(workspace))
    done = [
        look["shards"] for look in _finishes(workspace) if look["wrong"] <= wrong and look["confidence"] >= confidence
    ]
    after = max(done, default=0)
    if done and after == shards:
        raise InputError(
            f"finish: all {stored.items(workspace):,} items are finished at {100 * wrong:g} % wrong or less",
            fix=f"they are in {workspace.finished}; a smaller --wrong begins anew, and so do new items",
        )
    look = 1 + sum(look["shards"] > after for look in figures.looks(workspace))
    told = len(weak.shards(workspace))
    return Finish(wrong=wrong, confidence=confidence, round=number, look=look, after=after, weak=told)


def refuse_untrained(workspace: Workspace) -> None:
    """WorkspaceError where there is no model that could label."""
    scores = workspace.scores
    if not scores.exists() or read_parquet(scores, columns=["prediction"]).prediction.isna().all():
        raise WorkspaceError(
            f"{workspace.root} has no model yet that could label the rest", fix="`labelwise run` until it has one"
        )


def by_head(workspace: Workspace) -> str:
    """In words, how many items have the label of the model's head alone; '' for none."""
    if "candidate" not in columns_of(workspace.scores):
        return ""
    alone = int((~read_parquet(workspace.scores, columns=["candidate"]).candidate).sum())
    said = f"{quantity(alone, 'item is', 'items are')} judged by the head alone"
    return f"{said}; score.candidates: null has the whole model judge all"


def refuse_other(now: Finish, wrong: float, confidence: float) -> None:
    """InputError where another promise is being worked for."""
    if (now.wrong, now.confidence) != (wrong, confidence):
        raise InputError(
            "finish: another promise is being worked for, since its exam must not be chosen by what comes out",
            expected=f"--wrong {now.wrong:g} --confidence {now.confidence:g}",
            got=f"--wrong {wrong:g} --confidence {confidence:g}",
            fix="end that one first, or " + ABANDON,
        )


# While it goes on


def keep(workspace: Workspace, plan: Finish | None) -> None:
    """Write the plan into params.yaml, or take it away."""
    line = None if plan is None else CommentedMap(plan.model_dump(exclude_none=True))
    if line is not None:
        line.fa.set_flow_style()
    with settings.edited(workspace.root / "params.yaml") as content:
        section = content.setdefault("select", CommentedMap())
        if "finish" in section:
            section["finish"] = line
        else:
            section.insert(0, "finish", line)
    workspace.reread()


def prepare(workspace: Workspace, plan: Finish) -> str:
    """Before `select`: settle the share of the exam by what the model of the plan thinks, or see that it still thinks
    the same. Returns a line for people. WorkspaceError where it does not."""
    scores = read_parquet(workspace.scores, columns=["id", "prediction", "confidence"])
    now = finishing.digest(scores, workspace.settings)
    if plan.model is None:
        refuse_untrained(workspace)
        found = finishing.planned(workspace, finishing.gather(workspace, plan), plan, slipping(workspace))
        keep(workspace, plan.model_copy(update={"share": round(found.share, 6), "model": now}))
        if found.allowed < 0:
            return f"no exam could show so few wrong: people label all {found.people:,} items"
        people = f"{found.people:,} ({found.least:,} to {found.most:,})"
        said = f"an exam of about {quantity(found.exam, 'item')}; people label about {people} in all"
        return "; ".join(filter(None, [said, by_head(workspace)]))
    if now != plan.model:
        raise WorkspaceError(
            "the model is not the one that the exam began with: code, classes, gold or settings have changed since, or "
            "items were forgotten",
            expected=plan.model,
            got=now,
            fix=ABANDON,
        )
    return "the model is the one that the exam began with"


def abandon(workspace: Workspace) -> str:
    """Take the plan back. What was asked stays with the reviewers, and counts as any batch. Returns a line for people.
    WorkspaceError where there is none."""
    plan = workspace.settings.select.finish
    if plan is None:
        raise WorkspaceError("the pool is not being finished", fix="`labelwise finish --wrong 0.02` begins")
    looks = figures.looks(workspace)
    if not looks or (looks[-1]["state"], looks[-1]["round"]) != ("abandoned", plan.round):  # or it was cut off here
        figures.keep_look(workspace, record(workspace, plan, "abandoned"))
    keep(workspace, None)
    return f"no longer finishing at {100 * plan.wrong:g} % wrong; another try at these items is look {plan.look + 1}"


def record(workspace: Workspace, plan: Finish, state: str, **found: Any) -> dict[str, Any]:
    """What metrics/finish.json keeps of a look."""
    return {"state": state, **plan.model_dump(), "shards": len(stored.shards(workspace)), **found}


# After


@dataclass(frozen=True)
class Finished:
    """A pool that is finished. table: FINISHED, all items. counts: of the items of this finish, by whom they are
    labelled. allowed: how many of these labels may be wrong; exact: whether a label is right or wrong, and nothing
    between. losses: what the exam found, in the order of the model's doubt, NaN for items that were not in it; end: how
    many items, of these, the model or its exam has labelled."""

    table: pd.DataFrame
    plan: Finish
    counts: dict[str, int]
    allowed: int
    exact: bool
    losses: NDArray[np.float64]
    end: int

    @property
    def exam(self) -> int:
        """How many items the exam had as far as the model labels."""
        return int((~np.isnan(self.losses[: self.end])).sum())

    @property
    def mistakes(self) -> float:
        """What it found there."""
        return float(np.nansum(self.losses[: self.end]))

    @property
    def promise(self) -> str:
        """The promise in a sentence."""
        items, people = sum(self.counts.values()), self.counts[PERSON] + self.counts[GOLD]
        unit, new = "" if self.exact else " (1 less F1 each, added up)", "new " if self.plan.after else ""
        said = (
            f"Of these {items - self.counts[NOBODY]:,} {new}labels at most {self.allowed:,} "
            f"({100 * self.plan.wrong:g} % of {items:,} items) differ from what people would have said{unit}, with "
            f"{100 * self.plan.confidence:g} % confidence: {people:,} are people's, {self.counts[MODEL]:,} the model's"
        )
        said += "".join(f", {self.counts[by]:,} {words}" for by, words in WHOSE.items() if self.counts[by]) + "."
        return said + (f" Without a label: {self.counts[NOBODY]:,}." if self.counts[NOBODY] else "")


def finished(workspace: Workspace, plan: Finish) -> Finished:
    """The finished pool, once nothing is left to ask."""
    pool, found = finishing.gather(workspace, plan), finishing.standing(workspace, plan)
    items, own = found.items, pool.items[pool.items.label.notna()]
    latest = consensus.today(workspace, ledger.today(workspace)).set_index("id").label
    own = own.assign(label=own.label.mask(own.by == PERSON, own.id.map(latest)))
    own = own.assign(by=own.by.mask(own.label.isna(), NOBODY))  # withdrawn since
    by_model = items.said.isna() & ~items.inside & (np.arange(len(items)) < found.end)
    label = items.said.mask(by_model, items.prediction)
    by = pd.Series(NOBODY, items.index).mask(by_model, items.source).mask(items.said.notna(), PERSON)
    rest = pd.DataFrame({"id": items.id, "label": label, "by": by, "confidence": (1 - items.doubt).where(by_model)})
    new = pd.concat([own.assign(confidence=np.nan)[list(rest)], rest]).assign(finish=number(workspace))
    before, path = FINISHED.frame(), workspace.finished / TABLE
    if plan.after and path.exists():
        before = read_parquet(path)
        before = before[before.id.isin(finishing.ids_of(workspace, plan.after))]
    shown = ["id", "source_id", *[stored.column_of(workspace)] * kinds.item(workspace.settings.kind.item).WORDS]
    keys = pd.concat([read_parquet(shard, columns=shown) for shard in stored.shards(workspace)])
    table = keys.merge(pd.concat([before[list(new)], new]), on="id")
    counts = {by: int((new.by == by).sum()) for by in (PERSON, GOLD, *MACHINES, NOBODY)}
    budget = finishing.budget_of(plan.wrong, len(pool.items))
    exact = finishing.exact(kinds.answer(workspace.settings.kind.answer))
    losses = items.loss.to_numpy(dtype=np.float64)
    return Finished(FINISHED.conform(table), plan, counts, budget, exact, losses, found.end)


def number(workspace: Workspace) -> int:
    """Of the finish that is going on, or comes next: 1 and on."""
    return 1 + len(_finishes(workspace))


def _finishes(workspace: Workspace) -> list[dict[str, Any]]:
    """The looks that ended in a finished pool, the oldest first."""
    return [look for look in figures.looks(workspace) if look["state"] == "finished"]


def done(workspace: Workspace) -> str:
    """The promise of the finished pool; '' where there is none, or where items came since."""
    looks = _finishes(workspace)
    return str(looks[-1]["said"]) if looks and looks[-1]["shards"] == len(stored.shards(workspace)) else ""


def saved(workspace: Workspace) -> str:
    """What the finished pool has saved against labelling all of it, in words; '' where there is none."""
    path = workspace.finished / TABLE
    if not path.exists():
        return ""
    by = read_parquet(path, columns=["by"]).by
    items, model = len(by), int(by.isin(MACHINES).sum())
    paid, unit = money.spending(workspace), workspace.settings.prove.currency
    price = "" if paid.label is None else f", {paid.label * model:,.0f} {unit}".rstrip()
    hours = "" if paid.seconds_a_label is None else f" ({paid.seconds_a_label * model / 3600:.1f} h{price})"
    return f"To label all {items:,} items would have taken {quantity(model, 'more answer')} of people{hours}."


def going_on(workspace: Workspace) -> str:
    """What is being done to finish the pool, in words; '' where nothing is."""
    plan = workspace.settings.select.finish
    if plan is None:
        return ""
    said = f"at most {100 * plan.wrong:g} % wrong with {100 * plan.confidence:g} % confidence, by the model of round"
    return f"under way: {said} {plan.round}; `labelwise finish --abandon` takes it back"


def last(workspace: Workspace, plan: Finish) -> str:
    """The promise of a plan whose pool was written already; '' where it was not."""
    looks = figures.looks(workspace)
    done = bool(looks) and looks[-1]["state"] == "finished" and looks[-1]["round"] == plan.round
    return str(looks[-1]["said"]) if done else ""


def write(workspace: Workspace, found: Finished, page: str) -> None:
    """Write the finished pool, its page, and the look in metrics/finish.json. What was written before stays what it
    is."""
    with atomic(workspace.finished) as scratch:
        scratch.mkdir()
        write_parquet(scratch / TABLE, found.table, FINISHED)
        write_csv(scratch / LIST, found.table)
        (scratch / "promise.html").write_text(page, encoding="utf-8")
    said = {"said": found.promise, "by": found.counts, "exam": found.exam, "mistakes": found.mistakes}
    figures.keep_look(workspace, record(workspace, found.plan, "finished", **said))
