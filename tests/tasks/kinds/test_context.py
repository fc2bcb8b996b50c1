"""What reviewers see beside an item: whatever a cell holds, it is shown as text, and only a web address is a link."""

import xml.etree.ElementTree as ET

import pytest

from labelwise.tasks.kinds import choice, context, multilabel, text
from labelwise.tasks.kinds.interface import interface

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(1)>"


def shown(cell: str, name: str = "note") -> ET.Element:
    """The row of one cell, which must be well formed."""
    packed = context.packed([name], [cell])
    (row,) = ET.fromstring(context.as_html(packed))
    return row


@pytest.mark.parametrize("name, cell", [("note", HOSTILE), (HOSTILE, "x"), ('"\' onload="', "& &amp; <")])
def test_markup_is_text(name: str, cell: str) -> None:
    row = shown(cell, name)
    assert [part.tag for part in row.iter()] == ["tr", "th", "td"]
    assert row.findtext("td") == cell
    assert row.findtext("th") == (name if len(name) <= context.LINE else name[: context.LINE - 1] + "…")


@pytest.mark.parametrize(
    "address", ["https://shop.example/a?b=1&c='2'", " http://[::1]:8080/x\n", "HTTPS://EXAMPLE.ORG"]
)
def test_an_address_is_a_link_to_a_tab_of_its_own(address: str) -> None:
    link = shown(address).find("td/a")
    assert link is not None and link.text == address.strip()
    assert link.attrib == {"href": address.strip(), "target": "_blank", "rel": "noopener noreferrer"}


@pytest.mark.parametrize(
    "cell",
    [
        "javascript:alert(1)",
        "JaVaScRiPt://example.org/%0aalert(1)",
        " \x01javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "ftp://example.org",
        "//example.org",
        "https://",
        "https:example.org",
        "http://[broken",
        "https://example.org and more",
        "https://example.org/\u202etxt.exe",
        "https://example.org/\u200b",
        "java\nscript:alert(1)",
        "https://example.org/" + "a" * context.SHOWN,
    ],
)
def test_what_is_no_web_address_is_no_link(cell: str) -> None:
    assert shown(cell).find("td/a") is None


def test_a_megabyte_is_cut_and_a_control_character_is_shown() -> None:
    said = shown("a" * 2**20).findtext("td")
    assert said == "a" * (context.SHOWN - 1) + "…"
    assert shown("a\x00b\x1b[31m\tc").findtext("td") == "a\ufffdb\ufffd[31m\tc"


def test_the_interface_shows_it_above_the_item() -> None:
    for answer in (choice, multilabel):
        bare, whole = (interface(text, answer, ["a", "b"], flag) for flag in (False, True))
        tags = [part.tag for part in whole]
        assert tags.index("Header") < tags.index("View") < tags.index("Text")
        added = whole[tags.index("View")]
        assert added.get("className") == "labelwise-context"
        assert [(part.tag, part.get("value")) for part in added] == [("Style", None), ("HyperText", "$context")]
        whole.remove(added)
        assert ET.tostring(whole) == ET.tostring(bare)


def test_cells_come_back_as_they_were() -> None:
    cells = {"subject": "Ünpaid\n", "": "x", "n": "007"}
    packed = context.packed([*cells, "blank", "absent"], [*cells.values(), " \n", None])
    assert packed is not None and context.unpacked(packed) == cells
    assert context.unpacked(context.cut(packed, 3)) == {"subject": "Ün…", "": "x", "n": "007"}
