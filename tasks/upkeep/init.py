"""Make a workspace: a git + DVC repository with params.yaml, dvc.yaml and an empty label ledger."""

import csv
import json
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pandas as pd

import labelwise
from labelwise.tasks import errors, kinds, settings, sources
from labelwise.tasks.errors import InputError, LabelwiseError, quantity
from labelwise.tasks.gold.intervals import lacking
from labelwise.tasks.kinds import Answer, Content, choice, files, text
from labelwise.tasks.labels import ledger
from labelwise.tasks.labels.classes import spelling
from labelwise.tasks.pull import (
    GoldLook,
    PoolLook,
    Tally,
    detected,
    ids_of,
    look_at_gold,
    look_at_pool,
    noted,
    read_together,
    refusals_in_words,
    refuse_faults,
    refused_label,
)
from labelwise.tasks.records import LABELS
from labelwise.tasks.services.versions.workspace import create
from labelwise.tasks.workspace import Workspace

Found = TypeVar("Found")
PREVIEWED = 200_000  # rows of the pool that `init` reads at least; more only where labels of them are imported
SHOWN_CLASSES, SHOWN_TEXT = 12, 90
RARE_OF_TWO = 0.1  # share of gold below which one of two classes is rare
RARE_OF_MANY = 0.2  # the same of many, in multiples of an even share
QUOTE = (
    "a class with a comma stands in double quotes, --labels '\"Fees, charges\",Refunds', or in a --labels of its own"
)
# Why a label of `--labelled` is not taken, of one row and of several.
OUTSIDE = "label outside the classes", "labels outside the classes"
NOT_THERE = "row that is not in the pool", "rows that are not in the pool"
TWO_LABELS = "row with two labels", "rows with two labels"
BY_SEVERAL = "where several people gave them, name the column that says who by --annotator-column"
TEXT_CHOICE = settings.Kind()
SCRATCH = ".*.part\n.DS_Store\n"  # what a killed write leaves behind, see workspace.atomic, and what file managers do
# What the user ignores everywhere (`*.csv`, `data/`) would stay out of the commits: here it is not ignored.
IGNORED = "!*\n.labelwise/\ndvc_plots/\n" + SCRATCH
ATTRIBUTES = "* -text\n"  # no git changes the ends of lines: digests are made of the files


def run(
    root: Path,
    pool: str,
    gold: str,
    classes: list[str] | None,
    name: str,
    remote: str | None,
    columns: settings.Columns,
    labelled: str | None = None,
    tell: Callable[[str], None] = print,
    encoding: str | None = None,
    kind: settings.Kind = TEXT_CHOICE,
    delimiter: str | None = None,
    annotator: str | None = None,
) -> Workspace:
    """Make a workspace at `root`, which must be new or empty. All that can be wrong is looked at first: the sources are
    read as the first pull will read them, and `tell` gets a line for what there is and for what will be left out.

    labelled: rows of the pool that have a label already; they are the ledger's first, of origin `imported`. classes:
    the answers, or None for those in the gold set. remote: where DVC keeps data, None: a folder beside root. encoding:
    of files that are not UTF-8 and do not say so by a mark. kind: what an item is, and what is said of it. delimiter:
    what stands between several labels in a cell. annotator: the column of `labelled` that says who gave each label,
    None where that is not known; then an item has one.
    """
    root = root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(
            f"{root} is no empty folder", expected="a new folder", fix="choose another, or run the loop that is there"
        )
    for address in (pool, gold, labelled or "", remote or ""):
        _refuse_credentials(address)
    answer, item = kinds.answer(kind.answer), kinds.item(kind.item)
    columns, said = detected(located(pool), columns, item, encoding)
    for line in said:
        tell(line)
    own = {key.removeprefix("pull."): value for key, value in item.DEFAULTS.items() if key.startswith("pull.")}
    pull = settings.Pull(
        pool=located(pool), gold=located(gold), columns=columns, encoding=encoding, delimiter=delimiter, **own
    )
    seen = looked(pull, labelled, classes, answer, tell, item, annotator)
    judged = measure_for(seen.gold.labels, len(seen.gold.folds), answer)
    changes: dict[str, Any] = {
        "project.name": name or _title(root),
        "project.id": secrets.token_hex(4),
        "classes": seen.classes,
        "pull.pool": pull.pool,
        "pull.gold": pull.gold,
        "pull.encoding": encoding,
        "pull.delimiter": delimiter,
        "kind.item": kind.item,
        "kind.answer": kind.answer,
        "evaluate.measure": judged.name,
        **{f"pull.columns.{key}": value for key, value in columns.model_dump().items()},
        **item.DEFAULTS,
    }
    _parsed(changes)
    for line in preview(seen, answer, item):
        tell(line)
    if judged.name:
        tell(judged.why)
    made = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        _fill(root, changes, located(remote) if remote else f"{root}.remote", seen.rows)
    except BaseException:
        shutil.rmtree(root)
        if not made:
            root.mkdir()
        raise
    return Workspace.open(root)


