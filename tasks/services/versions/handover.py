"""How a copy of a workspace gets what another copy has saved, as commands to be given in it.

Nothing that is here alone is lost by them: what is not saved goes into git's stash, and a commit that the other one
lacks stays on a branch of its own.
"""

import shlex
from pathlib import Path

from labelwise.tasks.services.versions import differences, git, remote
from labelwise.tasks.services.versions.repository import Repository

PULL = ("git", "pull", "--quiet", "--tags", "--ff-only", "--autostash")
FETCH = "dvc pull --quiet --force"  # what it replaces without asking is put aside, or can be computed


def near(versions: Repository, other: Path) -> list[str]:
    """From a folder of this machine."""
    theirs, source = Repository(other), str(other)
    reading = git.reading(other)
    if _holds(versions, theirs.head) or _holds(theirs, versions.head):
        steps = [*differences.put_aside(versions), shlex.join([*PULL, *reading, source])]
    else:
        home = shlex.quote(versions.git("branch", "--show-current") or "main")
        steps = [
            *differences.put_aside(versions, users=True),
            f"git branch {differences.aside(versions)}",
            shlex.join(["git", "fetch", "--quiet", "--tags", "--force", *reading, source, "HEAD"]),
            f"git switch --quiet -C {home} FETCH_HEAD",
        ]
    return [*steps, *remote.lead(versions, theirs), FETCH]


def far(versions: Repository, address: str) -> list[str]:
    """From another machine: through `origin` where there is one, else by git's address of the other copy."""
    branch = versions.git("branch", "--show-current") or "main"
    known = "origin" in versions.git("remote").splitlines()
    pull = shlex.join([*PULL, *(["origin", branch] if known else [address])])
    return [*differences.put_aside(versions), pull, FETCH]


def command(versions: Repository, *steps: str) -> str:
    """The steps as one line for a shell, to be given from anywhere."""
    return " && ".join([f"cd {shlex.quote(str(versions.root))}", *steps])


def _holds(versions: Repository, commit: str) -> bool:
    """Whether a commit is in the history of what is checked out there."""
    return not commit or git.run(versions.root, "merge-base", "--is-ancestor", commit, "HEAD").returncode == 0
