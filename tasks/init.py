"""Make a workspace: a git + DVC repository with params.yaml, dvc.yaml and an empty label ledger."""

import secrets
import shutil
from pathlib import Path

import infra
from tasks import settings, sources
from tasks.errors import InputError
from tasks.labels import ledger
from tasks.records import LABELS
from tasks.services import dvc
from tasks.workspace import Workspace

SCRATCH = ".*.part\n"  # what a killed write leaves behind, see workspace.atomic
IGNORED = ".labelwise/\ndvc_plots/\n" + SCRATCH


def run(
    root: Path,
    pool: str,
    gold: str,
    classes: list[str] | None,
    name: str,
    remote: str | None,
    columns: settings.Columns,
) -> Workspace:
    """Make a workspace at `root`, which must be new or empty. All that can be wrong is looked at first.

    classes: the answers, or None for those in the gold set. remote: where DVC keeps data, None: a folder beside root.
    """
    root = root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(
            f"{root} is no empty folder", expected="a new folder", fix="choose another, or run the loop that is there"
        )
    changes = {
        "project.name": name or _title(root),
        "project.id": secrets.token_hex(4),
        "classes": classes_for(gold, columns, classes),
        "pull.pool": located(pool),
        "pull.gold": located(gold),
        **{f"pull.columns.{key}": value for key, value in columns.model_dump().items()},
    }
    if next(sources.chunks(pool, [columns.text] + ([columns.id] if columns.id else [])), None) is None:
        raise InputError(f"{pool} holds no row", expected="at least one text to label")
    made = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        _fill(root, changes, located(remote) if remote else f"{root}.remote")
    except BaseException:
        shutil.rmtree(root)
        if not made:
            root.mkdir()
        raise
    return Workspace.open(root)


def _fill(root: Path, changes: dict[str, object], remote: str) -> None:
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(_template(file), root / file)
    settings.change(root / "params.yaml", changes)
    settings.read(root / "params.yaml")
    (root / ".gitignore").write_text(IGNORED, encoding="utf-8")
    versions = dvc.create(root, remote)
    (root / ".dvcignore").write_text(SCRATCH, encoding="utf-8")
    ledger.append(root / "data" / "labels", 0, LABELS.frame())
    versions.add(["data/labels"])
    versions.save("labelwise init")


def located(source: str) -> str:
    """A source that means the same from any folder: local paths made absolute."""
    return source if "://" in source else str(Path(source).expanduser().absolute())


def classes_for(gold: str, columns: settings.Columns, given: list[str] | None) -> list[str]:
    """The classes: those given, else the labels that occur in the gold set, sorted. InputError when they do not fit."""
    wanted = [columns.text, columns.label, *([columns.id] if columns.id else [])]
    found: set[str] = set()
    for chunk in sources.chunks(gold, wanted):
        found |= {label.strip() for label in chunk[columns.label] if label and label.strip()}
    if strangers := sorted(found - set(given or found)):
        expected = "one of " + ", ".join(given or [])
        raise InputError(f"{gold}: labels outside the classes", expected=expected, got=", ".join(strangers[:5]))
    if not found or len(given or found) < 2:
        raise InputError(
            f"{gold}: too few labels",
            expected="gold rows, and two classes at least",
            got=", ".join(sorted(found)) or "no labelled row",
            fix="give labelled rows; name classes without a gold row by --labels a,b,c",
        )
    return given or sorted(found)


def _title(root: Path) -> str:
    return root.name[:36] or "labelwise"


def _template(file: str) -> Path:
    """The file at the top level of a checkout, or its copy in an installed package."""
    packaged = Path(infra.__file__).parent
    installed = packaged / "workspace" / file
    return installed if installed.exists() else packaged.parent / file
