"""What a model was made with, beside data and settings: the code, the libraries, the machine. Where all of it is the
same, the same data gives the same model, bit by bit."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path

from labelwise.tasks.workspace import atomic, reading

LIBRARIES = ("labelwise", "torch", "transformers", "scikit-learn", "numpy", "pandas", "dvc", "mlflow", "prefect")
NOTE = "code.yaml"
CODE, MACHINE = "labelwise.code", "labelwise.machine"


def facts() -> dict[str, str]:
    """Tags of a run."""
    return {
        "python": platform.python_version(),
        CODE: code(),
        MACHINE: machine(),
        **{f"version.{name}": importlib.metadata.version(name) for name in LIBRARIES},
    }


def changed(then: dict[str, str]) -> list[str]:
    """What is not here as a run's tags say, in words; what they do not say is left out."""
    now = facts()
    return [
        f"{name.removeprefix('version.').removeprefix('labelwise.')} {then[name]}, here {value}"
        for name, value in now.items()
        if name in then and then[name] != value
    ]


def code() -> str:
    """A digest of the stages' source, the same for a checkout and an installed package."""
    package = Path(__file__).parent
    return digest((path.relative_to(package), path.read_bytes()) for path in sorted(package.rglob("*.py")))[:16]


def note(root: Path) -> None:
    """Write down, in the workspace at `root`, the code that its stages run with from here on. dvc.yaml names that file
    among what they depend on, so that an upgrade in the middle of a round runs them again; one of earlier versions does
    not, and is left alone."""
    path, line = root / NOTE, f"labelwise: {importlib.metadata.version('labelwise')} {code()}\n"
    with reading(root / "dvc.yaml"):
        depends = NOTE.encode() in (root / "dvc.yaml").read_bytes()
    if depends and not (path.exists() and path.read_bytes() == line.encode()):
        with atomic(path) as scratch:
            scratch.write_text(line, encoding="utf-8")


def machine() -> str:
    """The processor and how many threads compute on it: what decides the last bits of a sum."""
    import torch

    return f"{_processor()}, {torch.get_num_threads()} threads"


def digest(files: Iterable[tuple[Path, bytes]]) -> str:
    """A digest of files with their names, in the order given."""
    whole = hashlib.sha256()
    for name, content in files:
        whole.update(f"{name.as_posix()} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{platform.machine()} {next(named, platform.processor())}".strip()
