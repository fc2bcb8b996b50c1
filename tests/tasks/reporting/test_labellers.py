"""Who should label the next hundred: what is said of a language model, and when nothing is."""

from typing import Any

import pytest

from labelwise.tasks.labels.judged import Judged, interval
from labelwise.tasks.reporting.labellers import advice, together

MODEL = {"score": 0.85, "score_low": 0.8, "score_high": 0.9}


def found(right: int, of: int) -> Judged:
    low, high = interval(right, of) or (None, None)
    return Judged("llm:m", of, 0, of, right, low, high, 0.3, False)


@pytest.mark.parametrize(
    ("right", "of", "metrics", "said"),
    [
        (0, 0, MODEL, "too few to tell"),
        (9, 9, MODEL, "too few to tell"),
        (50, 100, MODEL, "do not bother"),
        (100, 100, MODEL, "let it label more"),
        (85, 100, MODEL, "cannot be told apart yet"),
        (85, 100, {}, "there is no model yet"),
    ],
)
def test_what_is_advised(right: int, of: int, metrics: Any, said: str) -> None:
    assert said in advice(found(right, of), metrics)


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (0.3, "81.0% rightly, and 85.0% with weak labels beside them (+1.0% to +7.0%)."),
        (0.0, "81.0% rightly; weak labels beside them teach it nothing more."),
    ],
)
def test_what_people_and_weak_labels_teach_together_is_said(weight: float, said: str) -> None:
    found = {"weight": weight, "labels": 400, "alone": 0.81, "beside": 0.85, "low": 0.01, "high": 0.07}
    assert together(found) == f"Of 400 labels of people, each held out, a model of the others says {said}"
    assert together({"weight": 1.0, "labels": 0, "alone": None}) == together({}) == ""
