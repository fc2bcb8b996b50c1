"""Label Studio at size: what a round costs with 500,000 answered tasks and 50,000 open ones behind it in its project,
against a round with none.

The tasks behind are copies of a real one with its answer, written into Label Studio's own database while it runs.
"""

import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from labelwise.tasks.services.home import home
from labelwise.tasks.services.label_studio.project import open_project
from tests.bench.figures import table
from tests.bench.years import BATCH, MEASURED, OVERLAP, compared, play_one, workspace_after_one

ANSWERED, OPEN, A_ROUND = 500_000, 50_000, 1_000
GOAL = 1.5
FIRST = 1_000_000  # round of these tasks: none that the loop asks for
LONG_AGO = "2020-01-01 00:00:00"  # no look takes them for late answers


def bench(folder: Path) -> str:
    """Play a few rounds, put the tasks there, play a few more."""
    from labelwise.tasks import snapshot
    from labelwise.tasks.services.versions.workspace import Versions

    workspace = workspace_after_one(folder)
    versions = Versions(workspace.root)
    with patch.object(snapshot, "OVERLAP", pd.Timedelta(OVERLAP)):
        few = pd.DataFrame([play_one(workspace, versions) for _ in range(MEASURED)])[1:]
        there = grown(open_project(workspace.settings))
        many = pd.DataFrame([play_one(workspace, versions) for _ in range(MEASURED)])[1:]
    rows = compared((few, many), ("with none, s", f"with {ANSWERED + OPEN:,}, s"), GOAL)
    return f"""## Label Studio with half a million tasks

The same rounds of {BATCH} as in *A year of rounds*, before and after {ANSWERED:,} answered tasks and {OPEN:,} open ones
were put into the project ({there:,} tasks are there at the end); Label Studio on SQLite. A ratio is of the same part in
the same run; in brackets 95 %.

{table(rows)}
"""


def grown(project: Any) -> int:
    """Copy an answered task of round 2 so often, its answer with it; how many tasks the project has then."""
    with sqlite3.connect(home() / "label-studio" / "label_studio.sqlite3", timeout=60) as database:
        (source,) = database.execute(
            "SELECT t.id FROM task t JOIN task_completion a ON a.task_id = t.id "
            "WHERE t.project_id = ? AND json_extract(t.data, '$.round') = 2 LIMIT 1",
            [project.number],
        ).fetchone()
        (first,) = database.execute("SELECT max(id) + 1 FROM task").fetchone()
        numbers = f"WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < {ANSWERED + OPEN - 1})"
        answered = f"k < {ANSWERED}"
        task = {
            "id": f"{first} + k",
            "inner_id": f"{first} + k",
            "data": f"json_set(data, '$.item', lower(hex(randomblob(8))), '$.round', {FIRST} + k / {A_ROUND})",
            "is_labeled": answered,
            "total_annotations": answered,
            "updated_at": f"'{LONG_AGO}'",
        }
        _copy(database, "task", task, f"{numbers} ", f"task, n WHERE id = {source}")
        annotation = {
            "id": None,
            "task_id": f"{first} + k",
            "unique_id": "lower(hex(randomblob(16)))",
            "created_at": f"'{LONG_AGO}'",
            "updated_at": f"'{LONG_AGO}'",
        }
        _copy(
            database,
            "task_completion",
            annotation,
            f"{numbers} ",
            f"task_completion, n WHERE task_id = {source} AND {answered}",
        )
        (there,) = database.execute("SELECT count(*) FROM task WHERE project_id = ?", [project.number]).fetchone()
    return int(there)


def _copy(database: sqlite3.Connection, name: str, changed: dict[str, str | None], given: str, source: str) -> None:
    """Insert rows of a table again, some columns changed; None for one that the database gives itself."""
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({name})") if changed.get(row[1], "") is not None]
    values = ", ".join(changed.get(column) or column for column in columns)
    database.execute(f"INSERT INTO {name} ({', '.join(columns)}) {given} SELECT {values} FROM {source}")
