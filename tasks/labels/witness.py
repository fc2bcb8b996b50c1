"""What MLflow is told of the ledger, so that a row changed afterwards is found and named, even where git and DVC were
rewritten with it.

A round's run keeps a table (WITNESS) of the shards that no earlier run has, and its digest as a tag. So a run costs the
same in round 500 as in round 1, and who has the tags of all runs knows without another request which shards are as they
were. No name and no time is in it: the rest of a row is there as a digest alone.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks.labels import ledger
from labelwise.tasks.records import LABELS, WITNESS
from labelwise.tasks.workspace import harmless, read_parquet

FILE = "labels.csv"  # its name beside a run
DIGEST, SHARDS = "labelwise.labels", "labelwise.shards"  # tags of a run: the digest of that file, and `first-last`
KINDS = {"left_only": "surplus", "right_only": "missing", "both": "changed"}
KEY = ["shard", "id", "task_id", "annotation_id", "place"]


@dataclass(frozen=True)
class Difference:
    """What is not as it was with one row. said: in words, with both values. kind: missing, surplus or changed."""

    item: str
    said: str
    kind: str = "changed"

    def __str__(self) -> str:
        return f"item {self.item}: {self.said}" if self.item else self.said


@dataclass(frozen=True)
class Recorded:
    """What a run's tags say of the ledger: which shards it has seen, and the digest of their table."""

    run_id: str
    shards: range
    digest: str


def recorded_by(runs: Iterable[tuple[str, Mapping[str, str]]]) -> list[Recorded]:
    """What runs record of it, given by id and tags; those of earlier versions record nothing."""
    return [
        Recorded(run_id, span(tags[SHARDS]), tags[DIGEST]) for run_id, tags in runs if SHARDS in tags and DIGEST in tags
    ]


def check(
    folder: Path,
    recorded: Iterable[Recorded],
    fetch: Callable[[str], pd.DataFrame | None],
    forgotten: Collection[str] = (),
) -> list[Difference]:
    """What of the ledger in `folder` is not as the runs have it. Only where a digest differs their table is fetched, by
    the run's id."""
    found: list[Difference] = []
    for each in recorded:
        now = table(folder, each.shards)
        if digest(now) == each.digest:
            continue
        then = fetch(each.run_id)
        if then is None or digest(then) != each.digest:
            said = f"round {each.shards[-1]} is not as run {each.run_id} has it, whose {FILE} is gone or changed"
            found.append(Difference("", said))
        else:
            found += differences(now, then, forgotten)
    return found


def table(folder: Path, shards: Iterable[int]) -> pd.DataFrame:
    """The rows (WITNESS, all cells text) of these shards of the ledger in `folder`; a shard that is gone has none."""
    parts = [
        witnessed(read_parquet(path), number) for number in shards if (path := ledger.shard(folder, number)).exists()
    ]
    return pd.concat([pd.DataFrame(columns=list(WITNESS)), *parts], ignore_index=True)


def witnessed(rows: pd.DataFrame, shard: int) -> pd.DataFrame:
    """The rows (WITNESS) for one shard's rows (LABELS)."""
    plain = rows.astype(object).where(rows.notna(), None)
    digests = [_digest(row) for row in plain.to_dict("records")]
    cells = plain[[column for column in WITNESS if column in LABELS.columns]].map(_cell)
    return cells.assign(shard=str(shard), digest=digests)[list(WITNESS)]


def text(witness: pd.DataFrame) -> str:
    """The table as the CSV that is kept."""
    return str(harmless(witness).to_csv(index=False, lineterminator="\n"))


def digest(witness: pd.DataFrame) -> str:
    """The digest of that CSV."""
    return hashlib.sha256(text(witness).encode()).hexdigest()


def differences(now: pd.DataFrame, then: pd.DataFrame, forgotten: Collection[str] = ()) -> list[Difference]:
    """What of the rows `then` (WITNESS, as a run has them) is not so `now`; rows of forgotten items may be gone."""
    both = _placed(now).merge(_placed(then), on=KEY, how="outer", suffixes=("", "_then"), indicator=True)
    odd = both[(both.digest != both.digest_then) & ~((both["_merge"] == "right_only") & both.id.isin(set(forgotten)))]
    return [Difference(str(row["id"]), _row_in_words(row), KINDS[row["_merge"]]) for row in odd.to_dict("records")]


def span(shards: str) -> range:
    """The shards that the tag names.

    >>> list(span("2-4"))
    [2, 3, 4]
    """
    first, _, last = shards.partition("-")
    return range(int(first), int(last) + 1)


def _digest(row: dict[Any, Any]) -> str:
    """Of all cells that hold something, whatever columns a later version adds."""
    known = {str(column): _cell(value) for column, value in row.items() if value is not None}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _placed(witness: pd.DataFrame) -> pd.DataFrame:
    """Rows of the same keys told apart by their order."""
    keys = KEY[:-1]
    return witness.assign(place=witness.groupby(keys, sort=False).cumcount())


def _row_in_words(row: dict[Any, Any]) -> str:
    if row["_merge"] == "left_only":
        return f"a row too many in round {row['shard']} ({_answer_in_words(row)})"
    if row["_merge"] == "right_only":
        return f"its row in round {row['shard']} is gone (it was {_answer_in_words(row, '_then')})"
    now, then = _answer_in_words(row), _answer_in_words(row, "_then")
    if now == then:
        return f"its row in round {row['shard']} differs in reviewer, time, or why it was asked"
    return f"{now}, but it was {then} when round {row['shard']} was learned"


def _answer_in_words(row: dict[Any, Any], then: str = "") -> str:
    label = row[f"label{then}"]
    return f"labelled {label!r}" if label else str(row[f"status{then}"])
