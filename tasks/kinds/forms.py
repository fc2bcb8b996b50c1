"""The forms of an item: of a text as it is kept and as it is compared, of a row as it is read."""

import json
import re
from typing import Any


def canonical(text: str) -> str:
    """The text as it is kept: line ends as \\n, no blanks at the end of a line or of the text. Two texts that differ in
    nothing else are the same item.

    >>> canonical("Hello \\r\\nworld\\n")
    'Hello\\nworld'
    """
    return "\n".join(line.rstrip() for line in re.split("\r\n|\r|\n", text)).rstrip()


def places(text: str) -> list[int]:
    """(len + 1,) where each place between two characters of a text is in the text as it is kept; what is not kept takes
    no place.

    >>> places("a \\r\\nb ")
    [0, 1, 1, 1, 2, 3, 3]
    """
    end = len(canonical(text))
    found, made = [0], 0
    for line in re.split("(\r\n|\r|\n)", text):
        kept = "\n" if line in ("\r\n", "\r", "\n") else line.rstrip()
        first = len(line) - len(kept) if kept == "\n" else 0  # of \r\n the second one stays
        found += [made + min(max(step - first, 0), len(kept)) for step in range(1, len(line) + 1)]
        made += len(kept)
    return [min(place, end) for place in found]


def folded(text: str) -> str:
    """The text in lower case with runs of white space collapsed: two texts that fold alike count as the same.

    >>> folded("  Hello\\n WORLD ")
    'hello world'
    """
    return " ".join(text.lower().split())


def unpacked(cell: str) -> dict[str, Any]:
    """The values of a row by column; none of what is no row.

    >>> unpacked('{"age":41}'), unpacked("[1]"), unpacked("{")
    ({'age': 41}, {}, {})
    """
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