def _parsed(changes: dict[str, Any]) -> None:
    """SettingsError where these would make no params.yaml."""
    with TemporaryDirectory() as scratch:
        path = Path(shutil.copy(_template("params.yaml"), scratch))
        settings.change(path, changes)
        settings.read(path)


@dataclass(frozen=True)
class Looked:
    """The classes, what a first pull would make of the sources, and the labels to import, as ledger rows."""

    classes: list[str]
    gold: GoldLook
    pool: PoolLook
    rows: pd.DataFrame


def looked(
    pull: settings.Pull,
    labelled: str | None,
    given: list[str] | None,
    answer: Answer,
    tell: Callable[[str], None],
    item: Content = text,
    annotator: str | None = None,
) -> Looked:
    """Look at all sources. given: the classes, None for those in the gold set.

    A fault of one does not keep those of the others for the next try: `tell` gets a line for each but the last, which
    is raised. What cannot be judged without the faulty source is not.
    """
    faults: list[LabelwiseError] = []
    classes = _tried(lambda: classes_for(pull, given, answer, item, tell), faults)
    gold = _tried(lambda: look_at_gold(pull, classes, answer, item), faults) if classes else None
    given_by = annotator, classes or ()
    labels = _tried(lambda: labels_in(labelled, pull, tell, answer, item, *given_by), faults) if labelled else None
    asked, most = (set(labels.id), None) if labels is not None else (set(), PREVIEWED)
    pool = _tried(lambda: look_at_pool(pull, gold.folds if gold else set(), asked, most, item, answer), faults)
    rows: pd.DataFrame | None = LABELS.frame()
    if labelled and labels is not None and classes and gold and pool:
        rows = _tried(lambda: imported(labelled, labels, pool.fates, classes, tell, answer, item), faults)
    if faults or not classes or gold is None or pool is None or rows is None:
        for fault in faults[:-1]:
            tell(f"labelwise: {fault}")
        raise faults[-1]
    return Looked(classes, gold, pool, rows)


def _tried(look: Callable[[], Found], faults: list[LabelwiseError]) -> Found | None:
    """What a look gives; None where it ends in a fault of the source, which goes to `faults`."""
    try:
        return look()
    except LabelwiseError as fault:
        faults.append(fault)
        return None


def preview(seen: Looked, answer: Answer, item: Content = text) -> list[str]:
    """What there is, for people, a line each."""
    pool, gold, classes, labelled = seen.pool, seen.gold, seen.classes, seen.rows
    lines = [
        f"pool  {_counted(pool.tally)}" + ("" if pool.whole else "; the rest was not looked at"),
        *(f"      e.g. {' '.join(item.brief(cell).split())[:SHOWN_TEXT]}" for cell in pool.cells[:3]),
        f"gold  {_counted(gold.tally)}: {_by_class(gold.labels, classes)}",
        *(f"      {remark}" for remark in gold.tally.remarks),
    ]
    if len(labelled):
        given = Counter(name for label in labelled.label for name in answer.members(label))
        lines.append(f"given {quantity(len(labelled), 'label')}: {_by_class(given, classes)}")
    lines += [*noted("gold", gold.tally), *noted("pool", pool.tally)]
    return [*lines, *(item.remarks(pool.cells, gold.items) if pool.cells else ())]


