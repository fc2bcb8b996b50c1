"""git and DVC: every version of data, labels, model and metrics.

DVC runs in this process (a command of its own costs 1.2-2 s each time); git is its command line.
"""

import hashlib
import logging
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager
from datetime import datetime
from functools import cached_property
from itertools import count
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from labelwise.tasks.errors import LabelwiseError, ServiceError, WorkspaceError, plain
from labelwise.tasks.records import round_tags
from labelwise.tasks.services.home import private
from labelwise.tasks.services.versions import git, leftovers
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
]
# What git keeps in its folder while a command waits for the user, the command, and how it is taken back.
HALFWAY = {
    "rebase-merge": ("rebase", "git rebase --abort"),
    "rebase-apply/applying": ("am", "git am --abort"),
    "rebase-apply": ("rebase", "git rebase --abort"),
    "MERGE_HEAD": ("merge", "git merge --abort"),
    "CHERRY_PICK_HEAD": ("cherry-pick", "git cherry-pick --abort"),
    "REVERT_HEAD": ("revert", "git revert --abort"),
    "sequencer": ("cherry-pick or revert", "git cherry-pick --abort"),  # between two of several commits
    "BISECT_LOG": ("bisect", "git bisect reset"),
}
# What DVC reads before anything else.
SETTINGS = [".dvc/config", ".dvcignore", "dvc.yaml", "dvc.lock", "data/*.dvc", "*.gitignore"]
# What comes of it when one of them is broken.
BROKEN = (ValueError, LookupError, TypeError, AttributeError, FileNotFoundError, FileExistsError)
ASIDE = "set-aside"  # the branch that advice gives to commits beside the loop's
USERS = ["params.yaml", ".dvc/config"]  # what people may change, and the next round's commit takes along
PROFILES = ("configpath", "credentialpath")  # remote options: the AWS SDK runs the `credential_process` of such a file
TRACKED = ["data/pool", "data/gold", "data/labels", "data/quarantine"]


