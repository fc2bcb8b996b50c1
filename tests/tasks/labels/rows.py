"""Ledger rows for tests, and a workspace without labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.labels import consensus, ledger
from labelwise.tasks.records import LABELS, POOL
from labelwise.tasks.workspace import Workspace, write_parquet


def unlabelled(root: Path, content: dict[str, Any], ids: list[str], vectors: NDArray[np.floating]) -> Workspace:
    """A workspace with these items, whose dvc.yaml has the stage `agree`."""
    (root / "params.yaml").write_text(json.dumps(content))
    (root / "dvc.yaml").write_text(f"stages: {{agree: {{outs: [{consensus.FILE}]}}}}")
    here = Workspace(root)
    write_parquet(here.pool / "shard-0000.parquet", pd.DataFrame({"id": ids, "text": ids, "source_id": None}), POOL)
    here.vectors.mkdir()
    np.save(here.vectors / "shard-0000.npy", vectors.astype(np.float16))
    ledger.append(here.labels, 0, LABELS.frame())
    return here


def rows(*given: dict[str, Any]) -> pd.DataFrame:
    """Ledger rows; what is not given is as usual."""
    usual: dict[str, Any] = dict.fromkeys(LABELS.columns) | {"id": "a", "status": "labelled", "round": 1}
    return LABELS.conform(pd.DataFrame([usual | row for row in given], columns=list(LABELS.columns)))


def labelled(item: str, label: str, number: int, at: str = "2026-01-01") -> dict[str, Any]:
    return {"id": item, "label": label, "annotation_id": number, "task_id": number, "created_at": at}
