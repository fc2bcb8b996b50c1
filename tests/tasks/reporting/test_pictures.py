"""Pictures bear any class name, on any ground."""
# ruff: noqa: F811

import base64
import json
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from labelwise.tasks import report
from labelwise.tasks.reporting import pictures
from labelwise.tasks.workspace import Workspace, write_json
from tests.tasks.proof.test_proof import played
from tests.tasks.test_report import workspace  # noqa: F401  (a fixture)

HOSTILE = [
    "$x_",
    "$a$b$ \\frac{1}",
    "<script>alert(1)</script>",
    "long " * 60,
    "NA",
    "null",
    "_hidden",
    "% {} \\",
    "a\nb",
    "Ä",
    ",",
    '"',
]


def test_pictures_bear_any_class_name(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[pd.DataFrame] = []
    draw = pictures.confusion
    monkeypatch.setattr(pictures, "confusion", lambda answers, kind: shown.append(answers) or draw(answers, kind))
    report.run(workspace)
    answers = pd.DataFrame({"id": HOSTILE, "actual": HOSTILE, "predicted": HOSTILE[1:] + HOSTILE[:1]})
    answers.to_csv(workspace.metrics / "predictions.csv", index=False)
    bins = pd.DataFrame({"confidence": [0.55, 0.95], "correct": [0.5, 1.0], "items": [2, 10]})
    bins.to_csv(workspace.metrics / "calibration.csv", index=False)
    folder = tmp_path / "pictures"
    folder.mkdir()

    drawn = pictures.pictures(workspace, folder)

    assert shown[0].actual.tolist() == HOSTILE  # a class called NA is a class
    assert [path.name for path in drawn] == ["learning_curve.png", "confusion.png", "calibration.png"]
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert base64.b64decode(pictures.as_link(path).removeprefix("data:image/png;base64,")) == path.read_bytes()
    assert plt.get_fignums() == []  # nothing is left open


def test_no_class_is_missing_from_the_confusion(tmp_path: Path) -> None:
    answers = pd.DataFrame({"actual": ["NA", "x", "x", "x"], "predicted": ["x", "x", "x", "never right"]})
    picture = pictures.confusion(answers)
    axes = picture.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["NA", "never right", "x"]
    shares = axes.images[0].get_array()
    assert shares is not None
    assert shares.tolist() == [[0, 0, 1], [0, 0, 0], [0, pytest.approx(1 / 3), pytest.approx(2 / 3)]]


def test_a_dollar_is_shown_as_a_dollar(tmp_path: Path) -> None:
    picture = pictures.confusion(pd.DataFrame({"actual": ["$x_$", "$"], "predicted": ["$", "$x_$"]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture.savefig(tmp_path / "picture.png")


def test_before_the_first_model_there_is_nothing_to_draw(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.metrics / "gold.json").write_text(json.dumps({"items": 4}))
    report.run(workspace)
    assert pictures.pictures(workspace, tmp_path) == []


def test_pictures_of_a_dark_page_are_light_on_nothing(workspace: Workspace, tmp_path: Path) -> None:
    report.run(workspace)
    pd.DataFrame({"id": ["a"], "actual": ["x"], "predicted": ["y"]}).to_csv(
        workspace.metrics / "predictions.csv", index=False
    )
    pd.DataFrame({"confidence": [0.5], "correct": [0.5], "items": [2]}).to_csv(workspace.metrics / "calibration.csv")
    write_json(workspace.metrics / "proof.json", {"savings": played(1.0, seed=0).as_json()})
    before = dict(mpl.rcParams)
    for theme, ink in ((pictures.LIGHT, 0), (pictures.DARK, 1)):
        image = plt.imread(pictures.pictures(workspace, tmp_path, theme)[0])
        assert image[0, 0, 3] == 0
        light = image[image[..., 3] == 1][:, :3].mean(axis=1)
        assert (np.abs(light - ink) < 0.2).mean() > 0.005
        assert (np.abs(light - (1 - ink)) < 0.05).mean() < 0.001
    assert dict(mpl.rcParams) == before


def test_confusions_weigh_the_gold_items_and_sum_to_one_where_gold_has_the_class() -> None:
    answers = pd.DataFrame({"actual": ["a", "a", "b"], "predicted": ["a", "b", "c"], "weight": ["3", "1", "0.5"]})
    shares = pictures.confusions(answers)
    assert shares.loc["a"].tolist() == [0.75, 0.25, 0.0]
    assert shares.loc["b"].tolist() == [0.0, 0.0, 1.0]
    assert shares.loc["c"].tolist() == [0.0, 0.0, 0.0]  # nothing of gold is a c
