"""From the bytes of a picture file to its cell: decoded once, its colours brought to sRGB, on white, turned, scaled
down, and packed anew.

A cell is a data address, `data:image/jpeg;id=HASH;sum=CHECK;name=NAME;base64,...`. So the tables hold the pictures
themselves, and versions, forgetting, replay and tasks need no second store. `id` is a hash of the pixels before they
were scaled: the same pixels in PNG and BMP, or under another `pull.picture_side`, are the same item. `sum` is one of
the bytes that stand here, so that a changed picture is noticed. Nothing of the file is kept but its pixels and its
name: no place or camera that EXIF may hold, and no colour profile, which has done its work by then.
"""

import base64
import hashlib
import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
    from PIL.ImageCms import ImageCmsTransform

# What Pillow warns of is refused here, or said by the notes of a pull. Once, since filters are those of the whole
# process, and what changes them for a while changes them for every thread.
warnings.filterwarnings("ignore", module=r"PIL\.")

MOST_PIXELS = 64_000_000  # of a picture, looked at before it is decoded
MANY_PIXELS = 16_000_000  # above which pictures are decoded one at a time: each takes hundreds of megabytes
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
MOST_PROFILE = 4 << 20  # bytes of a colour profile; those of printers, the largest, have 0.5 to 3 MB
SHADES = 17  # of each channel, by which a profile is compared with sRGB
SAME = 2  # levels of 255 by which a profile of sRGB, written by another program, may differ
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

_LARGE = threading.Lock()  # held while a picture of many pixels is decoded

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
    image = _open(content)
    if image.width * image.height <= MANY_PIXELS:
        return _packed(_decoded(image), name, side)
    # In a thread that ends with it: the allocator keeps for each thread what that has freed.
    with _LARGE, ThreadPoolExecutor(1) as alone:
        return alone.submit(lambda: _packed(decoded(content), name, side)).result()


def _packed(found: Decoded, name: str, side: int) -> str:
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
    return _decoded(_open(content))


def _open(content: bytes) -> Any:
    """The picture in a file as its header has it: no pixel is decoded yet."""
    from PIL import Image

    if fault := _no_picture(content):
        raise NoPicture(fault)
    with _as_faults():
        try:
            image = Image.open(io.BytesIO(content), formats=_formats())
        except (OSError, ValueError):  # so Pillow refuses a PNG for its profile alone, where that is large or broken
            if (bare := _without_profile(content)) == content:
                raise
            image = Image.open(io.BytesIO(bare), formats=_formats())
    if image.width * image.height > MOST_PIXELS:
        raise NoPicture(LARGE)
    return image


def _decoded(image: Any) -> Decoded:
    from PIL import Image

    with _as_faults():
        moves = bool(getattr(image, "is_animated", False)) and image.format not in STILL
        image.load()
    orientation = _orientation(image)
    turn = TURNS.get(orientation or 1)
    made = _rgb(image)
    made = made if turn is None else made.transpose(Image.Transpose[turn])
    made.info = {}  # Pillow would write some of it
    return Decoded(made, moves, orientation is None)


def _without_profile(content: bytes) -> bytes:
    """A PNG without the chunk that holds its colour profile; whatever has none, as it is.

    >>> _without_profile(b"before" + b"\\0\\0\\0\\3iCCPabcSUM." + b"after"), _without_profile(b"none")
    (b'beforeafter', b'none')
    """
    at = content.find(b"iCCP") - 4
    if at < 0:
        return content
    (length,) = struct.unpack_from(">I", content, at)
    return content[:at] + content[at + 12 + length :]


@contextmanager
def _as_faults() -> Iterator[None]:
    """What Pillow raises of a file as NoPicture."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except NoPicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # a warning where those are errors
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
    if found is None and _lost(image.info.get("exif") or b""):
        return None
    return found if isinstance(found, int) else 1


def _lost(exif: bytes) -> bool:
    """Whether EXIF data in which no orientation was found have lost it: they end within their directory, or it stands
    there and cannot be read. Pillow leaves out what is cut off, tags that come twice and types that it does not know.

    >>> head = b"Exif\\0\\0MM\\0*\\0\\0\\0\\x08"
    >>> _lost(b""), _lost(head + b"\\0\\1" + b"\\1\\0" + bytes(10)), _lost(head + b"\\0\\1"), _lost(b"nothing")
    (False, False, True, True)
    """
    data = exif.removeprefix(b"Exif\0\0")
    if not data:
        return False
    order = "<" if data.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        tags = [struct.unpack_from(f"{order}H10x", data, at + 2 + 12 * number)[0] for number in range(count)]
    except struct.error:
        return True
    return ORIENTATION in tags


def _rgb(image: Any) -> "Image":
    """Whatever a file holds as RGB: colours as its profile means them, what shines through on white, more than 8 bits
    stretched from the darkest to the brightest, since such pictures rarely use all of them. A strip at a time: of
    several arrays and copies of a whole one each may take a quarter of a gigabyte."""
    from PIL import Image

    if image.mode == "F" or image.mode.startswith("I"):
        return _stretched(image).convert("RGB")
    bands = image.getbands()
    clear = "A" in bands or "a" in bands or "transparency" in image.info
    plain = "CMYK" if image.mode == "CMYK" else "L" if bands in (("L",), ("L", "A"), ("L", "a")) else "RGB"
    meant = _to_srgb(image.info.get("icc_profile"), plain)
    if image.mode == "RGB" and not clear and meant is None:
        return image
    made = Image.new("RGB", image.size)
    with _as_faults():  # not every mode can be
        for number, strip in enumerate(_strips(image)):
            through = strip.convert("RGBA") if clear else None
            part = through or strip.convert("RGB")
            if meant is not None:
                part = meant.apply(strip.convert(plain))
            if through is not None:
                part = part.convert("RGBA")
                part.putalpha(through.getchannel("A"))
                part = Image.alpha_composite(Image.new("RGBA", part.size, "white"), part).convert("RGB")
            made.paste(part, (0, number * STRIP))
    return made


def _to_srgb(profile: Any, mode: str) -> "ImageCmsTransform | None":
    """From the colours of a profile to those of sRGB, which browsers and encoders take pictures for. None where it has
    the same colours, or cannot be used: there is none, it is broken, very large, or of another kind of colours than
    the picture."""
    from PIL import Image, ImageCms

    if not isinstance(profile, bytes) or not 0 < len(profile) <= MOST_PROFILE:
        return None
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        meant = ImageCms.buildTransform(found, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode == "CMYK":
            return meant
        steps = np.rint(np.linspace(0, 255, SHADES)).astype(np.uint8)
        shades = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(SHADES, -1, 3)
        tried = Image.fromarray(shades).convert(mode)
        moved = np.asarray(meant.apply(tried), dtype=int) - np.asarray(tried.convert("RGB"), dtype=int)
    except ImageCms.PyCMSError:
        return None
    except DAMAGES:
        return None
    return meant if np.abs(moved).max() > SAME else None


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
