"""What the cells of a source may hold, which the reader of a source must know."""

from collections.abc import Collection
from dataclasses import dataclass

from labelwise.tasks.kinds.files import Files


@dataclass(frozen=True)
class Cells:
    """What the cells of a source may hold beside a text. label: the column of labels, None where they are not asked
    for; lists: whether a label may be a list of names, which comes as JSON; spans: or spans, or the tags of tokens, and
    a text its tokens. files: the column whose cells stand for files, where there is one; the bytes of these come, see
    kinds/files.py. figures: columns in which also a list of figures may stand, which comes as JSON. beside: columns in
    which anything may stand, which is kept and not looked into: what is no plain value comes as JSON."""

    label: str | None = None
    lists: bool = False
    spans: bool = False
    files: Files | None = None
    figures: Collection[str] = ()
    beside: Collection[str] = ()

    @property
    def held(self) -> str | None:
        """The column whose cells stand for files."""
        return self.files.column if self.files else None


TEXTS = Cells()
