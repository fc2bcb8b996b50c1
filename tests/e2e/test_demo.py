"""The wheel is enough: an empty environment with it and its dependencies plays the demo, as `make demo` does; here with
fewer articles, so that encoding them takes seconds."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import tomllib
import zipfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

from labelwise.flows import demo, facts
from labelwise.tasks.errors import InputError, ServiceError
from labelwise.tasks.labels import weak
from labelwise.tasks.reporting import status
from labelwise.tasks.workspace import Workspace

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
FEWER = """
import sys
from pathlib import Path
from labelwise.flows import demo, facts
from labelwise.flows.demos import people
from labelwise.tasks.errors import InputError
articles = demo.bbc_news()
rare = sys.argv[3] == "rare"
demo.ROUNDS = 1 if rare else 3
people.ASKED = 8
demo.bbc_news = lambda: articles.sample(500 if rare else 300, random_state=0)
demo.demo(Path(sys.argv[1]), print, sys.argv[2], rare, people=sys.argv[3] == "people")
"""


def sources() -> list[str]:
    """The files of the repository that are, or may become, part of the package."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--"]
    package = ["__init__.py", "py.typed", "params.yaml", "dvc.yaml", "flows", "infra", "tasks"]
    listed = subprocess.check_output([*words, *package], cwd=ROOT, text=True).splitlines()
    return [name for name in listed if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, or what an earlier build left behind would be in it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in [*sources(), "pyproject.toml", "README.md", "LICENSE"]:
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "source" / name)
    for stray in ("tests/test_x.py", "docs/x.md", "infra/.env", "demo/x.csv"):
        (folder / "source" / stray).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / stray).touch()
    ours = int(version("setuptools").partition(".")[0]) >= 80  # else pip fetches one that can
    alone = ["--no-build-isolation", "--no-index"] if ours else []
    words = ["wheel", "--no-deps", *alone, "--wheel-dir", str(folder), str(folder / "source")]
    subprocess.run([*PIP, *words], check=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that has the wheel, and beside it the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([*PIP, "--python", str(python), "install", "--no-index", "--no-deps", str(wheel)], check=True)
    own = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    Path(own.strip(), "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")  # no .pth of theirs is read
    return python


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {f"labelwise/{name}" for name in sources()}
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {Path("labelwise", name).parent for name in sources() if name.endswith(".py")}
    assert sorted(said) == sorted(".".join(folder.parts) for folder in folders)


def test_an_installed_package_needs_no_checkout(python: Path, tmp_path: Path) -> None:
    """What it reads of its own, and where its servers' data go."""
    (tmp_path / "pool.csv").write_text("text\nThe parcel came late.\nThe lamp is broken.\n")
    (tmp_path / "gold.csv").write_text("text,label\nThe parcel never came.,late\nThe glass has a crack.,broken\n")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("LABELWISE", "PYTHON"))}
    code = "import labelwise; from labelwise.tasks.services.home import home; print(labelwise.__file__, home())"
    for words, said in (
        (["labelwise", "--version"], f"labelwise {version('labelwise')}"),
        (["python", "-c", code], str(python.parents[1])),
        (["python", "-c", code], str(tmp_path / "data" / "labelwise")),
        (["labelwise", "init", "tickets", "--pool", "pool.csv", "--gold", "gold.csv"], "pool  2 rows, 2 items"),
    ):
        done = subprocess.run(
            [python.with_name(words[0]), *words[1:]],
            cwd=tmp_path,
            env=outside | {"XDG_DATA_HOME": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert said in done.stdout + done.stderr
    assert (tmp_path / "tickets" / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


@pytest.mark.long
@pytest.mark.usefixtures("servers")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("answer", "which", "measure"),
    [
        ("choice", "", "accuracy"),
        ("multilabel", "", "set F1"),
        ("choice", "rare", "F1 of entertainment"),
        ("choice", "people", "accuracy"),
    ],
)
def test_the_demo_plays_its_rounds_and_leaves_a_batch_open(
    python: Path, tmp_path: Path, answer: str, which: str, measure: str
) -> None:
    words, rare = [python, "-c", FEWER, "demo", answer, which], which == "rare"
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{measure} (95 %)" in done.stdout and "sign-in" in done.stdout
    assert ("facts of an article, made by rules" in done.stdout.splitlines()[0]) == (answer == "multilabel")
    workspace = Workspace.open(tmp_path / "demo")
    seen = json.loads(status.status(workspace).json())
    rounds = 1 if rare else 3
    finished = answer == "choice" and not which
    assert (seen["asked"], seen["answered"]) == (25, 0)
    if finished:  # by rounds of its own
        assert seen["round"] > rounds and seen["labels"] > 25 * rounds
        assert seen["finished"].startswith("Of these ") and "with 95 % confidence" in seen["finished"]
    elif which == "people":  # some are labelled twice by the same people
        assert seen["round"] == rounds and 60 < seen["labels"] <= 75
        assert "percentages" in done.stdout and "answers of two people or more" in done.stdout
        assert "SmolLM2-135M-Instruct was asked about 8 items" in done.stdout and "demo: labelwise llm" in done.stdout
        assert " for experts: http" in done.stderr
        spoken = weak.every(workspace)[lambda rows: rows.source.str.startswith("llm:")]
        assert len(spoken) == spoken.id.nunique() == 8  # asked once; a rule that people refute is withdrawn beside it
        assert (pd.read_parquet(workspace.consensus).people == 2).sum() > 60
    else:  # of each batch a few places are for labels that look wrong
        assert (seen["round"], seen["finished"]) == (rounds, "") and 23 * rounds < seen["labels"] <= 25 * rounds
    assert ("more answers of people" in done.stdout) == finished
    assert "label" not in pd.read_csv(tmp_path / "demo.source" / "pool.csv").columns
    assert ("of a model that never says entertainment" in done.stdout) == rare
    names = {("choice", ""): "bbc-news", ("multilabel", ""): "bbc-news-facts"}
    names |= {("choice", own): f"bbc-news-{own}" for own in ("rare", "people")}
    mine = names.pop((answer, which))
    for (other, others), name in names.items():
        with pytest.raises(
            InputError, match=f"expected {name}, got {mine}. To mend it: give another folder"
        ) as refused:
            demo.demo(workspace.root, print, other, others == "rare", people=others == "people")
        assert (f"--{which} to go on with this one" in str(refused.value)) == bool(which)


def test_the_demo_ends_where_its_reviewers_fail(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    failed = pytest.raises(ServiceError, match="the reviewers failed, see above")
    with failed, demo.reviewers(tmp_path, tmp_path / "none.csv", 1, (0.0,)):
        threading.Event().wait()
    assert "labelwise: " in capfd.readouterr().err


def test_one_section_is_rare_in_the_demo_that_looks_for_it() -> None:
    shares = demo.thinned(demo.bbc_news()).label.value_counts(normalize=True)
    assert shares.index.tolist() == [demo.OTHER, demo.RARE] and 0.01 < shares[demo.RARE] < 0.04
    said = "demo --rare: expected --item text --answer choice, got --item text --answer multilabel"
    with pytest.raises(InputError, match=said):
        demo.demo(None, print, "multilabel", rare=True)


def test_the_demos_labels_are_sections_or_facts() -> None:
    articles = demo.bbc_news()
    assert len(articles) > 2000 and articles.label.nunique() == 5
    held = facts.with_facts(articles).label.map(json.loads)
    counts = Counter(fact for label in held for fact in label)
    assert counts.keys() == facts.descriptions().keys()
    assert min(counts.values()) < 0.06 * len(held) < 0.2 * len(held) < counts["sport"]
    assert (held.map(len) == 0).mean() > 0.2 and (held.map(len) > 1).mean() > 0.2
