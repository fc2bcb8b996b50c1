"""Great Expectations: what must hold of pool, gold set and label ledger, and the Data Docs that show whether it does.

Great Expectations is given measures of a text (how long it is, whether it decodes) and never the text itself: so its
pages can carry nobody's words or markup, a text of 5 MB costs no more than a short one, and a chunk takes 0.1 s.
Labels outside the classes go in as "(another)" for the same reason.

Importing it costs seconds. It is imported at the first check and its context is kept, so a process pays once, and one
that has nothing to check pays nothing.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tasks.workspace import atomic

ANOTHER = "(another)"  # stands in the pages for any value that is not in a closed set
OUTSIDE = "label is outside the classes"
STATUSES = ("labelled", "skipped", "unanswered")
# What strip() leaves although nobody sees it: zero-width characters, soft hyphens, byte order marks.
INVISIBLE = " \t\r\n\u00ad\u200b\u200c\u200d\u2060\ufeff"


class Refusal(NamedTuple):
    """Why a row is refused: the rule it breaks, the same words for all such rows, and the reason with its figures."""

    rule: str
    reason: str


class Rule(NamedTuple):
    """One expectation: its class in Great Expectations, its options, and the plain words for when it fails."""

    kind: str
    options: dict[str, Any]
    rule: str
    reason: str = ""  # with {value:.0f} for what stood in the column; empty: the same words as `rule`


@dataclass(frozen=True)
class Suite:
    """What is expected of one table: `rows` of each row, the first broken rule counts; `table` of the whole."""

    name: str
    rows: list[Rule]
    table: list[Rule] = field(default_factory=list)


class Page(NamedTuple):
    """The outcome of a suite, without any of the values: what a page of the Data Docs is made of."""

    suite: str
    result: str  # JSON


@dataclass(frozen=True)
class Verdict:
    """Of a whole table: the broken table rules in plain words (none: it may be used), and its page."""

    broken: list[str]
    page: Page


@dataclass(frozen=True)
class CheckedLabels:
    """Of ledger rows: the refusals by row position, and the page for `build_docs`."""

    refusals: dict[int, Refusal]
    page: Page


# The suites


def pool(max_chars: int, max_refused: float) -> Suite:
    """The suite `pool`, over what `measured` gives. `verdict` wants the columns of `judged` as well."""
    return Suite("pool", _text_rules(max_chars), _source_rules(max_refused))


def gold(max_chars: int, max_refused: float, classes: Sequence[str]) -> Suite:
    """The suite `gold`: as the pool's, and a label from the classes in every row."""
    label = [
        Rule("ExpectColumnValuesToNotBeNull", {"column": "label"}, "label is missing"),
        Rule("ExpectColumnValuesToBeInSet", {"column": "label", "value_set": list(classes)}, OUTSIDE),
    ]
    return Suite("gold", _text_rules(max_chars) + label, _source_rules(max_refused))


def ledger(classes: Sequence[str]) -> Suite:
    """The suite `ledger`, over what `measured_labels` gives."""
    return Suite(
        "ledger",
        [
            Rule("ExpectColumnValuesToBeInSet", {"column": "id: known", "value_set": [True]}, "id was never asked"),
            _one_of("status", STATUSES, "status is none of " + ", ".join(STATUSES)),
            Rule("ExpectColumnValuesToNotBeNull", {"column": "round"}, "round is missing"),
            Rule("ExpectColumnValuesToBeBetween", {"column": "round", "min_value": 0}, "round is below 0"),
            _one_of("label: when labelled", classes, OUTSIDE),
            Rule("ExpectColumnValuesToBeNull", {"column": "label: when not labelled"}, "label without being labelled"),
            Rule(
                "ExpectColumnValuesToBeUnique",
                {"column": "annotation_id"},
                "annotation is there more than once",
                "annotation {value:.0f} is there more than once",
            ),
        ],
    )


def _text_rules(max_chars: int) -> list[Rule]:
    length = "text: characters"
    return [
        Rule("ExpectColumnValuesToNotBeNull", {"column": length}, "text is missing"),
        Rule("ExpectColumnValuesToBeBetween", {"column": "text: that show", "min_value": 1}, "text is blank"),
        Rule("ExpectColumnValuesToBeInSet", {"column": "row: is UTF-8", "value_set": [True]}, "row is not UTF-8"),
        Rule("ExpectColumnValuesToBeInSet", {"column": "text: has NUL", "value_set": [False]}, "text has a NUL"),
        Rule(
            "ExpectColumnValuesToBeBetween",
            {"column": length, "max_value": max_chars},
            f"text has more than {max_chars} characters",
            f"text has {{value:.0f}} characters, at most {max_chars} allowed",
        ),
    ]


