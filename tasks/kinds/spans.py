"""Marked parts of a text, each with a class: its entities. The label is a JSON list of [start, end, class], sorted, in
code points of the text as it is kept, the end not included; `[]` is an answer, "nothing to mark", and no skip.

Parts may lie in each other and overlap: what people said is kept as they said it, and only the very same once.
"""

import ast
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.errors import quantity
from labelwise.tasks.kinds import bio, controls, counting, marked, multilabel, offsets
from labelwise.tasks.kinds.base import NO, YES, Floats, Measured, OfRows, Opinion, Read, Views
from labelwise.tasks.kinds.offsets import Given, Span
from labelwise.tasks.kinds.values import MARKS
from labelwise.tasks.settings import MEASURES

NAME = "spans"
METRIC, MEASURE = MEASURES[NAME]
LISTS = True
PLACES = True
VALUE = MARKS
EXAMPLE = (
    'a JSON list of [start, end, class] or {"start": ..., "end": ..., "label": ...}, [] for nothing to mark; or tokens '
    "and their tags in BIO"
)
NOTHING = "nothing to mark"  # what `[]` is in words
NO_SPANS = "label is no JSON list of spans"
NO_OFFSETS = "span has no whole numbers as its start and end"
NO_CLASS = "span has no class"
FAULTS = {
    NO_SPANS: "if these are classes of whole texts, `--answer choice` is the kind, or `--answer multilabel`",
    NO_OFFSETS: "write start and end as whole numbers",
    NO_CLASS: "name its class, or take it out",
    **offsets.FAULTS,
    **bio.FAULTS,
}
HEADER = "What is to be marked in this {item}?"
HINT = "Key of a class, then drag over its words. Ctrl+Enter when done, also with nothing to mark. Skip: Ctrl+Space."
HOW = (
    "<p>Mark each part of the {item} that belongs to a class: press the key of the class or click it, then drag over "
    "the words. A part may have several classes, and parts may overlap. To take a mark back, click it and press "
    "Backspace.</p><p>Then press Ctrl+Enter or Submit. If there is nothing to mark, submit it as it is: that is an "
    "answer like any other. If you are unsure, skip it (Ctrl+Space): a guess does more harm than no answer. What is "
    "skipped may be asked once more in a later round, and is then left out.</p>"
)
# What other tools call the parts of a span.
STARTS = ("start", "start_offset", "startOffset", "start_char", "begin")
ENDS = ("end", "end_offset", "endOffset", "end_char", "stop")
CLASSES = ("label", "labels", "entity_group", "entity_type", "entity", "type", "tag")
TEXTS = ("text", "surface", "mention")
HOLDERS = ("spans", "entities")  # objects that hold the list


def label_of(spans: Iterable[Span]) -> str:
    """The label that marks these.

    >>> label_of([(9, 14, "LOC"), (0, 5, "PER"), (0, 5, "PER")])
    '[[0, 5, "PER"], [9, 14, "LOC"]]'
    """
    return json.dumps([list(span) for span in sorted(set(spans))], ensure_ascii=False)


def spans_of(label: str) -> list[Span]:
    """What a label marks; nothing for what is no label of this kind.

    >>> spans_of('[[0, 5, "PER"]]'), spans_of("PER")
    ([(0, 5, 'PER')], [])
    """
    try:
        found = json.loads(label)
        return [(int(start), int(end), str(name)) for start, end, name in found]
    except (ValueError, TypeError):
        return []


def read(cell: str, _delimiter: str | None = None, item: str | None = None) -> str:
    """The label in a cell: a JSON list of spans, or the tags of tokens.

    >>> read('[{"start": 6, "end": 8, "label": "LOC"}]', item="a \\r\\n  UK")
    '[[4, 6, "LOC"]]'
    >>> read('{"tokens": ["in", "the", "UK"], "tags": ["O", "B-LOC", "I-LOC"]}')
    '[[3, 9, "LOC"]]'
    """
    return label_of(offsets.settled(_given(cell, item), item))


