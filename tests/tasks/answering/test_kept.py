"""What was found out is kept as long as it follows from the same, and a broken file is made again."""

from pathlib import Path

import numpy as np

from labelwise.tasks.answering.kept import Arrays, digest_of_files, folder, kept, kept_folder
from labelwise.tasks.workspace import Workspace


def test_it_is_found_again_while_it_follows_from_the_same(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> Arrays:
        made.append(len(made))
        return {"number": np.array([made[-1]]), "rows": np.arange(6, dtype=np.float32).reshape(2, 3).T}

    here = Workspace(tmp_path)
    for follows, number in (([1], 0), ([1], 0), ([2], 1), ([1], 2)):
        found = kept(here, "name", follows, make)
        assert found["number"] == number
        np.testing.assert_array_equal(found["rows"], [[0, 3], [1, 4], [2, 5]])
    (folder(here) / "name.safetensors").write_bytes(b"half")
    assert kept(here, "name", [1], make)["number"] == 3
    assert kept(here, "name", [1], make)["number"] == 3


def test_of_a_folder_the_last_one_stays(tmp_path: Path) -> None:
    here = Workspace(tmp_path)

    def make(place: Path) -> None:
        place.mkdir()
        (place / "file").write_text("x")

    first = kept_folder(here, "model", "a", make)
    assert kept_folder(here, "model", "a", lambda _place: 1 / 0) == first
    other = kept_folder(here, "table", "a", make)
    second = kept_folder(here, "model", "b", make)
    assert sorted(folder(here).iterdir()) == sorted([other, second])


def test_a_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    one = digest_of_files(tmp_path)
    assert digest_of_files(tmp_path) == one
    (tmp_path / "a").rename(tmp_path / "b")
    assert digest_of_files(tmp_path) != one
