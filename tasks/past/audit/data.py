"""Whether what past rounds name is there, so that they can be rebuilt; and whether the ledger is what they learned."""

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from labelwise.tasks.errors import quantity
from labelwise.tasks.labels.witness import Difference
from labelwise.tasks.past.audit.part import Part


def rows(ledger: pd.DataFrame, unlike: Sequence[Difference], seen: Collection[int], learned: int) -> Part:
    """The ledger (with the column `shard`) against the words of the runs. unlike: where they differ. seen: the shards
    that some run has recorded; learned: the last round that was."""
    found = Part("ledger rows", len(ledger))
    for each in unlike:
        {"missing": found.missing, "surplus": found.surplus}.get(each.kind, found.changed).append(str(each))
    unknown = ledger[~ledger.shard.isin(set(seen))]
    found.waiting = int((unknown.shard > learned).sum())
    if old := len(unknown) - found.waiting:
        found.said = f"{quantity(old, 'row is', 'rows are')} known to no run"
    return found


def items(ledger: pd.DataFrame, pool: Collection[str], gold: Collection[str], forgotten: Collection[str]) -> Part:
    """Every item that was asked to the pool. gold: ids of the user's own gold rows."""
    asked = set(ledger.id)
    found = Part("items asked", len(asked), forgotten=len(set(forgotten)))
    found.missing = [
        f"item {item} is not in the pool" for item in sorted(asked - set(pool) - set(gold) - set(forgotten))
    ]
    back = sorted((set(pool) | set(gold)) & set(forgotten))
    found.surplus = [f"item {item} is there although it was forgotten" for item in back]
    return found


def stored(named: Mapping[str, str], there: Collection[str], lack: Exception | None = None) -> Part:
    """Every file that a version names to the DVC remote. named: the version that names it first, by DVC hash. lack: why
    the remote as a whole is not what it was."""
    found = Part("files at remote", len(named))
    gone = [(digest, version) for digest, version in named.items() if digest not in there]
    found.missing = [str(lack)] if lack else []
    found.missing += [f"{digest}, which {version} names, is not at the DVC remote" for digest, version in gone]
    return found
