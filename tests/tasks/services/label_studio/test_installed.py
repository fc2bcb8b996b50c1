"""Label Studio's own environment. pip and venv are real; what the lock file names is a package of this test's own."""

import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from labelwise.tasks.errors import ServiceError
from labelwise.tasks.services.home import home
from labelwise.tasks.services.label_studio import installed
from labelwise.tasks.services.local import servers


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home of the test's own, an environment without Label Studio beside it, and no network."""
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("LABEL_STUDIO_BIN", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A lock file that names a wheel on this disk."""
    files = {
        "stand_in.py": "def main():\n    print('the real one')\n",
        "label_studio-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: label-studio\nVersion: 1\n",
        "label_studio-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "label_studio-1.dist-info/entry_points.txt": "[console_scripts]\nlabel-studio = stand_in:main\n",
    }
    files["label_studio-1.dist-info/RECORD"] = "".join(f"{name},,\n" for name in files)
    wheel = tmp_path / "label_studio-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    path = tmp_path / "label-studio.lock"
    path.write_text(f"{wheel}\n")
    monkeypatch.setattr(installed, "LOCK", path)
    return path


def test_it_is_installed_once_also_by_two_at_a_time_and_anew_after_an_interruption(lock: Path, tmp_path: Path) -> None:
    half = home() / installed.FOLDER / "lib" / "half-written"
    half.parent.mkdir(parents=True)
    half.touch()
    told: list[str] = []
    found: list[str] = []

    def ask() -> None:
        found.append(installed.program(told.append))

    others = [threading.Thread(target=ask) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert found == [str(home() / installed.FOLDER / "bin" / "label-studio")] * 2
    assert subprocess.check_output(found[0], text=True) == "the real one\n"
    assert not half.exists()
    assert sum("installing Label Studio" in line for line in told) == 1
    assert sum("waiting for it" in line for line in told) == 1

    ask()
    assert sum("installing Label Studio" in line for line in told) == 1

    lock.write_text("no-such-package==1\n")  # as after an upgrade
    with pytest.raises(ServiceError, match=r"cannot be installed .*no-such-package.*LABEL_STUDIO_BIN") as failed:
        servers.up(told.append)
    assert "label-studio-install.log" in str(failed.value)
    assert not (home() / installed.FOLDER / installed.INSTALLED).exists()


def test_a_pip_that_outlives_its_parent_keeps_others_away(tmp_path: Path) -> None:
    with installed._alone(tmp_path / "lock", pytest.fail) as held:
        orphan = subprocess.Popen(["sleep", "300"], pass_fds=[held])
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        orphan.kill()

    with installed._alone(tmp_path / "lock", tell):
        assert len(told) == 1
    orphan.wait()


def test_the_environment_of_a_checkout_goes_on_being_used(tmp_path: Path) -> None:
    bin = tmp_path / ".venv-label-studio" / "bin"
    bin.mkdir(parents=True)
    for name in ("python", "label-studio"):
        (bin / name).touch(mode=0o755)
    assert installed.program(pytest.fail) == str(bin / "label-studio")


def test_no_python_and_no_pip_of_the_users_settings_puts_it_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"PYTHONPATH": "/x", "PIP_TARGET": "/x", "PIP_USER": "1", "PIP_INDEX_URL": "https://example.org/simple"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert given.keys() & installed._environment().keys() == {"PIP_INDEX_URL"}


def test_what_pip_says_of_a_network_that_is_not_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by 'NewConnectionError("
        "'<pip._vendor.urllib3.connection.HTTPConnection object at 0x7f885>: Failed to establish a new connection: "
        "[Errno 111] Connection refused')': /simple/x/\n"
        "ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)\n"
    )
    said = str(installed._failed([sys.executable, "-m", "pip"], log))
    assert "got connection broken by 'NewConnectionError('Failed to establish a new connection: [Errno 111]" in said
    assert "set LABEL_STUDIO_BIN" in said
    assert os.linesep not in said
