"""`labelwise predict`: what the model says of each row of a source. Memory holds no more than a part of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks import sources
from labelwise.tasks.answering import promised
from labelwise.tasks.answering.at_work import Served, promise
from labelwise.tasks.answering.model import Chosen, chosen
from labelwise.tasks.answering.quick import AS_LEARNED, Runtime, quick
from labelwise.tasks.errors import InputError, named, quantity
from labelwise.tasks.exports.files import FORMS, Part
from labelwise.tasks.exports.place import clear, refuse_strange, remember, replacing
from labelwise.tasks.exports.table import apart
from labelwise.tasks.items import suites
from labelwise.tasks.kinds import files as held
from labelwise.tasks.kinds import spans
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.kinds.forms import places
from labelwise.tasks.kinds.values import NUMBER, TEXT, WHOLE, YES_NO
from labelwise.tasks.labels import renamed
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.progress import counted
from labelwise.tasks.services import expectations
from labelwise.tasks.settings import Columns, Pull, Settings
from labelwise.tasks.sources import hub
from labelwise.tasks.sources.marks import OTHER_NAMES
from labelwise.tasks.workspace import Workspace, atomic

ROWS = 4096  # in a part: long enough for an encoder to pack texts well
ROW, LABEL, CONFIDENCE, MAY, REASON = "row", "label", "confidence", "answered", "reason"
OF_TOOLS = {"annotations", "predictions", "completions"}  # beside `data`: Label Studio's own, whose rows come flat


@dataclass(frozen=True)
class Asked:
    """What is read of a source. columns: those that are kept, in its order; own: those of them that make an item."""

    source: str
    pull: Pull
    columns: list[str]
    own: list[str]

    @property
    def others(self) -> list[str]:
        """The columns that are kept and not looked into."""
        return [name for name in self.columns if name not in self.own]


@dataclass
class Tally:
    """What came of the rows. labelled: how many there are with a label, alone: of how many it may stand without people.
    confidence: the sum of it."""

    labelled: int = 0
    alone: int = 0
    confidence: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)


def run(
    workspace: Workspace,
    source: str,
    out: Path,
    version: str = "",
    column: str = "",
    encoding: str = "",
    force: bool = False,
    tell: Callable[[str], None] = lambda _line: None,
    runtime: Runtime = AS_LEARNED,
) -> list[str]:
    """Write a row for each row of `source` that can be read to `out` (.csv, .jsonl, .parquet), the others with their
    reason to a file beside it. version: as in `model.chosen`. column: that of the text or the picture, where the source
    calls it otherwise than the workspace's own. force: see `exports.write`. runtime: what the model runs on. Gives
    lines for people.

    InputError: the source cannot be read, or no row of it; there is no model; `out` is taken.
    """
    form, aside = FORMS.get(out.suffix.lower()), out.with_name(f"{out.stem}.quarantine{out.suffix}")
    if form is None:
        raise InputError(f"{out}", expected="a name ending in " + ", ".join(FORMS), fix="name another --out")
    if "://" not in source and Path(source).resolve() == out.resolve():
        raise InputError(f"{out} is the source itself", expected="another file", fix="name another --out")
    for place in (out, aside):
        refuse_strange(place, workspace.root, force)
    model = quick(workspace, chosen(workspace, version, tell), runtime, tell)
    asked = wanted(source, workspace.settings, model.classifier, column, encoding)
    served = promised.serve(workspace, model)
    names = apart(asked.columns, [ROW, LABEL, CONFIDENCE, MAY, REASON])
    theirs = dict.fromkeys(names.values(), TEXT)
    columns = {ROW: WHOLE, **theirs, LABEL: model.classifier.answer.VALUE, CONFIDENCE: NUMBER, MAY: YES_NO}
    tally = Tally()
    with replacing([out], workspace.root, force) as (scratch,), ExitStack() as later:
        write, put_aside = later.enter_context(form(scratch, columns)), None
        progress = later.enter_context(counted(f"predict {source}", None))
        for good, bad in judged(asked, names, served, workspace.settings, tally):
            if bad and put_aside is None:
                clear(aside)
                place = later.enter_context(atomic(aside))
                put_aside = later.enter_context(form(place, {ROW: WHOLE, **theirs, REASON: TEXT}))
            if bad and put_aside:
                put_aside(bad)
            write(good)
            progress(len(good) + len(bad))
        refuse_nothing(source, tally)
    if not tally.refused:
        aside.unlink(missing_ok=True)  # an earlier one of ours
    remember([aside], workspace.root)
    changed = {old: new for old, new in names.items() if old != new}
    said = [f"the column {old!r} of {source} is called {new!r} there" for old, new in changed.items()]
    may = f"{tally.alone:,} of them are `answered`: {promise(served.found, workspace.settings.answer)}"
    return [line(out, aside, model, tally), may, *said, *outdated(model, workspace.settings)]


def wanted(source: str, settings: Settings, model: Classifier, column: str, encoding: str) -> Asked:
    """What to read of a source. InputError where it has no such item, with the columns that it has."""
    columns = _columns(settings.pull.columns, model, column)
    pull = settings.pull.model_copy(
        update={
            "columns": columns,
            "picture_side": model.pull.picture_side,
            "encoding": encoding or settings.pull.encoding,
        }
    )
    own = model.item.columns(columns)
    known = sources.columns(source, pull.encoding, model.item.files(columns))
    flat = "data" in known and OF_TOOLS & {*known}
    if known and not flat:
        lacks = [name for name in own if name not in known and not _called_otherwise(name, known, model)]
        if lacks:
            fix = "give the column that name" + ("" if model.item.ARRAYS else ", or name yours by --column")
            shown = named(known[:20]) + (", ..." if len(known) > 20 else "")
            raise InputError(f"{source} has no column {lacks[0]!r}", expected=f"one of {shown}", fix=fix)
        kept = [name for name in known if name in own or (name.strip() and known.count(name) == 1)]
    else:
        of_table = hub.names_dataset(source) or bool(flat)
        kept = [name for name in (columns.id, columns.group, *columns.context) if name and of_table]
    return Asked(source, pull, list(dict.fromkeys([*kept, *own])), own)


def _columns(columns: Columns, model: Classifier, column: str) -> Columns:
    """The workspace's, of rows the features of the model, and the item under another name."""
    update: dict[str, Any] = {"features": model.pull.columns.features} if model.pull.columns.features else {}
    return columns.model_copy(update=update | ({"text": column, "image": column} if column else {}))


