"""Text that came from outside, made safe to print: it can neither move the cursor nor hide what it says."""


def plain(text: str, most: int = 200) -> str:
    """The beginning of a text on one line, with all that cannot be seen escaped: control characters, line ends, marks
    that turn the direction of writing.

    >>> plain("red \\x1b[31m\\u202e", 20)
    'red \\\\x1b[31m\\\\u202e'
    """
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in cut)
