"""What the loop must not ask."""

import pandas as pd

from labelwise.tasks.items import stored
from labelwise.tasks.items.leaks import leaked
from labelwise.tasks.labels import ledger
from labelwise.tasks.proof import control
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace, read_parquet


def withheld(workspace: Workspace, pool: pd.Index) -> pd.Index:
    """Ids that must not be asked: closed by the ledger, kept for gold, or nearly gold. pool: all of its ids."""
    return ledger.closed(ledger.read(workspace.labels)).union(kept_out(workspace, pool))


def kept_out(workspace: Workspace, pool: pd.Index) -> pd.Index:
    """Ids that are never asked, labelled or not: kept for gold, or nearly gold. pool: all of its ids."""
    return kept_for_gold(pool, workspace.settings).union(pd.Index(leaked(workspace).id))


def offered(workspace: Workspace) -> pd.Series:
    """Ids of the pool, in its order, without those that are `kept_out`."""
    parts = [read_parquet(shard, columns=["id"]).id for shard in stored.shards(workspace)]
    ids = pd.concat([pd.Series(dtype=object), *parts], ignore_index=True)
    return ids[~ids.isin(kept_out(workspace, pd.Index(ids)))].reset_index(drop=True)


def kept_for_gold(pool: pd.Index, settings: Settings) -> pd.Index:
    """The reserve (`gold.reserve`): ids that are never asked, so that gold can be drawn from them."""
    return pool[control.reserved(control.order(pool, settings.seed), settings.gold.reserve)]
