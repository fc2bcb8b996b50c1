"""Forget items for good: a request of data protection. From now on; past rounds are not rewritten, and say so.

The tombstones are written first. While git does not know them yet the forgetting is under way, and who comes next,
`labelwise forget` or the loop, ends it: every step done twice is done once. The commit comes last.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from labelwise.tasks import embed, kinds, select, sources
from labelwise.tasks.answering import tickets
from labelwise.tasks.errors import InputError, LabelwiseError, WorkspaceError, quantity
from labelwise.tasks.items import forgotten, stored
from labelwise.tasks.kinds import Content, text
from labelwise.tasks.labels import ledger, seeds
from labelwise.tasks.past import lineage
from labelwise.tasks.records import number_of, tag
from labelwise.tasks.services import mlflow, player
from labelwise.tasks.services.label_studio.project import open_gold_project, open_project
from labelwise.tasks.services.versions import differences, history, remote
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.terminal import plain
from labelwise.tasks.upkeep.purge import purge
from labelwise.tasks.workspace import Workspace, claimed, read_parquet, read_table

CHANGED = ("embed", "agree", "evaluate", "score", "select")  # stages whose output has rows of items
FILE = "data/forgotten.csv"


def run(workspace: Workspace, items: list[str], agreed: Callable[[list[str]], bool]) -> list[str]:
    """Forget these items, and all that differ from them in case or white space only. Returns lines for people.

    agreed: is shown what will go, and says whether it may. InputError: an id is unknown; nothing has changed then.
    WorkspaceError: the loop holds the workspace or has to end its work first, or nothing would be left.
    """
    versions = Versions(workspace.root)
    versions.clear()
    remote.refuse_missing(workspace)
    if not pending(versions) and set(items) <= forgotten.ids(workspace):
        versions.push()  # anyone who forgot them may have died before this
        return _lines("forgotten before", workspace, versions, items)
    with claimed(workspace) as claim:
        differences.refuse_side_tracks(versions)
        begun = pending(versions)
        if begun:
            versions.restore()
        else:
            claim.refuse_unfinished()
            differences.refuse_strange_changes(versions)
        before = forgotten.read(workspace)
        kind = kinds.item(workspace.settings.kind.item)
        found = resolve(_items(workspace), [item for item in items if item not in set(before.id)], kind)
        _refuse_emptiness(workspace, set(found.id))
        play = player.Play(workspace, versions)
        play.refuse()
        shown = zip(found.id, map(kind.brief, found[kind.COLUMN]), strict=True)
        if len(found) and not agreed([f"{item}  {plain(brief, 80)!r}" for item, brief in shown]):
            return ["nothing was forgotten"]
        for project in (open_project(workspace.settings), open_gold_project(workspace.settings)):
            _ = project.found  # is Label Studio there? Once begun, it is needed
        claim.begin()
        if len(found):
            forgotten.bury(workspace, _tombstones(workspace, versions, found))
        said = finish(workspace, versions)
        versions.push()
        play.keep()
    return _lines(said, workspace, versions, [*items, *found.id])


def pending(versions: Versions) -> bool:
    """Whether a forgetting was begun and cut off: tombstones that git does not know."""
    return bool(versions.git("status", "--porcelain", "--", FILE))


def finish(workspace: Workspace, versions: Versions) -> str:
    """Do all that the tombstones say, and commit it. Returns a line for people."""
    buried = forgotten.read(workspace)
    tasks = _delete_tasks(workspace, buried.id)
    purge(workspace, set(buried.id), set(buried.fold))
    if workspace.scores.exists():
        embed.run(workspace)  # encodes nothing; what leaks out of gold is found again where gold has changed
        if read_parquet(workspace.batch, columns=["id"]).empty:
            select.run(workspace)
        for stage in filter(versions.declares, CHANGED):
            versions.record(stage)
    versions.add()
    new = len(buried) - _committed(versions)
    line = f"{quantity(new, 'item')} forgotten, {quantity(tasks, 'task')} deleted in Label Studio"
    versions.save(f"forget: {line}")
    return line


def resume(workspace: Workspace, versions: Versions) -> str:
    """End a forgetting that was cut off; '' when there is none."""
    return finish(workspace, versions) if pending(versions) else ""


def resolve(there: pd.DataFrame, items: Iterable[str], kind: Content = text) -> pd.DataFrame:
    """The rows of `there` (id, and the item) that are meant: these items, and all that count as the same. InputError
    names the first that is unknown."""
    wanted = list(dict.fromkeys(items))
    unknown = [item for item in wanted if item not in set(there.id)]
    if unknown:
        raise InputError(
            f"forget: {len(unknown)} of {len(wanted)} items are unknown, so nothing was changed",
            expected="ids of the pool, the gold set, the seeds or the quarantine, 16 hexadecimal digits each",
            got=plain(repr(unknown[0]), 60),
        )
    if not wanted:
        return there[:0]
    folds = there[kind.COLUMN].map(lambda cell: forgotten.fold(cell, kind))
    return there[folds.isin(folds[there.id.isin(wanted)])].drop_duplicates("id").reset_index(drop=True)


def _items(workspace: Workspace) -> pd.DataFrame:
    """Id and item of all that the workspace holds. The id of a refused row is a hash of the row as it came."""
    files = [*stored.shards(workspace), workspace.gold, *sorted(workspace.quarantine.glob("*-*.parquet"))]
    files += seeds.shards(workspace)
    tables = [read_table(file) for file in files if file.exists()]
    columns = ["id", stored.column_of(workspace)]
    parts = [table.select(columns).to_pandas() for table in tables if columns[1] in table.column_names]
    return pd.concat([pd.DataFrame(columns=columns, dtype=object), *parts], ignore_index=True).dropna()


def _refuse_emptiness(workspace: Workspace, gone: Collection[str]) -> None:
    """A loop without pool or gold cannot go on; to forget all there is, the workspace itself must go."""
    gold = stored.gold(workspace)
    left = sum((~read_table(shard, ["id"])["id"].to_pandas().isin(gone)).sum() for shard in stored.shards(workspace))
    for name, count in (("pool", left), ("gold set", (~gold.id.isin(gone)).sum())):
        if gone and count == 0:
            raise WorkspaceError(
                f"forget: nothing would be left of the {name}",
                fix="delete the workspace, its DVC remote, its Label Studio projects and its MLflow experiment instead",
            )


def _tombstones(workspace: Workspace, versions: Versions, found: pd.DataFrame) -> pd.DataFrame:
    """What is kept of the items: nothing of what they say."""
    kind = kinds.item(workspace.settings.kind.item)
    names = history.tagged_rounds(versions)
    sizes = lineage.shards_by_revision(versions, names)
    shards = stored.shards(workspace)
    place = {item: at for at, shard in enumerate(shards, 1) for item in _among(shard, found.id)}
    rows = ledger.read_by_shard(workspace.labels)
    leaks = lineage.leaks_by_round(versions, names, [shards[at - 1] for at in sorted(set(place.values()))])
    numbers = [number_of(name) for name in names]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = []
    for row in found.to_dict("records"):
        held = [name for name in names if sizes.get(name, 0) >= place.get(row["id"], 0)]
        learned = lineage.learned(rows[rows.id == row["id"]], numbers, leaks)
        spans = _span(held), _span([tag(number) for number in learned])
        made.append([row["id"], forgotten.fold(row[kind.COLUMN], kind), now, *spans])
    return pd.DataFrame(made, columns=forgotten.COLUMNS)


def _among(shard: Path, ids: pd.Series) -> list[str]:
    """Which of the items are in a shard."""
    own = read_table(shard, ["id"])["id"].to_pandas()
    return [str(item) for item in own[own.isin(ids)]]


def _span(tags: Sequence[str]) -> str:
    return f"{tags[0]} to {tags[-1]}" if len(tags) > 1 else "".join(tags)


def _delete_tasks(workspace: Workspace, items: Iterable[str]) -> int:
    """Delete the items' tasks in both projects, and their tickets; how many tasks there were."""
    count, items = 0, list(items)
    if (file := tickets.store(workspace)).exists():
        with closing(tickets.Tickets(file)) as held:
            held.forget(items)
    for project in (open_project(workspace.settings), open_gold_project(workspace.settings)):
        tasks = project.tasks_of(items) if project.found is not None else []
        project.remove(tasks)
        count += len(tasks)
    return count