class Versions:
    """The versions of one workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._trusted = False

    # git

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

    def save(self, message: str, tag: str = "", only: Iterable[str] = ()) -> None:
        """Commit what the loop owns, or `only` some of it, and tag it. Nothing to commit is no error: a repeated save
        changes nothing. WorkspaceError on a detached HEAD."""
        if self.head and not self.git("branch", "--show-current"):
            self.refuse_side_tracks()
        paths = [path for path in only if (self.root / path).exists()] or self._paths()
        self.git("add", "--all", "--", *paths)
        changed = self.git("diff", "--cached", "--name-only", "--", *paths).splitlines()
        if touched := [path for path in paths if any(name == path or name.startswith(f"{path}/") for name in changed)]:
            words = ("commit", "--quiet", "--no-gpg-sign", "--message", message, "--", *touched)
            self._git(words, git.author(self.root))
        if tag and not self.tagged(tag):
            self.git("tag", "--no-sign", tag)

    def of_another(self) -> str:
        """What follows where the workspace belongs to another user than the one who runs us, and what mends it, as a
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
        for path in ["dvc.lock", *self._tracked()]:
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
            with _dvc(self.root):
                (SingleStageFile if path.endswith(".dvc") else Lockfile)(self.repo, path).load()
            return _complete(YAML(typ="safe").load(text))
        except (LabelwiseError, TypeError, KeyError, AttributeError):
            return False

    def refuse_side_tracks(self) -> None:
        """WorkspaceError when git is amid a rebase or a merge, on no branch, or at an older version: from there the
        loop would ask again what was answered, or commit where nobody finds it. The line names the command that mends
        it. That drops no commit, and DVC asks before it replaces data that it does not have: hence no --force."""
        self._refuse_halfway()
        branch = self.git("branch", "--show-current")
        rounds = round_tags(self.git("tag", "--list", "round-*"))
        later = set(rounds)
        later -= set(round_tags(self.git("tag", "--merged", "HEAD", "--list", "round-*"))) if self.head else set()
        if not later and (branch or not self.head):
            return
        newest = max(rounds, default="HEAD")
        mend = f"`{self._way_back(newest)} && dvc checkout`"
        if later:
            raise WorkspaceError(
                f"{self.root} has an older version checked out",
                expected=f"one that holds {newest}",
                got=f"branch {branch}" if branch else "no branch (detached HEAD)",
                fix=f"{mend}; to look at a past round, use a clone",
            )
        raise WorkspaceError(
            f"{self.root} is on no branch (detached HEAD): what is committed there is lost by the next checkout",
            expected="a branch",
            fix=mend,
        )

    def _refuse_halfway(self) -> None:
        """WorkspaceError when a command of git that goes in steps was begun and not ended, or left a conflict."""
        for mark, (command, way) in HALFWAY.items():
            if (self.root / ".git" / mark).exists():
                raise WorkspaceError(
                    f"a git {command} is under way in {self.root}",
                    fix=f"`{way} && dvc checkout` goes back to where it began; or end it",
                )
        if names := list(dict.fromkeys(self.git("diff", "--name-only", "--diff-filter=U", "-z").split("\0")[:-1])):
            files = shlex.join(names)
            raise WorkspaceError(
                f"{self.root} has a conflict of git that nobody has resolved",
                got=", ".join(names[:5]),
                fix=f"`git add -- {files} && git stash push -- {files} && dvc checkout` puts it aside; or resolve it",
            )

    def _way_back(self, newest: str) -> str:
        """The git command to a branch that holds the newest round: one that does, or else one that is moved on to it.
        Commits that no branch would hold any more are given one of their own."""
        branches = self._branches()
        holders = self._branches("--contains", newest)
        branch = self.git("branch", "--show-current")
        loose = not branch and bool(self.head) and not self._branches("--contains", "HEAD")
        if holders:
            home = "main" if "main" in holders else holders[0]
            target = "HEAD" if loose and self._leads_to(home, "HEAD") else home
        else:
            home = branch if branch in branches else next(iter([*({"main"} & {*branches}), *branches]), "main")
            target = "HEAD" if loose and self._leads_to(newest, "HEAD") else newest
        kept = ["HEAD"] if loose and not self._leads_to("HEAD", target) else []
        kept += [home] if home in branches and not self._leads_to(home, target) else []
        names = zip(self._free(branches), kept, strict=False)
        steps = [f"git branch {name} {shlex.quote(revision)}" for name, revision in names]
        way = shlex.quote(home) if target == home else f"-C {shlex.quote(home)} {target}"
        return " && ".join([*steps, f"git switch {way}"])

    def aside(self) -> str:
        """A name for a branch of commits that are put aside."""
        return next(self._free(self._branches()))

    def _free(self, branches: list[str]) -> Iterator[str]:
        return (name for number in count(1) if (name := f"{ASIDE}-{number}") not in branches)

    def _branches(self, *which: str) -> list[str]:
        listed = self.git("branch", "--format=%(refname)", *which).splitlines()
        return [name.removeprefix("refs/heads/") for name in listed if name.startswith("refs/heads/")]

    def _leads_to(self, before: str, after: str) -> bool:
        """Whether all commits of one revision are in another."""
        return git.run(self.root, "merge-base", "--is-ancestor", before, after).returncode == 0

    def refuse_rewriting(self, *folders: str) -> None:
        """WorkspaceError when committed files of folders that only grow were changed or are gone."""
        if not any(self.uncommitted(folder) for folder in folders):
            return  # a comparison file by file takes longer with each round
        with _dvc(self.root):
            found = self.repo.diff("HEAD")
        before = [_path(entry) for kind in ("modified", "deleted", "renamed") for entry in found.get(kind, [])]
        inside = tuple(f"{folder}/" for folder in folders)
        changed = [path for path in before if path.startswith(inside) and not path.endswith("/")]
        if changed:
            aside = self._put_aside([f"{folder}.dvc" for folder in folders if self.uncommitted(folder)])
            raise WorkspaceError(
                f"{self.root}: committed data was changed or removed",
                got=", ".join(changed[:5]),
                fix=f"`{aside}` brings it back, and puts the change aside",
            )

    def changes(self) -> list[str]:
        """Files that the next `save` would commit, and those of the loop that are gone."""
        listed = self.git("status", "--porcelain", "--", *OWNED, "params.yaml").splitlines()
        return [line.split(maxsplit=1)[1] for line in listed]

    def refuse_strange_changes(self) -> None:
        """WorkspaceError when files that the loop owns were changed by somebody else since the last commit."""
        changed = self._strange()
        with _dvc(self.root):
            changed += [str(name) for name in self.repo.status(targets=self._tracked())]
        self._refuse(changed)

    def refuse_seen_at_once(self) -> None:
        """The same, also of what the stages wrote, as far as it is told without DVC, which takes a second to load: what
        it keeps is known by size and number of files."""
        outs = {path: said for name in [*self._tracked(), "dvc.lock"] for path, said in self._outs(name).items()}
        sizes = {path: said["size"] for path, said in outs.items() if "size" in said}
        self._refuse_unlike([path for path, size in sizes.items() if size != _size(self.root / path)])

    def refuse_unlike(self) -> None:
        """The same, also of what the stages wrote: the loop writes that anew, but who reads it now reads what no
        version has."""
        with _dvc(self.root):
            outs = [out for out in self.repo.index.outs if out.hash_info and out.use_cache]
            self._refuse_unlike([str(out) for out in outs if {"modified", "deleted"} & {*out.status().values()}])

    def _refuse_unlike(self, unlike: list[str]) -> None:
        tracked = self._tracked()
        folders = [f"{path}.dvc" for path in unlike if f"{path}.dvc" in tracked]
        self._refuse([*self._strange(), *folders], [path for path in unlike if f"{path}.dvc" not in tracked])

    def _strange(self) -> list[str]:
        """What git keeps of the loop's files and somebody else changed."""
        changed = [path for path in self.changes() if path not in USERS or self._cut_off(path)]
        # Without them all that DVC keeps is new to git.
        return [path for path in changed if path.endswith(".gitignore")] or changed

    def _cut_off(self, path: str) -> bool:
        """Whether a file that people may change is gone, or ends where no one would end it."""
        file, kept = self.root / path, git.run(self.root, "show", f"HEAD:{path}").stdout
        now = file.read_bytes() if file.exists() else b""
        return kept.startswith(now) and not now.endswith(b"\n")

    def _refuse(self, changed: list[str], written: Iterable[str] = ()) -> None:
        """changed: files of git, and `.dvc` files whose folder was changed. written: what stages wrote."""
        written = [path for path in written if path not in changed]  # figures are in both
        named = [*dict.fromkeys(changed), *written]
        missing = [path for path in named if not (self.root / path.removesuffix(".dvc")).exists()]
        if named and named == missing and all(path in written or path in self._tracked() for path in named):
            raise WorkspaceError(f"{self.root} lacks {', '.join(named[:5])}", fix="`dvc pull`")
        if named:
            raise WorkspaceError(
                f"{self.root} has uncommitted changes in files that the loop owns",
                got=", ".join(map(self._with_files, named[:5])),
                fix=f"`{self._put_aside(changed)}` "
                + ("puts them aside; or commit them" if changed else "brings the last version back"),
            )

    def put_aside(self, users: bool = False) -> list[str]:
        """The commands that keep what was changed since the last version, git's files in its stash, and what people
        said in DVC's cache by a hash in that stash. users: also what people may change themselves."""
        changed = [path for path in self.changes() if users or path not in USERS]
        with _dvc(self.root):
            unlike = {str(name).removesuffix(".dvc") for name in self.repo.status(targets=self._tracked())}
        present = sorted(folder for folder in unlike if (self.root / folder).exists())
        places = sorted({path.partition("/")[0] for path in [*changed, *present]})
        add = [f"dvc add --quiet {shlex.join(present)}"] * bool(present)
        return [*add, f"git stash push --quiet --include-untracked -- {shlex.join(places)}"] if places else []

    def _with_files(self, name: str) -> str:
        """The name of a folder that DVC keeps, with those of its files that are not as the version has them."""
        from labelwise.tasks.services.versions import history

        folder = name.removesuffix(".dvc")
        try:
            said = self._outs(name if folder != name else "dvc.lock")[folder]
            files = history.strangers(self, folder, said["md5"]) if said["md5"].endswith(".dir") else []
        except (LabelwiseError, LookupError):  # the version itself cannot be read
            files = []
        return f"{name} ({', '.join(files[:3])})" if files else name

    def _put_aside(self, changed: Iterable[str]) -> str:
        """The command that brings the last version back and keeps what is there: git's files in its stash, DVC's in
        the cache by a hash that is in the stash. What stages wrote is not kept: it can be made again."""
        folders = [name.removesuffix(".dvc") for name in self._tracked() if name in changed]
        present = [folder for folder in folders if (self.root / folder).exists()]
        steps = [f"dvc add {shlex.join(present)}"] if present else []
        if names := list(dict.fromkeys(changed)):
            steps.append(f"git stash push --include-untracked -- {shlex.join(names)}")
        return " && ".join([*steps, "dvc checkout --force"])

    # DVC

    @cached_property
    def repo(self) -> Any:
        """DVC's own object for this workspace. Also of earlier versions it finds the data where it is now: DVC itself
        goes by the address that the version names, and takes one relative to the workspace for relative to `/`."""
        from dvc.config import Config
        from dvc.repo import Repo

        self.trusted()
        refuse_strange_remotes(self.root)
        logging.getLogger("dvc").propagate = False  # prefect's root handler would print each line again
        with _dvc(self.root):
            now = Config(str(self.root / ".dvc"))
            urls = {name: {"url": str(each["url"])} for name, each in now["remote"].items() if "url" in each}
            default = {"remote": now["core"]["remote"]} if now["core"].get("remote") else {}
            return Repo(str(self.root), config={"core": default, "remote": urls})

    @contextmanager
    def inside(self) -> Iterator[Any]:
        """DVC's own object, to be used in here; its errors as ours."""
        with _dvc(self.root):
            yield self.repo

    def add(self, paths: Iterable[str] = TRACKED) -> None:
        """Keep the present content of these folders under version."""
        present = [path for path in paths if (self.root / path).exists()]
        with _dvc(self.root):
            self.repo.add(present)

    def uncommitted(self, path: str) -> bool:
        """Whether a folder that DVC tracks holds something else than the last commit."""
        named = f"{path}.dvc"
        if self.git("status", "--porcelain", named):
            return True
        with _dvc(self.root):
            return (self.root / named).exists() and bool(self.repo.status(targets=[named]))

    def only_added(self, folder: str, *beginnings: str) -> list[str]:
        """The files that a tracked folder has gained since the last commit; none where anything else of it changed, or
        one has a name that does not begin like that."""
        if not self.uncommitted(folder):
            return []
        with _dvc(self.root):
            found = self.repo.diff("HEAD")
        inside = {
            kind: [Path(path) for each in entries if (path := _path(each)).startswith(f"{folder}/") and path[-1] != "/"]
            for kind, entries in found.items()
        }
        added = inside.pop("added", [])
        strange = [path for path in added if not path.name.startswith(beginnings)]
        return [] if strange or any(inside.values()) else sorted(str(path) for path in added)

    def changed(self, stage: str) -> bool:
        """Whether a stage of dvc.yaml must run again: a dependency, a parameter or an output is not as in dvc.lock."""
        with _dvc(self.root):
            return bool(self.repo.status(targets=[stage]))

    def record(self, stage: str) -> None:
        """Write into dvc.lock that the stage ran on what lies there now."""
        with _dvc(self.root):
            self.repo.commit(target=stage, force=True)

    def push(self) -> None:
        """Send what the present commit names to the DVC remote. ServiceError when that does not take it; WorkspaceError
        when it lacks what earlier rounds sent there."""
        from labelwise.tasks.services.versions import remote

        remote.refuse_lack(self)
        try:
            with _dvc(self.root):
                self.repo.push()
        except LabelwiseError:
            raise
        except Exception as error:  # each kind of store raises its own
            raise ServiceError(
                "the DVC remote cannot be written",
                got=plain(f"{type(error).__name__}: {error}")[:300],
                fix="check the address in .dvc/config and your credentials, then run it again",
            ) from error

    def earlier(self, path: str, revision: str) -> Path | None:
        """A stage's output as it was in a past revision, read-only, from DVC's cache; None where it is not at hand."""
        from ruamel.yaml import YAML

        if not self.tagged(revision):
            return None
        lock = YAML(typ="safe").load(self.git("show", f"{revision}:dvc.lock"))
        outs = [out for stage in lock["stages"].values() for out in stage.get("outs", [])]
        found = next((out["md5"] for out in outs if out["path"] == path), None)
        with _dvc(self.root):
            cached = Path(self.repo.cache.local.oid_to_path(found)) if found else None
        return cached if cached and cached.exists() else None

    def inputs(self) -> str:
        """A digest of params.yaml and dvc.lock: of all that a round's model and batch follow from."""
        files = [self.root / name for name in ("params.yaml", "dvc.lock")]
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]

    def hashes(self) -> dict[str, str]:
        """DVC's hash of each folder it tracks, by name: pool, gold, labels."""
        outs = {Path(path).name: said for name in self._tracked() for path, said in self._outs(name).items()}
        return {folder: str(said["md5"]) for folder, said in outs.items()}

    def _outs(self, name: str) -> dict[str, dict[str, Any]]:
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

    def _paths(self) -> list[str]:
        """What there is of what the loop commits."""
        return [path for path in [*OWNED, "params.yaml"] if (self.root / path).exists()]

    def _tracked(self) -> list[str]:
        return [f"{path}.dvc" for path in TRACKED if (self.root / f"{path}.dvc").exists()]


