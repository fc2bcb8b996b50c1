"""Weak labels count as much as people's labels show them to be worth."""

import numpy as np
import pytest

from labelwise.tasks.kinds import spans
from labelwise.tasks.learners import tagger, weakly
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.settings import Settings
from tests.tasks.learners import test_tagger as tagged

CLASSES = ["left", "right", "up"]
SETTINGS = Settings.model_validate(
    {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
)


def given(n: int, seed: int, right: float = 1.0) -> Examples:
    """Items in three clouds that touch; `right` of the labels are, the others are drawn by chance."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    vectors = np.eye(3, 40)[truth] * 2 + rng.standard_normal((n, 40))
    labels = np.where(rng.random(n) < right, truth, rng.integers(0, 3, n))
    return Examples(Items.of(vectors.astype(np.float32)), labels, CLASSES, np.full(n, 0.9, np.float32))


@pytest.mark.parametrize("right", [0.95, 0.0])
def test_good_ones_teach_and_bad_ones_count_nothing(right: float) -> None:
    people, weak = given(60, 1), given(500, 2, right)
    examples, settings, found = weakly.beside(people, weak, SETTINGS)
    assert found.labels == 60 and found.alone is not None and found.beside is not None
    if right:
        assert found.weight > 0 and found.beside > found.alone
        assert found.low is not None and found.high is not None
        assert found.low < found.beside - found.alone < found.high
        assert len(examples) == 560 and settings.train.regularisation is not None
    else:
        assert found.weight == 0 and found.beside == found.alone
        assert examples is people and settings is SETTINGS


def test_where_hardly_anybody_has_labelled_anything_they_are_all_there_is() -> None:
    examples, _, found = weakly.beside(given(weakly.FEW - 1, 1), given(50, 2), SETTINGS)
    assert (found.weight, found.labels, found.alone) == (1.0, 0, None) and len(examples) == 50 + weakly.FEW - 1
    assert set(found.as_json()) == {"weight", "labels", "alone", "beside", "low", "high"}


def marked(n: int, seed: int, right: bool = True) -> Examples:
    """Texts with what is marked in them; wrong: nothing is."""
    texts, labels = tagged.told(seed, n)
    said = labels if right else ["[]"] * n
    weights = np.full(n, 0.9, np.float32)
    return Examples(tagged.items(texts), spans.targets(said, tagged.CLASSES), tagged.CLASSES, weights, said=said)


@pytest.mark.parametrize("right", [True, False])
def test_of_spans_good_ones_teach_and_bad_ones_count_nothing(right: bool) -> None:
    people, weak = marked(20, 1), marked(100, 2, right)
    examples, settings, found = weakly.beside(people, weak, tagged.SETTINGS)
    assert (found.weight > 0) == right and found.labels == 20 and found.alone is None
    if not right:
        assert examples is people and settings is tagged.SETTINGS
        return
    assert len(examples.said) == len(examples) == 120 and examples.given.tolist() == [*range(20)]
    assert tagger.fit(examples, examples.items, settings).trained  # the words of both were joined
