"""Where a part of a text begins and ends: in which units that is counted, and where it is in the text as kept."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from labelwise.tasks.kinds import forms

Span = tuple[int, int, str]  # start, end (not included), class
Places = list[tuple[int | None, int | None]]  # starts and ends in code points, None where there is none

CHARACTERS, UTF16, BYTES = "characters", "UTF-16 units", "UTF-8 bytes"
OTHERS = (UTF16, BYTES)
REVERSED = "span ends before it starts"
LENGTH_ZERO = "span has length zero"
OUTSIDE = "span lies outside the text"
OTHER_TEXT = "span has other words than the text at its place"
NOT_KEPT = "span covers only blanks at the end of a line, which are not kept"
UNSURE = "span may be counted in characters, UTF-16 units or bytes"
IN_ORDER = "let start be that of its first character and end the one after its last"
FAULTS = {
    REVERSED: IN_ORDER,
    LENGTH_ZERO: IN_ORDER,
    OUTSIDE: "count start and end in characters from the beginning of the text in the same row",
    OTHER_TEXT: "count start and end in characters from the beginning of the text in the same row",
    NOT_KEPT: "let it cover words, or take it out",
    UNSURE: "count in characters, or give each span its words as `text`",
}


@dataclass(frozen=True)
class Given:
    """A span as it was written. text: the words that it says it has, None where it says none."""

    start: int
    end: int
    name: str
    text: str | None = None


def settled(given: list[Given], item: str | None, unit: str = CHARACTERS, kept: bool = False) -> list[Span]:
    """The spans in code points of the text as it is kept (`forms.canonical`). item: the text that they are about, None
    where it is not known: then only their order is looked at. kept: whether that text is the one that is kept.

    ValueError with one of `FAULTS`.
    """
    for span in given:
        if span.end < span.start:
            raise ValueError(REVERSED)
        if span.end == span.start:
            raise ValueError(LENGTH_ZERO)
        if span.start < 0:
            raise ValueError(OUTSIDE)
    if item is None:
        return [(span.start, span.end, span.name) for span in given]
    if unit == UNSURE:
        raise ValueError(UNSURE)
    places = _in_code_points(given, item, unit)
    if any(None in place for place in places):
        raise ValueError(OUTSIDE)
    if not all(_same(span, item, place) for span, place in zip(given, places, strict=True)):
        raise ValueError(OTHER_TEXT)
    whole = [(start, end) for start, end in places if start is not None and end is not None]
    if not kept and whole and forms.canonical(item) != item:
        moved = forms.places(item)
        whole = [(moved[start], moved[end]) for start, end in whole]
    if any(start == end for start, end in whole):
        raise ValueError(NOT_KEPT)
    return [(start, end, span.name) for (start, end), span in zip(whole, given, strict=True)]


@dataclass(frozen=True)
class Counted:
    """In which units the spans of n rows are counted: (n,) one each, `UNSURE` where nobody can say. assumed: the rows
    that mean something else in another unit, taken as characters although no row of the source shows that."""

    units: list[str]
    assumed: frozenset[int]


def counted(rows: Sequence[tuple[list[Given], str]]) -> Counted:
    """The units in which the spans of all rows of a source (the spans of each, its text) are counted.

    Characters, unless a row shows another unit: its spans have the words that they say they have in that unit alone,
    or they lie in the text in that unit alone, with no word cut. Where a row of the source shows one, those that can be
    read in several ways are taken in the one that cuts no word.

    >>> counted([([Given(3, 6, "PER", "Bob")], "\U0001f600 Bob"), ([Given(3, 5, "LOC")], "\U0001f600 UK")]).units
    ['UTF-16 units', 'UTF-16 units']
    """
    found = [_units(given, item) for given, item in rows]
    shown = {next(iter(fitting)) for fitting in found if len(fitting) == 1}
    units = [_unit(item, fitting, shown - {CHARACTERS}) for (_, item), fitting in zip(rows, found, strict=True)]
    several = [at for at, fitting in enumerate(found) if len(fitting) > 1 and CHARACTERS in fitting]
    sure = shown - {CHARACTERS} or not several or any(map(_shows_characters, rows, found))
    return Counted(units, frozenset(() if sure else several))


def _shows_characters(row: tuple[list[Given], str], fitting: dict[str, Places]) -> bool:
    """Whether the spans fit in characters alone, and would be elsewhere in another unit."""
    places = fitting.get(CHARACTERS) if len(fitting) == 1 else None
    return places is not None and any(_in_code_points(*row, unit) != places for unit in OTHERS)


def _units(given: list[Given], item: str) -> dict[str, Places]:
    """The units in which the spans may be counted, with their places, those of equal places once."""
    found: dict[str, Places] = {}
    for unit in (CHARACTERS,) if item.isascii() else (CHARACTERS, *OTHERS):
        places = _in_code_points(given, item, unit)
        inside = all(None not in place and _same(span, item, place) for span, place in zip(given, places, strict=True))
        certain = unit == CHARACTERS or all(span.text is not None for span in given) or not _cuts(places, item)
        if inside and certain and places not in found.values():
            found[unit] = places
    return found


def _unit(item: str, fitting: dict[str, Places], shown: set[str]) -> str:
    if len(fitting) == 1:
        return next(iter(fitting))
    if not fitting or not shown:
        return CHARACTERS if not fitting or CHARACTERS in fitting else UNSURE
    whole = [unit for unit, places in fitting.items() if unit in {CHARACTERS, *shown} and not _cuts(places, item)]
    return whole[0] if len(whole) == 1 else UNSURE


def _cuts(places: Places, item: str) -> bool:
    """Whether one of the places lies within a word."""
    borders = {at for place in places for at in place if at is not None and 0 < at < len(item)}
    return any(item[at - 1].isalnum() and item[at].isalnum() for at in borders)


def _in_code_points(given: list[Given], item: str, unit: str) -> Places:
    """Starts and ends as code points; None where there is none: outside of the text, or within a character."""
    if unit == CHARACTERS or item.isascii():
        length = len(item)
        return [
            (span.start if 0 <= span.start <= length else None, span.end if 0 <= span.end <= length else None)
            for span in given
        ]
    borders, at = {0: 0}, 0
    for position, character in enumerate(item, start=1):
        at += (1 + (character > "\uffff")) if unit == UTF16 else len(character.encode("utf-8", "surrogatepass"))
        borders[at] = position
    return [(borders.get(span.start), borders.get(span.end)) for span in given]


_folded = partial(re.compile(r"\s+").sub, " ")


def _same(span: Given, item: str, place: tuple[int | None, int | None]) -> bool:
    """Whether the text has there what the span says; white space may be written otherwise, a line's end as two
    characters."""
    if span.text is None:
        return True
    there = item[place[0] : place[1]]
    return span.text == there or _folded(span.text.replace("\\n", "\n")) == _folded(there.replace("\\n", "\n"))