@dataclass(frozen=True)
class ChosenMeasure:
    """name: for `evaluate.measure`, None for the kind's own. why: in words."""

    name: str | None
    why: str = ""


def measure_for(labels: Mapping[str, int], items: int, answer: Answer) -> ChosenMeasure:
    """What models are to be judged by, from how many of the gold items name each class. Where a class is rare, the
    accuracy is high for a model that never says it.

    >>> measure_for({"ham": 980, "spam": 20}, 1000, choice).name, measure_for({"a": 30, "b": 70}, 100, choice).name
    ('f1:spam', None)
    """
    if len(labels) < 2 or not items or answer.NAME != choice.NAME:
        return ChosenMeasure(None)
    rarest = min(labels, key=lambda name: labels[name])
    share, few = labels[rarest] / items, f"{labels[rarest]:,} of {items:,} gold items are {errors.named([rarest])}"
    if len(labels) == 2 and share < RARE_OF_TWO:
        name, words = f"{settings.OF_CLASS}:{rarest}", f"the F1 of {errors.named([rarest])}"
    elif len(labels) > 2 and share * len(labels) < RARE_OF_MANY:
        name, words = settings.BALANCED, "balanced accuracy"
    else:
        return ChosenMeasure(None)
    blind = f"a model that never says it would have {1 - share:.1%} accuracy"
    lack = lacking(settings.measure_named(name, answer.NAME, list(labels)), labels)
    more = f"; {lack.partition(': `')[0]}" if lack else ""
    return ChosenMeasure(name, f"models are judged by {words} (evaluate.measure): {few}, and {blind}{more}")


def _by_class(labels: Mapping[str, int], classes: Sequence[str]) -> str:
    more = f", ... {len(classes):,} classes" if len(classes) > SHOWN_CLASSES else ""
    shown = [f"{errors.named([name])} {labels.get(name, 0):,}" for name in classes[:SHOWN_CLASSES]]
    return ", ".join(shown) + more


def _counted(tally: Tally) -> str:
    said = f"{quantity(len(tally.measures), 'row')}, {quantity(tally.new, 'item')}"
    said += f", {tally.repeated:,} repeated" if tally.repeated else ""
    return said + (f", refused {tally.refused.total():,} ({refusals_in_words(tally.refused)})" if tally.refused else "")


def _fill(root: Path, changes: dict[str, Any], remote: str, rows: pd.DataFrame) -> None:
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(_template(file), root / file)
    settings.change(root / "params.yaml", changes)
    pipeline = root / "dvc.yaml"
    chosen = settings.read(root / "params.yaml")
    made = following(plotting(pipeline.read_text(encoding="utf-8"), chosen), chosen)
    pipeline.write_text(made, encoding="utf-8")
    (root / ".gitignore").write_text(IGNORED, encoding="utf-8")
    (root / ".gitattributes").write_text(ATTRIBUTES, encoding="utf-8")
    versions = create(root, remote)
    (root / ".dvcignore").write_text(SCRATCH, encoding="utf-8")
    ledger.append(root / "data" / "labels", 0, rows)
    versions.add(["data/labels"])
    versions.save("labelwise init")


