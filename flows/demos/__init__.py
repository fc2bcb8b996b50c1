"""What the demos play, a file a kind of item."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelwise.tasks import settings
from labelwise.tasks.settings import Columns

COLUMNS = Columns()


@dataclass(frozen=True)
class Material:
    """Sources as a user would have them. answers: what the stand-in for the reviewers answers from. settings: of
    params.yaml, by dotted path, other than those of a new workspace. columns: as they are named to `init`."""

    pool: Path
    gold: Path
    answers: Path
    settings: Mapping[str, Any]
    columns: Columns = COLUMNS


@dataclass(frozen=True)
class Edition:
    """What is played. name: of the project. what: the data, in words; items: a round figure of them. make: writes the
    sources into a folder, the answers under the name `answered`. gold: the share of the items that measure. noises:
    the share of wrong answers; of each reviewer, where they differ. rules: a rules.py."""

    name: str
    kind: settings.Kind
    what: str
    items: str
    make: Callable[["Edition", Path], Material]
    gold: float = 0.2
    noises: tuple[float, ...] = (0.02,)
    answered: str = "answers.csv"
    rules: str = ""

    def answers(self, source: Path) -> Path:
        """Where the answers are, in the folder that `make` wrote."""
        return source / self.answered
