"""Stage `report`: the figures of all rounds as a table, a curve and pictures."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from tasks.labels import ledger
from tasks.promote import gold_metrics
from tasks.workspace import Workspace, atomic, write_csv

INK, BAND, IDEAL = "#1f4e79", "#9dc3e6", "#999999"
CURVE = ["round", "labels", "accuracy", "low", "high", "macro_f1", "calibration_error", "asks"]


def curve(workspace: Workspace) -> pd.DataFrame:
    """The rounds so far (CURVE), from metrics/curve.csv."""
    path = workspace.metrics / "curve.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=CURVE)


def with_round(rounds: pd.DataFrame, number: int, labels: int, metrics: dict[str, float], asks: int) -> pd.DataFrame:
    """The curve with this round's row, which replaces one of the same number: a repeated round counts once."""
    row = {
        "round": number,
        "labels": labels,
        "accuracy": metrics.get("accuracy"),
        "low": metrics.get("accuracy_low"),
        "high": metrics.get("accuracy_high"),
        "macro_f1": metrics.get("macro_f1"),
        "calibration_error": metrics.get("calibration_error"),
        "asks": asks,
    }
    before = rounds[rounds["round"] < number].to_dict("records")
    return pd.DataFrame([*before, row], columns=CURVE)


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
    if gained == 0:
        return f"Round {int(last['round'])}: {now}"
    moved = f"your last {gained} labels took it from {before.accuracy:.1%} to {last.accuracy:.1%}"
    return f"Round {int(last['round'])}: {moved}. {now}"


def run(workspace: Workspace) -> str:
    """Add this round to metrics/curve.csv. Returns a line for people."""
    number = ledger.current_round(workspace.labels)
    labels = len(ledger.effective(ledger.read(workspace.labels)))
    asks = len(pd.read_parquet(workspace.batch))
    rounds = with_round(curve(workspace), number, labels, gold_metrics(workspace), asks)
    write_csv(workspace.metrics / "curve.csv", rounds)
    return news(rounds)


def seconds_by_stage(workspace: Workspace) -> pd.DataFrame:
    """A row a round, a column a stage, from metrics/seconds.csv."""
    path = workspace.metrics / "seconds.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame({"round": pd.Series(dtype="int64")})


# Pictures


def pictures(workspace: Workspace, folder: Path) -> list[Path]:
    """Draw what there is to draw of this round into `folder`."""
    rounds = curve(workspace).dropna(subset="accuracy")
    if rounds.empty:
        return []
    drawn = {
        "learning_curve.png": learning_curve(rounds),
        "confusion.png": confusion(
            pd.read_csv(workspace.metrics / "predictions.csv", dtype=str, keep_default_na=False)
        ),
        "calibration.png": calibration(pd.read_csv(workspace.metrics / "calibration.csv")),
    }
    for name, picture in drawn.items():
        picture.savefig(folder / name, dpi=110)
    return [folder / name for name in drawn]


def learning_curve(rounds: pd.DataFrame) -> Figure:
    """Accuracy against labels with its 95 % band."""
    picture = Figure(figsize=(7, 4), layout="constrained")
    axes = picture.subplots()
    axes.fill_between(rounds.labels, rounds.low, rounds.high, color=BAND, alpha=0.5, label="95 % interval")
    axes.plot(rounds.labels, rounds.accuracy, color=INK, marker="o", label="gold accuracy")
    axes.set(xlabel="labels", ylabel="accuracy on the gold set", title="What the labels bought")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return picture


def confusion(predictions: pd.DataFrame) -> Figure:
    """Which class is taken for which; rows are the truth and sum to 1."""
    counts = pd.crosstab(predictions.actual, predictions.predicted)
    names = sorted(set(counts.index) | set(counts.columns))
    shares = counts.reindex(index=names, columns=names, fill_value=0)
    shares = shares.div(shares.sum(axis=1).clip(lower=1), axis=0)
    size = min(4 + 0.25 * len(names), 16)
    picture = Figure(figsize=(size + 1, size), layout="constrained")
    axes = picture.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="actual", title="Confusion on the gold set")
    axes.set_xticks(range(len(names)), _short(names), rotation=60, ha="right")
    axes.set_yticks(range(len(names)), _short(names))
    picture.colorbar(image, label="share of the class")
    return picture


def calibration(bins: pd.DataFrame) -> Figure:
    """How often the model is right against how sure it is; on the line is honest."""
    picture = Figure(figsize=(5, 5), layout="constrained")
    axes = picture.subplots()
    axes.plot([0, 1], [0, 1], color=IDEAL, linestyle="--", label="honest")
    axes.scatter(bins.confidence, bins.correct, s=20 + 200 * bins["items"] / bins["items"].sum(), color=INK)
    axes.plot(bins.confidence, bins.correct, color=INK, label="this model (dots grow with items)")
    axes.set(xlabel="confidence", ylabel="share that is right", title="Calibration", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    return picture


def _short(names: list[str], most: int = 24) -> list[str]:
    """Names that fit an axis; `$` would start a formula."""
    return [(name if len(name) <= most else name[: most - 1] + "…").replace("$", r"\$") for name in names]


def as_link(picture: Path) -> str:
    """The picture as a data address, so that Prefect's page needs no further server to show it."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


# Seconds, kept through interruptions until the round is saved


def spent(workspace: Workspace) -> dict[str, float]:
    """Seconds by stage since the last saved round."""
    path = workspace.scraps / "seconds.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def spend(workspace: Workspace, stage: str, seconds: float) -> None:
    """Add to what a stage has taken."""
    times = spent(workspace)
    times[stage] = round(times.get(stage, 0.0) + seconds, 3)
    with atomic(workspace.scraps / "seconds.json") as scratch:
        scratch.write_text(json.dumps(times), encoding="utf-8")


def keep_spent(workspace: Workspace) -> None:
    """Write this round's row of metrics/seconds.csv."""
    number = ledger.current_round(workspace.labels)
    times = seconds_by_stage(workspace)
    row = pd.DataFrame([{"round": number, **spent(workspace)}])
    write_csv(workspace.metrics / "seconds.csv", pd.concat([times[times["round"] < number], row]))


def reset_spent(workspace: Workspace) -> None:
    """Start counting anew: the round is saved."""
    (workspace.scraps / "seconds.json").unlink(missing_ok=True)