def plotting(pipeline: str, chosen: settings.Settings) -> str:
    """The text of dvc.yaml with the plots of these settings: what models are judged by, and no confusion where an item
    may have several classes, since there are too many sets of these."""
    stages, plots, shown = pipeline.partition("\nplots:\n")
    curve, confusion, rest = shown.partition("  - confusion:")
    name = chosen.measure.text
    for before, now in (
        ("gold accuracy against labels", f"gold {name} against labels"),
        ("[accuracy,", f"[{_scalar(name)},"),
        ("y_label: accuracy", f"y_label: {_scalar(name)}"),
    ):
        curve = curve.replace(before, _scalar(now) if now.startswith("gold") else now)
    return f"{stages}{plots}{curve}" + (confusion + rest if chosen.kind.answer == "choice" else "")


def following(pipeline: str, chosen: settings.Settings) -> str:
    """The text of dvc.yaml whose stages `embed` and `train` follow from what the columns of rows are, where items are
    rows: the rate of a signal is nowhere else."""
    if not chosen.pull.columns.features:
        return pipeline
    key = "      - pull.columns.features\n"
    for stage, before in (("embed", "      - gold.near_duplicate\n"), ("train", "      - kind\n")):
        head, name, rest = pipeline.partition(f"  {stage}:\n")
        pipeline = head + name + rest.replace(before, before + key, 1)
    return pipeline


def _scalar(text: str) -> str:
    """Text as YAML has it: a class may have any name."""
    return text if re.fullmatch(r"[\w ]+", text) else json.dumps(text, ensure_ascii=False)


def labels_in(
    labelled: str,
    pull: settings.Pull,
    tell: Callable[[str], None],
    answer: Answer = choice,
    item: Content = text,
    annotator: str | None = None,
    classes: Sequence[str] = (),
) -> pd.DataFrame:
    """The labels that people have given already: columns id, that of the item, label, annotator. A row without a label
    is not labelled yet. annotator: the column that says who gave it; `ledger.IMPORTED` where there is none or nothing.
    classes: those that are known, none of which may be a folder above all others."""
    columns, own = pull.columns, item.columns(pull.columns)
    form, who = kinds.cells_of(item, answer, columns, columns.label), [annotator] if annotator else []
    told_above(labelled, classes, item.files(columns), tell)
    parts = [
        pd.DataFrame(
            {
                item.COLUMN: item.read(chunk[own], pull),
                "label": chunk[columns.label],
                "annotator": _names(chunk[annotator]) if annotator else ledger.IMPORTED,
            }
        )
        for chunk in sources.chunks(labelled, [*own, columns.label, *who], encoding=pull.encoding, cells=form)
    ]
    if not parts:
        raise InputError(f"{labelled} holds no row", expected="rows of the pool, with a label")
    rows = pd.concat(parts, ignore_index=True)
    read = answer.read_all(rows["label"].tolist(), rows[item.COLUMN].tolist(), pull.delimiter)
    refuse_faults(labelled, rows["label"], read, answer, rows[item.COLUMN])
    for remark in read.remarks:
        tell(f"{labelled}: {remark}")
    rows = rows.assign(label=pd.Series(read.labels, dtype=object).fillna(""))
    unread = pd.Series(files.unread_among(rows[item.COLUMN], item.files(columns)), rows.index, dtype=bool)
    if unread.any():
        why = _faults_of(rows[item.COLUMN][unread])
        if unread.all():
            raise InputError(f"{labelled}: no {item.NAME} can be read", expected=f"{item.NAME}s of the pool", got=why)
        tell(f"{labelled}: left out {quantity(int(unread.sum()), item.NAME)} that cannot be read: {why}")
        rows = rows[~unread]
    blank = rows.label == ""
    if blank.all():
        raise InputError(f"{labelled}: no row has a label yet", expected="rows of the pool, some with a label")
    if blank.any():
        tell(f"{labelled}: of {quantity(len(rows), 'row')} {blank.sum():,} without a label yet: left out")
    rows = rows[~blank].drop_duplicates()
    return rows.assign(id=ids_of(rows[item.COLUMN], item)).drop_duplicates(["id", "label", "annotator"])


def _names(cells: pd.Series) -> pd.Series:
    """Who gave each label, `ledger.IMPORTED` where that is not said."""
    said = cells.astype("string").str.strip()
    return said.mask(said.isna() | (said == ""), ledger.IMPORTED)


