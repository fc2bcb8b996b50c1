"""An item that is a text."""

import xml.etree.ElementTree as ET

from labelwise.tasks.records import canonical, content_id, folded

NAME = "text"
SHOWN = 90  # characters of a text on one line


def identify(cell: str) -> str:
    """The id of the item: a hash of the text."""
    return content_id(cell)


def tidy(cell: str) -> str:
    """The text as it is kept, see `records.canonical`."""
    return canonical(cell)


def fold(cell: str) -> str:
    """What two texts that count as the same have in common, see `records.folded`."""
    return folded(cell)


def view() -> ET.Element:
    """The text in Label Studio."""
    return ET.Element("Text", {"name": NAME, "value": f"${NAME}"})


def task(cell: str) -> dict[str, str]:
    """The text in a task."""
    return {NAME: cell}


def brief(cell: str) -> str:
    """The text on one line.

    >>> brief("Hello  \\n world")
    'Hello world'
    """
    return " ".join(cell.split())[:SHOWN]
