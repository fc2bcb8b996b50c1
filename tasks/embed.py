"""Stage `embed`: one vector an item, computed once and kept as float16 shards beside the pool's."""

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, stage
from labelwise.tasks.errors import InputError, quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import leaks, stored
from labelwise.tasks.items.pieces import Arrays, Pieces
from labelwise.tasks.items.vectors import (
    column,
    encoder_of,
    fingerprint,
    fingerprint_of_words,
    fresh,
    fresh_words,
    gold_vectors,
    gold_wording,
    keep,
    made_by,
    noted,
    pool_vectors,
    settled,
    settled_by,
    settled_file,
    shard_vectors,
    vectors_of,
    wording_of,
    words_of,
)
from labelwise.tasks.kinds import text
from labelwise.tasks.kinds.base import Encoder
from labelwise.tasks.kinds.wording import unreadable
from labelwise.tasks.learners import runtimes, words
from labelwise.tasks.learners.runtimes import Later
from labelwise.tasks.progress import counted
from labelwise.tasks.records import LEAKS
from labelwise.tasks.services import ray
from labelwise.tasks.settings import Embed, Settings
from labelwise.tasks.workspace import Workspace, atomic, read_array, read_parquet, write_json, write_parquet

COMPARED = 256  # items that tell the drift of an engine
PIECE = 2048  # items sorted and encoded together: bounds memory, long enough to pack well


def run(workspace: Workspace) -> str:
    """Encode the shards that have no vectors yet, or whose items or encoder have changed, and keep how their texts are
    worded. Returns a line for people."""
    settings, item = workspace.settings.embed, kinds.item(workspace.settings.kind.item)
    wording = kinds.worded_by(workspace.settings)
    _settle(workspace)
    tables = [workspace.gold, *stored.shards(workspace)]
    marked = kinds.answer(workspace.settings.kind.answer).PLACES
    stale = [
        table
        for table in tables
        if not fresh(vectors_of(workspace, table), table, settings) or (marked and not fresh_words(workspace, table))
    ]
    unread = [table for table in tables if wording and not fresh(wording_of(workspace, table), table, settings)]
    rows = sum(stored.rows(table) for table in stale)
    before = _encode(workspace, stale, unread) if stale or unread else 0
    drift = _drift(workspace) if workspace.gold in stale and item.NAME == text.NAME else ""
    _find_leaks(workspace)
    said = [f"{quantity(rows, item.NAME)} encoded by {settings.encoder}" if stale else "every item has its vector"]
    said[0] += f", {before:,} of them before the last run was cut off" if before else ""
    said += [drift] if drift else []
    leaked, pool = leaks.leaked(workspace), stored.items(workspace)
    said += [f"{count:,} of {pool:,} items of the pool are {why}" for count, why in leaks.counted(leaked)]
    if remark := leaks.remark(leaked, pool, workspace.settings):
        said.append(remark)
    of_pool = pool_vectors(workspace).wording if wording else None
    if of_pool is not None and (remark := unreadable(of_pool["unknown"])):
        said.append(remark)
    return "; ".join(said)


def _settle(workspace: Workspace) -> None:
    """Have the encoder know of the first items what it must, where it does not yet. Vectors by what it knew before are
    taken away first, so that whatever interrupts this, none of them stays beside new ones."""
    item = kinds.item(workspace.settings.kind.item)
    shards = stored.shards(workspace)
    if item.settled is None or not shards:
        return
    known = settled(workspace) or item.settled(column(shards[0], item.COLUMN).to_pylist(), workspace.settings)
    content = {"by": settled_by(workspace.settings), "known": known}
    if noted(settled_file(workspace)) != content:
        write_json(settled_file(workspace), content)
    if noted(made_by(workspace)) != content:
        for path in workspace.vectors.glob("*.npy"):
            path.unlink()
        write_json(made_by(workspace), content)


