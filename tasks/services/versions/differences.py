"""What in a workspace is unlike its versions, and the commands that bring these back: nothing is lost by them that is
there alone."""

import shlex
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from labelwise.tasks.errors import LabelwiseError, WorkspaceError
from labelwise.tasks.records import round_tags
from labelwise.tasks.services.versions import git, history
from labelwise.tasks.services.versions.dvc import inside
from labelwise.tasks.services.versions.repository import Repository, diff_path

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
ASIDE = "set-aside"  # the branch that advice gives to commits beside the loop's
USERS = ["params.yaml", ".dvc/config"]  # what people may change, and the next round's commit takes along


def refuse_side_tracks(versions: Repository) -> None:
    """WorkspaceError when git is in a rebase or a merge, on no branch, or at an older version: from there the
    loop would ask again what was answered, or commit where nobody finds it. The line names the command that fixes
    it. That drops no commit, and DVC asks before it replaces data that it does not have: so no --force."""
    _refuse_halfway(versions)
    branch = versions.git("branch", "--show-current")
    rounds = round_tags(versions.git("tag", "--list", "round-*"))
    later = set(rounds)
    later -= set(round_tags(versions.git("tag", "--merged", "HEAD", "--list", "round-*"))) if versions.head else set()
    if not later and (branch or not versions.head):
        return
    newest = max(rounds, default="HEAD")
    mend = f"`{_way_back(versions, newest)} && dvc checkout`"
    if later:
        raise WorkspaceError(
            f"{versions.root} has an older version checked out",
            expected=f"one that holds {newest}",
            got=f"branch {branch}" if branch else "no branch (detached HEAD)",
            fix=f"{mend}; to look at a past round, use a clone",
        )
    raise WorkspaceError(
        f"{versions.root} is on no branch (detached HEAD): what is committed there is lost by the next checkout",
        expected="a branch",
        fix=mend,
    )


def _refuse_halfway(versions: Repository) -> None:
    """WorkspaceError when a command of git that goes in steps was begun and not ended, or left a conflict."""
    for mark, (command, way) in HALFWAY.items():
        if (versions.root / ".git" / mark).exists():
            raise WorkspaceError(
                f"a git {command} is under way in {versions.root}",
                fix=f"`{way} && dvc checkout` goes back to where it began; or end it",
            )
    if names := list(dict.fromkeys(versions.git("diff", "--name-only", "--diff-filter=U", "-z").split("\0")[:-1])):
        files = shlex.join(names)
        raise WorkspaceError(
            f"{versions.root} has a conflict of git that nobody has resolved",
            got=", ".join(names[:5]),
            fix=f"`git add -- {files} && git stash push -- {files} && dvc checkout` puts it aside; or resolve it",
        )


def _way_back(versions: Repository, newest: str) -> str:
    """The git command to a branch that holds the newest round: one that does, or else one that is moved on to it.
    Commits that no branch would hold any more are given one of their own."""
    branches = _branches(versions)
    holders = _branches(versions, "--contains", newest)
    branch = versions.git("branch", "--show-current")
    loose = not branch and bool(versions.head) and not _branches(versions, "--contains", "HEAD")
    if holders:
        home = "main" if "main" in holders else holders[0]
        target = "HEAD" if loose and _leads_to(versions, home, "HEAD") else home
    else:
        home = branch if branch in branches else next(iter([*({"main"} & {*branches}), *branches]), "main")
        target = "HEAD" if loose and _leads_to(versions, newest, "HEAD") else newest
    kept = ["HEAD"] if loose and not _leads_to(versions, "HEAD", target) else []
    kept += [home] if home in branches and not _leads_to(versions, home, target) else []
    names = zip(_free(branches), kept, strict=False)
    steps = [f"git branch {name} {shlex.quote(revision)}" for name, revision in names]
    way = shlex.quote(home) if target == home else f"-C {shlex.quote(home)} {target}"
    return " && ".join([*steps, f"git switch {way}"])


def aside(versions: Repository) -> str:
    """A name for a branch of commits that are put aside."""
    return next(_free(_branches(versions)))


def _free(branches: list[str]) -> Iterator[str]:
    return (name for number in count(1) if (name := f"{ASIDE}-{number}") not in branches)


def _branches(versions: Repository, *which: str) -> list[str]:
    listed = versions.git("branch", "--format=%(refname)", *which).splitlines()
    return [name.removeprefix("refs/heads/") for name in listed if name.startswith("refs/heads/")]


def _leads_to(versions: Repository, before: str, after: str) -> bool:
    """Whether all commits of one revision are in another."""
    return git.run(versions.root, "merge-base", "--is-ancestor", before, after).returncode == 0


def refuse_rewriting(versions: Repository, *folders: str) -> None:
    """WorkspaceError when committed files of folders that only grow were changed or are gone."""
    if not any(versions.uncommitted(folder) for folder in folders):
        return  # a comparison file by file takes longer with each round
    with inside(versions.root):
        found = versions.repo.diff("HEAD")
    before = [diff_path(entry) for kind in ("modified", "deleted", "renamed") for entry in found.get(kind, [])]
    within = tuple(f"{folder}/" for folder in folders)
    changed = [path for path in before if path.startswith(within) and not path.endswith("/")]
    if changed:
        mend = _put_aside(versions, [f"{folder}.dvc" for folder in folders if versions.uncommitted(folder)])
        raise WorkspaceError(
            f"{versions.root}: committed data was changed or removed",
            got=", ".join(changed[:5]),
            fix=f"`{mend}` brings it back, and puts the change aside",
        )


