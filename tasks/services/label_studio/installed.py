"""Label Studio as a program, and how it is installed: its pins fit no other library's, so it has an environment of its
own. A checkout's is made by `make setup`; for all others it is made here, in home(), when it is first needed.
"""

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labelwise import infra
from labelwise.tasks.errors import ServiceError
from labelwise.tasks.services.home import home, private

LOCK = Path(infra.__path__[0]) / "label-studio.lock"  # the exact versions of all that it is made of
FOLDER = "label-studio.venv"  # in home()
INSTALLED = "installed"  # in an environment that is complete: a copy of the lock file, as `make setup` keeps it
PIP = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile", "--requirement")

Progress = Callable[[str], None]


def program(tell: Progress) -> str:
    """Label Studio's command: LABEL_STUDIO_BIN, else that of a checkout, else our own, which is installed now unless
    it is there. `tell` is told so before it takes minutes.

    ServiceError where LABEL_STUDIO_BIN leads nowhere, and where it cannot be installed.
    """
    if given := os.environ.get("LABEL_STUDIO_BIN", "").strip():
        found = shutil.which(Path(given).expanduser())
        if found is None:
            raise ServiceError(
                "Label Studio is not installed",
                expected=f"its program at {given}",
                fix="correct LABEL_STUDIO_BIN, or unset it and `labelwise up` installs Label Studio",
            )
        return str(Path(found).absolute())
    beside = Path(sys.prefix).parent / ".venv-label-studio"
    if _runs(beside):
        return _command(beside)
    own = home() / FOLDER
    if not _complete(own):
        _install(own, tell)
    return _command(own)


def _command(environment: Path) -> str:
    return str(environment / "bin" / "label-studio")


def _runs(environment: Path) -> bool:
    """Whether the command is there, and the Python that it names."""
    return os.access(_command(environment), os.X_OK) and (environment / "bin" / "python").exists()


def _complete(environment: Path) -> bool:
    """Whether all of the lock file was installed there: what was interrupted, or is of another version, is not."""
    mark = environment / INSTALLED
    return mark.is_file() and mark.read_bytes() == LOCK.read_bytes() and _runs(environment)


def _install(environment: Path, tell: Progress) -> None:
    """Make the environment again. Of several processes one does, the others wait for it."""
    log = private("logs") / "label-studio-install.log"
    with _alone(home() / f"{FOLDER}.lock", tell) as held:
        if _complete(environment):
            return
        tell(f"installing Label Studio into {environment}: 1 to 3 minutes and 1 GB, this once")
        begun = time.monotonic()
        python = str(environment / "bin" / "python")
        with log.open("wb") as written:
            for words in (
                [sys.executable, "-m", "venv", "--clear", str(environment)],
                [python, *PIP, str(LOCK)],
            ):
                # A pip that outlives this process keeps the lock: nobody begins again under its hands.
                done = subprocess.run(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=written,
                    stderr=subprocess.STDOUT,
                    env=_environment(),
                    cwd=home(),
                    pass_fds=[held],
                    check=False,
                )
                if done.returncode:
                    raise _failed(words, log)
        shutil.copyfile(LOCK, environment / INSTALLED)
        tell(f"Label Studio is installed, after {time.monotonic() - begun:.0f} s")


@contextmanager
def _alone(path: Path, tell: Progress) -> Iterator[int]:
    """Hold a lock, and give its file descriptor: the lock is held as long as any process has it open."""
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("Label Studio is being installed by another `labelwise`: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _environment() -> dict[str, str]:
    """The user's variables, so that his package index and his proxy hold, but none by which Python or pip would take
    modules from elsewhere, or put them there."""
    elsewhere = ("PYTHON", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(elsewhere)}


def _failed(words: list[str], log: Path) -> ServiceError:
    """What went wrong, from the log: pip says at last that no version matches, and before that why."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    told = (line for sign in ("connection broken", "ERROR") for line in lines if sign in line)
    why = re.sub(r".*(?=connection broken)|<[^>]*>:? ?", "", next(told, " ".join(lines)))[:200] or "no word"
    program = shlex.join(Path(word).name if word == words[0] else word for word in words[:3])
    mend = (
        "let pip reach its package index (HTTPS_PROXY, PIP_INDEX_URL) and run it again; or install Label Studio into "
        "an environment of its own elsewhere and set LABEL_STUDIO_BIN to its program"
    )
    return ServiceError(f"Label Studio cannot be installed (`{program}` failed; all it said: {log})", got=why, fix=mend)
