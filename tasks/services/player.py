"""Who plays the rounds of a workspace: one clone of it, on one machine, kept where every other one sees it.

Two clones on one project would each ask and pay, and take in what the other's reviewers said as nobody's. So the
player is a tag of the workspace's MLflow experiment. Another clone may look, replay and rehearse; it plays when it has
all that the player had saved and is told to take over.
"""

import hashlib
import json
import shlex
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from labelwise.tasks.errors import LabelwiseError, WorkspaceError
from labelwise.tasks.services.mlflow import Tracking, open_tracking
from labelwise.tasks.services.patience import Tell, patient
from labelwise.tasks.services.versions import handover, remote
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, copy_token, known_token

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

    def of_machine(self, other: "Player") -> bool:
        """Whether both are on the same machine."""
        return (self.machine, self.machine_id) == (other.machine, other.machine_id)

    def __str__(self) -> str:
        return f"{self.machine}:{self.path} since {self.since}"


def here(workspace: Workspace) -> Player:
    """This copy on this machine."""
    return Player(socket.gethostname(), _machine_id(), str(workspace.root), known_token(workspace))


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
    ids = {player.machine_id, me.machine_id} - {""}
    same_copy = player.token == me.token and len(ids) < 2
    if not (player.of_machine(me) or same_copy):
        return ANOTHER
    if player.path == me.path:
        return SAME
    return MOVED if player.token == me.token and not holds(Path(player.path)) else ANOTHER


def another(workspace: Workspace, remembered: dict[str, str]) -> Player | None:
    """Who plays, where it is another copy than this."""
    player = known(remembered)
    return player if player and compare(player, here(workspace), _others(workspace)) == ANOTHER else None


def way(workspace: Workspace, versions: Versions, player: Player) -> str:
    """The command by which this copy gets all that the player has saved, and takes over. WorkspaceError, ServiceError
    when git or DVC cannot be asked."""
    if _gone(workspace, player):
        steps = [handover.FETCH] * bool(remote.missing(workspace))
    elif player.of_machine(here(workspace)):
        steps = handover.near(versions, Path(player.path))
    else:
        steps = handover.far(versions, f"{player.machine}:{player.path}")
    return handover.command(versions, *steps, _command(workspace, "--take-over"))


class Play:
    """The right of this copy to play, as it stands in MLflow. ServiceDown when MLflow does not answer."""

    def __init__(self, workspace: Workspace, versions: Versions, tracking: Tracking | None = None) -> None:
        self.workspace, self.versions = workspace, versions
        self.tracking = tracking or open_tracking(workspace.settings)
        self._holds = _others(workspace)

    def refuse(self, take_over: bool = False, lost: bool = False) -> tuple[Player | None, str]:
        """WorkspaceError when another copy plays. take_over: it is to play no more; then we must have all it has saved,
        unless that is lost. Returns who played until now, and a line for people when that changes."""
        player, me = known(self.tracking.remembered()), here(self.workspace)
        who = SAME if player is None else compare(player, me, self._holds)
        if player is None or who == SAME:
            return player, ""
        if who == ANOTHER and not take_over:
            where = "where that folder is now" if _gone(self.workspace, player) else "there"
            raise WorkspaceError(
                f"the rounds of this workspace are played by {player}",
                expected="one player: of two, neither counts what the other's reviewers answer",
                fix=f"run it {where}; or let this one take over: `{way(self.workspace, self.versions, player)}`",
            )
        if not lost and player.commit not in self.versions.git("rev-list", "HEAD").split():
            way_on = f"`{way(self.workspace, self.versions, player)}`"
            back = f"put {player.path} back" if _gone(self.workspace, player) else way_on
            raise WorkspaceError(
                f"{player} has saved more than this copy has",
                expected=f"its commit {player.commit[:12]}",
                fix=f"{back}; if it is lost for good: `{_command(self.workspace, '--take-over', '--lost')}`",
            )
        said = "the workspace has moved here" if who == MOVED else "taken over"
        return player, f"{said} from {player}"

    def keep(self) -> None:
        """Write down that we play, and what we have saved so far."""
        player, me = known(self.tracking.remembered()), here(self.workspace)
        who = ANOTHER if player is None else compare(player, me, self._holds)
        since = player.since if player and who == SAME else datetime.now(UTC).isoformat(timespec="seconds")
        # A copy of a folder has its token, too.
        own = copy_token(self.workspace, anew=bool(player and who == ANOTHER and player.token == me.token))
        word = asdict(me) | {"token": own, "since": since, "commit": self.versions.head}
        self.tracking.remember({TAG: json.dumps(word)})


def _others(workspace: Workspace) -> Callable[[Path], bool]:
    """Whether a folder of this machine has a copy of the workspace that is not this one. Where it cannot be told, it
    has: two players are the worse."""

    def holds(folder: Path) -> bool:
        try:
            other = Workspace.open(folder)
        except (LabelwiseError, OSError) as error:
            return isinstance(error, PermissionError)
        try:
            ours = other.settings.project.id == workspace.settings.project.id
        except (LabelwiseError, OSError):
            ours = True
        return ours and other.root != workspace.root

    return holds


def _gone(workspace: Workspace, player: Player) -> bool:
    """Whether the player is of this machine, and its folder is not there any more."""
    return player.of_machine(here(workspace)) and not _others(workspace)(Path(player.path))


def _command(workspace: Workspace, *words: str) -> str:
    return shlex.join(["labelwise", "run", "--workspace", str(workspace.root), *words])


def _machine_id() -> str:
    """A hash of this machine's id, which is nobody's business, or ''."""
    try:
        found = MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(f"labelwise {found}".encode()).hexdigest()[:16] if found else ""


def entitled(workspace: Workspace, versions: Versions, tell: Tell) -> Play:
    """For a command that changes a workspace: the play of this copy, once it is sure that this copy may change
    anything. Waits for MLflow as `patient` does. WorkspaceError where another clone plays."""
    play = patient(lambda: Play(workspace, versions), tell, met=False)
    patient(play.refuse, tell)
    return play
