"""A year of rounds: what a round costs beyond learning with 500 rounds and 50,000 labels behind it, against round 1.

The rounds in between are made, not played: the same ledger shards, commits, tags, DVC objects, tasks with answers,
tabs, runs and registered versions, in a real Label Studio and a real MLflow, without a model learning in each.
"""

import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from labelwise.flows.stages import REPRODUCIBLE
from labelwise.tasks import figures, records
from labelwise.tasks.services.label_studio.project import open_project
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.services.versions import differences, remote
from tests.bench.figures import Ratio, snippets, table, verdict

ROUNDS, BATCH, POOL, GOLD, WORDS, SEED = 500, 100, 51_500, 200, 8, 0
LEARNED = 300  # items that a model has seen; the others are only asked
MEASURED = 6  # rounds at either end; the first of a process pays for imports and does not count
GOAL = 2.0
OVERLAP = "1s"  # a year is made in minutes here: ten minutes of overlap would be half of it
OBJECTS = 8  # DVC's a round beside the ledger's: model, scores, batch, predictions...


def bench(folder: Path) -> str:
    """Play a few rounds without learning, make the years, play a few more."""
    from labelwise.tasks import snapshot
    from labelwise.tasks.services.versions.workspace import Versions

    workspace = workspace_after_one(folder)
    versions = Versions(workspace.root)
    with patch.object(snapshot, "OVERLAP", pd.Timedelta(OVERLAP)):
        early = pd.DataFrame([play_one(workspace, versions) for _ in range(MEASURED)])[1:]
        made = _years(workspace, versions)
        late = pd.DataFrame([play_one(workspace, versions) for _ in range(MEASURED)])[1:]
    rows = compared((early, late), ("round 1, s", f"round {ROUNDS}, s"), GOAL)
    return f"""## A year of rounds

A workspace with a pool of {POOL:,} snippets, batches of {BATCH}. {MEASURED - 1} rounds after the first, and as many
after {ROUNDS} rounds with {made:,} labels; each is all that a round does but learn, wait, and run under Prefect. The
rounds in between are made in minutes, with the same files, commits, tags, tasks, answers, tabs, runs and versions; so
the overlap of a look is {OVERLAP} here. A ratio is of the same part in the same run; in brackets 95 %.

{table(rows)}
"""


def compared(rounds: tuple[pd.DataFrame, pd.DataFrame], names: tuple[str, str], goal: float) -> pd.DataFrame:
    """A row a part: its seconds in rounds before and after, and how these compare."""
    before, after = rounds
    ratios = {part: Ratio(after[part].tolist(), before[part].tolist()) for part in before}
    seconds = {name: [f"{one[part].mean():.2f}" for part in ratios] for name, one in zip(names, rounds, strict=True)}
    verdicts = [verdict(ratio, goal) for ratio in ratios.values()]
    return pd.DataFrame(
        {"part": list(ratios), **seconds, "ratio": [f"{r:.2f}" for r in ratios.values()], f"at most {goal:g}": verdicts}
    )


class Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What happens in here belongs to `name`."""
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started


def play_one(workspace: Any, versions: Any) -> dict[str, float]:
    """One round but for its learning; seconds by part."""
    from labelwise.tasks import promote, push, report, snapshot, wait
    from labelwise.tasks.labels import ledger
    from labelwise.tasks.reporting import page, reviewers, status

    clock = Clock()
    project = open_project(workspace.settings)
    number = ledger.current_round(workspace.labels) + 1
    ledger._rows.cache_clear()  # as in a process of its own
    ledger._shard.cache_clear()
    with clock.part("check before anything is touched"):
        remote.refuse_missing(workspace)
        differences.refuse_side_tracks(versions)
        differences.refuse_rewriting(versions, "data/labels", "data/pool")
        differences.refuse_strange_changes(versions)
    with clock.part("push"):
        project.found
        push.run(workspace, project, "news")
    with clock.part("wait: one look"):
        wait.wait(project, number, BATCH, workspace.settings.wait, datetime.now(UTC), 0, lambda _: None, lambda _: None)
    _answer(workspace, project, number)
    ledger._rows.cache_clear()
    ledger._shard.cache_clear()
    with clock.part("status"):
        status.status(workspace)
    with clock.part("collect (snapshot.look)"):
        snapshot.look(workspace, project)
    collected = snapshot.look(workspace, project)
    with clock.part("commit of the labels"):
        ledger.append(workspace.labels, number, collected.rows)
        snapshot.save_labels(workspace, versions)
    _learn(workspace, number)
    with clock.part("record of the stages"):
        for stage in REPRODUCIBLE:
            versions.changed(stage)
            versions.record(stage)
    with clock.part("promote"):
        run_id, _ = promote.run(workspace, versions, {"train": 1.0})
    with clock.part("report"):
        figures.spend(workspace, "train", 1.0)
        report.run(workspace, versions.earlier("data/scores.parquet", snapshot.tag(number - 1)))
        page.write(workspace, versions, run_id)
        reviewers.write(workspace, versions)
        figures.keep_spent(workspace, number)
    with clock.part("commit of the round"):
        snapshot.run_round(workspace, versions, "accuracy 0.9", run_id)
    figures.reset_spent(workspace)
    return dict(clock.seconds) | {"**sum**": sum(clock.seconds.values())}


def _learn(workspace: Any, number: int) -> None:
    """What a round's learning leaves: figures that differ a little, and a batch of items nobody was asked."""
    from labelwise.tasks.records import BATCH as TABLE
    from labelwise.tasks.workspace import write_json, write_parquet

    rng = np.random.default_rng([SEED, number])
    gold = json.loads((workspace.metrics / "gold.json").read_text())
    write_json(workspace.metrics / "gold.json", gold | {"accuracy": round(0.8 + 0.1 * rng.random(), 6)})
    scores = pd.read_parquet(workspace.scores)
    write_parquet(workspace.scores, scores.assign(confidence=rng.random(len(scores))))
    ids = _pool(workspace).id[LEARNED + number * BATCH :][:BATCH]
    batch = pd.DataFrame({"id": ids, "rank": range(BATCH), "score": rng.random(BATCH), "why": "uncertain"})
    batch.loc[batch.index[: BATCH // 5], ["why", "propensity"]] = ["control", 0.1]
    write_parquet(workspace.batch, batch.assign(prediction=None, confidence=None), TABLE)


def _pool(workspace: Any) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path, columns=["id"]) for path in sorted(workspace.pool.glob("*.parquet"))])


def _truth(workspace: Any, items: pd.Series) -> list[str]:
    classes = workspace.settings.classes
    return [classes[int(item[:8], 16) % len(classes)] for item in items]


def _answer(workspace: Any, project: Any, number: int) -> None:
    """Everyone answers: the tasks are made anew with their answers, which one by one would take long."""
    tasks = project.tasks(number)
    _remove(project, tasks)
    project.add(_answered(workspace, tasks.id, number))


def _remove(project: Any, tasks: pd.DataFrame) -> None:
    selected = {"all": False, "included": tasks.task_id.tolist()}
    project.client.actions.create(id="delete_tasks", project=project.number, selected_items=selected)


def _answered(workspace: Any, items: pd.Series, number: int) -> list[dict[str, Any]]:
    """Tasks with their answers, in the format of an import."""
    from labelwise.tasks.kinds.choice import result as choice

    return [
        {
            "data": {"text": "a text of eight words for a task", "item": item, "round": number},
            "annotations": [{"result": choice(label), "lead_time": 4.5}],
        }
        for item, label in zip(items, _truth(workspace, items), strict=True)
    ]


# The years


def workspace_after_one(folder: Path) -> Any:
    """A real workspace after a real round 0, on a few items; the rest of its pool joins afterwards."""
    from labelwise.flows.loop import loop
    from labelwise.tasks import settings, snapshot
    from labelwise.tasks.items import stored
    from labelwise.tasks.labels import ledger
    from labelwise.tasks.records import POOL as TABLE
    from labelwise.tasks.records import content_id
    from labelwise.tasks.services.versions.workspace import Versions
    from labelwise.tasks.settings import Columns
    from labelwise.tasks.upkeep import init
    from labelwise.tasks.workspace import Workspace, write_parquet

    rows = snippets(POOL, WORDS, False, SEED)
    rows[:LEARNED][["text"]].to_csv(folder / "pool.csv", index=False)
    snippets(GOLD, WORDS, True, SEED).to_csv(folder / "gold.csv", index=False)
    root = folder / "years"
    init.run(root, str(folder / "pool.csv"), str(folder / "gold.csv"), None, "years", None, Columns())
    settings.change(root / "params.yaml", {"select.batch": BATCH, "train.learner": "frozen", "gold.reserve": 0.0})
    workspace = Workspace.open(root)
    loop(str(root), None, 0)
    versions = Versions(root)
    project = open_project(workspace.settings)
    _answer(workspace, project, 1)
    collected = snapshot.look(workspace, project)
    loop(str(root), None, 0)
    assert ledger.current_round(workspace.labels) == 1, collected
    _remove(project, project.tasks(2))
    bulk = rows[LEARNED:].assign(id=rows.text[LEARNED:].map(content_id), source_id=None)
    write_parquet(workspace.pool / f"shard-{len(stored.shards(workspace)) + 1:04d}.parquet", bulk, TABLE)
    versions.add(["data/pool"])
    _learn(workspace, 1)
    versions.save("the rest of the pool")
    versions.push()
    return workspace


