"""`labelwise people`: how often each person who labels is right, and whose way of answering is to be looked at. For the
owner of a workspace: it stands in no report, and in no version."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from labelwise.tasks.errors import quantity
from labelwise.tasks.labels import consensus, ledger, roster
from labelwise.tasks.labels.agreement import Quality, quality_of
from labelwise.tasks.labels.combined import LATEST
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace

ENOUGH = 20  # answers of a person; of fewer nothing is said of the way in which they were given
ALIKE = 0.9  # share of a person's answers that say the same,
OTHERS = 0.7  # where at most this share of everybody else's say so, and
HASTY_S = 2.0  # half of them are given within this many seconds
MOST = 2000  # answers of a person, the last ones, that are looked at
AT_ONCE = 0.2  # share of a person's answers during which the same account gave another,
SHARING = 3  # or so many; during more, and it is a program that names times which it did not take


def run(workspace: Workspace) -> list[str]:
    """Lines for people: one a person, those with the most answers first; then what is to be looked at."""
    rows = ledger.today(workspace)
    if ledger.effective(rows).empty:
        return ["nobody has labelled anything yet"]
    return [*_right(workspace, rows), *remarks(rows)]


def _right(workspace: Workspace, rows: pd.DataFrame) -> list[str]:
    weighed = consensus.weigh(rows, consensus.items_in(workspace), workspace.settings)
    shared = quantity(weighed.said.shared, "item has", "items have")
    if weighed.by == LATEST:
        why = f"{shared} answers of two people, {consensus.ENOUGH} are needed (people.overlap in params.yaml)"
        return [f"nothing tells how often each person is right: {why}"]
    called = {number: one.name for number, one in roster.read(workspace).items()}
    each = quality_of(weighed.said, weighed.found, list(weighed.names))
    return [
        f"{shared} answers of two people or more; how often each person is right by what is agreed there:",
        *(line(one, called) for one in sorted(each, key=lambda one: (-one.answers, one.annotator))),
    ]


def remarks(rows: pd.DataFrame) -> Iterator[str]:
    """Whose way of answering is to be looked at (ledger rows as of today): who says the same of nearly all items, in a
    moment; and accounts that answer two items at the same time, as two people do who share one. Their answers count as
    much as `agree` finds them to be worth, which takes items that others have answered, too."""
    said = ledger.labelled(rows)
    said = said[said.annotator.notna() & said.label.notna()]
    for who, own in said.groupby("annotator", sort=True):
        if len(own) < ENOUGH:
            continue
        name = plain(str(who), 60)
        often = own.label.value_counts()
        label, share = str(often.index[0]), float(often.iloc[0]) / len(own)
        others = said[said.annotator != who].label
        usual = float((others == label).mean()) if len(others) else 0.0
        seconds = float(own.lead_time_s.median())
        if share >= ALIKE and usual <= OTHERS and seconds <= HASTY_S:
            rest = f", which {usual:.0%} of the others' answers say" if len(others) else ""
            same = f"{share:.0%} of {len(own):,} answers say {plain(label, 40)!r}{rest}"
            yield f"{name}: {same}, half of them within {seconds:.1f} s"
        if (together := at_once(own)) >= AT_ONCE:
            both = f"{name}: gave {together:.0%} of the answers while giving another: two people with one account?"
            yield f"{both} Give each an account of their own, so that it can be told how often each is right"


def at_once(own: pd.DataFrame) -> float:
    """The share of a person's answers of which more than half of the time that they took lies within that of another,
    or of SHARING. `created_at` is when an answer was given, `lead_time_s` how long it took."""
    timed = own[own.lead_time_s.gt(0)].tail(MOST)
    moments = pd.to_datetime(timed.created_at, utc=True, format="ISO8601")
    end = (moments - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy()
    took = timed.lead_time_s.to_numpy(np.float64)
    start, shared = end - took, np.zeros(len(end), dtype=bool)
    for at in range(len(end)):
        overlap = np.minimum(end[at], end) - np.maximum(start[at], start)
        overlap[at] = 0.0
        shared[at] = 1 <= (overlap > took[at] / 2).sum() <= SHARING
    return float(shared.mean()) if len(shared) else 0.0


def line(one: Quality, called: Mapping[str, str]) -> str:
    """called: names, by annotator.

    >>> print(line(Quality("7", 120, 0.912, 0.861, 0.963), {"7": "Ana"}))
    7 (Ana): 91 % (86 to 96 %); 120 answers
    >>> print(line(Quality("imported", 1, None, None, None), {}))
    imported: 1 answer, none to an item that others labelled
    """
    name = plain(one.annotator or "(unknown)", 60)
    name += f" ({plain(who, 60)})" if (who := called.get(one.annotator)) else ""
    if one.right is None or one.low is None or one.high is None:
        return f"{name}: {quantity(one.answers, 'answer')}, none to an item that others labelled"
    often = f"{100 * one.right:.0f} % ({100 * one.low:.0f} to {100 * one.high:.0f} %)"
    return f"{name}: {often}; {quantity(one.answers, 'answer')}"
