"""Gold for measures by classes: where one label tells most, and that what is drawn for several measures stays right."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.gold import active_testing, influence
from labelwise.tasks.gold.drawing import aim_of
from labelwise.tasks.gold.intervals import enough, estimated, lacking
from labelwise.tasks.kinds import choice, multilabel
from labelwise.tasks.kinds.base import Answer
from labelwise.tasks.kinds.measures import measure_of
from labelwise.tasks.settings import measure_named, parse

Floats = NDArray[np.float64]
CLASSES = ["common", "other", "rare"]


def moved(name: str, answer: Answer, p: Floats, said: Sequence[str], step: float = 1e-6) -> Floats:
    """The mean squares from the measure itself: how far it moves when an item counts a little more, its truth drawn
    from p, and that of all others as the model expects it."""
    measure = measure_of(measure_named(name, answer.NAME, CLASSES), answer, CLASSES)
    single = answer.NAME == choice.NAME
    bits = np.array([[code >> c & 1 for c in range(3)] for code in range(8)])
    sets = [multilabel.label_of(CLASSES[c] for c in range(3) if row[c]) for row in bits]
    every = CLASSES if single else sets
    chance = p if single else np.prod(np.where(bits, p[:, None, :], 1 - p[:, None, :]), axis=2)
    whole_said, whole_truth = np.repeat(np.asarray(said, dtype=object), len(every)), every * len(said)
    even = chance.ravel()
    before = measure.value(list(whole_said), whole_truth, even)
    found = np.zeros(len(said))
    parts = measure.parts(list(whole_said), whole_truth)
    for at in range(len(even)):
        heavier = even.copy()
        heavier[at] += step
        found[at // len(every)] += even[at] * ((measure.values(parts, heavier[None])[0] - before) / step) ** 2
    return found / found.max()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("f1:rare", choice),
        ("macro_f1", choice),
        ("balanced_accuracy", choice),
        ("f1:rare", multilabel),
        ("macro_f1", multilabel),
        ("recall:rare at precision 0.8", choice),
        ("recall:rare at precision 0.7", multilabel),
    ],
)
def test_what_an_item_may_tell_is_how_far_it_moves_the_measure(name: str, answer: Answer) -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([3, 2, 1], 30)
    said = list(answer.decide(p, CLASSES, None))
    found = influence.squares(measure_named(name, answer.NAME, CLASSES), answer, CLASSES, p, said)
    np.testing.assert_allclose(found, moved(name, answer, p, said), atol=2e-3)


def test_where_nothing_of_a_class_is_expected_all_are_alike() -> None:
    p = np.repeat([[0.6, 0.4, 0.0]], 8, axis=0)
    found = influence.squares(measure_named("f1:rare", "choice", CLASSES), choice, CLASSES, p, ["common"] * 8)
    assert active_testing.proposal(found).tolist() == [1 / 8] * 8


def test_a_model_that_never_says_a_class_is_measured_where_it_may_be() -> None:
    p = np.column_stack([np.linspace(0.6, 1, 9), np.zeros(9), 1 - np.linspace(0.6, 1, 9)])
    found = influence.squares(measure_named("f1:rare", "choice", CLASSES), choice, CLASSES, p, ["common"] * 9)
    assert (np.diff(active_testing.proposal(found)) < 0).all()


def rare(rng: np.random.Generator, n: int, share: float) -> tuple[list[str], list[str], Floats]:
    """Truth, what a model says that is surer than it may be, and its chances, of a class as rare as that."""
    true = rng.random(n) < share
    signal = rng.normal(size=n) + 2.5 * true + rng.normal(scale=0.3, size=n)
    p = 1 / (1 + np.exp(-1.3 * (2.5 * signal - 2.5**2 / 2 + np.log(share / (1 - share)))))
    names = np.array(["common", "rare"], dtype=object)
    return names[true * 1].tolist(), names[(p > 0.5) * 1].tolist(), np.column_stack([1 - p, p])


@pytest.mark.parametrize("name", ["f1:rare", "balanced_accuracy"])
def test_of_a_rare_class_gold_drawn_for_it_tells_several_times_as_much(name: str) -> None:
    rng, classes = np.random.default_rng(3), ["common", "rare"]
    truth, said, p = rare(rng, 20_000, 0.03)
    aim = measure_named(name, "choice", classes)
    measure = measure_of(aim, choice, classes)
    real, g, runs = measure.value(said, truth), 120, 60
    errors: dict[str, list[float]] = {"chance": [], "doubt": [], "aimed": [], "in turn": []}
    held = 0
    for _ in range(runs):
        rows = rng.choice(len(truth), 1500, replace=False)
        squares = influence.squares(aim, choice, classes, p[rows], [said[row] for row in rows])
        doubt = 1 - p[rows].max(axis=1)
        drawn = {"chance": [np.full(1500, np.nan)], "doubt": [doubt], "aimed": [squares], "in turn": [doubt, squares]}
        for way, proposals in drawn.items():
            left, parts = np.arange(1500), []
            for one in proposals:  # a draw after another, each for what it is to tell
                found = active_testing.draw(one[left], g // len(proposals), rng)
                parts.append((rows[left[found.rows]], found.propensity, found.among))
                left = np.delete(left, found.rows)
            items, propensity, among = (np.concatenate(part) for part in zip(*parts, strict=True))
            weights = active_testing.weights(propensity, among)
            gold = [said[row] for row in items], [truth[row] for row in items], weights
            if seen := estimated(measure, *gold):
                errors[way].append(seen.value - real)
                held += way == "aimed" and seen.low <= real <= seen.high
    spread = {way: float(np.mean(np.square(found))) for way, found in errors.items()}
    assert spread["aimed"] < 0.4 * spread["chance"]
    assert spread["aimed"] < spread["doubt"] < spread["chance"]
    assert spread["in turn"] < spread["chance"]
    for way in ("aimed", "in turn"):  # no bias beyond what a ratio of few items has
        assert abs(np.mean(errors[way])) < 3 * np.std(errors[way]) / runs**0.5 + 0.02
    assert held / runs >= 0.88


def test_draws_for_several_measures_leave_the_mean_unbiased() -> None:
    rng = np.random.default_rng(5)
    losses, first, then = rng.random(40) ** 4, rng.random(40), rng.random(40) ** 6
    found = []
    for _ in range(4000):
        one = active_testing.draw(first, 5, rng)
        left = np.delete(np.arange(40), one.rows)
        two = active_testing.draw(then[left], 5, rng)
        rows = np.concatenate([one.rows, left[two.rows]])
        pairs = ((one.propensity, two.propensity), (one.among, two.among))
        found.append(active_testing.weights(*(np.concatenate(pair) for pair in pairs)) @ losses[rows] / 10)
    assert abs(np.mean(found) - losses.mean()) < 3 * np.std(found) / 4000**0.5


def test_so_many_gold_items_are_enough() -> None:
    rng, classes = np.random.default_rng(7), ["common", "rare"]
    truth, said, _ = rare(rng, 50_000, 0.5)
    for name in ("accuracy", "f1:rare", "balanced_accuracy"):
        aim = measure_named(name, "choice", classes)
        measure = measure_of(aim, choice, classes)
        g = enough(aim, 2, value=measure.value(said, truth)) * (1 if name == "accuracy" else 2)
        rows = rng.choice(len(truth), (200, g))
        ends = [estimated(measure, [said[at] for at in r], [truth[at] for at in r], np.ones(g)) for r in rows]
        assert np.mean([end.high - end.low for end in ends if end]) == pytest.approx(0.2, rel=0.25)


def test_too_few_are_said_and_enough_are_not() -> None:
    aim = measure_named("macro_f1", "choice", CLASSES)
    few = lacking(aim, {"common": 90, "other": 3, "rare": 2}, 0.3, 0.8)
    assert few.startswith("2 gold items of rare; about 25 of each would give an interval of +-0.1 (and fewer than")
    assert lacking(aim, {"common": 90, "other": 3, "rare": 2}, 0.6, 0.75) == ""
    assert lacking(aim, dict.fromkeys(CLASSES, 80), 0.3, 0.8) == ""
    assert lacking(measure_named("accuracy", "choice", CLASSES), {"common": 1}, 0.0, 1.0) == ""


def test_a_class_without_a_name_is_not_taken_for_none() -> None:
    given = {"project": {"name": "n", "id": "i"}, "classes": ["ham", "spam"], "pull": {"pool": "p", "gold": "g"}}
    settings = parse(given)
    assert aim_of(settings, None) == settings.measure and aim_of(settings, "spam").text == "f1:spam"
    with pytest.raises(InputError):
        aim_of(settings, "")
