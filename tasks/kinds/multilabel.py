"""Any number of classes for an item, none too. The label is a JSON list of their names in alphabetical order; `[]` is
an answer, "none of these", and no skip.

In alphabetical order and not in that of `classes`, which people change: what was said once stays the same string.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.kinds import controls, counting
from labelwise.tasks.kinds.base import NO, YES, Floats, Measured, Read, Views, one_by_one
from labelwise.tasks.kinds.values import LABELS
from labelwise.tasks.settings import MEASURES, NONE

NAME = "multilabel"
METRIC, MEASURE = MEASURES[NAME]
EXAMPLE = 'a JSON list of classes such as ["a", "b"], [] for none; with pull.delimiter, names and it between them'
LISTS = True
PLACES = False
VALUE = LABELS
NO_LIST, NESTED, NO_TEXT = "label is no JSON list", "label holds a list in a list", "label holds what is no text"
BLANK, TWICE = "label holds an empty name", "label names a class twice"
FAULTS = dict.fromkeys((NO_LIST, NESTED, NO_TEXT, BLANK, TWICE), "")
HEADER = "Which classes fit this {item}?"
HINT = "Keys of all classes that fit, 0 for none of them, then Ctrl+Enter. Unsure: skip with Ctrl+Space."
HOW = (
    "<p>Choose every class that fits the {item}: press their keys or click them, then press Ctrl+Enter or Submit. A "
    "key pressed again takes its class back.</p>"
    "<p>If none fits, say so with the last choice (key 0): that is an answer like any other. If you are unsure, skip "
    "it (Ctrl+Space): a guess does more harm than no answer. What is skipped may be asked once more in a later round, "
    "and is then left out.</p>"
)
NONE_KEY = "0"


def label_of(names: Iterable[str]) -> str:
    """The label that names these classes.

    >>> label_of(["b", "a", "b"]), label_of([])
    ('["a", "b"]', '[]')
    """
    return json.dumps(sorted(set(names)), ensure_ascii=False)


def read(cell: str, delimiter: str | None = None) -> str:
    """The label in a cell: a JSON list of names, or names with the delimiter between them. None of them: `[]`, or what
    reviewers say for it.

    >>> read('["a", "b"]'), read("a; b", ";"), read("[]", ";"), read('["none of these"]')
    ('["a", "b"]', '["a", "b"]', '[]', '[]')
    """
    text = cell.strip()
    names = _json_list(text)
    if names is None and delimiter is not None:
        names = [part.strip() for part in text.split(delimiter)]
    if names is None:
        raise ValueError(NO_LIST)
    if any(isinstance(name, list | dict) for name in names):
        raise ValueError(NESTED)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(NO_TEXT)
    names = [name.strip() for name in names]
    if not all(names):
        raise ValueError(BLANK)
    if len(set(names)) < len(names):
        raise ValueError(TWICE)
    return label_of([] if names == [NONE] else names)


def _json_list(text: str) -> list[Any] | None:
    """The list that a text is in JSON; None where it is none."""
    try:
        names = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return names if isinstance(names, list) else None


def read_all(cells: Sequence[str | None], _items: Sequence[str | None], delimiter: str | None = None) -> Read:
    """The labels in cells, each by itself."""
    return one_by_one(lambda cell: read(cell, delimiter), cells)


def members(label: str) -> list[str]:
    """The classes that a label names; of what is no label of this kind, itself.

    >>> members('["a", "b"]'), members("[]"), members("a")
    (['a', 'b'], [], ['a'])
    """
    try:
        names = json.loads(label)
    except ValueError:
        return [label]
    return [str(name) for name in names] if isinstance(names, list) else [label]


def spoken(label: str, _item: str | None = None) -> str:
    """The names, with commas between them.

    >>> spoken('["a", "b"]'), spoken("[]")
    ('a, b', 'none of these')
    """
    return ", ".join(members(label)) or NONE


def renamed(label: str, renames: Mapping[str, str], dropped: Collection[str] = ()) -> str:
    """Each name as it is today, but for those that were dropped; two that are one class by now are named once.

    >>> renamed('["a", "b"]', {"a": "c", "b": "c"})
    '["c"]'
    """
    today = [renames.get(name, name) for name in members(label)]
    return label_of(name for name in today if name not in dropped)


def questions(labels: Iterable[str]) -> list[str]:
    """One a class that anybody has named; where nobody has named any, one: whether there is none.

    >>> questions(['["b", "a"]', "[]"]), questions(["[]"])
    (['a', 'b'], [''])
    """
    return sorted({name for label in labels for name in members(label)}) or [""]


def reply(label: str, question: str) -> str:
    """Whether the class is named; the label itself where nobody has named any."""
    return (YES if question in members(label) else NO) if question else label


def joined(replies: Mapping[str, str]) -> str:
    """The classes that are named.

    >>> joined({"a": reply('["a"]', "a"), "b": reply('["a"]', "b")}), joined({"": "[]"})
    ('["a"]', '[]')
    """
    return replies[""] if "" in replies else label_of(name for name, said in replies.items() if said == YES)


def choices(classes: Sequence[str]) -> list[str]:
    """The classes, and none of them."""
    return [*classes, NONE]


def control(classes: Sequence[str]) -> ET.Element:
    """Check boxes, and one for none of them: an empty answer would look like one that was forgotten."""
    choices = ET.Element("Choices", controls.named(choice="multiple"))
    controls.fill(choices, classes)
    ET.SubElement(choices, "Choice", {"value": NONE, "hotkey": NONE_KEY})
    return choices


def result(label: str, _item: str | None = None) -> list[dict[str, Any]]:
    """An answer in Label Studio's format.

    >>> result("[]")[0]["value"]
    {'choices': ['none of these']}
    """
    return controls.choices_result(members(label) or [NONE])


def parse(result: Sequence[Any], _item: str | None = None) -> str | None:
    """The classes that were chosen. None where nothing was, or classes and `none of these` at once: that says nothing.

    >>> parse(controls.choices_result(["b", "a"])), parse(controls.choices_result(["none of these"])), parse([])
    ('["a", "b"]', '[]', None)
    """
    names = controls.choices(result)
    if not names or (NONE in names and len(names) > 1):
        return None
    return label_of(name for name in names if name != NONE)


def targets(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.float32]:
    """(m, c) 1 where a label names a class, else 0; a row of -1 where it names what is no class.

    >>> targets(['["b"]', "[]"], ["a", "b"]).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    place = {name: at for at, name in enumerate(classes)}
    made = np.zeros((len(labels), len(classes)), np.float32)
    for row, label in enumerate(labels):
        named = [place.get(name, -1) for name in members(label)]
        if -1 in named:
            made[row] = -1
        else:
            made[row, named] = 1
    return made


