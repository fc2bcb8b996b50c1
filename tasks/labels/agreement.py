"""`labelwise agree FILE`: what several people said of the same items, taken together (labels/consensus.py)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, sources
from labelwise.tasks.errors import InputError, quantity
from labelwise.tasks.exports.files import FORMS, Table, put
from labelwise.tasks.kinds import choice, multilabel
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.kinds.values import NUMBER, TEXT, WHOLE
from labelwise.tasks.labels import consensus
from labelwise.tasks.labels.consensus import Agreed, Answers, Doubles, Whole, dawid_skene, majority
from labelwise.tasks.learners import Examples, Items, encoder, frozen
from labelwise.tasks.settings import Embed, Kind, Project, Pull, Settings, Train
from labelwise.tasks.workspace import atomic

AUTO, LATEST, MAJORITY, DAWID_SKENE = WAYS = "auto", "latest", "majority", "dawid_skene"
ANSWER = ["item", "person", "label"]
ANSWERS = (choice.NAME, multilabel.NAME)
MOST_CLASSES = 1000  # more names than that are no classes
FOLDS = 5
SEEN = 2  # standard errors that make an interval


@dataclass(frozen=True)
class Asked:
    """What is taken together, and how. item, annotator, label: the columns; text: that of the texts, '' where a model
    is not to be heard. by: one of WAYS. answer: choice or multilabel; delimiter: what stands between several labels in
    a cell, None where it is a JSON list."""

    item: str = "id"
    annotator: str = "annotator"
    label: str = "label"
    text: str = ""
    by: str = AUTO
    encoding: str = ""
    answer: str = choice.NAME
    delimiter: str | None = None


@dataclass(frozen=True)
class Together:
    """What is agreed of n items. label, trust: of each, (n,), and how likely that is right; people, doubt: how many
    labelled it, and the share of them that said otherwise. right: (m,) how likely each answer is."""

    label: list[str]
    trust: Doubles
    people: NDArray[np.int64]
    doubt: Doubles
    right: Doubles


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
    found = together(rows, item, person, items, classes, asked)
    several = int((found.people > 1).sum())
    said.append(f"{quantity(several, 'item has', 'items have')} several labels" if several else ALONE)
    _write(out, asked, found, items)
    if people:
        one = Answers(item, person, np.zeros(len(item), np.int64), len(items), len(names), 1)
        _write_people(people, one, found.right, names)
    by = f"{quantity(len(rows), 'answer')} by {quantity(len(names), 'person', 'people')}"
    return [f"{out}: {quantity(len(items), 'label')} of {by}, mean trust {found.trust.mean():.2f}", *said]


ALONE = "no item has labels of two people, so nothing tells how good each of them is"


def read(source: str, asked: Asked) -> tuple[pd.DataFrame, list[str]]:
    """The answers that count: columns item, person, label, and text where it is asked for, in their order; and what is
    to be said of the others. Of two answers of a person to an item the later one counts."""
    wanted = [asked.item, asked.annotator, asked.label, *([asked.text] if asked.text else [])]
    cells = Cells(asked.label, lists=asked.answer == multilabel.NAME)
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
    if asked.answer == multilabel.NAME:
        given = given.assign(label=[_several(cell, source, asked) for cell in given.label])
    kept = given.drop_duplicates(["item", "person"], keep="last")
    if len(kept) < len(given):
        said.append(
            f"{quantity(len(given) - len(kept), 'answer was', 'answers were')} changed later by the same person"
        )
    if kept.empty:
        raise InputError(f"{source} holds no label", expected=f"one in the column {asked.label!r} at least", got="none")
    return kept.reset_index(drop=True), said


def _several(cell: object, source: str, asked: Asked) -> str:
    """The label in a cell that names any number of classes; InputError where it is none."""
    try:
        return multilabel.read(str(cell), asked.delimiter)
    except ValueError as error:
        raise InputError(
            f"{source}: {error}",
            expected=f"in the column {asked.label!r} {multilabel.EXAMPLE}".replace("pull.delimiter", "--delimiter"),
            got=repr(str(cell)[:60]),
        ) from error


def together(
    rows: pd.DataFrame, item: Whole, person: Whole, items: list[str], classes: list[str], asked: Asked
) -> Together:
    """What is agreed, as `asked.by` says; `auto` is Dawid and Skene's way, and a model is heard where there are texts.
    item, person: (m,) of each answer, by number.

    Several labels are agreed on class by class, each a question of its own; a label is as likely as all of its parts.
    """
    answer = kinds.answer(asked.answer)
    n, people = len(items), int(person.max()) + 1
    if asked.answer == choice.NAME:
        said = [Answers(item, person, pd.Index(classes).get_indexer(pd.Index(rows.label)), n, people, len(classes))]
    else:
        named = answer.targets(rows.label.tolist(), classes).astype(np.int64)
        said = [Answers(item, person, has, n, people, 2) for has in named.T]
    heard = said
    if asked.by == LATEST:
        at = rows.drop_duplicates("item", keep="last").index.to_numpy()
        heard = [Answers(one.item[at], one.person[at], one.label[at], n, people, one.classes) for one in said]
    way = dawid_skene if asked.by in (AUTO, DAWID_SKENE) else majority
    agreed = [way(one) for one in heard]
    if asked.by == AUTO and asked.text and (len(classes) > 1 or asked.answer == multilabel.NAME):
        texts = rows.drop_duplicates("item", keep="last").set_index("item").text.reindex(items).fillna("").tolist()
        opinion = held_out(encoded(texts), agreed, classes, asked.answer)
        one = asked.answer == choice.NAME
        by_question = [opinion] if one else [np.column_stack([1 - has, has]) for has in opinion.T]
        agreed = [dawid_skene(one, of) for one, of in zip(said, by_question, strict=True)]
    label = _labels(agreed, classes, asked)
    counts = np.bincount(item, minlength=n)
    alike = np.bincount(item, np.array(label, object)[item] == rows.label.to_numpy(object), minlength=n)
    right = np.prod([each.right(one) for each, one in zip(agreed, said, strict=True)], axis=0)
    return Together(label, np.prod([each.trust for each in agreed], axis=0), counts, 1 - alike / counts, right)


def _labels(agreed: list[Agreed], classes: list[str], asked: Asked) -> list[str]:
    """The label of each item."""
    if asked.answer == choice.NAME:
        return [classes[at] for at in agreed[0].label]
    holds = np.stack([each.label for each in agreed], axis=1)
    return [multilabel.label_of(name for name, has in zip(classes, row, strict=True) if has) for row in holds]


def encoded(texts: list[str]) -> NDArray[np.float32]:
    """(n, d) by the packaged encoder."""
    embed = Embed()
    return encoder.Encoder(embed.encoder, embed.max_tokens).encode(texts)


def held_out(
    vectors: NDArray[np.float32], agreed: list[Agreed], classes: list[str], answer: str = choice.NAME
) -> Doubles:
    """(n, c) what a model says of n items, (n, d) vectors, that learned the labels of the others: a head on these,
    learned from what is agreed, each label by its trust. agreed: of all classes, or of each."""
    settings = Settings(
        project=Project(name="agree", id="agree"),
        classes=classes,
        kind=Kind(answer=answer),
        pull=Pull(pool="", gold=""),
        train=Train(learner=frozen.NAME),
    )
    trust = np.prod([each.trust for each in agreed], axis=0)
    weights = (trust / trust.min()).astype(np.float32)  # none below 1, which learners take for a guess of a model
    targets: NDArray[Any] = agreed[0].label
    found = np.full((len(vectors), len(classes)), 1 / len(classes))
    if answer == multilabel.NAME:
        targets = np.stack([each.label for each in agreed], axis=1).astype(np.float32)
        found[:] = targets.mean(axis=0)
    pool = Items.of(vectors)
    fold = np.random.default_rng(0).permutation(len(vectors)) % FOLDS
    for number in range(FOLDS):
        learned, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(np.unique(targets[learned], axis=0)) < 2:
            continue
        examples = Examples(pool.take(learned), targets[learned], classes, weights[learned])
        found[held] = frozen.fit(examples, pool, settings).probabilities(pool.take(held))
    return found


def _refuse(place: Path, force: bool) -> None:
    if place.suffix.lower() not in FORMS:
        raise InputError(f"{place}", expected="a name ending in " + ", ".join(FORMS), fix="name another file")
    if place.exists() and not force:
        raise InputError(f"{place} is there already", fix="name another file, or give --force")


def _write(out: Path, asked: Asked, found: Together, items: list[str]) -> None:
    columns = {asked.item: TEXT, "label": TEXT, "trust": NUMBER, "people": WHOLE, "doubt": NUMBER}
    each = zip(items, found.label, found.trust.tolist(), found.people.tolist(), found.doubt.tolist(), strict=True)
    part = [
        dict(zip(columns, (item, label, round(trust, 6), people, round(doubt, 6)), strict=True))
        for item, label, trust, people, doubt in each
    ]
    _put(out, columns, part)


def _write_people(place: Path, answers: Answers, right: Doubles, names: list[str]) -> None:
    mean, error = consensus.quality(answers, right)
    given = np.bincount(answers.person, minlength=len(names))
    columns = {"annotator": TEXT, "answers": WHOLE, "right": NUMBER, "low": NUMBER, "high": NUMBER}
    part = []
    for name, n, often, wide in zip(names, given.tolist(), mean.tolist(), error.tolist(), strict=True):
        known = not np.isnan(often)
        ends = (often, max(often - SEEN * wide, 0.0), min(often + SEEN * wide, 1.0)) if known else (None, None, None)
        part.append(
            dict(zip(columns, (name, n, *(None if end is None else round(end, 6) for end in ends)), strict=True))
        )
    _put(place, columns, part)


def _put(place: Path, columns: dict[str, str], part: list[dict[str, object]]) -> None:
    with atomic(place) as scratch:
        put(FORMS[place.suffix.lower()], scratch, Table(columns, [part]))