def imported(
    labelled: str,
    rows: pd.DataFrame,
    fates: Mapping[str, str],
    classes: list[str],
    tell: Callable[[str], None],
    answer: Answer = choice,
    item: Content = text,
) -> pd.DataFrame:
    """Labels (as `labels_in` gives them) as ledger rows (LABELS) of origin `imported`. What the first pull will refuse,
    since it is in gold say, is left out, and said: a label without its item would stop the loop. fates: see `PoolLook`.

    InputError, and nothing is taken: a label outside the classes, a row that is not in the pool, or stands there twice
    with different labels of one person.
    """
    refused = rows.id.map({item: rule for item, rule in fates.items() if rule}).dropna()
    if len(refused):
        why = refusals_in_words(Counter(refused))
        tell(f"{labelled}: {quantity(len(refused), 'label')} left out, since the pull will refuse their rows: {why}")
    rows = rows.drop(index=refused.index)
    strange = rows.label.map(lambda label: not kinds.known(answer, label, classes)).astype(bool)
    for wrong, what, fix in (
        (strange, OUTSIDE, "one of " + errors.named(classes)),
        (~rows.id.isin(list(fates)), NOT_THERE, f"rows of the pool, {item.NAME} by {item.NAME}"),
        (rows.duplicated(["id", "annotator"], keep=False), TWO_LABELS, f"one label a {item.NAME} and person"),
    ):
        if wrong.any():
            first = rows[wrong].iloc[0]
            got = f"{first.label!r} for {item.brief(first[item.COLUMN] or '')[:60]!r}"
            stranger = next((name for name in answer.members(first.label) if name not in classes), "")
            hint = {
                OUTSIDE: twin(stranger, classes),
                TWO_LABELS: BY_SEVERAL * (first.annotator == ledger.IMPORTED),
            }.get(what, "")
            raise InputError(f"{labelled}: {quantity(int(wrong.sum()), *what)}", expected=fix, got=got, fix=hint)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    known: dict[str, Any] = {
        "status": "labelled",
        "round": 0,
        "origin": ledger.IMPORTED,
        "why": ledger.IMPORTED,
        "created_at": now,
    }
    table = rows[["id", "label", "annotator"]].assign(**known)
    return LABELS.conform(table.reindex(columns=list(LABELS.columns)))


def _faults_of(cells: Iterable[str]) -> str:
    """Why these files cannot be read, in words, with the name of one of each fault."""
    held = [files.unpacked(cell) for cell in cells]
    first = {each.fault: each.name for each in reversed(held)}
    return refusals_in_words(Counter(each.fault for each in held), first)


def _refuse_credentials(address: str) -> None:
    """InputError when an address that will be committed carries a password."""
    try:
        settings.without_credentials(address)
    except ValueError as error:
        raise InputError(address, got=str(error)) from None


def located(source: str) -> str:
    """A source that means the same from any folder: local paths made absolute."""
    return source if "://" in source else str(Path(source).expanduser().absolute())


