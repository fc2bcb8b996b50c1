"""Who may play: copies, clones, moves, machines; with real git, the tags of an experiment in a dict."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks import player, settings
from tasks.errors import WorkspaceError
from tasks.player import ANOTHER, MOVED, SAME, Play, Player, compare
from tasks.services import dvc
from tasks.services.dvc import Versions
from tasks.workspace import Workspace

LAPTOP = Player("laptop", "id-1", "/home/a/x", "token-1")
BOX = Player("9f3c", "", "/work", "token-1")


@pytest.mark.parametrize(
    ("me", "held", "verdict"),
    [
        (LAPTOP, False, SAME),
        (replace(LAPTOP, token="none"), False, SAME),  # its .labelwise was deleted
        (replace(LAPTOP, machine="laptop.local"), False, SAME),
        (replace(LAPTOP, path="/home/a/y"), False, MOVED),
        (replace(LAPTOP, path="/home/a/y"), True, ANOTHER),  # copied
        (replace(LAPTOP, path="/home/a/y", token="token-2"), True, ANOTHER),  # cloned
        (replace(LAPTOP, path="/home/a/y", token="token-2"), False, MOVED),  # cloned, the first one deleted
        (replace(LAPTOP, machine="server", machine_id="id-2", token="token-2"), False, ANOTHER),
        (replace(LAPTOP, machine="server", machine_id="id-2"), False, ANOTHER),  # rsync to the same path
        (replace(LAPTOP, machine_id="id-2", path="/srv/x"), False, ANOTHER),
    ],
)
def test_who_is_who(me: Player, held: bool, verdict: str) -> None:
    assert compare(LAPTOP, me, lambda _: held) == verdict


def test_a_container_with_another_name_each_time_is_the_same() -> None:
    assert compare(BOX, replace(BOX, machine="77aa"), lambda _: False) == SAME
    assert compare(BOX, replace(BOX, machine="77aa", token="token-2"), lambda _: False) == ANOTHER


class Tags:
    """The experiment's tags."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def remembered(self) -> dict[str, str]:
        return dict(self.tags)

    def remember(self, facts: dict[str, str]) -> None:
        self.tags |= facts


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    root = tmp_path / "here"
    root.mkdir()
    template = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(template, encoding="utf-8")
    settings.change(root / "params.yaml", {"project.id": "1f3a", "project.name": "x", "classes": ["a", "b"]})
    (root / ".gitignore").write_text(".labelwise/\n")
    dvc.create(root, str(tmp_path / "remote")).save("begun")
    return Workspace.open(root)


def play(workspace: Workspace, tags: Any) -> Play:
    return Play(workspace, Versions(workspace.root), tags)


def commit(workspace: Workspace) -> None:
    with (workspace.root / "params.yaml").open("a") as file:
        file.write("# changed\n")
    Versions(workspace.root).save("changed")


def shell(command: str, at: Path) -> None:
    who = {f"GIT_{role}_{what}": "x@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["sh", "-c", command], cwd=at, check=True, env=os.environ | who)


def test_a_clone_is_refused_and_takes_over_when_it_has_all(here: Workspace, tmp_path: Path) -> None:
    tags = Tags()
    assert play(here, tags).refuse() == (None, "")
    play(here, tags).keep()
    shell("git clone -q here clone", tmp_path)
    clone = Workspace.open(tmp_path / "clone")
    commit(here)
    play(here, tags).keep()

    with pytest.raises(WorkspaceError, match=rf"are played by .*:{re.escape(str(here.root))} since 2") as no:
        play(clone, tags).refuse()
    assert len(str(no.value).splitlines()) == 1
    with pytest.raises(WorkspaceError, match="has saved more than this copy has"):
        play(clone, tags).refuse(take_over=True)
    assert play(clone, tags).refuse(take_over=True, lost=True)[1].startswith("taken over from")

    (bring,) = re.findall(r"`(git -C \S+ pull --tags)", str(no.value))
    shell(bring, tmp_path)
    assert play(clone, tags).refuse(take_over=True)[1].startswith("taken over from")
    play(clone, tags).keep()
    assert play(clone, tags).refuse()[1] == ""
    with pytest.raises(WorkspaceError, match=rf"are played by .*:{re.escape(str(clone.root))} "):
        play(here, tags).refuse()


def test_a_move_locks_nobody_out_and_a_copy_is_another(here: Workspace, tmp_path: Path) -> None:
    tags = Tags()
    play(here, tags).keep()
    shutil.copytree(here.root, tmp_path / "copy")
    with pytest.raises(WorkspaceError, match="are played by"):
        play(Workspace.open(tmp_path / "copy"), tags).refuse()

    since = player.known(tags.tags)
    shutil.rmtree(tmp_path / "copy")
    shutil.move(here.root, tmp_path / "moved")
    moved = Workspace.open(tmp_path / "moved")
    assert play(moved, tags).refuse()[1].startswith("the workspace has moved here from")
    play(moved, tags).keep()
    now = player.known(tags.tags)
    assert since and now and (since.token, now.path) == (now.token, str(moved.root))
    assert play(moved, tags).refuse()[1] == ""


@pytest.mark.parametrize("said", ["", "{", "[]", "3", '{"machine": "x"}'])
def test_what_is_no_word_of_ours_is_nobody(said: str) -> None:
    assert player.known({player.TAG: said}) is None
