"""What is to be rehearsed: the plan, its labelled rows, the settings of its rounds."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labelwise.tasks import kinds, sources
from labelwise.tasks.errors import InputError, named, quantity
from labelwise.tasks.kinds import files
from labelwise.tasks.pull import detected, refuse_faults
from labelwise.tasks.settings import Columns, Pull, Settings, fewest, parse, read
from labelwise.tasks.upkeep import names

GOLD_SHARE = 1 / 3  # of the rows, when no gold set is given
COLUMNS = Columns()


@dataclass(frozen=True)
class Plan:
    """What to rehearse. pool, gold: sources with labels; gold None: a third of the pool. params: a params.yaml to
    follow. measure: as in `evaluate.measure`; None: that of params, or the kind's own."""

    pool: str
    gold: str | None
    strategies: list[str]
    learners: list[str]
    batch: int
    rounds: int
    seeds: int
    noise: float
    first: int | None = None
    columns: Columns = COLUMNS
    params: str | None = None
    encoding: str | None = None
    item: str = "text"
    answer: str = "choice"
    delimiter: str | None = None
    measure: str | None = None

    @property
    def kind(self) -> kinds.Answer:
        """What is said of an item."""
        return kinds.answer(self.answer)

    @property
    def content(self) -> kinds.Content:
        """What an item is."""
        return kinds.item(self.item)


def looked_at(plan: Plan, tell: Callable[[str], None]) -> Plan:
    """The plan with what it does not say of the columns: from `plan.params`, or from the pool itself, which is told."""
    if plan.params and not plan.columns.features:
        of_params = read(Path(plan.params)).pull.columns.features
        plan = replace(plan, columns=plan.columns.model_copy(update={"features": of_params}))
    columns, said = detected(plan.pool, plan.columns, plan.content, plan.encoding)
    for line in said:
        tell(f"rehearse: {line}")
    return replace(plan, columns=columns)


