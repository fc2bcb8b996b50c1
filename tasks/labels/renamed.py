"""Classes that are not what they were when something was said of them: `renamed`, `dropped` and `split` in params.yaml.

What was said is never edited. The ledger, the gold set, Label Studio and the models of earlier rounds keep the name of
their day, and what uses a label reads it through `today`. So a past round, which has its own params.yaml, replays as
it was, and what was changed by mistake is put right by one line. A class that was dropped or split has no name today:
what was said by it has lapsed, and is to be said again.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.settings import Settings


def today(labels: pd.Series, settings: Settings) -> pd.Series:
    """The labels under the names that their classes have today. Two names that lead to one class make one of two. What
    was said by a class that no longer exists keeps its name, see `lapsed`."""
    if not (settings.renamed or settings.dropped):
        return labels
    answer = kinds.answer(settings.kind.answer)
    said = {label: answer.renamed(label, settings.renamed, settings.dropped) for label in labels.dropna().unique()}
    return labels.replace({old: new for old, new in said.items() if old != new})


def chances(p: NDArray[np.floating], classes: Sequence[str], settings: Settings) -> pd.DataFrame:
    """A model's (n, c) chances of its classes -> a column a class of today. What leads to one class is added up, at
    most 1; a class that no longer exists has none."""
    names = [settings.renamed.get(name, name) for name in classes]
    found = pd.DataFrame(p.astype(np.float64)).T.groupby(names, sort=False).sum().T.clip(upper=1.0)
    return found[[name for name in found if name not in settings.lapsed]]


def lapsed(labels: pd.Series, settings: Settings) -> pd.Series:
    """Which of these labels of today say nothing any more, since there is a class in them that no longer exists."""
    gone, answer = set(settings.lapsed), kinds.answer(settings.kind.answer)
    if not gone:
        return pd.Series(False, index=labels.index)
    return labels.isin([label for label in labels.dropna().unique() if gone & set(answer.members(label))])


def counting(labels: pd.Series, settings: Settings) -> pd.Series:
    """Labels as they are said, under the names of today, null where they say nothing any more."""
    said = today(labels, settings)
    return said.mask(lapsed(said, settings)) if settings.lapsed else said
