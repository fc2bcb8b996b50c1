"""What of a source's rows is new, and which are refused for what else is there: tables in, tables out.

An item belongs to one set only. Gold comes first, unless the pool had the item before: reviewers may have seen it by
then. An item with several labels cannot be gold: nobody can say which is right, so all its rows are refused, but one
pulled earlier stays, as silently changing what models were measured on would falsify the curve.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.items.identity import Ids, Owners
from labelwise.tasks.kinds import Content, text
from labelwise.tasks.records import BESIDE, GOLD, POOL, QUARANTINE, Refusal, content_id

IN_GOLD = Refusal("also in the gold set", "also in the gold set")
IN_POOL = Refusal("already in the pool", "already in the pool")


@dataclass(frozen=True)
class Sifted:
    """Rows of a source told apart."""

    new: pd.DataFrame  # records.POOL or GOLD
    refused: dict[int, Refusal]  # by position, as `elsewhere`
    elsewhere: dict[int, Refusal]  # belong to the other set: no fault of the source
    repeated: int


@dataclass
class Seen:
    """What a pull remembers of the pool, in a few bytes a row."""

    stored: Ids = field(default_factory=Ids)  # pulled earlier
    now: Ids = field(default_factory=Ids)  # in this pull
    owners: Owners = field(default_factory=Owners)


def new_pool(
    rows: pd.DataFrame,
    refused: dict[int, Refusal],
    gold_folds: Collection[str],
    seen: Seen,
    item: Content = text,
) -> Sifted:
    """What of the next `rows` (the item, source_id, and what of records.BESIDE there is) of the pool's source is new.
    Adds to `seen`. One that comes again with another context is the same item, and keeps the first.

    InputError: an id of the user's stands for two items.
    """
    fine = identified(rows, refused, item)
    fine["id"] = as_stored(fine["id"], rows[item.COLUMN], seen.stored.has, item)
    fine["stored"] = seen.stored.has(fine["id"])
    in_gold = fine["fold"].isin(gold_folds) & ~fine["stored"]
    rest = fine[~in_gold]
    _refuse_clash("pool", rest, seen.owners, item)
    once = rest[seen.now.add(rest["id"])]
    return Sifted(
        new=POOL.holding(item.COLUMN).conform(once[~once["stored"]]),
        refused=refused,
        elsewhere={int(at): IN_GOLD for at in fine.index[in_gold]},
        repeated=len(rest) - len(once),
    )


def new_gold(
    rows: pd.DataFrame,
    refused: dict[int, Refusal],
    pool_folds: Collection[str],
    stored: pd.DataFrame,
    item: Content = text,
) -> Sifted:
    """What of `rows` (the item, source_id, label) is new to the gold set `stored` (records.GOLD).

    InputError: an id of the user's stands for two items.
    """
    fine = identified(rows, refused, item)
    fine["id"] = as_stored(fine["id"], rows[item.COLUMN], lambda ids: ids.isin(stored["id"]).to_numpy(), item)
    kept = fine["id"].map(dict(zip(stored["id"], stored["label"], strict=True))) == fine["label"]
    at_odds = _at_odds(pd.concat([identified(stored, item=item), fine]))
    odd = fine["fold"].isin(at_odds) & ~kept
    in_pool = fine["fold"].isin(pool_folds) & ~kept & ~odd
    rest = fine[~odd & ~in_pool]
    owners = Owners()
    owners.add(stored["source_id"].tolist(), stored["id"].tolist())
    _refuse_clash("gold", rest, owners, item)
    once = rest.drop_duplicates("id")
    folds = zip(fine.index[odd], fine["fold"][odd], strict=True)
    rule = f"the same {item.NAME} has several labels"
    reasons = {int(at): Refusal(rule, f"{rule}: {at_odds[fold]}") for at, fold in folds}
    return Sifted(
        new=GOLD.holding(item.COLUMN).conform(once[~once["id"].isin(stored["id"])]),
        refused=dict(sorted((refused | reasons).items())),
        elsewhere={int(at): IN_POOL for at in fine.index[in_pool]},
        repeated=len(rest) - len(once),
    )


def identified(rows: pd.DataFrame, refused: Collection[int] = (), item: Content = text) -> pd.DataFrame:
    """The rows but for the refused, their cells as they are kept, with `id` and `fold` (the cell as it is compared)."""
    fine = rows.drop(index=list(refused))
    cells = [item.tidy(cell) for cell in fine[item.COLUMN]]
    made = {item.COLUMN: cells, "id": map(item.identify, cells), "fold": map(item.fold, cells)}
    return fine.assign(**{name: pd.Series(list(each), fine.index, dtype=object) for name, each in made.items()})


def as_stored(
    ids: pd.Series, cells: pd.Series, has: Callable[[pd.Series], NDArray[np.bool_]], item: Content = text
) -> pd.Series:
    """The ids, of those cells among `cells`; but the id of a cell as it came where that one is stored: it was pulled
    before texts were kept in their canonical form."""
    came = cells.reindex(ids.index).map(item.identify)
    return ids.where(~has(came), came)


def as_it_came(item: Content = text) -> list[str]:
    """The columns of a row of a source, but for those of records.BESIDE."""
    return [item.COLUMN, "source_id", "label"]


def quarantined(rows: pd.DataFrame, refusals: dict[int, Refusal], item: Content = text) -> pd.DataFrame:
    """The refused of `rows` (records.QUARANTINE), as they came. What Parquet cannot hold is written as \\udcff."""
    columns = [*as_it_came(item), *(name for name in BESIDE if name in rows)]
    cells = rows.reindex(columns=columns).loc[list(refusals)]
    plain = [tuple(map(_plain, row)) for row in cells.itertuples(index=False, name=None)]
    ids = [content_id(json.dumps(row)) for row in plain]
    reasons = [refusal.reason for refusal in refusals.values()]
    return QUARANTINE.holding(item.COLUMN).conform(pd.DataFrame(plain, columns=columns).assign(id=ids, reason=reasons))


def _plain(cell: Any) -> str | None:
    return cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else None


def _at_odds(rows: pd.DataFrame) -> dict[str, str]:
    """The folded cells with several labels, and those labels in words."""
    pairs = rows[["fold", "label"]].drop_duplicates().sort_values("label")
    odd = pairs[pairs.duplicated("fold", keep=False)]
    return {str(fold): " and ".join(map(repr, labels)) for fold, labels in odd.groupby("fold")["label"]}


def _refuse_clash(where: str, rows: pd.DataFrame, owners: Owners, item: Content) -> None:
    clash = owners.add(rows["source_id"].tolist(), rows["id"].tolist())
    if clash is not None:
        fix = "give the changed row an id of its own, or set pull.columns.id to null"
        raise InputError(
            f"{where}: the id {clash[:80]!r}",
            expected=f"one {item.NAME} for an id",
            got=f"different {item.NAME}s",
            fix=fix,
        )
