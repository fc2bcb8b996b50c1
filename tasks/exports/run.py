"""`labelwise export`: the labels of a workspace, or of a past round of it, in a format of other programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from labelwise.tasks import exports
from labelwise.tasks.errors import InputError, quantity
from labelwise.tasks.exports import labels as read_labels
from labelwise.tasks.exports.labels import Labels
from labelwise.tasks.exports.place import refuse_strange
from labelwise.tasks.exports.table import About
from labelwise.tasks.items import forgotten
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import tag
from labelwise.tasks.services.versions import clones, remote
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace

FINISHED = ("by", "confidence")  # what is known of a label of the finished pool
DATA = ["data/pool.dvc", "data/gold.dvc", "data/labels.dvc", "agree"]


def run(
    workspace: Workspace,
    place: Path,
    named: str = "",
    number: int | None = None,
    gold: bool = False,
    finished: bool = False,
    force: bool = False,
) -> list[str]:
    """Write the labels to `place`. named: the format, '' for that of the ending. number: the round whose labels are
    meant, None for all there are now. gold: the gold set, too. finished: the finished pool instead. force: see
    `exports.write`. Gives lines for people.

    InputError: there are no labels, the format does not hold them, or `place` is taken.
    """
    if finished and (gold or number is not None):
        raise InputError("export --finished", expected="it alone", got="--gold or --round with it", fix="leave one out")
    refuse_strange(place, workspace.root, force)  # before anything is fetched
    with _round(workspace, number) as (there, commit):
        found = read_labels.finished(there) if finished else read_labels.read(there, gold, forgotten.ids(workspace))
        of = "the finished pool" if finished else f"round {ledger.current_round(there.labels)}"
        said = f"from {of}, commit {commit[:10]}"
        about = About(workspace.root, there.settings, f"Labels of {there.settings.project.name}, {said}.")
        about = replace(about, columns=FINISHED) if finished else about
        form = exports.format_of(place, named, about)
        if not len(found):
            fix = "answer a batch (`labelwise status` says where)" + ("" if gold else "; --gold exports the gold set")
            raise InputError(f"there are no labels, {said}", expected="one at least", fix=fix)
        notes = exports.write(place, form, read_labels.frames(there, found), about, force)
        return [line(place, found, said), *renamed(about), *notes]


@contextmanager
def _round(workspace: Workspace, number: int | None) -> Iterator[tuple[Workspace, str]]:
    """The workspace, or a past round of it in another folder, and its commit."""
    if number is None:
        remote.refuse_missing(workspace)
        yield workspace, Versions(workspace.root).head
        return
    with clones.past(workspace.root, tag(number), "export --round", DATA) as (commit, there):
        yield there, commit.id


def line(place: Path, found: Labels, said: str) -> str:
    """What was written, in a line."""
    of_gold = 0 if found.gold is None else len(found.gold)
    more = [f"{of_gold:,} of them gold"] * bool(of_gold)
    if "confidence" in found.table:
        more += [f"{count:,} by {name}" for name, count in found.table.by.value_counts().items()]
    more += [f"{found.disputed:,} on which people differ"] * bool(found.disputed)
    left = ", ".join(f"{count:,} {reason}" for reason, count in found.without.items())
    whole = f"{place}: {quantity(len(found), 'label')}" + (f" ({', '.join(more)})" if more else "") + f", {said}"
    return whole + (f"; without a label and left out: {left}" if left else "")


def renamed(about: About) -> list[str]:
    """What to say of the user's columns that have other names in an export."""
    changed = {old: new for old, new in about.named.items() if old != new}
    return [f"the column {old!r} of your data is called {new!r} there" for old, new in changed.items()]
