"""The forms of a text: as it is kept, and as it is compared."""

import re


def canonical(text: str) -> str:
    """The text as it is kept: line ends as \\n, no blanks at the end of a line or of the text. Two texts that differ in
    nothing else are the same item.

    >>> canonical("Hello \\r\\nworld\\n")
    'Hello\\nworld'
    """
    return "\n".join(line.rstrip() for line in re.split("\r\n|\r|\n", text)).rstrip()


def folded(text: str) -> str:
    """The text in lower case with runs of white space collapsed: two texts that fold alike count as the same.

    >>> folded("  Hello\\n WORLD ")
    'hello world'
    """
    return " ".join(text.lower().split())
