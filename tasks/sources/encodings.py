"""Which encoding a text file is in: known with certainty, or asked for. Letters that were guessed wrong would be
learned wrong, and nobody would see it."""

import codecs
import re
from collections.abc import Callable
from typing import IO

from labelwise.tasks.errors import InputError

MARKS = {  # a byte order mark is certain; the longer ones first, since one begins as another does
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UTF8 = "utf-8-sig"
HEAD = 4096
SCAN = 64 * 2**20  # bytes that are looked at
BLOCK = 2**20
SAMPLE = 64 * 2**10  # bytes with letters beyond ASCII that a guess is made from
WESTERN = 0.3  # most that such letters make up of all letters where people write in a Western language
TYPOGRAPHY = "–—‘’‚“”„…€£§°´«»·×²³µ¿¡ªº½¼¾™®© ­"  # what cp1252 has besides letters


def of(opened: Callable[[], IO[bytes]], name: str, given: str | None) -> str:
    """The encoding of a file. given: what the user says that files are in which are not Unicode by their own word; with
    'utf-8' rows that do not decode are handed on with lone surrogates, for their quarantine.

    InputError: not UTF-8 for the most part, and nothing is given; or a name that nobody knows.
    """
    given = _known(given) if given else None
    with opened() as handle:
        start = handle.read(HEAD)
    if mark := next((encoding for mark, encoding in MARKS.items() if start.startswith(mark)), None):
        return mark
    if given == "utf-8":
        return UTF8
    if (wide := looks_like(start)).startswith("utf-16"):  # whose zeros are valid UTF-8, too
        if given is None:
            raise _unsure(name, wide, start)
        return given
    wrong, right, sample = _scanned(opened)
    if not wrong or (right > wrong and not given):
        return UTF8
    if given:
        return given
    raise _unsure(name, looks_like(sample), sample)


def _unsure(name: str, likely: str, sample: bytes) -> InputError:
    """What to do where only the user can know the encoding, with how the file would read in the likely one."""
    seen = "its encoding cannot be told"
    if likely:
        words = re.findall(r"\w*[^\W\x00-\x7f]\w*", sample.decode(likely, "replace"))  # with letters beyond ASCII
        seen = f"it looks like {likely}" + (f", where it has words like {max(words, key=len)[:30]!r}" if words else "")
    return InputError(
        f"{name} is not UTF-8 ({seen})",
        fix=f"save it as UTF-8 (in Excel: CSV UTF-8), or say so: --encoding {likely or 'NAME'} at `labelwise init`, "
        "later pull.encoding in params.yaml (with utf-8 there, broken rows are set aside)",
    )


def _known(name: str) -> str:
    try:
        "".encode(name)  # there are codecs of other things than text
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        raise InputError(f"encoding {name!r}", expected="a name such as cp1252, latin-1, utf-16, gbk") from None


def _scanned(opened: Callable[[], IO[bytes]]) -> tuple[int, int, bytes]:
    """How many bytes are no UTF-8, how many characters beyond ASCII are, and a sample of the lines that hold either."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    wrong = right = read = 0
    sample = b""
    with opened() as handle:
        while read < SCAN and (block := handle.read(BLOCK)):
            read += len(block)
            if block.isascii() and not decoder.getstate()[0]:
                continue
            beyond = [character for character in decoder.decode(block) if character > "\x7f"]
            bad = sum("\udc80" <= character <= "\udcff" for character in beyond)
            wrong, right = wrong + bad, right + len(beyond) - bad
            if len(sample) < SAMPLE:
                sample += b"\n".join(line for line in block.splitlines() if not line.isascii())[:SAMPLE]
    return wrong, right, sample


def looks_like(sample: bytes) -> str:
    """The likely encoding of bytes that are no UTF-8; '' when nobody can tell.

    >>> looks_like("Rückerstattung für Müller".encode("cp1252"))
    'cp1252'
    """
    half = len(sample) / 2
    for side, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if sample[side::2].count(0) > 0.6 * half > 6 * sample[1 - side :: 2].count(0):
            return encoding
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    beyond = [character for character in text if character > "\x7f"]
    western = sum(map(str.isalpha, beyond)) <= WESTERN * sum(map(str.isalpha, text))
    if beyond and western and all(character.isalpha() or character in TYPOGRAPHY for character in beyond):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best else ""
