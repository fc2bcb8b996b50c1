"""`labelwise seed`: what people know of a class that is hard to find, and which of it there is. How it is kept:
beside.py."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, sources
from labelwise.tasks.errors import InputError, named, plain, quantity
from labelwise.tasks.items import forgotten, stored
from labelwise.tasks.items.vectors import Vectors, encoded, encoder_of, pool_vectors
from labelwise.tasks.items.withheld import withheld
from labelwise.tasks.kinds import files
from labelwise.tasks.kinds.wording import UNKNOWN
from labelwise.tasks.labels import ledger, seeds, sought
from labelwise.tasks.labels.classes import Classes
from labelwise.tasks.services.patience import Tell
from labelwise.tasks.sources.formats import ENDINGS
from labelwise.tasks.strategies.seeking import FOUND, SHARE
from labelwise.tasks.terminal import plain as brief
from labelwise.tasks.upkeep import beside
from labelwise.tasks.workspace import Workspace

LINES = ".txt"  # a file with a text a line
SHOWN = 3  # items, and texts
MANY = 100  # texts
BLOCK = 65_536  # items compared at once
STRANGE = 0.3  # cosine to the nearest of all, below which a text has little to do with the pool


@dataclass(frozen=True)
class Seed:
    """An item that was given of a class, `text` in words. id: as of such an item of the pool, by which `labelwise
    forget` takes it."""

    id: str
    of: str
    text: str
    given_at: str


# What there is


def listed(workspace: Workspace, name: str = "") -> list[Seed]:
    """The seeds that stand; name: of this class alone."""
    rows, item = seeds.read(workspace), kinds.item(workspace.settings.kind.item)
    rows = rows[rows["class"] == meant(workspace, name)] if name else rows
    rows = rows.assign(shown=rows[item.COLUMN].map(item.brief))
    return [Seed(*row) for row in rows[["id", "class", "shown", "given_at"]].itertuples(index=False, name=None)]


def lines(found: Sequence[Seed]) -> list[str]:
    """The same for people."""
    if not found:
        return ["no seed: `labelwise seed CLASS TEXT...` gives some"]
    wide = min(max(len(plain(each.of)) for each in found), 40)
    return [f"{each.id}  {brief(each.of, 40):<{wide}}  {brief(each.text, 100)}" for each in found]


def as_json(found: Sequence[Seed]) -> str:
    """The same for a program."""
    return json.dumps({"seeds": [{"class": each.of, **asdict(each)} for each in found]}, indent=2)


# What changes


def give(workspace: Workspace, name: str, given: Sequence[str], tell: Tell) -> list[str]:
    """`labelwise seed CLASS FILE|TEXT...`. Returns lines for people: what is near in the pool, and what follows.
    InputError where nothing that was given can be used; then nothing has changed."""
    of = meant(workspace, name)
    item = kinds.item(workspace.settings.kind.item)
    cells = [item.tidy(cell) for cell in texts_of(workspace, given)]
    longest = workspace.settings.pull.max_chars if item.WORDS else None
    gone = set(forgotten.read(workspace).fold)
    usable = [
        cell
        for cell in cells
        if _can_be_read(cell) and (longest is None or len(cell) <= longest) and item.fold(cell).strip()
        if forgotten.fold(cell, item) not in gone
    ]
    why = f"blank, no {item.NAME}, longer than pull.max_chars, or forgotten before (`labelwise forget`)"
    said = [f"{len(cells) - len(usable):,} left out: {why}"] * (len(usable) < len(cells))
    fresh = pd.Series(list({item.fold(cell): cell for cell in usable}.values()), dtype=object)
    if fresh.empty:
        expected = f"a few {item.NAME}s of this class" + (", or words for it" if item.WORDS else "")
        raise InputError(f"seed {of!r}: no {item.NAME}", expected=expected)

    def change() -> pd.DataFrame:
        vectors = encoder_of(workspace).encode(fresh.tolist())
        gold = sought.of_gold(workspace, fresh, vectors)
        if gold.all():
            raise InputError(
                f"seed {of!r}: what was given is in gold, or as like it as gold.near_duplicate; gold only measures",
                expected=f"{item.NAME}s that are not in gold",
                got=brief(repr(item.brief(fresh.iloc[0])), 60),
            )
        if gold.any():
            said.append(
                f"{quantity(int(gold.sum()), item.NAME)} of {len(gold):,} left out: gold has it, and only measures"
            )
        kept = fresh[~gold]
        ids = kept.map(item.identify)
        there = set(seeds.read(workspace).query("`class` == @of").id)
        known = ids.isin(there).to_numpy()
        said.extend([f"{quantity(int(known.sum()), item.NAME)} given before"] * bool(known.any()))
        said.extend(remarks(workspace, of, kept, vectors[~gold]))
        return _rows(workspace, ids[~known], kept[~known], of, seeds.GIVEN)

    made = beside.add(
        workspace, "seed", change, seeds.append, lambda n: f"seed: {quantity(n, item.NAME)} of {of!r}", tell
    )
    return [f"{quantity(made, item.NAME)} of {of!r} kept", *said]


def remove(workspace: Workspace, name: str, which: Sequence[str], tell: Tell) -> list[str]:
    """`labelwise seed CLASS --remove [ID|TEXT...]`: all of a class, or these. Returns lines for people."""
    of = meant(workspace, name)
    there = listed(workspace, name)
    item = kinds.item(workspace.settings.kind.item)
    wanted = {item.fold(item.tidy(each)) for each in which}
    gone = [each for each in there if not which or each.id in which or item.fold(each.text) in wanted]
    known = {each.id for each in gone} | {item.fold(each.text) for each in gone}
    strange = [each for each in which if not {each, item.fold(item.tidy(each))} & known]
    if strange or not gone:
        raise InputError(
            f"seed {of!r} --remove: no such seed" if strange else f"{of!r} has no seed to remove",
            expected="an id or a text that stands in `labelwise seed --list`",
            got=brief(repr(strange[0]), 60) if strange else "",
        )
    ids = pd.Series([each.id for each in gone], dtype=object)
    nothing = pd.Series([None] * len(gone), dtype=object)
    kept = _rows(workspace, ids, nothing, of, seeds.REMOVED)
    made = beside.add(
        workspace,
        "seed",
        lambda: kept,
        seeds.append,
        lambda n: f"seed: {quantity(n, item.NAME)} of {of!r} removed",
        tell,
    )
    return [
        f"{quantity(made, item.NAME)} of {of!r} removed: the next batch is not asked near them",
        f"the files keep them: `labelwise forget {gone[0].id}` forgets a text for good",
    ]


def _rows(workspace: Workspace, ids: pd.Series, cells: pd.Series, of: str, status: str) -> pd.DataFrame:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = {"id": ids.to_numpy(), stored.column_of(workspace): cells.to_numpy()}
    return pd.DataFrame(made).assign(**{"class": of}, status=status, given_at=now)


# What was given


def meant(workspace: Workspace, name: str) -> str:
    """The class of today that a name stands for. InputError where it is none."""
    now = Classes.of(workspace.settings)
    of = now.today(name)
    if of in now.names:
        return str(of)
    near = difflib.get_close_matches(name, now.names, n=1, cutoff=0.5)
    alike = next((each for each in now.names if each.casefold() == name.casefold()), near[0] if near else "")
    raise InputError(
        f"seed: {name!r} is no class" + (" any more" if name in now.lapsed else ""),
        expected="one of " + named(now.names[:20]) + (", ..." if len(now.names) > 20 else ""),
        fix=f"did you mean {alike!r}?" if alike else "`labelwise classes` lists them, `labelwise classes add` adds one",
    )


def texts_of(workspace: Workspace, given: Sequence[str]) -> list[str]:
    """The items that were given, and those in the files that were named. InputError where a file cannot be read, and
    for words where an item has none."""
    item = kinds.item(workspace.settings.kind.item)
    if strange := next((each for each in given if not (item.WORDS or _names_file(each) or Path(each).exists())), ""):
        expected = f"a file, folder or table of {item.NAME}s"
        raise InputError(f"seed: there is no {strange[:80]!r}", expected=expected, fix="check the name")
    named = (_in_file(workspace, each) if _names_file(each) or not item.WORDS else [each] for each in given)
    return [text for one in named for text in one]


def _names_file(given: str) -> bool:
    """Whether it is a file, or looks like the name of one: a single word with such an ending."""
    try:
        if Path(given).is_file():
            return True
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return False
    return len(given.split()) == 1 and ("://" in given or given.lower().endswith((*ENDINGS, LINES)))


def _can_be_read(cell: str) -> bool:
    """Whether it is text, through and through."""
    return "\0" not in cell and not any("\ud800" <= sign <= "\udfff" for sign in cell)


def _in_file(workspace: Workspace, name: str) -> list[str]:
    pull, item = workspace.settings.pull, kinds.item(workspace.settings.kind.item)
    path = Path(name)
    if not item.WORDS or path.suffix.lower() in ENDINGS or "://" in name:
        columns = item.columns(pull.columns)
        form = kinds.cells_of(item, kinds.answer(workspace.settings.kind.answer), pull.columns)
        chunks = sources.chunks(name, columns, encoding=pull.encoding, cells=form)
        cells = [cell for chunk in chunks for cell in item.read(chunk, pull) if cell]
        unread = files.unread_among(cells, item.files(pull.columns))
        found = [cell for cell, wrong in zip(cells, unread, strict=True) if not wrong]
    else:
        found = _lines_of(path, pull.encoding or "utf-8-sig")
    if not found:
        expected = "a text a line, or rows with a text column" if item.WORDS else f"{item.NAME}s that can be read"
        raise InputError(f"{name} holds no {item.NAME}", expected=expected)
    return found


def _lines_of(path: Path, encoding: str) -> list[str]:
    if path.is_dir():
        raise InputError(f"{path} is a folder", expected="a file, or texts")
    if not path.exists():
        raise InputError(f"{path} does not exist", expected="a file of texts, or the texts in quotes")
    try:
        content = path.read_bytes().decode(encoding)
    except UnicodeDecodeError:
        content = "\0"
    if "\0" in content:
        raise InputError(
            f"{path} is no text", expected=f"text in {encoding}, a line each; or a file ending in {', '.join(ENDINGS)}"
        )
    return [line for line in content.splitlines() if line.strip()]


# What it comes to


def remarks(workspace: Workspace, of: str, cells: pd.Series, vectors: NDArray[np.float32]) -> list[str]:
    """What the pool has of the kind, and what the next batch asks, a line each. cells, vectors: (a,) and (a, d)."""
    item, settings = kinds.item(workspace.settings.kind.item), workspace.settings
    said = []
    unread = 0
    if wording := item.wording:
        unread = int((wording(cells.tolist(), encoder_of(workspace))["unknown"] > UNKNOWN).sum())
    if unread:
        said.append(f"{unread:,} of {quantity(len(cells), item.NAME)} cannot be read by {settings.embed.encoder}")
    if len(cells) > MANY:
        said.append("so many are worth more as labels: `labelwise init --labelled` learns from rows of the pool")
    if not (workspace.scores.exists() and encoded(workspace)):
        return [*said, f"`labelwise run` ranks the pool by them once {settings.embed.encoder} has encoded it"]
    pool = pool_vectors(workspace)
    open_rows = np.flatnonzero(~pool.ids.isin(withheld(workspace, pool.ids)))
    said += nearest(workspace, pool, open_rows, vectors)
    labels = ledger.effective(ledger.today(workspace)).label
    members = kinds.answer(settings.kind.answer).members
    found = sum(of in members(label) for label in labels)
    said.append(following(found, int(SHARE * settings.select.batch), settings.select.batch))
    return said


def nearest(workspace: Workspace, pool: Vectors, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> list[str]:
    """The items of the pool at these rows that are most like what was given, (a, d)."""
    if not len(rows):
        return ["nothing of the pool can be asked any more"]
    blocks = np.split(rows, range(BLOCK, len(rows), BLOCK))
    best = np.concatenate([(pool.gather(block) @ vectors.T).max(axis=1) for block in blocks])
    first = np.argsort(-best, kind="stable")[:SHOWN]
    item = kinds.item(workspace.settings.kind.item)
    cells = stored.cells(workspace, rows[first])
    shown = [f"{brief(item.brief(cell), 60)!r} ({best[at]:.2f})" for at, cell in zip(first, cells, strict=True)]
    said = [f"the nearest of {len(rows):,}: {', '.join(shown)}"]
    if best[first[0]] < STRANGE:
        said.append("no item is much like them (another language, another matter?); the pool is ranked all the same")
    return said


def following(found: int, room: int, batch: int) -> str:
    """What the next batch makes of it. found: labels of the class so far."""
    if found >= FOUND:
        return f"{found:,} labels of it are there: the model goes on from these, and nothing is asked near the texts"
    return f"asks up to {room} of the next {batch} that are chosen, and so on until {FOUND} are found ({found} so far)"
