"""How far a long computation is, as a bar on the terminal. One console for all, so that bars within bars stand below
each other; where nobody looks on (a log, a schedule) there is none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def counted(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar for `total` things (None: nobody knows how many); gives what is to be told how many more are done.

    >>> with counted("embed 2 texts", 2) as done:
    ...     done(2)
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda n: progress.advance(bar, n)
