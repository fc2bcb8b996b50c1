"""What runs the frozen encoder of texts: torch, onnxruntime by the encoder's own weights or with 8 bits, or nothing, a
table of tokens being read in its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy import float32
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds.base import Encoder
from labelwise.tasks.settings import Embed

TORCH, ONNX, INT8, STATIC = RUNTIMES = ("torch", "onnx", "int8", "static")
SAME = (TORCH, ONNX)  # whose vectors differ by rounding alone


def encoder(name: str, embed: Embed, folder: Path | None = None) -> Encoder:
    """The encoder on one of RUNTIMES but torch. folder: of the table, for static. InputError where it is none that this
    runtime reads."""
    if name == STATIC:
        from labelwise.tasks.learners import static_encoder

        assert folder is not None
        return static_encoder.Encoder(folder, embed.max_tokens)
    from labelwise.tasks.learners import onnx_encoder

    try:
        return onnx_encoder.Encoder(embed.encoder, embed.max_tokens, name == INT8)
    except ImportError as error:
        fix = "`pip install 'labelwise[quick]'`"
        raise InputError(f"--runtime {name} needs onnxruntime", got=str(error), fix=fix) from None


class Later:
    """An encoder that is made when it is first asked for: a model that is moved to another one need not wait for it."""

    def __init__(self, make: Callable[[], Encoder]) -> None:
        self._make = make
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)

    def encode(self, cells: list[str], progress: Callable[[int], None] = lambda _done: None, /) -> NDArray[float32]:
        """See `kinds.base.Encoder`."""
        found: NDArray[float32] = self.__getattr__("encode")(cells, progress)
        return found
