"""The life of one item: when it came, when and why it was asked, who answered what, which models learned from it."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from labelwise.tasks import kinds
from labelwise.tasks.errors import InputError, LabelwiseError
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import forgotten, stored
from labelwise.tasks.items.leaks import leaked, leaks_name
from labelwise.tasks.labels import ledger, renamed
from labelwise.tasks.records import number_of, tag
from labelwise.tasks.services.mlflow import Registered, open_tracking
from labelwise.tasks.services.versions import history, remote
from labelwise.tasks.services.versions.history import Commit
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Settings
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace, read_parquet, read_table

POOL, VECTORS = "data/pool.dvc", "data/vectors"


@dataclass(frozen=True)
class Entry:
    """How an item came: into which file, and the commit that first had it."""

    file: str
    commit: str
    date: str
    said: str


@dataclass(frozen=True)
class Answer:
    """One row about the item. counts: its label is the one that models learn from now. gold: a trusted answer. today:
    what was said is called now, None where it still has that name. lapsed: whether it was said by a class that there is
    no more."""

    round: int
    why: str
    propensity: float | None
    status: str
    label: str | None
    reviewer: str | None
    created_at: str | None
    task: int | None
    annotation: int | None
    counts: bool = False
    gold: bool = False
    today: str | None = None
    lapsed: bool = False


@dataclass(frozen=True)
class Lineage:
    """All that is known of an item.

    text: as it is; empty for one that was forgotten, since `forgotten_at`. place: what it is now. entered: None where
    git does not know. open_in: the round it is asked in now. rows: ledger and trusted answers, oldest first. learned:
    rounds whose model learned from it, with the registered version. unknown: what could not be looked at.
    """

    item: str
    text: str
    place: list[str]
    entered: Entry | None
    open_in: int | None
    rows: list[Answer]
    learned: dict[str, str | None]
    forgotten_at: str = ""
    unknown: list[str] = field(default_factory=list)

    def json(self) -> str:
        """The same for a program."""
        return json.dumps(asdict(self), indent=2)


def learned(rows: pd.DataFrame, rounds: Collection[int], leaks: Mapping[int, Collection[str]]) -> list[int]:
    """The rounds whose model learned from an item: those in which a label of it counted. rows: of this item alone, with
    the column `shard`. leaks: by round the ids that were gold or nearly so then, from which nothing was learned."""
    return [
        number
        for number in sorted(rounds)
        if not rows.id.isin(leaks.get(number, ())).any() and len(ledger.effective(rows[rows.shard <= number]))
    ]


def leaks_by_round(versions: Versions, tags: Collection[str], shards: Iterable[Path]) -> dict[int, set[str]]:
    """The ids in these shards of the pool that were gold or nearly so in each round, by the round's own vectors. Where
    DVC's cache does not have these any more a round is left out, and all that was labelled counts as learned: that is
    the error that harms nobody who asks to be forgotten."""
    files = history.cached(versions, VECTORS, [leaks_name(shard) for shard in shards], tags)
    ids = {file: set(read_parquet(file, columns=["id"]).id) for each in files.values() for file in each}
    return {number_of(name): set().union(*(ids[file] for file in each)) for name, each in files.items()}


def entry(position: int, shard: str, commits: Sequence[tuple[Commit, int]]) -> Entry | None:
    """The commit that brought the shard at this position of the pool, 1 and on. commits: those that changed the pool,
    oldest first, with how many shards each has: the pool grows by whole shards."""
    first = next((commit for commit, count in commits if count >= position), None)
    return Entry(shard, first.id, first.date, first.subject) if first else None


def run(workspace: Workspace, item: str) -> Lineage:
    """Look an item up everywhere. InputError when neither pool nor gold has or had it. MLflow may be out of reach."""
    remote.refuse_missing(workspace)
    versions = Versions(workspace.root)
    tombstones, own_gold = forgotten.read(workspace), trusted.today(workspace, stored.gold(workspace))
    item = item if item in set(tombstones.id) else _item(workspace, own_gold, item)
    found, said = _found(workspace, item)
    kind = kinds.item(workspace.settings.kind.item)
    buried = tombstones[tombstones.id == item]
    in_gold = own_gold[own_gold.id == item]
    if not found and in_gold.empty and buried.empty:
        raise InputError(
            "no such item",
            expected="its id (16 hexadecimal digits, as the ledger and the report have it), your own key, or "
            f"its {kind.NAME}",
            got=plain(repr(item), 60),
        )
    rows, trusted_rows = ledger.read_by_shard(workspace.labels), _trusted(workspace, item)
    rows = rows[rows.id == item].reset_index(drop=True)
    leaks = set(leaked(workspace).id) if workspace.vectors.exists() else set()
    numbers = _learned(versions, rows, found) if buried.empty else forgotten.rounds_of(str(buried.learned.iloc[-1]))
    by_tag, unknown = _versions(workspace) if numbers else ({}, [])
    return Lineage(
        item=item,
        text=said or (kind.brief(str(in_gold[kind.COLUMN].iloc[0])) if len(in_gold) else ""),
        place=_place(workspace, item, bool(found), in_gold, rows, leaks),
        entered=_entered(versions, workspace, found) if found else None,
        open_in=_open_in(workspace, item),
        rows=_answers(rows, trusted_rows, workspace.settings),
        learned={tag(number): by_tag.get(tag(number)) for number in numbers},
        forgotten_at=str(buried.forgotten_at.iloc[-1]) if len(buried) else "",
        unknown=unknown,
    )


def lines(seen: Lineage) -> list[str]:
    """The same for people; the text is shortened and safe to print."""
    said = [f"item {seen.item}: {plain(seen.text)!r}" if seen.text else f"item {seen.item}"]
    if seen.forgotten_at:
        said.append(f"  forgotten   {seen.forgotten_at}: what was known of it is gone; past rounds still have it")
    if seen.entered:
        came = seen.entered
        said.append(f"  entered     {came.file}, commit {came.commit[:10]} of {came.date} ({plain(came.said, 60)})")
    said += [f"  is          {place}" for place in seen.place]
    if seen.open_in is not None:
        said.append(f"  asked       round {seen.open_in}: open, nobody's answer is in the ledger yet")
    for row in seen.rows:
        chance = f" with probability {row.propensity:.4f}" if row.propensity is not None else ""
        where = f"gold ask {row.round}" if row.gold else f"round {row.round}"
        said.append(f"  asked       {where}: {plain(row.why, 40)}{chance}" + (f", task {row.task}" if row.task else ""))
        said.append(f"  answered    {_answer_in_words(row)}")
    for name, version in seen.learned.items():
        said.append(f"  learned by  the model of {name}" + (f", version {version}" if version else ""))
    if not seen.learned and not seen.forgotten_at:
        said.append("  learned by  no model")
    return said + [f"  not known   {plain(line, 200)}" for line in seen.unknown]


def _answer_in_words(row: Answer) -> str:
    if row.reviewer is None:
        return "by nobody yet" if row.status == "open" else row.status
    what = repr(row.label) if row.label is not None else row.status
    what += f", {row.today!r} today," if row.today else ""
    what += ", which is no class any more" if row.lapsed else ""
    standing = " (counts)" if row.counts else " (superseded)" if row.status == "labelled" and not row.gold else ""
    return f"{row.created_at}: {what} by reviewer {plain(row.reviewer, 40)}{standing}"


def _learned(versions: Versions, rows: pd.DataFrame, shard: Path | None) -> list[int]:
    """`learned` by the history. shard: that of the item, None where it is not in the pool."""
    tags = history.tagged_rounds(versions)
    return learned(rows, [number_of(name) for name in tags], leaks_by_round(versions, tags, [shard] if shard else []))


def _item(workspace: Workspace, own_gold: pd.DataFrame, given: str) -> str:
    """The id of the item that somebody names by its id, his own key or its text. InputError where several are meant."""
    kind = kinds.item(workspace.settings.kind.item)
    columns = ["id", "source_id", kind.COLUMN]
    named = (pc.field("id") == given) | (pc.field("source_id") == given) | (pc.field(kind.COLUMN) == given)
    in_pool = [read_table(shard, columns, named) for shard in stored.shards(workspace)]
    rows = pd.concat([own_gold[columns], *(table.to_pandas() for table in in_pool)])
    rows = rows[(rows[columns] == given).any(axis=1)].drop_duplicates("id")
    if (rows.id == given).any() or rows.empty:
        return given
    if len(rows) > 1:
        shown = [f"{row['id']} ({plain(kind.brief(row[kind.COLUMN]), 40)})" for row in rows.head(5).to_dict("records")]
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        got = f"{len(rows)} items: {', '.join(shown)}{more}"
        raise InputError(f"{plain(given, 60)!r} names several items", expected="one", got=got, fix="name one by its id")
    return str(rows.id.iloc[0])


def _found(workspace: Workspace, item: str) -> tuple[Path | None, str]:
    """The shard of the pool that has the item, and the item in words."""
    kind = kinds.item(workspace.settings.kind.item)
    for shard in stored.shards(workspace):
        table = read_table(shard, [kind.COLUMN], pc.field("id") == item)
        if len(table):
            return shard, kind.brief(str(table[kind.COLUMN][0].as_py()))
    return None, ""


def _trusted(workspace: Workspace, item: str) -> pd.DataFrame:
    """What people said of the item when asked for a trusted label."""
    asked, said = trusted.asked(workspace), trusted.answers(workspace)
    mine = asked[asked.id == item][["id", "ask", "why", "propensity"]]
    return mine.merge(said[said.id == item], on=["id", "ask"], how="left")


def _place(
    workspace: Workspace, item: str, in_pool: bool, own_gold: pd.DataFrame, rows: pd.DataFrame, leaks: Collection[str]
) -> list[str]:
    """What it is now, in words."""
    said = ["in the pool"] if in_pool else []
    if len(own_gold):
        said.append(f"in the gold set, labelled {str(own_gold.label.iloc[0])!r}: models are measured by it")
    drawn = trusted.drawn(workspace)
    if item in set(drawn.id):
        said.append("drawn for the gold set")
    if in_pool and item in set(leaks):
        said.append("gold or nearly so by now: neither asked nor learned from")
    if item in set(ledger.set_aside(rows)):
        said.append("set aside: asked twice and came to nothing (data/quarantine)")
    return said


def shards_by_revision(versions: Versions, revisions: Iterable[str]) -> dict[str, int]:
    """How many shards the pool had in each of these revisions."""
    files = history.contents(versions, POOL, revisions)
    return {revision: int(history.tracked(content).get("nfiles", 0)) for revision, content in files.items()}


def _entered(versions: Versions, workspace: Workspace, shard: Path) -> Entry | None:
    commits = history.log(versions, "--reverse", "HEAD", path=POOL)
    sizes = shards_by_revision(versions, [each.id for each in commits])
    counted = [(each, sizes[each.id]) for each in commits if each.id in sizes]
    position = stored.shards(workspace).index(shard) + 1
    return entry(position, f"pool/{shard.name}", counted)


def _open_in(workspace: Workspace, item: str) -> int | None:
    if not workspace.batch.exists():
        return None
    asked = set(read_parquet(workspace.batch, columns=["id"]).id)
    return ledger.current_round(workspace.labels) + 1 if item in asked else None


def _answers(rows: pd.DataFrame, trusted_rows: pd.DataFrame, settings: Settings) -> list[Answer]:
    counting = _counting(rows.assign(label=renamed.counting(rows.label, settings)))
    own = [_answer(row, int(row["round"]), counts=position == counting) for position, row in enumerate(_plain(rows))]
    said = own + [_answer(row, int(row["ask"]), gold=True) for row in _plain(trusted_rows)]
    labels = pd.Series([each.label for each in said], dtype="string")
    today = renamed.counting(labels, settings)
    return [
        each
        if each.label is None
        else replace(each, lapsed=bool(gone), today=None if gone or now == each.label else str(now))
        for each, now, gone in zip(said, today, today.isna(), strict=True)
    ]


def _counting(rows: pd.DataFrame) -> int | None:
    """The position of the row whose label counts."""
    effective = ledger.effective(rows)
    if effective.empty:
        return None
    labelled = rows.reset_index(drop=True)
    labelled = labelled[(labelled.status == "labelled") & (labelled.label == effective.label.iloc[0])]
    return int(labelled.sort_values(["created_at", "annotation_id"], kind="stable").index[-1])


def _answer(row: dict[Any, Any], number: int, counts: bool = False, gold: bool = False) -> Answer:
    return Answer(
        round=number,
        why=row["why"],
        propensity=row["propensity"],
        status=row["status"] or "open",
        label=row["label"],
        reviewer=row["annotator"],
        created_at=row["created_at"],
        task=row["task_id"],
        annotation=row["annotation_id"],
        counts=counts,
        gold=gold,
    )


def _plain(rows: pd.DataFrame) -> list[dict[Any, Any]]:
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def _versions(workspace: Workspace) -> tuple[dict[str, str], list[str]]:
    """The registered version of each round's tag, and what hindered to know it."""
    try:
        known: list[Registered] = open_tracking(workspace.settings).registered()
    except LabelwiseError as error:
        return {}, [f"registered versions: {error}"]
    return {(each.tags or each.facts).get("labelwise.tag", ""): each.version for each in known}, []
