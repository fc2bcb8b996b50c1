"""A clone of a workspace's history, in which any of its versions can be had."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from labelwise.tasks.errors import ServiceError
from labelwise.tasks.services.versions import git, history, remote
from labelwise.tasks.services.versions.dvc import inside, remote_errors
from labelwise.tasks.services.versions.history import Commit
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace


def clone(source: str, folder: Path) -> Versions:
    """A copy of a workspace's history, by its folder or address, without its data. ServiceError when git cannot. Its
    data comes from where the workspace has it now, whatever older versions say."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = Path(source).expanduser()
    where = str(place.resolve()) if place.exists() else source
    if place.exists():
        git.refuse_strange_settings(place.resolve())  # git would read them at the other end
    # No link in it leads out of its folder. A history of elsewhere comes by the user's settings, for he signs in; the
    # files come by ours.
    words = ["--quiet", "--no-hardlinks", "--no-checkout", "--template=", "--config", "core.symlinks=false"]
    local = {"GIT_ALLOW_PROTOCOL": "file"} if place.exists() else {}
    if (place / ".git").is_dir():
        words += git.reading(place.resolve())
    safe = {"safe.directory": str(place.resolve() / ".git")}
    done = git.run(
        folder.parent, "clone", *words, "--", where, str(folder), users=not local, extra=local, settings=safe
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = next((line.removeprefix("fatal: ") for line in said if line.startswith("fatal: ")), "".join(said[-1:]))
        raise ServiceError(f"no history from {source}", got=why or "no word")
    versions = Versions(folder)
    if versions.head:
        versions.git("checkout", "--quiet", "--force", "HEAD")
    if place.is_dir():
        _keep_remotes(place.resolve() / ".dvc", folder / ".dvc")
    return versions


def _keep_remotes(source: Path, made: Path) -> None:
    """Give a clone what leads to the DVC remotes of its source: the keys, which people keep in config.local, and the
    address of each as it is now, whole: the clone stands in another place, and older versions name older ones."""
    from configobj import ConfigObj

    secret = source / "config.local"
    if secret.is_file():
        shutil.copyfile(secret, made / "config.local")
    own = ConfigObj(str(made / "config.local"), encoding="utf-8")
    for file in (source / "config", secret):
        for section, said in ConfigObj(str(file), encoding="utf-8").items():
            url = said.get("url", "") if section.startswith("remote ") else ""
            if url:
                elsewhere = "://" in url or Path(url).expanduser().is_absolute()
                own.setdefault(section, {})["url"] = url if elsewhere else os.path.normpath(source / url)
    if own:
        own.write()


@contextmanager
def past(root: Path, name: str, command: str, targets: list[str]) -> Iterator[tuple[Commit, Workspace]]:
    """A past round of a workspace in a folder of its own, with these of its data (stages, `.dvc` files): its commit and
    its files. The workspace stays as it is. name: its tag or its number. command: the one that is at work.

    InputError where there is no such round. ServiceError, WorkspaceError where the DVC remote does not give its data.
    """
    remote.refuse_lack_of(root)
    with TemporaryDirectory(prefix="labelwise-past-") as folder:
        versions = clone(str(root), Path(folder) / "round")
        mine = history.meant(name, history.tagged_rounds(versions), command)
        checkout(versions, mine.id)
        fetch(versions, [target for target in targets if target[-4:] != ".dvc" or (versions.root / target).exists()])
        yield mine, Workspace.open(versions.root)


def checkout(versions: Versions, revision: str) -> None:
    """Make a clone's files those of a revision."""
    versions.git("checkout", "--quiet", "--detach", revision)


def fetch(versions: Versions, targets: list[str]) -> None:
    """Bring data of the present version (`.dvc` files, stages that it has) from the DVC remote. ServiceError when some
    is gone."""
    there = [target for target in targets if target.endswith(".dvc") or versions.declares(target)]
    fix = "check the address in .dvc/config, your credentials, and `dvc push` in the workspace"
    with remote_errors("the DVC remote does not give what this version names", fix), inside(versions.root):
        versions.repo.pull(there)
