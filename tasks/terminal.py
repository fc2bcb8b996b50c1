"""What this program shows: text that came from outside, and a terminal that may not know its characters."""

import io
import os
import sys

from tasks import errors


def plain(text: str, most: int = 200) -> str:
    """The beginning of a text on one line, fit for a terminal, see `errors.plain`.

    >>> plain("red \\x1b[31m and more", 14)
    'red \\\\x1b[31m and…'
    """
    return errors.plain(text if len(text) <= most else text[: most - 1] + "…")


def settle() -> None:
    """Make this process one whose work no terminal and no locale can hinder.

    Without a locale (LC_ALL=C) and without UTF-8 mode, names of files and words of the command line would not be text:
    then the process begins anew in that mode. What the terminal, file or pipe behind stdout and stderr cannot take is
    written as \\u0414. The latter holds for the processes that this one starts, too.
    """
    if sys.getfilesystemencoding() == "ascii":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")
    encoding = os.environ.get("PYTHONIOENCODING", "").partition(":")[0]
    os.environ["PYTHONIOENCODING"] = f"{encoding}:backslashreplace"
