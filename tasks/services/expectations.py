"""Great Expectations: whether a table passes its suite (tasks/items/suites.py), and the Data Docs that show it.

Importing it costs seconds. It is imported at the first check and its context is kept, so a process pays once, and one
that has nothing to check pays nothing.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from labelwise.tasks.records import Refusal
from labelwise.tasks.workspace import atomic

# Names in Great Expectations
PRESENT = "ExpectColumnValuesToNotBeNull"
ABSENT = "ExpectColumnValuesToBeNull"
ONE_OF = "ExpectColumnValuesToBeInSet"
NONE_OF = "ExpectColumnValuesToNotBeInSet"
BETWEEN = "ExpectColumnValuesToBeBetween"
UNIQUE = "ExpectColumnValuesToBeUnique"
SUM_BETWEEN = "ExpectColumnSumToBeBetween"


class Rule(NamedTuple):
    """One expectation of a column, and the plain words for when it fails; no two of a suite have the same words."""

    words: str
    column: str
    kind: str
    options: dict[str, Any] = {}  # noqa: RUF012
    detail: str = ""  # the words with {value:.0f} for what stood in the column, where that says more


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
class TableCheck:
    """Of a whole table: the broken table rules in plain words (none: it may be used), and its page."""

    broken: list[str]
    page: Page


# Checking


def refusals(suite: Suite, measures: pd.DataFrame) -> dict[int, Refusal]:
    """The rows that break a rule, by position, in order."""
    if measures.empty:
        return {}
    measures = measures.reset_index(drop=True)
    found: dict[int, Refusal] = {}
    results = _results(_validate(suite.name, suite.rows, measures, "COMPLETE"))
    for rule in suite.rows:
        for position in results[rule.words].result.get("unexpected_index_list") or []:
            reason = (rule.detail or rule.words).format(value=measures.at[position, rule.column])
            found.setdefault(int(position), Refusal(rule.words, reason))
    return dict(sorted(found.items()))


def checked(suite: Suite, measures: pd.DataFrame) -> TableCheck:
    """What the suite says of a whole table, given the measures of all its rows."""
    outcome = _validate(suite.name, suite.rows + suite.table, measures.reset_index(drop=True), "BASIC")
    results = _results(outcome)
    broken = [rule.words for rule in suite.table if not results[rule.words].success]
    return TableCheck(broken, Page(suite.name, _context().validation_results_store.serialize(outcome)))


def _validate(name: str, rules: list[Rule], measures: pd.DataFrame, detail: str) -> Any:
    """The outcome of all rules. No sample values, whatever the detail: they would end in the pages."""
    import great_expectations as gx
    from great_expectations import expectations as known

    expectations = [
        getattr(known, rule.kind)(column=rule.column, **rule.options, meta={"rule": rule.words}) for rule in rules
    ]
    batch = _batches().get_batch({"dataframe": measures})
    result_format = {"result_format": detail, "partial_unexpected_count": 0}
    return batch.validate(gx.ExpectationSuite(name, expectations=expectations), result_format=result_format)


def _results(outcome: Any) -> dict[str, Any]:
    """The results by the words of their rule; a rule that could not be evaluated is a fault of ours."""
    for result in outcome.results:
        if not result.success and not result.result:
            config = result.expectation_config
            raise RuntimeError(f"{config.type} on {config.kwargs} could not be evaluated: {result.exception_info}")
    return {result.expectation_config.meta["rule"]: result for result in outcome.results}


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
    results = {file.stem: file.read_text(encoding="utf-8") for file in folder.glob("results/*.json")} | dict(pages)
    with atomic(folder) as scratch:
        (scratch / "results").mkdir(parents=True)
        for suite, result in results.items():
            (scratch / "results" / f"{suite}.json").write_text(result, encoding="utf-8")
        _render(scratch, results)
    return folder / "index.html"


def _render(folder: Path, results: dict[str, str]) -> None:
    """The site, from a context of its own, so that one workspace's pages never show in another's."""
    _context()  # for what it sets before the import
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    for suite in sorted(results):
        _show(context, suite, results[suite])
    view = {"view": {"module_name": "labelwise.tasks.services.data_docs", "class_name": "Page"}}
    site: Any = {
        "class_name": "SiteBuilder",
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False} | view,
        "site_section_builders": {"expectations": view, "validations": view},
        "show_how_to_buttons": False,
    }
    context.add_data_docs_site("labelwise", site)
    context.build_data_docs(["labelwise"])
    shutil.rmtree(folder / "static")  # fonts and pictures that our pages do not show


def _show(context: Any, name: str, result: str) -> None:
    """Put a suite and its outcome into the stores that the site is built from."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types import resource_identifiers as keys

    outcome = context.validation_results_store.deserialize(result)
    run = RunIdentifier(run_name=name, run_time=datetime.now(UTC))
    outcome.meta["run_id"] = run
    key = keys.ValidationResultIdentifier(keys.ExpectationSuiteIdentifier(name), run, "rows")
    context.validation_results_store.set(key, outcome)
    suite = gx.ExpectationSuite(name)
    for each in outcome.results:
        each.expectation_config.kwargs.pop("batch_id", None)
        suite.add_expectation(each.expectation_config.to_domain_obj())
    context.suites.add(suite)
