"""Running the rules of a workspace (labels/rule.py): in a process of their own, and only where the owner of the machine
has said so. Nothing else here reads `rules.py`: what the rules said is written down (labels/weak.py)."""

import difflib
import hashlib
import json
import os
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pandas as pd

from labelwise.tasks.errors import InputError, named, quantity
from labelwise.tasks.items.seen import refuse_kind, seen
from labelwise.tasks.kinds import multilabel
from labelwise.tasks.labels.judged import Spoken
from labelwise.tasks.progress import counted
from labelwise.tasks.services.consent import Consent
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace

FILE = "rules.py"
ALLOW, ALLOWED = "LABELWISE_RULES", "rules.json"
PROCESS = "labelwise.tasks.labels.rules_process"
ITEM_SECONDS, RULE_SECONDS = 2.0, 600  # that a rule may take for an item, and for all
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "HOME", "SYSTEMROOT", "PYTHONUTF8")  # no secrets
EXAMPLE = 'from labelwise import rule; @rule; def refunds(item): return "billing" if "refund" in item.text else None'


def refuse_unasked(workspace: Workspace, ask: Callable[[str], bool] | None) -> None:
    """InputError unless the owner of this machine lets the rules of this workspace run as they are now: by ALLOW=1, or
    by an answer, which is remembered. ask: puts a question to a person; None where nobody is there."""
    path = workspace.root / FILE
    if not path.is_file():
        raise InputError(f"rules: there is no {path}", expected=f"functions over an item, such as: {EXAMPLE}")
    consent = Consent(ALLOWED, ALLOW, str(path.resolve()), hashlib.sha256(path.read_bytes()).hexdigest())
    if consent.given:
        return
    changed = "has changed since you let it run" if consent.lapsed else "has never run here"
    question = f"{path} {changed}: it is code, and does on this machine what you may do. Run it?"
    if ask is None or not ask(question):
        raise InputError(
            f"rules: {path} {changed}: nothing was run", fix=f"read it; then {ALLOW}=1 labelwise rules lets it run"
        )
    consent.keep()


def spoken(workspace: Workspace, ids: pd.Series) -> list[Spoken]:
    """What each rule says of these items of the pool. InputError where the file cannot be run, where two rules have one
    name, or one does not come back."""
    refuse_kind(workspace.settings.kind, "rules")
    with TemporaryDirectory() as scratch:
        items = Path(scratch) / "items.jsonl"
        items.write_text("".join(json.dumps(each) + "\n" for each in seen(workspace, ids)), encoding="utf-8")
        return list(_run(workspace, ids, items))


def _run(workspace: Workspace, ids: pd.Series, items: Path) -> Iterator[Spoken]:
    path = (workspace.root / FILE).resolve()
    command = [sys.executable, "-P", "-m", PROCESS, str(path), str(items), str(ITEM_SECONDS)]
    environment = {name: value for name in KEPT if (value := os.environ.get(name))}
    # In the workspace's folder: word lists may lie beside the rules.
    with subprocess.Popen(
        command, cwd=workspace.root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        told = _lines(process.stdout)
        try:
            first = _told(told, FILE)
            if "broken" in first:
                raise InputError(f"rules: {path} cannot be run", got=plain(first["broken"]), fix="mend it there")
            rules: list[tuple[str, int]] = [(name, line) for name, line in first["rules"]]
            _refuse_none_and_twice(rules, path)
            with counted(f"{quantity(len(rules), 'rule')} over {quantity(len(ids), 'item')}", len(rules)) as done:
                for name, _ in rules:
                    yield _spoken(_told(told, name), ids, workspace)
                    done(1)
        finally:
            process.kill()


def _told(lines: Iterator[bytes], name: str) -> dict[str, Any]:
    """The next line of the process. InputError where it does not come, or the process has ended."""
    try:
        found: dict[str, Any] = json.loads(next(lines))
    except TimeoutError:
        took = f"{RULE_SECONDS // 60} minutes for all items"
        raise InputError(
            f"rules: {name} does not come back", expected=f"at most {took}", fix="mend it, or take it out"
        ) from None
    except StopIteration:
        raise InputError(f"rules: the process ended in {name}", fix="mend it, or take it out") from None
    return found


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of a pipe, each as soon as it is there. TimeoutError where none comes for RULE_SECONDS."""
    held = b""
    while True:
        line, end, rest = held.partition(b"\n")
        if end:
            held = rest
            yield line
            continue
        if not select.select([stream], [], [], RULE_SECONDS)[0]:
            raise TimeoutError
        if not (more := os.read(stream.fileno(), 2**16)):
            return
        held += more


def _refuse_none_and_twice(rules: Sequence[tuple[str, int]], path: Path) -> None:
    if not rules:
        raise InputError(f"rules: {path} has no rule", expected=f"such as: {EXAMPLE}")
    lines: dict[str, int] = {}
    for name, line in rules:
        if name in lines:
            raise InputError(
                f"rules: two rules are called {plain(name, 60)!r}",
                got=f"lines {lines[name]} and {line} of {path}",
                fix="give one another name: what each said is kept by it",
            )
        lines[name] = line


def _spoken(told: Mapping[str, Any], ids: pd.Series, workspace: Workspace) -> Spoken:
    labels, strange = _labels(told["said"], workspace)
    remarks = [_no_class(name, many, workspace.settings.classes) for name, many in strange.most_common(3)]
    if raised := told["raised"]:
        first = f"the first {told['first']}"
        remarks.append(f"raised an error on {quantity(raised, 'item')}, of which it says nothing; {first}")
    if told["slow"]:
        remarks.append(f"took more than {ITEM_SECONDS:g} s on {quantity(told['slow'], 'item')}")
    if told["printed"]:
        remarks.append(f"printed {told['printed']:,} characters, which nobody sees")
    given_up = len(labels) < len(ids) or 0 < len(ids) == raised
    if given_up:
        remarks.append("is left out")
    rows = pd.DataFrame({"id": ids[: len(labels)].to_numpy(), "label": pd.Series(labels, dtype="string")})
    kept = rows[:0] if given_up else rows.dropna().reset_index(drop=True)
    return Spoken(told["rule"], kept, [plain(line, 300) for line in remarks])


def _labels(said: Sequence[Any], workspace: Workspace) -> tuple[list[str | None], Counter[str]]:
    """The labels in what a rule said, None for no label; and how often it named what is no class."""
    several, classes = workspace.settings.kind.answer == multilabel.NAME, set(workspace.settings.classes)
    labels: list[str | None] = []
    strange = Counter[str]()
    for word in said:
        names = [str(name) for name in (word if isinstance(word, list) else [] if word is None else [word])]
        unknown = next((name for name in names if name not in classes), None)
        if unknown is None and not several and len(names) > 1:
            unknown = ", ".join(names)
        if unknown is not None:
            strange[unknown] += 1
        good = unknown is None and word is not None and (several or names)
        labels.append((multilabel.label_of(names) if several else names[0]) if good else None)
    return labels, strange


def _no_class(name: str, many: int, classes: list[str]) -> str:
    near = [each for each in classes if each.casefold() == name.strip().casefold()]
    near = near or difflib.get_close_matches(name, classes, n=1, cutoff=0.6)
    meant = f"; did you mean {near[0]!r}?" if near else f"; the classes are {named(classes[:10])}"
    return f"said {name[:60]!r} of {quantity(many, 'item')}, which is no class{meant}"
