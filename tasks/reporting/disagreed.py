"""What people differ on: which classes they take for each other, and the items that they cannot agree on. Nobody is
named."""

from collections import Counter
from itertools import combinations

import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.errors import quantity
from labelwise.tasks.items.stored import cells_by_id, contexts_by_id
from labelwise.tasks.kinds import choice
from labelwise.tasks.kinds.base import YES
from labelwise.tasks.labels import consensus, ledger
from labelwise.tasks.reporting.tables import Table, example, said_of
from labelwise.tasks.workspace import Workspace

MOST = 8  # rows of each table
UNSURE = 0.9  # trust below which a label is said to be unsure


def tables(workspace: Workspace, rows: pd.DataFrame) -> tuple[Table, Table]:
    """Pairs of classes, and items, both empty where no item has different answers of two people. rows: of the ledger,
    as of today."""
    said = ledger.voices(rows).groupby("id").label.agg(list)
    said = said[said.map(len) > 1]
    differ = said[said.map(lambda labels: len(set(labels)) > 1)]
    if differ.empty:
        return Table("", [], []), Table("", [], [])
    agreed = consensus.current(workspace).set_index("id").reindex(differ.index)
    first = agreed.trust.fillna(1.0).sort_values(kind="stable").index
    cells, contexts = (by_id(workspace, pd.Series(first)) for by_id in (cells_by_id, contexts_by_id))
    item = kinds.item(workspace.settings.kind.item)
    shown = {each: example(cells.get(each), item, contexts.get(each)) for each in first}
    unsure = int((agreed.trust < UNSURE).sum())
    words = (
        f"Of {quantity(len(said), 'item')} with answers of two people or more they differ on {len(differ):,}; the "
        f"label of {unsure:,} of these is still less than {UNSURE:.0%} sure, and counts that much less."
    )
    pairs, of = Counter[tuple[str, str]](), dict[tuple[str, str], str]()
    for each in first:
        for pair in differing(differ[each], kinds.answer(workspace.settings.kind.answer)):
            pairs[pair] += 1
            of.setdefault(pair, each)
    head = ["some say", "others say", "items", "example"]
    confused = [[one, other, f"{count:,}", shown[of[one, other]]] for (one, other), count in pairs.most_common(MOST)]
    return Table("What people differ on", head, confused, words), Table(
        "Items that people cannot agree on",
        ["trust", item.NAME, "what people said", "label", "item"],
        [
            [
                f"{agreed.trust[each]:.0%}",
                shown[each],
                "; ".join(said_of(workspace, label, cells.get(each)) for label in sorted(set(differ[each]))),
                said_of(workspace, agreed.label[each], cells.get(each)),
                each,
            ]
            for each in first[:MOST]
            if agreed.trust[each] < UNSURE
        ],
    )


def differing(labels: list[str], answer: kinds.Answer) -> list[tuple[str, str]]:
    """What stands against what in the answers of several people to one item, once each: two classes, or where an item
    may have several, or parts are marked, a class and that it is not there.

    >>> differing(["late", "broken", "late"], choice)
    [('broken', 'late')]
    >>> differing(['["late"]', '["broken", "late"]'], kinds.answer("multilabel"))
    [('broken', 'not broken')]
    """
    if answer is choice:
        return [*combinations(sorted(set(labels)), 2)]
    questions = answer.questions(labels)
    split = [each for each in questions if len({answer.reply(label, each) for label in labels}) > 1]
    names = sorted({name for each in split for name in answer.members(answer.joined({each: YES}))})
    return [(name, f"not {name}") for name in names]
