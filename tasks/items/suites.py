"""What must hold of pool, gold set and label ledger: a suite of rules for each, and the measures that they are about.

Great Expectations is given measures of an item (how long it is, whether it decodes) and never the item itself: so its
pages can carry nobody's words or markup, one of 5 MB costs no more than a short one, and a chunk takes 0.1 s.
Labels outside the classes go in as "(another)" for the same reason.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from labelwise.tasks.kinds import Answer, Content, choice, text
from labelwise.tasks.records import Refusal
from labelwise.tasks.services.expectations import (
    ABSENT,
    BETWEEN,
    NONE_OF,
    ONE_OF,
    PRESENT,
    SUM_BETWEEN,
    UNIQUE,
    Page,
    Rule,
    Suite,
    checked,
    refusals,
)

ANOTHER = "(another)"  # stands for any value that is not in a closed set
NONE, SEVERAL = "(none)", "(several)"  # for labels that name none or several of the classes
OUTSIDE = "label is outside the classes"
ELSEWHERE = "a mark is not in the text as it is kept, or has other words there"
STATUSES = ("labelled", "skipped", "refused", "unanswered", "withdrawn", "gone", "moved")


def pool(max_chars: int, max_refused: float, item: Content = text) -> Suite:
    """The suite `pool`, over what `measured` gives, and for the whole table what `with_decisions` adds."""
    return Suite("pool", item.rules(max_chars), _source_rules(max_refused))


def gold(
    max_chars: int, max_refused: float, classes: Sequence[str], answer: Answer = choice, item: Content = text
) -> Suite:
    """The suite `gold`: as the pool's, and a label from the classes in every row."""
    label = [
        Rule("label is missing", "label", PRESENT),
        *(Rule(fault, "label: fault", NONE_OF, {"value_set": [fault]}) for fault in answer.FAULTS),
        Rule(OUTSIDE, "label", ONE_OF, {"value_set": _value_set(answer, classes)}),
    ]
    return Suite("gold", item.rules(max_chars) + label, _source_rules(max_refused))


def ledger(classes: Sequence[str], answer: Answer = choice) -> Suite:
    """The suite `ledger`, over what `measured_labels` gives."""
    statuses = "status is none of " + ", ".join(STATUSES)
    marks = [Rule(ELSEWHERE, "label: read", ONE_OF, {"value_set": [True]})] if answer.PLACES else []
    twice = "annotation is there more than once"
    return Suite(
        "ledger",
        [
            Rule("id was never asked", "id: known", ONE_OF, {"value_set": [True]}),
            Rule(statuses, "status", ONE_OF, {"value_set": list(STATUSES)}),
            Rule("round is below 0", "round", BETWEEN, {"min_value": 0}),
            *marks,
            Rule(OUTSIDE, "label: when labelled", ONE_OF, {"value_set": _value_set(answer, classes)}),
            Rule("label without being labelled", "label: when not labelled", ABSENT),
            Rule(twice, "annotation_id", UNIQUE, detail="annotation {value:.0f} is there more than once"),
        ],
    )


def _source_rules(max_refused: float) -> list[Rule]:
    mostly = round(1 - max_refused, 12)  # 1 - 0.2 must not ask for a hair more than 0.8
    too_many = f"more than {max_refused:.0%} of the rows are refused"
    return [
        Rule(too_many, "row: refused", ONE_OF, {"value_set": [False], "mostly": mostly}),
        Rule("no row is left", "row: used", SUM_BETWEEN, {"min_value": 1}),
    ]


def measured(
    rows: pd.DataFrame, classes: Sequence[str] | None = None, answer: Answer = choice, item: Content = text
) -> pd.DataFrame:
    """Measures of each row (columns those of the item, `source_id` and, with `classes`, `label`; cells str or None;
    `fault`, what is wrong with a label, where something may be).

    Under 20 bytes a row: those of a whole source can be kept for its verdict.
    """
    cells = [cell if isinstance(cell, str) else None for cell in rows[item.COLUMN]]
    # Numbers as float64, missing as NaN: the only types that Great Expectations compares without a loop in Python.
    frame = pd.DataFrame(
        {
            **item.measures(cells),
            "row: is UTF-8": [all(map(decodes, cells)) for cells in rows.itertuples(index=False, name=None)],
        }
    )
    if classes is not None:
        frame["label"] = pd.Series([_closed(label, classes, answer) for label in rows["label"]], dtype=object)
        if answer.FAULTS:
            frame["label: fault"] = pd.Series(rows["fault"].tolist(), dtype=object)
    return frame


def with_decisions(measures: pd.DataFrame, refused: Collection[int], elsewhere: Collection[int]) -> pd.DataFrame:
    """The measures with what was decided of each row, by position, for the rules of the whole table."""
    frame = measures.reset_index(drop=True)
    frame["row: refused"] = frame.index.isin(list(refused))
    frame["row: used"] = (~frame.index.isin([*refused, *elsewhere])).astype("int8")
    return frame


def measured_labels(
    rows: pd.DataFrame, classes: Sequence[str], asked_ids: Collection[str], answer: Answer = choice
) -> pd.DataFrame:
    """Measures of ledger rows (records.LABELS)."""
    labelled = rows["status"].isin(["labelled"])
    closed = {label: _closed(label, classes, answer) for label in rows["label"].dropna().unique()}
    label = pd.Series([closed.get(label, ANOTHER) for label in rows["label"]], rows.index, dtype="string")
    read = {"label: read": rows["label"].notna() | ~labelled} if answer.PLACES else {}
    frame = pd.DataFrame(
        {
            **read,
            "id: known": rows["id"].isin(list(asked_ids)),
            "status": rows["status"].where(rows["status"].isin(STATUSES), ANOTHER),
            "round": rows["round"],
            "label: when labelled": label.where(labelled),
            "label: when not labelled": label.where(~labelled & rows["label"].notna()),
            "annotation_id": rows["annotation_id"],
        }
    )
    return frame.reset_index(drop=True)


def decodes(cell: str | None) -> bool:
    """Whether the cell is proper Unicode: bytes that were no UTF-8 arrive as lone surrogates."""
    if not isinstance(cell, str) or cell.isascii():
        return True
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _value_set(answer: Answer, classes: Sequence[str]) -> list[str]:
    """What `_closed` makes of a label in order."""
    return [*classes] if answer is choice else [*classes, NONE, SEVERAL]


def _closed(label: Any, classes: Sequence[str], answer: Answer) -> str | None:
    """The class that a label names where it names one; None where it is missing or blank."""
    if not isinstance(label, str) or not label.strip():
        return None
    names = answer.members(label)
    if any(name not in classes for name in names):
        return ANOTHER
    return names[0] if len(names) == 1 else SEVERAL if names else NONE


@dataclass(frozen=True)
class CheckedLabels:
    """Of ledger rows: the refusals by row position, and the page for `build_docs`."""

    refusals: dict[int, Refusal]
    page: Page


def check_labels(
    rows: pd.DataFrame, classes: Sequence[str], asked_ids: Collection[str], answer: Answer = choice
) -> CheckedLabels:
    """Check ledger rows (records.LABELS): known ids, closed sets, labels where and only where they belong.

    `annotation_id` is checked within `rows`: give the whole ledger for it to hold over the whole.
    """
    suite = ledger(classes, answer)
    measures = measured_labels(rows, classes, asked_ids, answer)
    return CheckedLabels(refusals(suite, measures), checked(suite, measures).page)