# What forgetting does not reach


def _lines(line: str, workspace: Workspace, versions: Versions, items: list[str]) -> list[str]:
    """What was done, and what still holds the items."""
    buried = forgotten.read(workspace)
    meant = buried[buried.id.isin(items)]
    return [f"{line}: {', '.join(meant.id)}", *still_held(workspace, versions, meant)]


def still_held(workspace: Workspace, versions: Versions, rows: pd.DataFrame) -> list[str]:
    """Lines for people about tombstones (rows): which models learned from the items, and what still holds them."""
    learned = sorted({span for span in rows.learned if span})
    held = sorted({span for span in rows.held if span})
    said = [f"learned by: the models of {', '.join(learned)}{_versions(workspace, learned)}"] if learned else []
    said = said or ["learned by: no model"]
    if held:
        said.append(f"past rounds, not rewritten so that they can be replayed: {', '.join(held)}")
    stores = [f"DVC remote {plain(address)}" for address in history.remotes(versions)]
    said.append(f"their data: DVC cache {workspace.root / '.dvc' / 'cache'}, {', '.join(stores)}, and every clone")
    item = workspace.settings.kind.item
    said.append(f"MLflow: ids and labels in the runs of these rounds, {item}s of examples in their report pages")
    if versions.git("tag", "--list", "finished-*"):
        said.append(f"MLflow: all {item}s with their labels in the finished pools (finished.csv, finished.parquet)")
    said.append("Label Studio: backups and exports that somebody made")
    said += [f"source: {line}" for line in _sources(workspace, set(rows.fold))]
    said.append(
        "to purge the past as well: `dvc gc --workspace --cloud` deletes the data of all past rounds, which cannot be "
        "replayed then; and delete the old runs in MLflow"
    )
    return said


