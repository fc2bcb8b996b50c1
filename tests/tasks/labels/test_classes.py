"""Classes that change: what becomes of each name, and every change that cannot be, with a way out that can."""

import re
import shlex

import pytest

from labelwise.tasks.errors import InputError
from labelwise.tasks.labels.classes import VERBS, Classes, changes_in_words, spoken

NOW = Classes(("billing", "bug", "login"), protected=("bug",))
RENAMED = Classes(("invoices", "bug", "login"), {"billing": "invoices"})
MERGED = Classes(("money", "login"), {"billing": "money", "bug": "money"})
ADD = "labelwise classes add NAME"
GONE = Classes(("billing", "bug", "login"), dropped=("spam",), split=("other",))


def change(now: Classes, given: str) -> Classes:
    verb, *names = shlex.split(given)
    made: Classes = VERBS[verb](now, *names)
    return made


@pytest.mark.parametrize(
    ("now", "given", "after", "said"),
    [
        (NOW, "add refund", Classes((*NOW.names, "refund"), protected=("bug",)), "'refund' is new"),
        (NOW, "add '🙂 <script>, a'", Classes((*NOW.names, "🙂 <script>, a"), protected=("bug",)), "is new"),
        (GONE, "add spam", Classes((*NOW.names, "spam"), split=("other",)), "'spam' is a class again"),
        (GONE, "add other", Classes((*NOW.names, "other"), dropped=("spam",)), "'other' is a class again"),
        (RENAMED, "add billing", Classes(("invoices", "bug", "login", "billing")), "'billing' is a class again"),
        (
            NOW,
            "rename bug fault",
            Classes(("billing", "fault", "login"), {"bug": "fault"}, protected=("fault",)),
            "'bug' is called 'fault' now",
        ),
        (RENAMED, "rename billing invoices", RENAMED, ""),  # it has been done
        (
            RENAMED,
            "rename invoices billing",
            Classes(NOW.names, {"invoices": "billing"}),
            "'invoices' is called 'billing'",
        ),
        (
            RENAMED,
            "rename invoices fees",
            Classes(("fees", "bug", "login"), {"billing": "fees", "invoices": "fees"}),
            "'invoices' is called 'fees' now",
        ),
        (
            NOW,
            "rename billing Billing",
            Classes(("Billing", "bug", "login"), {"billing": "Billing"}, protected=("bug",)),
            "",
        ),
        (
            NOW,
            "merge billing bug money",
            Classes(("money", "login"), {"billing": "money", "bug": "money"}, protected=("money",)),
            "'billing' and 'bug' are one class now, 'money'",
        ),
        (
            NOW,
            "merge login billing login",
            Classes(("bug", "login"), {"billing": "login"}, protected=("bug",)),
            "'billing' and 'login' are one class now, 'login'",
        ),
        (NOW, "drop bug", Classes(("billing", "login"), dropped=("bug",)), "'bug' is dropped"),
        (
            RENAMED,
            "drop invoices",
            Classes(("bug", "login"), {"billing": "invoices"}, dropped=("invoices",)),
            "is dropped",
        ),
        (
            NOW,
            "split bug crash slow",
            Classes(("billing", "crash", "slow", "login"), split=("bug",), protected=("crash", "slow")),
            "'bug' is split, 'crash' is new, 'slow' is new",
        ),
        (NOW, "split billing bug fee", Classes(("fee", "bug", "login"), split=("billing",), protected=("bug",)), ""),
        (MERGED, "split money billing bug", Classes(("billing", "bug", "login"), split=("money",)), "'money' is split"),
        (
            Classes(("a", "b"), orphans=frozenset("c")),
            "rename c b",
            Classes(("a", "b"), {"c": "b"}),
            "what counts as which class",
        ),
        (Classes(("a", "b"), orphans=frozenset("c")), "drop c", Classes(("a", "b"), dropped=("c",)), "'c' is dropped"),
        (Classes(("a", "b"), orphans=frozenset("c")), "add c", Classes(("a", "b", "c")), "'c' is new"),
    ],
)
def test_what_a_change_makes_of_the_tables(now: Classes, given: str, after: Classes, said: str) -> None:
    made = change(now, given)
    assert made == after
    assert said in changes_in_words(now, made)
    assert bool(changes_in_words(now, made)) == (made != now)


