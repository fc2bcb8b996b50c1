"""What is kept of a batch for a rare class, and where nothing is."""

import numpy as np
import pytest

from labelwise.tasks.select import strategy_for
from labelwise.tasks.settings import Select
from labelwise.tasks.strategies import Candidates, Labelled
from labelwise.tasks.strategies.auto import auto
from labelwise.tasks.strategies.diversity import k_centre
from labelwise.tasks.strategies.rare import all_alike, doubt_about, rare_classes, unlike
from labelwise.tasks.strategies.uncertainty import margin

N, D = 400, 8


def given(shares: list[float], labels: list[int], why: str = "uncertain") -> Candidates:
    """Candidates with probabilities around these shares, after these labels."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(20 * np.array(shares), N).astype(np.float32)
    vectors = rng.normal(size=(N, D)).astype(np.float32)
    m = len(labels)
    answered = Labelled(
        rng.normal(size=(m, D)).astype(np.float32),
        np.array(labels),
        np.tile(np.float32(shares), (m, 1)),
        np.ones(m, int),
        np.full(m, why, dtype=object),
    )
    return Candidates(p, lambda rows: vectors[rows], answered)


def test_a_class_that_few_labels_have_is_rare_once_that_is_no_accident() -> None:
    shares = [0.49, 0.3, 0.2, 0.01]
    assert rare_classes(given(shares, [0, 1, 2] * 8 + [3])).tolist() == []
    assert rare_classes(given(shares, [0, 1, 2] * 40 + [3])).tolist() == [3]
    assert rare_classes(given([0.25] * 4, [0, 1, 2, 3] * 40)).tolist() == []


def test_labels_that_were_chosen_do_not_hide_that_a_class_is_rare() -> None:
    shares = [0.49, 0.3, 0.2, 0.01]
    sought = [0, 1, 2] * 20 + [3] * 60
    assert rare_classes(given(shares, sought)).tolist() == [3]
    assert rare_classes(given(shares, sought, "control")).tolist() == []  # by chance a third: it is not rare


def test_of_many_classes_a_few_labels_make_none_rare() -> None:
    assert len(rare_classes(given([1 / 77] * 77, list(range(60)) * 5))) == 0


def test_half_of_a_batch_is_where_the_rare_class_may_be() -> None:
    there = given([0.49, 0.3, 0.2, 0.01], [0, 1, 2] * 40 + [3])
    picks = auto(there, 20, np.random.default_rng(0)).indices
    assert len(set(picks.tolist())) == 20
    doubt = doubt_about(there.probabilities, 3)
    assert sorted(doubt[picks[:10]]) == sorted(np.sort(doubt)[-10:])
    rest = np.setdiff1d(np.arange(N), picks[:10])
    assert picks[10:].tolist() == rest[margin(there.take(rest), 10, np.random.default_rng(0)).indices].tolist()


def test_while_it_has_not_been_found_other_kinds_of_items_are_asked() -> None:
    there = given([0.49, 0.3, 0.2, 0.01], [0, 1, 2] * 40)
    found = auto(there, 20, np.random.default_rng(0))
    assert found.why[:10].tolist() == ["diverse"] * 10
    assert len(set(found.indices.tolist())) == 20


def test_two_classes_and_even_ones_are_asked_as_before() -> None:
    for there in (given([0.99, 0.01], [0] * 60 + [1]), given([0.3, 0.3, 0.4], [0, 1, 2] * 20)):
        now, before = (each(there, 15, np.random.default_rng(3)) for each in (auto, margin))
        assert now.indices.tolist() == before.indices.tolist()


def test_while_all_labels_are_of_one_class_what_is_unlike_them_is_asked() -> None:
    """And chance, so that it never takes twice as long as chance."""
    there = given([0.98, 0.02], [0] * 25)
    far = k_centre(there, 10, np.random.default_rng(0)).indices
    found = unlike(there, 20, np.random.default_rng(0))
    assert found.indices[:10].tolist() == far.tolist()
    assert len(set(found.indices.tolist())) == 20
    assert np.isnan(found.propensity).all()  # of what the first half left: no sample of the pool


@pytest.mark.parametrize(("labels", "c", "rare"), [(25, 2, True), (25, 3, True), (5, 2, False), (25, 77, False)])
def test_one_class_alone_says_that_the_others_are_rare_once_that_is_no_accident(
    labels: int, c: int, rare: bool
) -> None:
    there = given([1 / c] * c, [0] * labels).labelled
    assert all_alike(there) == rare
    settings = Select(near_duplicate=None)
    assert (strategy_for(settings, there)[0] is unlike) == rare
    assert strategy_for(settings.model_copy(update={"strategy": "margin"}), there)[0] is not unlike