def _source_rules(max_refused: float) -> list[Rule]:
    mostly = round(1 - max_refused, 12)  # 1 - 0.2 must not ask for a hair more than 0.8
    return [
        Rule(
            "ExpectColumnValuesToBeInSet",
            {"column": "row: refused", "value_set": [False], "mostly": mostly},
            f"more than {max_refused:.0%} of the rows are refused",
        ),
        Rule("ExpectColumnSumToBeBetween", {"column": "row: used", "min_value": 1}, "no row is left"),
    ]


def _one_of(column: str, values: Sequence[str], rule: str) -> Rule:
    return Rule("ExpectColumnValuesToBeInSet", {"column": column, "value_set": list(values)}, rule)


# What is measured


def measured(rows: pd.DataFrame, classes: Sequence[str] | None = None) -> pd.DataFrame:
    """Measures of each row (columns `text`, `source_id` and, with `classes`, `label`; cells str or None).

    Under 20 bytes a row: those of a whole source can be kept for its verdict.
    """
    texts = [text if isinstance(text, str) else None for text in rows["text"]]
    # Numbers as float64, missing as NaN: the only types that Great Expectations compares without a loop in Python.
    frame = pd.DataFrame(
        {
            "text: characters": pd.Series([None if text is None else len(text) for text in texts], dtype="float64"),
            "text: that show": pd.Series([None if text is None else _showing(text) for text in texts], dtype="float64"),
            "text: has NUL": [text is not None and "\0" in text for text in texts],
            "row: is UTF-8": [all(map(_decodes, cells)) for cells in rows.itertuples(index=False, name=None)],
        }
    )
    if classes is not None:
        frame["label"] = pd.Series([_closed(label, classes) for label in rows["label"]], dtype=object)
    return frame


def judged(frame: pd.DataFrame, refused: Sequence[bool], used: Sequence[bool]) -> pd.DataFrame:
    """The measures with what was decided of each row, for `verdict`."""
    frame = frame.reset_index(drop=True)
    frame["row: refused"] = pd.Series(refused, dtype=bool)
    frame["row: used"] = pd.Series(used, dtype="int8")
    return frame


def measured_labels(rows: pd.DataFrame, classes: Sequence[str], asked_ids: Collection[str]) -> pd.DataFrame:
    """Measures of ledger rows (records.LABELS)."""
    labelled = rows["status"].eq("labelled").fillna(False).to_numpy(dtype=bool)
    labels = [None if pd.isna(label) else str(label) for label in rows["label"]]
    return pd.DataFrame(
        {
            "id: known": [each in asked_ids for each in rows["id"]],
            "status": [each if each in STATUSES else ANOTHER for each in rows["status"].fillna("")],
            "round": rows["round"].astype("Int64").array,
            "label: when labelled": [
                (label if label in classes else ANOTHER) if yes else None
                for label, yes in zip(labels, labelled, strict=True)
            ],
            "label: when not labelled": [
                None if yes or label is None else ANOTHER for label, yes in zip(labels, labelled, strict=True)
            ],
            "annotation_id": rows["annotation_id"].astype("Int64").array,
        }
    )


def _showing(text: str) -> int:
    """How much of the text is left when its ends are stripped of what does not show."""
    return len(text.strip().strip(INVISIBLE))


def _decodes(cell: str | None) -> bool:
    """Whether the cell is proper Unicode: bytes that were no UTF-8 arrive as lone surrogates."""
    if not isinstance(cell, str) or cell.isascii():
        return True
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _closed(label: Any, classes: Sequence[str]) -> str | None:
    """The label where it is one of the classes; None where it is missing or blank."""
    if not isinstance(label, str) or not label.strip():
        return None
    return label if label in classes else ANOTHER


# Checking


def refusals(suite: Suite, frame: pd.DataFrame) -> dict[int, Refusal]:
    """The rows of `frame` that break a rule, by position, in order."""
    found: dict[int, Refusal] = {}
    if frame.empty:
        return found
    frame = frame.reset_index(drop=True)
    outcome = _validate(suite.name, suite.rows, frame, {"result_format": "COMPLETE"})
    for rule, result in zip(suite.rows, _in_order(outcome, suite.rows), strict=True):
        for position in result.result.get("unexpected_index_list") or []:
            if position not in found:
                value = frame.at[position, rule.options["column"]]
                found[int(position)] = Refusal(rule.rule, (rule.reason or rule.rule).format(value=value))
    return dict(sorted(found.items()))


