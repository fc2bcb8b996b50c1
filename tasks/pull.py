"""Stage `pull`: new rows of the sources into pool and gold set, bad ones into quarantine, each with its reason.

The pool grows by whole shards; a row already there is never written again, so pulling twice is pulling once. Gold comes
first: a text in both belongs to the gold set, unless the pool had it before (reviewers may have seen it by then).

What makes a row refused: see the suites in services/expectations.py, and here: a text with several labels in the gold
set (nobody can say which is right; all of its rows are refused, but a row pulled earlier stays), a text that is in the
other set. The latter do not count towards pull.max_refused: they are no fault of the source.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks import sources, stage
from tasks.errors import InputError, WorkspaceError
from tasks.records import GOLD, ID_DIGITS, POOL, Table, content_id, folded
from tasks.services import expectations
from tasks.services.expectations import Refusal
from tasks.settings import Settings
from tasks.workspace import Workspace, atomic, write_json

# A row refused: as it came, and why. `id` is a hash of the row as it came, by which the next pull knows it again.
QUARANTINE = Table("quarantine", {**GOLD.columns, "reason": "string"})
QUARANTINE_KEY = ("text", "source_id", "label")

IN_GOLD = Refusal("also in the gold set", "also in the gold set")
IN_POOL = Refusal("already in the pool", "already in the pool")
AT_ODDS = "the same text has several labels"
CACHE_VERSION = 1  # raise it when the same sources would be pulled otherwise
SHOWN = 10  # labels or classes named in an error

Numbers = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pulled:
    """What a pull did. `refused`: rows of the sources by rule; `repeated`: rows there more than once in a source."""

    pool_rows: int
    new_pool: int
    repeated: int
    gold_rows: int
    new_gold: int
    refused: dict[str, int] = field(default_factory=dict)
    docs: Path | None = None
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """One line.

        >>> Pulled(1200, 200, 3, 50, 0, {"text is blank": 2}).summary()
        'pool 1,200 items (200 new, 3 repeated), gold 50 (0 new), refused 2: 2 x text is blank'
        """
        line = f"pool {self.pool_rows:,} items ({self.new_pool:,} new, {self.repeated:,} repeated)"
        line += f", gold {self.gold_rows:,} ({self.new_gold:,} new)"
        if self.refused:
            line += f", refused {sum(self.refused.values()):,}: {_listed(self.refused)}"
        return line


def run(workspace: Workspace) -> Pulled:
    """Pull gold and pool of `workspace`; at once when the sources are as they were at the last pull.

    InputError (see sources.chunks, `new_gold`, `new_pool`): the workspace is as it was. Whatever interrupts it, the
    next pull completes it.
    """
    seen = _fingerprint(workspace.settings)
    known = _remembered(workspace, seen)
    if known:
        return known
    with _drafting(workspace) as drafts:
        gold = _pull_gold(workspace, drafts)
        folds = {folded(text) for text in gold.rows["text"]}
        pool, pool_rows, page = _pull_pool(workspace, drafts, folds)
        docs = expectations.build_docs(_docs(workspace), [gold.page, page])
        drafts.place()
    tallies = gold.tally.refused + pool.refused
    pulled = Pulled(
        pool_rows=pool_rows,
        new_pool=pool.new,
        repeated=gold.tally.repeated + pool.repeated,
        gold_rows=len(gold.rows),
        new_gold=gold.tally.new,
        refused=dict(tallies.most_common()),
        docs=docs,
        warnings=unmeasured(gold.rows, workspace.settings.classes),
    )
    _remember(workspace, seen, pulled)
    return pulled


# The rules, over tables


@dataclass(frozen=True)
class Sorted:
    """Rows of a source told apart. Positions are those of the rows given."""

    new: pd.DataFrame  # laid out as POOL or GOLD
    refused: dict[int, Refusal]
    elsewhere: dict[int, Refusal]  # belong to the other set
    repeated: int


class Ids:
    """A growing set of 64-bit ids, eight bytes each (a Python set of strings takes a hundred)."""

    def __init__(self, ids: Numbers) -> None:
        self._sorted = np.unique(ids)

    def __contains__(self, each: object) -> bool:
        return bool(self.has(np.array([each], dtype=np.uint64))[0])

    def has(self, ids: Numbers) -> Mask:
        """Which of `ids` are in the set."""
        places = np.searchsorted(self._sorted, ids)
        inside = places < len(self._sorted)
        inside[inside] = self._sorted[places[inside]] == ids[inside]
        return inside

    def add(self, ids: Numbers) -> Mask:
        """Add `ids`; which of them are new, of equal ones the first."""
        values, first = np.unique(ids, return_index=True)
        unknown = ~self.has(values)
        added = values[unknown]
        self._sorted = np.insert(self._sorted, np.searchsorted(self._sorted, added), added)
        new = np.zeros(len(ids), dtype=bool)
        new[first[unknown]] = True
        return new


class Owners:
    """Which content each of the user's own ids stands for: sixteen bytes an id."""

    def __init__(self) -> None:
        self._keys = np.array([], dtype=np.uint64)
        self._contents = np.array([], dtype=np.uint64)

    def add(self, source_ids: Sequence[str | None], contents: Numbers) -> str | None:
        """Learn that these ids stand for these contents; the first id that already stands for another, if any."""
        named = [place for place, each in enumerate(source_ids) if isinstance(each, str)]
        names = [str(source_ids[place]) for place in named]
        keys = np.array([hash(name) for name in names], dtype=np.int64).view(np.uint64)  # of this process alone
        values = contents[named]
        unique, first, back = np.unique(keys, return_index=True, return_inverse=True)
        places = np.searchsorted(self._keys, unique)
        known = places < len(self._keys)
        known[known] = self._keys[places[known]] == unique[known]
        right = values[first]
        right[known] = self._contents[places[known]]
        clashes = np.flatnonzero(right[back] != values)
        self._keys = np.insert(self._keys, places[~known], unique[~known])
        self._contents = np.insert(self._contents, places[~known], right[~known])
        return names[clashes[0]] if len(clashes) else None


