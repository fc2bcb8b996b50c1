"""Strategies by words: what is least sure for what it costs to read."""

from dataclasses import replace

import numpy as np
import pytest

from labelwise.tasks.kinds.base import Views
from labelwise.tasks.select import strategy_for
from labelwise.tasks.settings import Select
from labelwise.tasks.strategies import STRATEGIES, serving
from labelwise.tasks.strategies.base import Labelled
from labelwise.tasks.strategies.example import GIVEN, chance
from labelwise.tasks.strategies.reading import before


def of(least: list[float], words: list[list[float]]) -> "Views":
    tags = np.array([[1 - each, each, 0.0] for each in least], np.float32)
    return Views(tags, tags, np.array(least, np.float32), np.array(words, np.float32))


# mean, sum, margin, words, which
VIEWS = of(
    [0.4, 0.4, 0.4, 0.4, 0.1, 0.0],
    [
        [0.04, 0.4, 0.5, 10, 7],
        [0.1, 0.4, 0.2, 4, 7],
        [0.08, 0.4, 0.9, 5, 7],
        [0.02, 0.8, 0.1, 40, 9],
        [0.01, 0.1, 0.8, 10, 3],
        [0.0, 0.0, 1.0, 2, 1],
    ],
)
CANDIDATES = replace(GIVEN, views=VIEWS)


@pytest.mark.parametrize(
    ("name", "first"), [("word_mean", [1, 2, 0]), ("word_sum", [3]), ("tagging_margin", [3, 1, 0]), ("auto", [1, 2, 3])]
)
def test_what_is_asked_first(name: str, first: list[int]) -> None:
    """auto: 0.4 / sqrt(4), then half of 0.4 / sqrt(5) for the same word, then 0.4 / sqrt(40) for another."""
    assert STRATEGIES[name](CANDIDATES, len(first), chance()).indices.tolist() == first


def test_they_serve_spans_alone() -> None:
    by_words = {"word_mean", "word_sum", "tagging_margin"}
    assert by_words <= set(serving("spans")) and not by_words & {*serving("choice"), *serving("multilabel")}
    assert {"auto", "random", "margin", "badge", "k_centre", "round_robin"} <= set(serving("spans"))
    assert "bald" not in serving("spans")
    with pytest.raises(ValueError, match="spans are marked"):
        STRATEGIES["word_mean"](GIVEN, 1, chance())


def test_one_mark_is_enough_to_ask_the_model() -> None:
    """The rest of its text is told apart from it, also where there is one class, and all texts have it."""
    nothing = Labelled(labels=np.zeros((2, 1), np.float32), views=VIEWS.take(np.arange(2)))
    said = strategy_for(Select(strategy="auto", cold_start="typiclust"), nothing)[1]
    assert said == "typiclust (cold start: auto needs a label that marks something)"
    marked = replace(nothing, labels=np.ones((2, 1), np.float32))
    assert strategy_for(Select(strategy="auto", cold_start="typiclust"), marked)[1] == "auto"


def test_the_same_word_counts_less_each_time() -> None:
    assert before(np.array([]), np.array([])).tolist() == []
    assert before(np.array([1.0, 3.0, 2.0, 9.0]), np.array([5, 5, 5, 6])).tolist() == [2, 0, 1, 0]
