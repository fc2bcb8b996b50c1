"""The vectors of the items, as the stage `embed` keeps them beside the tables, and the items that learners read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from mmap import MADV_DONTNEED, mmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.errors import WorkspaceError, quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored
from labelwise.tasks.kinds.base import Encoder
from labelwise.tasks.kinds.wording import WORDING, Wording
from labelwise.tasks.learners.base import Items
from labelwise.tasks.learners.words import READ, Words
from labelwise.tasks.settings import Embed, Settings
from labelwise.tasks.workspace import Workspace, atomic, brought_back, read_array, read_parquet, read_table, write_json

WORDS = tuple(field.name for field in fields(Words))
MANY = 128  # vectors read at once, after which the shard is let go of: each may bring half a megabyte along
WIDENED = 512  # vectors at once, so that they stay in the cache
MANTISSA = 23 - 10  # bits that float32 has more
OWN = np.int32(~0x70001FFF)  # the sign, and the bits of a float16 behind three of the exponent
EXPONENT = np.float32(2.0 ** (127 - 15))
RUN = 16  # rows in a run, on average, from which on runs are read rather than rows
LARGE = 50_000  # items of a pool beyond which it pays to remember what was found of them in earlier rounds


@dataclass(frozen=True)
class Vectors:
    """The vectors of the pool, in its order, left on disk until asked for.

    ids: (n,) of the items; shards: the memory-mapped float16 arrays, (n_i, d) each; wording: (n,) how their texts are
    worded, None where nobody has kept it. groups: (n,) a number for the group of each, -1 where it has none, or None.
    words: of each shard, where spans are learned, else none.
    """

    ids: pd.Index
    shards: list[NDArray[np.float16]]
    wording: Wording | None = None
    groups: NDArray[np.int64] | None = None
    words: tuple[Words, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def first(self) -> int:
        """How many items the first shards have, so many that they hold at least half of all."""
        ends = np.cumsum([len(shard) for shard in self.shards])
        return int(ends[np.searchsorted(ends, ends[-1] / 2)])

    def words_at(self, rows: NDArray[np.integer]) -> Words:
        """The words of the texts at these rows."""
        starts = np.cumsum([0] + [len(shard) for shard in self.words])
        owner = np.searchsorted(starts, rows, side="right") - 1
        held = np.unique(owner)
        parts = [self.words[each].take(np.asarray(rows)[owner == each] - starts[each]) for each in held]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return self.words[0].take(np.asarray(rows))
        order = np.concatenate([np.flatnonzero(owner == each) for each in held])
        return Words.joined(parts).take(np.argsort(order))

    def gather(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """The vectors at these rows, (k, d). Rows that follow each other are read as they lie on disk."""
        rows = np.asarray(rows)
        starts = np.cumsum([0] + [len(shard) for shard in self.shards])
        owner = np.searchsorted(starts, rows, side="right") - 1
        result = np.empty((len(rows), self.shards[0].shape[1]), dtype=np.float32)
        cuts = np.flatnonzero((np.diff(rows) != 1) | (np.diff(owner) != 0)) + 1
        if len(cuts) * RUN < len(rows):
            for begin, end in pairwise([0, *cuts.tolist(), len(rows)]):
                at = int(rows[begin] - starts[owner[begin]])
                widen(self.shards[owner[begin]][at : at + end - begin], result[begin:end])
        else:
            for number, vectors in enumerate(self.shards):
                mine = np.flatnonzero(owner == number)
                for begin in range(0, len(mine), MANY):
                    some = mine[begin : begin + MANY]
                    result[some] = vectors[rows[some] - starts[number]]
                    if len(some) == MANY:
                        let_go(vectors)
        if len(rows) >= MANY:
            for number in np.unique(owner):
                let_go(self.shards[number])
        return result

    def rows(self, ids: pd.Series) -> NDArray[np.int64]:
        """Where these items are, (k,). WorkspaceError when one is not in the pool."""
        rows = places(self.ids, pd.Index(ids))
        if (rows < 0).any():
            strangers = ids[rows < 0]
            raise WorkspaceError(
                f"{quantity(len(strangers), 'labelled item is', 'labelled items are')} not in the pool",
                got=str(strangers.iloc[0]),
                fix="data/quarantine says why the pull refused them; mend the source, or `pull` in params.yaml",
            )
        return rows


def widen(rows: NDArray[np.float16], into: NDArray[np.float32]) -> None:
    """Put (n, d) finite figures into an array of float32, to the bit as numpy does it, in half of its time: the bits of
    a figure lie elsewhere, and its exponent counts from elsewhere."""
    for at in range(0, len(rows), WIDENED):
        part = into[at : at + WIDENED]
        bits = part.view(np.int32)
        bits[:] = rows[at : at + WIDENED].view(np.int16)  # the sign is repeated above
        bits <<= MANTISSA
        bits &= OWN
        part *= EXPONENT


def places(ids: pd.Index, wanted: pd.Index) -> NDArray[np.int64]:
    """(k,) where these are among many ids, none of them twice; -1 for one that is not there. An index over all of them
    would take several times their own memory.

    >>> places(pd.Index(["a", "b", "c"]), pd.Index(["c", "x", "a"])).tolist()
    [2, -1, 0]
    """
    there = np.flatnonzero(ids.isin(wanted))
    rows = ids[there].get_indexer(wanted)
    return np.where(rows < 0, -1, np.append(there, -1)[rows])


def let_go(rows: NDArray[Any]) -> None:
    """Have what was read of an array on disk no longer count as memory of this process: it is read again where it is
    asked for again, which takes next to nothing while the system remembers it."""
    if isinstance(rows.base, mmap) and hasattr(rows.base, "madvise"):
        rows.base.madvise(MADV_DONTNEED)


def pool_items(workspace: Workspace, vectors: Vectors) -> Items:
    """The items of the pool, in its order, for a learner."""
    words_at = vectors.words_at if vectors.words else None
    return Items(
        len(vectors),
        vectors.gather,
        lambda rows: stored.cells(workspace, rows),
        vectors.groups,
        words_at,
        first=vectors.first if len(vectors) > LARGE else None,
    )


def gold_items(workspace: Workspace) -> Items:
    """The items of the gold set, in its order."""
    gold = trusted.gold(workspace)
    vectors = gold_vectors(workspace, gold.id)
    column = stored.column_of(workspace)
    words = gold_words(workspace, gold.id) if kinds.answer(workspace.settings.kind.answer).PLACES else None
    words_at = None if words is None else words.take
    return Items(len(vectors), lambda rows: vectors[rows], lambda rows: list(gold[column].iloc[rows]), None, words_at)


def pool_vectors(workspace: Workspace) -> Vectors:
    """The vectors that this stage wrote."""
    shards = stored.shards(workspace)
    ids = [column(path, "id").cast(pa.large_string()) for path in shards]
    vectors = [shard_vectors(workspace, path, len(own)) for path, own in zip(shards, ids, strict=True)]
    wording = [wording_of(workspace, path) for path in shards]
    known = all(path.exists() for path in wording)
    words: list[Any] = [words_in(workspace, path) for path in shards]
    return Vectors(
        pd.Index(pa.chunked_array([chunk for own in ids for chunk in own.chunks], pa.large_string()).to_pandas()),
        vectors,
        np.concatenate([read_array(path) for path in wording]) if known else None,
        stored.groups(workspace),
        () if any(each is None for each in words) else tuple(words),
    )


def shard_vectors(workspace: Workspace, shard: Path, items: int) -> NDArray[np.float16]:
    """The (items, d) vectors of a shard of so many items, left on disk. WorkspaceError where they are of others, or of
    another encoder than the gold set's."""
    path, gold = vectors_of(workspace, shard), vectors_of(workspace, workspace.gold)
    found = read_array(path, on_disk=True)
    wide = (read_array(gold, on_disk=True) if gold.exists() else found).shape[1:]
    if found.shape != (items, *wide):
        raise WorkspaceError(
            f"{path} is of other items or of another encoder",
            expected=f"{items:,} vectors of {' x '.join(map(str, wide))} figures",
            got=f"an array of {' x '.join(map(str, found.shape))}",
            fix=brought_back(path),
        )
    return found


