"""Pictures to vectors of unit length: the packaged EfficientNet-Lite0, or any image model of transformers. Both stay as
they were trained."""

import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import picture

TORCHVISION = "torchvision==0.28.0"  # the one that goes with our torch
PACKAGED = "efficientnet-lite0-2x2"
EXPECTED = (
    f"{PACKAGED} (packaged), or an image model: a Hugging Face name (needs a network) or a folder with safetensors"
)
TIMM = f"models of timm need it: pip install timm {TORCHVISION}, where torch is a build for CPUs, torchvision as well"
TIMM += " (--index-url https://download.pytorch.org/whl/cpu)"
OTHER_BUILD = "where torch is a build for CPUs: pip install --force-reinstall --no-deps --index-url "
OTHER_BUILD += f"https://download.pytorch.org/whl/cpu {TORCHVISION}; or without timm: pip uninstall torchvision"
WHERE = {PACKAGED: 432}  # from which figure on a vector says where something is
AT_ONCE = 16  # pictures in one forward pass: more leave the cache

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in encoder.py
os.environ.setdefault("GOMP_SPINCOUNT", "0")


class Tower(Protocol):
    """An image model. width: of its vectors."""

    width: int

    def __call__(self, pictures: list[Any]) -> Any:
        """b pictures of Pillow, RGB -> (b, width) features, a tensor of torch."""


class Encoder:
    """A frozen encoder of pictures. `name` is the packaged model, a Hugging Face name or a folder. pixels: the side of
    the square that the packaged model sees; None: its own."""

    def __init__(self, name: str, pixels: int | None = None) -> None:
        from labelwise.tasks.learners import efficientnet, encoder

        self._tower: Tower
        if name == encoder.PACKAGED:
            raise InputError(f"embed.encoder: {name} reads texts", expected=EXPECTED, fix=f"set it to {PACKAGED}")
        if name in efficientnet.NAMES:
            self._tower = efficientnet.Tower(name, pixels)
        elif pixels is None:
            self._tower = _Transformer(name)
        else:
            expected = f"null, or embed.encoder: {PACKAGED}"
            raise InputError("embed.pixels", expected=expected, got=str(pixels), fix="set it to null in params.yaml")

    def encode(self, cells: list[str], progress: Callable[[int], None] = lambda _done: None) -> NDArray[np.float32]:
        """(n,) cells of pictures -> (n, d) vectors of unit length. `progress` is told how many more are done."""
        import torch

        vectors = np.empty((len(cells), self._tower.width), dtype=np.float32)
        for start in range(0, len(cells), AT_ONCE):
            some = cells[start : start + AT_ONCE]
            with torch.inference_mode():
                features = self._tower([picture.of_cell(cell) for cell in some])
                vectors[start : start + len(some)] = torch.nn.functional.normalize(features.float(), dim=1).numpy()
            progress(len(some))
        return vectors


def needs(name: str) -> list[str]:
    """The packages that an image model is run by: pip's names, those of timm only where it is installed."""
    from labelwise.tasks.learners import efficientnet

    if name in efficientnet.NAMES:
        return ["torch", "pillow", efficientnet.PACKAGE]
    return ["torch", "transformers", "pillow", *(each for each in ("timm", "torchvision") if find_spec(each))]


def _of_torchvision() -> str:
    """What is wrong with the torchvision that is installed, by which transformers reads pictures; '' where nothing is,
    and where there is none. From another index than torch it is often of another build, and then nothing works."""
    if find_spec("torchvision") is None:
        return ""
    try:
        import_module("torchvision")
    except (ImportError, OSError, RuntimeError) as error:
        return f"the installed torchvision does not go with torch ({str(error).splitlines()[0][:80]})"
    return ""


class _Transformer:
    """An image model of transformers: what it pools itself where that was trained, the mean of its last states else."""

    def __init__(self, name: str) -> None:
        from safetensors import SafetensorError
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            from transformers import AutoImageProcessor, AutoModel

            # As with texts: no code that comes with a model, and nothing is unpickled.
            reader: Any = AutoImageProcessor  # its own annotations do not hold
            self._read: Any = reader.from_pretrained(name, trust_remote_code=False)
            given: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True, "output_loading_info": True}
            model, about = AutoModel.from_pretrained(name, **given)
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
            if broken := _of_torchvision():
                raise InputError(f"encoder {name!r} cannot be loaded", got=broken, fix=OTHER_BUILD) from None
            raise InputError(
                f"encoder {name!r} cannot be loaded",
                expected=EXPECTED,
                got=str(error).strip().splitlines()[0][:160],
                fix=TIMM if "timm" in str(error) else "set embed.encoder in params.yaml",
            ) from None
        self._model: Any = model.eval()
        self._pools = not any("pool" in key for key in about["missing_keys"])  # else it would pool by chance
        from PIL import Image

        self.width = int(self([Image.new("RGB", (64, 64))]).shape[1])

    def __call__(self, pictures: list[Any]) -> Any:
        """(b, width)."""
        import torch

        with torch.inference_mode():
            read = self._read(images=pictures, return_tensors="pt")
            if hasattr(self._model, "get_image_features"):  # of a model that reads texts, too
                found = self._model.get_image_features(pixel_values=read["pixel_values"])
                return found if isinstance(found, torch.Tensor) else found.pooler_output
            states = self._model(pixel_values=read["pixel_values"])
            pooled = getattr(states, "pooler_output", None)
            if pooled is not None and self._pools:
                return pooled.flatten(1)
            last = states.last_hidden_state
            return last.mean(1) if last.ndim == 3 else last.flatten(2).mean(2)
