"""Tags of tokens as spans: BIO (IOB2), IOB1 and BIOES, also with the letters of BILOU."""

import re
from collections.abc import Iterator
from typing import Any

from labelwise.tasks.kinds.offsets import Given

NO_TAGS = "tags are not BIO, IOB1 or BIOES"
UNLIKE = "tokens and tags differ in number"
APART = "tokens do not join to the text"
FAULTS = {
    NO_TAGS: "write each tag as B-CLASS, I-CLASS or O, and I-CLASS only after a tag of its class; if these are classes "
    "of whole texts, `--answer multilabel` is the kind",
    UNLIKE: "give each token one tag, O where it is in no span",
    APART: "write the tokens as they stand in the text, or leave the text out: it is made of them",
}
TAG = re.compile(r"([BIESLU])[-_](.+)", re.DOTALL)
OUTSIDE = "O"
LETTERS = {"L": "E", "U": "S"}  # of BILOU -> of BIOES
Part = tuple[str, str]  # letter and class of a tag
Run = tuple[int, int, str]  # first token, the one after the last, class


def spans(tokens: Any, tags: Any, item: str | None = None) -> list[Given]:
    """The spans in the text that tokens and their tags mark. item: the text; None: the tokens with single spaces
    between them. ValueError with one of `FAULTS`.

    >>> spans(["in", "New", "York"], ["O", "B-LOC", "I-LOC"])
    [Given(start=3, end=11, name='LOC', text=None)]
    """
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ValueError(APART)
    parts = [_part(tag) for tag in (tags if isinstance(tags, list) else [tags])]
    if len(tokens) != len(parts):
        raise ValueError(UNLIKE)
    runs = next((found for read in (_iob2, _iob1, _bioes) if (found := read(parts)) is not None), None)
    if runs is None:
        raise ValueError(NO_TAGS)
    places = list(_places(tokens, " ".join(tokens) if item is None else item))
    return [Given(places[first][0], places[after - 1][1], name) for first, after, name in runs]


def _part(tag: Any) -> Part:
    if tag == OUTSIDE:
        return OUTSIDE, ""
    found = TAG.fullmatch(tag) if isinstance(tag, str) else None
    if found is None:
        raise ValueError(NO_TAGS)
    return LETTERS.get(found[1], found[1]), found[2].strip()


def _iob2(parts: list[Part]) -> list[Run] | None:
    """Each entity begins with B. None where that is not so."""
    runs: list[Run] = []
    for at, (letter, name) in enumerate(parts):
        if letter == "B":
            runs.append((at, at + 1, name))
        elif letter == "I" and runs and runs[-1][1:] == (at, name):
            runs[-1] = (runs[-1][0], at + 1, name)
        elif letter != OUTSIDE:
            return None
    return runs


def _iob1(parts: list[Part]) -> list[Run] | None:
    """An entity begins with I, and with B only where it follows one of its class. None where that is not so."""
    runs: list[Run] = []
    for at, (letter, name) in enumerate(parts):
        follows = bool(runs) and runs[-1][1:] == (at, name)
        if letter == "I" and follows:
            runs[-1] = (runs[-1][0], at + 1, name)
        elif letter == "I" or (letter == "B" and follows):
            runs.append((at, at + 1, name))
        elif letter != OUTSIDE:
            return None
    return runs


def _bioes(parts: list[Part]) -> list[Run] | None:
    """An entity is B I* E, or S. None where that is not so."""
    runs: list[Run] = []
    begun: tuple[int, str] | None = None
    for at, (letter, name) in enumerate(parts):
        inside = begun is not None and begun[1] == name and letter in "IE"
        if (begun is not None) != inside or (letter in "IE" and not inside):
            return None
        if letter == "B":
            begun = (at, name)
        elif letter == "S":
            runs.append((at, at + 1, name))
        elif letter == "E" and begun is not None:
            runs.append((begun[0], at + 1, name))
            begun = None
    return runs if begun is None else None


def _places(tokens: list[str], item: str) -> Iterator[tuple[int, int]]:
    """Start and end of each token. ValueError where something else than white space stands between them, or is left."""
    spaced, at = " ".join(tokens) == item, 0
    for token in tokens:
        if not spaced and not item.startswith(token, at):
            at += len(item[at:]) - len(item[at:].lstrip())
        if not item.startswith(token, at):
            raise ValueError(APART)
        yield at, at + len(token)
        at += len(token) + spaced
    if not spaced and item[at:].strip():
        raise ValueError(APART)
