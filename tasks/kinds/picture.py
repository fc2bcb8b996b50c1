"""From the bytes of a picture file to its cell: decoded once, turned, on white, scaled down, and packed anew.

A cell is a data address, `data:image/jpeg;id=HASH;sum=CHECK;name=NAME;base64,...`. So the tables hold the pictures
themselves, and versions, forgetting, replay and tasks need no second store. `id` is a hash of the pixels before they
were scaled: the same pixels in PNG and BMP, or under another `pull.picture_side`, are the same item. `sum` is one of
the bytes that stand here, so that a changed picture is noticed. Nothing of the file is kept but its pixels and its
name: no place or camera that EXIF may hold.
"""

import base64
import hashlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.records import ID_DIGITS

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 64_000_000  # of a picture, looked at before it is decoded
SMALL = 128  # longest side up to which a picture is kept without loss
FEW_COLOURS = 64  # the same of a drawing or a screenshot, which JPEG would blur
QUALITY = 90
HEAD = 1024  # bytes that are looked at for what a file is that is no picture
# Those whose files can be told by their first bytes. Others of Pillow's run programs (EPS) or guess.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
STILL = ("MPO",)  # of several pictures in a file, the first is the photograph
ORIENTATION = 0x0112  # of EXIF; how a picture that lies so is turned, as Pillow calls it
TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
TURNS |= {6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}
KEPT = ("icc_profile",)  # of what Pillow knows beside the pixels and would write: what their colours mean, no comment
STRIP = 256  # rows of a picture that are an array at a time
# What Pillow's readers of these formats raise of a damaged file. A lack of memory is not of it.
DAMAGES: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, SyntaxError, LookupError, TypeError)
DAMAGES += (ArithmeticError, RuntimeError, AssertionError, struct.error, zlib.error)
HEIC = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis")

FIX = "`dvc checkout --force` brings back the files of the last version"
EMPTY = "file is empty"
SVG = "file is an SVG drawing, which may hold scripts; save it as PNG"
HTML = "file is a web page and no picture"
IS_HEIC = "file is HEIC, which is not read; save it as JPEG"
NONE = "file is no picture"
LARGE = f"picture has more than {MOST_PIXELS // 1_000_000} megapixels"
TRUNCATED = "picture is cut off before its end"
DAMAGED = "picture cannot be decoded"
FAULTS = (EMPTY, SVG, HTML, IS_HEIC, NONE, LARGE, TRUNCATED, DAMAGED)

CELL = re.compile(
    r"data:image/(?P<kind>png|jpeg);id=(?P<id>[0-9a-f]+);sum=(?P<sum>[0-9a-f]+)(?P<moves>;part=first)?"
    r"(?P<unturned>;exif=damaged)?(?:;name=(?P<name>[^;,]*))?;base64,(?P<content>[A-Za-z0-9+/=]*)"
)


class NoPicture(ValueError):
    """Of a file that cannot be used, one of `FAULTS`."""


@dataclass(frozen=True)
class Decoded:
    """image: RGB, turned as EXIF says and on white. moves: whether the file had further frames, of which this is the
    first; unturned: whether its EXIF cannot be read, so that nobody knows which way is up."""

    image: "Image"
    moves: bool = False
    unturned: bool = False


@dataclass(frozen=True)
class Cell:
    """What a cell says. moves, unturned: as in Decoded."""

    kind: str
    id: str
    sum: str
    name: str
    moves: bool
    unturned: bool
    payload: str  # base64

    @property
    def content(self) -> bytes:
        """The bytes of the PNG or JPEG file."""
        return base64.b64decode(self.payload)

    @property
    def whole(self) -> bool:
        """Whether the bytes are those that were packed."""
        return _check(self.payload) == self.sum

    @property
    def address(self) -> str:
        """The picture alone, as a data address for browsers."""
        return f"data:image/{self.kind};base64,{self.payload}"


def parsed(cell: str) -> Cell | None:
    """What a cell of `cell_of` says; None for any other string."""
    found = CELL.fullmatch(cell)
    if found is None:
        return None
    name = unquote(found["name"] or "")
    moves, unturned = bool(found["moves"]), bool(found["unturned"])
    return Cell(found["kind"], found["id"], found["sum"], name, moves, unturned, found["content"])


def cell_of(content: bytes, name: str, side: int) -> str:
    """The cell of a picture file. side: its longest side at most, in pixels. NoPicture where it is none."""
    found = decoded(content)
    digest = hashlib.sha256(f"{found.image.width} {found.image.height} ".encode())
    for strip in _strips(found.image):
        digest.update(np.ascontiguousarray(strip).data)
    kind, payload = _encoded(scaled(found.image, side))
    body = base64.b64encode(payload).decode()
    more = (";part=first" if found.moves else "") + (";exif=damaged" if found.unturned else "")
    more += f";name={quote(name.encode('utf-8', 'replace'))}" if name else ""
    return f"data:image/{kind};id={digest.hexdigest()[:ID_DIGITS]};sum={_check(body)}{more};base64,{body}"


def decoded(content: bytes) -> Decoded:
    """The picture in a file. NoPicture where it is none."""
    from PIL import Image

    if fault := _no_picture(content):
        raise NoPicture(fault)
    # Pillow warns of what is refused here. For good: what is shown in a while cannot be set for one thread.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    with _as_faults():
        image: Any = Image.open(io.BytesIO(content), formats=_formats())
        if image.width * image.height > MOST_PIXELS:
            raise NoPicture(LARGE)
        moves = bool(getattr(image, "is_animated", False)) and image.format not in STILL
        image.load()
    orientation = _orientation(image)
    turn = TURNS.get(orientation or 1)
    upright = image if turn is None else image.transpose(Image.Transpose[turn])
    made = _rgb(upright)
    made.info = {key: image.info[key] for key in KEPT if key in image.info and image.mode == "RGB"}
    return Decoded(made, moves, orientation is None)


