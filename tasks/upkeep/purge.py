"""Take items out of every table of a workspace. Done twice is done once, so whatever cuts it off, it is done again."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labelwise.tasks import figures, kinds
from labelwise.tasks.items import forgotten, known, pieces, stored
from labelwise.tasks.items.leaks import leaks_of
from labelwise.tasks.items.vectors import WORDS, fingerprint, vectors_of, wording_of, words_of
from labelwise.tasks.kinds import Content
from labelwise.tasks.labels import seeds, weak
from labelwise.tasks.labels.journal import Journal
from labelwise.tasks.proof import finishing
from labelwise.tasks.records import WEAK
from labelwise.tasks.workspace import (
    Workspace,
    atomic,
    read_array,
    read_json,
    read_parquet,
    read_table,
    table_of_text,
    write_csv,
    write_json,
    write_parquet,
)

# Scraps that follow from items, and are made again when they are next asked for.
MADE_AGAIN = ("reports", "data_docs", "answer", known.FOLDER, pieces.FOLDER)
MOST_ROWS = 2**20  # of a row group, as pyarrow has it
Mask = NDArray[np.bool_]


def purge(workspace: Workspace, gone: Collection[str], folds: Collection[str]) -> None:
    """Take the items `gone` out of pool, gold, vectors, ledger, consensus, seeds, weak labels, batch and scores; out of
    the quarantine what reads like them (`folds`) too."""
    for table in [*stored.shards(workspace), workspace.gold]:
        _with_vectors(workspace, table, gone)
    for file in [
        *sorted(workspace.trusted.glob("asked-*.parquet")),
        *sorted(workspace.trusted.glob("answers-*.parquet")),
        *sorted(workspace.labels.glob("round-*.parquet")),
        *seeds.shards(workspace),
        *sorted(workspace.quarantine.glob("*.parquet")),
        workspace.consensus,
        workspace.scores,
        workspace.batch,
        workspace.finished / finishing.TABLE,
    ]:
        _rewrite(file, gone)
    for shard in weak.shards(workspace):
        _rewrite_weak(shard, gone)
    _rewrite_list(workspace.finished / finishing.LIST, gone)
    for file in workspace.quarantine.glob("*.parquet"):
        _rewrite_folds(file, set(folds), kinds.item(workspace.settings.kind.item))
    Journal(workspace).forget(gone)
    figures.drop_items(workspace, gone)
    for scraps in MADE_AGAIN:
        shutil.rmtree(workspace.scraps / scraps, ignore_errors=True)


def _rewrite(path: Path, gone: Collection[str], columns: Sequence[str] = ("id",)) -> None:
    """The table without the rows that name such an item."""
    if not path.exists():
        return
    kept = _kept(read_table(path, list(columns)), gone, columns)
    if not kept.all():
        with atomic(path) as scratch:
            _write(scratch, read_table(path), kept)


def _rewrite_weak(path: Path, gone: Collection[str]) -> None:
    """The same for weak labels."""
    if (rows := read_parquet(path)).id.isin(gone).any():
        write_parquet(path, weak.without(rows, gone), WEAK)


def _rewrite_list(path: Path, gone: Collection[str]) -> None:
    """The same for a CSV of ours."""
    if path.exists() and (named := (rows := table_of_text(path)).id.isin(gone)).any():
        write_csv(path, rows[~named])


def _rewrite_folds(path: Path, folds: set[str], item: Content) -> None:
    """Refused rows have ids of their own: they are known by what they say."""
    table = read_table(path)
    if item.COLUMN not in table.column_names:
        return
    kept = np.array(
        [cell is None or forgotten.fold(cell, item) not in folds for cell in table[item.COLUMN].to_pylist()], dtype=bool
    )
    if not kept.all():
        with atomic(path) as scratch:
            _write(scratch, table, kept)


def _with_vectors(workspace: Workspace, path: Path, gone: Collection[str]) -> None:
    """A table of items, with its vectors and leaks, which lie in the table's order. The table changes last: while it
    has the rows, it is known which vectors are theirs."""
    leaks = leaks_of(workspace, path)
    _rewrite(leaks, gone, ("id", "gold"))
    kept = _kept(read_table(path, ["id"]), gone, ("id",))
    if kept.all():
        return
    with atomic(path) as scratch:
        _write(scratch, read_table(path), kept)
        in_order = vectors_of(workspace, path), wording_of(workspace, path)
        for rows in in_order:
            _vectors(rows, kept)
        words = words_of(workspace, path)
        _words(words, kept)
        made_of = fingerprint(scratch, workspace.settings.embed)["table"]
        for made in (*in_order, leaks, *words.values()):
            if (note := made.with_suffix(".json")).exists():
                write_json(note, read_json(note) | {"table": made_of})


def _vectors(path: Path, kept: Mask) -> None:
    """The vectors of the rows kept. Those of neither the old nor the new rows belong to nothing: away with them."""
    if not path.exists():
        return
    vectors = read_array(path)
    if len(vectors) == len(kept):
        with atomic(path) as scratch, scratch.open("wb") as file:
            np.save(file, vectors[kept])
    elif len(vectors) != kept.sum():
        path.unlink()


def _words(files: dict[str, Path], kept: Mask) -> None:
    """The words of the texts kept. Where they begin changes last: while it has all texts, it is known which words are
    theirs."""
    if not files["starts"].exists():
        return
    starts = read_array(files["starts"])
    if len(starts) == kept.sum() + 1:
        return
    if len(starts) != len(kept) + 1:
        for path in files.values():
            path.unlink(missing_ok=True)
        return
    lengths = np.diff(starts)
    for name in WORDS[1:]:
        _vectors(files[name], np.repeat(kept, lengths))
    with atomic(files["starts"]) as scratch, scratch.open("wb") as file:
        np.save(file, np.concatenate([[0], np.cumsum(lengths[kept])]).astype(starts.dtype))


def _kept(table: pa.Table, gone: Collection[str], columns: Sequence[str]) -> Mask:
    """(n,) which rows name none of the items."""
    wanted = pa.array(sorted(gone), type=pa.string())
    named = [pc.is_in(table[column].cast(pa.string()), value_set=wanted).to_numpy() for column in columns]
    return np.asarray(~np.logical_or.reduce(named))


def _write(path: Path, table: pa.Table, kept: Mask) -> None:
    left = table.filter(pa.array(kept))
    # In groups that are read at once, as the pull writes them; a million rows of text are one.
    size = int(max(1, min(MOST_ROWS, stored.BYTES_AT_ONCE * left.num_rows / max(left.nbytes, 1))))
    pq.write_table(left, path, compression="zstd", row_group_size=size)
