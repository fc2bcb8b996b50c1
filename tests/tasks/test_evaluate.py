"""Stage `evaluate`: our figures against scikit-learn's and their definitions, the intervals against the truth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

from labelwise.tasks import evaluate, figures
from labelwise.tasks.evaluate import calibration_error, interval, reliability, spoken
from labelwise.tasks.gold import active_testing
from labelwise.tasks.kinds.choice import macro_f1
from labelwise.tasks.learners import Model, untrained
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.workspace import Workspace

CLASSES = ["NA", "b", "c", "d"]
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)
SURE = st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.3, 0.7, 0.9999999, 1.0])


def gold_set(actual: list[int]) -> pd.DataFrame:
    labels = pd.array([CLASSES[at] for at in actual], dtype="string")
    ids = [f"g{n}" for n in range(len(actual))]
    return pd.DataFrame({"id": ids, "text": ids, "label": labels})


def saying(predicted: list[int], confidence: float = 0.7) -> NDArray[np.float32]:
    """Probabilities whose best guess is as given."""
    p = np.full((len(predicted), len(CLASSES)), (1 - confidence) / 3, dtype=np.float32)
    p[np.arange(len(predicted)), predicted] = confidence
    return p


@given(pairs=PAIRS)
@settings(deadline=None, max_examples=40)
def test_accuracy_and_macro_f1_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    actual, predicted = map(list, zip(*pairs, strict=True))
    result = evaluate.evaluate(gold_set(actual), saying(predicted), CLASSES, resamples=2, seed=0)
    assert result.metrics["accuracy"] == pytest.approx(accuracy_score(actual, predicted))
    assert result.metrics["macro_f1"] == pytest.approx(f1_score(actual, predicted, average="macro"))
    f1 = f1_score(actual, predicted, average=None, labels=range(4), zero_division=0)
    assert result.per_class.f1.tolist() == pytest.approx(f1.tolist())
    assert result.per_class["items"].sum() == result.calibration["items"].sum() == len(pairs)


@given(answers=st.lists(st.tuples(st.booleans(), SURE), min_size=1, max_size=40))
def test_the_bins_of_confidence_are_as_defined(answers: list[tuple[bool, float]]) -> None:
    bins: dict[int, list[tuple[bool, float]]] = {}
    for right, sure in answers:
        bins.setdefault(min(int(sure * 10), 9), []).append((right, sure))
    correct, confidence = map(np.array, zip(*answers, strict=True))

    table = reliability(correct, confidence)
    assert table["items"].tolist() == [len(bins[number]) for number in sorted(bins)]
    assert table.correct.tolist() == pytest.approx([np.mean([r for r, _ in bins[n]]) for n in sorted(bins)])


@pytest.mark.parametrize(("off", "drawn"), [(0.0, False), (0.0, True), (0.1, False), (0.1, True)])
def test_the_calibration_error_is_near_the_truth_and_its_interval_holds_it(off: float, drawn: bool) -> None:
    """Confidence that is right, or 10 points too high, on 200 gold items, some of which were likelier to be drawn."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(150):
        sure = rng.beta(8, 1.5, 1000).clip(0.2, 1)
        picked = active_testing.draw(1 - sure, 200, rng)
        rows, given = picked.rows, active_testing.weights(picked.propensity, picked.among)
        if not drawn:
            rows, given = np.arange(200), np.ones(200)
        found.append(calibration_error(rng.random(200) < sure[rows] - off, sure[rows], given))
    value, low, high = np.transpose(found)
    assert 0.90 <= np.mean((low <= off) & (off <= high)) <= 1
    assert abs(np.median(value) - off) <= 0.02
    assert (low >= 0).all() and np.median(high) < off + 0.12


def test_a_gap_that_is_plain_is_found_and_weights_count_as_so_many_items() -> None:
    correct, sure = np.arange(400) % 2 == 0, np.full(400, 0.95)
    value, low, high = calibration_error(correct, sure)
    assert value == pytest.approx(0.45, abs=0.01) and 0.38 < low < value < high < 0.51
    heavy = calibration_error(correct, sure, np.full(400, 3.0))
    assert heavy == pytest.approx((value, low, high))
    assert calibration_error(np.array([True]), np.array([0.9]))[1:] == (0.0, 1.0)


