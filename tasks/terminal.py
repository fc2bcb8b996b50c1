"""Text that came from outside, for a line on the terminal."""

from tasks import errors


def plain(text: str, most: int = 200) -> str:
    """The beginning of a text on one line, fit for a terminal, see `errors.plain`.

    >>> plain("red \\x1b[31m and more", 14)
    'red \\\\x1b[31m and…'
    """
    return errors.plain(text if len(text) <= most else text[: most - 1] + "…")
