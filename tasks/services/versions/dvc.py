"""DVC in this process (a command of its own costs 1.2-2 s each time): its errors as ours, and what it must not read."""

import logging
import os
import shlex
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from json import JSONDecodeError
from pathlib import Path

from labelwise.tasks.errors import LabelwiseError, ServiceError, WorkspaceError, plain
from labelwise.tasks.services.home import private
from labelwise.tasks.services.versions import git

# What DVC reads before anything else.
SETTINGS = [".dvc/config", ".dvcignore", "dvc.yaml", "dvc.lock", "data/*.dvc", "*.gitignore"]
# What comes of it when one of them is broken.
BROKEN = (ValueError, LookupError, TypeError, AttributeError, FileNotFoundError, FileExistsError)
PROFILES = ("configpath", "credentialpath")  # remote options: the AWS SDK runs the `credential_process` of such a file


@contextmanager
def remote_errors(what: str, fix: str = "") -> Iterator[None]:
    """What goes wrong with the DVC remote, as a ServiceError that begins with `what`."""
    try:
        yield
    except LabelwiseError:
        raise
    except Exception as error:  # each kind of store raises its own
        raise ServiceError(what, got=plain(f"{type(error).__name__}: {error}")[:300], fix=fix) from error


@contextmanager
def inside(root: Path) -> Iterator[None]:
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


def _as_before(root: Path) -> str:
    """The command that puts aside what was changed of the files that DVC reads first; '' where nothing was."""
    listed = git.run(root, "diff", "--name-only", "-z", "HEAD", "--", *SETTINGS).stdout.decode(errors="replace")
    names = [name for name in listed.split("\0") if name]
    return f"`git stash push -- {shlex.join(names)}` puts the changes to them aside" if names else ""


def refuse_strange_remotes(root: Path) -> None:
    """WorkspaceError where DVC's settings that came with the workspace name files by which programs may be run."""
    from dvc.config import Config

    own = Path("~/.aws").expanduser().resolve()
    for name in ("config", "config.local"):
        file = root / ".dvc" / name
        if not file.is_file():
            continue
        with inside(root):
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
