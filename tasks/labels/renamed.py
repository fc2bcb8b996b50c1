"""Classes that have another name today than when something was said of them: `renamed` in params.yaml.

What was said is never edited. The ledger, the gold set, Label Studio and the models of earlier rounds keep the name of
their day, and whoever uses a label reads it through `today`. So a past round, which has its own params.yaml, replays as
it was, and what was renamed by mistake is put right by one line.
"""

from collections.abc import Mapping

import pandas as pd


def today(labels: pd.Series, renamed: Mapping[str, str]) -> pd.Series:
    """The labels under the names that their classes have today. renamed: as `Settings.renamed`, old name -> class; two
    names that lead to one class make one of two.

    >>> today(pd.Series(["billing", "refund"]), {"billing": "invoices"}).tolist()
    ['invoices', 'refund']
    """
    return labels.replace(dict(renamed)) if renamed else labels
