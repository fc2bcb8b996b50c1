"""What an item is, and what is said of it: a file each. The rest of the house compares strings and works on scores.

`kind.item` and `kind.answer` in params.yaml choose; `answer` and `item` give the module of that name.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection
from typing import Any

from labelwise.tasks.kinds import choice, image, interface, measures, multilabel, row, spans, text
from labelwise.tasks.kinds.base import Answer, Content, Measured, Views
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.kinds.measures import Measure
from labelwise.tasks.kinds.wording import Wording
from labelwise.tasks.settings import Columns, Settings

ANSWERS: dict[str, Answer] = {module.NAME: module for module in (choice, multilabel, spans)}
ITEMS: dict[str, Content] = {module.NAME: module for module in (text, image, row)}


def answer(name: str) -> Answer:
    """What is said of an item: the kind that `kind.answer` names. KeyError for another name, which settings refuse."""
    return ANSWERS[name]


def item(name: str) -> Content:
    """What an item is: the kind that `kind.item` names. KeyError for another name, which settings refuse."""
    return ITEMS[name]


def cells_of(item: Content, answer: Answer, columns: Columns, label: str | None = None) -> Cells:
    """What the cells of a source of such items and labels may hold. label: the column of the labels, None where they
    are not asked for."""
    figures = item.columns(columns) if item.ARRAYS else ()
    return Cells(label, answer.LISTS, answer.PLACES, item.files(columns), figures)


def measure(settings: Settings) -> Measure:
    """What a model is judged by: the measure that `evaluate.measure` names."""
    return measures.measure_of(settings.measure, answer(settings.kind.answer), settings.classes)


def worded_by(settings: Settings) -> Callable[[list[str], Any], Wording] | None:
    """The second opinion on near-duplicates that a workspace asks for, see `Content.wording`; None where there is
    none."""
    return item(settings.kind.item).wording if settings.embed.wording else None


def known(answer: Answer, label: str | None, classes: Collection[str]) -> bool:
    """Whether it is a label, all of whose classes are among these.

    >>> known(multilabel, '["a", "b"]', ["a"]), known(multilabel, "[]", ["a"]), known(choice, None, ["a"])
    (False, True, False)
    """
    return label is not None and all(name in classes for name in answer.members(label))


def fitting(labels: Collection[str], classes: Collection[str]) -> list[str]:
    """The names of the kinds of which all these are labels, just as such a kind writes them.

    >>> fitting(["a", "b"], ["a", "b"]), fitting(['["a"]', "[]"], ["a", "b"]), fitting(["a"], ["b"])
    (['choice'], ['multilabel'], [])
    """
    return [name for name, kind in ANSWERS.items() if all(_fits(kind, label, classes) for label in labels)]


def _fits(kind: Answer, label: str, classes: Collection[str]) -> bool:
    try:
        return kind.read(label, None) == label and known(kind, label, classes)
    except ValueError:
        return False


def interface_of(settings: Settings) -> ET.Element:
    """What reviewers of a workspace see in Label Studio."""
    kind = item(settings.kind.item), answer(settings.kind.answer)
    columns = settings.pull.columns
    return interface.interface(*kind, settings.classes, bool(columns.context), columns)


def instructions_of(settings: Settings, about: str) -> str:
    """What reviewers of a workspace read before they begin, as HTML. about: a sentence, of the {item}."""
    kind = item(settings.kind.item), answer(settings.kind.answer)
    return interface.instructions(*kind, settings.classes, settings.descriptions, about)


__all__ = [
    "ANSWERS",
    "ITEMS",
    "Answer",
    "Content",
    "Measure",
    "Measured",
    "Views",
    "answer",
    "fitting",
    "instructions_of",
    "interface_of",
    "item",
    "known",
    "measure",
    "reading",
    "worded_by",
]
