"""What this program shows: text that came from outside, and a terminal that may not know its characters."""

import getpass
import io
import os
import sys
from contextlib import suppress
from pathlib import Path

from labelwise.tasks import errors
from labelwise.tasks.services.home import can_write_own_folder, home, private


def plain(text: str, most: int = 200) -> str:
    """The beginning of a text on one line, fit for a terminal, see `errors.plain`.

    >>> plain("red \\x1b[31m and more", 14)
    'red \\\\x1b[31m and…'
    """
    return errors.plain(text if len(text) <= most else text[: most - 1] + "…")


def settle() -> None:
    """Make this process one whose work no terminal, no locale and no missing account can hinder.

    Without a locale (LC_ALL=C) and without UTF-8 mode, names of files and words of the command line would not be text:
    then the process begins again in that mode. What the terminal, file or pipe behind stdout and stderr cannot take is
    written as \\u0414. The latter holds for the processes that this one starts, too. What they write is not
    everybody's to change, whatever the umask: a workspace says what the loop does, and a home holds secrets.
    """
    if sys.getfilesystemencoding() == "ascii":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")
    encoding = os.environ.get("PYTHONIOENCODING", "").partition(":")[0]
    os.environ["PYTHONIOENCODING"] = f"{encoding}:backslashreplace"
    os.umask(os.umask(0o077) | 0o002)
    _have_a_name()
    _have_a_place()


def _have_a_name() -> None:
    """Containers run under numbers that no account has: DVC, MLflow and Prefect ask for a name all the same."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"


def _have_a_place() -> None:
    """Where the user's own folder cannot be written (HOME=/), libraries keep theirs beside our servers' data."""
    if not can_write_own_folder():
        with suppress(OSError):  # who needs it says so
            private("user")  # Prefect makes its folder there, but none above it
        for name, folder in (("PREFECT_HOME", "prefect"), ("XDG_CACHE_HOME", "cache"), ("MPLCONFIGDIR", "matplotlib")):
            os.environ.setdefault(name, str(Path(home(), "user", folder)))