def test_a_merge_is_undone_by_a_split_into_what_was_merged() -> None:
    again = change(MERGED, "split money billing bug")
    assert [again.today(name) for name in ("billing", "bug", "money")] == ["billing", "bug", None]


@pytest.mark.parametrize(
    ("now", "given", "said", "way"),
    [
        (NOW, "add bug", "'bug' is a class already", ""),
        (NOW, "add ' refund '", "blanks at an end of its name", "labelwise classes add refund"),
        (NOW, "add ' '", "a class without a name", ADD),
        (NOW, "add ''", "a class without a name", ADD),
        (NOW, f"add '{'long ' * 40}x'", "at most 100 characters, got 201 characters: 'long long", ""),
        (NOW, "add 'a\nb'", "control characters", ""),
        (NOW, "add 'a\x1b[2J'", "control characters", ""),
        (NOW, "add Bug", "'Bug' looks like the class 'bug'", ""),
        (NOW, "rename bug Login", "'Login' looks like the class 'login'", ""),
        (NOW, "rename bug login", "'login' is a class already", "labelwise classes merge bug login login"),
        (NOW, "rename bug bug", "two names that differ", ""),
        (
            NOW,
            "rename bugs fault",
            "'bugs' is no class: expected one of billing, bug, login. To mend it: did you mean",
            "",
        ),
        (NOW, "drop zebra", "'zebra' is no class: expected one of billing, bug, login", ""),
        (RENAMED, "rename billing fees", "'billing' is called 'invoices' today", ""),
        (RENAMED, "rename bug billing", "'billing' is an earlier name of 'invoices'", ""),
        (RENAMED, "merge bug login billing", "'billing' is an earlier name of 'invoices'", ""),
        (
            GONE,
            "rename bug spam",
            "a class that was dropped: what was said by it would count again",
            "labelwise classes add spam",
        ),
        (GONE, "drop other", "'other' is no class any more: it was split", "labelwise classes add other"),
        (GONE, "split bug spam crash", "'spam' is a class that was dropped", "labelwise classes add spam"),
        (
            Classes(("billing", "bug", "login", "other")),
            "merge billing bug login",
            "'login' is a class of its own",
            "labelwise classes merge billing bug login login",
        ),
        (NOW, "merge billing bug", "two classes at least", "labelwise classes merge billing bug bug"),
        (NOW, "merge billing fees", "two classes at least", "labelwise classes rename billing fees"),
        (NOW, "merge billing", "two classes at least", "labelwise classes merge NAME NAME INTO"),
        (NOW, "merge billing billing fees", "two classes at least", "labelwise classes rename billing fees"),
        (Classes(("a", "b")), "drop a", "no choice left: expected two classes at least, got 'b' alone", ADD),
        (Classes(("a", "b")), "merge a b c", "no choice left: expected two classes at least, got 'c' alone", ADD),
        (NOW, "split bug bug crash", "cannot be one of the classes", "labelwise classes split bug 'other bug' crash"),
        (NOW, "split bug crash", "two classes at least in its place", "labelwise classes rename bug crash"),
        (NOW, "split bug login", "two classes at least in its place", "labelwise classes drop bug"),
        (Classes(("-a", "-b", "c")), "rename -a -b", "'-b' is a class already", "labelwise classes merge -- -a -b -b"),
    ],
)
def test_a_change_that_cannot_be_says_which_can(now: Classes, given: str, said: str, way: str) -> None:
    with pytest.raises(InputError) as caught:
        change(now, given)
    line = str(caught.value)
    assert said in line and len(line.splitlines()) == 1 and line.isprintable()
    found = re.findall("`(labelwise classes [^`]+)`", line)
    assert found[:1] == ([way] if way else [])
    for command in found:
        words = [word for word in shlex.split(command)[2:] if word != "--"]
        if "NAME" not in words:
            assert change(now, shlex.join(words)) != now


def test_what_a_change_is_called_in_the_history() -> None:
    assert spoken("split", ["a", "b", "c d"]) == "split a into b, c d"
    assert spoken("add", ["fees, charges"]) == "add 'fees, charges'"


def test_a_class_that_was_taken_out_by_hand_is_told() -> None:
    assert changes_in_words(NOW, Classes(("billing", "login"))) == "'bug' is taken out"
    assert changes_in_words(NOW, Classes(("bug", "billing", "login"))) == "the classes stand in another order"
