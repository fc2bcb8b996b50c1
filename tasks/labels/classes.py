"""The classes of a workspace, and how they change: pure, names in and names out.

What people have said under a name keeps it; what a name means today is said by three tables of params.yaml, see
labels/renamed.py. So no change loses anything, and each can be taken back.
"""

import difflib
import re
import shlex
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from labelwise.tasks.errors import InputError, named
from labelwise.tasks.settings import ClassName, Settings

LEAST = 2  # classes: a model of one learns nothing
_NAME: TypeAdapter[str] = TypeAdapter(ClassName)


@dataclass(frozen=True)
class Classes:
    """What params.yaml says of classes. names: those of today, in the order of their keys. renamed, dropped, split: as
    in Settings. protected: as in `promote.protected`. measured: the class that `evaluate.measure` is about, '' for a
    measure of all. orphans: names that labels or gold use and that none of these
    knows, since somebody took them out by hand."""

    names: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    measured: str = ""
    orphans: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def of(cls, settings: Settings, orphans: Collection[str] = ()) -> "Classes":
        """Those of a workspace."""
        tables = settings.renamed, tuple(settings.dropped), tuple(settings.split)
        of_class = tuple(settings.promote.protected), settings.measure.of
        return cls(tuple(settings.classes), *tables, *of_class, frozenset(orphans))

    @property
    def lapsed(self) -> tuple[str, ...]:
        """The classes that no longer exist."""
        return *self.dropped, *self.split

    def today(self, name: str) -> str | None:
        """The class that a name stands for today; None where that is one that no longer exists."""
        now = self.renamed.get(name, name)
        return None if now in self.lapsed else now


def add(now: Classes, *names: str) -> Classes:
    """With one class more, or several. One that was dropped or split, or is an earlier name of another, is a class
    again, and what was said by it counts as it again."""
    for name in names:
        if name in now.names:
            raise InputError(f"{name!r} is a class already", expected="a name that is new", got=_listed(now))
        known = name in now.renamed or name in now.lapsed or name in now.orphans
        _refuse_name(name, now.names, known, "add")
        now = _without(replace(now, names=(*now.names, name)), [name])
    return now


def rename(now: Classes, old: str, new: str) -> Classes:
    """With another name for a class; what was said under the old one follows. Where that has been done, nothing is
    changed. Back to an earlier name is a rename like any other."""
    if now.renamed.get(old) == new:
        return now
    if old == new:
        raise InputError("classes rename", expected="two names that differ", got=f"{old!r} twice")
    _refuse_unknown(now, old)
    if new in now.names and old not in now.orphans:
        both = command("merge", old, new, new)
        raise InputError(
            f"{new!r} is a class already, so {old!r} cannot be called so",
            fix=f"`{both}` makes one class of both; or choose another name",
        )
    return _become(now, [old], new, "rename", old)


def merge(now: Classes, *names: str) -> Classes:
    """With one class, the last of the names, in the place of all named before it. It is one of these, or a new one."""
    *given, into = names
    members = list(dict.fromkeys(given))
    if len(members) < LEAST:
        ways = f"`{command('merge', 'NAME', 'NAME', 'INTO')}`"
        if members and members[0] != into:
            both = f"`{command('merge', *members, into, into)}` makes one class of both"
            ways = both if into in now.names else f"`{command('rename', *members, into)}` gives it another name"
        raise InputError(
            "classes merge", expected="two classes at least, and what they are together", got=named(names), fix=ways
        )
    for name in members:
        _refuse_unknown(now, name)
    if into in now.names and into not in members:
        raise InputError(
            f"{into!r} is a class of its own, which {named(members)} cannot become",
            expected="one of them, or a new name",
            fix=f"`{command('merge', *members, into, into)}` makes one class of all of them; or choose another name",
        )
    return _become(now, members, into, "merge", *members)


def drop(now: Classes, name: str) -> Classes:
    """Without a class. What was said by it counts no more, and is to be said again."""
    _refuse_unknown(now, name)
    return _enough(replace(_gone(now, name), dropped=(*now.dropped, name)))


