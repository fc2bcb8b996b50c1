"""An item that is a picture. Its cell is a data address with the picture in it, see kinds/picture.py; that of a file
which cannot be used says why."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from labelwise.tasks.errors import InputError, quantity
from labelwise.tasks.kinds import controls, picture
from labelwise.tasks.kinds import files as held
from labelwise.tasks.kinds.base import DECODES
from labelwise.tasks.kinds.files import Files
from labelwise.tasks.kinds.values import PICTURE, TEXT
from labelwise.tasks.records import content_id
from labelwise.tasks.services.expectations import NONE_OF, PRESENT, Rule
from labelwise.tasks.settings import Columns, Embed, Pull

if TYPE_CHECKING:
    from labelwise.tasks.learners.vision import Encoder

NAME = "image"
COLUMN = "image"
FILE = "file"  # of `values`: the name that the file of a picture had
ENDINGS = (*held.PICTURES, ".heic", ".heif", ".svg")  # the last are refused with a reason rather than passed over
FAULTS = (*held.FAULTS, *picture.FAULTS)
AT_ONCE = 4  # pictures decoded together: each may take 150 MB for a moment, and more above picture.MANY_PIXELS, alone
MOVES = "pictures have several frames: the first is kept"
UNTURNED = "pictures have damaged EXIF data: they are kept as they lie, not turned"
THUMBNAIL = 128  # longest side on pages, in pixels
wording, settled = None, None
WORDS = False
ARRAYS = False
# What a new workspace of pictures has other than one of texts.
# Vectors of pictures lie closer together than those of texts: of two of a burst the cosine is 0.97 and more, of other
# pictures of a set rarely. So by this encoder; others need other thresholds (docs/kinds.md).
DEFAULTS: dict[str, Any] = {
    "embed.encoder": "efficientnet-lite0-2x2",
    "embed.wording": False,
    "select.near_duplicate": 0.97,
    "gold.near_duplicate": 0.97,
}


def columns(columns: Columns) -> list[str]:
    """That of the picture."""
    return [columns.image]


def detected(_look: Callable[[], pd.DataFrame], columns: Columns) -> tuple[Columns, list[str]]:
    """As they are: the column of the picture has a name."""
    return columns, []


def files(columns: Columns) -> Files:
    """The picture is a file."""
    return Files(columns.image, ENDINGS)


def read(rows: pd.DataFrame, pull: Pull) -> pd.Series:
    """The pictures decoded and packed anew; of one that cannot be, why, as `held.unread` has it."""
    found = rows.iloc[:, 0]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        cells = list(pool.map(partial(_cell, side=pull.picture_side), found))
    return pd.Series(cells, rows.index, dtype=object)


def _cell(came: str | None, side: int) -> str | None:
    if came is None or not came.strip():
        return None
    file = held.unpacked(came)
    if file.fault:
        return held.unread(file.fault, file.name)
    try:
        return picture.cell_of(file.content, file.name, side)
    except picture.NoPicture as error:
        return held.unread(str(error), file.name or quantity(len(file.content), "byte"))


def rules(max_chars: int) -> list[Rule]:
    """What is expected of a picture."""
    del max_chars
    faults = [Rule(fault, "image: fault", NONE_OF, {"value_set": [fault]}) for fault in FAULTS]
    return [Rule("picture is missing", "image: given", PRESENT), DECODES, *faults]


def measures(cells: Sequence[str | None]) -> dict[str, Any]:
    """Whether there is one, and what is wrong with it."""
    return {
        "image: given": pd.Series([None if cell is None else 1 for cell in cells], dtype="float64"),
        "image: fault": pd.Series([None if cell is None else _fault(cell) for cell in cells], dtype=object),
    }


def _fault(cell: str) -> str | None:
    return held.unpacked(cell).fault if held.is_unread(cell) else None


def identify(cell: str) -> str:
    """The id of the item: that of the pixels, see kinds/picture.py; of a cell that was changed since, another one."""
    found = picture.parsed(cell)
    return found.id if found is not None and found.whole else content_id(cell)


def tidy(cell: str) -> str:
    """As it is."""
    return cell


def fold(cell: str) -> str:
    """The id: the same pixels are the same picture, whatever the file was called."""
    found = picture.parsed(cell)
    return cell if found is None else found.id


def encoder(embed: Embed, _settled: Mapping[str, Any] | None = None) -> "Encoder":
    """The image model that the settings name."""
    from labelwise.tasks.learners.vision import Encoder  # torch

    return Encoder(embed.encoder, embed.pixels)


def needs(embed: Embed) -> list[str]:
    """torch and Pillow, and what the image model is loaded by."""
    from labelwise.tasks.learners import vision

    return vision.needs(embed.encoder)


def given(items: Any, pull: Pull) -> Iterator[str]:
    """Pictures as paths, data addresses, bytes or as Pillow has them: a list, a Series, a frame with their column. Each
    is decoded when it is asked for: all together may be more than fits into memory."""
    if isinstance(items, pd.DataFrame):
        name = pull.columns.image
        items = items[name] if name in items else items.iloc[:, 0]
    for position, each in enumerate(items):
        cell = _cell(_came(each), pull.picture_side)
        if cell is None or held.is_unread(cell):
            fault = _fault(cell) if cell else "picture is missing"
            expected = "its path, a data address, its bytes, or a picture of Pillow's"
            raise InputError(f"picture {position}: {fault}", expected=expected)
        yield cell


def _came(each: Any) -> str | None:
    """What a program gives, as the cell of a source."""
    if isinstance(each, bytes | bytearray):
        return held.packed(bytes(each), "")
    if isinstance(each, str) and each.startswith(held.DATA):
        return each
    if isinstance(each, str | PathLike):
        path = Path(each)
        try:
            return held.packed(path.read_bytes(), "") if path.is_file() else held.unread(held.MISSING, str(path))
        except (OSError, ValueError):  # a name that no disk takes, a file that may not be read
            return held.unread(held.MISSING, str(path))
    if hasattr(each, "save"):
        written = BytesIO()
        each.convert("RGBA" if "A" in each.getbands() else "RGB").save(written, "PNG")
        return held.packed(written.getvalue(), "")
    return None


def takes(_columns: Columns) -> list[tuple[str, str | None]]:
    """The bytes of a picture."""
    return [("binary", None)]


def remarks(_cells: list[str], _gold: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Nothing: see `notes`."""
    return []


