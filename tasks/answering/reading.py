"""Whether items can be read: the rules of a pull (items/suites.py) for a few items, without a second for a library that
checks whole tables, and without the milliseconds of a table."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from labelwise.tasks.items import suites
from labelwise.tasks.kinds import Content
from labelwise.tasks.kinds.base import DECODES
from labelwise.tasks.services.expectations import ABSENT, BETWEEN, NONE_OF, ONE_OF, PRESENT, Rule


def faults(item: Content, cells: Sequence[str], max_chars: int) -> list[str]:
    """For each item as it came the first rule that it breaks, '' for none."""
    measures = item.measures(cells) | {DECODES.column: list(map(suites.decodes, cells))}
    found = [""] * len(cells)
    for rule in item.rules(max_chars):
        for position, value in enumerate(measures[rule.column]):
            if not found[position] and not holds(rule, value):
                found[position] = rule.words
    return found


def holds(rule: Rule, value: Any) -> bool:
    """Whether a value is as a rule expects it. What is missing breaks only the rule that it be there.

    >>> holds(Rule("too long", "n", BETWEEN, {"max_value": 3}), 4)
    False
    """
    missing = bool(pd.isna(value))
    if rule.kind in (PRESENT, ABSENT):
        return missing == (rule.kind == ABSENT)
    if missing:
        return True
    if rule.kind in (ONE_OF, NONE_OF):
        return (value in rule.options["value_set"]) == (rule.kind == ONE_OF)
    assert rule.kind == BETWEEN, rule.kind
    least, most = rule.options.get("min_value"), rule.options.get("max_value")
    return (least is None or value >= least) and (most is None or value <= most)
