"""Every version of data, labels, model and metrics: made, sent to the DVC remote, and read again."""

import hashlib
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labelwise.tasks.errors import LabelwiseError
from labelwise.tasks.services.versions import differences, git, leftovers, remote
from labelwise.tasks.services.versions.dvc import inside, remote_errors
from labelwise.tasks.services.versions.repository import OWNED, TRACKED, Repository
from labelwise.tasks.workspace import reading


class Versions(Repository):
    """The versions of one workspace."""

    def save(self, message: str, tag: str = "", only: Iterable[str] = ()) -> None:
        """Commit what the loop owns, or `only` some of it, and tag it. Nothing to commit is no error: a repeated save
        changes nothing. WorkspaceError on a detached HEAD."""
        if self.head and not self.git("branch", "--show-current"):
            differences.refuse_side_tracks(self)
        paths = [path for path in only if (self.root / path).exists()] or self._paths()
        self.git("add", "--all", "--", *paths)
        changed = self.git("diff", "--cached", "--name-only", "--", *paths).splitlines()
        if touched := [path for path in paths if any(name == path or name.startswith(f"{path}/") for name in changed)]:
            words = ("commit", "--quiet", "--no-gpg-sign", "--message", message, "--", *touched)
            self._git(words, git.author(self.root))
        if tag and not self.tagged(tag):
            self.git("tag", "--no-sign", tag)

    def of_another(self) -> str:
        """What follows where the workspace belongs to another user than the one who runs us, and what fixes it, as a
        line for people; '' where it does not."""
        if not (owner := git.owner(self.root)):
            return ""
        mine = f"sudo chown -R {os.geteuid()}:{os.getegid()} {shlex.quote(str(self.root))}"
        return (
            f"the workspace belongs to {owner}: your own git and dvc refuse to work in it, and what you write there "
            f"{owner} cannot change. To mend it: work as {owner}; or, if it is yours, `{mine}`"
        )

    def clear(self) -> None:
        """Remove the locks that dead processes left."""
        leftovers.remove_dead_locks(self.root)

    def restore(self) -> None:
        """Put right what a loop that died was writing: DVC does not replace its files whole.

        One that was cut off is taken from the last commit, or removed where that has none: the stage that it tells of
        runs again, the folder is added again.
        """
        leftovers.remove_scraps(self.root)
        for path in ["dvc.lock", *self.tracked()]:
            if (self.root / path).exists() and not self._whole(path):
                if self.head and self.git("ls-tree", "--name-only", "HEAD", "--", path):
                    self.git("checkout", "HEAD", "--", path)
                else:
                    (self.root / path).unlink()

    def _whole(self, path: str) -> bool:
        """Whether a file of DVC's was written to its end: it can be read, and no entry lacks what is written last."""
        from dvc.dvcfile import Lockfile, SingleStageFile
        from ruamel.yaml import YAML

        text = (self.root / path).read_text(encoding="utf-8", errors="replace")
        if not text.endswith("\n"):
            return False
        try:
            with inside(self.root):
                (SingleStageFile if path.endswith(".dvc") else Lockfile)(self.repo, path).load()
            return _complete(YAML(typ="safe").load(text))
        except (LabelwiseError, TypeError, KeyError, AttributeError):
            return False

    def add(self, paths: Iterable[str] = TRACKED) -> None:
        """Keep the present content of these folders under version."""
        present = [path for path in paths if (self.root / path).exists()]
        with inside(self.root):
            self.repo.add(present)

    def declares(self, stage: str) -> bool:
        """Whether dvc.yaml has such a stage: that of a workspace is as old as the workspace."""
        from ruamel.yaml import YAML

        path = self.root / "dvc.yaml"
        with reading(path):
            return stage in (YAML(typ="safe").load(path).get("stages") or {})

    def changed(self, stage: str) -> bool:
        """Whether a stage of dvc.yaml must run again: a dependency, a parameter or an output is not as in dvc.lock."""
        with inside(self.root):
            return bool(self.repo.status(targets=[stage]))

    def changed_by(self, stage: str) -> set[str]:
        """What of a stage is not as in dvc.lock: dependencies and outputs by path, parameters by key."""
        with inside(self.root):
            entries = [entry for entry in self.repo.status(targets=[stage]).get(stage, []) if isinstance(entry, dict)]
        found = [part for entry in entries for kind in entry.values() for part in kind.items()]
        return {key for path, what in found for key in (what if isinstance(what, dict) else [path])}

    def record(self, stage: str) -> None:
        """Write into dvc.lock that the stage ran on what lies there now."""
        with inside(self.root):
            self.repo.commit(target=stage, force=True)

    def push(self) -> None:
        """Send what the present commit names to the DVC remote. ServiceError when that does not take it; WorkspaceError
        when it lacks what earlier rounds sent there."""
        remote.refuse_lack(self)
        fix = "check the address in .dvc/config and your credentials, then run it again"
        with remote_errors("the DVC remote cannot be written", fix), inside(self.root):
            self.repo.push()

    def _paths(self) -> list[str]:
        """What there is of what the loop commits."""
        return [path for path in [*OWNED, "params.yaml"] if (self.root / path).exists()]

    def earlier(self, path: str, revision: str) -> Path | None:
        """A stage's output as it was in a past revision, read-only, from DVC's cache; None where it is not at hand."""
        from ruamel.yaml import YAML

        if not self.tagged(revision):
            return None
        lock = YAML(typ="safe").load(self.git("show", f"{revision}:dvc.lock"))
        outs = [out for stage in lock["stages"].values() for out in stage.get("outs", [])]
        found = next((out["md5"] for out in outs if out["path"] == path), None)
        with inside(self.root):
            cached = Path(self.repo.cache.local.oid_to_path(found)) if found else None
        return cached if cached and cached.exists() else None

    def inputs(self) -> str:
        """A digest of params.yaml and dvc.lock: of all that a round's model and batch follow from."""
        files = [self.root / name for name in ("params.yaml", "dvc.lock")]
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]

    def hashes(self) -> dict[str, str]:
        """DVC's hash of each folder it tracks, by name: pool, gold, labels."""
        outs = {Path(path).name: said for name in self.tracked() for path, said in self.outs(name).items()}
        return {folder: str(said["md5"]) for folder, said in outs.items()}


