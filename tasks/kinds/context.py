"""What reviewers see beside an item: further columns of its row, which no model learns from.

In the tables it is one JSON object of names and texts, in the order of `pull.columns.context`; a column whose cell is
blank is not in it.
"""

import html
import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

NAME = "context"  # of its column, in the task's data and of its part of the interface
SHOWN = 2000  # characters of a cell that reviewers see
LINE = 60  # on a line of a report or of the terminal
STYLE = """
      .labelwise-context { font-size: 14px; margin-bottom: 8px; max-height: 40vh; overflow: auto }
      .labelwise-context th { opacity: 0.7; font-weight: normal; text-align: left; vertical-align: top }
      .labelwise-context th { padding: 0 12px 2px 0 }
      .labelwise-context td { overflow-wrap: anywhere; white-space: pre-wrap; padding-bottom: 2px }
    """


def packed(names: Sequence[str], cells: Sequence[str | None]) -> str | None:
    """The context in these cells; None where all are blank.

    >>> packed(["subject", "url"], ["Ünpaid", " "]), packed(["subject"], [None])
    ('{"subject": "Ünpaid"}', None)
    """
    given = {name: cell for name, cell in zip(names, cells, strict=True) if cell and cell.strip()}
    return json.dumps(given, ensure_ascii=False) if given else None


def unpacked(context: str | None) -> dict[str, str]:
    """The cells by column; none without a context."""
    return dict(json.loads(context)) if context else {}


def cut(context: str, most: int) -> str:
    """The context with the first `most` characters of each cell, of which the last is '…' where there were more.

    >>> cut('{"subject": "Unpaid"}', 4)
    '{"subject": "Unp…"}'
    """
    return json.dumps({name: _short(cell, most) for name, cell in unpacked(context).items()}, ensure_ascii=False)


def view() -> ET.Element:
    """What Label Studio shows of it: no region of it can be marked, and its links open."""
    whole = ET.Element("View", {"className": "labelwise-context"})
    ET.SubElement(whole, "Style").text = STYLE
    ET.SubElement(
        whole,
        "HyperText",
        {
            "name": NAME,
            "value": f"${NAME}",
            "valueType": "text",
            "inline": "true",
            "selectionEnabled": "false",
            "clickableLinks": "true",
        },
    )
    return whole


def as_html(context: str | None) -> str:
    """What `view` reads: a row a column, all of it escaped. A cell that is a web address is a link to a tab of its own.

    >>> as_html('{"a & b": "<b>"}')
    '<table><tr><th>a &amp; b</th><td dir="auto">&lt;b&gt;</td></tr></table>'
    >>> as_html(None)
    ''
    """
    rows = [
        f'<tr><th>{_escaped(name, LINE)}</th><td dir="auto">{_cell(cell)}</td></tr>'
        for name, cell in unpacked(context).items()
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def brief(cells: Mapping[str, str]) -> str:
    """The cells on one line, for people.

    >>> brief({"subject": "Not\\npaid", "url": "https://shop.example"})
    'subject: Not paid; url: https://shop.example'
    """
    return "; ".join(f"{_short(name, LINE)}: {_short(' '.join(cell.split()), LINE)}" for name, cell in cells.items())


def is_address(cell: str) -> bool:
    """Whether it is a web address and nothing else: what a link may lead to. One with a character that does not show,
    or turns the direction of writing round, could read as another one.

    >>> is_address("https://shop.example/?q=1"), is_address("javascript:alert(1)"), is_address("https://a b")
    (True, False, False)
    """
    if len(cell) > SHOWN or not cell.isprintable() or any(map(str.isspace, cell)):
        return False
    try:
        parts = urlsplit(cell)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # brackets that are no IPv6 address
        return False


def _cell(cell: str) -> str:
    if is_address(address := cell.strip()):
        escaped = html.escape(address)
        return f'<a href="{escaped}" target="_blank" rel="noopener noreferrer">{escaped}</a>'
    return _escaped(cell, SHOWN)


def _escaped(text: str, most: int) -> str:
    """Safe to show. Control characters, which some databases refuse, are shown as such."""
    plain = "".join(char if char in "\n\t" or ord(char) >= 32 else "\ufffd" for char in _short(text.strip(), most))
    return html.escape(plain)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
