"""Marked texts as tokens with tags in BIO: a token a line, a blank line after each text.

Four columns with tabs between them, as CoNLL-2003 has four: the token, the item's id, where the token begins in the
text, and the tag. What reads such files takes the first and the last. Tokens are the words that the learners read; one
within which a mark begins or ends is cut there, so that every mark is said as it is.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pandas as pd

from labelwise.tasks.errors import quantity
from labelwise.tasks.exports.table import About
from labelwise.tasks.kinds.bio import OUTSIDE
from labelwise.tasks.kinds.offsets import Span
from labelwise.tasks.kinds.spans import spans_of


def write(path: Path, frames: Iterable[pd.DataFrame], about: About) -> list[str]:
    """Write the texts of the frames. What tags cannot say is left out, and said."""
    marks, texts, empty = 0, 0, 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for frame in frames:
            for item, text, label in zip(frame["id"], frame[about.item.COLUMN], frame["label"], strict=True):
                given = spans_of(label)
                tokens = tagged(text, flat(given))
                lost = len(given) - sum(tag.startswith("B-") for _, _, tag in tokens)
                marks, texts, empty = marks + lost, texts + bool(lost), empty + (not tokens)
                lines = [f"{text[start:end]}\t{item}\t{start}\t{tag}\n" for start, end, tag in tokens]
                file.writelines([*lines, "\n"] if lines else [])
    said = f"{quantity(marks, 'mark')} in {quantity(texts, 'text')} left out, which tags cannot say: of those that "
    said += "overlap all but the longest, and such as have no word in them"
    return [said] * bool(marks) + [f"{quantity(empty, 'text')} without a word left out"] * bool(empty)


def flat(spans: Iterable[Span]) -> list[Span]:
    """Of spans that overlap the longest, of equally long ones the first; in order.

    >>> flat([(0, 8, "ORG"), (0, 3, "LOC"), (9, 12, "PER")])
    [(0, 8, 'ORG'), (9, 12, 'PER')]
    """
    kept: list[Span] = []
    for start, end, name in sorted(spans, key=lambda span: (span[0] - span[1], span)):
        if all(end <= other[0] or other[1] <= start for other in kept):
            kept.append((start, end, name))
    return sorted(kept)


def tagged(text: str, spans: list[Span]) -> list[tuple[int, int, str]]:
    """The tokens of a text, each with its start, its end and its tag. spans: in order, none of which overlap.

    >>> tagged("in New York-based", [(3, 11, "LOC")])
    [(0, 2, 'O'), (3, 6, 'B-LOC'), (7, 11, 'I-LOC'), (11, 12, 'O'), (12, 17, 'O')]
    """
    from labelwise.tasks.learners import words  # torch with it

    borders = {at for start, end, _ in spans for at in (start, end)}
    found: list[tuple[int, int, str]] = []
    rest, begun = list(reversed(spans)), False
    for start, end in words.places(text).tolist():
        cuts = sorted({start, end, *(at for at in range(start + 1, end) if at in borders)})
        for first, after in pairwise(cuts):
            while rest and rest[-1][1] <= first:
                rest.pop()
                begun = False
            inside = bool(rest) and rest[-1][0] <= first
            tag = f"{'I' if begun else 'B'}-{rest[-1][2]}" if inside else OUTSIDE
            begun = inside
            found.append((first, after, tag))
    return found