def read_all(cells: Sequence[str | None], items: Sequence[str | None], _delimiter: str | None = None) -> Read:
    """The labels in the cells of a source. What rows show together is in which units their spans are counted, see
    `offsets.counted`; of others than characters it is said, and where characters are only assumed."""
    given: dict[int, list[Given]] = {}
    labels, faults = [cell and cell.strip() for cell in cells], dict[int, str]()
    for at, label in enumerate(labels):
        try:
            if label:
                given[at] = _given(label, items[at])
        except ValueError as error:
            faults[at] = str(error)
    known = {at: (spans, item) for at, spans in given.items() if (item := items[at]) is not None}
    counted = offsets.counted(list(known.values()))
    units = dict(zip(known, counted.units, strict=True))
    for at, spans in given.items():
        try:
            labels[at] = label_of(offsets.settled(spans, items[at], units.get(at, offsets.CHARACTERS)))
        except ValueError as error:
            faults[at] = str(error)
    moved = Counter(unit for at, unit in units.items() if unit in offsets.OTHERS and at not in faults)
    said = [f"the spans of {quantity(n, 'label')} are counted in {unit}: taken as such" for unit, n in moved.items()]
    if assumed := sum(at not in faults for row, at in enumerate(known) if row in counted.assumed):
        said.append(
            f"the spans of {quantity(assumed, 'label')} lie elsewhere if they are counted in UTF-16 units or bytes, "
            'and no row shows which it is: taken as characters; give spans their words ("text") to be sure'
        )
    return Read(labels, [faults.get(at) for at in range(len(labels))], said)


def _given(cell: str, item: str | None) -> list[Given]:
    found = _parsed(cell)
    if isinstance(found, dict) and {"tokens", "tags"} <= found.keys():
        return bio.spans(found["tokens"], found["tags"], item)
    if isinstance(found, dict):
        found = next((found[name] for name in HOLDERS if name in found), None)
    if not isinstance(found, list):
        raise ValueError(NO_SPANS)
    if found and item is not None and all(isinstance(each, str) for each in found):
        return bio.spans(item.split(" "), found, item)
    return [span for each in found for span in _span(each)]