def split(now: Classes, old: str, *into: str) -> Classes:
    """With several classes in the place of one, new ones or such as there are. What was said by it is to be said again;
    but what was said by one of them before it was merged into `old` counts as that again."""
    _refuse_unknown(now, old)
    into = tuple(dict.fromkeys(into))
    if old in into:
        others = [name for name in into if name != old]
        raise InputError(
            f"{old!r} cannot be one of the classes that it is split into",
            expected="other names: what was said by it before could not be told from what is said by it now",
            fix=f"`{command('split', old, f'other {old}', *others)}`",
        )
    if len(into) < LEAST:
        raise InputError(
            "classes split",
            expected="two classes at least in its place",
            got=named(into),
            fix=_one_for_one(now, old, into),
        )
    for name in into:
        if name not in now.names:
            own = [other for other in now.names if other != old]
            _refuse_name(name, own, now.renamed.get(name) == old, "split")
            _refuse_taken(now, name, [old])
    place = now.names.index(old) if old in now.names else len(now.names)
    new = [name for name in into if name not in now.names]
    names = [*now.names[:place], *new, *now.names[place:]]
    protected = [*now.protected, *into] if old in now.protected else now.protected
    wide = replace(now, names=tuple(names), protected=tuple(dict.fromkeys(protected)))
    return replace(_gone(_without(wide, new), old), split=(*now.split, old))


VERBS: dict[str, Any] = {"add": add, "rename": rename, "merge": merge, "drop": drop, "split": split}


def spoken(verb: str, names: Sequence[str]) -> str:
    """What a change is called in the history.

    >>> spoken("rename", ["billing", "invoices"]), spoken("merge", ["a", "b, c", "d"])
    ('rename billing to invoices', "merge a, 'b, c' into d")
    """
    if verb == "merge":
        return f"merge {named(names[:-1])} into {named(names[-1:])}"
    between = {"rename": " to ", "split": " into "}.get(verb)
    return f"{verb} {named(names[:1])}{between}{named(names[1:])}" if between else f"{verb} {named(names)}"


def changes_in_words(before: Classes, after: Classes) -> str:
    """What is new about the classes, in words; '' where nothing is.

    >>> changes_in_words(Classes(("a", "b")), Classes(("x", "b", "c"), {"a": "x"}))
    "'a' is called 'x' now, 'c' is new"
    """
    new = [name for name in after.names if name not in before.names]
    gone = [name for name in before.names if name not in after.names]
    become: dict[str, list[str]] = {}
    for name in gone:
        if name in after.renamed:
            become.setdefault(after.renamed[name], []).append(name)
    said = []
    for name, old in become.items():
        one = len(old) == 1 and name in new
        several = " and ".join(map(repr, [*old, *([name] if name not in new else [])]))
        said.append(f"{old[0]!r} is called {name!r} now" if one else f"{several} are one class now, {name!r}")
    said += [f"{name!r} is dropped" for name in after.dropped if name not in before.lapsed]
    said += [f"{name!r} is split" for name in after.split if name not in before.lapsed]
    for name in new:
        again = name in before.renamed or name in before.lapsed
        said += [] if name in become else [f"{name!r} is {'a class again' if again else 'new'}"]
    said += [f"{name!r} is taken out" for name in gone if name not in after.renamed and name not in after.lapsed]
    if not said and before.names != after.names:
        said.append("the classes stand in another order")
    if not said and before != after:
        said.append("what counts as which class")
    return ", ".join(said)


def command(verb: str, *names: str, where: str = "") -> str:
    """A command that changes the classes, as a shell takes it. where: the option that says in which workspace, quoted.

    >>> print(command("rename", "fees, charges", "-1"))
    labelwise classes rename -- 'fees, charges' -1
    """
    mark = " --" if any(name.startswith("-") for name in names) else ""
    return f"labelwise classes {verb}{where}{mark} {shlex.join(names)}"


def spelling(label: str) -> str:
    """What is left of a label when case, accents' form, invisible characters, blanks, a closing dot and the .0 of a
    whole number are taken away: two labels that have it in common are hardly two classes.

    >>> spelling("True") == spelling("true "), spelling("1.0") == spelling("1"), spelling("on hold.")
    (True, True, 'on hold')
    """
    shown = "".join(each for each in unicodedata.normalize("NFKC", label) if unicodedata.category(each) != "Cf")
    return re.sub(r"^([+-]?[0-9]+)\.0+$", r"\1", " ".join(shown.casefold().split()).rstrip(". "))


# How it is done