def create(root: Path, remote: str) -> Versions:
    """Make `root` a git and DVC repository whose data goes to `remote`, which is made on the first push."""
    from configobj import ConfigObj
    from dvc.repo import Repo

    versions = Versions(root)
    versions.git("init", "--quiet", "--initial-branch", "main", "--template=")
    core = {"remote": "storage", "analytics": False, "check_update": False, "autostage": False}
    with _dvc(root):
        Repo.init(str(root)).close()
        config = ConfigObj({"core": core, 'remote "storage"': {"url": _portable(remote, root)}}, encoding="utf-8")
        with (root / ".dvc" / "config").open("wb") as file:  # DVC's own writer takes ASCII alone
            config.write(file)
    return versions


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; -1 for neither."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.exists() else -1


def _path(entry: dict[str, Any]) -> str:
    """The path of an entry of DVC's diff; of a file that was renamed, the one it had."""
    path = entry["path"]
    return str(path["old"] if isinstance(path, dict) else path)


def _portable(remote: str, root: Path) -> str:
    """The address of a remote as .dvc/config has it: a folder beside the workspace moves with it, and so is named from
    .dvc on; any other stays where it is."""
    if "://" in remote or not Path(remote).resolve().is_relative_to(root.resolve().parent):
        return remote
    return os.path.relpath(Path(remote).resolve(), root.resolve() / ".dvc")


