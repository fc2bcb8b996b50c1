"""What is new about annotations: given, changed or withdrawn since the ledger was written; never the same thing twice.

An ask is an item in a round. Label Studio gives new numbers when a project is imported again, and then also numbers
that something else had before. So an annotation is known by its ask and by one of these: its number and who gave it,
the number it was imported from, or who says just this.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from labelwise.tasks.labels import ledger
from labelwise.tasks.records import LABELS

Row = dict[Any, Any]
Ask = tuple[str, int]


def news(known: pd.DataFrame, said: pd.DataFrame, seen: pd.DataFrame) -> pd.DataFrame:
    """Rows (LABELS) that the ledger lacks. Those for annotations keep the index that they have in `said`.

    known: the ledger. said: every annotation that the tasks seen hold (LABELS, and `import_id`). seen: those tasks,
    with their ask and when they were touched last (`id`, `round`, `task_id`, `updated_at`).
    """
    asks = set(zip(seen["id"], seen["round"], strict=True))
    known = known[known["id"].isin(seen["id"])]
    before = _by_ask(ledger.not_withdrawn(known[known.annotation_id.notna()]), asks)
    present, tasks = _by_ask(said.assign(at=said.index), asks), _by_ask(seen, asks)
    homes, last = _homes(known), _by_ask(ledger.asks(known), asks)
    new: list[int] = []
    rows: list[Row] = []
    for ask in tasks:
        annotations, standing = present.get(ask, []), before.get(ask, [])
        own = _recognised(annotations, standing)
        new += _unknown(annotations, standing, own)
        if ask in homes:
            held = {task["task_id"]: set[int]() for task in tasks[ask]}
            for one, places in zip(annotations, own, strict=True):
                held.setdefault(one["task_id"], set()).update(places)
            rows += _withdrawn(tasks[ask], homes[ask], standing, held)
            rows += _moved(tasks[ask], homes[ask], last[ask][0], len(standing), held)
    others = LABELS.conform(pd.DataFrame(rows, columns=list(LABELS.columns)))
    return pd.concat([others.set_axis(range(-len(others), 0)), said.loc[new, list(LABELS.columns)]])


def gone(asks: pd.DataFrame, count: Callable[[int, int], int], tasks: Callable[[int], pd.DataFrame]) -> pd.DataFrame:
    """Rows (LABELS) for tasks that are no longer there. asks: as `ledger.asks` gives them. count: how many tasks the
    rounds from one to another have; tasks: those of a round (`id`)."""
    expected = asks[asks.task_id.notna() & (asks.status != "gone")]
    rows: list[Row] = []
    for number in short(expected.groupby("round").size(), count):
        asked = expected[expected["round"] == number]
        rows += asked[~asked.id.isin(tasks(number).id)].to_dict("records")
    nothing: Row = dict.fromkeys(LABELS.columns)
    found = [nothing | row | {"status": "gone", "origin": "asked"} for row in rows]
    return LABELS.conform(pd.DataFrame(found, columns=list(LABELS.columns)))


def short(expected: pd.Series, count: Callable[[int, int], int]) -> Iterator[int]:
    """The rounds that have fewer tasks than expected (a number a round), found by halving: where all are there, one
    count says so, however many rounds there are."""
    if expected.empty or count(int(expected.index[0]), int(expected.index[-1])) >= expected.sum():
        return
    if len(expected) == 1:
        yield int(expected.index[0])
        return
    middle = len(expected) // 2
    yield from short(expected.iloc[:middle], count)
    yield from short(expected.iloc[middle:], count)


# Of one ask. Rows of the ledger go by their place in `standing`.


def _recognised(annotations: list[Row], standing: list[Row]) -> list[list[int]]:
    """For each annotation, the places of the rows that it is, the surest first."""
    own = [
        [place for alike in (_numbered, _imported) for place, row in enumerate(standing) if alike(one, row)]
        for one in annotations
    ]
    says = [_what_it_says(row) for row in standing]
    for one, places in zip(annotations, own, strict=True):
        for place in places[:1]:
            says[place] = _what_it_says(one)
    repeated = [[place for place, what in enumerate(says) if what == _what_it_says(one)] for one in annotations]
    return [places or others for places, others in zip(own, repeated, strict=True)]


def _numbered(one: Row, row: Row) -> bool:
    who = (row["annotator"], ledger.NOBODY)  # an account that was deleted leaves its annotations without a name
    return one["annotation_id"] == row["annotation_id"] and one["annotator"] in who


def _imported(one: Row, row: Row) -> bool:
    return bool(one["import_id"] == row["annotation_id"])


def _what_it_says(row: Row) -> tuple[str, str, str]:
    """Who says what."""
    return row["annotator"], row["status"], row["label"] or ""


def _unknown(annotations: list[Row], standing: list[Row], own: list[list[int]]) -> list[int]:
    """The index of those annotations that say what no row says yet."""
    new: list[int] = []
    given = set()
    for one, places in zip(annotations, own, strict=True):
        if places:
            new += [one["at"]] if _what_it_says(one)[1:] != _what_it_says(standing[places[0]])[1:] else []
        elif _what_it_says(one) not in given:
            given.add(_what_it_says(one))
            new.append(one["at"])
    return new


def _withdrawn(tasks: list[Row], home: set[int], standing: list[Row], held: dict[int, set[int]]) -> list[Row]:
    """Rows for answers that are in no task any more, though the task that they were in is there. A task that somebody
    made again, without the answers, takes none of them back."""
    at_home = [task for task in tasks if task["task_id"] in home]
    left = set(range(len(standing))) - set().union(*held.values())
    if not at_home:
        return []
    # The lead time stays: the work was done.
    now = {"status": "withdrawn", "label": None, "created_at": at_home[-1]["updated_at"]}
    return [standing[place] | now | {"task_id": at_home[-1]["task_id"]} for place in sorted(left)]


def _moved(tasks: list[Row], home: set[int], last: Row, answers: int, held: dict[int, set[int]]) -> list[Row]:
    """Rows for tasks under a number that the ledger does not have for this ask, with all its answers."""
    row: Row = dict.fromkeys(LABELS.columns) | last | {"status": "moved", "origin": "asked"}
    return [
        row | {"task_id": task["task_id"], "created_at": task["updated_at"]}
        for task in tasks
        if len(held[task["task_id"]]) == answers and (task["task_id"] not in home or last["status"] == "gone")
    ]


def _by_ask(rows: pd.DataFrame, asks: set[Ask]) -> dict[Ask, list[Row]]:
    """Rows by what they answer; what is missing as None."""
    found: dict[Ask, list[Row]] = defaultdict(list)
    inside = rows[[ask in asks for ask in zip(rows["id"], rows["round"], strict=True)]]
    for row in inside.astype(object).where(inside.notna(), None).to_dict("records"):
        found[(row["id"], row["round"])].append(row)
    return dict(found)


def _homes(known: pd.DataFrame) -> dict[Ask, set[int]]:
    """The numbers of the tasks under which the ledger has each ask."""
    homes: dict[Ask, set[int]] = defaultdict(set)
    tasks = known[["id", "round", "task_id"]].dropna().drop_duplicates()
    for item, number, task in zip(tasks["id"], tasks["round"], tasks.task_id, strict=True):
        homes[(item, number)].add(task)
    return dict(homes)
