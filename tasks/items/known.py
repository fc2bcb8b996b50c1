"""What is remembered of the items of the pool between rounds, so that a round scores at the cost of what changed: the
words of their texts, hashed, and which of the nodes of the graph, as far as these have no label, are nearest to each.
It lies in `.labelwise/known`, follows from the pool and may be removed at any time: then it is found again, to the same
bits.
"""

import hashlib
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from labelwise.tasks import kinds
from labelwise.tasks.items import stored
from labelwise.tasks.items.vectors import LARGE, Vectors, keep, let_go, noted, pool_items, vectors_of
from labelwise.tasks.learners import Items
from labelwise.tasks.learners.base import Floats, Indices, Near
from labelwise.tasks.learners.propagate import BLOCK, NEIGHBOURS, nearest
from labelwise.tasks.learners.terms import READ, Terms
from labelwise.tasks.progress import counted
from labelwise.tasks.services import ray
from labelwise.tasks.workspace import Workspace, read_array

FOLDER = "known"  # in the workspace's scraps
WORDS = ("buckets", "counts", "ends")
PIECE = 65_536  # items whose words are found at once


def remembering(workspace: Workspace, vectors: Vectors) -> Items:
    """The items of the pool, in its order, for a model that judges all of them; of a small pool nothing is kept."""
    items, content = pool_items(workspace, vectors), kinds.item(workspace.settings.kind.item)
    if len(items) <= LARGE:
        return items
    known = _Known(workspace, vectors)
    return replace(items, terms_at=known.terms if content.NAME == "text" else None, near_at=known.near)


class _Known:
    def __init__(self, workspace: Workspace, vectors: Vectors) -> None:
        self._workspace, self._vectors, self._shards = workspace, vectors, stored.shards(workspace)
        self._engine = workspace.settings.engine
        self._of_shard = cache(self._terms)
        self._nodes: Floats | None = None
        self._nearest: Near | None = None

    def terms(self, rows: Indices) -> Terms:
        """The words of the texts at these rows, in their order."""
        rows = np.asarray(rows)
        starts = np.cumsum([0] + [len(shard) for shard in self._vectors.shards])
        owner = np.searchsorted(starts, rows, side="right") - 1
        parts = [self._of_shard(each).take(rows[owner == each] - starts[each]) for each in np.unique(owner)]
        found = Terms.joined([*parts, Terms.of([])])  # a copy, so that what lies on disk can be let go of
        for each in np.unique(owner):
            let_go(self._of_shard(each).buckets)
            let_go(self._of_shard(each).counts)
        if len(parts) == 1:
            return found
        return found.take(np.argsort(np.argsort(owner, kind="stable"), kind="stable"))

    def near(self, rows: Indices, nodes: Floats) -> Near:
        """The nodes nearest to the items at these rows, as `nearest` finds them. One array of nodes is looked for once
        as long as it is the same object."""
        if self._nearest is None or self._nodes is not nodes:
            self._nodes, self._nearest = nodes, self._near(nodes)
        near, similar = self._nearest
        found = near[rows].astype(np.int64), similar[rows]  # positions that others may be added to
        let_go(near)
        let_go(similar)
        return found

    def _file(self, name: str) -> Path:
        return self._workspace.scraps / FOLDER / name

    def _terms(self, number: int) -> Terms:
        """The words of the texts of a shard, kept when they are found."""
        shard = self._shards[number]
        files = {name: self._file(f"{shard.stem}.{name}.npy") for name in WORDS}
        made_of = {"of": noted(vectors_of(self._workspace, shard)), "words": READ}
        if not all(path.exists() and noted(path) == made_of for path in files.values()):
            found = self._read(shard)
            for name, path in files.items():
                keep(path, getattr(found, name), made_of)
        return Terms(**{name: read_array(path, on_disk=name != "ends") for name, path in files.items()})

    def _read(self, shard: Path) -> Terms:
        size, column = stored.rows(shard), stored.column_of(self._workspace)
        pieces, found = enumerate(stored.pieces(shard, column, PIECE)), dict[int, Terms]()
        with counted(f"score: the words of {size:,} texts", size) as done:
            for number, terms in ray.each(self._engine, Terms.of, pieces):
                found[number] = terms
                done(len(terms))
        return Terms.joined([found[number] for number in sorted(found)])

    def _near(self, nodes: Floats) -> Near:
        """Of all items of the pool, kept when they are found: whole blocks, so that what is found later, when the pool
        has grown, comes to the same bits."""
        files = [self._file(f"{name}.npy") for name in ("near", "similar")]
        shards = [noted(vectors_of(self._workspace, shard)) for shard in self._shards]
        k, n = min(NEIGHBOURS, len(nodes)), len(self._vectors)
        made_of = {"nodes": hashlib.sha256(np.ascontiguousarray(nodes).tobytes()).hexdigest(), "k": k, "shards": shards}
        whole = all(file.exists() for file in files) and noted(files[0]) == noted(files[1])
        there = (noted(files[0]) or {}) if whole else {}
        before = there.get("shards", [])
        if there == made_of:
            return read_array(files[0], on_disk=True), read_array(files[1], on_disk=True)
        near, similar = np.empty((n, k), np.int16), np.empty((n, k), np.float32)
        start = 0
        if there | {"shards": shards} == made_of and before == shards[: len(before)]:
            old = [read_array(file, on_disk=True) for file in files]
            start = len(old[0]) // BLOCK * BLOCK
            near[:start], similar[:start] = old[0][:start], old[1][:start]
        with counted(f"score: the neighbours of {n - start:,} items", n - start) as done:
            blocks = (np.arange(at, min(at + BLOCK, n)) for at in range(start, n, BLOCK))
            parts = ((rows, self._vectors.gather(rows)) for rows in blocks)
            for rows, both in ray.each(self._engine, partial(nearest, nodes=nodes, k=k), parts):
                near[rows], similar[rows] = both
                done(len(rows))
        keep(files[0], near, made_of)
        keep(files[1], similar, made_of)
        return near, similar
