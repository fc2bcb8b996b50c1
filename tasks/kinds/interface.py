"""What a reviewer sees in Label Studio: an item and how it is answered, in one frame (infra/label_studio/task.xml)."""

import html
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

from labelwise import infra
from labelwise.tasks.kinds import context
from labelwise.tasks.kinds.base import Answer, Content
from labelwise.tasks.kinds.controls import HOTKEYS
from labelwise.tasks.settings import Columns

MARKING = """  .labelwise-marks { position: sticky; top: 0; z-index: 2; padding: 4px 0 }
    .labelwise-marks { background: var(--color-neutral-background, white) }
    [class*="richtext__line"] { white-space: pre-wrap }"""
COLUMNS = Columns()
FRAME = Path(infra.__file__).parent / "label_studio" / "task.xml"


def interface(
    item: Content, answer: Answer, classes: Sequence[str], with_context: bool = False, columns: Columns = COLUMNS
) -> ET.Element:
    """The labelling interface. with_context: whether it shows further columns above the item. columns: of the source
    that the items come from."""
    root = ET.parse(FRAME).getroot()  # noqa: S314  (our own file)
    question, hint = root.find("Header"), root.find("View/Header")
    assert question is not None and hint is not None
    question.set("value", answer.HEADER.format(item=item.NAME))
    hint.set("value", answer.HINT)
    view, control = item.view(columns), answer.control(classes)
    if answer.PLACES:
        _to_mark(root, view)
    for place, part in (("Item", view), ("Control", control)):
        found = root.find(f".//{place}")
        assert found is not None
        part.tail = found.tail
        parent = next(each for each in root.iter() if found in list(each))
        parent[list(parent).index(found)] = part
    if with_context:
        above = context.view()
        above.tail = question.tail
        root.insert(list(root).index(question) + 1, above)
    return root


def _to_mark(root: ET.Element, view: ET.Element) -> None:
    """Arrange the frame for marking: what to mark with stands above the item and stays in sight, the marks have their
    classes beside them, and white space is shown as it is."""
    view.set("showLabels", "true")
    style, item, control = root.find("Style"), root.find("Item"), root.find("Control")
    assert style is not None and item is not None and control is not None
    style.text = f"{style.text}{MARKING}\n  "
    root.remove(control)
    above = ET.Element("View", {"className": "labelwise-marks"})
    above.tail, control.tail = item.tail, None
    above.append(control)
    root.insert(list(root).index(item), above)


def instructions(
    item: Content, answer: Answer, classes: Sequence[str], descriptions: Mapping[str, str], about: str
) -> str:
    """What reviewers read before they begin, as HTML: how to answer and how to skip, `about` (a sentence, of the
    {item}), and the classes with their keys and descriptions.

    >>> from labelwise.tasks.kinds import choice, text
    >>> instructions(text, choice, ["a & b"], {"a & b": "1 < 2"}, "").partition("<ul>")[2]
    '<li><b>a &amp; b</b> (key 1): 1 &lt; 2</li></ul>'
    """
    lines = []
    for position, name in enumerate(classes):
        key = f" (key {HOTKEYS[position]})" if position < len(HOTKEYS) else ""
        said = f": {html.escape(descriptions[name])}" if descriptions.get(name) else ""
        lines.append(f"<li><b>{html.escape(name)}</b>{key}{said}</li>")
    how = answer.HOW.format(item=item.NAME)
    return f"{how}<p>{html.escape(about.format(item=item.NAME))}</p><ul>{''.join(lines)}</ul>"
