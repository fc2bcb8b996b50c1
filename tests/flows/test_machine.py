"""What the machine and the shell of a user decide: nothing."""

import getpass
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from labelwise.tasks.errors import InputError
from labelwise.tasks.services.local import credentials
from labelwise.tasks.terminal import settle

LABELWISE = Path(sys.executable).parent / "labelwise"


def labelwise(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([LABELWISE, *words], capture_output=True, env=os.environ | environment, check=False)


@pytest.mark.parametrize(
    "terminal",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_what_the_terminal_does_not_know_is_escaped(terminal: dict[str, str]) -> None:
    done = labelwise("status", "--workspace", "Доставка", **terminal)
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
    assert b"\\u0414" in done.stderr or "Доставка".encode() in done.stderr


@pytest.mark.parametrize("name", ["labelwise.py", "pandas.py"])
def test_modules_in_the_folder_of_the_user_are_not_taken_for_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("raise SystemExit('taken')\n")
    done = subprocess.run([LABELWISE, "status"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    assert b"taken" not in done.stderr


@pytest.mark.parametrize("name", ["tasks.py", "flows.py", "infra.py", "pandas.py", "yaml.py"])
def test_modules_on_the_users_pythonpath_are_not_taken_for_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("raise SystemExit('taken')\n")
    done = labelwise("status", "--workspace", str(tmp_path), PYTHONPATH=str(tmp_path))
    assert done.returncode == 3, done.stderr
    assert b"taken" not in done.stderr


def test_the_schedule_is_in_the_time_zone_of_whoever_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from labelwise.flows.serve import time_zone

    for given, zone in (("Asia/Tokyo", "Asia/Tokyo"), (":Europe/Berlin", "Europe/Berlin"), ("UTC", "UTC")):
        monkeypatch.setenv("TZ", given)
        assert time_zone() == zone
    for given in ("CET-1CEST", "../../etc/passwd", "Nowhere/Town"):
        monkeypatch.setenv("TZ", given)
        with pytest.raises(InputError, match="TZ=Europe/Berlin"):
            time_zone()


def test_a_user_without_a_name_and_a_place_gets_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody(_: int) -> object:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "PREFECT_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONIOENCODING", "")
    monkeypatch.setenv("HOME", str(tmp_path / "not-there"))
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "ours"))
    settle()
    assert getpass.getuser() == f"uid-{os.getuid()}"
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "ours" / "user" / "prefect")
    assert (tmp_path / "ours" / "user").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("umask", [0, 0o077])
def test_nothing_is_everybodys_to_change_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """And what was made can be read by whoever made it; secrets by nobody else."""
    pool, gold = tmp_path / "pool.csv", tmp_path / "gold.csv"
    pool.write_text("text\nThe parcel came late.\nThe lamp is broken.\n")
    gold.write_text("text,label\nThe parcel never came.,late\nThe glass has a crack.,broken\n")
    place, home = tmp_path / "x", tmp_path / "new" / "home"
    words = [LABELWISE, "init", place, "--pool", pool, "--gold", gold]
    places = {"LABELWISE_HOME": str(home), "HOME": str(tmp_path / "not-there")}
    subprocess.run(words, env=os.environ | places, umask=umask, check=True)
    made = [place, home.parent, *place.rglob("*"), *home.parent.rglob("*")]
    assert home in made
    modes = {path: path.stat().st_mode & 0o777 for path in made if not path.is_symlink()}
    assert [path for path, mode in modes.items() if mode & 0o002 or not mode & 0o400] == []
    assert modes[home] == 0o700
    assert modes[place] & umask == 0
    before = os.umask(umask)
    try:
        credentials._write(home, {"LABEL_STUDIO_PASSWORD": "x"})
    finally:
        os.umask(before)
    assert (home / "secrets.env").stat().st_mode & 0o777 == 0o600
