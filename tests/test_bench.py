"""Which tables the labels bench makes of which sets, the choice that knows the labels, and the clocks of a round."""

import numpy as np
import pytest

from labelwise.tasks.services.versions.workspace import Versions
from tests.bench.labels import SETS, wanted
from tests.bench.multilabel import SETS as OF_SEVERAL
from tests.bench.multilabel import evened
from tests.bench.rounds import Clock, watched


def test_all_sets_of_both_kinds_are_played_where_none_is_named() -> None:
    assert wanted([]) == {"choice": list(SETS), "multilabel": list(OF_SEVERAL)}


def test_a_set_is_played_by_every_table_that_knows_it() -> None:
    assert wanted(["goemotions"]) == {"multilabel": ["goemotions"]}
    assert wanted(["unfair_tos"]) == {"choice": ["unfair_tos"], "multilabel": ["unfair_tos"]}
    assert wanted(["fewshot", "convabuse"]) == {"fewshot": ["convabuse"]}
    assert wanted(["cpu"]) == {"cpu": []}


@pytest.mark.parametrize("words", [["goemotion"], ["multilabel", "banking77"]])
def test_a_word_that_asks_for_nothing_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=words[-1]):
        wanted(words)


def test_who_knows_the_labels_takes_the_label_with_fewest_first() -> None:
    truth = np.zeros((50, 3))
    truth[:20, 0] = truth[20:24, 1] = truth[24:26, 2] = 1
    taken = evened(truth, 12, np.random.default_rng(0))
    assert len(set(taken.tolist())) == 12
    assert truth[taken].sum(axis=0).tolist() == [6, 4, 2]


def test_the_clocks_of_a_round_find_all_that_they_measure() -> None:
    """A name that the code gave up would only be missed after minutes."""
    before = Versions.changed
    with watched(Clock()):
        assert Versions.changed is not before
    assert Versions.changed is before
