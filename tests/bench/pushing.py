"""Push: 1,000 tasks with suggestions, ours against one bare import by Label Studio's own SDK."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.items import stored
from labelwise.tasks.services.label_studio.delivery import deliver
from labelwise.tasks.services.label_studio.project import open_project
from tests.bench.figures import Estimate, Ratio, snippets, table, verdict

TASKS, REPEATS, WORDS, SEED = 1000, 10, 12, 0
GOAL = 1.3
BARE, PUSH, STAGE = "bare import", "labelwise.tasks.services.label_studio.delivery.deliver", "labelwise.tasks.push.run"


def bench(folder: Path) -> str:
    """Each way in turn, into fresh projects; who goes first rotates, for the server may tire or warm up."""
    workspace = _workspace(folder)
    names = [BARE, PUSH, STAGE]
    taken: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(REPEATS + 1):
        turn = repeat % len(names)
        for name in names[turn:] + names[:turn]:
            taken[name].append(_timed(workspace, name))
    seconds = pd.DataFrame(taken).iloc[1:]  # the first of a process pays for the others
    ratios = {name: Ratio(seconds[name].tolist(), seconds[BARE].tolist()) for name in (PUSH, STAGE)}
    rows = seconds.map(lambda value: f"{value:.2f}").add_suffix(", s").rename_axis("repeat").reset_index()
    return f"""## Push

{TASKS:,} tasks of {WORDS} words with a suggestion in the data of each, no predictions, each time into a fresh project,
three ways in turn: one `import_tasks` of label_studio_sdk; `{PUSH}`, which looks, imports the same tasks and
counts; `{STAGE}`, the whole stage, which also finds the project, reads the texts from the pool, tells the
reviewers the news, writes their instructions and makes the round's tab (small requests, whatever the number of tasks).
{REPEATS} repeats after one that does not count, seed {SEED}.

{table(rows)}

- **`{PUSH}`: {ratios[PUSH]:.2f} times the bare import**, goal at most {GOAL}: {verdict(ratios[PUSH], GOAL)}
- `{STAGE}`: {ratios[STAGE]:.2f} times the bare import, which takes {Estimate(seconds[BARE].tolist()):.2f} s; the same
  goal: {verdict(ratios[STAGE], GOAL)}
"""


def _workspace(folder: Path) -> Path:
    """A workspace after round 1 whose next batch is the whole pool."""
    from labelwise.tasks.labels import ledger
    from labelwise.tasks.records import BATCH, LABELS, POOL, content_id
    from labelwise.tasks.settings import Columns
    from labelwise.tasks.upkeep import init
    from labelwise.tasks.workspace import write_parquet

    rows = snippets(TASKS, WORDS, False, SEED)
    rows.to_csv(folder / "rows.csv", index=False)
    source = str(folder / "rows.csv")
    workspace = init.run(folder / "workspace", source, source, None, "bench", None, Columns())
    pool = rows.assign(id=rows.text.map(content_id), source_id=None)
    batch = {"rank": range(TASKS), "score": 0.5, "why": "uncertain", "propensity": None, "confidence": 0.5}
    write_parquet(workspace.pool / "shard-0000.parquet", pool, POOL)
    write_parquet(workspace.batch, pool.assign(prediction=pool.label, **batch), BATCH)
    ledger.append(workspace.labels, 1, LABELS.frame())
    return workspace.root


def _timed(root: Path, name: str) -> float:
    """Seconds for one push into a project that is made for it and removed after it."""
    from labelwise.tasks import push, settings
    from labelwise.tasks.workspace import Workspace

    settings.change(root / "params.yaml", {"project.id": f"{time.time_ns():x}"[-10:]})
    workspace = Workspace.open(root)
    project = open_project(workspace.settings)
    project.create(kinds.interface_of(workspace.settings))
    batch = pd.read_parquet(workspace.batch)
    wanted = push.tasks(batch, stored.cells_by_id(workspace, batch.id), 2, True)
    ways: dict[str, Callable[[], Any]] = {
        BARE: lambda: project.client.projects.import_tasks(project.number, request=wanted),
        PUSH: lambda: deliver(project, wanted, 2),
        STAGE: lambda: push.run(workspace, project, "news for the reviewers"),
    }
    started = time.perf_counter()
    ways[name]()
    seconds = time.perf_counter() - started
    with_all = project.count(2)
    project.client.projects.delete(project.number)
    if with_all != TASKS:
        raise RuntimeError(f"{name} brought {with_all} tasks, not {TASKS}")
    return seconds