@contextmanager
def _as_faults() -> Iterator[None]:
    """What Pillow raises of a file as NoPicture."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except NoPicture:
        raise
    except Image.DecompressionBombError:
        raise NoPicture(LARGE) from None
    except UnidentifiedImageError:
        raise NoPicture(NONE) from None
    except DAMAGES as error:
        raise NoPicture(TRUNCATED if "truncated" in str(error).lower() else DAMAGED) from None


def scaled(image: "Image", side: int) -> "Image":
    """The picture with a longest side of `side` pixels at most; never larger than it was."""
    from PIL.Image import Resampling

    longest = max(image.size)
    if longest <= side:
        return image
    width, height = (max(1, round(each * side / longest)) for each in image.size)
    return image.resize((width, height), Resampling.LANCZOS, reducing_gap=3.0)


def opened(cell: Cell) -> "Image":
    """The picture in a cell, RGB. InputError where it is none: a workspace may come from anyone."""
    try:
        return decoded(cell.content).image
    except NoPicture as error:
        raise InputError(f"the picture {cell.id} of the workspace: {error}", fix=FIX) from None


def of_cell(cell: str) -> "Image":
    """The picture in a cell. InputError where it holds none."""
    found = parsed(cell)
    if found is None:
        raise InputError("an item of the workspace is no picture", got=cell[:80], fix=FIX)
    return opened(found)


def thumbnail(cell: Cell, side: int) -> str:
    """A small picture as a data address, for pages. InputError as of `opened`."""
    kind, payload = _encoded(scaled(opened(cell), side))
    return f"data:image/{kind};base64,{base64.b64encode(payload).decode()}"


def _encoded(image: "Image") -> tuple[str, bytes]:
    """The kind and the bytes of a file: the same for the same pixels."""
    exact = max(image.size) <= SMALL or image.getcolors(FEW_COLOURS) is not None
    pixels = np.asarray(image)
    if (pixels == pixels[..., :1]).all():
        image = image.convert("L")
        image.info = {}
    written = io.BytesIO()
    if exact:
        image.save(written, "PNG", optimize=True)
    else:
        image.save(written, "JPEG", quality=QUALITY)
    return ("png" if exact else "jpeg"), written.getvalue()


def _orientation(image: Any) -> int | None:
    """How a picture lies, by its EXIF: 1, upright, where that does not say; None where it cannot be read."""
    try:
        tags = image.getexif()
        found = tags.get(ORIENTATION)
    except DAMAGES:
        return None
    if found is None and _lost(image.info.get("exif") or b"", len(tags)):
        return None
    return found if isinstance(found, int) else 1


def _lost(exif: bytes, read: int) -> bool:
    """Whether EXIF data have more tags than were read: Pillow leaves out what is cut off.

    >>> _lost(b"", 0), _lost(b"Exif\\0\\0MM\\0*\\0\\0\\0\\x08\\0\\2", 2), _lost(b"Exif\\0\\0nothing", 0)
    (False, False, True)
    """
    data = exif.removeprefix(b"Exif\0\0")
    order = "<" if data.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4) if data else (0,)
        (tags,) = struct.unpack_from(f"{order}H", data, at) if data else (0,)
    except struct.error:
        return True
    return bool(tags > read)


def _rgb(image: Any) -> "Image":
    """Whatever a file holds as RGB: what shines through on white, more than 8 bits stretched from the darkest to the
    brightest, since such pictures rarely use all of them."""
    from PIL import Image

    if image.mode == "F" or image.mode.startswith("I"):
        return _stretched(image).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        with _as_faults():
            clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")
    with _as_faults():  # not every mode can be
        result: Image.Image = image if image.mode == "RGB" else image.convert("RGB")
    return result


def _stretched(image: Any) -> "Image":
    """Grey of more than 8 bits as 8, a strip at a time."""
    from PIL import Image

    def values() -> Iterator[NDArray[np.float64]]:
        return (np.nan_to_num(np.asarray(strip, dtype=np.float64)) for strip in _strips(image))

    low, high = min(each.min() for each in values()), max(each.max() for each in values())
    span = high - low if high > low else 1.0
    whole = np.concatenate([np.rint(255 * (each - low) / span).astype(np.uint8) for each in values()])
    return Image.fromarray(whole)


def _strips(image: Any) -> Iterator["Image"]:
    """The picture from top to bottom in parts: an array of a whole one may take half a gigabyte."""
    for top in range(0, image.height, STRIP):
        yield image.crop((0, top, image.width, min(top + STRIP, image.height)))


def _no_picture(content: bytes) -> str:
    """What a file is that is no picture, where its first bytes say so."""
    start = content[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not content:
        return EMPTY
    if start.startswith(b"<") and b"<svg" in start:
        return SVG
    if start.startswith((b"<!doctype html", b"<html")):
        return HTML
    return IS_HEIC if content[4:8] == b"ftyp" and content[8:12] in HEIC else ""


def _formats() -> list[str]:
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check(payload: str) -> str:
    return hashlib.sha256(payload.encode()).hexdigest()[:ID_DIGITS]