def decide(probabilities: Floats, classes: Sequence[str], thresholds: Floats | None = None) -> NDArray[np.object_]:
    """Every class whose probability reaches its threshold (one half where there is none).

    >>> decide(np.array([[0.75, 0.5], [0.25, 0.125]]), ["a", "b"]).tolist()
    ['["a", "b"]', '[]']
    """
    holds = decided(probabilities, thresholds)
    # Each set is written once, and each name: `label_of` for 50,000 items would take longer than all else of `score`.
    sets, which = np.unique(np.packbits(holds, axis=1), axis=0, return_inverse=True)
    order = sorted(range(len(classes)), key=lambda at: classes[at])
    written = [json.dumps(classes[at], ensure_ascii=False) for at in order]
    named = np.unpackbits(sets, axis=1, count=len(classes)).astype(bool)[:, order]
    ends, at = np.cumsum(named.sum(axis=1)).tolist(), np.nonzero(named)[1].tolist()
    starts = [0, *ends][:-1]
    labels = np.empty(len(sets), dtype=object)
    labels[:] = [
        f"[{', '.join([written[each] for each in at[start:end]])}]" for start, end in zip(starts, ends, strict=True)
    ]
    return labels[which.reshape(-1)]


def decided(probabilities: Floats, thresholds: Floats | None = None) -> NDArray[np.bool_]:
    """(n, c) whether each class is said."""
    return np.asarray(probabilities >= (0.5 if thresholds is None else thresholds))


def expect(probabilities: Floats, thresholds: Floats | None = None) -> NDArray[np.float64]:
    """The expected F1 of the decided set with a true set whose classes come independently of each other.

    With d classes decided, F1 is 2 h / (d + t) for h hits among t true classes. The expectation of h over d + t, of
    which t is d's own hits and whatever else is true, is taken by the delta method's first term: 2 E[h] / (d + E[t]).
    Where nothing is decided it is exact: the probability that nothing is true.
    """
    p = probabilities.astype(np.float64)
    holds = decided(p, thresholds)
    hits, size, true = (p * holds).sum(axis=1), holds.sum(axis=1), p.sum(axis=1)
    nothing = np.prod(1 - p, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, 2 * hits / (size + true), nothing)


