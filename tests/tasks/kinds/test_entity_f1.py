"""Entity F1 as a measure: counted by hand, its interval, and the difference between two models as scores of items."""

import numpy as np
import pytest

from labelwise.tasks.gold.intervals import estimated
from labelwise.tasks.kinds import measures, spans
from labelwise.tasks.settings import measure_named

CLASSES = ["LOC", "PER"]


def drawn(seed: int, n: int = 60) -> tuple[list[str], list[str], list[str]]:
    """What is true of n texts, and what two models say, the second less well."""
    rng = np.random.default_rng(seed)
    truth, first, second = [], [], []
    for _ in range(n):
        true = {(int(at), int(at) + 3, str(rng.choice(CLASSES))) for at in rng.choice(50, rng.integers(0, 4)) * 4}
        labels = [true]
        for wrong in (0.2, 0.5):
            said = {span for span in true if rng.random() > wrong}
            said |= {(300, 301 + at, "PER") for at in range(int(rng.poisson(wrong)))}
            labels.append(said)
        for into, label in zip((truth, first, second), labels, strict=True):
            into.append(spans.label_of(label))
    return truth, first, second


def by_hand(said: list[str], truth: list[str], of: str | None = None) -> float:
    hits = told = true = 0
    for one, other in zip(said, truth, strict=True):
        mine, theirs = ({span for span in spans.spans_of(each) if of in (None, span[2])} for each in (one, other))
        hits, told, true = hits + len(mine & theirs), told + len(mine), true + len(theirs)
    return 2 * hits / (told + true)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_is_counted_by_hand(seed: int) -> None:
    truth, first, second = drawn(seed)
    measure = measures.measure_of(measure_named(None, "spans", CLASSES), spans, CLASSES)
    assert measure.name == "entity_f1" and not measure.plain
    assert measure.value(first, truth) == pytest.approx(by_hand(first, truth))
    of_one = measures.measure_of(measure_named("f1:PER", "spans", CLASSES), spans, CLASSES)
    assert of_one.value(first, truth) == pytest.approx(by_hand(first, truth, "PER"))
    macro = measures.measure_of(measure_named("macro_f1", "spans", CLASSES), spans, CLASSES)
    assert macro.value(first, truth) == pytest.approx(np.mean([by_hand(first, truth, name) for name in CLASSES]))
    weights = np.random.default_rng(seed).uniform(0.5, 2, len(truth))
    for each in (measure, of_one, macro):
        paired = each.paired(first, second, truth, weights)
        difference = each.value(first, truth, weights) - each.value(second, truth, weights)
        mean = ((paired.new - paired.old) @ paired.weights) / paired.weights.sum()
        assert paired.scale * mean == pytest.approx(difference)
        assert min(paired.new.min(), paired.old.min()) >= 0 and max(paired.new.max(), paired.old.max()) <= 1


def test_its_interval_holds_what_many_texts_give() -> None:
    measure = measures.measure_of(measure_named(None, "spans", CLASSES), spans, CLASSES)
    truth, first, _ = drawn(9, 6000)
    whole = measure.value(first, truth)
    held = 0
    for at in range(100):
        part = slice(60 * at, 60 * at + 60)
        found = estimated(measure, first[part], truth[part], np.ones(60))
        assert found is not None and found.low <= found.value <= found.high
        held += found.low <= whole <= found.high
    assert held >= 89  # 95 expected; fewer than 89 by chance once in a hundred


def test_gold_without_a_span_tells_nothing() -> None:
    measure = measures.measure_of(measure_named(None, "spans", CLASSES), spans, CLASSES)
    assert estimated(measure, ["[]"], ["[]"], np.ones(1)) is None
