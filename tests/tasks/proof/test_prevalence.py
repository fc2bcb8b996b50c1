"""How many items of a class there are: what is counted, what chance draws say of the rest, and that intervals hold."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labelwise.tasks.kinds import choice, multilabel
from labelwise.tasks.proof import prevalence
from labelwise.tasks.proof.prevalence import ClassCount, Draws, count, unfound
from tests.bench import proof_prevalence


def given_labels(*batches: tuple[list[str], list[str]], part: int = 0) -> pd.DataFrame:
    """Labels of rounds from 1 on: those drawn by chance, and those chosen."""
    rows = [
        (label, number, why, part)
        for number, (drawn, chosen) in enumerate(batches, start=1)
        for why, said in (("control", drawn), ("uncertain", chosen))
        for label in said
    ]
    return pd.DataFrame(rows, columns=["label", "round", "why", "part"])


def one_draw(hits: int, drawn: int, among: int) -> prevalence.Rest:
    return unfound(Draws(*(np.array([n]) for n in (drawn, among, hits, hits)), np.ones(1), among - drawn))


@pytest.mark.parametrize(
    ("hits", "drawn", "among"), [(0, 60, 3000), (1, 60, 3000), (5, 100, 9000), (40, 200, 2000), (59, 60, 3000)]
)
def test_of_one_draw_the_limits_are_the_mid_p_ones(hits: int, drawn: int, among: int) -> None:
    totals = np.arange(hits, among - (drawn - hits) + 1)
    less, same = stats.hypergeom.cdf(hits - 1, among, totals, drawn), stats.hypergeom.pmf(hits, among, totals, drawn)
    at_most = less + same / 2
    possible = totals[(at_most > 0.025) & (at_most < 0.975)] - hits
    found = one_draw(hits, drawn, among)
    near = 2 + 0.03 * np.ptp(possible)
    assert abs(found.low - possible.min()) <= near and abs(found.high - possible.max()) <= near
    assert abs(found.most - (totals[less + same > 0.05].max() - hits)) <= near


@st.composite
def looped(draw: st.DrawFn) -> tuple[pd.DataFrame, list[int]]:
    """Rounds of a pool in one or two parts, with any answers."""
    tables, sizes = [], []
    for part in range(draw(st.integers(1, 2))):
        answers = st.lists(st.sampled_from(["a", "b", "c"]), max_size=5)
        table = given_labels(*draw(st.lists(st.tuples(answers, answers), max_size=6)), part=part)
        tables.append(table)
        sizes.append(len(table) + draw(st.integers(0, 5000)))
    return pd.concat(tables, ignore_index=True).astype({"round": int, "part": int}), sizes


@given(looped())
def test_what_is_said_is_never_out_of_order_nor_out_of_the_pool(case: tuple[pd.DataFrame, list[int]]) -> None:
    labels, sizes = case
    found = count(labels, ["a", "b", "c", "never"], sizes, choice.members)
    left = sum(sizes) - len(labels)
    for one in found.classes:
        assert one.found == (labels.label == one.name).sum()
        middle = one.low if one.middle is None else one.middle
        assert one.found <= one.low <= middle <= one.high <= one.found + left
        assert middle <= one.most <= one.high
        assert 0 <= one.found_at_least <= 1
        assert found.sentence(one).startswith(f"{one.name}: ")


def test_what_was_found_since_a_draw_was_there_when_it_was_made() -> None:
    """Chance sees the class in two of the first ten, and never again once choosing has found what there is: that is no
    sign of a fifth of the pool."""
    first = given_labels((["yes"] * 2 + ["no"] * 8, ["yes"] * 20))
    later = [(["no"] * 10, ["yes"] * 5 + ["no"] * 15)] * 2 + [(["no"] * 10, ["no"] * 20)] * 20
    both = given_labels((["yes"] * 2 + ["no"] * 8, ["yes"] * 20), *later)
    early, late = (count(labels, ["yes"], [1000], choice.members).classes[0] for labels in (first, both))
    assert early.low < 200 < early.high
    assert late.found == late.low == 32 and late.high < 45


def test_a_pool_that_is_labelled_is_counted() -> None:
    labels = given_labels((["a"], ["b", "b"]), (["b"], ["a", "a"]))
    for one in count(labels, ["a", "b"], [6], choice.members).classes:
        assert (one.found, one.low, one.middle, one.high, one.most) == (3, 3, 3, 3, 3)
        assert one.found_at_least == 1


def test_a_class_that_is_not_there_is_bounded_by_the_rule_of_three() -> None:
    found = count(given_labels(*[(["no"] * 5, ["no"] * 20)] * 20), ["yes"], [100_000], choice.members)
    assert found.control == 100 and found.labelled == 500
    assert found.classes[0].low == found.classes[0].middle == 0
    assert 0.028 < found.classes[0].most / found.items < 0.031
    assert found.sentence(found.classes[0]).startswith("yes: none among 500 labelled; at most ")
    none_left = count(given_labels((["no"], ["no"] * 4)), ["yes"], [5], choice.members)
    assert none_left.sentence(none_left.classes[0]) == "yes: none among 5 labelled; none is left"


def test_without_a_control_arm_nobody_knows() -> None:
    found = count(given_labels(([], ["yes", "no"])), ["yes"], [100], choice.members)
    assert found.classes == [ClassCount("yes", 1, 1, None, 99, 99)]
    assert "nobody can know of how many" in found.sentence(found.classes[0])
    imported = given_labels((["yes", "no"], [])).assign(round=0)  # whatever it says: no round drew it
    assert count(imported, ["yes"], [100], choice.members).control == 0


def test_of_several_labels_each_class_is_counted_by_itself() -> None:
    sets = [multilabel.label_of(names) for names in (["a", "b"], ["a"], [], ["b"])]
    labels = given_labels((sets, sets))
    found = count(labels, ["a", "b", "c"], [1000], multilabel.members)
    assert [one.found for one in found.classes] == [4, 4, 0]
    assert found.classes[0].high == found.classes[1].high > found.classes[2].high


def test_many_rounds_count_together_and_say_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [(["yes"] * (n % 9 == 0) + ["no"] * 4, ["yes"] * (n % 4 == 0) + ["no"] * 9) for n in range(120)]
    labels = given_labels(*batches)
    together = count(labels, ["yes"], [8000], choice.members).classes[0]
    monkeypatch.setattr(prevalence, "ROUNDS", 1000)
    apart = count(labels, ["yes"], [8000], choice.members).classes[0]
    assert abs(together.low - apart.low) < 12 and abs(together.high - apart.high) < 12
    assert apart.high - apart.low > 100


@pytest.mark.parametrize(
    ("share", "how"), [(0.01, {}), (0.05, {}), (0.3, {}), (0.05, {"grows": True}), (0.05, {"skips": True})]
)
def test_intervals_hold_in_loops_that_choose_what_is_rare(share: float, how: dict[str, bool]) -> None:
    found = list(proof_prevalence.counts(2000, share, 6.0, 24, 40, **how))
    assert np.mean([one.low <= true <= one.high for one, true, _ in found]) >= 0.87
    assert np.mean([one.found_at_least <= one.found / true for one, true, _ in found]) >= 0.87
    if share < 0.3:
        assert np.mean([one.high - one.low for one, *_ in found]) < 0.95 * np.mean([alone for *_, alone in found])


def test_json_gives_it_back() -> None:
    found = count(given_labels((["yes", "no"], [])), ["yes"], [10], choice.members)
    again = prevalence.Prevalence.from_json(found.as_json())
    assert again == found and again.of("yes") == found.classes[0] and again.of("other") is None


def test_an_arm_as_unlucky_as_can_be_leaves_something_possible() -> None:
    """Hundreds were found by choosing, of which chance ought to have seen some."""
    batches = [(["no"] * 25, ["yes"] * 25)] * 20
    found = count(given_labels(*batches), ["yes"], [4000], choice.members).classes[0]
    assert found.found == found.low == found.middle == 500
    assert 500 < found.most <= found.high < 600
