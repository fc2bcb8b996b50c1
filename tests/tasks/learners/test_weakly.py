"""Weak labels count as much as people's labels show them to be worth."""

from dataclasses import replace

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


def test_what_is_said_of_a_rare_class_counts_beside_the_rest() -> None:
    """Of a class that few items have a word that is right of four in five items is right less often than not."""
    people = replace(given(8, 1), labels=np.array([0] + [1] * 7))
    labels = np.array([0] * 100 + [1] * 300)
    trust = np.where(labels == 0, 0.31, 0.97).astype(np.float32)
    examples, _, _ = weakly.beside(people, replace(given(400, 2), labels=labels, weights=trust), SETTINGS)
    rare, common = (examples.counting[8:][examples.labels[8:] == each] for each in (0, 1))
    assert len(rare) == 100 and rare == pytest.approx((0.31 - 2 / 11) / (9 / 11))
    assert common == pytest.approx((0.97 - 8 / 11) / (3 / 11))


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
