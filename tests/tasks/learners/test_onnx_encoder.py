"""The packaged encoder on onnxruntime, against the same on torch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from labelwise.tasks.errors import InputError
from labelwise.tasks.learners import devices, encoder, onnx_encoder
from labelwise.tasks.learners.encoder import PACKAGED, path_of

TEXTS = ["Shares rose.", "", "the " * 300, "Ä猫🐈 ?! \n\n \t two\r\nlines", "A goal in the last minute.", "x"]


@pytest.fixture(scope="module")
def by_torch() -> np.ndarray:
    return encoder.Encoder(PACKAGED, 64).encode(TEXTS)


def test_it_gives_the_vectors_that_torch_gives(by_torch: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "ON_CPU", 80)  # several steps, with padding
    one, done = onnx_encoder.Encoder(PACKAGED, 64), list[int]()
    np.testing.assert_allclose(one.encode(TEXTS, done.append), by_torch, atol=1e-5)
    assert len(done) > 1 and sum(done) == len(TEXTS)
    assert one.encode([]).shape == (0, by_torch.shape[1])


def test_it_cuts_texts_where_the_encoder_ends() -> None:
    assert onnx_encoder.Encoder(PACKAGED, 100_000).max_tokens == 512


def test_bytes_are_near(by_torch: np.ndarray) -> None:
    vectors = onnx_encoder.Encoder(PACKAGED, 64, quantised=True).encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert ((vectors * by_torch).sum(axis=1) > 0.95).all()
    assert not np.allclose(vectors, by_torch, atol=1e-3)


@pytest.mark.parametrize("change", [{"model_type": "deberta"}, {"hidden_act": "relu"}, {"num_hidden_layers": 7}, None])
def test_another_encoder_is_one_line(tmp_path: Path, change: dict[str, object] | None) -> None:
    folder = shutil.copytree(path_of(PACKAGED), tmp_path / "encoder", copy_function=_linked)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(said | change) if change else "[")
    with pytest.raises(InputError, match=r"cannot run on onnxruntime.*To mend it: let torch run it"):
        onnx_encoder.Encoder(str(folder), 64)


def _linked(source: str, target: str) -> None:
    Path(target).symlink_to(source)


def test_it_knows_what_it_cannot_read() -> None:
    texts = ["a plain text", "Ä猫 𒀀𒀀", "!?", ""]
    by_torch = encoder.Encoder(PACKAGED, 16).unknown(texts)
    np.testing.assert_array_equal(onnx_encoder.Encoder(PACKAGED, 16).unknown(texts), by_torch)
    assert by_torch.max() > 0