def refuse_strange_changes(versions: Repository) -> None:
    """WorkspaceError when files that the loop owns were changed by somebody else since the last commit."""
    changed = _strange(versions)
    with inside(versions.root):
        changed += [str(name) for name in versions.repo.status(targets=versions.tracked())]
    _refuse(versions, changed)


def refuse_seen_at_once(versions: Repository) -> None:
    """The same, also of what the stages wrote, as far as it is told without DVC, which takes a second to load: what
    it keeps is known by size and number of files."""
    outs = {path: said for name in [*versions.tracked(), "dvc.lock"] for path, said in versions.outs(name).items()}
    sizes = {path: said["size"] for path, said in outs.items() if "size" in said}
    _refuse_unlike(versions, [path for path, size in sizes.items() if size != _size(versions.root / path)])


def refuse_unlike(versions: Repository) -> None:
    """The same, also of what the stages wrote: the loop writes that again, but who reads it now reads what no
    version has."""
    with inside(versions.root):
        outs = [out for out in versions.repo.index.outs if out.hash_info and out.use_cache]
        _refuse_unlike(versions, [str(out) for out in outs if {"modified", "deleted"} & {*out.status().values()}])


def _refuse_unlike(versions: Repository, unlike: list[str]) -> None:
    tracked = versions.tracked()
    folders = [f"{path}.dvc" for path in unlike if f"{path}.dvc" in tracked]
    _refuse(versions, [*_strange(versions), *folders], [path for path in unlike if f"{path}.dvc" not in tracked])


def _strange(versions: Repository) -> list[str]:
    """What git keeps of the loop's files and somebody else changed."""
    changed = [path for path in versions.changes() if path not in USERS or _cut_off(versions, path)]
    # Without them all that DVC keeps is new to git.
    return [path for path in changed if path.endswith(".gitignore")] or changed


def _cut_off(versions: Repository, path: str) -> bool:
    """Whether a file that people may change is gone, or ends where no one would end it."""
    file, kept = versions.root / path, git.run(versions.root, "show", f"HEAD:{path}").stdout
    now = file.read_bytes() if file.exists() else b""
    return kept.startswith(now) and not now.endswith(b"\n")


def _refuse(versions: Repository, changed: list[str], written: Iterable[str] = ()) -> None:
    """changed: files of git, and `.dvc` files whose folder was changed. written: what stages wrote."""
    written = [path for path in written if path not in changed]  # figures are in both
    named = [*dict.fromkeys(changed), *written]
    missing = [path for path in named if not (versions.root / path.removesuffix(".dvc")).exists()]
    if named and named == missing and all(path in written or path in versions.tracked() for path in named):
        raise WorkspaceError(f"{versions.root} lacks {', '.join(named[:5])}", fix="`dvc pull`")
    if named:
        raise WorkspaceError(
            f"{versions.root} has uncommitted changes in files that the loop owns",
            got=", ".join(_with_files(versions, name) for name in named[:5]),
            fix=f"`{_put_aside(versions, changed)}` "
            + ("puts them aside; or commit them" if changed else "brings the last version back"),
        )


def put_aside(versions: Repository, users: bool = False) -> list[str]:
    """The commands that keep what was changed since the last version, git's files in its stash, and what people
    said in DVC's cache by a hash in that stash. users: also what people may change themselves."""
    changed = [path for path in versions.changes() if users or path not in USERS]
    with inside(versions.root):
        unlike = {str(name).removesuffix(".dvc") for name in versions.repo.status(targets=versions.tracked())}
    present = sorted(folder for folder in unlike if (versions.root / folder).exists())
    places = sorted({path.partition("/")[0] for path in [*changed, *present]})
    add = [f"dvc add --quiet {shlex.join(present)}"] * bool(present)
    return [*add, f"git stash push --quiet --include-untracked -- {shlex.join(places)}"] if places else []


def _with_files(versions: Repository, name: str) -> str:
    """The name of a folder that DVC keeps, with those of its files that are not as the version has them."""
    folder = name.removesuffix(".dvc")
    try:
        said = versions.outs(name if folder != name else "dvc.lock")[folder]
        files = history.strangers(versions, folder, said["md5"]) if said["md5"].endswith(".dir") else []
    except (LabelwiseError, LookupError):  # the version itself cannot be read
        files = []
    return f"{name} ({', '.join(files[:3])})" if files else name


def _put_aside(versions: Repository, changed: Iterable[str]) -> str:
    """The command that brings the last version back and keeps what is there: git's files in its stash, DVC's in
    the cache by a hash that is in the stash. What stages wrote is not kept: it can be made again."""
    folders = [name.removesuffix(".dvc") for name in versions.tracked() if name in changed]
    present = [folder for folder in folders if (versions.root / folder).exists()]
    steps = [f"dvc add {shlex.join(present)}"] if present else []
    if names := list(dict.fromkeys(changed)):
        steps.append(f"git stash push --include-untracked -- {shlex.join(names)}")
    return " && ".join([*steps, "dvc checkout --force"])


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; -1 for neither."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.exists() else -1
