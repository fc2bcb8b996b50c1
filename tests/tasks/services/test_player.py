"""Who may play: copies, clones, moves, machines; with real git, the tags of an experiment in a dict."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labelwise.tasks import settings
from labelwise.tasks.errors import WorkspaceError
from labelwise.tasks.services import player
from labelwise.tasks.services.player import ANOTHER, MOVED, SAME, Play, Player, compare
from labelwise.tasks.services.versions import clones, differences
from labelwise.tasks.services.versions.workspace import Versions, create
from labelwise.tasks.workspace import Workspace, copy_token

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
        (replace(LAPTOP, path="/home/a/y", token="token-2"), False, ANOTHER),  # cloned, the first one moved or deleted
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
    template = (Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(template, encoding="utf-8")
    settings.change(root / "params.yaml", {"project.id": "1f3a", "project.name": "x", "classes": ["a", "b"]})
    (root / ".gitignore").write_text(".labelwise/\n")
    create(root, str(tmp_path / "here.remote"))
    workspace = Workspace.open(root)
    save(workspace, 0)
    return workspace


def play(workspace: Workspace, tags: Any) -> Play:
    return Play(workspace, Versions(workspace.root), tags)


def save(workspace: Workspace, number: int, said: str = "") -> None:
    """A round."""
    (workspace.labels / f"round-{number:04d}.parquet").parent.mkdir(parents=True, exist_ok=True)
    (workspace.labels / f"round-{number:04d}.parquet").write_text(f"{number} {said}")
    versions = Versions(workspace.root)
    versions.add()
    versions.save(f"round {number} {said}")
    versions.push()
    versions.save(f"round {number} {said}", f"round-{number:04d}")


def shell(command: str, at: Path) -> None:
    who = {f"GIT_{role}_{what}": "x@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-c", command], cwd=at, check=True, env=os.environ | who | {"PATH": path})


def refused(workspace: Workspace, tags: Any) -> tuple[str, str]:
    """Who plays instead, and the command that hands over, but for the last step of it."""
    with pytest.raises(WorkspaceError, match=r"are played by .* since 2") as no:
        play(workspace, tags).refuse()
    assert len(str(no.value).splitlines()) == 1
    player = re.findall(r"are played by [^:]+:(.+?) since 2", str(no.value))[0]
    command = re.findall(r"`(cd [^`]+)`", str(no.value))[0]
    assert command.endswith(f" && labelwise run --workspace {shlex.quote(str(workspace.root))} --take-over")
    return player, command.rpartition(" && ")[0]


def take_over(workspace: Workspace, tags: Any, bring: str, at: Path) -> None:
    shell(bring, at)
    differences.refuse_strange_changes(Versions(workspace.root))
    assert play(workspace, tags).refuse(take_over=True)[1].startswith("taken over from")
    play(workspace, tags).keep()
    assert play(workspace, tags).refuse()[1] == ""


def shards(workspace: Workspace) -> list[str]:
    return [file.read_text() for file in sorted(workspace.labels.iterdir())]


def test_a_clone_takes_over_when_it_has_all_and_gives_it_back(here: Workspace, tmp_path: Path) -> None:
    tags = Tags()
    assert play(here, tags).refuse() == (None, "")
    play(here, tags).keep()
    (tmp_path / "far").mkdir()
    shell("git clone -q here 'far/my clone'", tmp_path)
    clone = Workspace.open(tmp_path / "far" / "my clone")  # and its DVC remote is not beside it
    save(here, 1)
    play(here, tags).keep()

    player, bring = refused(clone, tags)
    assert player == str(here.root)
    with pytest.raises(WorkspaceError, match="has saved more than this copy has"):
        play(clone, tags).refuse(take_over=True)
    assert play(clone, tags).refuse(take_over=True, lost=True)[1].startswith("taken over from")
    take_over(clone, tags, bring, tmp_path)
    save(clone, 2)
    play(clone, tags).keep()

    # The first one has no `origin`, settings that are not committed yet, and a shard that it died over.
    settings.change(here.root / "params.yaml", {"select.batch": 7})
    (here.labels / "round-0002.parquet").write_text("cut off")
    player, bring = refused(here, tags)
    assert player == str(clone.root)
    take_over(here, tags, bring, tmp_path)
    assert shards(here) == ["0 ", "1 ", "2 "]
    assert Workspace.open(here.root).settings.select.batch == 7
    aside = Versions(here.root).git("show", "stash@{0}:data/labels.dvc")
    assert "nfiles: 3" in aside and aside != (here.root / "data" / "labels.dvc").read_text().strip()
    assert refused(clone, tags)[0] == str(here.root)


def test_two_that_have_both_played_become_one_and_nothing_is_gone(here: Workspace, tmp_path: Path) -> None:
    """As two clones of before, when nobody refused the second; or after --lost."""
    tags = Tags()
    shell("git clone -q here clone && cd clone && dvc pull -q", tmp_path)
    clone = Workspace.open(tmp_path / "clone")
    for workspace, said in ((here, "here"), (clone, "there")):
        save(workspace, 1, said)
    play(here, tags).keep()
    settings.change(clone.root / "params.yaml", {"select.batch": 7})
    _, bring = refused(clone, tags)
    take_over(clone, tags, bring, tmp_path)
    assert shards(clone) == ["0 ", "1 here"]
    theirs, ours = Versions(here.root), Versions(clone.root)
    assert ours.head == theirs.head and ours.git("rev-parse", "round-0001") == theirs.git("rev-parse", "round-0001")
    assert ours.message("set-aside-1").startswith("round 1 there")
    assert "batch: 7" in ours.git("show", "stash@{0}:params.yaml")
    differences.refuse_side_tracks(ours)


def test_one_on_another_machine_is_asked_over_the_network(here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = Tags()
    play(here, tags).keep()
    (here.scraps / "player").unlink()
    monkeypatch.setattr(player.socket, "gethostname", lambda: "server")
    _, bring = refused(here, tags)
    pull = "git pull --quiet --tags --ff-only --autostash"
    assert re.search(rf" && {pull} \S+:{re.escape(str(here.root))} && dvc pull ", bring)
    Versions(here.root).git("remote", "add", "origin", "https://git.example.org/x")
    assert f" && {pull} origin main && dvc pull " in refused(here, tags)[1]


def test_a_clone_of_one_that_is_gone_is_told(here: Workspace, tmp_path: Path) -> None:
    tags = Tags()
    play(here, tags).keep()
    shell("git clone -q here clone && mv here moved", tmp_path)
    clone = Workspace.open(tmp_path / "clone")
    with pytest.raises(WorkspaceError, match="run it where that folder is now; or"):
        play(clone, tags).refuse()
    _, bring = refused(clone, tags)
    shell(f"dvc --cd {clone.root} remote modify --local storage url ../here.remote", tmp_path)
    take_over(clone, tags, bring, tmp_path)
    assert shards(clone) == ["0 "]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_one_of_another_user_is_read_and_leaves_no_rule_behind(here: Workspace, tmp_path: Path) -> None:
    tags = Tags()
    shell("git clone -q here clone && cd clone && dvc pull -q", tmp_path)
    clone = Workspace.open(tmp_path / "clone")
    save(here, 1)
    play(here, tags).keep()
    for path in [here.root, *here.root.rglob("*")]:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    with pytest.raises(subprocess.CalledProcessError):
        shell("git -C here status", tmp_path)

    take_over(clone, tags, refused(clone, tags)[1], tmp_path)
    assert shards(clone) == ["0 ", "1 "]
    theirs = Versions(here.root)
    assert clones.clone(str(here.root), tmp_path / "past").head == theirs.head
    with theirs.inside() as repo:
        assert len(list(repo.brancher(all_commits=True))) > 1
    said = theirs.of_another()
    assert said.startswith("the workspace belongs to user 12345: ")
    shell(re.findall(r"`sudo (chown [^`]+)`", said)[0], tmp_path)
    shell("git -C here status", tmp_path)
    assert theirs.of_another() == ""


def test_a_copy_of_the_folder_that_takes_over_is_known_from_the_first(here: Workspace, tmp_path: Path) -> None:
    tags = Tags()
    play(here, tags).keep()
    copy = Workspace.open(shutil.copytree(here.root, tmp_path / "copy"))
    take_over(copy, tags, refused(copy, tags)[1], tmp_path)
    assert copy_token(copy) != copy_token(here)
    assert refused(here, tags)[0] == str(copy.root)


def test_a_folder_that_one_may_not_enter_is_not_gone(here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_(root: Path) -> None:
        raise PermissionError(13, "Permission denied", str(root))

    holds = player._others(here)
    assert not holds(here.root / "nowhere")
    monkeypatch.setattr(Workspace, "open", open_)
    assert holds(here.root / "nowhere")


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
