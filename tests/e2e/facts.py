"""All that git, DVC, Label Studio and MLflow hold of a workspace, as a list of facts: lines of text without numbers and
times that servers give. Two workspaces that were played alike have the same facts, each as often."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks import figures
from labelwise.tasks.gold import trusted
from labelwise.tasks.labels import ledger
from labelwise.tasks.services.label_studio.project import open_project
from labelwise.tasks.services.mlflow import facts_of, open_tracking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace

LEDGER = ["id", "label", "status", "round", "origin", "why", "propensity"]
TIMED = "seconds."  # figures of how long a stage took, through all interruptions


def of(root: Path) -> list[str]:
    """The facts, sorted."""
    workspace = Workspace.open(root)
    facts = [*files(workspace), *versions(workspace), *label_studio(workspace), *mlflow(workspace)]
    return sorted(facts)


def files(workspace: Workspace) -> Iterator[str]:
    """Ledger, batch, figures, model."""
    for row in ledger.read(workspace.labels)[LEDGER].to_dict("records"):
        yield f"ledger {json.dumps(row, default=str)}"
    for row in pd.read_parquet(workspace.batch).to_dict("records"):
        yield f"batch {json.dumps(row, default=str)}"
    for row in trusted.seen(workspace).drop(columns=["source_id"]).to_dict("records"):
        yield f"trusted {json.dumps(row, default=str)}"
    for name in ("gold.json", "curve.csv", "predictions.csv", "proof.json", "exams.json"):
        path = workspace.metrics / name
        if path.exists():
            yield f"metrics {name} {digest(path.read_bytes())}"
    savings = workspace.metrics / "savings.csv"
    if savings.exists():
        yield f"metrics savings.csv {digest(savings.read_bytes())}"
    yield f"seconds of rounds {figures.seconds_by_stage(workspace)['round'].tolist()}"
    for path in sorted(workspace.model.rglob("*")):
        if path.is_file():
            yield f"model {path.name} {digest(path.read_bytes())}"
    for path in workspace.root.rglob(".*.part"):
        yield f"scrap {path.relative_to(workspace.root)}"
    for path in (workspace.root / "data").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield f"file {path.relative_to(workspace.root)}"


def versions(workspace: Workspace) -> Iterator[str]:
    """Commits and tags, what is not committed, and whether the remote holds all of it whole."""
    here = Versions(workspace.root)
    rounds = rounds_of_runs(workspace)
    for subject in here.git("log", "--format=%s").splitlines():
        yield f"commit {subject}"
    for tag in here.git("tag").splitlines():
        message = here.message(tag)
        run = message.partition("MLflow-Run: ")[2].strip()
        yield f"tag {tag} on {message.splitlines()[0]!r}, run of round {rounds.get(run, 'none')}"
    for line in here.git("status", "--porcelain").splitlines():
        yield f"uncommitted {line}"
    for lock in [*(workspace.root / ".git").rglob("*.lock")]:
        yield f"lock {lock.name}"
    here.git("fsck", "--no-dangling", "--no-progress")
    lacking = here.repo.status(cloud=True)
    changed = sorted(stage.rpartition(":")[2] for stage in here.repo.status())
    yield f"not in the remote: {sorted(lacking)}, changed: {changed}"
    remote = Path(f"{workspace.root}.remote") / "files" / "md5"
    for path in remote.glob("*/*"):
        name = path.parent.name + path.name.removesuffix(".dir")
        if hashlib.md5(path.read_bytes()).hexdigest() != name:
            yield f"broken in the remote: {path.name}"


def label_studio(workspace: Workspace) -> Iterator[str]:
    """Projects, tabs, tasks with what they suggest, answers."""
    project = open_project(workspace.settings)
    every: Any = project.client.projects.list(title=workspace.settings.project.id)
    for found in [each for each in every if project.end in each.title or each.id == project.found]:
        words = (found.description or "").partition(" More: ")[0]
        yield f"project, {found.task_number} tasks, said {words!r}"
        yield f"interface {digest((found.label_config or '').replace(project.mark, '').encode())}"
        views: Any = project.client.views.list(project=found.id)
        for view in views:
            yield f"tab {(view.data or {}).get('title')}"
        tasks: Any = project.client.tasks.list(project=found.id, page_size=1000, fields="all")
        for task in tasks:
            answers = sorted(_said(one) for one in task.annotations or [])
            asked = f"{task.data['item']} of round {task.data['round']}, {task.data.get('suggestion')!r}"
            yield f"task {asked}, answered {answers}"


def mlflow(workspace: Workspace) -> Iterator[str]:
    """Runs with their figures and files, models, versions, aliases."""

    client, experiment = _experiment(workspace)
    if experiment is None:
        return
    here, tracking = Versions(workspace.root), open_tracking(workspace.settings)
    rounds = rounds_of_runs(workspace)
    yield f"experiment, answer {experiment.tags.get('labelwise.answer', '')!r}"
    for run in client.search_runs([experiment.experiment_id]):
        tags, number, run_id = run.data.tags, run.data.tags["labelwise.round"], run.info.run_id
        commit = here.git("log", "-1", "--format=%s", tags["mlflow.source.git.commit"])
        yield f"run {run.info.run_name} of round {number}: {run.info.status}, from {commit!r}"
        for key in [key for key in run.data.metrics if not key.startswith(TIMED)]:
            points = len(client.get_metric_history(run_id, key))
            yield f"run of round {number}: {key} {run.data.metrics[key]}, {points} points"
        params = json.dumps(run.data.params, sort_keys=True)
        yield f"run of round {number}: {len(run.data.params)} parameters, {digest(params.encode())}"
        inputs = sorted((one.dataset.name, *(tag.value for tag in one.tags)) for one in run.inputs.dataset_inputs)
        yield f"run of round {number}: inputs {inputs}"
        for file in client.list_artifacts(run_id):
            yield f"run of round {number}: file {file.path}, {'empty' if not file.file_size else 'there'}"
    for model in client.search_logged_models([experiment.experiment_id]):
        yield f"model of the run of round {rounds.get(model.source_run_id)}: {model.status}"
    found = sorted(tracking._versions(), key=lambda version: int(version.version))
    rank = {version.version: position for position, version in enumerate(found)}
    champion = tracking.champion()
    yield f"champion: {rank.get(champion.version) if champion else None}"
    for version in found:
        own = client.get_run(version.run_id).data.tags
        facts = facts_of(version)
        inherited = all(facts.get(key) == own[key] for key in own if not key.startswith("mlflow."))
        said = {key: value for key, value in facts.items() if key not in own and key != "replaces"}
        replaced = rank.get(version.tags.get("replaces"))
        of_round = rounds.get(version.run_id)
        yield f"version of round {of_round}: replaces {replaced}, {json.dumps(said, sort_keys=True)}"
        yield f"version of round {of_round}: bears its run's tags {inherited}"
        kept = sorted(file.path for file in client.list_logged_model_artifacts(version.source.removeprefix("models:/")))
        yield f"version of round {of_round}: files {kept}"


def rounds_of_runs(workspace: Workspace) -> dict[str, str]:
    """The round of each run, by the run's id."""
    client, experiment = _experiment(workspace)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return {run.info.run_id: run.data.tags["labelwise.round"] for run in runs}


def _experiment(workspace: Workspace) -> tuple[Any, Any]:

    tracking = open_tracking(workspace.settings)
    return tracking.client, tracking.client.get_experiment_by_name(tracking.name)


def _said(one: Any) -> str:
    """The label of an annotation."""
    found = one if isinstance(one, dict) else one.dict()
    return str(found["result"][0]["value"]["choices"][0] if found.get("result") else None)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
