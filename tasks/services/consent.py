"""What the owner of this machine has allowed: by a variable of the environment, or by an answer, which is remembered in
home() for just what was shown, and is asked for again when that changes."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from labelwise.tasks.services.home import home
from labelwise.tasks.workspace import atomic


@dataclass(frozen=True)
class Consent:
    """To one thing. file: where such answers are kept; variable: of the environment, '1' allows it; about: what it
    concerns, such as the path of a file; digest: of that as it is now."""

    file: str
    variable: str
    about: str
    digest: str

    @property
    def given(self) -> bool:
        """Whether it is allowed as it is now."""
        return os.environ.get(self.variable, "").strip() == "1" or self._known().get(self.about) == self.digest

    @property
    def lapsed(self) -> bool:
        """Whether it was allowed once, as it was then."""
        return self.about in self._known()

    def keep(self) -> None:
        """Remember that it is allowed."""
        path = self._path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic(path) as scratch:
            scratch.touch(mode=0o600)
            scratch.write_text(json.dumps(self._known() | {self.about: self.digest}), encoding="utf-8")

    @property
    def _path(self) -> Path:
        return home() / self.file

    def _known(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # not there, or cut off: then it is asked again
            return {}