def test_the_interval_covers_the_truth_in_about_95_cases_of_100() -> None:
    rng = np.random.default_rng(0)
    truth, cases, covered = 0.8, 200, 0
    for _ in range(cases):
        right = rng.random(150) < truth
        low, high = interval(lambda rows, right=right: float(right[rows].mean()), np.arange(150), 200, seed=1)
        covered += low <= truth <= high
    assert 0.90 <= covered / cases <= 0.99


@given(pairs=PAIRS)
@settings(deadline=None, max_examples=30)
def test_each_interval_holds_its_ends_in_order_and_the_same_seed_gives_the_same(pairs: list[tuple[int, int]]) -> None:
    actual, predicted = map(list, zip(*pairs, strict=True))
    results = [evaluate.evaluate(gold_set(actual), saying(predicted), CLASSES, 100, seed=3) for _ in range(2)]
    metrics = results[0].metrics
    for name in ("accuracy", "macro_f1", "calibration_error"):
        assert 0 <= metrics[f"{name}_low"] <= metrics[f"{name}_high"] <= 1
    assert metrics == results[1].metrics


def test_more_gold_makes_the_interval_narrower() -> None:
    widths = []
    for n in (20, 80, 320):
        result = evaluate.evaluate(gold_set([0] * n), saying([0, 0, 0, 1] * (n // 4)), CLASSES, 500, seed=0)
        widths.append(result.metrics["accuracy_high"] - result.metrics["accuracy_low"])
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_items_count_what_they_weigh() -> None:
    actual, predicted, weights = [0, 0, 1, 1, 2], [0, 1, 1, 0, 2], np.array([0.5, 2.0, 1.0, 0.25, 1.25])
    gold = gold_set(actual).assign(weight=weights)
    result = evaluate.evaluate(gold, saying(predicted), CLASSES, 100, seed=0)
    assert result.metrics["accuracy"] == pytest.approx(1 - 2.25 / 5)
    f1 = f1_score(actual, predicted, average="macro", sample_weight=weights)
    assert result.metrics["macro_f1"] == pytest.approx(f1)
    correct = np.array(actual) == predicted
    assert result.metrics["calibration_error"] == calibration_error(correct, saying(predicted).max(axis=1), weights)[0]
    assert result.predictions.weight.tolist() == weights.tolist()
    assert result.calibration["items"].tolist() == [5]
    assert result.per_class["items"].tolist() == [2, 2, 1, 0]
    alike = evaluate.evaluate(gold.assign(weight=1.0), saying(predicted), CLASSES, 100, seed=0)
    assert alike.metrics == evaluate.evaluate(gold_set(actual), saying(predicted), CLASSES, 100, seed=0).metrics


def test_one_gold_item_proves_nothing() -> None:
    metrics = evaluate.evaluate(gold_set([2]), saying([2]), CLASSES, 100, seed=0).metrics
    assert (metrics["accuracy"], metrics["accuracy_low"], metrics["accuracy_high"]) == (1, 0, 1)
    assert (metrics["macro_f1"], metrics["macro_f1_low"], metrics["macro_f1_high"]) == (1, 0, 1)


def test_a_class_that_does_not_occur_does_not_count() -> None:
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 1]), c=50) == 1.0


# The stage


def workspace_with(root: Path, model: Model) -> Workspace:
    """A gold set of which the last of four items points the wrong way."""
    made = Workspace(root)
    content: dict[str, Any] = {"project": {"name": "n", "id": "i"}, "pull": {"pool": "p", "gold": "g"}}
    (root / "params.yaml").write_text(json.dumps(content | {"classes": CLASSES, "evaluate": {"resamples": 100}}))
    made.gold.parent.mkdir(parents=True)
    gold_set([0, 1, 2, 3]).to_parquet(made.gold)
    made.vectors.mkdir()
    np.save(made.vectors / "gold.npy", np.eye(4, dtype=np.float16)[[0, 1, 2, 0]])
    made.model.mkdir()
    model.save(made.model)
    return made