def create(root: Path, remote: str) -> Versions:
    """Make `root` a git and DVC repository whose data goes to `remote`, which is made on the first push."""
    from configobj import ConfigObj
    from dvc.repo import Repo

    versions = Versions(root)
    versions.git("init", "--quiet", "--initial-branch", "main", "--template=")
    core = {"remote": "storage", "analytics": False, "check_update": False, "autostage": False}
    with inside(root):
        Repo.init(str(root)).close()
        config = ConfigObj({"core": core, 'remote "storage"': {"url": _portable(remote, root)}}, encoding="utf-8")
        with (root / ".dvc" / "config").open("wb") as file:  # DVC's own writer takes ASCII alone
            config.write(file)
    return versions


def _portable(remote: str, root: Path) -> str:
    """The address of a remote as .dvc/config has it: a folder beside the workspace moves with it, and so is named from
    .dvc on; any other stays where it is."""
    if "://" in remote or not Path(remote).resolve().is_relative_to(root.resolve().parent):
        return remote
    return os.path.relpath(Path(remote).resolve(), root.resolve() / ".dvc")


def _complete(content: Any) -> bool:
    """Whether no entry of dvc.lock or a .dvc file lacks what DVC writes last of it."""
    if "outs" in content:
        return all("path" in out for out in content["outs"])
    stages = content["stages"].values()
    entries = [entry for stage in stages for kind in ("deps", "outs") for entry in stage.get(kind, [])]
    return all("nfiles" in entry or ("size" in entry and not entry["md5"].endswith(".dir")) for entry in entries)