def _versions(workspace: Workspace, spans: Collection[str]) -> str:
    """The registered versions of these rounds, in words."""
    try:
        known = mlflow.open_tracking(workspace.settings).registered()
    except LabelwiseError as error:
        return f" (MLflow was not asked for their versions: {error})"
    numbers = [int((each.tags or each.facts).get("labelwise.round", -1)) for each in known]
    rounds = {number for span in spans for number in forgotten.rounds_of(span)}
    meant = [each.version for each, number in zip(known, numbers, strict=True) if number in rounds]
    return f": versions {', '.join(meant)}" if meant else ""


def _sources(workspace: Workspace, folds: set[str]) -> list[str]:
    """Which sources have the items still. Those of other machines are not read for it."""
    pull, item = workspace.settings.pull, kinds.item(workspace.settings.kind.item)
    form = kinds.cells_of(item, kinds.answer(workspace.settings.kind.answer), pull.columns)
    said = []
    for source in dict.fromkeys((pull.pool, pull.gold)):
        if "://" in source:
            said.append(f"{source}: look there yourself")
            continue
        try:
            chunks = sources.chunks(source, item.columns(pull.columns), encoding=pull.encoding, cells=form)
            frames = (pd.DataFrame({item.COLUMN: item.read(chunk, pull)}) for chunk in chunks)
            has = any(forgotten.without(rows, folds, item)[1] for rows in frames)
        except LabelwiseError as error:
            said.append(f"{source} cannot be read now: {error}")
        else:
            said += [f"{source} still has them; no pull brings them back, but delete them there"] if has else []
    return said


def _committed(versions: Versions) -> int:
    """How many tombstones git knows."""
    known = history.contents(versions, FILE, ["HEAD"]).get("HEAD", b"")
    return max(known.count(b"\n") - 1, 0)
