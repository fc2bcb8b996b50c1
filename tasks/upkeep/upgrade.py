"""Bring a workspace that an earlier version made up to date: the names by which its dvc.yaml calls the stages."""

import re
from typing import Any

from ruamel.yaml import YAML

from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, atomic, reading

FILES = ("dvc.yaml", "dvc.lock")  # in both, or DVC would run every stage again for a command that it has not seen
MESSAGE = "dvc.yaml calls the stages by the names they have since labelwise 0.2"


def run(workspace: Workspace, versions: Versions) -> str:
    """Have dvc.yaml call the stages as they are called now, in a commit of its own. Returns a line for people, '' where
    there was nothing to do. Whatever was cut off in it, it completes when it is called again."""
    kept = versions.git("show", "HEAD:dvc.yaml")
    with reading(workspace.root / "dvc.yaml"):
        if renewed(kept) == kept:
            return ""
    for name in FILES:
        path = workspace.root / name
        if path.exists():
            with reading(path):
                content = renewed(path.read_bytes().decode("utf-8"))
            with atomic(path) as scratch:
                scratch.write_bytes(content.encode("utf-8"))
    versions.save(MESSAGE, only=FILES)
    said = "dvc.yaml was made by an earlier version: it calls the stages labelwise.tasks.* now, in a commit of its own"
    users = sorted({*re.findall(r"-m (tasks\.\w+)", (workspace.root / "dvc.yaml").read_text(encoding="utf-8"))})
    if users:
        said += f". Your own lines with {', '.join(users)} were left: if ours is meant, write labelwise.{users[0]}"
    return said


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
