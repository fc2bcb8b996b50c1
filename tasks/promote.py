"""Stage `promote`: log the round to MLflow, register its model, and decide whether it is the new champion."""

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tasks import made_with
from tasks.errors import WorkspaceError
from tasks.labels import ledger, witness
from tasks.proof.gate import Comparison, compare
from tasks.records import tag
from tasks.services.dvc import Versions
from tasks.services.mlflow import RoundRun, Tracking
from tasks.settings import Promote, Settings
from tasks.snapshot import run_of
from tasks.workspace import Workspace, table_of_text

MODEL = "labelwise.model"  # tag of a run: the digest of the files that are registered


@dataclass(frozen=True)
class Decision:
    """Whether a model is the new champion, why, and the figures that say so."""

    promoted: bool
    reason: str
    figures: dict[str, float]


def decide(new: pd.DataFrame, old: pd.DataFrame | None, rule: Promote, seed: int) -> Decision:
    """Compare a model with the champion by their predictions (columns id, actual, predicted; weight unless all count
    alike) of the gold items that both were measured on. old: None before the first champion.

    `better`: the chance of so clear a lead between equal models is at most 1 - confidence. `not_worse`: the lower end
    of the difference's interval is above -tolerance. In a protected class the new model must not be shown to be worse.
    """
    if old is None:
        return Decision(True, "the first model", {})
    both = weighed(new).merge(weighed(old)[["id", "predicted", "weight"]], on="id", suffixes=("", "_old"))
    if both.empty:
        return Decision(True, "the champion was measured on other gold items, so the newer model is taken", {})
    # Gold only grows. The weights are those of the gold that both have seen: the old one's, unless items left it since.
    weights = both.weight_old if len(both) == len(old) else both.weight
    right, before = both.predicted == both.actual, both.predicted_old == both.actual

    def on(rows: pd.Series) -> Comparison:
        own, other = right[rows].to_numpy(), before[rows].to_numpy()
        return compare(own, other, weights[rows].to_numpy(), rule.confidence, seed)

    whole = on(pd.Series(True, index=both.index))
    figures = {
        "gate.items": float(whole.items),
        "gate.difference": whole.difference,
        "gate.low": whole.low,
        "gate.high": whole.high,
        "gate.p": whole.p_better,
    }
    level = 1 - rule.confidence
    for name in rule.protected:
        of_class = on(both.actual == name)
        figures[f"gate.worse.{name}"] = of_class.p_worse
        if of_class.p_worse <= level:
            reason = f"worse in the protected class {name}: {of_class.difference:+.3f} on {of_class.items} gold items"
            return Decision(False, reason, figures)
    shown = f"{whole.difference:+.4f} ({whole.low:+.4f} to {whole.high:+.4f}) on {whole.items} gold items"
    if rule.rule == "better":
        passed = whole.p_better <= level
        verdict = "better" if passed else "not shown to be better"
        return Decision(passed, f"{verdict} than the champion: {shown}, p = {whole.p_better:.3f}", figures)
    passed = whole.low >= -rule.tolerance
    verdict = "not worse" if passed else "it may be worse"
    return Decision(passed, f"{verdict} than the champion: {shown}, tolerance {rule.tolerance}", figures)


