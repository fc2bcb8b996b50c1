"""The model on another runtime: what that changes is said, and too much of it is refused."""

import numpy as np
import pytest

from labelwise.tasks.answering.quick import Drift, drift, quick
from labelwise.tasks.errors import InputError
from labelwise.tasks.learners.encoder import PACKAGED
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.learners.onnx_encoder import Encoder
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.settings import Embed

EMBED = Embed(encoder=PACKAGED, max_tokens=32)
TEXTS = [
    f"{what} was {how} at {when}" for what in ("my card", "the page") for how in ("lost", "slow") for when in "123"
]


@pytest.fixture(scope="module")
def model() -> Classifier:
    encoder = Encoder(PACKAGED, 32)
    one, other = encoder.encode(["my card was lost", "the page was slow"])
    weights = np.stack([one, other]) * 20
    return Classifier(encoder, Head(["card", "page"], np.array([0, 1]), weights, np.zeros(2, np.float32)))


def test_a_runtime_that_says_the_same_is_taken(model: Classifier) -> None:
    gold = [(text, "card" if "card" in text else "page") for text in TEXTS]
    for runtime in ("onnx", "int8"):
        other, found = quick(model, EMBED, runtime, TEXTS, gold, least=0.5)
        assert found is not None and found.n == len(TEXTS) and found.score is not None
        assert other.encoder is not model.encoder
    assert quick(model, EMBED, "torch", TEXTS) == (model, None)


def test_one_that_changes_too_much_is_refused_with_the_way_out(
    model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turned(self: Encoder, texts: list[str]) -> np.ndarray:
        return -model.encoder.encode(texts)

    class Turned(Encoder):
        encode = turned

    monkeypatch.setattr("labelwise.tasks.learners.onnx_encoder.Encoder", Turned)
    with pytest.raises(InputError, match=r"int8 changes too much: expected 99%, got 0.0% of 12 .*--runtime onnx"):
        quick(model, EMBED, "int8", TEXTS)
    with pytest.raises(InputError, match="expected torch or onnx or int8"):
        quick(model, EMBED, "fp4", TEXTS)


def test_a_drift_says_what_it_costs_on_gold(model: Classifier) -> None:
    assert drift(model, model, TEXTS) == Drift(12, 1.0)
    said = str(Drift(100, 0.985, 0.9, 0.91, 0.01))
    assert said == "98.5% of 100 items have the same label; on gold 0.900, -0.010 (-0.030 to +0.010)"
