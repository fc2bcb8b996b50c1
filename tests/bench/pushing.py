"""Push: 1,000 tasks with predictions, ours against one bare import by Label Studio's own SDK."""

import time
from pathlib import Path
from typing import Any

import pandas as pd

from tests.bench.figures import Estimate, Ratio, snippets, table, verdict

TASKS, PAIRS, WORDS, SEED = 1000, 10, 12, 0
GOAL = 1.3


def bench(_folder: Path) -> str:
    """Pairs of pushes into fresh projects; who goes first alternates, for the server may tire or warm up."""
    wanted = _tasks()
    ours, bare = [], []
    _timed(wanted, False)  # the first import in a process and a server's life pays for others
    _timed(wanted, True)
    for pair in range(PAIRS):
        seconds = {mine: _timed(wanted, mine) for mine in ((True, False) if pair % 2 else (False, True))}
        ours.append(seconds[True])
        bare.append(seconds[False])
    ratio = Ratio(ours, bare)
    rows = pd.DataFrame(
        {
            "pair": range(1, PAIRS + 1),
            "tasks.push, s": [f"{value:.2f}" for value in ours],
            "bare import, s": [f"{value:.2f}" for value in bare],
            "ratio": [f"{mine / theirs:.3f}" for mine, theirs in zip(ours, bare, strict=True)],
        }
    )
    return f"""## Push

{TASKS:,} tasks of {WORDS} words with predictions into a fresh project: `tasks.push.push` (looks first, imports, counts
after) against one `import_tasks` of label_studio_sdk with the same tasks into another fresh project. {PAIRS} pairs
after one that does not count, seed {SEED}.

{table(rows)}

- **ratio {ratio:.3f}**, goal at most {GOAL}: {verdict(ratio, GOAL)}
- ours {Estimate(ours):.2f} s, bare {Estimate(bare):.2f} s
"""


def _tasks() -> list[dict[str, Any]]:
    from tasks import push

    rows = snippets(TASKS, WORDS, False, SEED)
    names = [f"{position:016x}" for position in range(TASKS)]
    batch = pd.DataFrame({"id": names, "rank": range(TASKS), "prediction": rows.label, "confidence": 0.5})
    return push.tasks(batch, dict(zip(names, rows.text, strict=True)), 2, True)


def _timed(wanted: list[dict[str, Any]], mine: bool) -> float:
    """Seconds for one push into a project made for it and removed after it."""
    from tasks import push
    from tasks.services.label_studio import LabelStudioProject

    classes = sorted({task["predictions"][0]["result"][0]["value"]["choices"][0] for task in wanted})
    project = LabelStudioProject("bench", f"push-{time.time_ns()}")
    project.create(classes, True)
    started = time.perf_counter()
    if mine:
        push.push(project, wanted, 2)
    else:
        project.client.projects.import_tasks(project.number, request=wanted)
    seconds = time.perf_counter() - started
    project.client.projects.delete(project.number)
    return seconds
