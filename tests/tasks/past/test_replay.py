"""What is the same, what is near enough on another machine, and what is named when it differs."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from labelwise.tasks.past import replay
from labelwise.tasks.past.replay import CLOSE, DIFFERS, EQUAL, IDENTICAL, Outcome
from labelwise.tasks.records import content_id
from labelwise.tasks.services.mlflow import Registered

TAGS = {"labelwise.tag": "round-0002", "labelwise.inputs": "in", "mlflow.source.git.commit": "c1"}


def weights(value: float) -> bytes:
    return bytes(safetensors.numpy.save({"w": np.full((2, 3), value, dtype=np.float32)}))


def outcome(accuracy: float = 0.9, confidence: str = "0.700000", score: float = 1.0, **changes: Any) -> Outcome:
    predictions = {"id": ["1e5"], "actual": ["x"], "predicted": ["x"], "confidence": [confidence], "weight": ["1"]}
    batch = {"id": ["a", "b"], "score": [score, np.nan], "propensity": [0.1, 0.1], "confidence": [0.5, 0.5]}
    made = Outcome(
        {"w": weights(1.0)},
        {"gold": {"accuracy": accuracy}, "proof": {"said": "x", "savings": None}},
        pd.DataFrame(predictions),
        pd.DataFrame(batch),
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("value", "exact", "verdict"),
    [
        (1.0, True, IDENTICAL),
        (1.0 + 2e-7, True, DIFFERS),
        (1.0 + 2e-7, False, EQUAL),
        (1.0 + 2e-4, False, CLOSE),
        (1.01, False, DIFFERS),
        (float("nan"), False, DIFFERS),
    ],
)
def test_weights(value: float, exact: bool, verdict: str) -> None:
    assert replay.model({"w": weights(1.0)}, {"w": weights(value)}, exact).verdict == verdict


def test_other_files_other_shapes_and_what_is_no_model_at_all() -> None:
    one = {"w": weights(1.0)}
    assert replay.model(one, one | {"more": b""}, False).said == "more is in one of them only"
    other = safetensors.numpy.save({"w": np.ones((3, 2), dtype=np.float32)})
    assert replay.model(one, {"w": other}, False).verdict == DIFFERS
    assert replay.model(one, {"w": b"\x80\x04 no model"}, False).verdict == DIFFERS
    config = [json.dumps({"classes": ["x"], "t": value}).encode() for value in (1.0, 1.0 + 1e-9)]
    assert replay.model({"c": config[0]}, {"c": config[1]}, False).verdict == EQUAL
    assert replay.model({"c": config[0]}, {"c": config[1]}, True).verdict == DIFFERS


def test_metrics_rebuilt_and_metrics_as_mlflow_has_them() -> None:
    then = outcome()
    assert replay.metrics(then, outcome(), {"accuracy": 0.9}, True).verdict == IDENTICAL
    assert replay.metrics(then, outcome(accuracy=0.900001), None, False).verdict == EQUAL
    assert replay.metrics(then, outcome(accuracy=0.91), None, False).said == "accuracy 0.9, rebuilt 0.91"
    assert replay.metrics(then, outcome(), {"accuracy": 0.95}, True).said == "accuracy 0.9, MLflow has 0.95"
    single = replay.metrics(then, outcome(confidence="0.800000"), None, False)
    assert (single.verdict, single.said) == (DIFFERS, "the predictions of single gold items or the savings differ")
    more = outcome()
    more.metrics["proof"] = then.metrics["proof"] | {"prevalence": {"items": 9}}  # found out by a later version alone
    assert replay.metrics(then, more, None, True).verdict == IDENTICAL
    assert replay.metrics(more, then, None, True).verdict == DIFFERS


def test_the_batch() -> None:
    then = outcome().batch
    assert replay.batch(then, then.copy(), True).verdict == IDENTICAL
    assert replay.batch(then, outcome(score=1.0 + 1e-8).batch, False).verdict == EQUAL
    assert replay.batch(then, outcome(score=1.0 + 1e-8).batch, True).verdict == DIFFERS
    assert replay.batch(then, then.assign(id=["a", "c"]), False).said == "it asked b; rebuilt, it asks c"
    assert replay.batch(then, then[::-1].reset_index(drop=True), False).said == "the same items in another order"


def test_a_text_that_was_changed_is_named_by_its_id_and_a_gold_label_by_what_was_measured() -> None:
    rows = pd.DataFrame({"id": [content_id("one"), content_id("two")], "text": ["one", "2"], "label": ["x", "y"]})
    assert replay.items(rows, [], ("h", "h")) == [f"item {content_id('two')}: its text was changed"]
    assert replay.items(rows[:1], ["f"], ("h1", "h2")) == ["f is not what its hash says", "DVC hash h1, MLflow has h2"]
    seen = pd.DataFrame({"id": rows.id, "actual": ["x", "x"]})
    assert replay.gold_labels(rows, seen) == [f"item {rows.id[1]}: gold label 'y', but the round was measured by 'x'"]
    assert len(replay.gold_labels(rows, seen[:1])) == 1 and replay.gold_labels(rows, None) == []


def test_the_tag_against_mlflow() -> None:
    version = Registered("3", "r", TAGS, TAGS, {})

    def said(*known: Registered, named: str = "r", inputs: str = "in", history: tuple[str, ...] = ("c1", "c2")) -> str:
        return replay.commit("round-0002", named, inputs, history, known).said

    assert said(version) == "version 3 and its run were made from it"
    assert "params.yaml or dvc.lock is not the one" in said(version, inputs="other")
    assert "it was rewritten" in said(version, history=("c2",))
    assert "MLflow has no version of run r" in said(replace(version, run_id="other"))
    assert "version 4 is registered for it from another run" in said(version, replace(version, version="4", run_id="q"))
    odd = replace(version, facts=TAGS | {"labelwise.inputs": "forged"})
    assert "version 3 says labelwise.inputs forged, its run in" in said(odd)
    assert replay.commit("round-0000", "", "in", (), [version]).verdict == IDENTICAL


def test_the_verdict_is_the_worst_and_few_complaints_are_told() -> None:
    many = replay.found("pool", [f"item {n}" for n in range(9)], "")
    assert many.said.endswith("item 4; 4 more")
    assert replay.verdict([replay.found("gold", [], ""), many]) == DIFFERS
    assert replay.also(replay.found("model", [], "5 files"), ["forged"]).said == "forged"
    assert replay.also(replay.found("model", [], "5 files"), []).said == "5 files"