def weighed(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions, as they are or as the cells of a CSV, with what each item counts."""
    known = predictions.weight.astype(float) if "weight" in predictions else 1.0
    return predictions.assign(weight=known)


def rollback(workspace: Workspace) -> str:
    """Make the champion before the present one champion again. Returns a line for people. WorkspaceError when there is
    none."""
    tracking = open_tracking(workspace.settings)
    present = tracking.champion()
    before = present and tracking.tags(present.version).get("replaces")
    if present is None or not before:
        raise WorkspaceError(
            "there is no champion to go back to",
            expected="a champion that replaced another one",
            got=f"version {present.version}" if present else "no champion",
        )
    tracking.crown(before)
    tracking.note(present.version, rolled_back="true")
    return f"version {before} is the champion again; version {present.version} stays registered"


def run(workspace: Workspace, versions: Versions, seconds: dict[str, float]) -> tuple[str, str]:
    """Log, register, decide. seconds: by stage. Returns the run's id ('' without a model) and a line for people."""
    metrics = gold_metrics(workspace)
    if "accuracy" not in metrics:
        return "", "no model yet"
    settings = workspace.settings
    tracking = open_tracking(settings)
    predictions = workspace.metrics / "predictions.csv"
    with tempfile.TemporaryDirectory() as scratch:
        seen = Path(scratch) / witness.FILE
        shards = unseen(versions, ledger.current_round(workspace.labels))
        seen.write_text(witness.text(witness.table(workspace.labels, shards)), encoding="utf-8")
        model = bundle(workspace, Path(scratch) / "classifier")
        facts = facts_of(workspace, versions, metrics, seconds, model, shards)
        run_id, version = tracking.record(facts, model)
        tracking.attach(run_id, [predictions, seen])
    champion = tracking.champion()
    if champion is None or champion.version != version:  # an interrupted call may have crowned it already
        old = tracking.table(champion.run_id, predictions.name) if champion else None
        if champion is not None and old is None:
            decision = Decision(True, "the champion's predictions are gone, so the newer model is taken", {})
        else:
            decision = decide(table_of_text(predictions), old, settings.promote, settings.seed)
        replaces = {"replaces": champion.version} if champion and decision.promoted else {}
        figures = {name: f"{value:.6g}" for name, value in decision.figures.items()}
        tracking.note(version, promoted=str(decision.promoted).lower(), reason=decision.reason, **replaces, **figures)
        if decision.promoted:
            tracking.crown(version)
        said = f"{'is the champion' if decision.promoted else 'stays behind'}: {decision.reason}"
    else:
        said = "is the champion"
    return run_id, f"version {version} {said}"


def facts_of(
    workspace: Workspace,
    versions: Versions,
    metrics: dict[str, float],
    seconds: dict[str, float],
    model: Path,
    shards: range,
) -> RoundRun:
    """All that the round's run says of where it came from. model: the folder that is registered. shards: of the ledger,
    those that the run bears witness of."""
    settings = workspace.settings
    number = ledger.current_round(workspace.labels)
    rows = ledger.read(workspace.labels)
    hashes = versions.hashes()
    labels = float(len(ledger.effective(rows)))
    return RoundRun(
        number=number,
        params=flat(settings.model_dump(exclude={"project", "classes"})) | {"classes": str(len(settings.classes))},
        metrics=metrics | {"labels": labels} | {f"seconds.{stage}": value for stage, value in seconds.items()},
        tags={
            "labelwise.workspace": settings.project.id,
            "labelwise.round": str(number),
            "labelwise.tag": tag(number),
            "labelwise.inputs": versions.inputs(),
            "mlflow.source.git.commit": versions.head,
            "seed": str(settings.seed),
            **{f"dvc.{name}": digest for name, digest in hashes.items()},
            MODEL: digest_of(model),
            witness.DIGEST: witness.digest(witness.table(workspace.labels, shards)),
            witness.SHARDS: f"{shards[0]}-{shards[-1]}",
            **made_with.facts(),
        },
        inputs={name: (str(workspace.root / "data" / name), hashes[name]) for name in ("pool", "gold", "labels")},
    )


def bundle(workspace: Workspace, folder: Path) -> Path:
    """The model with what it needs to take text: the folder that `tasks.learners.serving` loads."""
    from tasks.learners.serving import ENCODER_FILE

    shutil.copytree(workspace.model, folder)
    encoder = workspace.settings.embed.model_dump()
    (folder / ENCODER_FILE).write_text(json.dumps(encoder), encoding="utf-8")
    return folder


def digest_of(model: Path) -> str:
    """The digest of a model's files."""
    files = sorted(path for path in model.rglob("*") if path.is_file())
    return made_with.digest((path.relative_to(model), path.read_bytes()) for path in files)


def unseen(versions: Versions, number: int) -> range:
    """The shards of the ledger that no earlier run bears witness of: those since the last round with a model."""
    earlier = range(number - 1, -1, -1)
    seen = next((n for n in earlier if versions.tagged(tag(n)) and run_of(versions.message(tag(n)))), -1)
    return range(seen + 1, number + 1)


def gold_metrics(workspace: Workspace) -> dict[str, float]:
    """What `evaluate` measured last; empty before the first round."""
    path = workspace.metrics / "gold.json"
    if not path.exists():
        return {}
    content: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return content


def open_tracking(settings: Settings) -> Tracking:
    """The workspace's runs and models in MLflow."""
    return Tracking(experiment(settings), settings.project.id)


def experiment(settings: Settings) -> str:
    """The name that a workspace's experiment and registered model are given; MLflow takes no `/` and `:` in it, and
    no path that leads out of a folder. Later they go by `Tracking.name`, since people change `project.name`."""
    return re.sub(r"[/:]|^\.\.", "-", f"{settings.project.name}-{settings.project.id}")


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted keys.

    >>> flat({"select": {"batch": 25}})
    {'select.batch': '25'}
    """
    result: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = str(value)[:500]
    return result
