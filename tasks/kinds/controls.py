"""What several kinds share of Label Studio's controls: choices with keys, and what was chosen by them."""

import string
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

FROM, TO = "label", "text"  # names of the control and of what it labels
HOTKEYS = string.digits[1:] + string.ascii_lowercase

# Of marks: told apart by people who see few colours, too (Okabe and Ito, Color Universal Design, 2008, and more).
COLOURS = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999", "#882255", "#44aa99",
    "#ddcc77", "#6699cc",
)  # fmt: skip


def colour(position: int) -> str:
    """The colour of the class at this position, in Label Studio and on pages alike."""
    return COLOURS[position % len(COLOURS)]


def named(**attributes: str) -> dict[str, str]:
    """The attributes of a control that must be answered."""
    return {"name": FROM, "toName": TO, **attributes, "required": "true", "showInline": "true"}


def fill(choices: ET.Element, classes: Sequence[str]) -> None:
    """A choice for each class, the first 35 with a key."""
    for position, name in enumerate(classes):
        choice = ET.SubElement(choices, "Choice", {"value": name})
        if position < len(HOTKEYS):
            choice.set("hotkey", HOTKEYS[position])


def choices_result(names: Sequence[str]) -> list[dict[str, Any]]:
    """Choices as Label Studio's result of an annotation."""
    return [{"from_name": FROM, "to_name": TO, "type": "choices", "value": {"choices": list(names)}}]


def choices(result: Sequence[Any]) -> list[str] | None:
    """What was chosen, whatever a result may look like; None when something in it is no name. Where an administrator
    has given our control another name, what was chosen there is the answer.

    >>> choices([{"from_name": "renamed", "value": {"choices": ["spam"]}}])
    ['spam']
    """
    parts = [part for part in result if isinstance(part, dict)]
    own = [part for part in parts if part.get("from_name") == FROM]
    values = [part["value"] for part in own or parts if isinstance(part.get("value"), dict)]
    names = [name for value in values if isinstance(found := value.get("choices"), list) for name in found]
    if not all(isinstance(name, str) for name in names):
        return None
    # JSON can say what no file can hold
    return [name.encode("utf-8", "backslashreplace").decode("utf-8") for name in names]


def percent(share: float) -> str:
    """A share for people.

    >>> percent(0.834), percent(0.9996)
    ('83 %', 'over 99 %')
    """
    return f"{'over 99' if 0.99 < share < 1 else f'{100 * share:.0f}'} %"