@dataclass
class Seen:
    """What a pull remembers of the pool, in a few bytes a row."""

    stored: Ids  # pulled earlier
    owners: Owners
    now: Ids = field(default_factory=lambda: Ids(np.array([], dtype=np.uint64)))  # in this pull


def new_pool(rows: pd.DataFrame, refused: dict[int, Refusal], gold_folds: Collection[str], seen: Seen) -> Sorted:
    """What of the next `rows` (text, source_id) of the pool's source is new. Adds to `seen`.

    InputError: an id of the user's stands for two texts.
    """
    places = np.array([at for at in range(len(rows)) if at not in refused], dtype=np.int64)
    texts: list[str] = rows["text"].iloc[places].tolist()
    ids = _numbers(texts)
    stored = seen.stored.has(ids)
    in_gold = _mask(not old and folded(text) in gold_folds for text, old in zip(texts, stored, strict=True))
    rest = places[~in_gold]
    _one_text_an_id("pool", rows["source_id"].iloc[rest].tolist(), ids[~in_gold], seen.owners)
    first = np.zeros(len(ids), dtype=np.bool_)
    first[~in_gold] = seen.now.add(ids[~in_gold])
    new = first & ~stored
    return Sorted(
        new=_laid_out(rows.iloc[places[new]], ids[new], POOL),
        refused=refused,
        elsewhere={int(at): IN_GOLD for at in places[in_gold]},
        repeated=len(rest) - int(first.sum()),
    )


