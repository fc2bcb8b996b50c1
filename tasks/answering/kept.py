"""What was found out of a model, kept in the workspace, so that the next start need not find it out again."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from labelwise.tasks import made_with
from labelwise.tasks.workspace import Workspace, atomic

Arrays = Mapping[str, NDArray[Any]]
FOLLOWS = "follows"


def kept(workspace: Workspace, name: str, follows: Any, make: Callable[[], Arrays]) -> Arrays:
    """What `make` gives; what it gave before where that followed from the same. follows: as JSON."""
    file, now = folder(workspace) / f"{name}.safetensors", digest([made_with.code(), follows])
    try:
        with safe_open(file, "np") as there:
            if (there.metadata() or {}).get(FOLLOWS) == now:
                return load_file(file)
    except (OSError, SafetensorError):  # none, or half a one: a scrap
        pass
    found = {key: np.ascontiguousarray(values) for key, values in make().items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic(file) as scratch:
            save_file(found, scratch, {FOLLOWS: now})
    except OSError:  # one may only read there
        pass
    return found


def kept_folder(workspace: Workspace, name: str, follows: Any, make: Callable[[Path], Any]) -> Path:
    """The same of a folder, which `make` writes. OSError where the workspace may only be read."""
    place = folder(workspace) / f"{name}-{digest(follows)}"
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic(place) as scratch:
            make(scratch)
        for earlier in place.parent.glob(f"{name}-*"):
            if earlier != place:
                shutil.rmtree(earlier, ignore_errors=True)
    return place


def folder(workspace: Workspace) -> Path:
    """Where it is kept."""
    return workspace.scraps / "answer"


def digest(of: Any) -> str:
    """Of anything that is JSON."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:32]


def digest_of_files(folder: Path) -> str:
    """Of the files in a folder, by their names and contents."""
    found = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        found.update(file.read_bytes())
    return found.hexdigest()[:32]
