"""What the loop must not ask."""

import pandas as pd

from labelwise.tasks.items.leaks import leaked
from labelwise.tasks.labels import ledger
from labelwise.tasks.proof import control
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace


def withheld(workspace: Workspace, pool: pd.Index) -> pd.Index:
    """Ids that must not be asked: closed by the ledger, kept for gold, or nearly gold. pool: all of its ids."""
    return ledger.closed(ledger.read(workspace.labels)).union(kept_out(workspace, pool))


def kept_out(workspace: Workspace, pool: pd.Index) -> pd.Index:
    """Ids that are never asked, labelled or not: kept for gold, or nearly gold. pool: all of its ids."""
    return kept_for_gold(pool, workspace.settings).union(pd.Index(leaked(workspace).id))


def kept_for_gold(pool: pd.Index, settings: Settings) -> pd.Index:
    """The reserve (`gold.reserve`): ids that are never asked, so that gold can be drawn from them."""
    return pool[control.reserved(control.order(pool, settings.seed), settings.gold.reserve)]
