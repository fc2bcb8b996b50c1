"""people.yaml: who labels, by the number of their account in Label Studio.

    7: {name: Ana, rate: 60, expert: true}
    8: {name: Ben, rate: 20, classes: [billing, fees], columns: {language: [de, fr]}}

It is its owner's file, beside params.yaml: the loop reads it, and puts nothing of it into a commit, a run or a report
but what all answers together cost.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from labelwise.tasks.errors import SettingsError, named
from labelwise.tasks.settings import Amount, Section, Settings, Shown
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace

FILE = "people.yaml"
EXAMPLE = (
    "{7: {name: Ana, rate: 60, expert: true}}: the number of an account in Label Studio, a name, what an hour costs"
)


class Person(Section):
    """name: for `labelwise people`; '' where the number will do. rate: what an hour costs, in `prove.currency`; None:
    `prove.hourly_rate`. expert: whether items that people differ on go to them. classes, columns: what they may answer
    alone: items that the model takes for one of these classes, and that have one of these texts in a column of
    `pull.columns.context`; all where nothing is said."""

    name: Annotated[Shown, Field(max_length=60)] = ""
    rate: Amount | None = None
    expert: bool = False
    classes: list[str] = Field(default_factory=list)
    columns: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)

    @property
    def limited(self) -> bool:
        """Whether there is anything that they may not answer."""
        return bool(self.classes or self.columns)

    def may(self, cells: Mapping[str, str], classes: Sequence[str]) -> bool:
        """Whether they may answer an item with this context that may have one of these classes; none: any."""
        of_class = not (self.classes and classes) or not set(classes).isdisjoint(self.classes)
        return of_class and all(cells.get(name, "").strip() in texts for name, texts in self.columns.items())


def read(workspace: Workspace) -> dict[str, Person]:
    """Who stands in it, by number; nobody where there is no such file. SettingsError where it cannot be read."""
    path = workspace.root / FILE
    if not path.exists():
        return {}
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
    except (YAMLError, ValueError, LookupError) as error:
        raise SettingsError(f"{FILE} is no YAML: {str(error).splitlines()[-1].strip()}", expected=EXAMPLE) from None
    if not isinstance(content, dict):
        raise SettingsError(FILE, expected=EXAMPLE, got=type(content).__name__)
    return {str(number): _person(str(number), said) for number, said in content.items()}


def _person(number: str, said: object) -> Person:
    if not number.isdecimal():
        fix = "`labelwise people` and `labelwise run` say which numbers there are"
        raise SettingsError(f"{FILE}: {plain(number, 60)!r} is no number of an account", expected=EXAMPLE, fix=fix)
    if not isinstance(said, Mapping):
        raise SettingsError(f"{FILE}: `{number}`", expected=EXAMPLE, got=type(said).__name__)
    try:
        return Person.model_validate(dict(said))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([number, *map(str, first["loc"])])
        got = plain(repr(first["input"]), 80)
        raise SettingsError(f"{FILE}: `{key}`", expected=f"{first['msg']}; {EXAMPLE}", got=got) from None


def refuse_strange(people: Mapping[str, Person], settings: Settings) -> None:
    """SettingsError where somebody is named with a class or a column that there is not."""
    there = {"classes": settings.answerable, "columns": settings.pull.columns.context}
    for number, person in people.items():
        for key, known in there.items():
            if strange := next((name for name in getattr(person, key) if name not in known), None):
                some = f"some of {named(known)}" if known else "none, since `pull.columns.context` names no column"
                raise SettingsError(f"{FILE}: `{number}.{key}`", expected=some, got=repr(strange))


def rates(people: Mapping[str, Person]) -> dict[str, float]:
    """What an hour of those costs whose rate is known."""
    return {number: one.rate for number, one in people.items() if one.rate is not None}


def experts(people: Mapping[str, Person], accounts: Collection[str]) -> list[str]:
    """The numbers of those who are experts and can sign in."""
    return [number for number, one in people.items() if one.expert and number in accounts]


def strangers(people: Collection[str], accounts: Mapping[str, str]) -> Iterator[str]:
    """A line where somebody has no account. accounts: their addresses, by number."""
    nobody = [number for number in people if number not in accounts]
    if nobody:
        there = named(f"{number} ({plain(address, 60)})" for number, address in accounts.items())
        yield f"{FILE} names {named(nobody)}, which is no account in Label Studio; there are {there}"