def _drift(workspace: Workspace) -> str:
    """What a quicker engine or precision has changed, see `runtimes.drift`, by the first items of gold."""
    cells = column(workspace.gold, text.COLUMN)[:COMPARED].to_pylist()
    vectors = read_array(vectors_of(workspace, workspace.gold))[: len(cells)].astype(np.float32)
    return runtimes.drift(workspace.settings.embed, cells, vectors)


def _encode(workspace: Workspace, stale: list[Path], unread: list[Path]) -> int:
    """Encode the stale tables and read the wording of the unread. Returns how many items an earlier run had encoded of
    these before it was cut off."""
    settings, item = workspace.settings.embed, kinds.item(workspace.settings.kind.item)
    marked = kinds.answer(workspace.settings.kind.answer).PLACES
    encoder, made_of = Later(lambda: encoder_of(workspace)), fingerprint_of_words if marked else fingerprint
    known = {"piece": PIECE, "known": settled(workspace)}
    begun = {table: Pieces(workspace, table, made_of(table, settings) | known) for table in stale}
    there = sum(pieces.rows for pieces in begun.values())
    rows = sum(stored.rows(table) for table in stale) - there
    with counted(f"embed {rows:,} {item.NAME}s", rows) as done:
        for table in dict.fromkeys([*stale, *unread]):
            if table in begun:
                _compute(workspace, table, begun[table], encoder, done)
                (_keep_words if marked else _keep_vectors)(workspace, table, begun[table])
                begun[table].remove()
            if table in unread and item.wording:
                pieces = stored.pieces(table, item.COLUMN, PIECE)
                read = np.concatenate([item.wording(piece, encoder) for piece in pieces])
                keep(wording_of(workspace, table), read, fingerprint(table, settings))
    return there


def _compute(workspace: Workspace, table: Path, begun: Pieces, encoder: Encoder, done: Callable[[int], None]) -> None:
    """Encode the pieces of a table that are missing, here or on a cluster's workers; each is kept as it is done."""
    settings = workspace.settings
    pieces = begun.missing(stored.pieces(table, kinds.item(settings.kind.item).COLUMN, PIECE))
    if settings.engine == "local":
        do = partial(encoded, encoder, kinds.answer(settings.kind.answer).PLACES, done)
    else:
        do = partial(encoded_by_worker, settings, settled(workspace))
    for number, found in ray.each(settings.engine, do, pieces, gpu=settings.embed.precision is not None):
        begun.keep(number, len(found["vectors"]), found)
        if settings.engine != "local":
            done(len(found["vectors"]))


def encoded(encoder: Any, marked: bool, done: Callable[[int], None], piece: list[str]) -> Arrays:
    """What is kept of n items: `vectors`, (n, d) float16; where parts of texts are marked, their words, too."""
    if not marked:
        vectors = encoder.encode(piece, done).astype(np.float16)
        refuse_broken(vectors)
        return {"vectors": vectors}
    vectors, found = words.read(encoder, piece, done)
    refuse_broken(vectors)
    refuse_broken(found.states)
    states = found.states.astype(np.float16)
    return {"vectors": vectors.astype(np.float16), "places": found.places, "marks": found.marks, "states": states}


def encoded_by_worker(settings: Settings, known: Any, piece: list[str]) -> Arrays:
    """`encoded`, by a worker of a cluster, which loads the encoder once."""
    encoder = _encoder_of_worker(settings.kind.item, settings.embed.model_dump_json(), json.dumps(known))
    return encoded(encoder, kinds.answer(settings.kind.answer).PLACES, lambda _done: None, piece)


@cache
def _encoder_of_worker(item: str, embed: str, known: str) -> Encoder:
    return kinds.item(item).encoder(Embed.model_validate_json(embed), json.loads(known))


def _keep_vectors(workspace: Workspace, table: Path, begun: Pieces) -> None:
    """The vectors of a table of items, put together on disk: there may be millions."""
    path, made_of = vectors_of(workspace, table), fingerprint(table, workspace.settings.embed)
    path.with_suffix(".json").unlink(missing_ok=True)  # it is about what was there
    with atomic(path) as scratch:
        _joined(scratch, begun.each("vectors"), stored.rows(table))
    write_json(path.with_suffix(".json"), made_of)


