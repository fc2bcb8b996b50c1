"""Whether the DVC remote still has what earlier rounds name, and what to do when it does not.

DVC makes a new remote where it finds none. So one that was moved, emptied or not mounted would be made again without a
word, with the present data alone, and no earlier round could be replayed.
"""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from labelwise.tasks.errors import WorkspaceError
from labelwise.tasks.records import round_tags
from labelwise.tasks.services.urls import public
from labelwise.tasks.services.versions import history
from labelwise.tasks.services.versions.repository import TRACKED, Repository
from labelwise.tasks.workspace import Workspace


def refuse_lack(versions: Repository, places: Iterable[Path] = ()) -> None:
    """WorkspaceError when the remote has nothing of what the last round names. places: see `lack`."""
    if found := lack(versions, places):
        raise found


def lack(versions: Repository, places: Iterable[Path] = ()) -> WorkspaceError | None:
    """What is missing, where it was looked for and what fixes it; None while the remote has any of the data that the
    last round, or the present version, names. A few requests. places: where this workspace has been before.

    ServiceError when the remote does not answer.
    """
    tags = round_tags(versions.git("tag", "--merged", "HEAD", "--list", "round-*")) if versions.head else []
    if not tags:
        return None  # nothing was ever sent
    last = max(tags)
    wanted = _data(versions, last)
    with history.remote(versions) as store:
        if any(store.exists(digest) for digest in wanted):
            return None
    name = _name(versions)
    address = str(versions.repo.config["remote"][name]["url"])
    where = Path(address)
    gone = "no such folder" if "://" not in address and not where.exists() else "nothing of it is there"
    return WorkspaceError(
        f"the DVC remote lacks the data that {last} names",
        expected=f"it at {public(address)}",
        got=gone,
        fix=_fix(versions, name, _elsewhere(versions, where, places, wanted)),
    )


def refuse_lack_of(source: str | Path) -> None:
    """WorkspaceError when `lack_of` finds something."""
    if found := lack_of(source):
        raise found


def lack_of(source: str | Path) -> WorkspaceError | None:
    """What `lack` finds of a workspace in a folder of this machine; of another address nothing is known."""
    return lack(Repository(Path(source).resolve())) if (Path(source) / ".dvc").is_dir() else None


def lead(versions: Repository, other: Repository) -> list[str]:
    """The command by which a copy finds the DVC remote of another on this machine; none where it does already, or where
    that is no folder."""
    there, here = (str(each.repo.config["remote"][_name(each)]["url"]) for each in (other, versions))
    if "://" in there or os.path.realpath(there) == os.path.realpath(here):
        return []
    found = os.path.relpath(there, versions.root)
    return [shlex.join(["dvc", "remote", "modify", "--local", _name(other), "url", found])]


def _fix(versions: Repository, name: str, elsewhere: Path | None) -> str:
    """What to do, as commands that can be given from anywhere."""
    if elsewhere:
        # Where a clone looks is its own affair: the other one's folder is not beside it.
        scope = ["--local"] * bool(_origin(versions))
        found = os.path.relpath(elsewhere, versions.root)  # and so it stays when both are moved once more
        return f"it is at {elsewhere}: `{_dvc(versions, 'remote', 'modify', *scope, name, 'url', found)}`"
    digests = history.objects(versions, history.tagged_rounds(versions))
    here = sum(Path(versions.repo.cache.local.oid_to_path(digest)).exists() for digest in digests)
    back = f"put it back, or say where it is: `{_dvc(versions, 'remote', 'modify', name, 'url', 'FOLDER')}`"
    if not here:
        return back
    share = f"all {here:,}" if here == len(digests) else f"{here:,} of {len(digests):,}"
    fill = f"`{_fill(versions, name)}` fills it anew from the cache of this workspace"
    return f"{back}; if it is lost, {fill}, which has {share} files that the rounds name"


def _fill(versions: Repository, name: str) -> str:
    """How to send all versions to the remote. DVC goes by the address that each version names, and takes a relative one
    for relative to `/`; so a folder is given a name of its own for this."""
    address = str(versions.repo.config["remote"][name]["url"])
    if "://" in address:
        return _dvc(versions, "push", "--all-commits")
    named = _dvc(versions, "remote", "add", "--local", "--force", "refill", address)
    return f"{named} && {_dvc(versions, 'push', '--all-commits', '--remote', 'refill')}"


def _dvc(versions: Repository, *words: str) -> str:
    return shlex.join(["dvc", "--cd", str(versions.root), *words])


def _data(versions: Repository, tag: str) -> set[str]:
    """DVC's hashes of the folders of data in a round, and in the present version: `dvc gc` may have left that alone."""
    files = [f"{path}.dvc" for path in TRACKED]
    found = [history.contents(versions, file, [tag, "HEAD"]).values() for file in files]
    return {str(history.tracked(content)["md5"]) for contents in found for content in contents}


def _elsewhere(versions: Repository, where: Path, places: Iterable[Path], wanted: set[str]) -> Path | None:
    """Where a remote lies that has some of the data: beside where the workspace has been or was cloned from, as ours
    would lie beside us; or of that name in a folder above us."""
    root, beside = versions.root, os.path.relpath(where, versions.root)
    been = [place for place in [*places, *_origin(versions)] if place.is_absolute()]
    tried = [
        *(Path(os.path.normpath(place / beside)) for place in been),
        *(place.with_name(f"{place.name}.remote") for place in [*been, root]),
        *(above / where.name for above in root.parents),
    ]
    files = [Path("files", "md5", digest[:2], digest[2:]) for digest in wanted]
    # Not Path.exists: it fails in a folder that we may not enter.
    return next((each for each in tried if any(os.path.exists(each / file) for file in files)), None)  # noqa: PTH110


def _name(versions: Repository) -> str:
    """Of the DVC remote that is used where none is named."""
    return str(versions.repo.config["core"].get("remote", ""))


def _origin(versions: Repository) -> list[Path]:
    """The folder that this was cloned from, where it is on this machine."""
    address = versions.git("config", "--default", "", "--get", "remote.origin.url")
    return [Path(address)] if address.startswith("/") else []


def refuse_missing(workspace: Workspace) -> None:
    """WorkspaceError in a fresh clone before `dvc pull`: a pull would take all items for new and lose their history.
    Where its DVC remote is not where it looks for it, the line says that."""
    if name := missing(workspace):
        refuse_lack(Repository(workspace.root))
        raise WorkspaceError(f"{name} is missing", expected=f"what {name}.dvc names", fix="`dvc pull`")


def missing(workspace: Workspace) -> str:
    """A folder of data that git names and that is not here, '' where all are."""
    for folder in (workspace.pool, workspace.gold.parent, workspace.labels, workspace.quarantine):
        if folder.with_name(f"{folder.name}.dvc").exists() and not folder.exists():
            return str(folder.relative_to(workspace.root))
    return ""