def _years(workspace: Any, versions: Any) -> int:
    """Make the rounds in between; the number of labels then."""
    from labelwise.tasks import snapshot
    from labelwise.tasks.labels import ledger
    from labelwise.tasks.workspace import write_csv

    first = ledger.current_round(workspace.labels) + 1
    numbers = range(first, ROUNDS)
    project = open_project(workspace.settings)
    pool = _pool(workspace).id
    items = {number: pool[LEARNED + (number - 1) * BATCH :][:BATCH] for number in numbers}
    for chunk in (numbers[start : start + 10] for start in range(0, len(numbers), 10)):
        made = [task for number in chunk for task in _answered(workspace, items[number], number)]
        project.add(made)
        there = project.count_between(chunk[0], chunk[-1])
        assert there == len(made), f"Label Studio took {there} of {len(made)} tasks"  # it says nothing when it fails
    for number in numbers:
        tasks = project.tasks(number)
        asked = tasks.assign(round=number, why=np.where(np.arange(len(tasks)) % 5, "uncertain", "control"))
        exported = project.answered(tasks.task_id.tolist())
        rows = snapshot.collect(exported, asked.assign(propensity=0.1))
        ledger.append(workspace.labels, number, rows)
        project.tab(number)
    tracking, runs = open_tracking(workspace.settings), {}
    for number in numbers:
        runs[number] = _run(tracking, number)
    curve, kept = figures.curve(workspace), figures.seconds_by_stage(workspace)
    for number in numbers:
        _objects(workspace, number)
        row = curve.iloc[-1].to_dict() | {"round": number, "labels": number * BATCH}
        curve = figures.with_round(curve, row)
        write_csv(workspace.metrics / "curve.csv", curve)
        versions.save(f"round {number}: {BATCH} labels")
        kept = pd.concat([kept, kept.tail(1).assign(round=number)])
        write_csv(figures.own_seconds(workspace), kept)
        versions.save(
            f"round {number}: accuracy 0.9, asks {BATCH}\n\n{records.RUN}: {runs[number]}", snapshot.tag(number)
        )
    _learn(workspace, ROUNDS - 1)
    versions.add()
    for stage in REPRODUCIBLE:
        versions.record(stage)
    versions.save("the years are over")
    versions.push()
    return len(ledger.effective(ledger.read(workspace.labels)))


def _run(tracking: Any, number: int) -> str:
    """A run with what a run has, and a registered version, but no model."""
    from mlflow.entities import Metric, Param

    client, name = tracking.client, tracking.name
    experiment = client.get_experiment_by_name(name).experiment_id
    tags = {"labelwise.round": str(number), "labelwise.inputs": f"{number:016x}"} | {
        f"tag{at}": "x" for at in range(20)
    }
    run_id = client.create_run(experiment, run_name=f"round-{number:04d}", tags=tags).info.run_id
    metrics = [Metric(f"metric{at}", 0.5, 0, number) for at in range(30)]
    client.log_batch(run_id, metrics=metrics, params=[Param(f"param{at}", "x") for at in range(40)])
    client.set_terminated(run_id)
    client.create_model_version(name, f"runs:/{run_id}/model", run_id)
    return str(run_id)


def _objects(workspace: Any, number: int) -> None:
    """DVC's objects of a round, in cache and remote: the ledger as it was then, and what the stages wrote."""
    shards = sorted(workspace.labels.glob("round-*.parquet"))[: number + 1]
    contents = [os.urandom(2000) for _ in range(OBJECTS)] + [shards[-1].read_bytes()]
    entries = [{"md5": _md5(path), "relpath": path.name} for path in shards]
    listed = json.dumps(entries).encode()
    objects: list[tuple[str, bytes]] = [(_digest(each), each) for each in contents]
    for digest, content in [*objects, (f"{_digest(listed)}.dir", listed)]:
        for store in (workspace.root / ".dvc" / "cache", workspace.root.with_name(f"{workspace.root.name}.remote")):
            path = store / "files" / "md5" / digest[:2] / digest[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_bytes(content)
                path.chmod(0o444)


@cache
def _md5(path: Path) -> str:
    return _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
