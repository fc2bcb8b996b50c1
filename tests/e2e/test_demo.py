"""`make demo` is `labelwise demo`; here with fewer articles, so that encoding them takes seconds."""

import json
from pathlib import Path

import pandas as pd
import pytest

from labelwise.flows import demo
from labelwise.tasks.reporting import status
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.workspace import Workspace


def test_the_demo_plays_three_rounds_and_leaves_a_batch_open(
    servers: Addresses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    articles = demo.bbc_news()
    assert len(articles) > 2000 and articles.label.nunique() == 5
    monkeypatch.setattr(demo, "bbc_news", lambda: articles.sample(300, random_state=0))
    folder = tmp_path / "demo"
    demo.demo(folder, print)
    said = capsys.readouterr().out
    assert "accuracy (95 %)" in said and "sign-in" in said
    seen = json.loads(status.status(Workspace.open(folder)).json())
    assert (seen["round"], seen["labels"], seen["asked"], seen["answered"]) == (3, 75, 25, 0)
    assert "label" not in pd.read_csv(tmp_path / "demo.source" / "pool.csv").columns
