"""Synthetic texts, as they are written for people to read."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks.trial import synthesise


def test_a_text_that_a_spreadsheet_would_run_is_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pd.DataFrame({"text": ["fine (really)", "=HYPERLINK(A1)"], "parent_a": 0, "parent_b": 1, "synthetic": True})
    items: Any = SimpleNamespace(take=lambda _: SimpleNamespace(texts=lambda: []))
    monkeypatch.setattr(synthesise, "pool_vectors", lambda _: SimpleNamespace(gather=lambda _: np.zeros((2, 3))))
    monkeypatch.setattr(synthesise, "pool_items", lambda *_: items)
    monkeypatch.setattr(synthesise, "synthesise", lambda *_: made)
    pd.DataFrame({"id": ["a", "b"], "prediction": ["no", "yes"]}).to_parquet(tmp_path / "scores.parquet")
    workspace: Any = SimpleNamespace(scores=tmp_path / "scores.parquet", settings=SimpleNamespace(seed=0))
    said = synthesise.run(workspace, 2, tmp_path / "out.csv")
    assert said.startswith("1 synthetic texts in ") and "(1 left out: a spreadsheet would run them)" in said
    assert pd.read_csv(tmp_path / "out.csv").text.tolist() == ["fine (really)"]
