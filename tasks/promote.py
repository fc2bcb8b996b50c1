"""Stage `promote`: log the round to MLflow, register its model, and decide whether it is the new champion."""

import importlib.metadata
import json
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tasks.labels import ledger
from tasks.learners.serving import ENCODER_FILE
from tasks.services.dvc import Versions
from tasks.services.mlflow import Champion, RoundRun, Tracking
from tasks.settings import Settings
from tasks.snapshot import tag
from tasks.workspace import Workspace

LIBRARIES = ("labelwise", "torch", "transformers", "scikit-learn", "numpy", "pandas", "dvc", "mlflow", "prefect")


def passes(accuracy: float, gold: str, champion: Champion | None, tolerance: float) -> tuple[bool, str]:
    """Whether a model of this accuracy on this gold set (DVC's hash) replaces the champion, and why."""
    if champion is None:
        return True, "the first model"
    if champion.accuracy is None or champion.gold != gold:
        return True, f"version {champion.version} was measured on another gold set, so the newer model is taken"
    passed = accuracy >= champion.accuracy - tolerance
    verdict = "not worse than" if passed else "worse than"
    reason = f"gold accuracy {accuracy:.4f} is {verdict} version {champion.version}'s {champion.accuracy:.4f}"
    return passed, reason + (f" less {tolerance}" if tolerance else "")


def run(workspace: Workspace, versions: Versions, seconds: dict[str, float]) -> tuple[str, str]:
    """Log, register, decide. seconds: by stage. Returns the run's id ('' without a model) and a line for people."""
    metrics = gold_metrics(workspace)
    if "accuracy" not in metrics:
        return "", "no model yet"
    settings = workspace.settings
    tracking = Tracking(experiment(settings))
    with tempfile.TemporaryDirectory() as scratch:
        facts = facts_of(workspace, versions, metrics, seconds)
        run_id, version = tracking.record(facts, bundle(workspace, Path(scratch) / "classifier"))
    champion = tracking.champion()
    promoted, reason = passes(metrics["accuracy"], versions.hashes()["gold"], champion, settings.promote.tolerance)
    if promoted:
        tracking.crown(version)
    tracking.note(version, promoted=str(promoted).lower(), reason=reason)
    return run_id, f"version {version} {'is the champion' if promoted else 'stays behind'}: {reason}"


def facts_of(
    workspace: Workspace, versions: Versions, metrics: dict[str, float], seconds: dict[str, float]
) -> RoundRun:
    """All that the round's run says of where it came from."""
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
            "python": platform.python_version(),
            **{f"dvc.{name}": digest for name, digest in hashes.items()},
            **{f"version.{name}": importlib.metadata.version(name) for name in LIBRARIES},
        },
        inputs={name: (str(workspace.root / "data" / name), hashes[name]) for name in ("pool", "gold", "labels")},
    )


def bundle(workspace: Workspace, folder: Path) -> Path:
    """The model with what it needs to take text: the folder that `tasks.learners.serving` loads."""
    shutil.copytree(workspace.model, folder)
    encoder = workspace.settings.embed.model_dump()
    (folder / ENCODER_FILE).write_text(json.dumps(encoder), encoding="utf-8")
    return folder


def gold_metrics(workspace: Workspace) -> dict[str, float]:
    """What `evaluate` measured last; empty before the first round."""
    path = workspace.metrics / "gold.json"
    if not path.exists():
        return {}
    content: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return content


def experiment(settings: Settings) -> str:
    """The name of the workspace's experiment and registered model."""
    return f"{settings.project.name}-{settings.project.id}"


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
