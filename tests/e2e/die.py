"""`python -m tests.e2e.die before|after MODULE:NAME ARGUMENTS...`: the `labelwise` command, killed by SIGKILL the first
time that it comes to a place. A real process dies there, with nothing cleaned up."""

import importlib
import os
import signal
import sys
from typing import Any


def plant(when: str, place: str) -> None:
    """Replace the function at `place` by one that kills this process before, or after, doing its work."""
    module, _, dotted = place.partition(":")
    owner: Any = importlib.import_module(module)
    *path, name = dotted.split(".")
    for part in path:
        owner = getattr(owner, part)
    real = getattr(owner, name)

    def deadly(*words: Any, **named: Any) -> None:
        if when == "after":
            real(*words, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


if __name__ == "__main__":
    when, place, *arguments = sys.argv[1:]
    plant(when, place)
    from flows.cli import main

    sys.argv = ["labelwise", *arguments]
    main()