def classes_for(
    pull: settings.Pull,
    given: list[str] | None,
    answer: Answer = choice,
    item: Content = text,
    tell: Callable[[str], None] = print,
) -> list[str]:
    """The classes: those given, else the labels that occur in the gold set, sorted. InputError when they do not fit, or
    when two of the gold set's look alike: that is one class, spelt in two ways."""
    columns, gold = pull.columns, pull.gold
    told_above(gold, given or [], item.files(columns), tell)
    found: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    first = ""  # label that cannot be read
    own = item.columns(columns)
    form = kinds.cells_of(item, answer, columns, columns.label)
    parts = sources.chunks(gold, [*own, columns.label], encoding=pull.encoding, cells=form)
    for chunk in read_together(parts, answer):
        there = chunk[own]
        # Only places are of what stands in the item.
        cells = item.read(there, pull) if answer.PLACES else there.iloc[:, 0]
        read = answer.read_all(chunk[columns.label].tolist(), cells.tolist(), pull.delimiter)
        unread.update(fault for fault in read.faults if fault)
        if unread and not first:
            at = next(at for at, fault in enumerate(read.faults) if fault)
            first = refused_label(chunk[columns.label].iloc[at], cells.iloc[at], answer)
        fine = [label for label, fault in zip(read.labels, read.faults, strict=True) if label and not fault]
        found.update(name for label in fine for name in answer.members(label))
    if strangers := sorted(set(found) - set(given or found)):
        raise InputError(
            f"{gold}: labels outside the classes",
            expected="one of " + ", ".join(map(repr, given or [])),
            got=", ".join(map(repr, strangers[:5])),
            fix=twin(strangers[0], given or []) or "name all classes; " + QUOTE,
        )
    if unread and not found:
        got = f"{refusals_in_words(unread)}, such as {first}"
        fix = answer.FAULTS.get(next(iter(unread)), "")
        raise InputError(f"{gold}: no label can be read", expected=answer.EXAMPLE, got=got, fix=fix)
    fewest = settings.fewest(answer.NAME)
    if not found or len(given or found) < fewest:
        raise InputError(
            f"{gold}: too few labels",
            expected="gold rows, and two classes at least" if fewest > 1 else "gold rows in which something is marked",
            got=", ".join(sorted(found)) or "no labelled row",
            fix="give labelled rows; name classes without a gold row by --labels a,b,c"
            if fewest > 1
            else "give such rows; where a file has classes of whole texts, `--answer choice` is the kind",
        )
    if given is None:
        _refuse_look_alikes(gold, found)
    return given or sorted(found)


def told_above(source: str, classes: Sequence[str], of: files.Files | None, tell: Callable[[str], None]) -> None:
    """Say which folder of a source is taken for no class, since all class folders lie in it. InputError where it is
    one of the classes."""
    above = sources.above(source, of)
    if wrong := [name for name in above.split("/") if name in classes]:
        raise InputError(
            f"{source}: all files lie in {above!r}, so the folders in it are taken as the classes",
            expected="files of two classes at least, in folders beside each other, such as cats/1.jpg and dogs/2.jpg",
            got=f"the class {wrong[0]!r} as a folder above all others",
            fix=f"add the folders of the other classes beside {wrong[0]!r}, or take it out of the classes",
        )
    if above:
        tell(f"{source}: all files lie in {above!r}, so the folders in it are taken as the classes")


def names(given: Sequence[str]) -> list[str]:
    """The classes as the command line gives them: one option with commas between them, or an option each.

    >>> names(['"Fees, charges",Refunds']), names(["Fees, charges", "Refunds"])
    (['Fees, charges', 'Refunds'], ['Fees, charges', 'Refunds'])
    """
    parts = next(csv.reader(given, skipinitialspace=True), []) if len(given) == 1 else given
    return [part.strip() for part in parts if part.strip()]


def twin(label: str, classes: Sequence[str]) -> str:
    """What to do about a label that looks like one of the classes; '' where none does."""
    alike = next((name for name in classes if spelling(name) == spelling(label)), None)
    return f"it looks like the class {alike!a}: write it so" if alike else ""


def _refuse_look_alikes(gold: str, found: Counter[str]) -> None:
    first_of: dict[str, str] = {}
    for label in sorted(found):
        other = first_of.setdefault(spelling(label), label)
        if other != label:
            raise InputError(
                f"{gold}: two classes look alike",
                expected="one spelling a class",
                got=f"{other!a} ({found[other]:,} rows) and {label!a} ({found[label]:,} rows)",
                fix="write them alike, in all files; if they are two classes, name all of them by --labels",
            )


def _title(root: Path) -> str:
    return root.name[:36] or "labelwise"


def _template(file: str) -> Path:
    """The file that a new workspace starts from."""
    return Path(labelwise.__file__).parent / file
