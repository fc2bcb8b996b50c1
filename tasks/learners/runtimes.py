"""What runs the frozen encoder of texts: torch, onnxruntime by the encoder's own weights or with 8 bits, or nothing, a
table of tokens being read in its place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy import float32, floating
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds.base import Encoder
from labelwise.tasks.settings import Embed

TORCH, ONNX, INT8, STATIC = RUNTIMES = ("torch", "onnx", "int8", "static")
GRAPH = "graph.onnx"  # file of the encoder's graph
SAME = (TORCH, ONNX)  # whose vectors differ by rounding alone


def encoder(name: str, embed: Embed, folder: Path | None = None) -> Encoder:
    """The encoder on one of RUNTIMES but torch. folder: what `make` wrote; but for static, it need not have it.
    InputError where the encoder is none that this runtime reads."""
    if name == STATIC:
        from labelwise.tasks.learners import static_encoder

        assert folder is not None
        return static_encoder.Encoder(folder, embed.max_tokens)
    from labelwise.tasks.learners import onnx_encoder

    graph = folder / GRAPH if folder and (folder / GRAPH).is_file() else None
    with needed(name):
        return onnx_encoder.Encoder(embed.encoder, embed.max_tokens, name == INT8, graph)


def make(name: str, embed: Embed, folder: Path) -> None:
    """Write what the runtime reads in place of the encoder's own weights: it takes a second each time else."""
    from labelwise.tasks.learners import onnx_encoder

    folder.mkdir()
    with needed(name):
        onnx_encoder.Encoder(embed.encoder, embed.max_tokens)  # or it is refused in a line
        (folder / GRAPH).write_bytes(onnx_encoder.graph_of(embed.encoder, name == INT8))


@contextmanager
def needed(name: str) -> Iterator[None]:
    """InputError where onnxruntime is not installed."""
    try:
        yield
    except ImportError as error:
        fix = "`pip install 'labelwise[quick]'`"
        raise InputError(f"{name} needs onnxruntime", got=str(error), fix=fix) from None


def drift(embed: Embed, cells: list[str], vectors: NDArray[floating]) -> str:
    """How far the (n, d) vectors of texts lie from those by the same encoder in float32, in words for people; '' where
    they were made in float32, as images and rows are. embed: how they were made."""
    from labelwise.tasks.learners import devices
    from labelwise.tasks.learners.encoder import Encoder

    by = embed.engine if embed.engine != TORCH else devices.place(embed.precision).dtype
    if by not in (INT8, "bfloat16", "float16") or not cells:
        return ""
    exact = encoder(ONNX, embed) if by == INT8 else Encoder(embed.encoder, embed.max_tokens, "float32")
    cosines = (exact.encode(cells) * vectors).sum(axis=1)
    said = f"{cosines.mean():.4f} cosine to float32 on average, {cosines.min():.4f} at least"
    return f"by {by}, {said}, of {len(cells)} items"


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
