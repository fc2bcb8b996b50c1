"""`labelwise agree FILE`: what several people said of the same items, taken together (labels/combined.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, sources
from labelwise.tasks.errors import InputError, quantity
from labelwise.tasks.exports.files import FORMS, Table, put
from labelwise.tasks.kinds import choice, multilabel, spans
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.kinds.values import NUMBER, TEXT, WHOLE
from labelwise.tasks.labels.aggregate import Doubles, quality
from labelwise.tasks.labels.combined import AUTO, WAYS, Combined, Opinion, Said, combine, held_out
from labelwise.tasks.learners import Items, encoder
from labelwise.tasks.settings import Embed, Kind, Project, Pull, Settings
from labelwise.tasks.workspace import atomic

ANSWER = ["item", "person", "label"]
ANSWERS = (choice.NAME, multilabel.NAME, spans.NAME)
MOST_CLASSES = 1000  # more names than that are no classes
SEEN = 2  # standard errors that make an interval


@dataclass(frozen=True)
class Asked:
    """What is taken together, and how. item, annotator, label: the columns; text: that of the texts, '' where a model
    is not to be heard. by: one of WAYS. answer: one of ANSWERS; delimiter: what stands between several labels in
    a cell, None where it is a JSON list."""

    item: str = "id"
    annotator: str = "annotator"
    label: str = "label"
    text: str = ""
    by: str = AUTO
    encoding: str = ""
    answer: str = choice.NAME
    delimiter: str | None = None


def run(source: str, out: Path, asked: Asked, people: Path | None = None, force: bool = False) -> list[str]:
    """Write a row for each item that somebody has labelled to `out` (.csv, .jsonl, .parquet): its key; `label`;
    `trust`, how likely that is right; `people`, how many labelled it; and `doubt`, the share of them that said
    otherwise. people: where each person's quality is written, with its 95 % interval. force: replace files that are
    there. Gives lines for people.

    InputError: `source` lacks a column, holds no label, or what is none; a file is there, or its ending is unknown.
    """
    for place in filter(None, (out, people)):
        _refuse(place, force)
    for option, given, known in (("--by", asked.by, WAYS), ("--answer", asked.answer, ANSWERS)):
        if given not in known:
            raise InputError(option, expected=", ".join(known), got=repr(given[:60]))
    rows, said = read(source, asked)
    answer = kinds.answer(asked.answer)
    classes = sorted({name for label in rows.label.unique() for name in answer.members(label)})
    items, names = (sorted(rows[of].unique()) for of in ANSWER[:2])
    if not classes:
        raise InputError(f"{source} names no class", expected=f"one in the column {asked.label!r} at least", got="[]")
    if len(classes) > MOST_CLASSES:
        raise InputError(
            f"the column {asked.label!r} of {source} has {len(classes):,} names",
            expected=f"at most {MOST_CLASSES:,} classes",
            fix="name the column of the label by --label",
        )
    item, person = (pd.Index(known).get_indexer(rows[of]) for of, known in zip(ANSWER, (items, names), strict=False))
    answers = Said(item, person, rows.label.tolist(), len(items), len(names))
    found = combine(answers, asked.by, answer, classes, _heard(rows, items, classes, asked))
    several = int((found.people > 1).sum())
    said.append(f"{quantity(several, 'item has', 'items have')} several labels" if several else ALONE)
    _write(out, asked, found, items)
    if asked.text and asked.answer == spans.NAME:
        said.append("of spans no model is heard: the texts change nothing")
    if people:
        _write_people(people, answers, found, names)
    by = f"{quantity(len(rows), 'answer')} by {quantity(len(names), 'person', 'people')}"
    return [f"{out}: {quantity(len(items), 'label')} of {by}, mean trust {found.trust.mean():.2f}", *said]


ALONE = "no item has labels of two people, so nothing tells how good each of them is"


def read(source: str, asked: Asked) -> tuple[pd.DataFrame, list[str]]:
    """The answers that count: columns item, person, label, and text where it is asked for, in their order; and what is
    to be said of the others. Of two answers of a person to an item the later one counts."""
    wanted = [asked.item, asked.annotator, asked.label, *([asked.text] if asked.text else [])]
    cells = Cells(asked.label, lists=kinds.answer(asked.answer).LISTS)
    parts = list(sources.chunks(source, wanted, encoding=asked.encoding or None, cells=cells))
    names = [*ANSWER, "text"][: len(wanted)]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=wanted)
    rows = pd.DataFrame({name: whole[column] for name, column in zip(names, wanted, strict=True)}, dtype=object)
    blank = rows.isna() | rows.map(lambda cell: not str(cell).strip())
    silent = blank["label"] & ~blank["item"] & ~blank["person"]
    nameless = blank["item"] | blank["person"]
    said = [f"{quantity(int(silent.sum()), 'row has', 'rows have')} no label"] * bool(silent.any())
    lacks = f"no {asked.item} or no {asked.annotator}, and {'was' if nameless.sum() == 1 else 'were'} left out"
    said += [f"{quantity(int(nameless.sum()), 'row has', 'rows have')} {lacks}"] * bool(nameless.any())
    given = rows[~silent & ~nameless]
    if asked.answer != choice.NAME:
        given = given.assign(label=[_label(cell, source, asked) for cell in given.label])
    kept = given.drop_duplicates(["item", "person"], keep="last")
    if len(kept) < len(given):
        said.append(
            f"{quantity(len(given) - len(kept), 'answer was', 'answers were')} changed later by the same person"
        )
    if kept.empty:
        raise InputError(f"{source} holds no label", expected=f"one in the column {asked.label!r} at least", got="none")
    return kept.reset_index(drop=True), said


def _label(cell: object, source: str, asked: Asked) -> str:
    """The label in a cell that names any number of classes or spans; InputError where it is none."""
    answer = kinds.answer(asked.answer)
    try:
        return answer.read(str(cell), asked.delimiter)
    except ValueError as error:
        raise InputError(
            f"{source}: {error}",
            expected=f"in the column {asked.label!r} {answer.EXAMPLE}".replace("pull.delimiter", "--delimiter"),
            got=repr(str(cell)[:60]),
        ) from error


def _heard(rows: pd.DataFrame, items: list[str], classes: list[str], asked: Asked) -> Opinion | None:
    """What a model of the texts says, where there are some; with one class there is nothing to say."""
    if not asked.text or asked.answer == spans.NAME or (len(classes) == 1 and asked.answer == choice.NAME):
        return None
    settings = settings_for(classes, asked.answer)
    texts = rows.drop_duplicates("item", keep="last").set_index("item").text.reindex(items).fillna("").tolist()

    def opinion(labels: list[str], trust: Doubles) -> Doubles:
        return held_out(Items.of(encoded(texts)), labels, trust, settings)

    return opinion


def settings_for(classes: list[str], answer: str = choice.NAME) -> Settings:
    """Those by which a model learns where there is no workspace."""
    project, pull = Project(name="agree", id="agree"), Pull(pool="", gold="")
    return Settings(project=project, classes=classes, kind=Kind(answer=answer), pull=pull)


def encoded(texts: list[str]) -> NDArray[np.float32]:
    """(n, d) by the packaged encoder."""
    embed = Embed()
    return encoder.Encoder(embed.encoder, embed.max_tokens).encode(texts)


def _refuse(place: Path, force: bool) -> None:
    if place.suffix.lower() not in FORMS:
        raise InputError(f"{place}", expected="a name ending in " + ", ".join(FORMS), fix="name another file")
    if place.exists() and not force:
        raise InputError(f"{place} is there already", fix="name another file, or give --force")


def _write(out: Path, asked: Asked, found: Combined, items: list[str]) -> None:
    columns = {asked.item: TEXT, "label": TEXT, "trust": NUMBER, "people": WHOLE, "doubt": NUMBER}
    each = zip(items, found.label, found.trust.tolist(), found.people.tolist(), found.doubt.tolist(), strict=True)
    part = [
        dict(zip(columns, (item, label, round(trust, 6), people, round(doubt, 6)), strict=True))
        for item, label, trust, people, doubt in each
    ]
    _put(out, columns, part)


def _write_people(place: Path, said: Said, found: Combined, names: list[str]) -> None:
    columns = {"annotator": TEXT, "answers": WHOLE, "right": NUMBER, "low": NUMBER, "high": NUMBER}
    _put(place, columns, [vars(each) for each in quality_of(said, found, names)])


@dataclass(frozen=True)
class Quality:
    """How many answers a person gave, and how often they are right by what is agreed on items that others labelled,
    too, with a 95 % interval; None where there is no such item."""

    annotator: str
    answers: int
    right: float | None
    low: float | None
    high: float | None


def quality_of(said: Said, found: Combined, names: Sequence[str]) -> list[Quality]:
    """Of each person."""
    mean, error = quality(said.person, found.people[said.item] > 1, found.right, said.people)
    given = np.bincount(said.person, minlength=len(names))
    return [
        Quality(name, n, *(None if np.isnan(end) else round(min(max(end, 0.0), 1.0), 6) for end in ends))
        for name, n, *ends in zip(names, given.tolist(), mean, mean - SEEN * error, mean + SEEN * error, strict=True)
    ]


def _put(place: Path, columns: dict[str, str], part: list[dict[str, object]]) -> None:
    with atomic(place) as scratch:
        put(FORMS[place.suffix.lower()], scratch, Table(columns, [part]))
