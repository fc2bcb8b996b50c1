"""Pictures to vectors: the packaged encoder, one of transformers in a folder, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from labelwise.tasks import learners, settings
from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import image, picture
from labelwise.tasks.learners import Examples, Items, auto, efficientnet, ensemble
from labelwise.tasks.learners.encoder import PACKAGED as OF_TEXTS
from labelwise.tasks.learners.vision import PACKAGED, Encoder
from labelwise.tasks.settings import Embed
from tests.tasks.kinds.pictures import BLUE, RED, as_bytes, drawn


def cell(made: Image.Image) -> str:
    return picture.cell_of(as_bytes(made), "a.png", 512)


CELLS = [cell(drawn((RED, BLUE)[number % 2], number)) for number in range(20)]


@pytest.mark.parametrize(("name", "width"), [(PACKAGED, 1728), ("efficientnet-lite0", 432)])
def test_the_packaged_one_tells_like_from_unlike(name: str, width: int) -> None:
    encoder, told = Encoder(name, 64), list[int]()
    vectors = encoder.encode(CELLS, told.append)
    assert vectors.shape == (20, width) and sum(told) == 20
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alike = vectors @ vectors.T
    same = np.arange(20) % 2 == (np.arange(20) % 2)[:, None]
    np.fill_diagonal(alike, -1)
    assert same[np.arange(20), alike.argmax(axis=1)].all()
    assert np.abs(encoder.encode(CELLS[3:5]) - vectors[3:5]).max() < 1e-5  # whatever it is encoded with
    assert encoder.encode([]).shape == (0, width)


def test_where_something_is_counts() -> None:
    left = Image.new("RGB", (64, 64), "white")
    left.paste((200, 0, 0), (4, 4, 24, 24))
    pair = [cell(left), cell(left.transpose(Image.Transpose.ROTATE_180))]
    alike = [float(np.prod(encoded, axis=0).sum()) for encoded in (Encoder(n).encode(pair) for n in efficientnet.NAMES)]
    assert alike[1] < alike[0] - 0.05


def test_what_is_fused_gives_the_same() -> None:
    torch.manual_seed(0)
    plain = efficientnet.Network(True).eval()
    for part in plain.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean, part.running_var = torch.randn_like(part.bias) / 9, torch.rand_like(part.bias) + 0.5
    given = torch.randn(2, 3, 40, 56)
    with torch.inference_mode():
        before = plain(given)
        after = efficientnet.fused(plain)(given)
    assert before.shape == (2, plain.width) and torch.allclose(before, after, atol=1e-4)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in plain.modules())


def test_another_file_than_the_known_one_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "SHA256", "0" * 64)
    with pytest.raises(InputError, match=r"is not the encoder's file.*pip install"):
        Encoder(PACKAGED)


def test_one_of_transformers_in_a_folder(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    size = {"image_size": 32, "patch_size": 8, "num_hidden_layers": 1}
    config = ViTConfig(hidden_size=16, num_attention_heads=2, intermediate_size=16, **size)
    ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path)  # loaded, its pooling layer would be by chance
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    first, second = (Encoder(str(tmp_path)).encode(CELLS[:3]) for _ in range(2))
    assert first.shape == (3, 16) and (first == second).all()
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    with pytest.raises(InputError, match=r"embed.pixels.*set it to null"):
        Encoder(str(tmp_path), 64)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        Encoder(str(tmp_path))


def test_an_encoder_of_texts_is_refused_at_once() -> None:
    with pytest.raises(InputError, match=f"embed.encoder: {OF_TEXTS} reads texts.*set it to {PACKAGED}"):
        image.encoder(Embed(encoder=OF_TEXTS))
    with pytest.raises(InputError, match="cannot be loaded"):
        Encoder("/nowhere/at/all")


def test_models_of_timm_say_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size: dict[str, Any] = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3, "num_classes": 0}
    config = {"model_type": "timm_wrapper", "architecture": "resnet10t", "pretrained_cfg": size}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"cannot be loaded.*models of timm need it: pip install timm torchvision=="):
        Encoder(str(tmp_path))
    packages = tmp_path / "packages/torchvision"  # as PyPI's lies beside a torch that is built for CPUs
    packages.mkdir(parents=True)
    (packages / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(packages.parent)
    with pytest.raises(InputError, match=r"got the installed torchvision does not go with torch.*--index-url"):
        Encoder("/nowhere/at/all")


@pytest.mark.parametrize("answer", ["choice", "multilabel"])
@pytest.mark.parametrize("learner", [auto, ensemble])
def test_items_without_words_are_learned_by_their_vectors(learner: Any, answer: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    of = rng.integers(0, 2, 60)
    vectors = rng.normal(size=(60, 8)) + 3 * np.eye(8)[of]
    items = Items.of((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    kind = {"item": "image", "answer": answer}
    base = {"project": {"name": "n", "id": "i"}, "classes": ["a", "b"], "pull": {"pool": "p", "gold": "g"}}
    labels = np.eye(2, dtype=np.float32)[of] if answer == "multilabel" else of
    examples = Examples(items.take(np.arange(40)), labels[:40], ["a", "b"])
    model = learner.fit(examples, items, settings.parse(base | {"kind": kind}))
    model.save(tmp_path)
    rest = items.take(np.arange(40, 60))
    found = learners.load(tmp_path).probabilities(rest)
    assert (found.argmax(axis=1) == of[40:]).mean() > 0.9
    assert np.allclose(found, model.probabilities(rest), atol=1e-6)
    assert not list(tmp_path.rglob("bag_of_words"))
