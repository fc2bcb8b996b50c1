"""Stage `report`: the figures of all rounds as a table and a curve, what they cost, and what they advise."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks.gold import trusted
from labelwise.tasks.labels import ledger, renamed
from labelwise.tasks.promote import gold_metrics
from labelwise.tasks.proof import money, stopping
from labelwise.tasks.services import player
from labelwise.tasks.settings import one_of
from labelwise.tasks.workspace import Workspace, atomic, read_csv, read_json, read_parquet, write_csv

MEASURED = {"accuracy": "accuracy", "low": "accuracy_low", "high": "accuracy_high"}
MEASURED |= {name: name for name in ("macro_f1", "calibration_error")}
SETTLED = ["uncertainty", "kappa", "changed"]  # what the rules of tasks/proof/stopping.py look at
CURVE = ["round", "labels", *MEASURED, "asks", *SETTLED]
SAVINGS = ["round", "labels", "control", "verdict", "known"]  # known: whether what is projected is more than a prior
DEEDS = dict.fromkeys(("changed", "repeated", "withdrawn", "refused"), "answer") | dict.fromkeys(
    ("gone", "moved"), "task"
)
ENDS = {"": "middle", "_low": "low", "_high": "high"}
SAVINGS += [f"{name}{end}" for name in ("ratio", "projected", "saved") for end in ENDS]


def curve(workspace: Workspace) -> pd.DataFrame:
    """The rounds so far (CURVE), from metrics/curve.csv."""
    return kept(workspace, "curve.csv", CURVE)


def with_round(rounds: pd.DataFrame, row: dict[str, Any]) -> pd.DataFrame:
    """A table of rounds with this round's row, which replaces one of the same number: a repeated round counts once. The
    rows of earlier rounds stay as they were."""
    before = rounds[rounds["round"] < row["round"]].to_dict("records")
    return pd.DataFrame([*before, row], columns=rounds.columns)


def settling(now: pd.DataFrame, before: pd.DataFrame | None) -> dict[str, float | None]:
    """How sure the model is of the pool, and how far it agrees with the last one. Tables of scores (SCORES).

    uncertainty: mean least confidence; kappa: agreement beyond chance (Cohen 1960) on the items that both have seen;
    changed: share of these whose prediction is another one.
    """
    from sklearn.metrics import cohen_kappa_score

    if now.prediction.isna().all():
        return dict.fromkeys(SETTLED)
    sure: dict[str, float | None] = {"uncertainty": float(now.least_confidence.mean()), "kappa": None, "changed": None}
    if before is None or before.prediction.isna().all():
        return sure
    both = now[["id", "prediction"]].merge(before[["id", "prediction"]], on="id", suffixes=("", "_before"))
    if both.empty:
        return sure
    same = both.prediction == both.prediction_before
    one_class = same.all() and both.prediction.nunique() <= 1  # where kappa is 0 / 0
    kappa = 1.0 if one_class else float(cohen_kappa_score(both.prediction, both.prediction_before))
    return sure | {"kappa": kappa, "changed": float(1 - same.mean())}


def turned(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Gold items that one of two models gets right and the other wrong. Tables of predictions (id, actual, predicted).

    Columns id, actual, before, now (what either model says), right (whether the newer one is).
    """
    both = now[["id", "actual", "predicted"]].merge(before[["id", "predicted"]], on="id", suffixes=("", "_before"))
    right, was = both.predicted == both.actual, both.predicted_before == both.actual
    found = both.assign(right=right)[right != was]
    return found.rename(columns={"predicted": "now", "predicted_before": "before"}).reset_index(drop=True)


def table(rounds: pd.DataFrame, seconds: pd.DataFrame) -> pd.DataFrame:
    """The rounds for people, all cells text: round, labels, accuracy with its interval, then seconds by stage."""
    shown = pd.DataFrame(
        {
            "round": rounds["round"].astype(str),
            "labels": rounds["labels"].astype(str),
            "accuracy (95 %)": [figure(row) for row in rounds.to_dict("records")],
        }
    )
    times = rounds[["round"]].merge(seconds, on="round", how="left").drop(columns="round")
    return shown.join(times.map(lambda s: "" if pd.isna(s) else f"{s:.1f}").add_suffix(" s"))


