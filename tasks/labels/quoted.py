"""Marked parts of a text as a language model says them: each with its words, in the order of the text. It counts no
characters rightly."""

import json
import re
from collections.abc import Sequence
from typing import Any

from labelwise.tasks.kinds import spans
from labelwise.tasks.kinds.offsets import Span

WORDS, CLASS = "text", "class"  # the parts of a mark
EDGES = r"(?<!\w)", r"(?!\w)"
EXAMPLE = json.dumps([{WORDS: "words of the item", CLASS: "name of a class"}])


def quoted(label: str, text: str) -> list[dict[str, str]]:
    """What a label marks in a text.

    >>> quoted('[[0, 5, "PER"], [9, 14, "LOC"]]', "Alice in Paris")
    [{'text': 'Alice', 'class': 'PER'}, {'text': 'Paris', 'class': 'LOC'}]
    """
    return [{WORDS: text[start:end], CLASS: name} for start, end, name in spans.spans_of(label)]


def placed(marks: Sequence[tuple[str, str]], text: str) -> str | None:
    """The label of these marks (words, class); None where words are not in the text.

    Words that stand there several times are those after the mark before, whole words first; case and blanks may differ
    where they are nowhere as they were written. What is said more often than it stands there is said once.

    >>> placed([("Paris", "LOC"), ("paris", "LOC")], "Comparison: Paris, then  Paris again")
    '[[12, 17, "LOC"], [25, 30, "LOC"]]'
    >>> placed([("London", "LOC")], "Paris") is None
    True
    """
    found: list[Span] = []
    after = 0
    for words, name in marks:
        places = _places(words, text)
        if not places:
            return None
        free = [(start, end) for start, end in places if (start, end, name) not in found]
        if not free:
            continue
        start, end = next((each for each in free if each[0] >= after), free[0])
        found.append((start, end, name))
        after = start
    return spans.label_of(found)


def _places(words: str, text: str) -> list[tuple[int, int]]:
    """Where these words stand, by the strictest way that finds any."""
    parts = [re.escape(part) for part in words.split()]
    if not parts:
        return []
    exact, loose = re.escape(words.strip()), r"\s+".join(parts)
    whole = [f"{EDGES[0]}{pattern}{EDGES[1]}" for pattern in (exact, loose)]
    for pattern, flags in ((whole[0], 0), (whole[1], re.IGNORECASE), (exact, 0), (loose, re.IGNORECASE)):
        if found := [each.span() for each in re.finditer(pattern, text, flags)]:
            return found
    return []


def marks_in(said: Any) -> list[tuple[str, str]] | None:
    """Words and class of each mark in an answer that was JSON; None where it is no list of marks.

    >>> marks_in(json.loads('[{"text": "Paris", "class": "LOC"}]')), marks_in("Paris")
    ([('Paris', 'LOC')], None)
    """
    if isinstance(said, dict):
        said = [said]
    if not isinstance(said, list):
        return None
    found = []
    for each in said:
        if not isinstance(each, dict) or set(each) != {WORDS, CLASS}:
            return None
        if not all(isinstance(part, str) for part in each.values()):
            return None
        found.append((each[WORDS], each[CLASS]))
    return found