def refuse_strange_remotes(root: Path) -> None:
    """WorkspaceError where DVC's settings that came with the workspace name files by which programs may be run."""
    from dvc.config import Config

    own = Path("~/.aws").expanduser().resolve()
    for name in ("config", "config.local"):
        file = root / ".dvc" / name
        if not file.is_file():
            continue
        with _dvc(root):
            remotes = Config.load_file(str(file))["remote"]
        for remote, options in remotes.items():
            for option in PROFILES:
                place = (file.parent / Path(options.get(option, own)).expanduser()).resolve()
                if not place.is_relative_to(own):
                    raise WorkspaceError(
                        f"{file} names a file of credentials, which can name a program to be run",
                        expected=f"none, or one in {own}",
                        got=f"{option} of the remote {remote}: {place}",
                        fix=f"`dvc remote modify --unset {remote} {option}` (and --local for config.local); set it in "
                        "your own settings by --global",
                    )


def _as_before(root: Path) -> str:
    """The command that puts aside what was changed of the files that DVC reads first; '' where nothing was."""
    listed = git.run(root, "diff", "--name-only", "-z", "HEAD", "--", *SETTINGS).stdout.decode(errors="replace")
    names = [name for name in listed.split("\0") if name]
    return f"`git stash push -- {shlex.join(names)}` puts the changes to them aside" if names else ""


