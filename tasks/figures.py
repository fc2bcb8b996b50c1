"""The figures in metrics/: the one module that reads and writes them. And what each stage takes, until its round is
saved."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks.settings import Kind, MeasureName
from labelwise.tasks.workspace import (
    Workspace,
    atomic,
    copy_token,
    read_csv,
    read_json,
    table_of_text,
    write_csv,
    write_json,
)

ACCURACY = Kind().measure  # the share of right answers: people are told of it in other words than of a mean
MEASURED = {"score": "score", "low": "score_low", "high": "score_high"}  # columns of CURVE, by the names of `headline`
MEASURED |= {name: name for name in ("macro_f1", "calibration_error")}
SETTLED = ["uncertainty", "kappa", "changed"]  # what the rules of tasks/proof/stopping.py look at
CURVE = ["round", "labels", *MEASURED, "asks", *SETTLED]
ENDS = {"": "middle", "_low": "low", "_high": "high"}
SAVINGS = ["round", "labels", "control", "verdict", "known"]  # known: whether what is projected is more than a prior
SAVINGS += [f"{name}{end}" for name in ("ratio", "projected", "saved") for end in ENDS]


GOLD, PREDICTIONS, PER_CLASS, CALIBRATION = "gold.json", "predictions.csv", "per_class.csv", "calibration.csv"
PROOF, CHAMPION, FINISH = "proof.json", "champion.json", "finish.json"
WEAKLY = "weak.json"  # in model/
EXAMS = "exams.json"  # what learners were chosen by, of all rounds: `train` reads what it wrote in those before
OF_STAGES = (GOLD, PREDICTIONS, PER_CLASS, CALIBRATION, PROOF)  # what stages of dvc.yaml write


def file(workspace: Workspace, name: str) -> Path:
    """The file of that name, whether it is there or not."""
    return workspace.metrics / name


def tracked(name: str) -> str:
    """The same as git and DVC call it.

    >>> tracked(PREDICTIONS)
    'metrics/predictions.csv'
    """
    return f"metrics/{name}"


def logged_as(name: str) -> str:
    """What a figure is called in MLflow, which takes few signs; a class may have any.

    >>> logged_as("f1:süß & low"), logged_as("accuracy_low")
    ('f1:süß _ low', 'accuracy_low')
    """
    return re.sub(r"[^\w.: -]", "_", name)


# What the last round measured


def gold_metrics(workspace: Workspace) -> dict[str, float]:
    """What `evaluate` measured last, by the names that metrics/gold.json has; empty before the first round."""
    return _content(file(workspace, GOLD))


def headline(workspace: Workspace) -> dict[str, float]:
    """The same, and what the model is judged by (`evaluate.measure`) as `score`, `score_low` and `score_high`."""
    found, name = gold_metrics(workspace), workspace.settings.measure.text
    return found | {f"score{end}": found[name + end] for end in ("", "_low", "_high") if name + end in found}


def precise(metrics: Mapping[str, float], measure: MeasureName) -> str:
    """What precision a model has reached, in words; '' where none is asked for, or nothing is measured.

    >>> from labelwise.tasks.settings import measure_named
    >>> asked = measure_named("recall:spam at precision 0.9", "choice", ["ham", "spam"])
    >>> reached = {"precision:spam": 0.75, "precision:spam_low": 0.62, "precision:spam_high": 0.85}
    >>> print(precise({asked.text: 0.6, **reached}, asked))
    precision of spam 0.750 (0.620 to 0.850): below 0.9; finds that so many false alarms ask for count as misses
    """
    if measure.precision is None or measure.text not in metrics:
        return ""
    name = f"precision:{measure.of}"
    if name not in metrics:
        return f"it says {measure.of} of no gold item, as it does only where it expects that precision"
    value, low, high = (metrics[f"{name}{end}"] for end in ENDS)
    digits = 3 if round(value, 3) != measure.precision else 5
    said = f"precision of {measure.of} {value:.{digits}f} ({low:.3f} to {high:.3f})"
    if value >= measure.precision:
        return said
    doubt = "" if high < measure.precision else "perhaps "
    return f"{said}: {doubt}below {measure.precision}; finds that so many false alarms ask for count as misses"


def weakly(workspace: Workspace) -> dict[str, float | None]:
    """What weak labels did for the last model, see `learners.weakly.Compared`; empty where there are none."""
    return _content(workspace.model / WEAKLY)


def predictions(workspace: Workspace) -> pd.DataFrame:
    """What the last model says of each gold item, all cells text (id, actual, predicted, confidence, weight); no row
    and no column before the first round."""
    path = file(workspace, PREDICTIONS)
    return table_of_text(path) if path.exists() else pd.DataFrame()


def per_class(workspace: Workspace) -> pd.DataFrame:
    """How well the last model knows each class, all cells text; no row and no column before the first round."""
    path = file(workspace, PER_CLASS)
    return table_of_text(path) if path.exists() else pd.DataFrame()


def calibration(workspace: Workspace) -> pd.DataFrame:
    """How often the last model is right at each confidence (confidence, correct, items)."""
    return read_csv(file(workspace, CALIBRATION))


def keep_evaluation(
    workspace: Workspace,
    metrics: Mapping[str, float],
    predictions: pd.DataFrame,
    per_class: pd.DataFrame,
    calibration: pd.DataFrame,
) -> None:
    """Write what `evaluate` measured."""
    write_json(file(workspace, GOLD), {name: round(value, 6) for name, value in metrics.items()})
    write_csv(file(workspace, PREDICTIONS), predictions)
    write_csv(file(workspace, PER_CLASS), per_class)
    write_csv(file(workspace, CALIBRATION), calibration)


def drop_items(workspace: Workspace, ids: Collection[str]) -> None:
    """Take these items out of the predictions."""
    rows = predictions(workspace)
    if len(rows) and rows.id.isin(ids).any():
        write_csv(file(workspace, PREDICTIONS), rows[~rows.id.isin(ids)])


def proof(workspace: Workspace) -> dict[str, Any]:
    """What `prove` found last; empty before the first round."""
    return _content(file(workspace, PROOF))


def keep_proof(workspace: Workspace, found: dict[str, Any]) -> None:
    """Write metrics/proof.json."""
    write_json(file(workspace, PROOF), found)


def champion(workspace: Workspace) -> dict[str, Any]:
    """What the last round said of its champion, see `proof/champion.py`; empty before there was one."""
    return _content(file(workspace, CHAMPION))


def keep_champion(workspace: Workspace, found: dict[str, Any]) -> None:
    """Write metrics/champion.json."""
    write_json(file(workspace, CHAMPION), found)


def looks(workspace: Workspace) -> list[dict[str, Any]]:
    """The looks at models that finished the pool, or were to, see tasks/finish.py; the oldest first."""
    return list(_content(file(workspace, FINISH)).get("looks", []))


def keep_look(workspace: Workspace, found: Mapping[str, Any]) -> None:
    """Add a look to metrics/finish.json."""
    write_json(file(workspace, FINISH), {"looks": [*looks(workspace), found]})


def exams(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """What exams of learners have said (`gain`, `error`) and what they were `of`, by the number of labels; empty before
    there was one."""
    return _content(file(workspace, EXAMS))


def keep_exam(workspace: Workspace, labels: int, found: Mapping[str, Any]) -> None:
    """Write metrics/exams.json: an exam on so many labels takes the place of those on as many and more."""
    before = {number: exam for number, exam in exams(workspace).items() if int(number) < labels}
    write_json(file(workspace, EXAMS), {**before, str(labels): found})


def _content(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


# All rounds


def curve(workspace: Workspace) -> pd.DataFrame:
    """The rounds so far (CURVE), from metrics/curve.csv, where the column `score` has the name of the measure, such as
    accuracy. It is empty in rounds that were judged by another one."""
    settings, path = workspace.settings, file(workspace, "curve.csv")
    if settings.measure.text not in CURVE:
        return _rounds(path, CURVE, {settings.measure.text: "score"})
    rounds = _rounds(path, CURVE)  # a further figure of every round, but judged by only where there is no other
    others = rounds.drop(columns=CURVE).notna().any(axis=1)
    return rounds.assign(score=rounds[settings.measure.text].mask(others))


def trained(rounds: pd.DataFrame) -> bool:
    """Whether any of the rounds had a model, be it one that was not judged by the measure of today."""
    return bool(rounds[["score", "calibration_error"]].notna().any(axis=None))


def savings(workspace: Workspace) -> pd.DataFrame:
    """What the savings meter said in each round (SAVINGS), from metrics/savings.csv."""
    return _rounds(file(workspace, "savings.csv"), SAVINGS)


def add_to_curve(workspace: Workspace, row: dict[str, Any]) -> pd.DataFrame:
    """Write this round's row of metrics/curve.csv; returns the whole of it."""
    rounds, name = with_round(curve(workspace), row), workspace.settings.measure.text
    kept = rounds.drop(columns="score") if name in CURVE else rounds.rename(columns={"score": name})
    write_csv(file(workspace, "curve.csv"), kept)
    return rounds


