"""The promise is kept as often as it says, for models and losses that were made to break it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from labelwise.tasks.proof import promise

RUNS, RISK = 1500, 0.05
MOST = RISK + 3 * (RISK * (1 - RISK) / RUNS) ** 0.5  # of a thousand correct methods, one lies above


def broken(losses: NDArray[np.float64], share: float, budget: int, whole: bool) -> float:
    """How often more losses than the budget are left, over many exams of items with these losses in this order."""
    rng = np.random.default_rng(0)
    allowed = promise.mistakes(budget, share, RISK, whole)
    times = 0
    for _ in range(RUNS):
        inside = rng.random(len(losses)) < share
        end = promise.trusted(np.where(inside, losses, np.nan), allowed)
        times += losses[:end][~inside[:end]].sum() > budget
    return times / RUNS


WRONG = {
    "all": np.ones(2000),
    "a share everywhere": (np.random.default_rng(1).random(2000) < 0.1).astype(float),
    "the doubtful ones": (np.random.default_rng(2).random(2000) < np.linspace(0, 1, 2000) ** 3).astype(float),
    "the surest ones": (np.arange(2000) < 150).astype(float),
    "just too many at the end": (np.arange(2000) >= 2000 - 60).astype(float),
}


@pytest.mark.parametrize("where", WRONG)
@pytest.mark.parametrize(("budget", "share"), [(20, 0.2), (40, 0.1), (40, 0.5)])
def test_the_promise_is_broken_no_more_often_than_it_says(where: str, budget: int, share: float) -> None:
    assert broken(WRONG[where], share, budget, whole=True) <= MOST


@pytest.mark.parametrize("where", WRONG)
def test_so_are_promises_about_losses_between_0_and_1(where: str) -> None:
    part = WRONG[where] * np.random.default_rng(3).random(2000)
    assert broken(part, 0.2, 20, whole=False) <= MOST
    assert broken(WRONG[where], 0.2, 20, whole=False) <= MOST


@pytest.mark.parametrize("gold", [500, 0])
def test_neither_gold_nor_what_the_model_knows_need_be_like_the_pool(gold: int) -> None:
    """A class that the model never saw, of whose items it is as sure as of all others, and a gold set that has none of
    them: the forecast is far off, and the promise is kept."""
    doubt = np.linspace(0, 0.3, 2000) ** 2
    losses = (np.random.default_rng(7).random(2000) < 0.12).astype(float)
    found = promise.plan(promise.expected(doubt, doubt[:gold], np.zeros(gold)), 40, RISK)
    assert not gold or found.people < 1000  # of 2,000, as it looks from there
    assert broken(losses, found.share, 40, whole=True) <= MOST


def test_it_does_not_waste_what_may_be_wrong() -> None:
    """Where a share is wrong everywhere the model labels most of the items that it could by the truth itself."""
    losses = WRONG["a share everywhere"]
    assert broken(losses, 0.2, 100, whole=True) > 0.5 * RISK
    inside = np.random.default_rng(4).random(2000) < 0.2
    end = promise.trusted(np.where(inside, losses, np.nan), promise.mistakes(100, 0.2, RISK))
    assert end > 0.6 * np.searchsorted(np.cumsum(losses), 100)


def test_a_plan_takes_the_share_for_which_people_label_least_and_comes_true() -> None:
    """Its expectation is that over many exams, also where a mistake or two are all that may be found."""
    expected = np.linspace(0, 0.6, 5000) ** 2
    rng = np.random.default_rng(5)
    slips = np.array([0.5, 0, 0, 0.3, 0.2, 0])
    found = promise.plan(expected, 100, RISK, slips=slips)

    def people(share: float) -> list[int]:
        """Over exams of worlds whose level of losses is not quite the expected one, and where people slip."""
        allowed, taken = promise.mistakes(100, share, RISK), []
        for _ in range(300):
            slip = rng.choice(promise.SLIPS, p=slips)
            rate = (expected + slip - slip * expected) * rng.gamma(promise.LEVEL, 1 / promise.LEVEL)
            losses = rng.random(5000) < rate
            inside = rng.random(5000) < share
            end = promise.trusted(np.where(inside, losses.astype(float), np.nan), allowed)
            taken.append(5000 - int((~inside[:end]).sum()))
        return taken

    taken = people(found.share)
    assert np.mean(taken) == pytest.approx(found.people, rel=0.04)
    assert np.quantile(taken, [0.1, 0.9]) == pytest.approx([found.least, found.most], rel=0.06)
    for share in (found.share / 3, found.share * 3):
        assert np.mean(people(share)) > np.mean(taken)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1])
def test_how_often_people_slip_is_learned_from_what_they_said_of_what_no_model_had_learned(share: float) -> None:
    rng = np.random.default_rng(6)
    expected = np.linspace(0, 0.3, 2000) ** 2
    losses = (rng.random(2000) < expected + share - expected * share).astype(float)
    found = promise.slipping(expected, losses)
    assert found.sum() == pytest.approx(1)
    assert float(found @ promise.SLIPS) == pytest.approx(share, abs=0.008)
    assert promise.slipping(expected[:0], losses[:0]) == pytest.approx(promise.LIKELY)


def test_where_no_exam_can_show_it_people_label_everything() -> None:
    assert promise.plan(np.full(40, 0.01), 0, RISK) == promise.Plan(1.0, -1.0, 0, 0, 40, 40, 40)
    assert promise.trusted(np.array([np.nan, np.nan]), -1.0) == 0
    assert promise.mistakes(10, 1.0, RISK) < 0


def test_what_is_expected_follows_gold_as_far_as_there_is_any() -> None:
    doubt = np.array([0.1, 0.5, 0.9])
    assert promise.expected(doubt).tolist() == doubt.tolist()
    rng = np.random.default_rng(0)
    known = rng.random(4000)
    wrong = (rng.random(4000) < known / 2).astype(float)  # half as wrong as it thinks
    assert promise.expected(doubt, known, wrong) == pytest.approx(doubt / 2, abs=0.08)
    assert promise.expected(doubt, known[:3], wrong[:3]) == pytest.approx(doubt, abs=0.12)
