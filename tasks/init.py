"""Make a workspace: a git + DVC repository with params.yaml, dvc.yaml and an empty label ledger."""

import secrets
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

import infra
from tasks import settings, sources
from tasks.errors import InputError
from tasks.labels import ledger
from tasks.pull import fates, listed
from tasks.records import LABELS, content_id
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
    labelled: str | None = None,
    tell: Callable[[str], None] = print,
) -> Workspace:
    """Make a workspace at `root`, which must be new or empty. All that can be wrong is looked at first.

    labelled: rows of the pool that have a label already; they are the ledger's first, of origin `imported`. tell: gets
    a line where some of them are left out.

    classes: the answers, or None for those in the gold set. remote: where DVC keeps data, None: a folder beside root.
    """
    root = root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(
            f"{root} is no empty folder", expected="a new folder", fix="choose another, or run the loop that is there"
        )
    for address in (pool, gold, labelled or "", remote or ""):
        _refuse_credentials(address)
    changes: dict[str, Any] = {
        "project.name": name or _title(root),
        "project.id": secrets.token_hex(4),
        "classes": classes_for(gold, columns, classes),
        "pull.pool": located(pool),
        "pull.gold": located(gold),
        **{f"pull.columns.{key}": value for key, value in columns.model_dump().items()},
    }
    if next(sources.chunks(pool, [columns.text] + ([columns.id] if columns.id else [])), None) is None:
        raise InputError(f"{pool} holds no row", expected="at least one text to label")
    pull = settings.Pull(pool=pool, gold=gold, columns=columns)
    rows = imported(labelled, pull, changes["classes"], tell) if labelled else LABELS.frame()
    made = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        _fill(root, changes, located(remote) if remote else f"{root}.remote", rows)
    except BaseException:
        shutil.rmtree(root)
        if not made:
            root.mkdir()
        raise
    return Workspace.open(root)


def _fill(root: Path, changes: dict[str, Any], remote: str, rows: pd.DataFrame) -> None:
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(_template(file), root / file)
    settings.change(root / "params.yaml", changes)
    settings.read(root / "params.yaml")
    (root / ".gitignore").write_text(IGNORED, encoding="utf-8")
    versions = dvc.create(root, remote)
    (root / ".dvcignore").write_text(SCRATCH, encoding="utf-8")
    ledger.append(root / "data" / "labels", 0, rows)
    versions.add(["data/labels"])
    versions.save("labelwise init")


def imported(labelled: str, pull: settings.Pull, classes: list[str], tell: Callable[[str], None]) -> pd.DataFrame:
    """Labels that people have given already, as ledger rows (LABELS) of origin `imported`. What the first pull will
    refuse, since it is in gold say, is left out, and said: a label without its item would stop the loop.

    InputError, and nothing is taken: a label outside the classes, a row that is not in the pool, or stands there twice
    with different labels.
    """
    columns = pull.columns
    parts = list(sources.chunks(labelled, [columns.text, columns.label]))
    if not parts:
        raise InputError(f"{labelled} holds no row", expected="rows of the pool, with a label")
    rows = pd.concat(parts, ignore_index=True)
    rows = pd.DataFrame({"text": rows[columns.text], "label": rows[columns.label].str.strip()}).drop_duplicates()
    rows = rows.assign(id=[content_id(text or "") for text in rows.text])
    in_pool = fates(pull, classes, set(rows.id))
    refused = rows.id.map({item: rule for item, rule in in_pool.items() if rule}).dropna()
    if len(refused):
        why = listed(Counter(refused))
        tell(f"{labelled}: {len(refused):,} labels left out, since the pull will refuse their rows: {why}")
    rows = rows.drop(index=refused.index)
    for wrong, what, fix in (
        (~rows.label.isin(classes), "labels outside the classes", "one of " + ", ".join(classes)),
        (~rows.id.isin(in_pool), "rows that are not in the pool", "rows of the pool, text by text"),
        (rows.id.duplicated(keep=False), "rows with two labels", "one label a text"),
    ):
        if wrong.any():
            first = rows[wrong].iloc[0]
            raise InputError(
                f"{labelled}: {wrong.sum()} {what}", expected=fix, got=f"{first.label!r} for {str(first.text)[:60]!r}"
            )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    known = {"status": "labelled", "annotator": "imported", "round": 0, "origin": "imported", "why": "imported"}
    table = pd.DataFrame({"id": rows.id, "label": rows.label, **known, "created_at": now})
    return LABELS.conform(table.reindex(columns=list(LABELS.columns)))


def _refuse_credentials(address: str) -> None:
    """InputError when an address that will be committed carries a password."""
    try:
        settings.without_credentials(address)
    except ValueError as error:
        raise InputError(address, got=str(error)) from None


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