def score(said: Sequence[str | None], truth: Sequence[str]) -> NDArray[np.float64]:
    """F1 of the two sets; 1 where both are empty, 0 where nothing was said at all.

    >>> score(['["a", "b"]', "[]", None], ['["a"]', "[]", "[]"]).round(3).tolist()
    [0.667, 1.0, 0.0]
    """
    return counting.f1(said, truth, members)


def counts(said: Sequence[str | None], truth: Sequence[str], classes: Sequence[str]) -> NDArray[np.float64]:
    """(3, g, c) 1 where a class is right, is said, and is true."""
    return counting.by_name(said, truth, classes, members)


def kept(probabilities: Floats, _thresholds: Floats | None = None) -> Floats:
    """The probabilities."""
    return probabilities


def chances(probabilities: Floats) -> Floats:
    """The probabilities."""
    return probabilities


def simplex(probabilities: Floats, thresholds: Floats | None = None) -> Floats:
    """(n, 2) the least sure class of each item, for and against.

    A threshold other than one half says that an error of one sort weighs more. The odds of each class are divided by
    those of its threshold, so that the border between saying it and not lies at one half.

    >>> simplex(np.array([[0.9, 0.25]]), np.array([0.5, 0.25])).tolist()
    [[0.5, 0.5]]
    """
    shifted = at_one_half(probabilities, thresholds)
    least = np.abs(shifted - 0.5).argmin(axis=1)
    unsure = shifted[np.arange(len(shifted)), least]
    return np.stack([unsure, 1 - unsure], axis=1)


def views(probabilities: Floats, thresholds: Floats | None = None) -> Views:
    """errors: (n, c) p less what is decided."""
    errors = probabilities - decided(probabilities, thresholds)
    return Views(simplex(probabilities, thresholds), errors, 1 - expect(probabilities, thresholds))


def at_one_half(probabilities: Floats, thresholds: Floats | None = None) -> Floats:
    """(n, c) probabilities with their odds divided by those of the thresholds."""
    if thresholds is None:
        return probabilities
    mine, against = probabilities * (1 - thresholds), (1 - probabilities) * thresholds
    return np.asarray(mine / np.maximum(mine + against, 1e-12))


def measured(
    truth: Sequence[str],
    probabilities: Floats,
    classes: Sequence[str],
    thresholds: Floats | None,
    weights: Floats,
) -> Measured:
    """Set F1 an item; micro and macro F1 and the share of sets that are wholly right."""
    actual = targets(truth, classes) > 0
    holds = decided(probabilities, thresholds)
    said = decide(probabilities, classes, thresholds)
    hits = weights[:, None] * (actual & holds)
    named = weights[:, None] * (actual.astype(np.float64) + holds)
    exact = weights * (actual == holds).all(axis=1)

    def micro(rows: NDArray[np.int64]) -> float:
        return float(2 * hits[rows].sum() / named[rows].sum()) if named[rows].sum() else 1.0

    def macro(rows: NDArray[np.int64]) -> float:
        total = named[rows].sum(axis=0)
        present = total > 0
        return float((2 * hits[rows].sum(axis=0)[present] / total[present]).mean()) if present.any() else 1.0

    def whole(rows: NDArray[np.int64]) -> float:
        return float(exact[rows].sum() / weights[rows].sum())

    heavy = {"hits": hits, "said": weights[:, None] * holds, "true": weights[:, None] * actual}
    sums = {name: values.sum(axis=0) for name, values in heavy.items()}
    by_class = pd.DataFrame(
        {
            "class": list(classes),
            "precision": sums["hits"] / np.maximum(sums["said"], 1e-12),
            "recall": sums["hits"] / np.maximum(sums["true"], 1e-12),
            "f1": 2 * sums["hits"] / np.maximum(sums["said"] + sums["true"], 1e-12),
            "items": actual.sum(axis=0),
        }
    )
    return Measured(
        said,
        score(list(said), truth),
        expect(probabilities, thresholds),
        {"macro_f1": macro, "micro_f1": micro, "exact_match": whole},
        by_class,
    )


def suggestion(label: str, confidence: float) -> str:
    """What the model thinks of an item, for reviewers.

    >>> suggestion('["a", "b"]', 0.8), suggestion("[]", 0.9)
    ('The model suggests: a, b (80 %)', 'The model suggests: none of these (90 %)')
    """
    return f"The model suggests: {spoken(label)} ({controls.percent(confidence)})"


def wrong(label: str, classes: Sequence[str], chance: Any) -> str:
    """The label with one class more or less."""
    names = set(members(label))
    return label_of(names ^ {str(chance.choice(list(classes)))})


def value(label: str, _item: str) -> list[str]:
    """The names."""
    return members(label)
