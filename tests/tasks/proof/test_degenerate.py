"""Figures where there is hardly anything to figure from: all right, all wrong, one class, one item, curves that stand
still, ties. Each is a number in its range or None, never NaN, and an interval holds its middle."""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from labelwise.tasks import evaluate, report
from labelwise.tasks.gold import active_testing
from labelwise.tasks.kinds.measures import Parts, of_scores
from labelwise.tasks.proof import money, savings, stopping, successor
from labelwise.tasks.proof.savings import Interval
from labelwise.tasks.trial import rehearsal

ENOUGH = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
SCORES = st.lists(st.sampled_from([0.0, 1.0]) | st.floats(0, 1), min_size=1, max_size=12) | st.sampled_from(
    [[1.0] * 40, [0.0] * 40, [0.5] * 40]
)
ACCURACIES = st.sampled_from([0.0, 0.5, 0.99, 1.0]) | st.floats(0, 1)
CURVES = st.lists(ACCURACIES, min_size=1, max_size=9) | ACCURACIES.flatmap(lambda one: st.just([one] * 6))
WEIGHTS = st.sampled_from([1.0, 0.01, 4.9]) | st.floats(0.01, 5)


def figures(content: Any) -> Iterator[float]:
    """Every number in what is written as JSON."""
    if isinstance(content, dict | list):
        for one in content.values() if isinstance(content, dict) else content:
            yield from figures(one)
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield float(content)


