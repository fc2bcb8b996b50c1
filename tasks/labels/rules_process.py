"""The process in which the rules of a workspace run, and nothing else of Labelwise: it reads items, one JSON object a
line, from a file, and writes a line for each rule as soon as that is done. Started by labels/rules.py.

    python -P -m labelwise.tasks.labels.rules_process RULES.PY ITEMS SECONDS
"""

import json
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from labelwise.tasks.labels.rule import RULES, Item, Rule

SLOW = 3  # items of which a rule may take too long before it is given up


class TooLong(BaseException):
    """A rule took longer than it may. No Exception: a rule that catches these would catch it, too."""


def main(path: Path, items: Path, seconds: float) -> None:
    """Run the rules of a file over the items of another."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a rule prints would stand among the answers
    printed = sys.stdout = sys.stderr = Printed()
    try:
        runpy.run_path(str(path), run_name="rules")
    except BaseException as error:
        tell(out, broken=said_of(error, path))
        return
    tell(out, rules=[[each.name, each.line] for each in RULES])
    signal.signal(signal.SIGALRM, _too_long)
    with items.open(encoding="utf-8") as file:
        asked = [Item(**json.loads(line)) for line in file]
    for each in RULES:
        printed.count = 0
        tell(out, **answers(each, asked, seconds, path), printed=printed.count)


def answers(rule: Rule, items: list[Item], seconds: float, path: Path) -> dict[str, Any]:
    """What a rule says of the items: a class, a list of these, or None, each. raised: of how many it raised an error,
    and the first of these in words; slow: of how many it took too long."""
    said: list[Any] = []
    raised, slow, first = 0, 0, ""
    for item in items:
        word = None
        try:
            with at_most(seconds):
                word = rule(item)
            json.dumps(word := list(word) if isinstance(word, set | frozenset | tuple) else word)
        except TooLong:
            slow += 1
            if slow >= SLOW:
                break
        except (Exception, SystemExit) as error:
            raised, first, word = raised + 1, first or said_of(error, path), None
        said.append(word)
    return {"rule": rule.name, "said": said, "raised": raised, "first": first, "slow": slow}


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """TooLong inside, after so many seconds."""
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)  # again: a rule may catch everything
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TooLong


def said_of(error: BaseException, path: Path) -> str:
    """An error in a line, with the line of the file that it came from."""
    own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        own = [error.lineno]
    at = f"line {own[-1]}: " if own else ""
    return f"{at}{type(error).__name__}: {error}".splitlines()[0][:300]


class Printed:
    """A file that keeps only how much was written to it."""

    count = 0

    def write(self, text: str) -> int:
        """Count it."""
        self.count += len(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def tell(out: TextIO, **what: Any) -> None:
    """Write a line."""
    out.write(json.dumps(what) + "\n")
    out.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