def test_the_stage_writes_what_it_says(tmp_path: Path) -> None:
    head = Head(CLASSES, np.arange(4), 20 * np.eye(4, dtype=np.float32), np.zeros(4, dtype=np.float32))
    workspace = workspace_with(tmp_path, head)

    line = evaluate.run(workspace)

    metrics = json.loads((workspace.metrics / "gold.json").read_text())
    assert metrics["accuracy"] == 0.75
    assert metrics["items"] == 4
    assert line == spoken(metrics)
    assert line.startswith("accuracy 0.750 (95 % interval ")
    predictions = pd.read_csv(workspace.metrics / "predictions.csv", keep_default_na=False)
    assert predictions.actual.tolist() == CLASSES
    assert predictions.predicted.tolist() == ["NA", "b", "c", "NA"]


@pytest.mark.parametrize("at", [1, 3])
def test_the_stage_leads_with_the_measure_of_the_settings(tmp_path: Path, at: int) -> None:
    head = Head(CLASSES, np.arange(4), 20 * np.eye(4, dtype=np.float32), np.zeros(4, dtype=np.float32))
    workspace = workspace_with(tmp_path, head)
    content = json.loads((tmp_path / "params.yaml").read_text())
    content["evaluate"]["measure"] = f"f1:{CLASSES[at]}"
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    value = {1: "1.000", 3: "0.000"}[at]  # the last of four items is said to be of the first class
    assert evaluate.run(workspace).startswith(f"F1 of {CLASSES[at]} {value} (95 % interval ")
    assert figures.gold_metrics(workspace)["accuracy"] == 0.75
    assert figures.headline(workspace)["score"] == float(value)
    gold_set([0, 2]).to_parquet(workspace.gold)
    np.save(workspace.vectors / "gold.npy", np.eye(4, dtype=np.float16)[[0, 2]])
    lack = f"about 73 gold items of {CLASSES[at]} would give an interval of +-0.1: `labelwise gold grow N`"
    said = f"no gold item of {CLASSES[at]} to measure the F1 of {CLASSES[at]} by; {lack}"
    assert evaluate.run(workspace) == said
    assert "score" not in figures.headline(workspace)


@pytest.mark.parametrize(
    ("wanted", "value", "said"),
    [
        ("0.3", "1.000", "precision of NA 0.500 (0.095 to 0.905)"),
        (
            "0.9",
            "0.111",
            "precision of NA 0.500 (0.095 to 0.905): perhaps below 0.9; finds that so many false alarms",
        ),
    ],
)
def test_what_is_asked_for_at_a_precision_is_told_with_it(tmp_path: Path, wanted: str, value: str, said: str) -> None:
    head = Head(CLASSES, np.arange(4), 20 * np.eye(4, dtype=np.float32), np.zeros(4, dtype=np.float32))
    workspace = workspace_with(tmp_path, head)
    content = json.loads((tmp_path / "params.yaml").read_text())
    content["evaluate"]["measure"] = f"recall:NA at precision {wanted}"
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    line = evaluate.run(workspace)
    assert line.startswith(f"recall of NA (at precision {wanted}) {value} (95 % interval ")
    assert said in line
    assert figures.headline(workspace)["precision:NA"] == 0.5
    content["evaluate"]["measure"] = f"recall:{CLASSES[3]} at precision 0.9"
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    assert f"it says {CLASSES[3]} of no gold item" in evaluate.run(Workspace(tmp_path))


def test_a_gold_set_without_an_item_measures_nothing(tmp_path: Path) -> None:
    head = Head(CLASSES, np.arange(4), np.eye(4, dtype=np.float32), np.zeros(4, dtype=np.float32))
    workspace = workspace_with(tmp_path, head)
    gold_set([]).to_parquet(workspace.gold)
    assert evaluate.run(workspace) == "no gold item to measure by"
    assert json.loads((workspace.metrics / "gold.json").read_text()) == {"items": 0}


def test_round_0_has_the_same_tables_empty(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, untrained.Untrained(CLASSES))
    assert evaluate.run(workspace) == "no model yet"
    assert json.loads((workspace.metrics / "gold.json").read_text()) == {"items": 4}
    head = Head(CLASSES, np.arange(4), np.eye(4, dtype=np.float32), np.zeros(4, dtype=np.float32))
    (tmp_path / "later").mkdir()
    later = workspace_with(tmp_path / "later", head)
    evaluate.run(later)
    for name in ("predictions.csv", "per_class.csv", "calibration.csv"):
        empty, full = pd.read_csv(workspace.metrics / name), pd.read_csv(later.metrics / name)
        assert empty.empty
        assert empty.columns.tolist() == full.columns.tolist()