def _called_otherwise(name: str, known: list[str], model: Classifier) -> bool:
    """Whether a source of marked texts has tokens in its place."""
    return model.answer.PLACES and any(other in known for other in OTHER_NAMES.get(name, ()))


def judged(
    asked: Asked, names: dict[str, str], served: Served, settings: Settings, tally: Tally
) -> Iterator[tuple[Part, Part]]:
    """The rows that the model has answered, and those that cannot be read, part by part. Adds to `tally`."""
    model, never = served.model, settings.answer.never
    item, suite = model.item, suites.pool(asked.pull.max_chars, 1.0, model.item)
    files = item.files(asked.pull.columns)
    form = Cells(None, True, model.answer.PLACES, files, asked.own if item.ARRAYS else (), asked.others)
    options: dict[str, Any] = {"encoding": asked.pull.encoding, "optional": asked.others, "cells": form}
    number = 0
    for chunk in sources.chunks(asked.source, asked.columns, ROWS, **options):
        came = item.read(chunk[asked.own], asked.pull).reset_index(drop=True)
        measures = suites.measured(pd.DataFrame({item.COLUMN: came}), item=item)
        refused = expectations.refusals(suite, measures)
        shown = [
            list(map(_file if files and name == files.column else _text, chunk[name].tolist()))
            for name in asked.columns
        ]
        rows = [
            {ROW: number + at} | dict(zip(names.values(), cells, strict=True))
            for at, cells in enumerate(zip(*shown, strict=True), start=1)
        ]
        number += len(rows)
        fine = [at for at in range(len(rows)) if at not in refused]
        kept = [item.tidy(came[at]) for at in fine]
        said, far = served.judged(kept)
        sure = said.confidence.to_numpy(float)
        reasons = served.reasons(said.label.tolist(), sure, far, served.found.value, never)
        labels = renamed.today(said.label.astype("string"), settings)
        tally.labelled += len(fine)
        tally.alone += reasons.count("")
        tally.confidence += float(sure.sum())
        tally.refused.update(refusal.rule for refusal in refused.values())
        good = [
            rows[at] | {LABEL: value(model, label, cell, came[at]), CONFIDENCE: round(each, 6), MAY: not reason}
            for at, cell, label, each, reason in zip(fine, kept, labels, sure.tolist(), reasons, strict=True)
        ]
        yield good, [rows[at] | {REASON: refusal.reason} for at, refusal in refused.items()]


def value(model: Classifier, label: str, kept: str, came: str) -> Any:
    """The label for other programs. What names places in a text names those in the text as it came."""
    if not model.answer.PLACES or kept == came:
        return model.answer.value(label, kept)
    where = pd.Index(places(came))
    moved = [
        (int(where.searchsorted(start, side="right")) - 1, int(where.searchsorted(end)), name)
        for start, end, name in spans.spans_of(label)
    ]
    return model.answer.value(spans.label_of(moved), came)


def _text(cell: str | None) -> str | None:
    """A cell as it came; bytes that were no UTF-8 as \\udcff."""
    return None if cell is None else cell.encode("utf-8", "backslashreplace").decode()


def _file(cell: str | None) -> str | None:
    """The name of the file in a cell."""
    if cell is None or not cell.startswith((held.DATA, held.UNREAD)):
        return _text(cell)
    return _text(held.unpacked(cell).name) or None


def refuse_nothing(source: str, tally: Tally) -> None:
    """InputError where no row has been answered."""
    if not tally.labelled:
        got = f"{quantity(tally.refused.total(), 'row')}: {_reasons(tally)}" if tally.refused else "none"
        raise InputError(f"{source} has no row that can be read", expected="one at least", got=got)


def line(out: Path, aside: Path, model: Chosen, tally: Tally) -> str:
    """What was done, in a line."""
    mean = tally.confidence / tally.labelled
    said = f"{out}: {quantity(tally.labelled, 'label')} by {model.name}, mean confidence {mean:.2f}"
    if not tally.refused:
        return said
    unread = quantity(tally.refused.total(), "row cannot be read and is", "rows cannot be read and are")
    return f"{said}; {unread} in {aside}: {_reasons(tally)}"


def _reasons(tally: Tally) -> str:
    return ", ".join(f"{count:,} x {rule}" for rule, count in tally.refused.most_common())


def outdated(model: Chosen, settings: Settings) -> list[str]:
    """What to say of classes that the model says and that there are no more."""
    gone = [name for name in model.classifier.model.classes if settings.renamed.get(name, name) in settings.lapsed]
    return [f"the model still says {named(gone)}, which is no class any more"] * bool(gone)
