"""Where torch runs the frozen encoder, and in which precision: by what the machine has."""

from dataclasses import dataclass

from labelwise.tasks.errors import InputError
from labelwise.tasks.settings import Precision

# Padded tokens in one forward pass.
ON_CPU = 1024  # beyond, its states leave the cache (8,192: a third slower)
ELSEWHERE = 32_768  # a device of its own is kept busy, and its memory holds them


@dataclass(frozen=True)
class Place:
    """device: as torch names it; dtype: the name of one of torch's; tokens: in a forward pass, at most."""

    device: str
    dtype: str

    @property
    def tokens(self) -> int:
        """How many padded tokens go into one forward pass."""
        return ON_CPU if self.device == "cpu" else ELSEWHERE

    def __str__(self) -> str:
        return f"{self.device}, {self.dtype}"


CPU = Place("cpu", "float32")


def place(precision: Precision | None) -> Place:
    """The place for a precision. None: the CPU, in float32. auto: half precision on a GPU that computes in it, and on
    a CPU whose matrix unit does (AMX); else float32.

    InputError where the machine computes it more slowly than float32, or not at all.

    >>> place(None)
    Place(device='cpu', dtype='float32')
    """
    if precision is None:
        return CPU
    import torch

    if torch.cuda.is_available():
        whole = torch.cuda.is_bf16_supported(including_emulation=False)
        known = ["float32", "float16", *(["bfloat16"] if whole else [])]
        own = "bfloat16" if whole else "float16"
        device = "cuda"
    elif torch.backends.mps.is_available():
        known, own, device = ["float32", "float16"], "float32", "mps"
    else:
        known, device = ["float32", *(["bfloat16"] if computes_bfloat16() else [])], "cpu"
        own = "bfloat16" if multiplies_bfloat16() else "float32"
    wanted = own if precision == "auto" else precision
    if wanted not in known:
        raise InputError(
            "embed.precision",
            expected=f"auto or {' or '.join(known)}, in which this machine computes on its {device}",
            got=precision,
            fix="set it so in params.yaml; `auto` is right everywhere",
        )
    return Place(device, wanted)


def computes_bfloat16() -> bool:
    """Whether the CPU has instructions for it; without, it is emulated and several times slower than float32."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported()) or multiplies_bfloat16()


def multiplies_bfloat16() -> bool:
    """Whether the CPU has a matrix unit for it, which is several times as quick as float32."""
    import torch

    return bool(torch.cpu._is_amx_tile_supported())
