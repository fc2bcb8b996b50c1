"""What people write rules with, in `rules.py` of a workspace:

    from labelwise import rule

    @rule
    def asks_for_money(item):
        return "billing" if "refund" in item.text.lower() else None

A rule says a class of an item, several where an item may have several, or None: it says nothing. What becomes of that:
labels/weak.py, labels/reliability.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, overload

Said = str | Iterable[str] | None


@dataclass(frozen=True)
class Item:
    """What a rule is asked about. text: '' where items have none. context: further columns that reviewers see, by name.
    features: of a row, by name; group: '' where it has none."""

    id: str
    text: str = ""
    context: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True)
class Rule:
    """A function with a name, and the line of the file in which it begins."""

    name: str
    says: Callable[[Item], Said]
    line: int

    def __call__(self, item: Item) -> Said:
        return self.says(item)


RULES: list[Rule] = []  # in the order of the file; in the process that runs them alone


@overload
def rule(says: Callable[[Item], Said], /) -> Rule: ...
@overload
def rule(*, name: str) -> Callable[[Callable[[Item], Said]], Rule]: ...
def rule(says: Callable[[Item], Said] | None = None, /, *, name: str = "") -> Any:
    """Make a rule of a function over an Item. name: None for that of the function.

    >>> @rule
    ... def thanks(item: Item) -> Said:
    ...     return "thanks" if "thank" in item.text else None
    >>> thanks(Item("1", "thank you")), thanks.name
    ('thanks', 'thanks')
    """

    def made(function: Callable[[Item], Said]) -> Rule:
        found = Rule(str(name) or function.__name__, function, function.__code__.co_firstlineno)
        RULES.append(found)
        return found

    return made if says is None else made(says)
