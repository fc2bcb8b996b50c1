"""What commands put beside the ledger (labels/seeds.py, labels/weak.py): each time a shard in the labels' folder, and a
commit of that folder alone. One that was cut off before its commit is kept by anyone who comes next."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from labelwise.tasks.labels import seeds, weak
from labelwise.tasks.services import player
from labelwise.tasks.services.patience import Tell, patient
from labelwise.tasks.services.versions import differences, remote
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, claimed

FOLDER = "data/labels"
COMMANDS = ("seed", "rules", "llm")
PREFIXES = (seeds.PREFIX, weak.PREFIX)  # of the shards that they write


def add(
    workspace: Workspace,
    command: str,
    change: Callable[[], pd.DataFrame],
    append: Callable[[Workspace, pd.DataFrame], Path],
    message: Callable[[int], str],
    tell: Tell,
) -> int:
    """Add what `change` makes; how many rows there were. command: one of COMMANDS. message: of the commit, from the
    number of rows."""
    with claimed(workspace) as claim:
        versions = Versions(workspace.root)
        versions.clear()
        if claim.unfinished_command in COMMANDS:
            if said := resume(versions):
                tell(said)
        else:
            claim.refuse_unfinished()
        differences.refuse_side_tracks(versions)
        play = player.entitled(workspace, versions, tell)
        remote.refuse_missing(workspace)
        differences.refuse_strange_changes(versions)
        rows = change()
        if len(rows):
            claim.begin(command=command)
            append(workspace, rows)
            keep(versions, message(len(rows)))
            patient(play.keep, tell)
    return len(rows)


def resume(versions: Versions) -> str:
    """Keep what a command that was cut off had written. Returns a line for people, '' where there is nothing."""
    if not (added := versions.only_added(FOLDER, *PREFIXES)):
        return ""
    keep(versions, "labels: kept from a command that did not end")
    return f"a command did not end; kept {', '.join(added)}: it need not be given again"


def keep(versions: Versions, message: str) -> None:
    """Commit the labels' folder."""
    versions.add([FOLDER])
    if versions.head:  # else the first run makes the first commit
        versions.save(message, only=[f"{FOLDER}.dvc", "data/.gitignore"])
        versions.push()
