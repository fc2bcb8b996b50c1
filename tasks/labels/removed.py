"""A class that labels or gold use must not go from params.yaml unsaid: reviewers would be shown a choice without it,
and no model could learn from what was said. It is said what became of it, by a command, or it is put back."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ruamel.yaml import YAML

from labelwise.tasks import kinds
from labelwise.tasks.errors import SettingsError, quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored
from labelwise.tasks.labels import classes, ledger
from labelwise.tasks.records import LABELS, tag
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Kind, Settings, feature_of, parse
from labelwise.tasks.workspace import Workspace

SHOWN = 5  # classes named in an error
UNKNOWN = "CLASS"  # stands in the advice for a name that only people know


def refuse(workspace: Workspace, versions: Versions) -> None:
    """SettingsError when a class was taken out of params.yaml that labels or gold use, with the command that says what
    it is called today, and how to put it back; or when `kind` was changed, by which they are read."""
    name, before = _before(workspace, versions)
    refuse_other_kind(workspace, before)
    labels, gold = use_of_classes(workspace)
    gone = [str(name) for name in dict.fromkeys([*labels, *gold]) if name not in workspace.settings.classes]
    if not gone:
        return
    settings = workspace.settings
    if before is None:
        borne_still = [each for each in settings.classes if each in labels or each in gold]
        found = successors(gone, settings.classes, borne_still)
    else:
        found = successors(gone, settings.classes, before.classes, before.renamed)
    bearing = [f"{each!r} ({quantity(labels[each], 'label')}, {quantity(gold[each], 'gold row')})" for each in gone]
    raise SettingsError(
        "`classes` in params.yaml lacks what labels or gold bear",
        expected="each of their classes",
        got="none of the name " + ", ".join(bearing[:SHOWN]) + (", ..." if len(bearing) > SHOWN else ""),
        fix=advice(gone, found, f"git show {name}:params.yaml", f" --workspace {shlex.quote(str(workspace.root))}"),
    )


def refuse_other_kind(workspace: Workspace, before: Settings | None) -> None:
    """SettingsError when `kind` is not the one by which labels and gold were read: that of the last round, or, where no
    round is complete, the one of which they are."""
    kind = workspace.settings.kind
    meant = before.kind if before else _kind_of_labels(workspace)
    if meant == kind:
        refuse_other_columns(workspace.settings, before)
        return
    raise SettingsError(
        "params.yaml: `kind` is not the one by which labels and gold were read so far; they would be read wrongly",
        expected=f"item {meant.item}, answer {meant.answer}",
        got=f"item {kind.item}, answer {kind.answer}",
        fix=f"put `answer: {meant.answer}` back under `kind:`; for {kind.answer} make another workspace, "
        f"`labelwise init DIR --answer {kind.answer}`",
    )


def refuse_other_columns(settings: Settings, before: Settings | None) -> None:
    """SettingsError when rows would be read by other columns than those of the last round: no item would be one that
    is there. What a second of a signal is may be said anew."""
    now = _as_read(settings)
    then = _as_read(before) if before else now
    if now == then:
        return
    of = next(name for name in [*then, *now] if then.get(name) != now.get(name))
    raise SettingsError(
        "params.yaml: `pull.columns.features` is not the one by which rows were read so far; none would be known again",
        expected=f"{of}: {then[of]}" if of in then else f"no column {of!r}",
        got=f"{of}: {now[of]}" if of in now else "no such column",
        fix="put it back; for other columns make another workspace, `labelwise init DIR --item row`",
    )


def _as_read(settings: Settings) -> dict[str, str]:
    """What each column of a row is, as far as its cells follow from it."""
    features = settings.pull.columns.features
    return {name: replace(feature_of(text), rate=None).text for name, text in features.items()}


def _kind_of_labels(workspace: Workspace) -> Kind:
    """The kind that labels and gold were written by; the one of params.yaml where they do not tell another."""
    settings = workspace.settings
    rows = ledger.read(workspace.labels) if workspace.labels.exists() else LABELS.frame()
    labels = [*rows.label[rows.status == "labelled"], *stored.gold(workspace).label]
    fitting = kinds.fitting(set(labels), settings.answerable)
    if not fitting or settings.kind.answer in fitting:
        return settings.kind
    return settings.kind.model_copy(update={"answer": fitting[0]})


def use_of_classes(workspace: Workspace) -> tuple[Counter[str], Counter[str]]:
    """How many items have each class, by the names of today: those with a label that counts, and those of gold."""
    members = kinds.answer(workspace.settings.kind.answer).members
    labels = ledger.effective(ledger.today(workspace)).label if workspace.labels.exists() else ()
    gold = trusted.gold(workspace).label if workspace.gold.exists() else ()
    return Counter(name for each in labels for name in members(each)), Counter(
        name for each in gold for name in members(each)
    )


def successors(
    gone: Sequence[str], classes: Sequence[str], before: Sequence[str], renamed: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What each class that is gone is probably called now; empty where that cannot be told of all. classes, before:
    those of now and those of the last round, in their order. renamed: what the last round knew of earlier names.

    A name in the place of another, in a list of the same length, or the only new one for the only one that is gone.

    >>> successors(["billing"], ["bug", "invoices"], ["billing", "bug"])
    {'billing': 'invoices'}
    >>> successors(["a", "b"], ["x", "y", "c"], ["a", "b", "c"]), successors(["a", "b"], ["x", "c"], ["a", "b", "c"])
    ({'a': 'x', 'b': 'y'}, {})
    """
    new = [name for name in classes if name not in before]
    known = {old: name for old, name in (renamed or {}).items() if old in gone and name in classes}
    left = [name for name in gone if name not in known]
    in_place = dict(zip(before, classes, strict=True)) if len(before) == len(classes) else {}
    if all(in_place.get(name) in new for name in left):
        return known | {name: in_place[name] for name in left}
    return known | {left[0]: new[0]} if len(left) == len(new) == 1 else {}


def advice(gone: Sequence[str], found: Mapping[str, str], shown_by: str, where: str = "") -> str:
    """How to go on, to be followed word by word. shown_by: the command that shows how the classes were written. where:
    the option that says which workspace is meant."""
    called = " && ".join(f"{classes.command('rename', old, found.get(old, UNKNOWN), where=where)}" for old in gone)
    dropped = " && ".join(classes.command("drop", old, where=where) for old in gone)
    named = ", ".join(f"{old!r} is called {new!r} now" for old, new in found.items())
    first = f"if {named}, `{called}`"
    if not found:
        first = f"if they have other names now, `{called}`, with the class that each is today"
    one = len(gone) == 1
    go, back = ("it is", "put it back") if one else ("they are", "put them back")
    return f"{first}; if {go} to go, `{dropped}`; else {back} as written before, `{shown_by}` shows how"


def _before(workspace: Workspace, versions: Versions) -> tuple[str, Settings | None]:
    """The last round that is complete, or else HEAD, and its settings where they can be read."""
    number = ledger.current_round(workspace.labels) if workspace.labels.exists() else 0
    name = next((tag(n) for n in (number, number - 1) if n >= 0 and versions.tagged(tag(n))), "HEAD")
    if name == "HEAD":
        return name, None
    try:
        return name, parse(YAML(typ="safe").load(versions.git("show", f"{name}:params.yaml")))
    except SettingsError:
        return name, None
