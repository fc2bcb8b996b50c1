"""`make audit`, with a program in the place of pip-audit: findings, none, and a service that cannot be reached."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOUND = "jinja2 2.4.1 PYSEC-2014-8 2.7.2"


def auditor(folder: Path, *lines: str) -> Path:
    """A stand-in. Its last argument is the file that it is to audit."""
    path = folder / "pip-audit"
    path.write_text("\n".join(["#!/bin/sh", "for file; do :; done", *lines, ""]))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        # here: the service knows none of the packages, or is not there at all
        (["exit 1"], 2, "audit: no vulnerability service can be reached"),
        (["echo No known vulnerabilities found", "exit 0"], 2, "audit: no vulnerability service can be reached"),
        (
            [f"grep -qx jinja2==2.4.1 $file && {{ echo '{FOUND}'; exit 1; }}", "echo none"],
            0,
            "audit: infra/label-studio.lock",
        ),
        ([f"echo '{FOUND}'; exit 1"], 2, FOUND),
        ([f'[ "$file" = requirements.lock ] || {{ echo "{FOUND}"; exit 1; }}'], 2, "audit: infra/label-studio.lock"),
    ],
)
def test_what_it_says_and_how_it_ends(tmp_path: Path, lines: list[str], code: int, said: str) -> None:
    command = ["make", "--no-print-directory", "audit", f"AUDITOR={auditor(tmp_path, *lines)}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stdout
