"""A promise that no longer holds is noticed, and one that holds is not doubted more often than it says."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from labelwise.tasks.proof import watching
from labelwise.tasks.proof.watching import Watch, alarm, begin, raised, raised_by, update

WRONG = 0.05


def noticed(losses: NDArray[np.float64], wrong: float = WRONG) -> float:
    """After how many items the alarm is raised; infinite where it is not."""
    watch = begin(wrong)
    for at, loss in enumerate(losses.tolist(), start=1):
        watch = update(watch, loss)
        if alarm(watch):
            return at
    return math.inf


def drawn(seed: int, *chances: tuple[int, float]) -> NDArray[np.float64]:
    """Losses of 0 and 1, so many with each chance."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random(items) < chance for items, chance in chances]).astype(float)


def test_false_alarms_are_rare_for_ever() -> None:
    """Right at the promise, where they are likeliest; of 80 watches at most 5 % and three standard errors."""
    assert np.mean([noticed(drawn(seed, (1500, WRONG))) < math.inf for seed in range(80)]) <= 0.05 + 0.073


def test_no_bet_is_in_favour_of_who_stakes() -> None:
    """What makes the alarm valid for ever: whatever is owned, its mean does not rise while the promise holds."""
    for losses in (drawn(1, (400, 0.02)), drawn(2, (400, 0.2)), np.empty(0)):
        watch = begin(WRONG)
        for loss in losses.tolist():
            watch = update(watch, loss)
        for parts in ([(0.0, 0.95), (1.0, 0.05)], [(0.0, 0.5), (0.1, 0.5)], [(0.02, 1.0)]):
            mean = sum(chance * whole(update(watch, loss)) for loss, chance in parts)
            assert mean <= whole(watch) * (1 + 1e-9)


def whole(watch: Watch) -> float:
    """What is owned by now, and what waits."""
    waits = watching.PATIENCE / (watching.PATIENCE + watch.wrong * watch.seen)
    return waits + float(np.dot(watching.PARTS, watch.fortunes))


@pytest.mark.parametrize(("before", "most"), [((0, 0.0), 260), ((300, WRONG), 260), ((1000, WRONG / 2), 400)])
def test_twice_as_many_mistakes_are_noticed(before: tuple[int, float], most: int) -> None:
    took = [noticed(drawn(seed, before, (2000, 2 * WRONG))) - before[0] for seed in range(40)]
    assert 0 < np.median(took) <= most


def test_a_flood_of_mistakes_is_noticed_at_once() -> None:
    assert noticed(np.concatenate([np.zeros(2000), np.ones(50)])) <= 2010
    assert noticed(np.full(300, 0.3)) <= 60, "losses between 0 and 1 count as far as they go"
    assert noticed(np.full(5000, WRONG)) == math.inf


def test_an_alarm_stays_and_survives_the_disk() -> None:
    watch = begin(WRONG)
    for loss in [1.0] * 2000 + [0.0] * 500:
        kept = json.loads(json.dumps(asdict(watch), allow_nan=False))
        watch = update(Watch(**kept), loss)
    assert alarm(watch)
    assert watch.seen == 2500
    assert not alarm(begin(WRONG))


def test_it_knows_about_when_the_change_began() -> None:
    off = []
    for seed in range(40):
        watch = begin(WRONG)
        for loss in drawn(seed, (1000, 0.02), (2000, 0.15)).tolist():
            watch = update(watch, loss)
            if alarm(watch):
                break
        off.append(watch.seen - watch.since - 1000)
    assert abs(np.median(off)) <= 15


def changed(items: int, wrong_below: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """1,000 right answers, then some that are wrong below a confidence."""
    sure = 0.9 + np.random.default_rng(0).random(1000 + items) / 10
    return sure, np.where(np.arange(1000 + items) < 1000, 0.0, sure < wrong_below).astype(float)


def test_after_an_alarm_only_what_still_keeps_the_promise_is_answered() -> None:
    sure, lost = changed(200, 0.94)
    watch = begin(WRONG)
    for loss in lost.tolist():
        watch = update(watch, loss)
    assert alarm(watch)
    assert watch.since == pytest.approx(200, abs=10)
    end = raised(watch, sure, lost, 0.05)
    assert 0.935 <= end.value <= 0.945
    assert end.coverage == pytest.approx(0.6, abs=0.1)
    assert raised(watch, sure, np.ones(1200), 0.05).value == math.inf


def test_all_that_was_watched_says_from_where_on_the_model_answers() -> None:
    assert raised_by(*changed(0, 0.0), WRONG, 0.05) == -math.inf
    assert raised_by(np.empty(0), np.empty(0), WRONG, 0.05) == -math.inf
    assert raised_by(*changed(1500, 1.0), WRONG, 0.05) == math.inf


def test_a_raised_threshold_is_found_when_enough_was_watched_and_watched_in_turn() -> None:
    """What is answered no more does not count; what still is may be found wrong later."""
    sure, lost = changed(1000, 0.94)
    found = [raised_by(sure[:n], lost[:n], WRONG, 0.05) for n in (1000, *range(1003, 1043, 4), 2000)]
    assert set(found[:-1]) == {-math.inf, math.inf}, "at once nothing is answered, whatever was right before"
    assert 0.935 <= found[-1] <= 0.96
    sure, lost = np.append(sure, np.full(1000, 0.91)), np.append(lost, np.ones(1000))
    assert raised_by(sure, lost, WRONG, 0.05) == found[-1]
    assert raised_by(np.append(sure, np.full(30, 0.99)), np.append(lost, np.ones(30)), WRONG, 0.05) == math.inf