def new_gold(
    rows: pd.DataFrame, refused: dict[int, Refusal], pool_folds: Collection[str], stored: pd.DataFrame
) -> Sorted:
    """What of `rows` (text, source_id, label) is new to the gold set `stored` (records.GOLD).

    `pool_folds`: the folded texts of the pool. InputError: an id of the user's stands for two texts.
    """
    texts, labels = rows["text"].tolist(), rows["label"].tolist()
    fine = [at for at in range(len(rows)) if at not in refused]
    ids = {at: content_id(texts[at]) for at in fine}
    known = dict(zip(stored["id"], stored["label"], strict=True))
    at_odds = _at_odds([*stored["text"], *(texts[at] for at in fine)], [*stored["label"], *(labels[at] for at in fine)])
    odd: dict[int, Refusal] = {}
    in_pool: dict[int, Refusal] = {}
    for at in fine:
        fold = folded(texts[at])
        if known.get(ids[at]) == labels[at]:
            continue  # pulled earlier: it stays, whatever came since
        if fold in at_odds:
            odd[at] = Refusal(AT_ODDS, f"{AT_ODDS}: {at_odds[fold]}")
        elif fold in pool_folds:
            in_pool[at] = IN_POOL
    rest = [at for at in fine if at not in odd and at not in in_pool]
    _one_text_an_id("gold", rows["source_id"].iloc[rest].tolist(), _from_hex(ids[at] for at in rest), _owners(stored))
    once = sorted({ids[at]: at for at in reversed(rest)}.values())  # the first of equal ones
    new = [at for at in once if ids[at] not in known]
    return Sorted(
        new=_laid_out(rows.iloc[new], _from_hex(ids[at] for at in new), GOLD),
        refused=dict(sorted((refused | odd).items())),
        elsewhere=in_pool,
        repeated=len(rest) - len(once),
    )


def quarantined(rows: pd.DataFrame, refusals: dict[int, Refusal]) -> pd.DataFrame:
    """The refused of `rows`, as they came and with their reason. What Parquet cannot hold is written as \\udcff."""
    cells = {column: rows[column].tolist() if column in rows else [None] * len(rows) for column in QUARANTINE_KEY}
    records = [tuple(_plain(cells[column][at]) for column in QUARANTINE_KEY) for at in refusals]
    plain = pd.DataFrame(records, columns=list(QUARANTINE_KEY), dtype=object)
    plain["id"] = [content_id(json.dumps(record)) for record in records]
    plain["reason"] = [refusal.reason for refusal in refusals.values()]
    return QUARANTINE.conform(plain)


def _plain(cell: Any) -> str | None:
    return cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else None