def markdown(cells: pd.DataFrame) -> str:
    """A table of text as Markdown."""
    rows: list[list[str]] = [list(cells.columns), ["--:"] * cells.shape[1], *cells.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def figure(row: Mapping[Any, Any]) -> str:
    """An accuracy with its interval, for a table.

    >>> figure({"accuracy": 0.91, "low": 0.89, "high": 0.93})
    '0.910 (0.890-0.930)'
    """
    if pd.isna(row["accuracy"]):
        return "no model yet"
    return f"{row['accuracy']:.3f} ({row['low']:.3f}-{row['high']:.3f})"


def news(rounds: pd.DataFrame) -> str:
    """What the reviewers' last labels did to the accuracy, in words for the reviewers."""
    known = rounds.dropna(subset="accuracy")
    if known.empty:
        return "Your answers train a model. After each round this text says what they did to its accuracy."
    last = known.iloc[-1]
    now = f"With {int(last.labels)} labels the model is right in {last.accuracy:.1%} of the gold set"
    now += f" (95 % interval {last.low:.1%} to {last.high:.1%})."
    if len(known) == 1:
        return f"Round {int(last['round'])}: {now} That is the first model: thank you."
    before = known.iloc[-2]
    gained = int(last.labels - before.labels)
    if gained <= 0:  # labels may be withdrawn, and items forgotten
        return f"Round {int(last['round'])}: {now}"
    moved = f"your last {gained} labels took it from {before.accuracy:.1%} to {last.accuracy:.1%}"
    return f"Round {int(last['round'])}: {moved}. {now}"


def run(workspace: Workspace, before: Path | None = None) -> str:
    """Add this round to metrics/curve.csv and metrics/savings.csv. before: the scores of the round before this one,
    where they are at hand. Returns a line for people."""
    number = ledger.current_round(workspace.labels)
    metrics = gold_metrics(workspace)
    seen = ["id", "prediction", "least_confidence"]
    last = read_parquet(before, columns=seen) if before else None
    if last is not None:
        last = last.assign(prediction=renamed.today(last.prediction, workspace.settings.renamed))
    row = {
        "round": number,
        "labels": len(ledger.effective(ledger.read(workspace.labels))),
        **{column: metrics.get(name) for column, name in MEASURED.items()},
        "asks": len(read_parquet(workspace.batch)),
        **settling(read_parquet(workspace.scores, columns=seen), last),
    }
    rounds = with_round(curve(workspace), row)
    write_csv(workspace.metrics / "curve.csv", rounds)
    measured = proof(workspace).get("savings")
    if measured:
        known = measured.get("known", True)  # a round of before says nothing of it
        shown = ("ratio", "projected", "saved") if known else ("ratio",)
        figures = {f"{name}{end}": round(measured[name][key], 4) for name in shown for end, key in ENDS.items()}
        own = {
            "round": number,
            **{key: measured[key] for key in ("labels", "control", "verdict")},
            "known": known,
            **figures,
        }
        write_csv(workspace.metrics / "savings.csv", with_round(kept(workspace, "savings.csv", SAVINGS), own))
    return news(rounds)


def kept(workspace: Workspace, name: str, columns: list[str]) -> pd.DataFrame:
    """A table of rounds from metrics/ with these columns, and those that an earlier version wrote beside them; empty
    before the first."""
    path = workspace.metrics / name
    table = read_csv(path) if path.exists() else pd.DataFrame(columns=columns)
    return table.reindex(columns=list(dict.fromkeys([*columns, *table])))


def proof(workspace: Workspace) -> dict[str, Any]:
    """What `prove` found last; empty before the first round."""
    path = workspace.metrics / "proof.json"
    return read_json(path) if path.exists() else {}


def spending(workspace: Workspace) -> money.Costs:
    """What labels, trusted labels and computing came to so far."""
    prices = workspace.settings.prove
    rows = ledger.answers(ledger.read(workspace.labels))
    seconds, given = seconds_by_stage(workspace), trusted.answers(workspace)
    return money.costs(rows, seconds, prices.hourly_rate, prices.compute_rate, given)


def advice(workspace: Workspace) -> stopping.Advice:
    """Whether to stop, by the rule of the settings."""
    settings = workspace.settings
    rule = one_of("stop.rule", settings.stop.rule, stopping.RULES)
    history = curve(workspace).dropna(subset="accuracy").reset_index(drop=True)
    paid = spending(workspace)
    if paid.label is None and settings.stop.rule == "value":
        return stopping.Advice(False, "nobody knows yet how long an answer takes")
    if history.empty:
        return stopping.Advice(False, "no model yet")
    a_round = paid.compute / len(history)
    batch = (paid.label or 0.0) * float(history.asks.iloc[-1]) + a_round
    found: stopping.Advice = rule(history, stopping.Prices(batch, settings.prove.point_worth))
    return found


def deeds(events: pd.DataFrame) -> str:
    """What reviewers did besides answering (a table as of `ledger.happened`), in words.

    >>> deeds(pd.DataFrame({"changed": [0, 2], "gone": [1, 0]}))
    '2 answers changed, 1 task gone; the last in round 1'
    """
    total = events.sum()
    found = [f"{n} {word}" + "s" * (n != 1) + f" {name}" for name, word in DEEDS.items() if (n := total.get(name, 0))]
    return ", ".join(found) + f"; the last in round {events.index[events.any(axis=1)][-1]}" if found else ""


def limit(workspace: Workspace) -> str:
    """Which limit of the settings has been reached, in words; '' while none has."""
    stop, paid = workspace.settings.stop, spending(workspace).total
    rows = ledger.read(workspace.labels)
    reached = {
        "max_rounds": (ledger.current_round(workspace.labels), stop.max_rounds),
        "max_labels": (len(ledger.effective(rows)), stop.max_labels),
        "max_cost": (paid or 0.0, stop.max_cost),
    }
    return next(
        (f"stop.{name} ({most}) is reached" for name, (now, most) in reached.items() if most and now >= most), ""
    )


def seconds_by_stage(workspace: Workspace) -> pd.DataFrame:
    """A row a round, a column a stage: what all copies of the workspace have spent, together."""
    of_before = workspace.metrics / "seconds.csv"  # from when there was one file for all
    files = [*[of_before] * of_before.exists(), *sorted((workspace.metrics / "seconds").glob("*.csv"))]
    none = pd.DataFrame({"round": pd.Series(dtype="int64")})
    return pd.concat([none, *map(read_csv, files)]).groupby("round", as_index=False).sum(min_count=1)


def own_seconds(workspace: Workspace) -> Path:
    """The table of this copy: what a round takes differs from copy to copy, and git could not merge one file of two."""
    return workspace.metrics / "seconds" / f"{player.token(workspace)}.csv"


# Seconds, kept through interruptions until the round is saved


def spent(workspace: Workspace) -> dict[str, float]:
    """Seconds by stage since the last saved round."""
    path = workspace.scraps / "seconds.json"
    return read_json(path) if path.exists() else {}


def spend(workspace: Workspace, stage: str, seconds: float) -> None:
    """Add to what a stage has taken."""
    times = spent(workspace)
    times[stage] = round(times.get(stage, 0.0) + seconds, 3)
    with atomic(workspace.scraps / "seconds.json") as scratch:
        scratch.write_text(json.dumps(times), encoding="utf-8")


def keep_spent(workspace: Workspace) -> None:
    """Write this round's row of `own_seconds`."""
    number, path = ledger.current_round(workspace.labels), own_seconds(workspace)
    times = read_csv(path) if path.exists() else pd.DataFrame({"round": []})
    row = pd.DataFrame([{"round": number, **spent(workspace)}])
    write_csv(path, pd.concat([times[times["round"] < number], row]))


def reset_spent(workspace: Workspace) -> None:
    """Start counting anew: the round is saved."""
    (workspace.scraps / "seconds.json").unlink(missing_ok=True)
