"""Stage `pull`: new rows of the sources into pool and gold set, bad ones into quarantine, each with its reason.

The pool grows by whole shards; a row already there is never written again, so pulling twice is pulling once. What is
refused: see suites.py and items/sifting.py.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from labelwise.tasks import errors, kinds, sources, stage
from labelwise.tasks.errors import InputError, quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import forgotten, sifting, stored, suites, unchanged
from labelwise.tasks.items.drafts import Drafts, drafting
from labelwise.tasks.items.identity import Ids
from labelwise.tasks.items.sifting import Seen, Sifted
from labelwise.tasks.kinds import Answer, Content, choice, context, files, text
from labelwise.tasks.kinds.base import Read
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.records import GOLD, POOL, QUARANTINE
from labelwise.tasks.services import expectations
from labelwise.tasks.services.versions import remote
from labelwise.tasks.settings import Columns, Pull, Settings
from labelwise.tasks.workspace import Workspace

SHOWN = 10  # labels or classes named in an error
SHOWN_CELL, SHOWN_ITEM = 120, 60  # characters of a label that cannot be read, and of its item or a file's name
LOOKED_AT = 10_000  # rows by which it is told what their columns are
SAMPLE = 1000  # items that a look gives


@dataclass(frozen=True)
class Pulled:
    """What a pull did. `refused`: rows of the sources by rule; `repeated`: rows there more than once in a source."""

    pool_rows: int
    new_pool: int
    repeated: int
    gold_rows: int
    new_gold: int
    refused: dict[str, int] = field(default_factory=dict)
    forgotten: int = 0
    docs: Path | None = None
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """One line.

        >>> Pulled(1200, 200, 3, 50, 0, {"text is blank": 2}).summary()
        'pool 1,200 items (200 new, 3 repeated), gold 50 (0 new), refused 2 (2 x text is blank)'
        """
        line = f"pool {quantity(self.pool_rows, 'item')} ({self.new_pool:,} new, {self.repeated:,} repeated)"
        line += f", gold {self.gold_rows:,} ({self.new_gold:,} new)"
        if self.refused:
            line += f", refused {sum(self.refused.values()):,} ({refusals_in_words(self.refused)})"
        if self.forgotten:
            line += f", left out {self.forgotten:,}: forgotten by request, yet the source has them"
        return line


def run(workspace: Workspace) -> Pulled:
    """Pull gold and pool of `workspace`; at once when the sources are as they were at the last pull.

    InputError: the workspace is as it was. Whatever interrupts it, the next pull completes it.
    """
    remote.refuse_missing(workspace)
    seen = unchanged.fingerprint(workspace)
    said = unchanged.recall(workspace, seen)
    if said:
        docs = _docs(workspace) / "index.html"
        return Pulled(**said | {"new_pool": 0, "new_gold": 0, "docs": docs if docs.exists() else None})
    folds = set(forgotten.read(workspace).fold)
    item = kinds.item(workspace.settings.kind.item)
    with drafting(workspace) as drafts:
        gold_rows, gold, gold_page = _pull_gold(workspace, drafts, folds)
        pool_rows, pool, pool_page = _pull_pool(workspace, drafts, set(map(item.fold, gold_rows[item.COLUMN])), folds)
        docs = expectations.build_docs(_docs(workspace), [gold_page, pool_page])
        drafts.place()
    lasting = [
        *gold.remarks,
        *unmeasured(gold_rows, workspace.settings),
        *out_of_sight(workspace, gold.cut + pool.cut),
    ]
    pulled = Pulled(
        pool_rows=pool_rows,
        new_pool=pool.new,
        repeated=gold.repeated + pool.repeated,
        gold_rows=len(gold_rows),
        new_gold=gold.new,
        refused=dict((gold.refused + pool.refused).most_common()),
        forgotten=gold.forgotten + pool.forgotten,
        docs=docs,
        warnings=[*noted("gold", gold), *noted("pool", pool), *lasting],
    )
    awaited = {"gold": gold.unread, "pool": pool.unread}
    unchanged.remember(workspace, seen, asdict(pulled) | {"docs": None, "warnings": lasting}, awaited)
    return pulled


def unmeasured(gold: pd.DataFrame, settings: Settings) -> list[str]:
    """A line for each class that has no row in the gold set."""
    answer = kinds.answer(settings.kind.answer)
    there = {name for label in set(gold["label"]) for name in answer.members(label)}
    missing = [name for name in settings.classes if name not in there]
    return [f"class {name!r} has no gold row: how well it is recognised cannot be measured" for name in missing]


def noted(source: str, tally: "Tally") -> list[str]:
    """A line for each thing that was done to new items so that they could be kept."""
    return [f"{source}: {count:,} of {tally.new:,} new {note}" for note, count in tally.notes.items()]


def out_of_sight(workspace: Workspace, cut: int) -> list[str]:
    """A line for each reason why reviewers see less context than the source has. cut: items with a cell that was."""
    pull, said = workspace.settings.pull, []
    if cut:
        have = quantity(cut, "item has", "items have")
        said.append(f"{have} context of more than {pull.max_chars:,} characters: kept up to there")
    if pull.columns.context and (without := stored.without_context(workspace)):
        said.append(f"{quantity(without, 'item')} pulled before pull.columns.context was set: shown without it")
    return said


def detected(source: str, columns: Columns, item: Content, encoding: str | None) -> tuple[Columns, list[str]]:
    """The columns with what the user has not said of them, by the first rows of the pool's source, and what is to be
    said of that, a line each; see `Content.detected`."""

    def look() -> pd.DataFrame:
        names = [name for name in sources.columns(source, encoding) or columns.features if name.strip()]
        parts = sources.chunks(source, names, LOOKED_AT, encoding=encoding, cells=Cells(figures=names))
        return next(parts, pd.DataFrame(columns=names))

    return item.detected(look, columns)


@dataclass(frozen=True)
class GoldLook:
    """What a first pull would make of the gold source: counted; its items by class; these folded; the first of
    them with their labels."""

    tally: "Tally"
    labels: dict[str, int]
    folds: set[str]
    items: list[tuple[str, str]]


@dataclass(frozen=True)
class PoolLook:
    """What a first pull would make of the pool's source: counted. cells: its first items. fates: of the items asked for
    that it has, the rule that refuses each, '' where it is taken. whole: whether it was read to its end."""

    tally: "Tally"
    cells: list[str]
    fates: dict[str, str]
    whole: bool


def look_at_gold(pull: Pull, classes: Sequence[str], answer: Answer = choice, item: Content = text) -> GoldLook:
    """Read the gold source as a first pull will, and keep nothing. InputError where the pull would stop."""
    gold = Tally()
    came = _rows(pull.gold, pull, labelled=True, answer=answer, item=item, tell=gold.remarks.append)
    rows = pd.concat([pd.DataFrame(columns=sifting.as_it_came(item)), *came])
    rows = rows.reset_index(drop=True)
    suite = suites.gold(pull.max_chars, pull.max_refused, classes, answer, item)
    measures = suites.measured(rows, classes, answer, item)
    none = GOLD.holding(item.COLUMN).frame()
    sifted = sifting.new_gold(rows, expectations.refusals(suite, measures), (), none, item)
    by_class = dict(Counter(name for label in sifted.new["label"] for name in answer.members(label)))
    gold.add(rows, measures, sifted, item)
    _refuse_broken(
        suite, gold, pull.gold, expectations.checked(suite, gold.measures) if len(gold.measures) else None, ""
    )
    first = sifted.new.head(SAMPLE)
    items = list(zip(first[item.COLUMN], first["label"], strict=True))
    return GoldLook(gold, by_class, set(map(item.fold, sifted.new[item.COLUMN])), items)


def look_at_pool(
    pull: Pull,
    gold_folds: set[str],
    ids: Collection[str] = (),
    most: int | None = None,
    item: Content = text,
    answer: Answer = choice,
) -> PoolLook:
    """Read the pool's source as a first pull will, and keep nothing. gold_folds: folded items of the gold set. ids:
    items whose fates are asked for. most: rows to be read at least, None: all. InputError where the pull would stop."""
    suite, seen, pool = suites.pool(pull.max_chars, pull.max_refused, item), Seen(), Tally()
    cells: list[str] = []
    found: dict[str, str] = {}
    whole = True
    for chunk in _rows(pull.pool, pull, labelled=False, answer=answer, item=item):
        if most is not None and len(pool.measures) >= most:
            whole = False
            break
        measures = suites.measured(chunk, item=item)
        sifted = sifting.new_pool(chunk, expectations.refusals(suite, measures), gold_folds, seen, item)
        pool.add(chunk, measures, sifted, item)
        cells += sifted.new[item.COLUMN].tolist()[: SAMPLE - len(cells)]
        why = sifted.refused | sifted.elsewhere
        for position, name in enumerate(ids_of(chunk[item.COLUMN], item) if ids else ()):
            if name in ids:
                found[name] = found.get(name, why[position].rule) if position in why else ""
    _refuse_broken(suite, pool, pull.pool, expectations.checked(suite, pool.measures) if pool.judged else None, "")
    return PoolLook(pool, cells, found, whole)


def ids_of(cells: Iterable[str | None], item: Content = text) -> list[str]:
    """The ids of items as they came, good or bad; a missing one counts as empty."""
    return [item.identify(item.tidy(cell or "")) for cell in cells]


# Gold, then pool


@dataclass
class Tally:
    """What came of the rows of one source, counted. cut: items of which a cell of context is kept in part. notes: of
    new items, see `Content.notes`. unread: names of files that cannot be used. files: the first of them for each
    reason. remarks: lines on how its labels were read."""

    new: int = 0
    repeated: int = 0
    forgotten: int = 0
    cut: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    judged: list[pd.DataFrame] = field(default_factory=list)  # the measures, for the verdict on the whole
    remarks: list[str] = field(default_factory=list)

    def add(self, rows: pd.DataFrame, measures: pd.DataFrame, sifted: Sifted, item: Content) -> None:
        """Count what came of these rows."""
        self.new += len(sifted.new)
        self.notes.update(item.notes(sifted.new[item.COLUMN].tolist()))
        self.repeated += sifted.repeated
        self.refused.update(refusal.rule for refusal in [*sifted.refused.values(), *sifted.elsewhere.values()])
        cells = rows[item.COLUMN].iloc[[*sifted.refused]]
        unread = files.unread_among(cells, item.files(Columns()))
        for cell, fault, refusal in zip(cells, unread, sifted.refused.values(), strict=True):
            if fault and (name := item.brief(cell)):
                self.unread.append(name)
                self.files.setdefault(refusal.rule, name)
        self.judged.append(suites.with_decisions(measures, sifted.refused, sifted.elsewhere))

    def kept(self, new: pd.DataFrame, most: int) -> pd.DataFrame:
        """New rows with cells of context of `most` characters."""
        if "context" not in new:
            return new
        short = new["context"].map(lambda cell: context.cut(cell, most), na_action="ignore").astype("string")
        self.cut += int((short != new["context"]).sum())
        return new.assign(context=short)

    @property
    def measures(self) -> pd.DataFrame:
        """Those of all rows."""
        return pd.concat([pd.DataFrame(), *self.judged], ignore_index=True)


def _pull_gold(workspace: Workspace, drafts: Drafts, folds: set[str]) -> tuple[pd.DataFrame, Tally, expectations.Page]:
    """Draft the gold set with its new rows; gives it whole. It fits into memory: people have labelled it by hand.

    folds: of what was forgotten, and stays out.
    """
    pull, classes, lapsed = workspace.settings.pull, workspace.settings.classes, workspace.settings.lapsed
    answer, item = kinds.answer(workspace.settings.kind.answer), kinds.item(workspace.settings.kind.item)
    tally = Tally()
    parts = list(_rows(pull.gold, pull, labelled=True, answer=answer, item=item, tell=tally.remarks.append))
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*sifting.as_it_came(item), "fault"])
    came, gone = forgotten.without(rows, folds, item)
    rows, gold = trusted.today(workspace, came), trusted.today(workspace, stored.gold(workspace))
    strange = strangers(gold["label"], [*classes, *lapsed], answer)
    fix = "`labelwise classes rename` says which class they are now, `labelwise classes drop` that they are none"
    _refuse_labels(f"gold: {workspace.gold} holds", strange, classes, fix)
    suite = suites.gold(pull.max_chars, pull.max_refused, [*classes, *lapsed], answer, item)
    measures = suites.measured(rows, [*classes, *lapsed], answer, item)
    refused = expectations.refusals(suite, measures)
    outside = rows["label"].iloc[[at for at, refusal in refused.items() if refusal.rule == suites.OUTSIDE]]
    strange = strangers(outside, [*classes, *lapsed], answer)
    fix = "correct the labels, or the classes by `labelwise classes add NAME` or `rename OLD NEW`; names that classes "
    fix += "had before go under `renamed` in params.yaml"
    _refuse_labels(f"gold: {quantity(len(outside), 'row has', 'rows have')}", strange, classes, fix)
    fine = sifting.identified(rows, refused, item)
    in_pool = stored.pool_folds(workspace, set(fine["fold"][~fine["id"].isin(gold["id"])]))
    # A row whose class there is no more is a new one when the file gives it a class of today.
    given = set(fine["id"][fine["label"].isin(classes)])
    anew = gold["label"].isin(lapsed) & gold["id"].isin(given)
    sifted = sifting.new_gold(rows, refused, in_pool, gold[~anew], item)
    tally.forgotten = gone
    tally.add(rows, measures, sifted, item)
    page = _passed(workspace, suite, tally, pull.gold)
    if len(sifted.new):
        kept = stored.gold(workspace)[~anew.to_numpy()]
        new = tally.kept(sifted.new, pull.max_chars)
        drafts.add(workspace.gold, pd.concat([kept, new], ignore_index=True), GOLD.holding(item.COLUMN))
    _set_aside(drafts, stored.next_gold_refused(workspace), came, sifted, stored.refused(workspace, "gold"), item)
    return pd.concat([gold[~anew], sifted.new], ignore_index=True), tally, page


def _pull_pool(
    workspace: Workspace, drafts: Drafts, gold_folds: set[str], folds: set[str]
) -> tuple[int, Tally, expectations.Page]:
    """Draft a shard of what is new, chunk by chunk; gives the size of the pool with it.

    folds: of what was forgotten, and stays out.
    """
    pull, kind = workspace.settings.pull, workspace.settings.kind
    answer, item = kinds.answer(kind.answer), kinds.item(kind.item)
    suite = suites.pool(pull.max_chars, pull.max_refused, item)
    seen, refused = stored.pool(workspace), stored.refused(workspace, "pool")
    shard, aside = stored.next_shard(workspace)
    tally = Tally()
    for chunk in _rows(pull.pool, pull, labelled=False, answer=answer, item=item):
        rows, gone = forgotten.without(chunk, folds, item)
        tally.forgotten += gone
        measures = suites.measured(rows, item=item)
        sifted = sifting.new_pool(rows, expectations.refusals(suite, measures), gold_folds, seen, item)
        tally.add(rows, measures, sifted, item)
        drafts.add(shard, tally.kept(sifted.new, pull.max_chars), POOL.holding(item.COLUMN))
        _set_aside(drafts, aside, rows, sifted, refused, item)
    return len(seen.stored) + tally.new, tally, _passed(workspace, suite, tally, pull.pool)


def _rows(
    source: str,
    pull: Pull,
    *,
    labelled: bool,
    answer: Answer = choice,
    item: Content = text,
    tell: Callable[[str], None] = lambda _line: None,
) -> Iterator[pd.DataFrame]:
    """The rows of a source under our names for the columns. A label is asked for only when `labelled`; the user's own
    key, group and context may be absent then: gold sets are often put together by hand. tell: gets what there is to
    say of how labels were read."""
    columns = pull.columns
    theirs = {"source_id": columns.id, "label": columns.label if labelled else None, "group": columns.group}
    named = {ours: column for ours, column in theirs.items() if column}
    asked = [*(own := item.columns(columns)), *named.values(), *columns.context]
    optional = [name for name in (columns.id, columns.group, *columns.context) if name] if labelled else []
    form = kinds.cells_of(item, answer, columns, theirs["label"])
    parts = sources.chunks(source, asked, optional=optional, encoding=pull.encoding, cells=form)
    for chunk in read_together(parts, answer) if labelled else parts:
        rows = pd.DataFrame(
            {item.COLUMN: item.read(chunk[own], pull), **{ours: chunk[column] for ours, column in named.items()}}
        )
        if labelled:
            read = answer.read_all(rows["label"].tolist(), rows[item.COLUMN].tolist(), pull.delimiter)
            rows["label"], rows["fault"] = read.labels, read.faults
            for remark in read.remarks:
                tell(f"{source}: {remark}")
        rows["source_id"] = _given(rows.get("source_id", [None] * len(rows)))
        if columns.group:
            rows["group"] = _given(rows["group"])
        if columns.context:
            cells = chunk[columns.context].itertuples(index=False, name=None)
            rows["context"] = pd.Series([context.packed(columns.context, row) for row in cells], dtype=object)
        yield rows


def read_together(parts: Iterable[pd.DataFrame], answer: Answer) -> Iterator[pd.DataFrame]:
    """The parts of a source whose labels are read at once: all of it where they name places, since any row may show in
    which unit those are counted; else as they come."""
    if not answer.PLACES:
        yield from parts
    elif frames := list(parts):
        yield pd.concat(frames, ignore_index=True)


def refuse_faults(
    source: str, cells: Iterable[str | None], read: Read, answer: Answer, items: Iterable[str | None]
) -> None:
    """InputError where a cell of labels cannot be read. items: what they are said of."""
    wrong = [each for each in zip(cells, read.faults, items, strict=True) if each[1]]
    if wrong:
        cell, fault, item = wrong[0]
        of_rows = quantity(len(wrong), "row")
        got, fix = refused_label(cell, item, answer), answer.FAULTS.get(fault or "", "")
        raise InputError(f"{source}: {of_rows}: {fault}", expected=answer.EXAMPLE, got=got, fix=fix)


def refused_label(cell: str | None, item: str | None, answer: Answer) -> str:
    """A cell of labels that cannot be read, in short, with the item where the label is about places in it."""
    return repr((cell or "")[:SHOWN_CELL]) + (f" for {(item or '')[:SHOWN_ITEM]!r}" if answer.PLACES else "")


def _given(cells: Iterable[str | None]) -> pd.Series:
    """None for a blank cell."""
    return pd.Series([cell if cell and cell.strip() else None for cell in cells], dtype=object)


def strangers(labels: Iterable[str], classes: Collection[str], answer: Answer) -> pd.Series:
    """The names in these labels that are no class, as often as they are said."""
    names = [name for label in labels for name in answer.members(label) if name not in classes]
    return pd.Series(names, dtype=object)


def _refuse_labels(holder: str, strange: pd.Series, classes: Sequence[str], fix: str) -> None:
    """InputError when there are `strange` labels: rather the classes are wrong than each of these rows."""
    if strange.empty:
        return
    counts = Counter(strange)
    got = ", ".join(f"{str(label)[:40]!r} ({count:,})" for label, count in counts.most_common(SHOWN))
    raise InputError(
        f"{holder} labels outside the classes",
        expected="one of " + errors.named(classes[:SHOWN]) + (", ..." if len(classes) > SHOWN else ""),
        got=got + (", ..." if len(counts) > SHOWN else ""),
        fix=fix,
    )


def _passed(workspace: Workspace, suite: expectations.Suite, tally: Tally, source: str) -> expectations.Page:
    """The page of a source whose rows may be used. InputError with the reasons when they may not."""
    verdict = expectations.checked(suite, tally.measures) if len(tally.measures) else None
    docs = expectations.build_docs(_docs(workspace), [verdict.page]) if verdict and verdict.broken else ""
    return _refuse_broken(suite, tally, source, verdict, f"see {docs}; ")


def _refuse_broken(
    suite: expectations.Suite, tally: Tally, source: str, verdict: expectations.TableCheck | None, docs: str
) -> expectations.Page:
    """InputError with the reasons when a source may not be used, else its page. docs: where more is said; '' where
    there is no workspace yet, and no settings that could be changed."""
    if verdict is None:
        where = f"check pull.{suite.name} in params.yaml" if docs else "name a source that has some"
        raise InputError(f"{suite.name}: {source} has no rows", fix=where)
    if verdict.broken:
        length = "pull.max_chars, " if any("characters" in rule for rule in tally.refused) else ""
        change = f"or change {length}pull.columns or pull.max_refused"
        change = change if docs else "name other columns of it, or take these rows out"
        raise InputError(
            f"{suite.name}: {source}: {' and '.join(verdict.broken)}",
            expected="usable rows",
            got=f"{refusals_in_words(tally.refused, tally.files)} among {quantity(len(tally.measures), 'row')}",
            fix=f"{docs}mend the source, {change}",
        )
    return verdict.page


def _set_aside(drafts: Drafts, path: Path, rows: pd.DataFrame, sifted: Sifted, known: Ids, item: Content) -> None:
    """Draft the refused rows that are not in quarantine yet. Adds to `known`."""
    refused = sifting.quarantined(rows, sifted.refused | sifted.elsewhere, item)
    drafts.add(path, refused[known.add(refused["id"])], QUARANTINE.holding(item.COLUMN))


def _docs(workspace: Workspace) -> Path:
    return workspace.scraps / "data_docs"


def refusals_in_words(counts: Mapping[str, int], such: Mapping[str, str] | None = None) -> str:
    """Refused rows by rule, in words. such: a name of one, of each rule that has any.

    >>> refusals_in_words({"file is empty": 2, "picture is missing": 1}, {"file is empty": "a.png"})
    "2 x file is empty ('a.png'), 1 x picture is missing"
    """
    names = {rule: f" ({name[:SHOWN_ITEM]!r})" for rule, name in (such or {}).items()}
    return ", ".join(f"{count:,} x {rule}{names.get(rule, '')}" for rule, count in counts.items()) or "none"


def main() -> None:
    """Pull in the current directory."""
    stage.main(run)


if __name__ == "__main__":
    main()
