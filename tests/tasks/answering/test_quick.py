"""The model on another runtime: what that changes is said once, and too much of it is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks.answering import quick as stage
from labelwise.tasks.answering.drift import Drift, drift
from labelwise.tasks.answering.model import Chosen
from labelwise.tasks.answering.quick import AS_LEARNED, AUTO, Runtime, quick
from labelwise.tasks.errors import InputError
from labelwise.tasks.items.vectors import vectors_of
from labelwise.tasks.kinds import row
from labelwise.tasks.learners import Items
from labelwise.tasks.learners.encoder import PACKAGED
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.learners.onnx_encoder import Encoder
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.records import GOLD, POOL, content_id
from labelwise.tasks.settings import Embed
from labelwise.tasks.workspace import Workspace, write_parquet

EMBED = Embed(encoder=PACKAGED, max_tokens=32)
TEXTS = [
    f"{what} was {how} at {when}" for what in ("my card", "the page") for how in ("lost", "slow") for when in "123456"
]


@pytest.fixture(scope="module")
def chosen() -> Chosen:
    encoder = Encoder(PACKAGED, 32)
    one, other = encoder.encode(["my card was lost", "the page was slow"])
    weights = np.stack([one, other]) * 20
    head = Head(["card", "page"], np.array([0, 1]), weights, np.zeros(2, np.float32))
    return Chosen(Classifier(encoder, head, embed=EMBED), "version 3", "digest")


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    """A pool and a gold set, whose vectors are of another encoder."""
    content = {"project": {"name": "n", "id": "i"}, "classes": ["card", "page"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    made = Workspace(tmp_path)
    rows = pd.DataFrame({"id": [content_id(text) for text in TEXTS], "text": TEXTS, "source_id": None})
    shard = made.pool / "shard-0000.parquet"
    write_parquet(shard, rows, POOL)
    gold = rows[::5].assign(label=["card" if "card" in text else "page" for text in TEXTS[::5]])
    write_parquet(made.gold, gold, GOLD)
    made.vectors.mkdir(parents=True)
    for table, of in ((shard, rows), (made.gold, gold)):
        np.save(vectors_of(made, table), np.zeros((len(of), 384), np.float16))
    return made


@pytest.mark.parametrize("runtime", ["onnx", "int8"])
def test_a_runtime_that_says_the_same_is_taken_and_is_measured_once(
    here: Workspace, chosen: Chosen, runtime: str
) -> None:
    told: list[str] = []
    for _ in range(2):
        found = quick(here, chosen, Runtime(runtime, 0.5), told.append)
        assert found.runtime == runtime and found.classifier.encoder is not chosen.classifier.encoder
    (said,) = told
    same = "100.0% of 12 items have the same label; on gold 1.000, +0.000 (+0.000 to +0.000)"
    assert said == f"by {runtime} in place of torch {same}"
    quick(here, Chosen(chosen.classifier, "version 4", "another"), Runtime(runtime, 0.5), told.append)
    assert len(told) == 2


def test_a_table_stands_for_the_encoder(here: Workspace, chosen: Chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(_encoder: object, tokenizer: Any, _rows: object) -> np.ndarray:
        return np.zeros((tokenizer.get_vocab_size(), 384), np.float32)  # all comes of the fit

    monkeypatch.setattr("labelwise.tasks.learners.static_encoder.begun", begun)
    told: list[str] = []
    for _ in range(2):
        found = quick(here, chosen, Runtime("static", 0.5), told.append)
    assert [each.partition(" ")[0] for each in told] == ["a", "by"]
    assert found.classifier.judged(["my card was lost", "the page was slow"]).label.tolist() == ["card", "page"]


def test_torch_is_the_model_as_it_is(here: Workspace, chosen: Chosen) -> None:
    assert quick(here, chosen, AS_LEARNED, pytest.fail) is chosen


def test_left_open_it_is_onnxruntime_where_that_can_be(
    here: Workspace, chosen: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quick(here, chosen, Runtime(AUTO), lambda _line: None).runtime == "onnx"
    of_the_hub = replace(chosen, classifier=replace(chosen.classifier, embed=Embed(encoder="a/model")))
    assert quick(here, of_the_hub, Runtime(AUTO), pytest.fail) is of_the_hub
    monkeypatch.setattr(stage, "find_spec", lambda _name: None)
    assert quick(here, chosen, Runtime(AUTO), pytest.fail) is chosen


def test_one_that_changes_too_much_is_refused_with_the_way_out(
    here: Workspace, chosen: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "measured", lambda *_words: Drift(12, 0.875, 0.5, 0.9, 0.1))
    with pytest.raises(InputError, match=r"int8 changes too much: expected 99%, got 87.5% of 12 .*") as caught:
        quick(here, chosen, Runtime("int8"), pytest.fail)
    assert str(caught.value).endswith("To mend it: --runtime onnx, or --least 0.87")
    assert quick(here, chosen, Runtime("int8", 0.87), pytest.fail).runtime == "int8"


@pytest.mark.parametrize(("name", "least"), [("fp4", 0.99), ("onnx", 99.0), ("onnx", float("nan"))])
def test_what_is_no_runtime_and_no_share(name: str, least: float) -> None:
    with pytest.raises(InputError, match=r"--runtime: expected torch or onnx or int8|--least: expected a share"):
        Runtime(name, least)


def test_rows_have_no_encoder_to_move(here: Workspace, chosen: Chosen) -> None:
    rows = Chosen(Classifier(chosen.classifier.encoder, chosen.classifier.model, item=row), "version 3")
    with pytest.raises(InputError, match="expected torch, but for texts"):
        quick(here, rows, Runtime("onnx"), pytest.fail)


def test_a_drift_says_what_it_costs_on_gold(chosen: Chosen) -> None:
    model = chosen.classifier
    items = Items.of(model.encoder.encode(TEXTS), TEXTS)
    truth = ["card" if "card" in text else "page" for text in TEXTS]
    turned = replace(model, model=replace(model.model, classes=["page", "card"]))
    assert drift(model, model, items, items, truth, known=True) == Drift(24, 1.0, 1.0, 1.0, 0.0)
    assert drift(model, turned, items, items, truth, known=True) == Drift(24, 0.0, 0.0, 1.0, 0.0)
    said = str(Drift(100, 0.985, 0.9, 0.91, 0.01))
    assert said == "98.5% of 100 items have the same label; on gold 0.900, -0.010 (-0.030 to +0.010)"
