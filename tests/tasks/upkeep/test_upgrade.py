"""A dvc.yaml of before gets what today's loop has, and keeps what people wrote there."""

from importlib.resources import files

from ruamel.yaml import YAML

from labelwise.tasks.labels.consensus import FILE
from labelwise.tasks.upkeep.upgrade import READERS, agreeing

OURS = files("labelwise").joinpath("dvc.yaml").read_text(encoding="utf-8")
BEFORE = """\
# mine
stages:
    embed:
        cmd: python -P -m labelwise.tasks.embed
        outs: [data/vectors]
    # learns
    train:
        cmd: python -P -m labelwise.tasks.train
        deps:
            # the ledger
            - data/labels
            - mine.csv # and this
        outs: [model]
    select:
        cmd: python -P -m labelwise.tasks.select
        deps: [data/labels, model]
"""


def test_the_stage_is_added_and_all_else_stays_sign_by_sign() -> None:
    after = agreeing(BEFORE)
    stages = YAML(typ="safe").load(after)["stages"]
    assert list(stages) == ["embed", "agree", "train", "select"]
    assert stages["agree"] == YAML(typ="safe").load(OURS)["stages"]["agree"]
    assert stages["train"]["deps"] == [FILE, "data/labels", "mine.csv"]
    assert stages["select"]["deps"] == [FILE, "data/labels", "model"]
    kept = [line for line in after.splitlines() if line in BEFORE.splitlines()]
    assert kept == [line for line in BEFORE.splitlines() if "deps: [" not in line]
    assert agreeing(after) == after


def test_what_init_writes_has_it_already() -> None:
    assert agreeing(OURS) == OURS
    stages = YAML(typ="safe").load(OURS)["stages"]
    assert all(FILE in stages[name]["deps"] for name in READERS)
    assert stages["agree"]["outs"] == [FILE]


def test_a_file_without_the_stages_of_the_loop_is_left_alone() -> None:
    for text in ("", "stages: {}\n", "stages:\n  mine:\n    cmd: ls\n"):
        assert agreeing(text) == text