def gold_vectors(workspace: Workspace, ids: pd.Series) -> NDArray[np.float32]:
    """(g, d) of these gold items, the user's own or drawn from the pool, in their order."""
    own = pd.Index(read_parquet(workspace.gold, columns=["id"]).id)
    vectors = np.asarray(read_array(vectors_of(workspace, workspace.gold)), dtype=np.float32)
    rows = own.get_indexer(pd.Index(ids))
    if (rows >= 0).all():
        return vectors[rows]
    drawn = rows < 0
    pool = pool_vectors(workspace)
    result = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
    result[~drawn] = vectors[rows[~drawn]]
    result[drawn] = pool.gather(pool.rows(ids[drawn]))
    return result


def gold_words(workspace: Workspace, ids: pd.Series) -> Words:
    """The words of these gold texts, as `gold_vectors`."""
    own = pd.Index(read_parquet(workspace.gold, columns=["id"]).id)
    found = words_in(workspace, workspace.gold)
    if found is None:
        raise WorkspaceError(f"{workspace.root} has no words of its gold set", fix="`labelwise run` reads them")
    rows = own.get_indexer(pd.Index(ids))
    if (rows >= 0).all():
        return found.take(rows)
    pool = pool_vectors(workspace)
    drawn = np.flatnonzero(rows < 0)
    parts = [found.take(rows[rows >= 0]), pool.words_at(pool.rows(ids.iloc[drawn]))]
    return Words.joined(parts).take(np.argsort(np.concatenate([np.flatnonzero(rows >= 0), drawn])))


def gold_wording(workspace: Workspace, ids: pd.Series) -> Wording:
    """(g,) how these gold items are worded, as `gold_vectors`."""
    own = pd.Index(read_parquet(workspace.gold, columns=["id"]).id)
    result = np.empty(len(ids), dtype=WORDING)
    rows = own.get_indexer(pd.Index(ids))
    drawn = rows < 0
    result[~drawn] = read_array(wording_of(workspace, workspace.gold))[rows[~drawn]]
    if drawn.any():
        pool = pool_vectors(workspace)
        result[drawn] = pool.wording[pool.rows(ids[drawn])] if pool.wording is not None else 0
    return result


