"""Who plays the rounds of a workspace: one clone of it, on one machine, kept where every other one sees it.

Two clones on one project would each ask and pay, and take in what the other's reviewers said as nobody's. So the
player is a tag of the workspace's MLflow experiment. Another clone may look, replay and rehearse; it plays when it has
all that the player had saved and is told to take over.
"""

import hashlib
import json
import secrets
import shlex
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks.errors import LabelwiseError, WorkspaceError
from tasks.services.dvc import Versions
from tasks.services.mlflow import Tracking
from tasks.workspace import Workspace, atomic

TAG = "labelwise.player"
MACHINE_ID = Path("/etc/machine-id")
SAME, MOVED, ANOTHER = "same", "moved", "another"


@dataclass(frozen=True)
class Player:
    """machine: its name, for people. machine_id: a hash of what tells it from others of that name, '' where there is
    nothing, as in many containers. path: of the workspace. token: of this copy of it; no clone has it, it moves along.
    since: when it took over. commit: the last that it made or found."""

    machine: str
    machine_id: str
    path: str
    token: str
    since: str = ""
    commit: str = ""

    def __str__(self) -> str:
        return f"{self.machine}:{self.path} since {self.since}"


def here(workspace: Workspace) -> Player:
    """This copy on this machine."""
    return Player(socket.gethostname(), _machine_id(), str(workspace.root), _token(workspace))


def known(remembered: dict[str, str]) -> Player | None:
    """Who plays, by the experiment's tags; None where nobody has yet, or what stands there is no word of ours."""
    try:
        said = json.loads(remembered.get(TAG, ""))
        return Player(**{key: str(value) for key, value in said.items()})
    except (ValueError, TypeError, AttributeError):
        return None


def compare(player: Player, me: Player, holds: Callable[[Path], bool]) -> str:
    """Whether we are the player, the player after a move, or another. holds: whether a folder of this machine has a
    copy of the workspace that is not this one.

    A machine goes by its name and id. Containers often have a random name and no id: there a copy goes by its token.
    """
    same_machine = (player.machine, player.machine_id) == (me.machine, me.machine_id)
    ids = {player.machine_id, me.machine_id} - {""}
    same_copy = player.token == me.token and len(ids) < 2
    if not (same_machine or same_copy):
        return ANOTHER
    if player.path == me.path:
        return SAME
    return ANOTHER if holds(Path(player.path)) else MOVED


class Play:
    """The right of this copy to play, as it stands in MLflow. ServiceDown when MLflow does not answer."""

    def __init__(self, workspace: Workspace, versions: Versions, tracking: Tracking) -> None:
        self.workspace, self.versions, self.tracking = workspace, versions, tracking

    def refuse(self, take_over: bool = False, lost: bool = False) -> tuple[Player | None, str]:
        """WorkspaceError when another copy plays. take_over: it is to play no more; then we must have all it has saved,
        unless that is lost. Returns who played until now, and a line for people when that changes."""
        player, me = known(self.tracking.remembered()), here(self.workspace)
        who = SAME if player is None else compare(player, me, self._holds)
        if player is None or who == SAME:
            return player, ""
        if who == ANOTHER and not take_over:
            raise WorkspaceError(
                f"the rounds of this workspace are played by {player}",
                expected="one player: of two, neither counts what the other's reviewers answer",
                fix=f"run it there; or let this one take over: {self._bring('--take-over')}",
            )
        if not lost and player.commit not in self.versions.git("rev-list", "HEAD").split():
            raise WorkspaceError(
                f"{player} has saved more than this copy has",
                expected=f"its commit {player.commit[:12]}",
                fix=f"{self._bring('--take-over')}; if it was not pushed, push it there; "
                f"if it is lost for good: `{self._command('--take-over', '--lost')}`",
            )
        said = "the workspace has moved here" if who == MOVED else "taken over"
        return player, f"{said} from {player}"

    def keep(self) -> None:
        """Write down that we play, and what we have saved so far."""
        player, me = known(self.tracking.remembered()), here(self.workspace)
        ours = player is not None and compare(player, me, self._holds) == SAME
        since = player.since if player and ours else datetime.now(UTC).isoformat(timespec="seconds")
        word = asdict(me) | {"since": since, "commit": self.versions.head}
        with atomic(_note(self.workspace)) as scratch:
            scratch.write_text(me.token, encoding="utf-8")
        self.tracking.remember({TAG: json.dumps(word)})

    def _holds(self, folder: Path) -> bool:
        try:
            other = Workspace.open(folder)
        except (LabelwiseError, OSError):
            return False
        try:
            ours = other.settings.project.id == self.workspace.settings.project.id
        except LabelwiseError:
            ours = True  # it cannot be told, and two players are the worse
        return ours and other.root != self.workspace.root

    def _bring(self, *words: str) -> str:
        root = shlex.quote(str(self.workspace.root))
        return f"`git -C {root} pull --tags && dvc --cd {root} pull && {self._command(*words)}`"

    def _command(self, *words: str) -> str:
        return shlex.join(["labelwise", "run", "--workspace", str(self.workspace.root), *words])


def _note(workspace: Workspace) -> Path:
    return workspace.scraps / "player"


def _token(workspace: Workspace) -> str:
    """The token of this copy; a new one where it has none, which `keep` writes."""
    note = _note(workspace)
    return (note.read_text(encoding="utf-8") if note.exists() else "") or secrets.token_hex(8)


def _machine_id() -> str:
    """A hash of this machine's id, which is nobody's business, or ''."""
    try:
        found = MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(f"labelwise {found}".encode()).hexdigest()[:16] if found else ""
