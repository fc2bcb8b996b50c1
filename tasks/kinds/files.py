"""How the bytes of a file travel as a cell, so that a picture is a string as every item is: a data address of the
bytes as they came, `data:;name=cats%2F1.jpg;base64,...`, or `unread:REASON:NAME` where a file cannot be had. That is
no reason to stop: its row alone is bad, and its cell says why."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".pgm")
MOST = 64 * 2**20  # bytes of one file
DATA, UNREAD = "data:", "unread:"

MISSING = "file is not there"
OUTSIDE = "file lies outside of the folder of its table or archive"
ELSEWHERE = "address is in another store than its table, or another bucket"
REFUSED = "address is of a kind or a network that is not read"
UNREACHABLE = "file could not be fetched"
BROKEN = "file in the archive is broken"
BIG = f"file has more than {MOST // 2**20} MiB"
NO_DATA = "data address is broken"
FAULTS = (MISSING, OUTSIDE, ELSEWHERE, REFUSED, UNREACHABLE, BROKEN, BIG, NO_DATA)


@dataclass(frozen=True)
class Files:
    """What a caller asks of a source whose items are files. column: that of the files. endings: of the names of such
    files, in lower case; a folder is read for them."""

    column: str
    endings: tuple[str, ...]


@dataclass(frozen=True)
class Held:
    """What stands behind a cell: the name of a file, and its bytes or what is wrong with it, one of `FAULTS`."""

    name: str
    content: bytes = b""
    fault: str = ""


def packed(content: bytes, name: str) -> str:
    """Bytes as a cell."""
    label = f"name={quote(_raw(name))};" if name else ""
    return f"{DATA};{label}base64,{base64.b64encode(content).decode()}"


def of_hub(cell: dict[str, Any] | None) -> str | None:
    """The cell of a file as datasets of the Hugging Face hub hold it: `bytes`, and the `path` where they were."""
    if cell is None or (cell.get("bytes") is None and not cell.get("path")):
        return None
    name = str(cell.get("path") or "")
    return name if cell.get("bytes") is None else packed(cell["bytes"], name)


def unread(fault: str, name: str) -> str:
    """A cell that says why there are no bytes."""
    return f"{UNREAD}{fault}:{name}"


def is_unread(cell: str) -> bool:
    """Whether the cell says why there are no bytes."""
    return cell.startswith(UNREAD)


def unread_among(cells: Iterable[str | None], files: Files | None) -> list[bool]:
    """Which of the cells say why there are no bytes: none where items are no files, and any words may stand in them.

    >>> unread_among(["unread: my mail", None], None), unread_among([unread(MISSING, "x"), None], Files("image", ()))
    ([False, False], [True, False])
    """
    return [files is not None and cell is not None and is_unread(cell) for cell in cells]


def unpacked(cell: str) -> Held:
    """What stands behind a cell.

    >>> unpacked(packed(b"abc", "a b.png")), unpacked(unread(MISSING, "x"))
    (Held(name='a b.png', content=b'abc', fault=''), Held(name='x', content=b'', fault='file is not there'))
    """
    if is_unread(cell):
        _, fault, name = cell.split(":", 2)
        return Held(name, fault=fault)
    head, _, body = cell.removeprefix(DATA).partition(",")
    parts = head.split(";")
    name = next((unquote(part.removeprefix("name=")) for part in parts if part.startswith("name=")), "")
    try:
        content = base64.b64decode(body, validate=True) if parts[-1] == "base64" else unquote(body).encode()
    except (binascii.Error, ValueError):
        return Held(name or "data address", fault=NO_DATA)
    return Held(name, content) if len(content) <= MOST else Held(name or "data address", fault=BIG)


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
