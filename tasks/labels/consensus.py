"""What the ledger amounts to: one label an item, with how far it can be trusted. Stage `agree` writes it down."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.errors import InputError, WorkspaceError, named
from labelwise.tasks.labels import ledger, reliability, renamed, weak
from labelwise.tasks.labels.aggregate import Doubles
from labelwise.tasks.labels.combined import AUTO, DAWID_SKENE, LATEST, Combined, Opinion, Said, combine, held_out
from labelwise.tasks.records import CONSENSUS
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace, read_parquet

if TYPE_CHECKING:  # `status` must not wait for learners
    from labelwise.tasks.items.vectors import Vectors
    from labelwise.tasks.learners import Items

FILE = "data/consensus.parquet"
ENOUGH = 10  # items with answers of two people: of fewer nothing can be told of who is right how often


ItemsOf = Callable[[pd.Series], "Items"]


@dataclass(frozen=True)
class Weighed:
    """What the ledger says, and what that comes to. labels: `ledger.effective`; said: the answers to these items, by
    `names`; by: how they were combined."""

    labels: pd.DataFrame
    names: pd.Index
    said: Said
    by: str
    found: Combined


def weigh(rows: pd.DataFrame, items_of: ItemsOf, settings: Settings) -> Weighed:
    """Ledger rows as of today, combined by `agree.by`; one label at least. items_of: ids -> the items.

    `auto` takes the latest answer, as surely right, while fewer than ENOUGH items have answers of two people; then it
    is Dawid and Skene's way, and a model of the other items is heard. No item has a label that nobody gave it.
    """
    labels, voices = ledger.effective(rows), ledger.voices(rows)
    refuse_strangers(voices.label, settings)
    said, names = said_of(voices, labels.id)
    by, heard = settings.agree.by, None
    if by == AUTO:
        by = LATEST
        if said.shared >= ENOUGH:
            by, heard = DAWID_SKENE, opinion(items_of(labels.id), settings)
    found = combine(said, by, kinds.answer(settings.kind.answer), settings.classes, heard, strange=False)
    return Weighed(labels, names, said, by, found)


def consensus(rows: pd.DataFrame, items_of: ItemsOf, settings: Settings) -> pd.DataFrame:
    """The consensus (CONSENSUS) of ledger rows as of today, in order of id; see `weigh`."""
    if ledger.effective(rows).empty:
        return CONSENSUS.frame()
    weighed = weigh(rows, items_of, settings)
    labels, found = weighed.labels, weighed.found
    # What `effective` says is the latest counts there: an answer that was changed is as late as its change.
    label = labels.label if weighed.by == LATEST else found.label
    trust, doubt = found.trust.round(6), found.doubt.round(6)
    return CONSENSUS.conform(labels.assign(label=label, trust=trust, people=found.people, doubt=doubt))


def refuse_strangers(labels: pd.Series, settings: Settings) -> None:
    """WorkspaceError where a label names what is no class."""
    answer = kinds.answer(settings.kind.answer)
    named_there = (name for label in labels.unique() for name in answer.members(label))
    stranger = next((name for name in named_there if name not in settings.classes), None)
    if stranger is not None:
        raise WorkspaceError(
            f"the ledger holds the label {stranger!r}, which is no class (any more)",
            expected="one of " + named(settings.classes),
            fix="put it back into `classes` in params.yaml",
        )


def said_of(voices: pd.DataFrame, ids: pd.Series) -> tuple[Said, pd.Index]:
    """Ledger rows as answers to these items, all of which have some, and who gave them. Who is not known is one
    person."""
    voices = voices[voices.id.isin(ids)]
    who = voices.annotator.fillna("")
    names = pd.Index(sorted(who.unique()))
    item, person = pd.Index(ids).get_indexer(voices.id), names.get_indexer(who)
    return Said(item, person, voices.label.tolist(), len(ids), len(names)), names


def opinion(items: "Items", settings: Settings) -> Opinion:
    """Of a model of these items, each judged by one that has not learned its label."""

    def of_labels(labels: list[str], trust: Doubles) -> Doubles:
        return held_out(items, labels, trust, settings)

    return of_labels


def with_weak(workspace: Workspace, rows: pd.DataFrame) -> pd.DataFrame:
    """The consensus of these rows of the ledger, as of today, and behind it what weak labels come to of other items."""
    people = of(workspace, rows)
    weakly = reliability.combined(weak.held(workspace), people, workspace.settings)
    return pd.concat([people, weakly], ignore_index=True) if len(weakly) else people


def of(workspace: Workspace, rows: pd.DataFrame) -> pd.DataFrame:
    """The consensus of these rows of the ledger, as of today."""
    return consensus(rows, items_in(workspace), workspace.settings)


def items_in(workspace: Workspace, vectors: "Vectors | None" = None) -> ItemsOf:
    """The items of the pool, by id, read when they are asked for. vectors: those of the pool, where they are there."""

    def items_of(ids: pd.Series) -> "Items":
        from labelwise.tasks.items.vectors import pool_items, pool_vectors

        found = vectors or pool_vectors(workspace)
        return pool_items(workspace, found).take(found.rows(ids))

    return items_of


def current(workspace: Workspace) -> pd.DataFrame:
    """What stage `agree` has written of what people said: the labels that count. Computed where dvc.yaml has no such
    stage: a round of before there was one is repeated as it was."""
    written = _written(workspace)
    return (
        of(workspace, ledger.held(workspace)) if written is None else written[written.people > 0].reset_index(drop=True)
    )


def unasked(workspace: Workspace) -> pd.DataFrame:
    """What stage `agree` has written of items that no person has labelled, and weak sources have."""
    written = _written(workspace)
    return CONSENSUS.frame() if written is None else written[written.people == 0].reset_index(drop=True)


def refuse_without_stage(workspace: Workspace, who: str) -> None:
    """InputError where dvc.yaml has no stage `agree`, as in a workspace of before there was one: weak labels would be
    taken together by nobody. who: whose they are, as the message begins."""
    if not _declared(workspace):
        fix = f"put the line `agree: {{by: {AUTO}}}` into params.yaml; `labelwise run` then adds the stage"
        raise InputError(f"{who}: dvc.yaml has no stage `agree`, by which weak labels are learned", fix=fix)


def _declared(workspace: Workspace) -> bool:
    return FILE in (workspace.root / "dvc.yaml").read_text(encoding="utf-8")


def _written(workspace: Workspace) -> pd.DataFrame | None:
    if not (workspace.consensus.exists() and _declared(workspace)):
        return None
    table = CONSENSUS.conform(read_parquet(workspace.consensus))
    table["label"] = renamed.counting(table.label, workspace.settings)  # classes may have other names since
    return table[table.label.notna()].reset_index(drop=True)


def today(workspace: Workspace, rows: pd.DataFrame) -> pd.DataFrame:
    """`ledger.effective` of these rows, but of an item whose label stage `agree` has combined from several people's the
    label is that; where it took the latest answer, as surely right, the latest of today counts."""
    latest, written = ledger.effective(rows), current(workspace)
    agreed = written[(written.people > 1) & (written.trust < 1)].set_index("id").label
    return latest.assign(label=latest.id.map(agreed).astype("string").fillna(latest.label))