def unmeasured(gold: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """A line for each class that has no row in the gold set."""
    missing = [name for name in classes if name not in set(gold["label"])]
    return [f"class {name!r} has no gold row: how well it is recognised cannot be measured" for name in missing]


def _at_odds(texts: Iterable[str], labels: Iterable[str]) -> dict[str, str]:
    """The folded texts with several labels, and those labels in words."""
    found: dict[str, set[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        found.setdefault(folded(text), set()).add(label)
    return {fold: " and ".join(map(repr, sorted(names))) for fold, names in found.items() if len(names) > 1}


def _owners(stored: pd.DataFrame) -> Owners:
    owners = Owners()
    owners.add(stored["source_id"].tolist(), _from_hex(stored["id"]))
    return owners


def _one_text_an_id(where: str, source_ids: list[str | None], contents: Numbers, owners: Owners) -> None:
    clash = owners.add(source_ids, contents)
    if clash is not None:
        fix = "give the changed row an id of its own, or set pull.columns.id to null"
        raise InputError(
            f"{where}: the id {clash[:80]!r}", expected="one text for an id", got="different texts", fix=fix
        )


def _laid_out(rows: pd.DataFrame, ids: Numbers, table: Table) -> pd.DataFrame:
    return table.conform(rows.assign(id=[f"{each:0{ID_DIGITS}x}" for each in ids]))


def _numbers(texts: Iterable[str]) -> Numbers:
    """The content ids of `texts` as numbers."""
    return _from_hex(map(content_id, texts))


def _from_hex(ids: Iterable[str]) -> Numbers:
    return np.array([int(each, 16) for each in ids], dtype=np.uint64)


def _mask(values: Iterable[bool]) -> Mask:
    return np.array(list(values), dtype=np.bool_)


# Gold, then pool


@dataclass
class Tally:
    """What came of the rows of one source, counted."""

    rows: int = 0
    new: int = 0
    repeated: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    frames: list[pd.DataFrame] = field(default_factory=list)  # the measures, for the verdict on the whole

    def add(self, found: Sorted, frame: pd.DataFrame) -> None:
        self.rows += len(frame)
        self.new += len(found.new)
        self.repeated += found.repeated
        self.refused.update(refusal.rule for refusal in [*found.refused.values(), *found.elsewhere.values()])
        refused = [at in found.refused for at in range(len(frame))]
        used = [not no and at not in found.elsewhere for at, no in enumerate(refused)]
        self.frames.append(expectations.judged(frame, refused, used))


@dataclass(frozen=True)
class Gold:
    """The gold set after the pull, what was counted, and its page of the Data Docs."""

    rows: pd.DataFrame
    tally: Tally
    page: expectations.Page


def _pull_gold(workspace: Workspace, drafts: "Drafts") -> Gold:
    """Draft the gold set with its new rows. Read whole: it is what people have labelled by hand."""
    pull, classes = workspace.settings.pull, workspace.settings.classes
    parts = list(_source_rows(pull.gold, workspace.settings, "gold"))
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["text", "source_id", "label"])
    stored = _stored_gold(workspace, classes)
    suite = expectations.gold(pull.max_chars, pull.max_refused, classes)
    frame = expectations.measured(rows, classes)
    refused = expectations.refusals(suite, frame)
    _labels_in_classes(rows, refused, classes)
    found = new_gold(rows, refused, _also_in_pool(workspace, rows, refused, stored), stored)
    tally = Tally()
    tally.add(found, frame)
    page = _passed(workspace, suite, tally, pull.gold)
    together = pd.concat([stored, found.new], ignore_index=True)
    if len(found.new):
        drafts.add(workspace.gold, together, GOLD)
    aside = workspace.quarantine / f"gold-{_next_number(workspace.quarantine.glob('gold-*.parquet')):04d}.parquet"
    _set_aside(drafts, aside, rows, found, _known_refused(workspace, "gold"))
    return Gold(together, tally, page)


def _pull_pool(workspace: Workspace, drafts: "Drafts", folds: set[str]) -> tuple[Tally, int, expectations.Page]:
    """Draft a shard of what is new, chunk by chunk; the counts, the size of the pool after it, and its page."""
    pull = workspace.settings.pull
    suite = expectations.pool(pull.max_chars, pull.max_refused)
    seen, stored_rows = _stored_pool(workspace)
    known = _known_refused(workspace, "pool")
    shard, aside = _next_shard(workspace)
    tally = Tally()
    for rows in _source_rows(pull.pool, workspace.settings, "pool"):
        frame = expectations.measured(rows)
        found = new_pool(rows, expectations.refusals(suite, frame), folds, seen)
        tally.add(found, frame)
        drafts.add(shard, found.new, POOL)
        _set_aside(drafts, aside, rows, found, known)
    page = _passed(workspace, suite, tally, pull.pool)
    return tally, stored_rows + tally.new, page


def _source_rows(source: str, settings: Settings, name: str) -> Iterator[pd.DataFrame]:
    """The rows of a source under our names for the columns. A label column is asked for in the gold set alone."""
    theirs = {"text": settings.pull.columns.text}
    if settings.pull.columns.id:
        theirs["source_id"] = settings.pull.columns.id
    if name == "gold":
        theirs["label"] = settings.pull.columns.label
    for chunk in sources.chunks(source, list(theirs.values())):
        rows = pd.DataFrame({ours: chunk[column] for ours, column in theirs.items()})
        given = rows.get("source_id", pd.Series([None] * len(rows), dtype=object))
        rows["source_id"] = pd.Series([each if each and each.strip() else None for each in given], dtype=object)
        yield rows


def _labels_in_classes(rows: pd.DataFrame, refused: dict[int, Refusal], classes: Sequence[str]) -> None:
    """InputError names the labels that are no classes: more likely the classes are wrong than each of the rows."""
    outside = [at for at, refusal in refused.items() if refusal.rule == expectations.OUTSIDE]
    if not outside:
        return
    counts = Counter(rows["label"].iloc[outside])
    got = ", ".join(f"{label[:40]!r} ({count:,})" for label, count in counts.most_common(SHOWN))
    raise InputError(
        f"gold: {len(outside):,} rows have labels outside the classes",
        expected="one of " + ", ".join(classes[:SHOWN]) + (", ..." if len(classes) > SHOWN else ""),
        got=got + (", ..." if len(counts) > SHOWN else ""),
        fix="correct the labels, or `classes` in params.yaml",
    )


def _passed(workspace: Workspace, suite: expectations.Suite, tally: Tally, source: str) -> expectations.Page:
    """The page of a source whose rows may be used. InputError with the reasons when they may not."""
    if not tally.rows:
        raise InputError(f"{suite.name}: {source} has no rows", fix=f"check pull.{suite.name} in params.yaml")
    verdict = expectations.verdict(suite, pd.concat(tally.frames, ignore_index=True))
    tally.frames.clear()
    if not verdict.broken:
        return verdict.page
    docs = expectations.build_docs(_docs(workspace), [verdict.page])
    raise InputError(
        f"{suite.name}: {source}: {' and '.join(verdict.broken)}",
        expected="usable rows",
        got=f"{_listed(tally.refused)} among {tally.rows:,} rows",
        fix=f"see {docs}; mend the source, or change pull.columns, pull.max_chars or pull.max_refused",
    )


def _set_aside(drafts: "Drafts", path: Path, rows: pd.DataFrame, found: Sorted, known: Ids) -> None:
    """Draft the refused rows that are not in quarantine yet. Adds to `known`."""
    refusals = found.refused | found.elsewhere
    if refusals:
        refused = quarantined(rows, refusals)
        drafts.add(path, refused[known.add(_from_hex(refused["id"]))], QUARANTINE)


# What is stored


def _stored_gold(workspace: Workspace, classes: Sequence[str]) -> pd.DataFrame:
    """The gold set as it is. InputError when `classes` have changed and left some of its labels out."""
    if not workspace.gold.exists():
        return GOLD.frame()
    stored = pd.concat([batch.to_pandas() for batch in _batches(workspace.gold, list(GOLD.columns))] or [GOLD.frame()])
    stored = GOLD.conform(stored)
    outside = sorted(set(stored["label"]) - set(classes))
    if outside:
        raise InputError(
            f"gold: {workspace.gold} holds labels outside the classes",
            expected="one of " + ", ".join(classes[:SHOWN]),
            got=", ".join(map(repr, outside[:SHOWN])),
            fix="put them back into `classes` in params.yaml, or remove that file and pull anew",
        )
    return stored


def _stored_pool(workspace: Workspace) -> tuple[Seen, int]:
    """What the pool holds, and how many rows."""
    ids: list[Numbers] = [np.array([], dtype=np.uint64)]
    owners = Owners()
    for shard in _shards(workspace):
        for batch in _batches(shard, ["id", "source_id"]):
            ids.append(_from_hex(batch.column("id").to_pylist()))
            owners.add(batch.column("source_id").to_pylist(), ids[-1])
    together = np.concatenate(ids)
    return Seen(Ids(together), owners), len(together)


def _also_in_pool(
    workspace: Workspace, rows: pd.DataFrame, refused: dict[int, Refusal], stored: pd.DataFrame
) -> set[str]:
    """The folded texts of new gold rows that the pool has. Reads the pool only when there are new gold rows."""
    known = set(stored["id"])
    texts = [text for at, text in enumerate(rows["text"]) if at not in refused and content_id(text) not in known]
    new = {folded(text) for text in texts}
    if not new:
        return set()
    batches = (batch for shard in _shards(workspace) for batch in _batches(shard, ["text"]))
    return {fold for batch in batches for text in batch.column("text").to_pylist() if (fold := folded(text)) in new}


def _known_refused(workspace: Workspace, name: str) -> Ids:
    """The ids of the rows in quarantine that came from the source `name`."""
    files = sorted(workspace.quarantine.glob(f"{name}-*.parquet"))
    ids = [_from_hex(batch.column("id").to_pylist()) for file in files for batch in _batches(file, ["id"])]
    return Ids(np.concatenate([np.array([], dtype=np.uint64), *ids]))


def _shards(workspace: Workspace) -> list[Path]:
    return sorted(workspace.pool.glob("shard-*.parquet"))


def _next_shard(workspace: Workspace) -> tuple[Path, Path]:
    """Where the next shard goes, and its refused rows: under one number, which neither has used."""
    number = _next_number([*_shards(workspace), *workspace.quarantine.glob("pool-shard-*.parquet")])
    name = f"shard-{number:04d}.parquet"
    return workspace.pool / name, workspace.quarantine / f"pool-{name}"


def _next_number(paths: Iterable[Path]) -> int:
    return max((int(number.group(1)) for path in paths if (number := re.search(r"-(\d+)$", path.stem))), default=0) + 1


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """A file of ours, in parts. WorkspaceError when it is broken."""
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise WorkspaceError(f"{path} is broken", got=str(error)[:120], fix="`dvc checkout --force`") from None


# What is written


@dataclass
class Drafts:
    """Parquet files written aside, row group by row group, and put in place together when all is well."""

    folder: Path
    _writers: dict[Path, pq.ParquetWriter] = field(default_factory=dict)

    def add(self, path: Path, rows: pd.DataFrame, table: Table) -> None:
        """Append `rows` to the draft of `path`. No rows, no file."""
        if rows.empty:
            return
        content = pa.Table.from_pandas(table.conform(rows), preserve_index=False)
        if path not in self._writers:
            draft = self._draft(path)
            draft.parent.mkdir(parents=True, exist_ok=True)
            self._writers[path] = pq.ParquetWriter(draft, content.schema, compression="zstd")
        self._writers[path].write_table(content)

    def place(self) -> None:
        """Put the drafts where they belong, in the order in which they were begun (gold before pool).

        Killed between two of them, the next pull finds the rows of the second unpulled and drafts them again.
        """
        for writer in self._writers.values():
            writer.close()  # may still find the disk full: before the first file is in place
        for path in self._writers:
            with atomic(path) as scratch:
                shutil.move(self._draft(path), scratch)

    def close(self) -> None:
        for writer in self._writers.values():
            with suppress(OSError):  # a full disk has been told of already
                writer.close()

    def _draft(self, path: Path) -> Path:
        return self.folder / path.name


@contextmanager
def _drafting(workspace: Workspace) -> Iterator[Drafts]:
    """Drafts in a folder of scraps, which DVC does not see. Clears what a killed pull left behind."""
    folder = workspace.scraps / "pull"
    shutil.rmtree(folder, ignore_errors=True)
    for place in (workspace.pool, workspace.gold.parent, workspace.quarantine):
        for part in place.glob(".*.part"):
            part.unlink()
    drafts = Drafts(folder)
    try:
        yield drafts
    finally:
        drafts.close()
        shutil.rmtree(folder, ignore_errors=True)


# What is remembered: only a cache, safe to delete


def _fingerprint(settings: Settings) -> dict[str, Any] | None:
    """What the outcome of a pull follows from, as far as that can be told without reading; None when it cannot."""
    pool, gold = sources.fingerprint(settings.pull.pool), sources.fingerprint(settings.pull.gold)
    if pool is None or gold is None:
        return None
    rules = {"version": CACHE_VERSION, "pull": settings.pull.model_dump(), "classes": settings.classes}
    return {"pool": pool, "gold": gold, **rules}


def _in_place(workspace: Workspace) -> list[list[str | int]]:
    """Name and size of the files that pulls have made."""
    files = [*_shards(workspace), *([workspace.gold] if workspace.gold.exists() else [])]
    return [[file.name, file.stat().st_size] for file in files]


def _remembered(workspace: Workspace, seen: dict[str, Any] | None) -> Pulled | None:
    """What the last pull said, when nothing has changed since; nothing is new then."""
    try:
        note = json.loads((workspace.scraps / "pull.json").read_text(encoding="utf-8"))
        if seen is None or note["seen"] != seen or note["in_place"] != _in_place(workspace):
            return None
        docs = _docs(workspace) / "index.html"
        return Pulled(**note["pulled"], new_pool=0, new_gold=0, docs=docs if docs.exists() else None)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _remember(workspace: Workspace, seen: dict[str, Any] | None, pulled: Pulled) -> None:
    said = {key: value for key, value in asdict(pulled).items() if key not in ("new_pool", "new_gold", "docs")}
    note = {"seen": seen, "in_place": _in_place(workspace), "pulled": said}
    write_json(workspace.scraps / "pull.json", note)


def _docs(workspace: Workspace) -> Path:
    return workspace.scraps / "data_docs"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} x {rule}" for rule, count in counts.items()) or "none"


def main() -> None:
    """Pull in the current directory."""
    stage.main(run)


if __name__ == "__main__":
    main()
