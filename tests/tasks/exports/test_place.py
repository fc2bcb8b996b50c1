"""What an export may replace, and what it may not."""

from pathlib import Path

import pytest

from labelwise.tasks.errors import InputError
from labelwise.tasks.exports.place import NOTE, OWN, refuse_strange, replacing
from labelwise.tasks.workspace import Workspace


def put(place: Path, text: str, root: Path, force: bool = False) -> None:
    with replacing([place], root, force) as (scratch,):
        if place.suffix:
            scratch.write_text(text)
        else:
            scratch.mkdir()
            (scratch / "inside").write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    return made


@pytest.mark.parametrize("name", ["a.csv", "folder"])
def test_an_earlier_export_makes_way_until_somebody_changes_it(name: str, root: Path, tmp_path: Path) -> None:
    place = tmp_path / name
    put(place, "one", root)
    put(place, "other", root)
    file = place if place.suffix else place / "inside"
    assert file.read_text() == "other"
    file.write_text("mine!")
    with pytest.raises(InputError, match="was changed since it was exported"):
        put(place, "third", root)
    assert file.read_text() == "mine!"
    assert Workspace(root).scraps.joinpath(NOTE.name).is_file()


def test_a_file_of_anothers_is_replaced_by_force_alone_and_a_folder_never(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    for name in ("a.csv", "folder", "link.csv"):
        with pytest.raises(InputError, match=r"is there, and no earlier export: expected a new f"):
            put(tmp_path / name, "x", root)
    put(tmp_path / "a.csv", "x", root, force=True)
    assert (tmp_path / "a.csv").read_text() == "x"
    with pytest.raises(InputError, match="move it away"):
        put(tmp_path / "folder", "x", root, force=True)


def test_nothing_of_the_workspace_itself_is_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in [root, root.parent, *(root / name for name in OWN), root / "data" / "x" / "a.csv"]:
        with pytest.raises(InputError, match="is a part of the workspace itself"):
            refuse_strange(place, root, force=True)
    monkeypatch.chdir(root)
    with pytest.raises(InputError, match="is a part of the workspace itself"):
        refuse_strange(Path("../workspace/data"), root, force=True)
    refuse_strange(root / "exported.csv", root, force=False)


def test_a_note_that_is_damaged_costs_no_more_than_a_refusal(root: Path, tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "one", root)
    (root / NOTE).write_text("{")
    with pytest.raises(InputError, match="no earlier export"):
        put(tmp_path / "a.csv", "two", root)


def test_a_workspace_in_which_nothing_can_be_noted_is_exported_all_the_same(root: Path, tmp_path: Path) -> None:
    (root / NOTE.parent).write_text("no folder, so that nobody can write in it, root neither")
    put(tmp_path / "a.csv", "one", root)
    assert (tmp_path / "a.csv").read_text() == "one"