def in_order(interval: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    middle = next(getattr(interval, name) for name in ("middle", "mean", "value") if hasattr(interval, name))
    return bool(least <= interval.low <= middle <= interval.high <= most)


def history(accuracy: list[float], labels: list[int], asks: int) -> pd.DataFrame:
    settled = dict.fromkeys(("kappa", "changed", "uncertainty"), np.nan)
    return pd.DataFrame({"labels": labels, "score": accuracy, "asks": asks, **settled})


@given(accuracy=CURVES, rises=st.sampled_from([25, 1, 0, -1]), asks=st.sampled_from([25, 1, 0]), price=st.floats(0, 99))
@ENOUGH
def test_no_curve_stops_a_rule_from_advising(accuracy: list[float], rises: int, asks: int, price: float) -> None:
    """Labels that rise, stand still (zero-shot models, batches that were skipped) or are withdrawn."""
    labels = [max(0, (50 if rises < 0 else rises) + rises * at) for at in range(len(accuracy))]
    rounds, prices = history(accuracy, labels, asks), stopping.Prices(price, 100.0)
    for rule in stopping.RULES.values():
        found = rule(rounds, prices)
        assert "nan" not in found.why and "inf" not in found.why
        if found.gain is not None and found.worth is not None:
            assert in_order(found.gain, 0, 100 * (1 - accuracy[-1]))
            assert in_order(found.worth)


@pytest.mark.parametrize("accuracy", [[1.0] * 4, [0.5, 1.0, 1.0, 1.0], [0.0] * 6])
def test_no_batch_is_promised_to_bring_more_than_is_left(accuracy: list[float]) -> None:
    rounds = history(accuracy, [25 * (at + 1) for at in range(len(accuracy))], 25)
    found = stopping.value(rounds, stopping.Prices(1.0, 100.0))
    assert found.gain is not None
    assert found.gain.high <= 100 * (1 - accuracy[-1])


def test_five_perfect_rounds_are_enough() -> None:
    assert stopping.value(history([1.0] * 5, [25, 50, 75, 100, 125], 25), stopping.Prices(1.0, 100.0)).stop


@given(
    of=st.sampled_from(["right", "wrong", "first", "alternate", "better", "worse", "half", "some"]),
    gold=st.sampled_from([1, 2, 30]),
    weight=WEIGHTS,
    arm=st.sampled_from([0, 20, 40, 60]),
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_the_meter_on_arms_that_teach_nothing(of: str, gold: int, weight: float, arm: int) -> None:
    def judged(rows: NDArray[np.int64]) -> Parts:
        at = np.arange(gold)
        wrong = {
            "right": at < 0,
            "wrong": at >= 0,
            "first": at == 0,
            "alternate": (at + len(rows)) % 2 == 0,
            "better": at < gold - len(rows),
            "worse": at < len(rows),
            "half": at >= 0,
            "some": at >= gold - len(rows),
        }[of]
        return of_scores(1 - wrong * {"half": 0.5, "some": 1 / 3}.get(of, 1.0))

    rounds = [np.arange(25 * n) for n in range(1, 5)]
    weights = np.where(np.arange(gold) % 2, 1.0, weight)
    found = savings.measure(judged, rounds, np.arange(arm), weights, np.random.default_rng(0))
    if found is None:
        assert savings.sentence(found)
        return
    assert all(math.isfinite(one) for one in figures(found.as_json()))
    for interval in (found.ratio, found.needed, found.projected):
        assert in_order(interval, 0)
    assert in_order(found.saved)
    for points in found.curves.values():
        assert all(0 <= one["low"] <= one["middle"] <= one["high"] <= 1 for one in points)
    assert "nan" not in savings.sentence(found)
    json.dumps(found.as_json(), allow_nan=False)


@given(scores=SCORES, weight=WEIGHTS)
@ENOUGH
def test_accuracy_is_a_share_and_in_its_interval(scores: list[float], weight: float) -> None:
    for weights in (np.ones(len(scores)), np.where(np.arange(len(scores)) % 2, 1.0, weight)):
        assert in_order(active_testing.weighted_mean(np.array(scores), weights), 0, 1)


@given(
    said=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=10),
    sure=st.sampled_from([1 / 3, 0.5, 1.0]),
    weight=WEIGHTS,
)
@settings(deadline=None, max_examples=25)
def test_whatever_gold_says_is_a_share_and_in_its_interval(
    said: list[tuple[int, int]], sure: float, weight: float
) -> None:
    actual, predicted = map(list, zip(*said, strict=True))
    p = np.full((len(said), 3), (1 - sure) / 2, dtype=np.float32)
    p[np.arange(len(said)), predicted] = sure
    gold = pd.DataFrame({"id": range(len(said)), "label": [f"c{at}" for at in actual]})
    gold["weight"] = np.where(np.arange(len(said)) % 2, 1.0, weight)
    found = evaluate.evaluate(gold, p, ["c0", "c1", "c2"], 100, seed=0)
    for name in ("accuracy", "macro_f1", "calibration_error"):
        low, value, high = (found.metrics[f"{name}{end}"] for end in ("_low", "", "_high"))
        assert 0 <= low <= value <= high <= 1, name
    for table in (found.per_class, found.calibration):
        shares = table.drop(columns=["class", "items"], errors="ignore").to_numpy(dtype=float)
        assert ((shares >= 0) & (shares <= 1 + 1e-6)).all()


@given(accuracies=st.lists(CURVES.map(lambda one: (one * 3)[:3]), min_size=2, max_size=6), full=ACCURACIES)
@settings(deadline=None, max_examples=60)
def test_a_rehearsal_of_any_runs_ends_in_shares_and_a_sentence(accuracies: list[list[float]], full: float) -> None:
    runs = [
        rehearsal.Run(("random", "auto")[at % 2], "frozen", at // 2, [25, 50, 75], accuracy, [0.1] * 3)
        for at, accuracy in enumerate(accuracies)
    ]
    entries = rehearsal.summary(runs, {"frozen": full})
    for entry in entries:
        accuracy = rehearsal.Estimate(**entry["score"])
        assert math.isnan(accuracy.low) or in_order(accuracy, 0, 1)
        for name in ("area", "ratio"):
            if name in entry:
                against = rehearsal.Estimate(*(entry[name][key] for key in ("mean", "low", "high")))
                assert math.isfinite(against.mean)
                assert math.isnan(against.low) or in_order(against, 0)
    assert rehearsal.verdict(entries)
    assert not rehearsal.table(entries).map(lambda cell: "nan" in cell).any(axis=None)


def test_seeds_that_differ_leave_no_accuracy_above_one() -> None:
    found = rehearsal.Estimate.of([0.978, 1.0], 0.0, 1.0)
    assert (round(found.mean, 3), round(found.low, 3), found.high) == (0.989, 0.849, 1.0)


@given(seconds=st.lists(st.floats() | st.none(), max_size=6), rate=st.sampled_from([0.0, 30.0]))
def test_money_is_known_or_none(seconds: list[float | None], rate: float) -> None:
    each = money.seconds_a_label([np.nan if one is None else one for one in seconds])
    assert each is None or (math.isfinite(each) and each > 0)
    ledger = pd.DataFrame({"annotation_id": range(len(seconds)), "lead_time_s": pd.array(seconds, dtype="Float64")})
    paid = money.costs(ledger.astype({"lead_time_s": float}), pd.DataFrame({"round": [0]}), rate, 0.5)
    known = [one for one in (paid.label, paid.labels, paid.total, paid.compute) if one is not None]
    assert all(math.isfinite(one) and one >= 0 for one in known)
    worth = money.net(Interval(1.0, -2.0, 5.0), paid)
    assert worth is None or in_order(worth)


@pytest.mark.parametrize("texts", ["one word", "", "! ?"])
@pytest.mark.parametrize("classes", [["a"], ["a", "b"]])
@pytest.mark.parametrize("weight", [1.0, 0.01])
def test_the_successor_of_labels_that_say_nothing(texts: str, classes: list[str], weight: float) -> None:
    labels = pd.DataFrame({"text": texts, "label": (classes * 60)[:60]})
    half = np.arange(60) < 30
    for items in (1, 3):
        gold = pd.DataFrame({"text": texts, "label": "a", "weight": weight}, index=range(items))
        found = successor.check(labels, half, ~half, gold, seed=0)
        assert found is not None and not found.worse
        assert all(math.isfinite(one) for one in figures(found.as_json()))
        assert 0 <= found.chosen <= 1 + 1e-9 and found.low <= found.difference <= found.high


def test_models_that_judge_no_item_in_common_have_neither_agreed_nor_changed() -> None:
    scores = pd.DataFrame({"id": ["a"], "prediction": ["x"], "least_confidence": [0.0]})
    assert report.settling(scores, scores.assign(id="b")) == {"uncertainty": 0.0, "kappa": None, "changed": None}
    assert report.settling(scores, scores) == {"uncertainty": 0.0, "kappa": 1.0, "changed": 0.0}


def test_a_model_that_says_one_class_alone_is_compared_with_one_that_says_more() -> None:
    scores = pd.DataFrame({"id": list("abcd"), "prediction": ["x"] * 4, "least_confidence": [0.0] * 4})
    scores = scores.astype({"prediction": "string[pyarrow]"})  # as a file gives it
    other = scores.assign(prediction=pd.Series(["x", "x", "x", "y"], dtype="string[pyarrow]"))
    for now, before in ((scores, other), (other, scores)):
        assert report.settling(now, before) == {"uncertainty": 0.0, "kappa": 0.0, "changed": 0.25}
