"""Labels that mark parts of a text, for pages: in the text itself, and which class is taken for which."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from labelwise.tasks.kinds import controls, spans
from labelwise.tasks.kinds.offsets import Span

AROUND = 28  # characters of the text shown on each side of a mark
MISSED, IN_VAIN = "(not marked)", "(nothing there)"


@dataclass(frozen=True)
class Piece:
    """Some characters of a text. colour: of the mark that they lie in, '' where they lie in none. names: the classes of
    the marks that end with them."""

    words: str
    colour: str = ""
    names: tuple[str, ...] = ()


class Marked(str):
    """A label in words, and its text with what it marks."""

    pieces: Sequence[Piece] = ()

    def of(self, pieces: Sequence[Piece], more: str = "") -> "Marked":
        """The same with these pieces, and words after them."""
        self.pieces = [*pieces, *([Piece(more)] if more else [])] if pieces else ()
        return self


def marked(label: str, text: str | None, classes: Sequence[str], most: int = 12) -> Marked:
    """A label of a text for people. classes: give the marks their colours. most: marks that are shown."""
    found = spans.spans_of(label)
    shown = Marked(spans.spoken(label, text))
    if text is not None and found and all(0 <= start < end <= len(text) for start, end, _ in found):
        shown.pieces = pieces(text, found[:most], classes)
    return shown


def pieces(text: str, found: Sequence[Span], classes: Sequence[str]) -> list[Piece]:
    """The text around its marks, cut at each of their ends; of marks in each other the shortest gives the colour.

    >>> [piece.words for piece in pieces("Ada in Rome", [(0, 3, "PER"), (7, 11, "LOC")], ["PER", "LOC"])]
    ['Ada', ' in ', 'Rome']
    """
    colours = {name: controls.colour(position) for position, name in enumerate(classes)}
    borders = {0, len(text)} | {end for span in found for end in span[:2]}
    borders |= {_before(text, start) for start, _, _ in found} | {_after(text, end) for _, end, _ in found}
    made: list[Piece] = []
    for start, end in pairwise(sorted(borders)):
        inside = [span for span in found if span[0] <= start and end <= span[1]]
        inside.sort(key=lambda span: span[1] - span[0])
        colour = colours.get(inside[0][2], controls.colour(len(colours))) if inside else ""
        near = any(start < _after(text, last) and end > _before(text, first) for first, last, _ in found)
        names = tuple(name for _, last, name in inside if last == end)
        piece = Piece(text[start:end] if near else "…", colour, names)
        if made and made[-1].colour == colour and not made[-1].names and "…" not in (made[-1].words, piece.words):
            made[-1] = Piece(made[-1].words + piece.words, colour, names)
        else:
            made.append(piece)
    return made


def _before(text: str, place: int) -> int:
    """Where what is shown before a mark begins: with a word, where one begins there."""
    far = max(place - AROUND, 0)
    return far if far == 0 else text.find(" ", far, place) + 1 or far


def _after(text: str, place: int) -> int:
    """Where what is shown after a mark ends."""
    far = min(place + AROUND, len(text))
    return far if far == len(text) else max(text.rfind(" ", place, far), place) if " " in text[place:far] else far


def taken_for(answers: pd.DataFrame) -> pd.DataFrame:
    """Which class the model marks where people mark which, gold items weighed: a row a class of people's marks, the
    shares summing to 1, and `IN_VAIN` for the model's marks where people have none. A mark is compared with one of the
    very same place, else with the one that it shares most characters with.

    answers: columns actual, predicted, weight.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for actual, predicted, weight in answers[["actual", "predicted", "weight"]].itertuples(index=False):
        truth, guess = spans.spans_of(actual), spans.spans_of(predicted)
        for span in truth:
            counts[span[2], _partner(span, guess) or MISSED] += weight
        for span in guess:
            if _partner(span, truth) is None:
                counts[IN_VAIN, span[2]] += weight
    names = sorted({name for pair in counts for name in pair} - {MISSED, IN_VAIN})
    table = pd.DataFrame(0.0, index=[*names, IN_VAIN], columns=[*names, MISSED])
    for (actual, predicted), count in counts.items():
        table.loc[actual, predicted] = count
    return table.div(table.sum(axis=1).replace(0.0, 1.0), axis=0)


def _partner(span: Span, others: Sequence[Span]) -> str | None:
    """The class of the span among others that shares most with this one, None where none does."""
    start, end, name = span
    shared = [
        (first == start and last == end, min(end, last) - max(start, first), other == name, other)
        for first, last, other in others
        if first < end and start < last
    ]
    return max(shared)[3] if shared else None
