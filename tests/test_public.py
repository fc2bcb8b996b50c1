"""What packages of others import, and what docs/extending.md shows of it."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import labelwise
from labelwise.tasks import learners, settings

ROOT = Path(labelwise.__file__).parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
# Others have built on these: a name may be added here, none taken away.
NAMES = [
    *("Answer", "Candidates", "Choice", "Classifier", "Content", "Examples", "InputError", "Items", "Labelled"),
    *("LabelwiseError", "Measured", "Model", "Settings", "Strategy", "Views", "load", "rule", "top"),
]


def test_the_public_names_are_these_and_each_says_what_it_is() -> None:
    assert labelwise.__all__ == NAMES
    assert {name for name in dir(labelwise) if not name.startswith("_")} >= {*NAMES}
    for name in NAMES:
        found = getattr(labelwise, name)
        assert len(found.__doc__ or "") > 10, name
        assert getattr(importlib.import_module(found.__module__), name) is found
    assert not hasattr(labelwise, "anything_else")


def test_to_import_it_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import labelwise; print(*sys.modules.keys() - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} - {"labelwise"} <= sys.stdlib_module_names


def run(marker: str) -> dict[str, Any]:
    """What an example of the page defines."""
    names: dict[str, Any] = {"__name__": "example"}
    sys.modules["example"] = SimpleNamespace(__dict__=names)  # type: ignore[assignment]  # dataclasses look it up
    exec(next(block for block in BLOCKS if marker in block), names)
    return names


def test_the_strategy_of_the_page_chooses() -> None:
    p = np.random.default_rng(0).dirichlet([1, 1, 1], size=50)
    candidates = labelwise.Candidates(p, lambda rows: p[rows])
    chosen = run("def ratio")["ratio"](candidates, 5, np.random.default_rng(0))
    assert len(set(chosen.indices)) == 5


def test_the_learner_of_the_page_learns_and_is_read_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = run("class Shares")
    module = SimpleNamespace(NAME="shares", fit=names["fit"], load=names["load"])
    monkeypatch.setattr(learners, "learners", lambda: {"shares": module} | learners.LEARNERS)
    items = labelwise.Items.of(np.eye(6, dtype=np.float32), list("abcdef"))
    params = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    settings.change(params, {"classes": ["x", "y"], "pull.pool": "pool.csv", "pull.gold": "gold.csv"})
    given = settings.read(params)
    with pytest.raises(labelwise.InputError, match="expected 5 labels"):
        names["fit"](labelwise.Examples(items.take(np.arange(2)), np.array([0, 1]), ["x", "y"]), items, given)
    model = names["fit"](labelwise.Examples(items, np.array([0, 0, 0, 1, 1, 0]), ["x", "y"]), items, given)
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")

    for place in (tmp_path, tmp_path / "model"):
        read = labelwise.load(place).predict(["some text", "more"])
        assert read.label.tolist() == ["x", "x"]
        assert read.confidence.tolist() == pytest.approx([2 / 3, 2 / 3])


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(labelwise.InputError, match=r"there is no model at .*nowhere: expected models:/NAME@ALIAS"):
        labelwise.load(tmp_path / "nowhere")
    with pytest.raises(
        labelwise.InputError, match=r"expected models:/NAME@ALIAS or models:/NAME/VERSION, got models:/x"
    ):
        labelwise.load("models:/x")
