"""How far a long computation is, as a bar on the terminal. One console for all, so that bars within bars stand below
each other; where nobody looks on (a log, a schedule) there is a line a minute."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

console = Console(stderr=True, highlight=False, soft_wrap=True)
EVERY_S = 60.0  # between two lines


@contextmanager
def counted(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar for `total` things (None: nobody knows how many); gives what is to be told how many more are done.

    >>> with counted("embed 2 texts", 2) as done:
    ...     done(2)
    """
    if not console.is_terminal:
        yield Lines(what, total).done
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda n: progress.advance(bar, n)


class Speed(ProgressColumn):
    """Things a second."""

    def render(self, task: Task) -> Text:
        """Nothing, before that is known."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


class Lines:
    """A line a minute of work that takes longer. total: None where nobody knows."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._total, self._so_far = what, total, 0
        self._begun = self._said = time.monotonic()

    def done(self, n: int) -> None:
        """So many more."""
        self._so_far += n
        now = time.monotonic()
        if now - self._said >= EVERY_S:
            self._said = now
            console.print(f"  {self._what}: {said(self._so_far, self._total, now - self._begun)}", markup=False)


def said(done: int, total: int | None, seconds: float) -> str:
    """How far it is, in words.

    >>> said(30_000, 100_000, 60)
    '30,000 done, 500 a second, 0:02:20 left'
    >>> said(30, None, 60)
    '30 done, 0.5 a second'
    """
    speed = done / seconds
    words = f"{done:,} done, {f'{speed:,.0f}' if speed >= 10 else f'{speed:.1f}'} a second"
    if total is None or not done:
        return words
    return f"{words}, {timedelta(seconds=round((total - done) / speed))} left"
