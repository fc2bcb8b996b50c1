"""Models that come from elsewhere: ours is loaded without unpickling anything, a stranger's is not loaded at all."""

import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from safetensors.numpy import save_file

import labelwise.tasks.services.mlflow  # noqa: F401  (sets what mlflow may do, before it is imported)
from labelwise.tasks import learners
from labelwise.tasks.errors import LabelwiseError
from labelwise.tasks.learners.encoder import PACKAGED, Encoder
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.learners.one_vs_rest import Heads
from labelwise.tasks.learners.serving import ENCODER_FILE, Classifier, _load_pyfunc

UNPICKLED: list[Any] = []
sys.addaudithook(lambda event, words: UNPICKLED.append(words) if event == "pickle.find_class" else None)


class Stranger:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of ours, as it is logged."""
    folder = tmp_path / "model"
    folder.mkdir()
    weights = np.random.default_rng(0).normal(size=(2, 384)).astype(np.float32)
    Head(["no", "yes"], np.array([0, 1]), weights, np.zeros(2, np.float32)).save(folder)
    (folder / ENCODER_FILE).write_text(json.dumps({"encoder": PACKAGED, "max_tokens": 32}))
    return folder


def test_loading_ours_back_by_mlflow_unpickles_nothing(model: Path, tmp_path: Path) -> None:
    import mlflow

    logged = {"loader_module": "labelwise.tasks.learners.serving", "data_path": str(model), "pip_requirements": []}
    mlflow.pyfunc.save_model(str(tmp_path / "logged"), **logged)
    before = len(UNPICKLED)
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "logged"))
    assert set(loaded.predict(["a text"]).label) <= {"no", "yes"}
    assert UNPICKLED[before:] == []


def test_a_model_of_several_labels_says_them_as_the_ledger_does(tmp_path: Path) -> None:
    texts = ["a red parrot", "stones"]
    vectors = Encoder(PACKAGED, 32).encode(texts).astype(np.float16).astype(np.float32)
    weights = np.stack([vectors[0] - vectors[1]] * 2) * 20
    limits = np.array([0.9, 0.2, 0.5], np.float32)
    Heads(["red", "animal", "loud"], np.array([0, 1]), weights, np.zeros(2, np.float32), limits).save(tmp_path)
    (tmp_path / ENCODER_FILE).write_text(json.dumps({"encoder": PACKAGED, "max_tokens": 32}))
    found = _load_pyfunc(str(tmp_path)).predict(texts)
    assert found.label.tolist() == ['["animal", "red"]', "[]"]
    assert found.confidence.between(0.9, 1).all()
    assert _load_pyfunc(str(tmp_path)).predict([]).empty


def test_a_strangers_model_in_its_place_is_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    import cloudpickle
    import mlflow

    monkeypatch.chdir(tmp_path)
    place = tmp_path / "logged"
    logged = {"loader_module": "labelwise.tasks.learners.serving", "data_path": str(model), "pip_requirements": []}
    mlflow.pyfunc.save_model(str(place), **logged)
    (place / "evil.pkl").write_bytes(cloudpickle.dumps(Stranger()))
    about = (place / "MLmodel").read_text().replace("labelwise.tasks.learners.serving", "mlflow.pyfunc.model")
    keys = f"    cloudpickle_version: {cloudpickle.__version__}\n    python_model: evil.pkl\n"
    about = about.replace("    data: data/model\n", "")
    (place / "MLmodel").write_text(about.replace("  python_function:\n", f"  python_function:\n{keys}"))
    with pytest.raises(mlflow.MlflowException, match=r"(?i)pickle"):
        mlflow.pyfunc.load_model(str(place))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["model.pkl", "pytorch_model.bin", "head/x.npy", "x.pt", "x.py", "noending"])
def test_a_file_that_is_no_part_of_a_model(model: Path, name: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"\x80\x04.")
    for load in (learners.load, _load_pyfunc):
        with pytest.raises(LabelwiseError, match=f"{name} is no part of a model: expected files in .json and .saf"):
            load(model)  # type: ignore[operator]


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"learner": []}',
        b'{"learner": "nobody"}',
        b'{"learner": "frozen"}',
        b'{"learner": "contrastive", "embed": {"encoder": "../../x"}, "frozen_layers": "a", "classes": 5}',
        b'{"learner": "finetune", "embed": 7, "frozen_layers": 1}',
        b'{"learner": "ensemble"}',
        b'{"learner": "propagate"}',
        b'{"learner": "untrained"}',
    ],
)
def test_a_config_that_is_none_is_one_line(model: Path, config: bytes) -> None:
    (model / "config.json").write_bytes(config)
    with pytest.raises(LabelwiseError) as caught:
        learners.load(model)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"\xff" * 100, (2**62).to_bytes(8, "little") + b"{}"])
def test_weights_that_are_none_are_one_line(model: Path, content: bytes) -> None:
    (model / "head.safetensors").write_bytes(content)
    with pytest.raises(LabelwiseError, match="holds no model of ours"):
        learners.load(model)


def test_weights_of_another_model_are_one_line(model: Path) -> None:
    save_file({"other": np.zeros(3, np.float32)}, model / "head.safetensors")
    with pytest.raises(LabelwiseError, match="holds no model of ours"):
        learners.load(model)


class Twice:
    """A model whose parts ask for the vectors one after the other, as an ensemble's do."""

    classes: ClassVar = ["no", "yes"]

    def probabilities(self, items: learners.Items) -> np.ndarray:
        halves = [block.vectors()[:, :2] for block in items.blocks(2)]
        return np.abs(np.concatenate(halves) + items.vectors()[:, :2])


def test_each_text_is_encoded_once_however_often_the_model_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(PACKAGED, 16)
    read: list[str] = []
    encode = encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda texts: read.extend(texts) or encode(texts))
    texts = ["one", "two", "three"]
    said = Classifier(encoder, Twice()).predict(texts)  # type: ignore[arg-type]
    assert read == texts
    assert len(said) == 3
    assert Classifier(encoder, Twice()).predict([]).empty  # type: ignore[arg-type]
