"""Ledger rows for tests."""

from typing import Any

import pandas as pd

from labelwise.tasks.records import LABELS


def rows(*given: dict[str, Any]) -> pd.DataFrame:
    """Ledger rows; what is not given is as usual."""
    usual: dict[str, Any] = dict.fromkeys(LABELS.columns) | {"id": "a", "status": "labelled", "round": 1}
    return LABELS.conform(pd.DataFrame([usual | row for row in given], columns=list(LABELS.columns)))


def labelled(item: str, label: str, number: int, at: str = "2026-01-01") -> dict[str, Any]:
    return {"id": item, "label": label, "annotation_id": number, "task_id": number, "created_at": at}
