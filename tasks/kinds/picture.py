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
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np

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
    r"(?:;name=(?P<name>[^;,]*))?;base64,(?P<content>[A-Za-z0-9+/=]*)"
)


@dataclass(frozen=True)
class Cell:
    """What a cell says. moves: whether the file had further frames, of which the first is kept."""

    kind: str
    id: str
    sum: str
    name: str
    moves: bool
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
    return Cell(found["kind"], found["id"], found["sum"], name, bool(found["moves"]), found["content"])


def cell_of(content: bytes, name: str, side: int) -> str:
    """The cell of a picture file. side: its longest side at most, in pixels. ValueError with one of `FAULTS`."""
    image, moves = decoded(content)
    pixels = np.asarray(image)
    digest = hashlib.sha256(f"{image.width} {image.height} ".encode() + pixels.tobytes()).hexdigest()[:ID_DIGITS]
    kind, payload = _encoded(scaled(image, side))
    body = base64.b64encode(payload).decode()
    more = (";part=first" if moves else "") + (f";name={quote(name.encode('utf-8', 'replace'))}" if name else "")
    return f"data:image/{kind};id={digest};sum={_check(body)}{more};base64,{body}"


def decoded(content: bytes) -> tuple["Image", bool]:
    """The picture in a file, RGB, turned as EXIF says and on white; and whether it had further frames, of which this is
    the first. ValueError with one of `FAULTS`."""
    from PIL import Image, ImageOps

    if fault := _no_picture(content):
        raise ValueError(fault)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is refused here, and of EXIF that it cannot read
        try:
            image: Any = Image.open(io.BytesIO(content), formats=_formats())
        except Image.DecompressionBombError:
            raise ValueError(LARGE) from None
        except Exception:  # each format has its own errors
            raise ValueError(NONE) from None
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(LARGE)
        try:
            moves = bool(getattr(image, "is_animated", False)) and image.format not in STILL
            image.load()
        except Exception as error:
            raise ValueError(TRUNCATED if "truncated" in str(error).lower() else DAMAGED) from None
        with suppress(Exception):  # EXIF that is damaged turns nothing
            image = ImageOps.exif_transpose(image)
        return _rgb(image), moves


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
        return decoded(cell.content)[0]
    except ValueError as error:
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
    written = io.BytesIO()
    if exact:
        image.save(written, "PNG", optimize=True)
    else:
        image.save(written, "JPEG", quality=QUALITY)
    return ("png" if exact else "jpeg"), written.getvalue()


def _rgb(image: Any) -> "Image":
    """Whatever a file holds as RGB: what shines through on white, more than 8 bits stretched from the darkest to the
    brightest, since such pictures rarely use all of them."""
    from PIL import Image

    if image.mode == "F" or image.mode.startswith("I"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        low, high = values.min(), values.max()
        whole = np.rint(255 * (values - low) / (high - low)) if high > low else np.zeros_like(values)
        return Image.fromarray(whole.astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")
    result: Image.Image = image.convert("RGB")
    return result


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
