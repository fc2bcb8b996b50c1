"""Every command in the README and the pages it leads to is run: here, in order, or by the test named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labelwise.tasks.services.home import Addresses
from tests.e2e.conftest import Source, source  # noqa: F401  (a fixture)

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["promises", "savings", "gold", "learners", "export", "operations", "extending"]
TEXT = "\n".join([README, *((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in PAGES)])
ELSEWHERE = {
    "make demo": "tests/e2e/test_demo.py",
    "make test": ".ci/run",
    "source .venv/bin/activate": "Makefile",
    'labelwise serve --workspace tickets --cron "*/10 * * * *"': "tests/e2e/test_outside.py",
    "labelwise finish --wrong 0.05 --workspace tickets --max-wait 0": "tests/e2e/test_finish.py",
    "labelwise predict pool.csv --out predictions.csv --workspace tickets": "tests/test_recorded.py",
    "labelwise answer --workspace tickets": "tests/e2e/test_answer.py",
    'curl -s http://127.0.0.1:8900/answer -d \'{"items": ["I was charged twice", "The page stays white"]}\'': (
        "tests/e2e/test_answer.py"
    ),
    "labelwise down": "tests/tasks/services/local/test_servers.py",
}


def commands(text: str) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def test_the_ones_tested_elsewhere_are_there() -> None:
    assert set(ELSEWHERE) <= set(commands(TEXT))
    for place in ELSEWHERE.values():
        assert (ROOT / place).exists(), place
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.e2e
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("text", [README, pytest.param(TEXT, marks=pytest.mark.long)], ids=["README", "pages, too"])
def test_the_commands_work_in_order(servers: Addresses, source: Source, tmp_path: Path, text: str) -> None:  # noqa: F811
    for name in ("pool", "gold", "answers"):
        shutil.copy(getattr(source, name), tmp_path / f"{name}.csv")
    script = "\n".join(["set -e", *(line for line in commands(text) if line not in ELSEWHERE)])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"round": 1' in done.stdout
    assert ("export MLFLOW_TRACKING_URI=" in done.stdout) == (text == TEXT)


def test_the_readme_takes_five_minutes_and_its_links_lead_somewhere() -> None:
    assert len(README.split()) < 1400
    for page in [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in PAGES)]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_tree_names_what_is_there() -> None:
    tree = TEXT.partition("## The folders")[2].split("```")[1].strip()
    folder = ROOT
    for line in tree.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = ROOT / name if name.endswith("/") else ROOT
            assert (ROOT / name).exists(), name
        else:
            assert (folder / name).exists(), line


def test_every_command_is_in_the_help_and_the_readme_names_the_main_ones() -> None:
    for word in (
        "up",
        "down",
        "ps",
        "env",
        "init",
        "run",
        "status",
        "rehearse",
        "synthesise",
        "serve",
        "review",
        "report",
        "rollback",
        "stop",
        "go-on",
        "gold",
        "replay",
        "audit",
        "lineage",
        "forget",
        "gc",
        "export",
        "predict",
        "llm",
        "answer",
    ):
        assert f"labelwise {word}" in README


def test_the_readme_names_every_strategy_and_learner() -> None:
    from labelwise.tasks.learners import LEARNERS
    from labelwise.tasks.strategies import STRATEGIES

    for name in [*STRATEGIES, *LEARNERS]:
        assert f"`{name}`" in TEXT or f": {name}`" in TEXT, name