def verdict(suite: Suite, frame: pd.DataFrame) -> Verdict:
    """What the suite says of a whole table: `frame` has the measures of all its rows, from `judged` for table rules."""
    rules = suite.rows + suite.table
    outcome = _validate(suite.name, rules, frame.reset_index(drop=True), {"result_format": "BASIC"})
    results = dict(zip([rule.rule for rule in rules], _in_order(outcome, rules), strict=True))
    broken = [rule.rule for rule in suite.table if not results[rule.rule].success]
    store = _context().validation_results_store
    return Verdict(broken, Page(suite.name, store.serialize(outcome)))


def check_labels(rows: pd.DataFrame, classes: Sequence[str], asked_ids: Collection[str]) -> CheckedLabels:
    """Check ledger rows (records.LABELS): known ids, closed sets, labels where and only where they belong.

    `annotation_id` is checked within `rows`: give the whole ledger for it to hold over the whole.
    """
    suite = ledger(classes)
    frame = measured_labels(rows, classes, asked_ids)
    return CheckedLabels(refusals(suite, frame), verdict(suite, frame).page)


def _validate(name: str, rules: list[Rule], frame: pd.DataFrame, result_format: dict[str, Any]) -> Any:
    """The outcome of all rules on `frame`. No sample values, whatever the format: they would end in the pages."""
    import great_expectations as gx
    from great_expectations import expectations as known

    expectations = [
        getattr(known, rule.kind)(**rule.options, meta={"rule": rule.rule, "place": place})
        for place, rule in enumerate(rules)
    ]
    batch = _batches().get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name, expectations=expectations)
    return batch.validate(suite, result_format=result_format | {"partial_unexpected_count": 0})


def _in_order(outcome: Any, rules: list[Rule]) -> list[Any]:
    """The results in the order of the rules; a rule that could not be evaluated is a fault of ours."""
    results = sorted(outcome.results, key=lambda result: int(result.expectation_config.meta["place"]))
    for rule, result in zip(rules, results, strict=True):
        if not result.success and not result.result:
            raise RuntimeError(f"{rule.kind} on {rule.options} could not be evaluated: {result.exception_info}")
    return results


@cache
def _context() -> Any:
    """The context of this process: in memory, silent."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


@cache
def _batches() -> Any:
    asset = _context().data_sources.add_pandas("labelwise").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("rows")


# Data Docs


def build_docs(folder: Path, pages: Sequence[Page]) -> Path:
    """Build the Data Docs in `folder`, offline, and give the path of index.html.

    Suites that `pages` leaves out keep the page they had. The folder is replaced whole and may be deleted: what the
    next build needs of it lies in its `results`.
    """
    all_pages = {page.suite: page for page in _kept(folder)} | {page.suite: page for page in pages}
    with atomic(folder) as scratch:
        (scratch / "results").mkdir(parents=True)
        for page in all_pages.values():
            (scratch / "results" / f"{page.suite}.json").write_text(page.result, encoding="utf-8")
        _render(scratch, sorted(all_pages.values()))
    return folder / "index.html"


def _kept(folder: Path) -> list[Page]:
    return [Page(each.stem, each.read_text(encoding="utf-8")) for each in sorted(folder.glob("results/*.json"))]


def _render(folder: Path, pages: Sequence[Page]) -> None:
    """The site, from a context of its own, so that one workspace's pages never show in another's."""
    _context()  # for what it sets before the import
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    for page in pages:
        _show(context, page)
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    site: Any = {"class_name": "SiteBuilder", "store_backend": backend, "site_index_builder": index}
    context.add_data_docs_site("labelwise", site | {"show_how_to_buttons": False})
    context.build_data_docs(["labelwise"])


def _show(context: Any, page: Page) -> None:
    """Put a suite and its outcome into the stores that the site is built from."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types import resource_identifiers as keys

    outcome = context.validation_results_store.deserialize(page.result)
    run = RunIdentifier(run_name=page.suite, run_time=datetime.now(UTC))
    outcome.meta["run_id"] = run
    key = keys.ValidationResultIdentifier(keys.ExpectationSuiteIdentifier(page.suite), run, "rows")
    context.validation_results_store.set(key, outcome)
    suite = gx.ExpectationSuite(page.suite)
    for result in outcome.results:
        config = result.expectation_config
        config.kwargs.pop("batch_id", None)
        suite.add_expectation(config.to_domain_obj())
    context.suites.add(suite)
