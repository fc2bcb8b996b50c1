"""`labelwise agree FILE`: what several people said of the same items, taken together (labels/consensus.py)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import sources
from labelwise.tasks.errors import InputError, quantity
from labelwise.tasks.exports.files import FORMS, Table, put
from labelwise.tasks.kinds.values import NUMBER, TEXT, WHOLE
from labelwise.tasks.labels import consensus
from labelwise.tasks.labels.consensus import Agreed, Answers
from labelwise.tasks.learners import Examples, Items, encoder, frozen
from labelwise.tasks.settings import Embed, Project, Pull, Settings, Train
from labelwise.tasks.workspace import atomic

AUTO, LATEST, MAJORITY, DAWID_SKENE = WAYS = "auto", "latest", "majority", "dawid_skene"
ANSWER = ["item", "person", "label"]
MOST_CLASSES = 1000  # more names than that are no classes
FOLDS = 5
SEEN = 2  # standard errors that make an interval


@dataclass(frozen=True)
class Asked:
    """What is taken together, and how. item, annotator, label: the columns; text: that of the texts, '' where a model
    is not to be heard. by: one of WAYS."""

    item: str = "id"
    annotator: str = "annotator"
    label: str = "label"
    text: str = ""
    by: str = AUTO
    encoding: str = ""


def run(source: str, out: Path, asked: Asked, people: Path | None = None, force: bool = False) -> list[str]:
    """Write a row for each item that somebody has labelled to `out` (.csv, .jsonl, .parquet): its key; `label`;
    `trust`, how likely that is right; `people`, how many labelled it; and `doubt`, the share of them that said
    otherwise. people: where each person's quality is written, with its 95 % interval. force: replace files that are
    there. Gives lines for people.

    InputError: `source` lacks a column, or holds no label; a file is there, or its ending is unknown.
    """
    for place in filter(None, (out, people)):
        _refuse(place, force)
    if asked.by not in WAYS:
        raise InputError("--by", expected=", ".join(WAYS), got=repr(asked.by[:60]))
    rows, said = read(source, asked)
    items, names, classes = (sorted(rows[of].unique()) for of in ANSWER)
    if len(classes) > MOST_CLASSES:
        raise InputError(
            f"the column {asked.label!r} of {source} has {len(classes):,} names",
            expected=f"at most {MOST_CLASSES:,} classes",
            fix="name the column of the label by --label",
        )
    at = [pd.Index(known).get_indexer(rows[of]) for of, known in zip(ANSWER, (items, names, classes), strict=True)]
    answers = Answers(at[0], at[1], at[2], len(items), len(names), len(classes))
    several = int((answers.counts().sum(axis=1) > 1).sum())
    said.append(f"{quantity(several, 'item has', 'items have')} several labels" if several else ALONE)
    agreed = together(answers, rows, items, classes, asked)
    _write(out, asked, answers, agreed, items, classes)
    if people:
        _write_people(people, answers, agreed, names)
    by = f"{quantity(len(rows), 'answer')} by {quantity(len(names), 'person', 'people')}"
    return [f"{out}: {quantity(len(items), 'label')} of {by}, mean trust {agreed.trust.mean():.2f}", *said]


ALONE = "no item has labels of two people, so nothing tells how good each of them is"


def read(source: str, asked: Asked) -> tuple[pd.DataFrame, list[str]]:
    """The answers that count: columns item, person, label, and text where it is asked for, in their order; and what is
    to be said of the others. Of two answers of a person to an item the later one counts."""
    wanted = [asked.item, asked.annotator, asked.label, *([asked.text] if asked.text else [])]
    parts = list(sources.chunks(source, wanted, encoding=asked.encoding or None))
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
    kept = given.drop_duplicates(["item", "person"], keep="last")
    if len(kept) < len(given):
        said.append(
            f"{quantity(len(given) - len(kept), 'answer was', 'answers were')} changed later by the same person"
        )
    if kept.empty:
        raise InputError(f"{source} holds no label", expected=f"one in the column {asked.label!r} at least", got="none")
    return kept.reset_index(drop=True), said


def together(answers: Answers, rows: pd.DataFrame, items: list[str], classes: list[str], asked: Asked) -> Agreed:
    """What is agreed, as `asked.by` says; `auto` is Dawid and Skene's way, and a model is heard where there are
    texts."""
    if asked.by == MAJORITY:
        return consensus.majority(answers)
    if asked.by == LATEST:
        last = rows.drop_duplicates("item", keep="last")
        at = last.index.to_numpy()
        only = Answers(
            answers.item[at], answers.person[at], answers.label[at], *(answers.items, answers.people, answers.classes)
        )
        return consensus.majority(only)
    alone = consensus.dawid_skene(answers)
    if asked.by == DAWID_SKENE or not asked.text or len(classes) < 2:
        return alone
    texts = rows.drop_duplicates("item", keep="last").set_index("item").text.reindex(items).fillna("").tolist()
    return consensus.dawid_skene(answers, held_out(texts, alone, classes))


def held_out(texts: list[str], agreed: Agreed, classes: list[str]) -> NDArray[np.float64]:
    """(n, c) what a model says of n texts that learned the labels of the others: a head on the packaged encoder's
    vectors, learned from what is agreed, each label by its trust."""
    settings = Settings(
        project=Project(name="agree", id="agree"),
        classes=classes,
        pull=Pull(pool="", gold=""),
        train=Train(learner=frozen.NAME),
    )
    embed = Embed()
    vectors = encoder.Encoder(embed.encoder, embed.max_tokens).encode(texts)
    pool, weights = Items.of(vectors), agreed.trust.astype(np.float32)
    found = np.full((len(texts), len(classes)), 1 / len(classes))
    fold = np.random.default_rng(0).permutation(len(texts)) % FOLDS
    for number in range(FOLDS):
        learned, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(np.unique(agreed.label[learned])) < 2:
            continue
        examples = Examples(pool.take(learned), agreed.label[learned], classes, weights[learned])
        found[held] = frozen.fit(examples, pool, settings).probabilities(pool.take(held))
    return found


def _refuse(place: Path, force: bool) -> None:
    if place.suffix.lower() not in FORMS:
        raise InputError(f"{place}", expected="a name ending in " + ", ".join(FORMS), fix="name another file")
    if place.exists() and not force:
        raise InputError(f"{place} is there already", fix="name another file, or give --force")


def _write(out: Path, asked: Asked, answers: Answers, agreed: Agreed, items: list[str], classes: list[str]) -> None:
    counts = answers.counts()
    n = counts.sum(axis=1)
    said = counts[np.arange(len(items)), agreed.label]
    columns = {asked.item: TEXT, "label": TEXT, "trust": NUMBER, "people": WHOLE, "doubt": NUMBER}
    each = zip(items, agreed.label, agreed.trust, n.astype(int).tolist(), (1 - said / n), strict=True)
    part = [
        dict(zip(columns, (item, classes[label], round(float(trust), 6), people, round(float(doubt), 6)), strict=True))
        for item, label, trust, people, doubt in each
    ]
    _put(out, columns, part)


def _write_people(place: Path, answers: Answers, agreed: Agreed, names: list[str]) -> None:
    mean, error = consensus.quality(answers, agreed)
    given = np.bincount(answers.person, minlength=len(names))
    columns = {"annotator": TEXT, "answers": WHOLE, "right": NUMBER, "low": NUMBER, "high": NUMBER}
    part = []
    for name, n, right, wide in zip(names, given.tolist(), mean.tolist(), error.tolist(), strict=True):
        known = not np.isnan(right)
        ends = (right, max(right - SEEN * wide, 0.0), min(right + SEEN * wide, 1.0)) if known else (None, None, None)
        part.append(
            dict(zip(columns, (name, n, *(None if end is None else round(end, 6) for end in ends)), strict=True))
        )
    _put(place, columns, part)


def _put(place: Path, columns: dict[str, str], part: list[dict[str, object]]) -> None:
    with atomic(place) as scratch:
        put(FORMS[place.suffix.lower()], scratch, Table(columns, [part]))
