"""An item that is a text."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pandas as pd

from labelwise.tasks.kinds import base, forms
from labelwise.tasks.kinds import wording as words
from labelwise.tasks.kinds.base import DECODES
from labelwise.tasks.kinds.values import TEXT
from labelwise.tasks.records import content_id
from labelwise.tasks.services.expectations import BETWEEN, ONE_OF, PRESENT, Rule
from labelwise.tasks.settings import Columns, Embed, Pull

if TYPE_CHECKING:
    from labelwise.tasks.learners.encoder import Encoder

NAME = "text"
COLUMN = "text"
WORDS = True
ARRAYS = False
DEFAULTS: Mapping[str, Any] = {}
settled = None  # the encoder was made of other texts
# What strip() leaves although nobody sees it: zero-width characters, soft hyphens, byte order marks.
INVISIBLE = " \t\r\n\u00ad\u200b\u200c\u200d\u2060\ufeff"


def columns(columns: Columns) -> list[str]:
    """That of the text."""
    return [columns.text]


def detected(_look: Callable[[], pd.DataFrame], columns: Columns) -> tuple[Columns, list[str]]:
    """As they are: the column of the text has a name."""
    return columns, []


def files(columns: Columns) -> None:
    """None: a text stands in its cell."""
    del columns


def read(rows: pd.DataFrame, pull: Pull) -> pd.Series:
    """The texts as they came."""
    del pull
    return rows.iloc[:, 0]


def rules(max_chars: int) -> list[Rule]:
    """What is expected of a text."""
    length = "text: characters"
    too_long = f"text has more than {max_chars} characters"
    detail = f"text has {{value:.0f}} characters, at most {max_chars} allowed"
    return [
        Rule("text is missing", length, PRESENT),
        Rule("text is blank", "text: that show", BETWEEN, {"min_value": 1}),
        DECODES,
        Rule("text has a NUL", "text: has NUL", ONE_OF, {"value_set": [False]}),
        Rule(too_long, length, BETWEEN, {"max_value": max_chars}, detail),
    ]


def measures(cells: Sequence[str | None]) -> dict[str, Any]:
    """How long each text is, how much of it shows, and whether it has a NUL."""
    return {
        "text: characters": pd.Series([None if text is None else len(text) for text in cells], dtype="float64"),
        "text: that show": pd.Series([None if text is None else _showing(text) for text in cells], dtype="float64"),
        "text: has NUL": [text is not None and "\0" in text for text in cells],
    }


def _showing(text: str) -> int:
    """How much of the text is left when its ends are stripped of what does not show."""
    return len(text.strip().strip(INVISIBLE))


def identify(cell: str) -> str:
    """The id of the item: a hash of the text."""
    return content_id(cell)


def tidy(cell: str) -> str:
    """The text as it is kept, see `forms.canonical`."""
    return forms.canonical(cell)


def fold(cell: str) -> str:
    """What two texts that count as the same have in common, see `forms.folded`."""
    return forms.folded(cell)


def encoder(embed: Embed, _settled: Mapping[str, Any] | None = None) -> base.Encoder:
    """The Hugging Face encoder that the settings name, on their engine. Where torch is not installed, onnxruntime runs
    it."""
    from labelwise.tasks.learners import runtimes

    if embed.engine != runtimes.TORCH or find_spec("torch") is None:
        return runtimes.encoder(embed.engine if embed.engine != runtimes.TORCH else runtimes.ONNX, embed)
    from labelwise.tasks.learners.encoder import Encoder  # torch

    return Encoder(embed.encoder, embed.max_tokens, embed.precision)


def needs(embed: Embed) -> list[str]:
    """What runs the encoder, and the package that the weights come with."""
    from labelwise.tasks.learners import encoder, onnx_encoder

    runs = encoder.NEEDS if embed.engine == "torch" else onnx_encoder.NEEDS
    return [*runs, *([encoder.PACKAGE] if embed.encoder == encoder.PACKAGED else [])]


def wording(cells: list[str], encoder: "Encoder") -> words.Wording:
    """How the texts are worded, see kinds/wording.py."""
    return words.wording(cells, encoder.unknown(cells))


def given(items: Any, _pull: Pull) -> list[str]:
    """A list of texts, a Series, or a frame with a `text` column."""
    if isinstance(items, pd.DataFrame):
        items = items[NAME] if NAME in items else items.iloc[:, 0]
    return [str(text) for text in items]


def takes(_columns: Columns) -> list[tuple[str, str | None]]:
    """A text. Its column has no name: a list of texts will do as well as a table with a column `text`."""
    return [("string", None)]


def remarks(cells: list[str], _gold: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Whether the packaged encoder can read the texts."""
    from labelwise.tasks.learners.encoder import unknown_to_packaged

    remark = words.unreadable(unknown_to_packaged(cells))
    return [remark] if remark else []


def notes(_cells: list[str]) -> Counter[str]:
    """Nothing: a text is kept as it is."""
    return Counter()


def view(_columns: Columns) -> ET.Element:
    """The text in Label Studio."""
    return ET.Element("Text", {"name": NAME, "value": f"${NAME}"})


def task(cell: str) -> dict[str, str]:
    """The text in a task."""
    return {NAME: cell}


def values(cell: str) -> dict[str, str]:
    """The text."""
    return {NAME: cell}


def value_types(_columns: Columns) -> dict[str, str]:
    """A text."""
    return {NAME: TEXT}


def brief(cell: str) -> str:
    """The text itself."""
    return cell


def thumbnail(cell: str) -> str:
    """None."""
    del cell
    return ""
