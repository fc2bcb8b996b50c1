"""`labelwise classes`: say which there are, and change them.

A change is a commit of its own, of params.yaml alone, which is written whole. Reviewers see it from the next run on:
`push` puts the choices right each time, so that a command that was cut off leaves nothing half-done. One that died
before its commit is kept by anyone who comes next.
"""

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from labelwise.tasks import kinds, settings
from labelwise.tasks.errors import InputError, LabelwiseError, plain, quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import choice
from labelwise.tasks.kinds.controls import HOTKEYS
from labelwise.tasks.labels import classes, ledger, removed
from labelwise.tasks.labels.classes import Classes
from labelwise.tasks.services import player
from labelwise.tasks.services.patience import Tell, patient
from labelwise.tasks.services.versions import differences, remote
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace, claimed

FILE = Settings.FILE


@dataclass(frozen=True)
class Row:
    """A class, or one that no longer exists. key: what reviewers press for it, '' for none. labels, gold: items that
    have it. earlier: names that it had. became: '' for a class, else `dropped` or `split`; its labels are to be given
    again, its gold rows measure nothing."""

    name: str
    key: str
    labels: int
    gold: int
    earlier: list[str]
    became: str = ""


@dataclass(frozen=True)
class Usage:
    """How many items have each name, as it was said: those whose last label it is, and those of gold."""

    labels: Counter[str]
    gold: Counter[str]

    @classmethod
    def of(cls, workspace: Workspace) -> "Usage":
        """Those of a workspace."""
        remote.refuse_missing(workspace)
        answer = kinds.answer(workspace.settings.kind.answer)
        said = ledger.effective(ledger.read(workspace.labels)).label
        answers = trusted.today(workspace, trusted.answers(workspace))
        gold = trusted.merged(stored.gold(workspace), trusted.verdicts(trusted.asked(workspace), answers, answer)).label
        labels, rows = (Counter(name for label in each for name in answer.members(label)) for each in (said, gold))
        return cls(labels, rows)

    def today(self, now: Classes) -> "Usage":
        """The same under the names of today; classes that no longer exist keep theirs."""
        found = Usage(Counter(), Counter())
        for ours, counted in ((found.labels, self.labels), (found.gold, self.gold)):
            for name, number in counted.items():
                ours[now.renamed.get(name, name)] += number
        return found


# What there is


def table(workspace: Workspace) -> list[Row]:
    """A row for each class, in the order of their keys, then for each that no longer exists."""
    now = Classes.of(workspace.settings)
    borne = Usage.of(workspace).today(now)
    counted = {name: (borne.labels[name], borne.gold[name]) for name in (*now.names, *now.lapsed)}
    earlier = {name: [old for old, new in now.renamed.items() if new == name] for name in counted}
    there = [Row(name, _key(now, name), *counted[name], earlier[name]) for name in now.names]
    gone = (("dropped", now.dropped), ("split", now.split))
    return there + [Row(name, "", *counted[name], earlier[name], word) for word, names in gone for name in names]


def lines(rows: Sequence[Row], several: bool = False) -> list[str]:
    """The same for people. several: whether a label may name several classes, and stays without one that is dropped."""
    cells = [("key", "class", "labels", "gold", "earlier names")]
    cells += [
        (row.key or "-", row.name, f"{row.labels:,}", f"{row.gold:,}", ", ".join(row.earlier))
        for row in rows
        if not row.became
    ]
    wide = [min(max(len(plain(row[column])) for row in cells), 60) for column in range(4)]
    said = [
        f"{key:<{wide[0]}}  {plain(name):<{wide[1]}}  {labels:>{wide[2]}}  {gold:>{wide[3]}}  {plain(old)}".rstrip()
        for key, name, labels, gold, old in cells
    ]
    for row in rows:
        if row.became:
            old = f", earlier {', '.join(map(repr, row.earlier))}" if row.earlier else ""
            left = f"{quantity(row.labels, 'label')} to be given anew, {quantity(row.gold, 'gold row')} set aside"
            if several and row.became == "dropped":
                left = f"taken out of {quantity(row.labels, 'label')} and {quantity(row.gold, 'gold row')}"
            said.append(f"{row.became}: {row.name!r}{old}: {left}")
    return said


def as_json(rows: Sequence[Row]) -> str:
    """The same for a program."""
    return json.dumps({"classes": [asdict(row) for row in rows]}, indent=2)


# What changes


