"""What is said of labels held out."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from labelwise.tasks.learners import calibration


def test_a_temperature_wins_nothing_on_labels_that_had_no_part_in_it() -> None:
    """Models that are perfectly calibrated: no temperature makes them better."""
    rng = np.random.default_rng(0)
    own, crossed = [], []
    for seed in range(200):
        logits = rng.normal(scale=2, size=(20, 3))
        labels = np.array([rng.choice(3, p=row) for row in softmax(logits, axis=1)])
        as_it_is = calibration.log_loss(logits, labels)
        own.append(calibration.log_loss(logits, labels, calibration.temperature(logits, labels)) < as_it_is)
        crossed.append(calibration.log_loss(calibration.tempered(logits, labels, seed), labels) < as_it_is)
    assert np.mean(own) > 0.6
    assert np.mean(crossed) < 0.5


def test_one_label_has_no_other_to_be_calibrated_by() -> None:
    logits = np.array([[1.0, 0.0, -np.inf]])
    np.testing.assert_array_equal(calibration.tempered(logits, np.array([0]), 0), logits)


def test_a_group_is_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(4, size=300), rng.integers(-1, 60, size=300)
    found = calibration.folds(labels, 0, groups=groups)
    for group in set(groups[groups >= 0].tolist()):
        assert len(set(found[groups == group])) == 1
    assert np.bincount(found).min() > 80
    for label in range(4):
        assert np.bincount(found[labels == label], minlength=3).min() > 15
    assert (found == calibration.folds(labels, 0, groups=groups)).all()


@pytest.mark.parametrize("groups", [None, np.full(30, -1), np.zeros(30, dtype=np.int64), np.arange(30) // 15])
def test_folds_are_as_they_were_without_groups_and_with_too_few(groups: NDArray[np.int64] | None) -> None:
    labels = np.arange(30) % 3
    assert (calibration.folds(labels, 1, groups=groups) == calibration.folds(labels, 1)).all()


def test_a_group_of_its_own_for_most_leaves_no_fold_empty() -> None:
    labels, groups = np.arange(30) % 3, np.array([0] * 28 + [1, 2])
    assert sorted(np.bincount(calibration.folds(labels, 0, groups=groups)).tolist()) == [1, 1, 28]
