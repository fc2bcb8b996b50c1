"""What is said of labels held out."""

import numpy as np
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
