"""Bring a workspace that an earlier version made up to date: the names by which its dvc.yaml calls the stages, and the
stage `agree` once its params.yaml has a section of that name."""

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from ruamel.yaml import YAML

from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, atomic, reading

FILES = ("dvc.yaml", "dvc.lock")  # in both, or DVC would run every stage again for a command that it has not seen
MADE, READERS = "data/consensus.parquet", ("train", "prove", "select")  # what `agree` makes, and who reads it
MESSAGE = "dvc.yaml calls the stages by the names they have since labelwise 0.2"


def run(workspace: Workspace, versions: Versions) -> str:
    """Have dvc.yaml call the stages as they are called now, and give it the stage `agree` where params.yaml asks for
    that, each in a commit of its own. Returns a line for people, '' where there was nothing to do. Whatever was cut off
    in it, it completes when it is called again."""
    return "; ".join(filter(None, [_rename(workspace, versions), _agree(workspace, versions)]))


def _rename(workspace: Workspace, versions: Versions) -> str:
    kept = versions.git("show", "HEAD:dvc.yaml")
    with reading(workspace.root / "dvc.yaml"):
        if renewed(kept) == kept:
            return ""
    for name in FILES:
        path = workspace.root / name
        if path.exists():
            _rewrite(path, renewed)
    versions.save(MESSAGE, only=FILES)
    said = "dvc.yaml was made by an earlier version: it calls the stages labelwise.tasks.* now, in a commit of its own"
    users = sorted({*re.findall(r"-m (tasks\.\w+)", (workspace.root / "dvc.yaml").read_text(encoding="utf-8"))})
    if users:
        said += f". Your own lines with {', '.join(users)} were left: if ours is meant, write labelwise.{users[0]}"
    return said


def _agree(workspace: Workspace, versions: Versions) -> str:
    kept = versions.git("show", "HEAD:dvc.yaml")
    with reading(workspace.root / "dvc.yaml"):
        if "agree" not in workspace.settings.model_fields_set or agreeing(kept) == kept:
            return ""
    _rewrite(workspace.root / "dvc.yaml", agreeing)
    versions.save("dvc.yaml has the stage agree", only=("dvc.yaml", "params.yaml"))
    return "dvc.yaml was made before there was a stage `agree`: it has one now, in a commit of its own"


def _rewrite(path: Path, anew: Callable[[str], str]) -> None:
    with reading(path):
        content = anew(path.read_bytes().decode("utf-8"))
    with atomic(path) as scratch:
        scratch.write_bytes(content.encode("utf-8"))


def agreeing(text: str) -> str:
    """dvc.yaml with the stage `agree` before `train`, and what it makes among what others depend on; all else stays as
    it is, sign by sign."""
    stages: Any = (YAML().load(text) or {}).get("stages") or {}
    if "agree" in stages or "train" not in stages:
        return text
    ours = files("labelwise").joinpath("dvc.yaml").read_text(encoding="utf-8")
    stage = ours[ours.index("  agree:\n") : ours.index("  train:\n")]
    lines = text.splitlines(keepends=True)
    for name in (each for each in READERS if each in stages):
        line, column = stages[name]["deps"].lc.item(0)
        if stages[name]["deps"].fa.flow_style():
            lines[line] = lines[line].replace("[", f"[{MADE}, ", 1)
        else:
            lines[line] = f"{' ' * (column - 2)}- {MADE}\n{lines[line]}"
    begin, column = stages.lc.key("train")
    lines[begin] = indent(dedent(stage), " " * column) + lines[begin]
    return "".join(lines)


def renewed(text: str) -> str:
    """dvc.yaml or dvc.lock with today's command of each stage of ours; all else stays as it is, sign by sign.

    Until 0.2 the stages were modules of a package `tasks`, a name that users give modules of their own. -P: no module
    that lies in the workspace is taken for one of ours, or of a library.

    >>> print(renewed("stages:\\n  train:\\n    cmd: nice python -m tasks.train # mine\\n    outs: [model]\\n"), end="")
    stages:
      train:
        cmd: nice python -P -m labelwise.tasks.train # mine
        outs: [model]
    """
    stages: Any = (YAML().load(text) or {}).get("stages") or {}
    called = {name: stage for name, stage in stages.items() if "cmd" in stage}
    keys = [stages.lc.key(name)[0] for name in stages]
    keys += [stage.lc.key(key)[0] for stage in called.values() for key in stage]
    lines = text.splitlines(keepends=True)
    for name, stage in called.items():
        begin = stage.lc.key("cmd")[0]
        end = min((line for line in keys if line > begin), default=len(lines))
        ours = re.compile(rf"(?<!\S)(?<!-P )-m (?:labelwise\.)?tasks\.{re.escape(name)}(?![\w.])")
        lines[begin:end] = [ours.sub(f"-P -m labelwise.tasks.{name}", line) for line in lines[begin:end]]
    return "".join(lines)