def add_to_savings(workspace: Workspace, row: dict[str, Any]) -> None:
    """Write this round's row of metrics/savings.csv."""
    write_csv(file(workspace, "savings.csv"), with_round(savings(workspace), row))


def with_round(rounds: pd.DataFrame, row: dict[str, Any]) -> pd.DataFrame:
    """A table of rounds with this round's row, which replaces one of the same number: a repeated round counts once. The
    rows of earlier rounds stay as they were."""
    before = rounds[rounds["round"] < row["round"]].to_dict("records")
    return pd.DataFrame([*before, row], columns=rounds.columns)


def _rounds(path: Path, columns: list[str], names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A table of rounds with these columns, and those that another version wrote beside them; empty before the first
    round."""
    table = read_csv(path).rename(columns=names or {}) if path.exists() else pd.DataFrame(columns=columns)
    return table.reindex(columns=list(dict.fromkeys([*columns, *table])))


# Seconds, kept through interruptions until the round is saved


def seconds_by_stage(workspace: Workspace) -> pd.DataFrame:
    """A row a round, a column a stage: what all copies of the workspace have spent, together."""
    of_before = file(workspace, "seconds.csv")  # from when there was one file for all
    files = [*[of_before] * of_before.exists(), *sorted((file(workspace, "seconds")).glob("*.csv"))]
    none = pd.DataFrame({"round": pd.Series(dtype="int64")})
    return pd.concat([none, *map(read_csv, files)]).groupby("round", as_index=False).sum(min_count=1)


def own_seconds(workspace: Workspace) -> Path:
    """The table of this copy: what a round takes differs from copy to copy, and git could not merge one file of two."""
    return file(workspace, "seconds") / f"{copy_token(workspace)}.csv"


def spent(workspace: Workspace) -> dict[str, float]:
    """Seconds by stage since the last saved round."""
    return _content(workspace.scraps / "seconds.json")


def spend(workspace: Workspace, stage: str, seconds: float) -> None:
    """Add to what a stage has taken."""
    times = spent(workspace)
    times[stage] = round(times.get(stage, 0.0) + seconds, 3)
    with atomic(workspace.scraps / "seconds.json") as scratch:
        scratch.write_text(json.dumps(times), encoding="utf-8")


def keep_spent(workspace: Workspace, number: int) -> None:
    """Write round `number` of `own_seconds`."""
    path = own_seconds(workspace)
    times = read_csv(path) if path.exists() else pd.DataFrame({"round": []})
    row = pd.DataFrame([{"round": number, **spent(workspace)}])
    write_csv(path, pd.concat([times[times["round"] < number], row]))


def reset_spent(workspace: Workspace) -> None:
    """Start counting again: the round is saved."""
    (workspace.scraps / "seconds.json").unlink(missing_ok=True)
