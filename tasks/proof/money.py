"""What labels and computing cost, in the currency of the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from labelwise.tasks.figures import seconds_by_stage
from labelwise.tasks.gold import trusted
from labelwise.tasks.labels import ledger, roster, weak
from labelwise.tasks.proof.savings import Interval
from labelwise.tasks.workspace import Workspace

ASTRAY = 10.0  # a lead time this many times longer or shorter than the median says nothing about the work
WAITING = ("wait",)  # stages that cost no computing


@dataclass(frozen=True)
class Costs:
    """label: of one answer; None where no lead time is known. labels: of all answers. compute: of all stages so far.
    gold: of the answers that made trusted labels; part of the total, and of no saving: chance would need them, too.
    llm: of all that language models were asked."""

    seconds_a_label: float | None
    label: float | None
    labels: float | None
    compute: float
    gold: float = 0.0
    llm: float = 0.0

    @property
    def total(self) -> float:
        """Of all that is known: that of the labels may not be."""
        return (self.labels or 0.0) + self.compute + self.gold + self.llm


def seconds_a_label(lead_times: ArrayLike) -> float | None:
    """The mean seconds of an answer. A tab left open overnight and a click in no time count as ten times, or a tenth
    of, the median. None without any.

    >>> round(seconds_a_label([10, 12, 14, 40_000]), 1)
    41.5
    """
    times = np.asarray(lead_times, dtype=float)
    times = times[np.isfinite(times) & (times > 0)]
    if not len(times):
        return None
    middle = float(np.median(times))
    return float(np.clip(times, middle / ASTRAY, middle * ASTRAY).mean())


def costs(
    rows: pd.DataFrame,
    seconds: pd.DataFrame,
    hourly_rate: float,
    compute_rate: float,
    on_gold: pd.DataFrame | None = None,
    rates: Mapping[str, float] | None = None,
) -> Costs:
    """What the answers in the ledger (LABELS), those on gold items (ANSWERS) and the stages (a column each, in seconds;
    a row a round) came to. Rates are per hour; rates: of those who have their own, by annotator. An answer that was
    changed or withdrawn was given all the same."""
    answers = rows[rows.annotation_id.notna()]
    each, own = seconds_a_label(answers.lead_time_s), rates or {}
    label = None if each is None or answers.empty else paid_for(answers, each, hourly_rate, own) / len(answers)
    computed = seconds.drop(columns=["round", *WAITING], errors="ignore").to_numpy(dtype=float)
    gold = 0.0
    if on_gold is not None and len(on_gold):
        given = on_gold.drop_duplicates(["task_id", "annotation_id"], keep="last")
        gold = paid_for(given, seconds_a_label(given.lead_time_s) or each or 0.0, hourly_rate, own)
    compute = float(np.nansum(computed)) / 3600 * compute_rate
    return Costs(each, label, None if label is None else label * len(answers), compute, gold)


def paid_for(answers: pd.DataFrame, each: float, hourly_rate: float, rates: Mapping[str, float]) -> float:
    """What answers came to that take `each` seconds; those of who has a rate of their own (rates, by annotator), as
    long as theirs take, where that is known."""
    if not rates:
        return each / 3600 * hourly_rate * len(answers)
    paid = each / 3600 * hourly_rate * int((~answers.annotator.isin(list(rates))).sum())
    for who, rate in rates.items():
        own = answers[answers.annotator == who]
        paid += (seconds_a_label(own.lead_time_s) or each) / 3600 * rate * len(own)
    return paid


def net(saved: Interval, paid: Costs) -> Interval | None:
    """What labels that were not needed are worth, less all computing so far; with the same 90 % interval. None where
    nobody knows what a label costs."""
    if paid.label is None:
        return None
    return Interval(*(end * paid.label - paid.compute for end in (saved.middle, saved.low, saved.high)))


def spending(workspace: Workspace) -> Costs:
    """What labels, trusted labels and computing came to so far."""
    prices = workspace.settings.prove
    rows = ledger.answers(ledger.read(workspace.labels))
    seconds, given = seconds_by_stage(workspace), trusted.answers(workspace)
    rates = roster.rates(roster.read(workspace))
    paid = costs(rows, seconds, prices.hourly_rate, prices.compute_rate, given, rates)
    return replace(paid, llm=weak.spent(workspace))
