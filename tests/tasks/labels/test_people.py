"""Whose way of answering is to be looked at, and what the answers of such a person are worth."""

from typing import Any

import numpy as np
import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.labels import people
from labelwise.tasks.labels.combined import DAWID_SKENE, Said, combine
from tests.tasks.labels.rows import rows

START = pd.Timestamp("2026-01-01", tz="UTC")


def given(who: str, labels: list[str], every_s: float, took_s: float, number: int = 0) -> list[dict[str, Any]]:
    """One answer after the other."""
    made = []
    for n, label in enumerate(labels):
        at = (START + pd.Timedelta(seconds=every_s * (n + 1))).isoformat()
        own = {"id": f"{number + n}", "label": label, "annotator": who, "annotation_id": number + n, "task_id": n}
        made.append(own | {"created_at": at, "lead_time_s": took_s})
    return made


def test_who_says_the_same_of_everything_in_a_moment_is_named() -> None:
    usual = ["late", "broken", "thanks"] * 10
    hasty = given("7", ["late"] * 29 + ["broken"], 1.5, 1.0, 100)
    said = list(people.remarks(rows(*given("3", usual, 10, 8), *hasty)))
    (line,) = said
    assert line == "7: 97% of 30 answers say 'late', which 33% of the others' answers say, half of them within 1.0 s"


def test_who_is_quick_or_has_one_class_before_him_is_not() -> None:
    usual = ["late", "broken", "thanks"] * 10
    quick = given("7", usual, 1.5, 1.0, 100)
    thorough = given("8", ["late"] * 30, 20, 15.0, 200)
    few = given("9", ["late"] * 19, 1.5, 1.0, 300)
    assert not list(people.remarks(rows(*given("3", usual, 10, 8), *quick, *thorough, *few)))
    spam = given("3", ["fine"] * 30, 1.5, 1.0), given("4", ["fine"] * 28 + ["bad"] * 2, 1.5, 1.0, 100)
    assert not list(people.remarks(rows(*spam[0], *spam[1])))  # nearly everything is fine there


def test_two_people_with_one_account_are_noticed() -> None:
    usual = ["late", "broken", "thanks"] * 10
    one, other = given("7", usual, 20, 15), given("7", usual, 17, 14, 100)
    (line,) = people.remarks(rows(*one, *other))
    assert line.startswith("7: gave ") and "two people with one account?" in line
    assert not list(people.remarks(rows(*one)))
    program = given("7", usual, 0.1, 15)  # which says how long a person would have taken
    assert not list(people.remarks(rows(*program)))


def test_answers_that_say_the_same_of_everything_weigh_nothing() -> None:
    """Two careful people and one who says `a` of all items: what is agreed is what it would be without him."""
    rng = np.random.default_rng(0)
    truth = rng.choice(["a", "b", "c"], 120)
    wrong = rng.random((2, 120)) < 0.1
    others = rng.choice(["a", "b", "c"], (2, 120))
    labels = [*np.where(wrong[0], others[0], truth), *np.where(wrong[1], others[1], truth), *["a"] * 120]
    items, who = np.tile(np.arange(120), 3), np.repeat(np.arange(3), 120)
    answer, classes = kinds.answer("choice"), ["a", "b", "c"]
    three = combine(Said(items, who, labels, 120, 3), DAWID_SKENE, answer, classes, None)
    two = combine(Said(items[:240], who[:240], labels[:240], 120, 2), DAWID_SKENE, answer, classes, None)
    right, without = (float(np.mean(np.asarray(found.label) == truth)) for found in (three, two))
    assert right >= without - 0.01 and right > 0.9
    alone = np.asarray(three.label)[(truth != "a") & ~wrong.any(axis=0)]
    assert np.mean(alone == truth[(truth != "a") & ~wrong.any(axis=0)]) > 0.98  # two against one, whatever he says