def run(workspace: Workspace, verb: str, names: Sequence[str], dry_run: bool, tell: Tell) -> list[str]:
    """`labelwise classes VERB NAMES...`. Returns lines for people: what follows from it. dry_run: only say so."""
    if dry_run:
        _, said = planned(workspace, verb, names)
        return [*said, "Nothing was changed (--dry-run)."]
    with claimed(workspace) as claim:
        given = shlex.join(["classes", verb, *names])
        versions = Versions(workspace.root)
        versions.clear()
        if not claim.unfinished_command.startswith("classes "):
            claim.refuse_unfinished()
        differences.refuse_side_tracks(versions)
        play = player.entitled(workspace, versions, tell)
        remote.refuse_missing(workspace)
        differences.refuse_strange_changes(versions)
        if kept := keep(workspace, versions, all_of_it=True):
            tell(kept)
        if claim.unfinished_command == given and _is_last(workspace, versions, verb, names):
            patient(play.keep, tell)
            return [f"it was cut off when it was done: {versions.message('HEAD').splitlines()[0]}"]
        after, said = planned(workspace, verb, names)
        if after == Classes.of(workspace.settings):
            return said
        claim.begin(command=given)
        write(workspace, after)
        if versions.head:  # else the first run makes the first commit
            versions.save(f"classes: {classes.spoken(verb, names)}", only=[FILE])
            patient(play.keep, tell)
    return said


def keep(workspace: Workspace, versions: Versions, all_of_it: bool = False) -> str:
    """Commit what is new in params.yaml about the classes: written by hand, or by a command that was cut off. Returns a
    line for people, '' where there is nothing of that kind. all_of_it: also where something else is new there."""
    if not versions.head or not versions.git("status", "--porcelain", "--", FILE):
        return ""
    before = _at(versions, "HEAD")
    said = classes.changes_in_words(before, Classes.of(workspace.settings)) if before else ""
    if (not said and not all_of_it) or _orphans(workspace):
        return ""
    message = f"classes: {said}" if said else "settings: changed by hand"
    versions.save(message, only=[FILE])
    return f"{FILE} had changes that no version had; they are one now: {message}"


def planned(workspace: Workspace, verb: str, names: Sequence[str]) -> tuple[Classes, list[str]]:
    """The classes after a change, and what there is to say of it. InputError, SettingsError where it cannot be."""
    now = Classes.of(workspace.settings, _orphans(workspace))
    after: Classes = classes.VERBS[verb](now, *names)
    if after == now:
        return after, [f"{names[0]!r} is called {names[-1]!r} already: nothing was to do"]
    borne = Usage.of(workspace)
    if borne.gold and not any(after.today(name) in after.names for name in borne.gold):
        raise InputError(
            f"classes {verb}: no gold row would be left to measure by",
            fix="put gold rows of the other classes into the gold file first, and let `labelwise run` pull them",
        )
    given = workspace.settings
    needs = {"stop.rule": given.stop.rule == "recall", "prove.found_worth": given.prove.found_worth > 0}
    needed = [key for key, needs_it in needs.items() if needs_it]
    if now.measured and not after.measured and needed:
        raise InputError(
            f"classes {verb}: {needed[0]} is about {now.measured!r}, the class of evaluate.measure",
            fix=f"give {needed[0]} another value in {FILE} first, or evaluate.measure another class",
        )
    return after, consequences(now, after, borne, given)


def consequences(now: Classes, after: Classes, borne: Usage, given: Settings) -> list[str]:
    """What a change does, a line each."""
    said = [classes.changes_in_words(now, after)]
    followed: dict[tuple[str | None, str | None], list[int]] = {}
    for name in dict.fromkeys([*borne.labels, *borne.gold]):
        old, new = now.today(name), after.today(name)
        # What a renamed class bore is its own still; what counts for the first time, again or no more is told by name.
        key = (old if old is not None and new is not None else name, new)
        if old != new or (new is None and old is not None) or name in now.orphans:
            numbers = followed.setdefault(key, [0, 0])
            numbers[0] += borne.labels[name]
            numbers[1] += borne.gold[name]
    for (old, new), (labels, gold) in followed.items():
        both = f"{quantity(labels, 'label')} and {quantity(gold, 'gold row')}"
        if new is not None:
            again = " again" if now.today(str(old)) is None else ""
            said.append(f"{both} of {old!r} count as {new!r}{again}")
        else:
            said += _lapsing(str(old), labels, gold, given, now.renamed.get(str(old), old) in after.split)
    for name in after.names:
        if name not in now.names and not any(after.today(each) == name for each in borne.gold):
            said.append(f"no gold row is {name!r}: put some into the gold file, so that it can be measured")
    if added := [name for name in after.names if name not in now.names and name not in after.renamed.values()]:
        offered = f"{_either(added)}, which nobody was offered"
        if given.kind.answer == choice.NAME:
            said.append(f"items that have a label keep it, also those that would be {offered}")
        else:
            said.append(
                f"labels given so far count as without {offered}; what else they say is true, so none is asked anew"
            )
    if now.protected != after.protected:
        left = ", ".join(map(repr, after.protected)) or "none"
        said.append(f"protected (promote.protected): {left}")
    if now.measured != after.measured:
        of_class = given.measure.about(after.measured).words if after.measured else ""
        by = f"the {of_class}" if of_class else "what the kind itself is measured by"
        said.append(f"models are judged by {by} (evaluate.measure)")
    moved = [name for name in after.names if name in now.names and _key(now, name) != _key(after, name)]
    if moved:
        keys = [f"{name!r} {_key(after, name) or 'none'} (was {_key(now, name) or 'none'})" for name in moved[:9]]
        said.append(f"keys that move: {', '.join(keys)}" + (", ..." if len(moved) > 9 else ""))
    since = "reviewers choose so from the next `labelwise run` on; open tasks stay open"
    return [*said, f"{since}, and answers given by what there was count as said here"]