def notes(cells: list[str]) -> Counter[str]:
    """How many have several frames, and how many nobody knows how to turn."""
    found = [each for each in map(picture.parsed, cells) if each]
    counts = Counter({MOVES: sum(each.moves for each in found), UNTURNED: sum(each.unturned for each in found)})
    return +counts


def view(_columns: Columns) -> ET.Element:
    """The picture in Label Studio: so large that the choices below it are in sight."""
    return ET.Element("Image", {"name": controls.TO, "value": f"${NAME}", "maxWidth": "480px", "zoom": "true"})


def task(cell: str) -> dict[str, str]:
    """The picture in a task: a data address, which a browser shows without asking anyone."""
    found = picture.parsed(cell)
    return {NAME: "" if found is None else found.address}


def values(cell: str) -> dict[str, Any]:
    """The picture as it is kept, under a name that comes of its pixels, and the name that its file had."""
    found = picture.parsed(cell)
    if found is None:
        return {NAME: None, FILE: brief(cell)}
    ending = "png" if found.kind == "png" else "jpg"
    return {NAME: {"bytes": found.content, "path": f"{found.id}.{ending}"}, FILE: found.name or None}


def value_types(_columns: Columns) -> dict[str, str]:
    """The picture and the name of its file."""
    return {NAME: PICTURE, FILE: TEXT}


def brief(cell: str) -> str:
    """The name of its file, or its id."""
    found = picture.parsed(cell)
    if found is None:
        return held.unpacked(cell).name if held.is_unread(cell) else cell
    return found.name or f"picture {found.id}"


def thumbnail(cell: str) -> str:
    """A small picture for pages, as a data address; '' where there is none."""
    found = picture.parsed(cell)
    try:
        return "" if found is None else picture.thumbnail(found, THUMBNAIL)
    except InputError:
        return ""
