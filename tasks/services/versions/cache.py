"""DVC's cache: what lies in it, which of it some version needs, and what the remote has too."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from labelwise.tasks.services.versions.dvc import remote_errors
from labelwise.tasks.services.versions.repository import TRACKED, Repository

MD5 = "md5"


class Cache:
    """The cache of one workspace. An object has a number of its own, made of its content."""

    def __init__(self, versions: Repository) -> None:
        self._versions = versions

    def objects(self) -> pd.Series:
        """The bytes of each object, by its number."""
        with self._versions.inside() as repo:
            store = repo.cache.local
            return pd.Series({one: Path(store.oid_to_path(one)).stat().st_size for one in store.all()}, dtype="int64")

    def needed(self, tags: Iterable[str] | None = None) -> set[str]:
        """The objects that the present workspace, a branch or a tag names. tags: those of which all is needed; of the
        others only what people gave is: pool, gold, ledger and what was refused.

        DVC fetches the list of a folder that the cache lacks, to read it; here it does not keep it.
        """
        with self._versions.inside() as repo:
            before = set(repo.cache.local.all())
            found = _named(repo.used_objs(all_branches=True, all_tags=True))
            if tags is not None:
                kept = _named(repo.used_objs(all_branches=True, revs=list(tags)))
                kept |= _named(repo.used_objs())
                given = tuple(TRACKED)
                found = {one: name for one, name in found.items() if one in kept or name.startswith(given)}
            self.remove(set(repo.cache.local.all()) - before - found.keys())
        return set(found)

    def in_remote(self, objects: Iterable[str]) -> set[str]:
        """Those of the objects that the DVC remote has. ServiceError when it does not answer."""
        wanted = list(objects)
        with remote_errors("the DVC remote cannot be read"), self._versions.inside() as repo:
            return set(repo.cloud.get_remote_odb(None, "gc", hash_name=MD5).oids_exist(wanted)) if wanted else set()

    def remove(self, objects: Iterable[str]) -> None:
        """Delete objects from the cache of this machine; nothing else is touched."""
        with self._versions.inside() as repo:
            for one in objects:
                repo.cache.local.delete(one)


def _named(used: dict[Any, set[Any]]) -> dict[str, str]:
    """The path under which each object is named, by its number."""
    return {str(one.value): str(one.obj_name or "") for each in used.values() for one in each}