def _become(now: Classes, members: Sequence[str], into: str, *words: str) -> Classes:
    """With the class `into` in the place of these. words: the command, but for its last name."""
    if into not in now.names:
        _refuse_name(
            into, [name for name in now.names if name not in members], now.renamed.get(into) in members, *words
        )
        _refuse_taken(now, into, members)
    old = [name for name in members if name != into]
    place = min((at for at, name in enumerate(now.names) if name in members), default=len(now.names))
    names = [name for name in now.names if name not in old]
    names = names if into in names else [*names[:place], into, *names[place:]]
    renamed = {name: into if now in old else now for name, now in now.renamed.items() if name != into}
    protected = dict.fromkeys(into if name in old else name for name in now.protected)
    tables = replace(now, names=tuple(names), renamed=renamed | dict.fromkeys(old, into))
    measured = into if now.measured in old else now.measured
    return _enough(replace(tables, protected=tuple(protected), measured=measured))


def _gone(now: Classes, name: str) -> Classes:
    names, protected = (tuple(each for each in given if each != name) for given in (now.names, now.protected))
    return replace(now, names=names, protected=protected, measured="" if now.measured == name else now.measured)


def _without(now: Classes, names: Collection[str]) -> Classes:
    """With these in none of the tables: they are classes."""
    renamed = {old: new for old, new in now.renamed.items() if old not in names}
    dropped, split = (tuple(name for name in table if name not in names) for table in (now.dropped, now.split))
    return replace(now, renamed=renamed, dropped=dropped, split=split)


def _enough(now: Classes) -> Classes:
    if len(now.names) < LEAST:
        left = f"{now.names[0]!r} alone" if now.names else "none"
        fix = f"`{command('add', 'NAME')}` first, with the class that is to stand beside it"
        raise InputError("there would be no choice left", expected="two classes at least", got=left, fix=fix)
    return now


def _one_for_one(now: Classes, old: str, into: Sequence[str]) -> str:
    if not into:
        return f"`{command('split', old, 'NAME', 'NAME')}`"
    return f"`{command('rename', old, into[0])}`" if into[0] not in now.names else f"`{command('drop', old)}`"


def _refuse_unknown(now: Classes, name: str) -> None:
    """InputError where a name is no class. One that only labels have is, for anyone who puts that right."""
    if name in now.names or name in now.orphans:
        return
    if name in now.renamed:
        raise InputError(f"{name!r} is called {now.renamed[name]!r} today", fix=f"say {now.renamed[name]!r}")
    if name in now.lapsed:
        raise InputError(
            f"{name!r} is no class any more: it was {'dropped' if name in now.dropped else 'split'}",
            fix=f"`{command('add', name)}` makes it one again",
        )
    near = difflib.get_close_matches(name, now.names, n=1)
    raise InputError(
        f"{name[:120]!r} is no class",
        expected="one of " + _listed(now),
        fix=f"did you mean {near[0]!r}?" if near else "",
    )


def _refuse_taken(now: Classes, name: str, by: Collection[str]) -> None:
    """InputError where what was said under a name would count again, and as something else than it was said for. by:
    the classes whose earlier name it may be."""
    if now.renamed.get(name, next(iter(by))) not in by:
        raise InputError(
            f"{name!r} is an earlier name of {now.renamed[name]!r}, and what was said under it counts so",
            fix="choose another name",
        )
    if name in now.lapsed:
        raise InputError(
            f"{name!r} is a class that was {'dropped' if name in now.dropped else 'split'}: what was said by it would "
            "count again",
            fix=f"choose another name; if it is to count again, `{command('add', name)}` first",
        )


def _refuse_name(name: str, others: Collection[str], known: bool, *words: str) -> None:
    """InputError where a class cannot be called so. others: the classes beside it. known: whether people have answered
    by it before, so that it was good enough. words: the command, but for the name."""
    if name != name.strip() or not name:
        better = name.strip() or "NAME"
        raise InputError(
            "a class with blanks at an end of its name" if name.strip() else "a class without a name",
            expected="a name that begins and ends with what shows",
            got=repr(name[:120]),
            fix=f"`{command(*words, better)}`",
        )
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        first = error.errors()[0]
        said = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
        got = f"{len(name):,} characters: {name[:60]!r}..." if first["type"] == "string_too_long" else repr(name[:120])
        raise InputError("a class cannot be called so", expected=said, got=got, fix="choose another name") from None
    alike = next((other for other in others if spelling(other) == spelling(name)), None)
    if alike is not None and not known:
        raise InputError(
            f"{name!a} looks like the class {alike!a}",
            fix="choose a name that people can tell from it; or, if they are two classes, write it into `classes` in "
            "params.yaml",
        )


def _listed(now: Classes) -> str:
    shown = named(now.names[:10])
    return shown + (f", ... ({len(now.names)} in all)" if len(now.names) > 10 else "")
