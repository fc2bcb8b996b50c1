"""A stage by itself, as `dvc repro` and people run it: `python -m labelwise.tasks.pull` in a workspace."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelwise.tasks.errors import REFUSED, LabelwiseError, refused_by_machine
from labelwise.tasks.services.urls import ask_directly
from labelwise.tasks.terminal import settle
from labelwise.tasks.workspace import Workspace


def main(run: Callable[[Workspace], Any]) -> None:
    """Run a stage in the workspace that is the current directory, and print what it says of itself.

    Its `summary()` goes to stdout (or the result as text, when it is not None), its `warnings` to stderr. An error a
    user can meet, or the machine says, is one line on stderr and the error's exit code.
    """
    settle()
    ask_directly()
    try:
        result = run(Workspace.open(Path.cwd()))
    except LabelwiseError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if not (said := refused_by_machine(error)):
            raise
        print(said, file=sys.stderr)
        sys.exit(REFUSED)
    for warning in getattr(result, "warnings", ()):
        print(f"warning: {warning}", file=sys.stderr)
    if result is not None:
        print(result.summary() if hasattr(result, "summary") else result)
