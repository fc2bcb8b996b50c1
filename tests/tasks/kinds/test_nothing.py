"""Each kind of answer, asked of no items: a pool may be empty, and a model may be asked about nothing."""

import numpy as np
import pytest

from labelwise.tasks import kinds
from labelwise.tasks.kinds.base import Answer


@pytest.mark.parametrize("answer", kinds.ANSWERS.values(), ids=list(kinds.ANSWERS))
@pytest.mark.parametrize("thresholds", [None, np.array([0.25, 0.5, 0.75], np.float32)], ids=["plain", "thresholds"])
def test_no_items_give_nothing(answer: Answer, thresholds: np.ndarray | None) -> None:
    classes = ["c", "a", "b"]
    none = np.empty((0, 3), np.float32)
    assert answer.decide(none, classes, thresholds).tolist() == []
    assert answer.expect(none, thresholds).tolist() == []
    assert answer.simplex(none, thresholds).shape[0] == 0
    assert answer.score([], []).tolist() == []
    assert len(answer.targets([], classes)) == 0
    views = answer.views(none, thresholds)
    assert views is None or [len(each) for each in (views.simplex, views.errors, views.doubt)] == [0, 0, 0]
