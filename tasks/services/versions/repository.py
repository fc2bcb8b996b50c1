"""One workspace as a repository of git and DVC, and what is asked of either."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from labelwise.tasks.errors import ServiceError
from labelwise.tasks.services.versions import dvc, git, leftovers
from labelwise.tasks.workspace import reading

# What the loop writes, and so what it commits.
OWNED = [
    "data",
    "metrics",
    "dvc.yaml",
    "dvc.lock",
    "code.yaml",
    ".gitignore",
    ".gitattributes",
    ".dvcignore",
    ".dvc/.gitignore",
    ".dvc/config",
    "finished.dvc",
]
TRACKED = ["data/pool", "data/gold", "data/labels", "data/quarantine", "finished"]


class Repository:
    """The git and DVC repository of one workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._trusted = False

    def git(self, *words: str) -> str:
        """What a git command prints. ServiceError with the end of its complaint when it fails. WorkspaceError where the
        repository's own settings could make git run something."""
        return self._git(words, {})

    def _git(self, words: tuple[str, ...], variables: dict[str, str]) -> str:
        self.trusted()
        done = git.run(self.root, *words, extra=variables)
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            fix = "end the git that works there, then run it again" if leftovers.git_locks(self.root) else ""
            raise ServiceError(f"git {words[0]} failed in {self.root}", got=said[-1] if said else "no word", fix=fix)
        return done.stdout.decode(errors="replace").strip()

    def trusted(self) -> None:
        """WorkspaceError where settings of the repository could make git run something. Looked at once."""
        if not self._trusted:
            git.refuse_strange_settings(self.root)
            self._trusted = True

    @property
    def head(self) -> str:
        """The commit that is checked out, '' before the first and on a branch without one."""
        if not self.git("rev-list", "-n", "1", "--all"):
            return ""
        return git.run(self.root, "rev-parse", "--verify", "--quiet", "HEAD").stdout.decode().strip()

    def tagged(self, tag: str) -> bool:
        """Whether the tag is in the history of what is checked out."""
        return bool(self.head) and bool(self.git("tag", "--merged", "HEAD", "--list", tag))

    def message(self, revision: str) -> str:
        """The message of a commit."""
        return self.git("log", "-1", "--format=%B", revision)

    def committed_at(self, revision: str) -> datetime:
        """When a commit was made, with its time zone."""
        return datetime.fromisoformat(self.git("log", "-1", "--format=%cI", revision))

    def changes(self) -> list[str]:
        """Files that the next `save` would commit, and those of the loop that are gone."""
        listed = self.git("status", "--porcelain", "--", *OWNED, "params.yaml").splitlines()
        return [line.split(maxsplit=1)[1] for line in listed]

    @cached_property
    def repo(self) -> Any:
        """DVC's own object for this workspace. Also of earlier versions it finds the data where it is now: DVC itself
        goes by the address that the version names, and takes one relative to the workspace for relative to `/`."""
        from dvc.config import Config
        from dvc.repo import Repo

        self.trusted()
        dvc.refuse_strange_remotes(self.root)
        logging.getLogger("dvc").propagate = False  # prefect's root handler would print each line again
        with dvc.inside(self.root):
            now = Config(str(self.root / ".dvc"))
            urls = {name: {"url": str(each["url"])} for name, each in now["remote"].items() if "url" in each}
            default = {"remote": now["core"]["remote"]} if now["core"].get("remote") else {}
            return Repo(str(self.root), config={"core": default, "remote": urls})

    @contextmanager
    def inside(self) -> Iterator[Any]:
        """DVC's own object, to be used in here; its errors as ours."""
        with dvc.inside(self.root):
            yield self.repo

    def uncommitted(self, path: str) -> bool:
        """Whether a folder that DVC tracks holds something else than the last commit."""
        named = f"{path}.dvc"
        if self.git("status", "--porcelain", named):
            return True
        with dvc.inside(self.root):
            return (self.root / named).exists() and bool(self.repo.status(targets=[named]))

    def only_added(self, folder: str, *beginnings: str) -> list[str]:
        """The files that a tracked folder has gained since the last commit; none where anything else of it changed, or
        one has a name that does not begin like that."""
        if not self.uncommitted(folder):
            return []
        with dvc.inside(self.root):
            found = self.repo.diff("HEAD")
        inside = {
            kind: [
                Path(path) for each in entries if (path := diff_path(each)).startswith(f"{folder}/") and path[-1] != "/"
            ]
            for kind, entries in found.items()
        }
        added = inside.pop("added", [])
        strange = [path for path in added if not path.name.startswith(beginnings)]
        return [] if strange or any(inside.values()) else sorted(str(path) for path in added)

    def outs(self, name: str) -> dict[str, dict[str, Any]]:
        """What dvc.lock or a `.dvc` file says of each file and folder that it names, by path."""
        from ruamel.yaml import YAML

        file = self.root / name
        if not file.exists():
            return {}
        with reading(file):
            content = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
            stages = content["stages"].values() if "stages" in content else [content]
            outs = [out for stage in stages for out in stage.get("outs", [])]
            return {str(Path(name).parent / out["path"]): {"md5": str(out["md5"]), **out} for out in outs}

    def tracked(self) -> list[str]:
        """The `.dvc` files of the folders that DVC keeps, as far as there are any."""
        return [f"{path}.dvc" for path in TRACKED if (self.root / f"{path}.dvc").exists()]


def diff_path(entry: dict[str, Any]) -> str:
    """The path of an entry of DVC's diff; of a file that was renamed, the one it had."""
    path = entry["path"]
    return str(path["old"] if isinstance(path, dict) else path)