def _parsed(cell: str) -> Any:
    """What a cell says in JSON, or as Python writes lists: tables of pandas are saved so."""
    readers: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)
    for reader in readers:
        try:
            return reader(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise ValueError(NO_SPANS)


def _span(given: Any) -> list[Given]:
    """A span as it was written, once for each of its classes."""
    if isinstance(given, list | tuple) and len(given) == 3:
        start, end, names = given
        text = None
    elif isinstance(given, dict):
        start, end, names, text = (
            next((given[key] for key in keys if given.get(key) is not None), None)
            for keys in (STARTS, ENDS, CLASSES, TEXTS)
        )
    else:
        raise ValueError(NO_SPANS)
    names = [
        str(name) if type(name) in (int, float) else name for name in (names if isinstance(names, list) else [names])
    ]
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(NO_CLASS)
    whole = _whole(start), _whole(end)
    return [Given(*whole, name.strip(), text if isinstance(text, str) else None) for name in names]


def _whole(given: Any) -> int:
    """A whole number, also one that is written as text or with a point: files without types have these."""
    try:
        if isinstance(given, bool) or float(given) != int(float(given)):
            raise ValueError
        return int(float(given))
    except (ValueError, TypeError, OverflowError):
        raise ValueError(NO_OFFSETS) from None


def members(label: str) -> list[str]:
    """The classes that are marked; of what is no label of this kind, itself.

    >>> members('[[0, 5, "PER"], [9, 14, "LOC"], [20, 25, "PER"]]'), members("[]"), members("a")
    (['LOC', 'PER'], [], ['a'])
    """
    spans = spans_of(label)
    return sorted({name for _, _, name in spans}) if spans or label == "[]" else [label]


def spoken(label: str, item: str | None = None) -> str:
    """What is marked: its words, where the text is known, else its places.

    >>> spoken('[[0, 5, "PER"], [9, 14, "LOC"]]'), spoken("[]")
    ('PER 0-5, LOC 9-14', 'nothing to mark')
    >>> spoken('[[0, 5, "PER"], [9, 14, "LOC"]]', "Alice in Paris")
    'Alice (PER), Paris (LOC)'
    """
    spans = spans_of(label)
    if not spans:
        return NOTHING if label == "[]" else label
    if item is None:
        return ", ".join(f"{name} {start}-{end}" for start, end, name in spans)
    return ", ".join(f"{' '.join(item[start:end].split())} ({name})" for start, end, name in spans)


def renamed(label: str, renames: Mapping[str, str], dropped: Collection[str] = ()) -> str:
    """Each span under the name that its class has today, but for those of classes that were dropped.

    >>> renamed('[[0, 5, "PER"], [9, 14, "LOC"]]', {"PER": "person"}, ["LOC"])
    '[[0, 5, "person"]]'
    """
    today = [(start, end, renames.get(name, name)) for start, end, name in spans_of(label)]
    return label_of(span for span in today if span[2] not in dropped)


def questions(labels: Iterable[str]) -> list[str]:
    """One a span that anybody has marked; where nobody has, one: whether there is none.

    >>> questions(['[[0, 5, "PER"]]', "[]"]), questions(["[]"])
    (['[0, 5, "PER"]'], [''])
    """
    spans = sorted({span for label in labels for span in spans_of(label)})
    return [json.dumps(list(span), ensure_ascii=False) for span in spans] or [""]


def reply(label: str, question: str) -> str:
    """Whether the span is marked; the label itself where nobody has marked any."""
    if not question:
        return label
    start, end, name = json.loads(question)
    return YES if (start, end, name) in spans_of(label) else NO


def joined(replies: Mapping[str, str]) -> str:
    """The spans that are marked.

    >>> joined({'[0, 5, "PER"]': "yes", '[0, 5, "LOC"]': "no"}), joined({"": "[]"})
    ('[[0, 5, "PER"]]', '[]')
    """
    if "" in replies:
        return replies[""]
    marked = [json.loads(question) for question, said in replies.items() if said == YES]
    return label_of((start, end, name) for start, end, name in marked)


def share(question: str, other: str) -> bool:
    """Whether the spans of two questions have a part of the text in common.

    >>> share('[0, 5, "PER"]', '[3, 9, "LOC"]'), share('[0, 5, "PER"]', '[5, 9, "PER"]')
    (True, False)
    """
    (start, end, _), (from_, to, _) = json.loads(question), json.loads(other)
    return bool(start < to and from_ < end)


def choices(classes: Sequence[str]) -> list[str]:
    """The classes."""
    return [*classes]


def control(classes: Sequence[str]) -> ET.Element:
    """Labels to mark with, each in a colour of its own. It may stay unused: nothing to mark is an answer."""
    labels = ET.Element("Labels", {"name": controls.FROM, "toName": controls.TO, "showInline": "true"})
    for position, name in enumerate(classes):
        label = ET.SubElement(labels, "Label", {"value": name, "background": controls.colour(position)})
        if position < len(controls.HOTKEYS):
            label.set("hotkey", controls.HOTKEYS[position])
    return labels


def result(label: str, item: str | None = None) -> list[dict[str, Any]]:
    """An answer in Label Studio's format. item: the text, of which each span gets its own part.

    >>> result('[[0, 5, "PER"]]', "Alice ran")[0]["value"]
    {'start': 0, 'end': 5, 'text': 'Alice', 'labels': ['PER']}
    """
    return [
        {
            "id": f"s{number}",
            "from_name": controls.FROM,
            "to_name": controls.TO,
            "type": "labels",
            "value": {
                "start": start,
                "end": end,
                **({} if item is None else {"text": item[start:end]}),
                "labels": [name],
            },
        }
        for number, (start, end, name) in enumerate(spans_of(label))
    ]


def parse(result: Sequence[Any], item: str | None = None) -> str | None:
    """The label in a result, none marked too. item: the text that was shown. None where a span is not in it, or has
    other words than it says: then nobody knows what was meant.

    >>> parse(result('[[0, 5, "PER"]]', "Alice ran"), "Alice ran"), parse([])
    ('[[0, 5, "PER"]]', '[]')
    >>> parse(result('[[0, 5, "PER"]]', "Alice ran"), "alice ran") is None
    True
    """
    parts = [part for part in result if isinstance(part, dict)]
    if len(parts) < len(result):
        return None
    marks = [part for part in parts if part.get("type") == "labels" or "labels" in (part.get("value") or {})]
    if len(marks) < len(parts) and not marks:  # only what is none of our control's
        return None
    try:
        given = [span for part in marks for span in _span(part.get("value"))]
        return label_of(offsets.settled(given, item, offsets.CHARACTERS, kept=True))
    except ValueError:
        return None


def score(said: Sequence[str | None], truth: Sequence[str]) -> NDArray[np.float64]:
    """(n,) F1 of the two sets of spans: right are both ends and the class. 1 where both are empty, 0 where nothing was
    said at all.

    >>> score(['[[0, 5, "PER"], [9, 14, "LOC"]]', "[]", None], ['[[0, 5, "PER"]]', "[]", "[]"]).round(3).tolist()
    [0.667, 1.0, 0.0]
    """
    return counting.f1(said, truth, spans_of)


def targets(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.float32]:
    """(m, c) 1 where a label marks something of the class, else 0; a row of -1 where it names what is no class. The
    spans themselves a learner reads in the labels.

    >>> targets(['[[0, 5, "PER"]]', "[]", '[[0, 5, "X"]]'], ["PER", "LOC"]).tolist()
    [[1.0, 0.0], [0.0, 0.0], [-1.0, -1.0]]
    """
    return multilabel.targets([multilabel.label_of(members(label)) for label in labels], classes)


def decide(opinion: Opinion, classes: Sequence[str], thresholds: Floats | None = None) -> NDArray[np.object_]:
    """The spans that reach the threshold of their class, one half where there is none; of those that overlap, the
    likeliest."""
    found = np.empty(len(opinion), dtype=object)
    for at, one in enumerate(opinion):
        chosen = marked.said(one, thresholds)
        found[at] = label_of((int(one.begin[s]), int(one.end[s]), classes[one.of[s]]) for s in chosen)
    return found


def expect(opinion: Opinion, thresholds: Floats | None = None) -> NDArray[np.float64]:
    """The expected F1 of what is decided, each possible span a class by itself, see `multilabel.expect`."""
    if opinion.dtype != object:
        return np.full(len(opinion), np.nan)
    return np.array([marked.expected(one, marked.said(one, thresholds)) for one in opinion], dtype=np.float64)


def kept(opinion: Opinion, thresholds: Floats | None = None) -> Floats:
    """(n, w) see `marked.summary`."""
    return marked.summary(opinion, thresholds)


def chances(kept: Floats) -> Floats:
    """(n, c) that a text has a span of each class."""
    return kept[:, : marked.classes(kept)]


def simplex(kept: Floats, _thresholds: Floats | None = None) -> Floats:
    """(n, k) the tags of the word that the model is least sure of."""
    return marked.least(kept)


def views(kept: Floats, _thresholds: Floats | None = None) -> Views:
    """See `marked.views`."""
    return marked.views(kept)


def counts(said: Sequence[str | None], truth: Sequence[str], classes: Sequence[str]) -> NDArray[np.float64]:
    """(3, g, c) of each class in each text: the spans that are right (both ends and the class), those that are said,
    and those that are true.

    >>> counts(['[[0, 5, "PER"], [7, 9, "LOC"]]'], ['[[0, 5, "PER"]]'], ["PER", "LOC"]).tolist()
    [[[1.0, 0.0]], [[1.0, 1.0]], [[1.0, 0.0]]]
    """
    place = {name: at for at, name in enumerate(classes)}
    found = np.zeros((3, len(truth), len(classes)))
    for row, (one, other) in enumerate(zip(said, truth, strict=True)):
        mine = set(spans_of(one)) if isinstance(one, str) else set()
        theirs = set(spans_of(other))
        for layer, of in zip(found, (mine & theirs, mine, theirs), strict=True):
            for span in of:
                if span[2] in place:
                    layer[row, place[span[2]]] += 1
    return found


def measured(
    truth: Sequence[str],
    opinion: Opinion,
    classes: Sequence[str],
    thresholds: Floats | None,
    weights: Floats,
) -> Measured:
    """Entity F1, strict: a span is right where both ends and the class are, as the CoNLL shared task counts (Tjong Kim
    Sang & De Meulder 2003). By class, and the share of texts that are wholly right."""
    said = decide(opinion, classes, thresholds)
    scores = score(said.tolist(), truth)
    found = counts(said.tolist(), truth, classes)
    right, told, true = np.einsum("g,sgc->sc", weights, found)
    by_class = pd.DataFrame(
        {
            "class": list(classes),
            "precision": right / np.maximum(told, 1e-12),
            "recall": right / np.maximum(true, 1e-12),
            "f1": 2 * right / np.maximum(told + true, 1e-12),
            "items": found[2].sum(axis=0).astype(np.int64),
        }
    )

    def macro(rows: NDArray[np.int64]) -> float:
        hits, one, other = np.einsum("g,sgc->sc", weights[rows], found[:, rows])
        there = one + other > 0
        return float((2 * hits[there] / (one + other)[there]).mean()) if there.any() else 1.0

    def whole(rows: NDArray[np.int64]) -> float:
        return float(weights[rows] @ (scores[rows] == 1) / weights[rows].sum())

    further: dict[str, OfRows] = {"macro_f1": macro, "exact_match": whole}
    return Measured(said, scores, expect(opinion, thresholds), further, by_class)


def suggestion(label: str, confidence: float) -> str:
    """What the model thinks of an item, for reviewers: its marks are in the text.

    >>> suggestion('[[0, 5, "PER"]]', 0.8), suggestion("[]", 0.9)
    ("The model's marks are in the text (80 %)", 'The model suggests: nothing to mark (90 %)')
    """
    if label == "[]":
        return f"The model suggests: {NOTHING} ({controls.percent(confidence)})"
    return f"The model's marks are in the text ({controls.percent(confidence)})"


def wrong(label: str, classes: Sequence[str], chance: Any) -> str:
    """The label without one of its spans, or with one of another class or a shorter one; where there is none, with the
    first character marked."""
    spans = spans_of(label)
    if not spans:
        return label_of([(0, 1, str(chance.choice(list(classes))))])
    start, end, name = spans.pop(chance.randrange(len(spans)))
    others = [other for other in classes if other != name]
    changed = [(start, end, str(chance.choice(others)))] if others else []
    changed += [(start, end - 1, name)] if end - start > 1 else []
    picked = chance.randrange(len(changed) + 1)
    return label_of([*spans, *changed[picked : picked + 1]])


def value(label: str, item: str) -> list[dict[str, Any]]:
    """The spans with their words.

    >>> value('[[0, 5, "PER"]]', "Alice ran")
    [{'start': 0, 'end': 5, 'label': 'PER', 'text': 'Alice'}]
    """
    found = spans_of(label)
    return [{"start": start, "end": end, "label": name, "text": item[start:end]} for start, end, name in found]
