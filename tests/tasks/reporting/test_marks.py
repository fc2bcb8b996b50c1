"""Marks of a text on pages: where they are, escaped, coloured as in Label Studio; which class is taken for which."""

import random

import pandas as pd

from labelwise.tasks.kinds import controls, spans
from labelwise.tasks.reporting import marks
from labelwise.tasks.reporting.page import render
from labelwise.tasks.reporting.tables import Table

TEXT = "The University of Paris \U0001f600 <b>and</b> Ada" + " far" * 40 + " away in نيويورك"
CLASSES = ["person", "place", "<i>thing</i>"]


def label(*words: tuple[str, str]) -> str:
    return spans.label_of((TEXT.index(each), TEXT.index(each) + len(each), name) for each, name in words)


def test_a_text_is_cut_at_its_marks() -> None:
    shown = marks.marked(
        label(("University of Paris", "<i>thing</i>"), ("Paris", "place"), ("نيويورك", "place")), TEXT, CLASSES
    )
    assert shown == "University of Paris (<i>thing</i>), Paris (place), نيويورك (place)"
    marked = [(piece.words, piece.names, piece.colour) for piece in shown.pieces if piece.colour]
    assert marked == [
        ("University of ", (), controls.colour(2)),
        ("Paris", ("place", "<i>thing</i>"), controls.colour(1)),
        ("نيويورك", ("place",), controls.colour(1)),
    ]
    left_out = [piece.words for piece in shown.pieces].count("…")
    assert left_out == 1 and len("".join(piece.words for piece in shown.pieces)) < len(TEXT)


def test_all_that_is_shown_is_the_text_in_its_order() -> None:
    chance = random.Random(0)
    for _ in range(50):
        ends = [sorted(chance.sample(range(len(TEXT) + 1), 2)) for _ in range(3)]
        given = [(start, end, chance.choice(CLASSES)) for start, end in ends]
        shown = marks.marked(spans.label_of(given), TEXT, CLASSES)
        at = 0
        for piece in shown.pieces:
            if piece.words != "…":
                at = TEXT.index(piece.words, at) + len(piece.words)
        names = sorted(name for piece in shown.pieces for name in piece.names)
        assert names == sorted(name for _, _, name in set(given))


def test_what_is_not_in_the_text_is_only_told() -> None:
    assert marks.marked('[[0, 999, "place"]]', TEXT, CLASSES).pieces == ()
    assert marks.marked("[]", TEXT, CLASSES) == "nothing to mark"
    assert marks.marked('[[0, 3, "place"]]', None, CLASSES) == "place 0-3"


def test_pages_escape_marks() -> None:
    shown = marks.marked(label(("<b>and</b>", "<i>thing</i>")), TEXT, CLASSES)
    section = Table("Marks", ["answer"], [[shown]])
    empty = Table("", [], [])
    page = render(
        "reviewers.html", name="n", round=1, date="", verdict="", waiting="", cards=[], measure="", pictures={},
        learned=section, thanks="", empty=empty,
    )  # fmt: skip
    assert '<mark style="--mark: #009e73">&lt;b&gt;and&lt;/b&gt;<small>&lt;i&gt;thing&lt;/i&gt;</small></mark>' in page
    assert "<b>and" not in page and "<i>thing" not in page


def test_which_class_is_taken_for_which() -> None:
    truth = [[(0, 3, "person"), (5, 9, "place")], [], [(0, 3, "person")]]
    guess = [[(0, 3, "person"), (5, 8, "person")], [(1, 2, "place")], []]
    table = pd.DataFrame({"actual": map(spans.label_of, truth), "predicted": map(spans.label_of, guess)})
    shares = marks.taken_for(table.assign(weight=1.0))
    assert shares.loc["person"].tolist() == [0.5, 0.0, 0.5]  # person, place, not marked
    assert shares.loc["place"].tolist() == [1.0, 0.0, 0.0]
    assert shares.loc[marks.IN_VAIN].tolist() == [0.0, 1.0, 0.0]
