"""What of a source's rows is new, and which are refused for what else is there: tables in, tables out.

A text belongs to one set only. Gold comes first, unless the pool had the text before: reviewers may have seen it by
then. A text with several labels cannot be gold: nobody can say which is right, so all its rows are refused, but one
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
from labelwise.tasks.records import BESIDE, GOLD, POOL, QUARANTINE, Refusal, canonical, content_id, folded

IN_GOLD = Refusal("also in the gold set", "also in the gold set")
IN_POOL = Refusal("already in the pool", "already in the pool")
AT_ODDS = "the same text has several labels"
AS_IT_CAME = ["text", "source_id", "label"]


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


def new_pool(rows: pd.DataFrame, refused: dict[int, Refusal], gold_folds: Collection[str], seen: Seen) -> Sifted:
    """What of the next `rows` (text, source_id, and what of records.BESIDE there is) of the pool's source is new. Adds
    to `seen`. A text that comes again with another context is the same item, and keeps the first.

    InputError: an id of the user's stands for two texts.
    """
    fine = identified(rows, refused)
    fine["id"] = as_stored(fine["id"], rows["text"], seen.stored.has)
    fine["stored"] = seen.stored.has(fine["id"])
    in_gold = fine["fold"].isin(gold_folds) & ~fine["stored"]
    rest = fine[~in_gold]
    _refuse_clash("pool", rest, seen.owners)
    once = rest[seen.now.add(rest["id"])]
    return Sifted(
        new=POOL.conform(once[~once["stored"]]),
        refused=refused,
        elsewhere={int(at): IN_GOLD for at in fine.index[in_gold]},
        repeated=len(rest) - len(once),
    )


def new_gold(
    rows: pd.DataFrame, refused: dict[int, Refusal], pool_folds: Collection[str], stored: pd.DataFrame
) -> Sifted:
    """What of `rows` (text, source_id, label) is new to the gold set `stored` (records.GOLD).

    InputError: an id of the user's stands for two texts.
    """
    fine = identified(rows, refused)
    fine["id"] = as_stored(fine["id"], rows["text"], lambda ids: ids.isin(stored["id"]).to_numpy())
    kept = fine["id"].map(dict(zip(stored["id"], stored["label"], strict=True))) == fine["label"]
    at_odds = _at_odds(pd.concat([identified(stored), fine]))
    odd = fine["fold"].isin(at_odds) & ~kept
    in_pool = fine["fold"].isin(pool_folds) & ~kept & ~odd
    rest = fine[~odd & ~in_pool]
    owners = Owners()
    owners.add(stored["source_id"].tolist(), stored["id"].tolist())
    _refuse_clash("gold", rest, owners)
    once = rest.drop_duplicates("id")
    folds = zip(fine.index[odd], fine["fold"][odd], strict=True)
    reasons = {int(at): Refusal(AT_ODDS, f"{AT_ODDS}: {at_odds[fold]}") for at, fold in folds}
    return Sifted(
        new=GOLD.conform(once[~once["id"].isin(stored["id"])]),
        refused=dict(sorted((refused | reasons).items())),
        elsewhere={int(at): IN_POOL for at in fine.index[in_pool]},
        repeated=len(rest) - len(once),
    )


def identified(rows: pd.DataFrame, refused: Collection[int] = ()) -> pd.DataFrame:
    """The rows but for the refused, their texts canonical, with `id` and `fold` (the text as it is compared)."""
    fine = rows.drop(index=list(refused))
    fine = fine.assign(text=pd.Series([canonical(text) for text in fine["text"]], fine.index, dtype=object))
    made = {"id": map(content_id, fine["text"]), "fold": map(folded, fine["text"])}
    return fine.assign(**{name: pd.Series(list(each), fine.index, dtype=object) for name, each in made.items()})


def as_stored(ids: pd.Series, texts: pd.Series, has: Callable[[pd.Series], NDArray[np.bool_]]) -> pd.Series:
    """The ids, of those texts among `texts`; but the id of a text as it came where that one is stored: it was pulled
    before texts were kept in their canonical form."""
    came = texts.reindex(ids.index).map(content_id)
    return ids.where(~has(came), came)


def quarantined(rows: pd.DataFrame, refusals: dict[int, Refusal]) -> pd.DataFrame:
    """The refused of `rows` (records.QUARANTINE), as they came. What Parquet cannot hold is written as \\udcff."""
    columns = [*AS_IT_CAME, *(name for name in BESIDE if name in rows)]
    cells = rows.reindex(columns=columns).loc[list(refusals)]
    plain = [tuple(map(_plain, row)) for row in cells.itertuples(index=False, name=None)]
    ids = [content_id(json.dumps(row)) for row in plain]
    reasons = [refusal.reason for refusal in refusals.values()]
    return QUARANTINE.conform(pd.DataFrame(plain, columns=columns).assign(id=ids, reason=reasons))


def _plain(cell: Any) -> str | None:
    return cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else None


def _at_odds(rows: pd.DataFrame) -> dict[str, str]:
    """The folded texts with several labels, and those labels in words."""
    pairs = rows[["fold", "label"]].drop_duplicates().sort_values("label")
    odd = pairs[pairs.duplicated("fold", keep=False)]
    return {str(fold): " and ".join(map(repr, labels)) for fold, labels in odd.groupby("fold")["label"]}


def _refuse_clash(where: str, rows: pd.DataFrame, owners: Owners) -> None:
    clash = owners.add(rows["source_id"].tolist(), rows["id"].tolist())
    if clash is not None:
        fix = "give the changed row an id of its own, or set pull.columns.id to null"
        raise InputError(
            f"{where}: the id {clash[:80]!r}", expected="one text for an id", got="different texts", fix=fix
        )
