"""The rounds for people: their table, and what they are told of them in a sentence."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from labelwise.tasks.errors import quantity
from labelwise.tasks.figures import ACCURACY, trained

EVENTS = dict.fromkeys(("changed", "repeated", "withdrawn", "refused"), "answer") | dict.fromkeys(
    ("gone", "moved"), "task"
)


def turned(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Gold items that one of two models gets right and the other wrong. Tables of predictions (id, actual, predicted).

    Columns id, actual, before, now (what either model says), right (whether the newer one is).
    """
    both = now[["id", "actual", "predicted"]].merge(before[["id", "predicted"]], on="id", suffixes=("", "_before"))
    right, was = both.predicted == both.actual, both.predicted_before == both.actual
    found = both.assign(right=right)[right != was]
    return found.rename(columns={"predicted": "now", "predicted_before": "before"}).reset_index(drop=True)


def table(rounds: pd.DataFrame, seconds: pd.DataFrame, measure: str = ACCURACY) -> pd.DataFrame:
    """The rounds for people, all cells text: round, labels, the measure with its interval, then seconds by stage."""
    shown = pd.DataFrame(
        {
            "round": rounds["round"].astype(str),
            "labels": rounds["labels"].astype(str),
            f"{measure} (95 %)": [figure(row) for row in rounds.to_dict("records")],
        }
    )
    times = rounds[["round"]].merge(seconds, on="round", how="left").drop(columns="round")
    return shown.join(times.map(lambda s: "" if pd.isna(s) else f"{s:.1f}").add_suffix(" s"))


def markdown(cells: pd.DataFrame) -> str:
    """A table of text as Markdown."""
    rows: list[list[str]] = [list(cells.columns), ["--:"] * cells.shape[1], *cells.to_numpy().tolist()]
    shown = [[cell.replace("|", "\\|").replace("<", "&lt;") for cell in row] for row in rows]  # a class has any name
    return "\n".join("| " + " | ".join(row) + " |" for row in shown)


def figure(row: Mapping[Any, Any]) -> str:
    """A mean score with its interval, for a table.

    >>> figure({"score": 0.91, "low": 0.89, "high": 0.93})
    '0.910 (0.890-0.930)'
    """
    if pd.isna(row["score"]):
        return "no model yet" if pd.isna(row.get("calibration_error")) else "not measured"
    return f"{row['score']:.3f} ({row['low']:.3f}-{row['high']:.3f})"


def achieved(value: float, measure: str) -> str:
    """What a model does on gold items, in words that go on with "of ...".

    >>> achieved(0.9, "accuracy"), achieved(0.8, "set F1")
    ('the model is right in 90.0%', "the model's set F1 is 80.0% on the items")
    """
    right = f"the model is right in {value:.1%}"
    return right if measure == ACCURACY else f"the model's {measure} is {value:.1%} on the items"


def in_words(rounds: pd.DataFrame, measure: str = ACCURACY) -> str:
    """What the reviewers' last labels did to the mean score, in words for the reviewers."""
    known = rounds.dropna(subset="score")
    if known.empty and trained(rounds):
        return f"Your answers have trained a model. What its {measure} is cannot be told yet by the gold set."
    if known.empty:
        return f"Your answers train a model. After each round this text says what they did to its {measure}."
    last = known.iloc[-1]
    now = f"With {quantity(int(last.labels), 'label')} {achieved(last.score, measure)} of the gold set"
    now += f" (95 % interval {last.low:.1%} to {last.high:.1%})."
    if len(known) == 1:
        return f"Round {int(last['round'])}: {now} That is the first model: thank you."
    before = known.iloc[-2]
    gained = int(last.labels - before.labels)
    if gained <= 0:  # labels may be withdrawn, and items forgotten
        return f"Round {int(last['round'])}: {now}"
    moved = f"your last {quantity(gained, 'label')} took it from {before.score:.1%} to {last.score:.1%}"
    return f"Round {int(last['round'])}: {moved}. {now}"


def events_in_words(events: pd.DataFrame) -> str:
    """What reviewers did besides answering (a table as of `ledger.happened`), in words.

    >>> events_in_words(pd.DataFrame({"changed": [0, 2], "gone": [1, 0]}))
    '2 answers changed, 1 task gone; the last in round 1'
    """
    total = events.sum()
    found = [f"{quantity(int(n), word)} {name}" for name, word in EVENTS.items() if (n := total.get(name, 0))]
    return ", ".join(found) + f"; the last in round {events.index[events.any(axis=1)][-1]}" if found else ""
