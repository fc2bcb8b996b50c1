"""Whether anything has changed since the last pull, told without reading a row. Only a cache, safe to delete."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks import kinds, sources
from labelwise.tasks.items import forgotten, stored
from labelwise.tasks.kinds.files import unread_among
from labelwise.tasks.workspace import Workspace, write_json

VERSION = 1  # raise it when the same sources would be pulled otherwise


def fingerprint(workspace: Workspace) -> dict[str, Any] | None:
    """What the outcome of a pull follows from; None when a source must be read to tell."""
    pull = workspace.settings.pull
    files = kinds.item(workspace.settings.kind.item).files(pull.columns)
    pool, gold = sources.fingerprint(pull.pool, files), sources.fingerprint(pull.gold, files)
    if pool is None or gold is None:
        return None
    settings = workspace.settings
    names = {"classes": settings.classes, "renamed": settings.renamed}
    names |= {"lapsed": settings.lapsed} if settings.lapsed else {}
    return {"pool": pool, "gold": gold, "version": VERSION, "pull": pull.model_dump(), **names}


def recall(workspace: Workspace, seen: dict[str, Any] | None) -> dict[str, Any] | None:
    """What `remember` was told, when all is as it was then."""
    try:
        note = json.loads(_note(workspace).read_text(encoding="utf-8"))
        same = seen is not None and note["seen"] == seen and note["in_place"] == _in_place(workspace)
        return dict(note["said"]) if same and not _mended(workspace, note["awaited"]) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def remember(
    workspace: Workspace, seen: dict[str, Any] | None, said: dict[str, Any], awaited: Mapping[str, Sequence[str]]
) -> None:
    """Keep what there is to say of a pull, and what of the sources it was made from. awaited: by source, pool or gold,
    the names of files that could not be used: they may be mended, and their table stay as it is."""
    note = {"seen": seen, "in_place": _in_place(workspace), "said": said, "awaited": awaited}
    write_json(_note(workspace), note)


def _mended(workspace: Workspace, awaited: Mapping[str, Sequence[str]]) -> bool:
    """Whether one of the files that could not be used can be now."""
    pull = workspace.settings.pull
    item = kinds.item(workspace.settings.kind.item)
    files = item.files(pull.columns)
    if files is None:
        return False
    for of, names in awaited.items():
        for cell in sources.again(getattr(pull, of), files, names) if names else ():
            read = item.read(pd.DataFrame({files.column: [cell]}), pull)
            if not any(unread_among(read, files)):
                return True
    return False


def _in_place(workspace: Workspace) -> list[list[str | int]]:
    """Name and size of the files that pulls have made."""
    tombstones = forgotten.place(workspace)
    files = [*stored.shards(workspace), *workspace.gold.parent.glob(workspace.gold.name)]
    files += [tombstones] if tombstones.exists() else []
    return [[file.name, file.stat().st_size] for file in files]


def _note(workspace: Workspace) -> Path:
    return workspace.scraps / "pull.json"