def settled_file(workspace: Workspace) -> Path:
    """Where it is kept what the encoder has to know of the first items, see `Content.settled`. It is in git, so that
    vectors that are lost come out as they were, also once items of the first shard are forgotten."""
    return workspace.root / "data" / "settled.json"


def made_by(workspace: Workspace) -> Path:
    """What of this the vectors were made by."""
    return workspace.vectors / "settled.json"


def settled_by(settings: Settings) -> dict[str, Any]:
    """The settings that this follows from, beside the items."""
    return {"encoder": settings.embed.encoder, "features": settings.pull.columns.features}


def settled(workspace: Workspace) -> dict[str, Any] | None:
    """What the encoder has to know of the first items; None where it is nothing, or not settled yet by these
    settings. In workspaces of before it is with the vectors alone."""
    if not kinds.item(workspace.settings.kind.item).settled:
        return None
    kept = [noted(path) for path in (settled_file(workspace), made_by(workspace))]
    by = settled_by(workspace.settings)
    return next((each["known"] for each in kept if each and each.get("by") == by), None)


def encoder_of(workspace: Workspace) -> Encoder:
    """The encoder that made the vectors. WorkspaceError where one that has to know the first items has not seen any."""
    item, known = kinds.item(workspace.settings.kind.item), settled(workspace)
    if item.settled and known is None:
        raise WorkspaceError(f"no {item.NAME} has been encoded yet", fix="`labelwise run` encodes them")
    return item.encoder(workspace.settings.embed, known)


def vectors_of(workspace: Workspace, table: Path) -> Path:
    """The file of a table's vectors, in the order of its rows."""
    return workspace.vectors / f"{table.stem}.npy"


def words_of(workspace: Workspace, table: Path) -> dict[str, Path]:
    """The files of the words of a table's texts, in the order of its rows, by the fields of Words."""
    return {name: workspace.vectors / f"{table.stem}.{name}.npy" for name in WORDS}


def words_in(workspace: Workspace, table: Path) -> Words | None:
    """The words of a table's texts, their states left on disk; None where nobody has read them."""
    files = words_of(workspace, table)
    if not all(path.exists() for path in files.values()):
        return None
    return Words(**{name: read_array(path, on_disk=name != "starts") for name, path in files.items()})


def wording_of(workspace: Workspace, table: Path) -> Path:
    """The file that says how a table's texts are worded, in the order of its rows."""
    return workspace.vectors / f"{table.stem}.wording.npy"


def column(table: Path, name: str) -> pa.ChunkedArray:
    return read_table(table, [name])[name]


def fingerprint(table: Path, settings: Embed) -> dict[str, object]:
    """What the vectors of a table follow from."""
    with table.open("rb") as file:
        return {"table": hashlib.file_digest(file, "sha256").hexdigest(), **settings.model_dump(exclude={"wording"})}


def fingerprint_of_words(table: Path, settings: Embed) -> dict[str, object]:
    """What the words of a table follow from: the rule by which texts are cut, too."""
    return {**fingerprint(table, settings), "words": READ}


def fresh(made: Path, table: Path, settings: Embed) -> bool:
    """Whether a file was made of the table as it is now, by the encoder that the settings name."""
    return made.exists() and noted(made) == fingerprint(table, settings)


def fresh_words(workspace: Workspace, table: Path) -> bool:
    """Whether the words of a table are those of its texts as they are now, as this version reads them."""
    files = words_of(workspace, table).values()
    now = fingerprint_of_words(table, workspace.settings.embed)
    return all(made.exists() and noted(made) == now for made in files)


def encoded(workspace: Workspace) -> bool:
    """Whether the gold set has vectors by the encoder that the settings name: those of another are not to be compared
    with what this one makes now."""
    gold = workspace.gold
    return gold.exists() and fresh(vectors_of(workspace, gold), gold, workspace.settings.embed)


def encoded_by(workspace: Workspace, embed: Embed) -> bool:
    """Whether all items of the workspace have vectors, by such an encoder."""
    wanted = workspace.settings.embed
    if embed.model_dump(exclude={"wording"}) != wanted.model_dump(exclude={"wording"}):
        return False
    made = ((vectors_of(workspace, shard), shard) for shard in stored.shards(workspace))
    return encoded(workspace) and all(fresh(file, shard, wanted) for file, shard in made)


def keep(path: Path, rows: NDArray[Any], made_of: Mapping[str, object]) -> None:
    """Write an array, then what it follows from: whatever cuts this off, none is taken for what it is not."""
    path.with_suffix(".json").unlink(missing_ok=True)
    with atomic(path) as scratch, scratch.open("wb") as file:
        np.save(file, rows)
    write_json(path.with_suffix(".json"), made_of)


def noted(path: Path) -> Any:
    """What the file beside `path` says that it follows from."""
    try:
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # none, no text, or no JSON
        return None