def gathered(plan: Plan, tell: Callable[[str], None]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of pool and gold, columns id, that of the item, label, and group where the plan names one, each item
    once; what was left out is told. No group has rows on both sides."""
    pool = rows_of(plan.pool, plan, tell)
    if plan.gold is None:
        order = np.random.default_rng(0).permutation(len(pool))
        shuffled = pool.iloc[order]
        first = shuffled[~units(shuffled).duplicated()]  # of each group, which goes where it goes
        of_class = first.groupby(strata(first, plan.kind))
        rank = (of_class.cumcount() + 1) / of_class.label.transform("size")  # a class with one row can be learned
        is_gold = units(pool).isin(units(first[rank <= GOLD_SHARE]))
        pool, gold = pool[~is_gold], pool[is_gold]
        share = "every class in its share" + (", whole groups," if plan.columns.group else ",")
        tell(f"rehearse: no --gold: {len(gold):,} of the rows, {share} are kept to measure with")
    else:
        gold = rows_of(plan.gold, plan, tell)
        column, fold = plan.content.COLUMN, plan.content.fold
        leaked = pool[column].map(fold).isin(set(gold[column].map(fold)))
        if leaked.any():
            tell(f"rehearse: {quantity(int(leaked.sum()), 'row')} of the pool left out, in gold too")
        pool = pool[~leaked]
        of_gold = units(pool).isin(units(gold))
        if of_gold.any():
            tell(f"rehearse: {quantity(int(of_gold.sum()), 'row')} of the pool left out, of a group that gold has")
        pool = pool[~of_gold]
    classes = sorted(classes_in(pool, plan))
    if len(classes) < fewest(plan.answer) or gold.empty:
        expected = "two classes in the pool" if fewest(plan.answer) > 1 else "labels in the pool"
        raise InputError(
            "rehearse",
            expected=f"{expected}, and rows to measure with",
            got=f"{len(pool):,} pool rows of {len(classes)} ({named(classes[:3])}), {len(gold):,} gold rows",
            fix=f"add labelled rows that differ in {plan.item} and label"
            + (f", or in {plan.columns.group} (--group-column)" if plan.columns.group else ""),
        )
    if strangers := sorted(classes_in(gold, plan) - set(classes)):
        tell(f"rehearse: classes that only gold has, which nobody can learn: {', '.join(strangers[:5])}")
    return pool.reset_index(drop=True), gold.reset_index(drop=True)


def strata(rows: pd.DataFrame, answer: kinds.Answer) -> pd.Series:
    """What is kept in its share when rows are divided: their label; where that names places, which hardly two rows have
    in common, the rarest of its classes."""
    if not answer.PLACES:
        return rows.label
    named = rows.label.map(answer.members)
    counts = Counter(name for names in named for name in names)
    return named.map(lambda names: min(names, key=lambda name: (counts[name], name), default=""))


def units(rows: pd.DataFrame) -> pd.Series:
    """What stays together: the group of a row, or the row itself where it has none."""
    own = "row " + rows.id
    return own if "group" not in rows else ("group " + rows.group.astype("string")).fillna(own)


def classes_in(rows: pd.DataFrame, plan: Plan) -> set[str]:
    """The classes that the labels of rows name."""
    return {name for label in rows.label.unique() for name in plan.kind.members(label)}


def rows_of(source: str, plan: Plan, tell: Callable[[str], None]) -> pd.DataFrame:
    """The labelled rows of a source."""
    columns, item = plan.columns, plan.content
    own, name = item.columns(columns), item.COLUMN
    theirs = {columns.label: "label"} | ({columns.group: "group"} if columns.group else {})
    wanted = [*own, *theirs]
    pull = Pull(pool="", gold="", delimiter=plan.delimiter, columns=columns)
    form = kinds.cells_of(item, plan.kind, columns, columns.label)
    if above := sources.above(source, item.files(columns)):
        tell(f"rehearse: {source}: all files lie in {above!r}, so the folders in it are taken as the classes")
    chunks = [
        pd.DataFrame({name: item.read(chunk[own], pull).fillna("")}).join(chunk[list(theirs)].rename(columns=theirs))
        for chunk in sources.chunks(source, wanted, encoding=plan.encoding, cells=form)
    ]
    if not chunks:
        raise InputError(f"{source} holds no row", expected="labelled rows")
    rows = pd.concat(chunks, ignore_index=True)
    read = plan.kind.read_all(rows.label.tolist(), rows[name].tolist(), plan.delimiter)
    if plan.kind.PLACES:  # those of the text as it is kept
        rows[name] = rows[name].map(item.tidy)
    refuse_faults(source, rows.label, read, plan.kind, rows[name])
    for remark in read.remarks:
        tell(f"rehearse: {source}: {remark}")
    rows = rows.assign(label=pd.Series(read.labels, rows.index, dtype=object))
    unread = pd.Series(files.unread_among(rows[name], item.files(columns)), rows.index, dtype=bool)
    blank = unread | (rows[name].str.strip() == "") | rows.label.isna() | (rows.label == "")
    again = ~blank & rows[name].map(item.fold).duplicated()
    if blank.any() or again.any():
        tell(
            f"rehearse: {source}: {quantity(int(blank.sum()), 'row')} without {item.NAME} or label "
            f"and {quantity(int(again.sum()), 'repeated one')} left out"
        )
    rows = rows[~blank & ~again]
    if columns.group:
        rows["group"] = rows.group.where(rows.group.str.strip() != "", None)
    return rows.assign(id=rows[name].map(item.identify))[["id", name, *theirs.values()]].reset_index(drop=True)


def settings_of(plan: Plan, classes: list[str]) -> Settings:
    """The settings of the rounds: those of `plan.params`, or the defaults."""
    if plan.params:
        given = read(Path(plan.params))
        names.refuse_unknown(given)
        if given.kind.answer != plan.answer:
            raise InputError(
                f"{plan.params}: kind.answer is {given.kind.answer}", expected=plan.answer, fix="give --answer as there"
            )
        judged = given.evaluate.model_copy(update={"measure": plan.measure or given.evaluate.measure})
        return measurable(given.model_copy(update={"classes": classes, "evaluate": judged}))
    project = {"name": "rehearsal", "id": "rehearsal"}
    if len(classes) < fewest(plan.answer):
        raise InputError("rehearse", expected="two classes at least", got=named(classes))
    sources: dict[str, Any] = {"pool": plan.pool, "gold": plan.gold or ""}
    if plan.columns.features:
        sources["columns"] = {"features": plan.columns.features}
    # No control arm: what is compared is the strategies, each with the whole of its batches.
    content: dict[str, Any] = {
        "project": project,
        "classes": classes,
        "kind": {"item": plan.item, "answer": plan.answer},
        "pull": sources,
        "select": {"control": 0.0, "typical": True, "seek": True},  # as in a new workspace
        "embed": {"wording": True},
    }
    for dotted, value in plan.content.DEFAULTS.items():
        section, _, key = dotted.partition(".")
        content.setdefault(section, {})[key] = value
    made = parse(content)
    return measurable(made.model_copy(update={"evaluate": made.evaluate.model_copy(update={"measure": plan.measure})}))


def measurable(settings: Settings) -> Settings:
    """The settings, if their measure is one of these classes and this kind. InputError where it is not."""
    try:
        _ = settings.measure
    except ValueError as error:
        raise InputError(f"--measure: {error}") from None
    return settings


def batches(plan: Plan, pool: int, tell: Callable[[str], None]) -> list[int]:
    """The size of each batch."""
    first = plan.first or plan.batch
    if first > pool:
        raise InputError("rehearse", expected=f"a first batch of at most {pool} (the pool)", got=str(first))
    if first + (plan.rounds - 1) * plan.batch > pool:
        tell(f"rehearse: the pool ends after {quantity(pool, 'label')}, before {plan.rounds} rounds are played")
    return [first] + [plan.batch] * (plan.rounds - 1)


def digest(parts: list[str]) -> str:
    """A short hash of all parts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