def _joined(path: Path, parts: Iterable[NDArray[np.float16]], rows: int) -> None:
    """Write parts of an array, at least one, one after the other, as one of so many rows. It is written and not mapped
    into memory: of a map, a disk that is full tells by a signal that ends the process."""
    written = cast(Any, np.lib.format)  # numpy says no types of it
    with path.open("wb") as file:
        for number, part in enumerate(parts):
            if number == 0:
                shape, kind = (rows, *part.shape[1:]), written.dtype_to_descr(part.dtype)
                written.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
            file.write(np.ascontiguousarray(part).data)


def _keep_words(workspace: Workspace, table: Path, begun: Pieces) -> None:
    """The same of a table of texts and their words, whose states take far more room than the vectors."""
    settings = workspace.settings.embed
    made_of = fingerprint_of_words(table, settings)
    for path in (vectors_of(workspace, table), *words_of(workspace, table).values()):
        path.with_suffix(".json").unlink(missing_ok=True)  # whatever cuts this off, none is taken for what it is not
    files, column = words_of(workspace, table), kinds.item(workspace.settings.kind.item).COLUMN
    counts = [len(words.places(text)) for piece in stored.pieces(table, column, PIECE) for text in piece]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    with atomic(files["states"]) as scratch:
        _joined(scratch, begun.each("states"), int(starts[-1]))
    keep(files["places"], np.concatenate([*begun.each("places")]), made_of)
    keep(files["marks"], np.concatenate([*begun.each("marks")]), made_of)
    keep(vectors_of(workspace, table), np.concatenate([*begun.each("vectors")]), fingerprint(table, settings))
    keep(files["starts"], starts, made_of)
    write_json(files["states"].with_suffix(".json"), made_of)


def _find_leaks(workspace: Workspace) -> None:
    """Compare with gold, answered or not, every shard that has not been compared with just this gold."""
    own, drawn = read_parquet(workspace.gold), trusted.drawn(workspace)
    whole = pd.concat([own, drawn]).drop_duplicates("id")
    grouped = whole[["id", "group"]].dropna() if "group" in whole else whole[:0].assign(group=None)
    ids = whole.id
    least, worded = workspace.settings.gold.near_duplicate, kinds.worded_by(workspace.settings)
    gold = {"gold": hashlib.sha256("".join(ids).encode()).hexdigest(), "near_duplicate": least}
    gold |= {"wording": True} if worded else {}
    gold |= {"groups": hashlib.sha256("\0".join(grouped.group).encode()).hexdigest()} if len(grouped) else {}
    gold_set = None
    for shard in stored.shards(workspace):
        path = leaks.leaks_of(workspace, shard)
        wanted = {**fingerprint(shard, workspace.settings.embed), **gold}
        if path.exists() and noted(path) == wanted:
            continue
        gold_set = gold_set or (gold_vectors(workspace, ids), gold_wording(workspace, ids) if worded else None)
        of_shard = pd.Index(column(shard, "id").to_numpy())
        vectors = shard_vectors(workspace, shard, len(of_shard))
        both = (read_array(wording_of(workspace, shard)), gold_set[1]) if gold_set[1] is not None else None
        found = leaks.leaks(of_shard, vectors, pd.Index(ids), gold_set[0], least, both)
        if len(grouped):
            kin = leaks.of_groups(of_shard, stored.groups_of(shard), grouped)
            found = pd.concat([found, kin[~kin.id.isin(found.id)]], ignore_index=True)
        write_parquet(path, found, LEAKS)
        write_json(path.with_suffix(".json"), wanted)


def refuse_broken(vectors: NDArray[np.floating]) -> None:
    """InputError when a vector holds NaN or infinity: a model would take it in silence, or fail in another place."""
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise InputError(
            "the encoder gives vectors that are no numbers",
            expected="finite figures",
            got=f"NaN or infinity in row {row}",
            fix="set another embed.encoder in params.yaml, whose figures fit into half precision",
        )


if __name__ == "__main__":
    stage.main(run)
