"""Stage `report`: the round's row in the tables of all rounds."""

from collections import Counter
from pathlib import Path

import pandas as pd

from labelwise.tasks import figures
from labelwise.tasks.figures import ENDS, MEASURED, SETTLED
from labelwise.tasks.labels import ledger, renamed
from labelwise.tasks.workspace import Workspace, read_parquet


def settling(now: pd.DataFrame, before: pd.DataFrame | None) -> dict[str, float | None]:
    """How sure the model is of the pool, and how far it agrees with the last one. Tables of scores (SCORES).

    uncertainty: mean least confidence; kappa: agreement beyond chance (Cohen 1960) on the items that both have seen;
    changed: share of these whose prediction is another one. A set of classes is one prediction.
    """
    if now.prediction.isna().all():
        return dict.fromkeys(SETTLED)
    sure: dict[str, float | None] = {"uncertainty": float(now.least_confidence.mean()), "kappa": None, "changed": None}
    if before is None or before.prediction.isna().all():
        return sure
    both = now[["id", "prediction"]].merge(before[["id", "prediction"]], on="id", suffixes=("", "_before"))
    if both.empty:
        return sure
    same = both.prediction == both.prediction_before
    n = len(both)
    counts, counts_before = Counter(both.prediction), Counter(both.prediction_before)
    differ, by_chance = n - int(same.sum()), n - sum(counts[each] * counts_before[each] for each in counts) / n
    kappa = 1 - differ / by_chance if by_chance else 1.0  # else all of one class: 0 / 0
    return sure | {"kappa": kappa, "changed": float(1 - same.mean())}


def run(workspace: Workspace, before: Path | None = None) -> pd.DataFrame:
    """Add this round to metrics/curve.csv and metrics/savings.csv. before: the scores of the round before this one,
    where they are at hand. Returns the rounds so far (CURVE)."""
    number = ledger.current_round(workspace.labels)
    metrics = figures.headline(workspace)
    seen = ["id", "prediction", "least_confidence"]
    last = read_parquet(before, columns=seen) if before else None
    if last is not None:
        last = last.assign(prediction=renamed.today(last.prediction, workspace.settings))
    row = {
        "round": number,
        "labels": len(ledger.effective(ledger.today(workspace))),
        **{column: metrics.get(name) for column, name in MEASURED.items()},
        "asks": len(read_parquet(workspace.batch)),
        **settling(read_parquet(workspace.scores, columns=seen), last),
    }
    measured = figures.proof(workspace).get("savings")
    if measured:
        known = measured.get("known", True)  # a round of before says nothing of it
        shown = ("ratio", "projected", "saved") if known else ("ratio",)
        ends = {f"{name}{end}": round(measured[name][key], 4) for name in shown for end, key in ENDS.items()}
        arms = {key: measured[key] for key in ("labels", "control", "verdict")}
        figures.add_to_savings(workspace, {"round": number, **arms, "known": known, **ends})
    return figures.add_to_curve(workspace, row)
