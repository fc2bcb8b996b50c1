"""What a registered model carries so that it loads where Labelwise is not installed: the packages that it needs, at the
versions that it was made with, and the code that reads it. None of these is a package of the loop alone, as Prefect,
DVC, Great Expectations and Label Studio's client are."""

import importlib.metadata
import re
import shutil
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from labelwise.tasks import kinds, learners
from labelwise.tasks.kinds import spans, text
from labelwise.tasks.learners import encoder, onnx_encoder, serving, static_encoder
from labelwise.tasks.learners.runtimes import ONNX, STATIC
from labelwise.tasks.settings import Embed
from labelwise.tasks.workspace import read_json

# What every model needs: MLflow's loader without its server, tables, and what reads settings and weights.
READERS = (
    *("mlflow-skinny", "numpy", "pandas", "scipy", "safetensors"),
    *("pydantic", "ruamel.yaml", "filelock", "rich"),
)
LOADER = "labelwise_model"  # the module that MLflow is to import
PACKED = "labelwise.zip"
# Where Labelwise is imported already, that reads the model.
LOADS = f'''"""Loads the model by the code beside it, in {PACKED}: Labelwise itself need not be installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("{PACKED}")))

from labelwise.tasks.learners.serving import _load_pyfunc  # noqa: E402, F401
'''
ROOT = Path(__file__).parents[2]
CARRIED = ("__init__.py", "infra/__init__.py", "tasks/**/*.py")  # what `learners.serving` imports is among these


def requirements(folder: Path, about: dict[str, Any]) -> list[str]:
    """The packages that the model in `folder` needs to give labels, as lines of a requirements.txt, in order of their
    names. about: as of `serving.about`."""
    embed = Embed.model_validate({key: about[key] for key in Embed.model_fields if key in about})
    item, found = about.get("item", text.NAME), set(learned_by(folder))
    modules = [module for name, module in learners.learners().items() if name in found]
    needed = {package for module in modules for package in getattr(module, "NEEDS", ())}
    needed |= set(kinds.item(item).needs(embed))
    entries = importlib.metadata.entry_points(group="labelwise.learners")
    theirs = {entry.dist.name for entry in entries if entry.name in found and entry.dist}
    return pinned({*READERS, *needed, *theirs})


def learned_by(folder: Path) -> list[str]:
    """The names of the learners whose models are in `folder`, those of parts of a model, too."""
    said = [read_json(path) for path in sorted(folder.rglob("config.json"))]
    return [str(each["learner"]) for each in said if "learner" in each]


def without_torch(folder: Path, about: dict[str, Any], runtime: str = ONNX) -> list[str] | None:
    """The packages of a model that needs no torch once it carries its encoder (`carry_encoder`, `carry_table`); None
    where it does need it: its learner does, or it marks parts of texts, or its encoder is none that onnx_encoder.py
    reads."""
    needs = {line.partition("==")[0] for line in requirements(folder, about)}
    if "torch" not in needs:
        return pinned(needs)
    modules = (module for name, module in learners.learners().items() if name in learned_by(folder))
    if about.get("item", text.NAME) != text.NAME or learners.answer(folder) == spans.NAME:
        return None
    if any("torch" in getattr(module, "NEEDS", ()) for module in modules) or not onnx_encoder.reads(about["encoder"]):
        return None
    reader = static_encoder if runtime == STATIC else onnx_encoder
    return pinned(needs - {*encoder.NEEDS, encoder.PACKAGE} | {*reader.NEEDS})


def carry_encoder(folder: Path, name: str) -> None:
    """Put the files of a text encoder into `folder` of a model, where `serving` takes it from then on."""
    own = folder / serving.ENCODER
    own.mkdir()
    for file in onnx_encoder.FILES:
        shutil.copyfile(Path(encoder.path_of(name)) / file, own / file)


def carry_table(folder: Path, table: Path) -> None:
    """Put a table in place of the encoder, see static_encoder.py, into `folder` of a model."""
    shutil.copytree(table, folder / serving.ENCODER)


def pinned(packages: Iterable[str]) -> list[str]:
    """Lines of a requirements.txt: each package as it is installed here, and one that is not as this package asks for
    it. What tells one build of a version from another (+cpu) is left out: other indexes have others."""
    return sorted(f"{name}=={version(name)}" for name in packages)


def version(package: str) -> str:
    """The version of a package, see `pinned`. PackageNotFoundError where nothing is known of it."""
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        asked = "\n".join(importlib.metadata.requires("labelwise") or [])
        exact = re.search(rf"^{re.escape(package)}==([^;\s]+)", asked, re.MULTILINE)
        if exact is None:
            raise
        return exact[1]


def code(folder: Path) -> list[Path]:
    """Write into `folder` what MLflow is to keep with a model as its code: the module LOADER, and the package as an
    archive."""
    loader, archive = folder / f"{LOADER}.py", folder / PACKED
    loader.write_text(LOADS, encoding="utf-8")
    archive.write_bytes(packed())
    return [loader, archive]


@cache
def packed() -> bytes:
    """The package as an archive that Python imports from, the same bytes each time."""
    whole = BytesIO()
    with ZipFile(whole, "w") as archive:
        for path in sorted({path for pattern in CARRIED for path in ROOT.glob(pattern)}):
            about = ZipInfo(f"labelwise/{path.relative_to(ROOT).as_posix()}")  # of 1980, whenever it was written
            archive.writestr(about, path.read_bytes(), ZIP_DEFLATED, compresslevel=1)
    return whole.getvalue()