def _complete(content: Any) -> bool:
    """Whether no entry of dvc.lock or a .dvc file lacks what DVC writes last of it."""
    if "outs" in content:
        return all("path" in out for out in content["outs"])
    stages = content["stages"].values()
    entries = [entry for stage in stages for kind in ("deps", "outs") for entry in stage.get(kind, [])]
    return all("nfiles" in entry or ("size" in entry and not entry["md5"].endswith(".dir")) for entry in entries)


@contextmanager
def _dvc(root: Path) -> Iterator[None]:
    """What DVC wants: to stand in the repository, or it does not find stages; without its own progress bars, for the
    loop has one; and its errors as ours."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    # DVC unpickles what it remembers there of files. Of itself it takes a folder that everybody may write, or one that
    # the workspace names.
    if not os.environ.get("DVC_SITE_CACHE_DIR"):
        os.environ["DVC_SITE_CACHE_DIR"] = str(private("dvc"))
    log = logging.getLogger("dvc")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with chdir(root), git.ours(root):
            yield
    except LockError:
        fix = "wait for the `dvc` command that runs in this workspace"
        raise WorkspaceError("DVC's lock is held", fix=fix) from None
    except DvcException as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise ServiceError("DVC failed", got=f"{error}{cause}"[:300], fix=_as_before(root)) from error
    except BROKEN as error:  # of what it reads
        fix, known = _as_before(root), (UnicodeDecodeError, JSONDecodeError, FileNotFoundError, FileExistsError)
        if not fix and not isinstance(error, known):
            raise  # its files are as the last version has them: it is not they
        got = plain(f"{type(error).__name__}: {error}")[:300]
        raise ServiceError(f"DVC cannot read its files in {root}", got=got, fix=fix) from error
    finally:
        log.setLevel(level)