def _lapsing(name: str, labels: int, gold: int, given: Settings, split: bool) -> list[str]:
    """What becomes of what was said by a class that no longer exists. split: whether there are several in its place."""
    if given.kind.answer != choice.NAME and not split:
        both = f"{quantity(labels, 'label')} and {quantity(gold, 'gold row')}"
        return [f"{name!r} is taken out of {both}; what else these say counts as before, and nothing is asked anew"]
    said = []
    if labels:
        most = max(1, int(given.select.relabel * given.select.batch))
        anew = f"put up to be labelled anew (why: relabel), at most {most} a batch (select.relabel)"
        anew = anew if given.select.relabel else "not put up to be labelled anew while select.relabel is 0"
        said.append(f"{quantity(labels, 'label')} of {name!r} count no more; these items are {anew}")
    if gold:
        ways = f"give them a class of today in the gold file, or put them before people: `labelwise gold review {gold}`"
        said.append(f"{quantity(gold, 'gold row')} of {name!r} measure nothing now: {ways}")
    return said


# params.yaml


def write(workspace: Workspace, after: Classes) -> None:
    """Put the classes into params.yaml, where they stand now; comments, order and descriptions stay."""
    with settings.edited(workspace.root / FILE) as content:
        kept: dict[str, Any] = {
            "renamed": dict(after.renamed),
            "dropped": list(after.dropped),
            "split": list(after.split),
        }
        _rewrite(content["classes"], after)
        place = list(content).index("classes")
        for key, value in kept.items():
            written = settings.braced(value) if isinstance(value, dict) else settings.inline(value)
            if key in content:
                content[key] = written
                place = list(content).index(key)
            elif value:
                place += 1
                content.insert(place, key, written)
        if content.get("promote", {}).get("protected") is not None or after.protected:
            content["promote"]["protected"] = settings.inline(list(after.protected))
        if after.measured != workspace.settings.measure.of:
            name = workspace.settings.measure.about(after.measured).text if after.measured else ""
            content["evaluate"]["measure"] = settings.quoted(name) if name else None
    workspace.reread()
    _ = workspace.settings  # what we wrote can be read


def _rewrite(node: Any, after: Classes) -> None:
    """Make a list of names, or a mapping from names to descriptions, that of these classes, in place."""
    before = list(node)
    became = {after.renamed.get(name, name): name for name in reversed(before)} | {name: name for name in before}
    keyed = isinstance(node, CommentedMap)
    places: list[Any] = before if keyed else list(range(len(before)))
    told = dict(node) if keyed else {}
    said = {name: node.ca.items.get(at) for name, at in zip(before, places, strict=True)}
    tail = said.pop(before[-1], None)  # what stands behind the last one is not of that one alone
    node.ca.items.clear()
    node.clear()
    for at, name in enumerate(after.names):
        came = became.get(name, name)
        if keyed:
            node[settings.quoted(name)] = told.get(came)
        else:
            node.append(settings.quoted(name))
        comment = tail if at == len(after.names) - 1 else said.get(came)
        if comment is not None:
            node.ca.items[name if keyed else at] = comment


# By the history


def _at(versions: Versions, revision: str) -> Classes | None:
    """The classes of an earlier version; None where it has none that can be read."""
    try:
        return Classes.of(settings.parse(YAML(typ="safe").load(versions.git("show", f"{revision}:{FILE}"))))
    except LabelwiseError:
        return None


def _is_last(workspace: Workspace, versions: Versions, verb: str, names: Sequence[str]) -> bool:
    """Whether the last commit is just this change."""
    before = _at(versions, "HEAD^") if versions.head else None
    if before is None:
        return False
    try:
        made: Classes = classes.VERBS[verb](before, *names)
    except InputError:
        return False
    return before != made == Classes.of(workspace.settings)


def _orphans(workspace: Workspace) -> list[str]:
    """Names that labels or gold use and that params.yaml does not know."""
    labels, gold = removed.use_of_classes(workspace)
    return [name for name in dict.fromkeys([*labels, *gold]) if name not in workspace.settings.classes]


def _key(now: Classes, name: str) -> str:
    """What reviewers press for a class."""
    place = now.names.index(name)
    return HOTKEYS[place] if place < len(HOTKEYS) else ""


def _either(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))
