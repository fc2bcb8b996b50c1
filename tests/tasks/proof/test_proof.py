"""What labels were worth: curves, savings, money, the gate, successors and when to stop, each against a known truth."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from labelwise.tasks.kinds import multilabel
from labelwise.tasks.kinds.measures import Parts, of_scores
from labelwise.tasks.proof import control, money, savings, stopping, successor
from labelwise.tasks.proof.curves import LEAST, MOST, Points, posterior
from labelwise.tasks.proof.gate import FINE, by_signs, compare, level
from labelwise.tasks.proof.savings import Interval
from labelwise.tasks.records import LABELS
from tests.bench import proof_imported, proof_rare

GOLD = 400


# Curves


def points(of: Callable[[NDArray[np.float64]], NDArray[np.float64]], noise: float = 0.003) -> Points:
    sizes = np.array([25.0, 50, 100, 200, 400])
    return Points(sizes, np.tile(of(sizes), (800, 1)), np.full(5, noise))


@pytest.mark.parametrize(
    "of",
    [
        lambda n: 0.05 + 1.5 * n**-0.6,  # a power law
        lambda n: 0.08 + 0.9 / (1 + (n / 150) ** 1.3),  # bends like an S in log n
        lambda n: 0.1 + 0.4 * np.exp(-n / 300),  # of another family
    ],
)
def test_a_curve_is_followed_where_it_was_seen_and_a_little_beyond(of: Callable[..., NDArray[np.float64]]) -> None:
    curves = posterior(points(of), np.random.default_rng(0))
    for n in (60.0, 300.0, 800.0):
        low, high = np.quantile(curves.errors(n), [0.005, 0.995])
        assert low - 0.005 <= of(np.array(n)) <= high + 0.005
    far, near = (np.ptp(np.quantile(curves.errors(n), [0.05, 0.95])) for n in (4000.0, 400.0))
    assert far > near  # what has not been seen is known less well


def test_labels_for_is_the_inverse_of_errors() -> None:
    curves = posterior(points(lambda n: 0.05 + 1.5 * n**-0.6), np.random.default_rng(0))
    for n in (30.0, 250.0, 2000.0):
        back = curves.labels_for(curves.errors(n))
        assert np.allclose(back, n, rtol=1e-6)
    assert np.allclose(curves.labels_for(np.full(800, -0.1)), MOST * 400)  # never
    assert np.allclose(curves.labels_for(np.full(800, 9.0)), LEAST * 400)  # from the start


def test_more_noise_means_wider_curves() -> None:
    quiet, loud = (
        np.ptp(
            np.quantile(
                posterior(points(lambda n: n**-0.5, noise), np.random.default_rng(0)).errors(400.0), [0.05, 0.95]
            )
        )
        for noise in (0.003, 0.03)
    )
    assert loud > 2 * quiet


# The savings meter


def world(power: float, seed: int) -> savings.PartsOf:
    """A learner whose error after n labels is n^-power, chosen labels worth `gain` random ones each: label numbers
    below 10,000 are random, the others chosen."""
    rng = np.random.default_rng(seed)
    hardness = rng.random(GOLD)

    def judged(rows: NDArray[np.int64]) -> Parts:
        worth = float(np.where(rows < 10_000, 1.0, power).sum())
        own = np.random.default_rng(rows)  # a training set's luck
        error = 0.9 * max(worth, 1.0) ** -0.35 * np.exp(own.normal(scale=0.03))
        return of_scores(np.asarray(hardness >= error, dtype=np.float64))

    return judged


def played(power: float, seed: int, rounds: int = 20, batch: int = 25) -> savings.Savings:
    arm = np.arange(rounds * batch // 5)
    chosen = 10_000 + np.arange(rounds * batch * 4 // 5)
    so_far = [np.concatenate([arm[: n * batch // 5], chosen[: n * batch * 4 // 5]]) for n in range(1, rounds + 1)]
    rng = np.random.default_rng(seed)
    found = savings.measure(world(power, seed), so_far, arm, np.ones(GOLD), rng)
    assert found is not None
    return found


def test_labels_that_are_worth_three_are_found_to_save() -> None:
    for seed in range(5):
        found = played(3.0, seed)
        assert found.verdict == "saves"
        assert found.ratio.low <= 1 / 2.6 <= found.ratio.high  # four in five are worth three: 2.6 on average
        assert found.labels == 500 and found.control == 100
        assert found.further is None


def test_answers_that_are_right_in_part_save_as_well() -> None:
    """The same learner, whose answers miss by a half where it is nearly right."""
    for seed in range(3):
        judge = world(3.0, seed)

        def in_part(rows: NDArray[np.int64], judge: savings.PartsOf = judge) -> Parts:
            return of_scores((judge(rows).hits[:, 0] + judge(rows[: len(rows) * 3 // 4]).hits[:, 0]) / 2)

        arm, chosen = np.arange(100), 10_000 + np.arange(400)
        so_far = [np.concatenate([arm[: 5 * n], chosen[: 20 * n]]) for n in range(1, 21)]
        found = savings.measure(in_part, so_far, arm, np.ones(GOLD), np.random.default_rng(seed))
        assert found is not None and found.verdict == "saves"
    assert savings.sentence(replace(found, ratio=Interval(1.1, 0.9, 1.3)), "set F1").startswith("savings: cannot tell")
    stood_still = replace(found, ratio=Interval(0.5, 0.3, 0.8), projected=Interval(2.5, 1.2, 4.0))
    assert savings.sentence(stood_still, "set F1").endswith("random ones would take for its present set F1")


def test_labels_that_are_worth_little_turn_the_meter_red_within_ten_rounds() -> None:
    for seed in range(5):
        found = played(0.05, seed, rounds=10)
        assert found.verdict == "costs"
        assert found.ratio.low > 1


def test_labels_like_any_others_save_nothing_and_the_meter_does_not_claim_it() -> None:
    found = [played(1.0, seed) for seed in range(20)]
    covered = [one.ratio.low <= 1 <= one.ratio.high for one in found]
    assert sum(covered) >= 16
    projected = [one.projected.low <= 1 <= one.projected.high for one in found]
    assert sum(projected) >= 16


def test_the_control_arm_shrinks_by_what_the_meter_says_and_never_to_nothing() -> None:
    def share(found: savings.Savings) -> float:
        return control.arm("auto", found.as_json()).share

    saves = played(3.0, 0)
    sure = replace(saves, ratio=Interval(0.4, 0.3, 0.5), known=True)
    assert share(sure) == 0.05
    assert share(replace(sure, known=False)) == share(replace(sure, ratio=Interval(0.4, 0.2, 0.5))) == 0.1
    assert share(replace(sure, ratio=Interval(0.9, 0.7, 1.2))) == share(played(0.05, 0, rounds=10)) == 0.2
    flat = [{"labels": n, "low": 0.0, "middle": 0.0, "high": 0.1} for n in (8.0, 40.0)]
    risen = [{"labels": n, "low": n / 500, "middle": 0.5, "high": 0.9} for n in (25.0, 200.0)]
    idle = replace(sure, ratio=Interval(0.1, 0.01, 0.5), known=False, curves={"random": flat, "loop": risen})
    assert share(idle) == 0.05
    assert control.arm(0.3, idle.as_json()) == control.Arm(0.3)


def test_a_control_arm_that_shrinks_biases_neither_the_meter_nor_the_share_of_a_class() -> None:
    found = [proof_rare.played("auto", 4.0, 10, seed) for seed in range(4)]
    assert all(shares[0] == 0.2 for shares, _, _, _ in found)
    assert np.mean([shares[-1] for shares, _, _, _ in found]) < 0.2
    assert sum(held for _, held, _, _ in found) >= 3
    off = [of_class - proof_rare.RARE for _, _, of_class, _ in found]
    assert abs(np.mean(off)) < 3 * (proof_rare.RARE * (1 - proof_rare.RARE) / sum(arm for *_, arm in found)) ** 0.5


def test_the_same_seed_gives_the_same_figures() -> None:
    assert played(2.0, 3).as_json() == played(2.0, 3).as_json()


def test_a_loop_that_stood_still_after_a_good_start_costs() -> None:
    good_start = replace(played(1.0, 0), ratio=Interval(0.5, 0.3, 0.8), projected=Interval(0.5, 0.1, 2.0))
    assert good_start.verdict == "saves"
    stood_still = replace(good_start, projected=Interval(2.5, 1.2, 4.0))
    assert stood_still.verdict == "costs"
    assert "NO GAIN HERE: the loop needs 2.50 (1.20 to 4.00)" in savings.sentence(stood_still)


def test_models_that_all_name_one_class_are_no_proof_that_training_sets_are_alike() -> None:
    rng = np.random.default_rng(0)
    assert min(savings.spread({2: 0.0, 4: 0.0}, 1.0, rng) for _ in range(50)) > 0
    wide, narrow = (np.mean([savings.spread({2: 4e-4, 4: 4e-4}, falls, rng) for _ in range(50)]) for falls in (0, 1))
    assert wide > narrow  # where variances do not fall with size, the whole arm varies as much as its parts


def test_labels_imported_before_the_first_round_are_what_both_arms_begin_with() -> None:
    """A loop that is chance, with 1,000 imported labels: it saves nothing, and needs no more than chance does."""
    found = [proof_imported.measured(1000, quiet=1.0, seed=seed) for seed in range(10)]
    assert all((one.base, one.labels, one.control) == (1000, 400, 80) for one in found)
    assert not [one for one in found if one.verdict != "unclear"]
    assert np.median([one.ratio.middle for one in found]) < 2.5  # with the loop's curve alone beginning there: 8
    assert sum(one.ratio.low <= 1 <= one.ratio.high for one in found) >= 9
    assert "after the 1,000 imported ones" in savings.sentence(found[0])
    assert found[0].curves["loop"][0]["labels"] == 1025


def test_what_a_small_arm_projects_is_not_known() -> None:
    small, large = played(1.0, 0, rounds=10), played(1.0, 0)
    assert (small.control, small.known, small.as_json()["missing"]) == (50, False, 50)
    assert (large.control, large.known, large.as_json()["missing"]) == (100, True, 0)
    promising = replace(small, ratio=Interval(1.0, 0.5, 2.0), projected=Interval(2.5, 1.2, 4.0))
    assert promising.verdict == "unclear"


def test_too_small_a_control_arm_has_no_curve() -> None:
    few = [np.arange(n) for n in (5, 10, 20)]
    assert savings.measure(world(1.0, 0), few, np.arange(12), np.ones(GOLD), np.random.default_rng(0)) is None


def test_a_learner_that_learns_nothing_gives_no_verdict() -> None:
    hard = (np.random.default_rng(0).random(GOLD) < 0.3) * 1.0

    found = savings.measure(
        lambda _rows: of_scores(1 - hard),
        [np.arange(25 * n) for n in range(1, 9)],
        np.arange(40),
        np.ones(GOLD),
        np.random.default_rng(0),
    )
    assert found is not None
    assert found.verdict == "unclear"


def test_further_says_how_many_would_settle_it() -> None:
    assert savings.further(Interval(0.8, 0.5, 1.3), 100) == pytest.approx(
        100 * (((0.2624 + 0.2231) / 0.2231) ** 2 - 1), abs=2
    )
    assert savings.further(Interval(0.5, 0.3, 0.8), 100) is None  # settled
    assert savings.further(Interval(0.99, 0.3, 3.0), 100) is None  # out of reach


# The control arm


def test_the_order_of_the_pool_is_the_seeds_alone_and_new_items_do_not_move_the_old() -> None:
    ids = pd.Index([f"i{n}" for n in range(1000)])
    places = control.order(ids, 1)
    assert (control.order(ids.append(pd.Index(["new"])), 1)[:-1] == places).all()
    assert (control.order(ids, 2) != places).any()
    ranks = places.argsort().argsort()
    assert stats.kstest(ranks[:300] / 1000, "uniform").pvalue > 0.001


def test_without_a_control_label_there_is_no_control_arm() -> None:
    labels = pd.DataFrame({"id": ["a", "b"], "why": ["uncertain", "random"]})
    assert not control.sample(labels, pd.Index([]), 0).any()
    assert not control.sample(labels[:0], pd.Index(["c"]), 0).any()


def test_the_control_arm_stays_a_fair_sample_of_a_pool_that_grows_and_of_another_seeds_order() -> None:
    """200 items asked by chance from 1,000; then 1,000 of another kind come, and 40 labels a round go on, half of them
    by chance, half by a strategy that wants the new kind."""
    old, new = (pd.Index([f"{kind}{n:04d}" for n in range(1000)]) for kind in ("old", "new"))

    def asked_first(pool: pd.Index, asked: dict[str, str], k: int) -> list[str]:
        left = pool.difference(pd.Index(list(asked)))
        return left[np.argsort(control.order(left, 1))[:k]].tolist()

    def arm(pool: pd.Index, asked: dict[str, str], seed: int = 1) -> pd.Index:
        labels = pd.DataFrame({"id": list(asked), "why": list(asked.values())})
        still_open = pool.difference(pd.Index(labels.id))
        return pd.Index(labels.id[control.sample(labels, still_open, seed)])

    asked = dict.fromkeys(asked_first(old, {}, 200), control.WHY)
    assert len(arm(old, asked)) == 200
    assert len(arm(old, asked, seed=2)) < 20  # an order that nobody asked by
    pool = old.append(new)
    assert len(arm(pool, asked)) < 20  # every other place is one of the new items now
    for _ in range(12):
        asked |= dict.fromkeys(new.difference(pd.Index(list(asked)))[:20], "uncertain")
        asked |= dict.fromkeys(asked_first(pool, asked, 20), control.WHY)
    sample = arm(pool, asked)
    assert len(sample) > 300
    assert stats.binomtest(int(sample.str.startswith("new").sum()), len(sample), 0.5).pvalue > 0.01


# Money


def test_lead_times_that_cannot_be_work_do_not_move_the_cost() -> None:
    honest = np.full(100, 12.0)
    assert money.seconds_a_label(honest) == 12.0
    overnight = np.append(honest, 50_000.0)
    assert money.seconds_a_label(overnight) == pytest.approx(12.0, rel=0.1)
    assert money.seconds_a_label(np.append(honest, [0.1] * 5)) == pytest.approx(12.0, rel=0.1)
    assert money.seconds_a_label([np.nan, 0.0, -1.0]) is None
    assert money.seconds_a_label([]) is None


def test_costs_are_the_answers_times_their_rate_and_the_seconds_times_theirs() -> None:
    rows = pd.DataFrame({"annotation_id": [1, 2, None], "lead_time_s": [36.0, 36.0, None]})
    ledger = LABELS.conform(rows.reindex(columns=list(LABELS.columns)).assign(round=1))
    seconds = pd.DataFrame({"round": [1, 2], "train": [1800.0, 1800.0], "wait": [99_999.0, 0.0]})
    paid = money.costs(ledger, seconds, hourly_rate=30.0, compute_rate=0.5)
    assert (paid.label, paid.labels, paid.compute, paid.total) == pytest.approx((0.3, 0.6, 0.5, 1.1))
    free = money.costs(ledger, seconds, hourly_rate=0.0, compute_rate=0.0)
    assert free.total == 0.0
    unknown = money.costs(ledger[2:], seconds, 30.0, 0.5)
    assert unknown.labels is None and unknown.total == 0.5


def test_answers_that_made_gold_cost_what_their_seconds_cost() -> None:
    rows = pd.DataFrame({"annotation_id": [1], "lead_time_s": [36.0]})
    ledger = LABELS.conform(rows.reindex(columns=list(LABELS.columns)).assign(round=1))
    seconds = pd.DataFrame({"round": [1], "train": [3600.0]})
    given = pd.DataFrame({"task_id": [7, 7, 7], "annotation_id": [1, 2, 2], "lead_time_s": [60.0, 60.0, 60.0]})
    paid = money.costs(ledger, seconds, 30.0, 0.5, given)  # one of the two answers was changed: it was given once
    assert (paid.labels, paid.gold, paid.total) == pytest.approx((0.3, 1.0, 1.8))
    untimed = money.costs(ledger, seconds, 30.0, 0.5, given.assign(lead_time_s=np.nan))
    assert untimed.gold == pytest.approx(0.6)  # as long as any other answer


def test_money_saved_is_labels_at_their_price_less_all_computing() -> None:
    paid = money.Costs(36.0, 0.3, 30.0, 5.0)
    assert money.net(Interval(100, 50, 200), paid) == Interval(25.0, 10.0, 55.0)
    assert money.net(Interval(10, -5, 20), paid) == Interval(-2.0, -6.5, 1.0)  # computing cost more than was saved
    assert money.net(Interval(100, 50, 200), money.Costs(None, None, None, 5.0)) is None
    free = money.Costs(36.0, 0.0, 0.0, 0.0)
    assert money.net(Interval(100, 50, 200), free) == Interval(0.0, 0.0, 0.0)


# The gate


def test_the_p_value_is_mcnemars_exact_one_with_half_the_tie() -> None:
    for wins, losses in [(0, 0), (3, 1), (10, 10), (30, 12)]:
        n = wins + losses
        midp = stats.binom.sf(wins, n, 0.5) + stats.binom.pmf(wins, n, 0.5) / 2
        stakes = np.repeat([0.3, -0.3, 0.0], [wins, losses, 5])
        assert by_signs(stakes) == pytest.approx((midp, 1 - midp))


SCORES = st.sampled_from([0.0, 1.0]) | st.sampled_from([0.0, 1.0, 0.5, 2 / 3, 0.8]) | st.floats(0, 1)
PAIRS = st.lists(st.tuples(SCORES, SCORES, st.sampled_from([1.0, 0.2, 3.7])), min_size=1, max_size=60)


@given(pairs=PAIRS, even=st.booleans(), alpha=st.sampled_from([0.05, 0.0045, 1e-4, 0.3]))
@example(pairs=[(0.0, 0.0, 3.7), (0.0, 1.0, 0.2)], even=False, alpha=0.3)  # 0 is left out, 0.1 would not be
@example(pairs=[(1.0, 0.9, 1.0)] * 12 + [(0.0, 1.0, 1.0)], even=True, alpha=0.05)
def test_the_interval_is_that_of_the_test(pairs: list[tuple[float, float, float]], even: bool, alpha: float) -> None:
    new, old, weights = map(np.array, zip(*pairs, strict=True))
    weights = np.ones(len(weights)) if even else weights
    found, turned = compare(new, old, weights, alpha), compare(old, new, weights, alpha)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert 0 <= found.p_better <= 1 and 0 <= found.p_worse <= 1
    assert (found.low >= -1e-9) if found.p_better <= alpha else (found.low <= 1e-9)
    assert (found.high <= 1e-9) if found.p_worse <= alpha else (found.high >= -1e-9)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-7)
    assert (turned.p_better, turned.p_worse) == pytest.approx((found.p_worse, found.p_better))


@pytest.mark.parametrize(("g", "wins", "losses"), [(100, 0.06, 0.04), (300, 0.15, 0.05), (1000, 0.03, 0.02)])
def test_the_interval_holds_the_true_difference_as_often_as_it_says(g: int, wins: float, losses: float) -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        kinds = rng.choice(3, g, p=[wins, losses, 1 - wins - losses])
        weights = rng.choice([0.3, 1.0, 2.5], g, p=[0.4, 0.4, 0.2])
        found = compare((kinds != 1) * 1.0, (kinds != 0) * 1.0, weights, 0.025)
        held += found.low <= wins - losses <= found.high
    assert held / 400 >= 0.92


# Gains of a model that is better by a little often, and worse by much seldom: equal, on average
LOPSIDED = {"alike": ([-1.0, 0.0, 1 / 3], [0.05, 0.8, 0.15]), "in part": ([-2 / 3, 0.0, 1 / 3], [0.1, 0.7, 0.2])}


def lopsided(of: str, g: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    gains = rng.choice(LOPSIDED[of][0], g, p=LOPSIDED[of][1])
    return np.maximum(gains, 0), np.maximum(-gains, 0)


@pytest.mark.parametrize("of", LOPSIDED)
@pytest.mark.parametrize("weighed", [False, True])
def test_seldom_but_large_losses_are_not_taken_for_a_lead(of: str, weighed: bool) -> None:
    """At the level of a first look; the signs alone are wrong several times as often as that."""
    rng = np.random.default_rng(7)
    spent, signs, found, held = level(1, 0.95), 0, 0, 0
    for _ in range(300):
        pair = lopsided(of, 60, rng)
        weights = rng.gamma(2.0, 0.5, 60) if weighed else np.ones(60)
        one = compare(*pair, weights, 0.025)
        signs += by_signs((pair[0] - pair[1]) * weights)[0] <= spent
        found += one.p_better <= spent
        held += one.low <= 0 <= one.high
    assert signs > 300 * 1.5 * spent
    assert found <= 300 * 2.5 * spent  # what 300 draws may add by chance
    assert held / 300 >= 0.9


def test_scores_between_right_and_wrong_tell_more_and_less_where_nothing_has_been_seen() -> None:
    """The same mean difference by full gains, and by three times as many of a third."""
    at = np.arange(300)
    full, thirds = (at < 12) * 1.0, (at < 36) / 3
    coarse, fine = (compare(0.5 + one / 2, 0.5 - one / 2, np.ones(300), 0.0083) for one in (full, thirds))
    assert coarse.difference == pytest.approx(fine.difference)
    assert coarse.low < fine.low and coarse.high > fine.high
    for size in (1.0, 0.1):  # where only gains of a tenth were seen, a loss may still be of any size
        few = compare((at < 7) * size, np.zeros(300), np.ones(300), 0.0083)
        assert (few.p_better <= 0.0083) == (size == 1.0)


def test_signs_add_up_exactly_where_gains_are_simple_fractions() -> None:
    """A full gain is as much as two halves, or a third and two thirds: ties count by half."""
    for gains in ([1.0, -0.5, -0.5], [1.0, -1 / 3, -2 / 3], [0.4, 0.4, -0.8]):
        new, old = np.maximum(gains, 0), np.maximum(np.negative(gains), 0)
        found = compare(new, old, np.ones(3), 0.05)
        assert by_signs(new - old, FINE) == pytest.approx((0.5, 0.5))
        assert min(found.p_better, found.p_worse) >= 0.5


def test_models_that_never_differ_leave_room_for_what_a_few_items_cannot_show() -> None:
    found = compare(np.ones(50), np.ones(50), np.ones(50), 0.05)
    assert (found.low, found.high) == (pytest.approx(-0.0513, abs=1e-3), pytest.approx(0.0513, abs=1e-3))


def test_all_looks_at_a_champion_spend_together_what_one_test_would() -> None:
    spent = [level(look, 0.95) for look in range(1, 100_000)]
    assert sum(spent) == pytest.approx(0.05, rel=1e-3) and sum(spent) <= 0.05
    assert np.all(np.diff(spent) < 0)


def test_thirty_equal_models_seldom_crown_one_and_two_points_are_found() -> None:
    """Looks at 1,000 gold items. Which items are hard is the same in all, so that looks are alike, as they are."""
    rng = np.random.default_rng(0)

    def crowned(gain: float, runs: int = 60) -> float:
        found = 0
        for _ in range(runs):
            hard, champion = rng.random(1000), rng.random(1000)
            own = [hard + 0.1 * rng.random(1000) for _ in range(30)]
            old = hard + 0.1 * champion
            p = [compare((new < 0.85 + gain) * 1.0, (old < 0.85) * 1.0, np.ones(1000), 0.05).p_better for new in own]
            found += any(one <= level(look, 0.95) for look, one in enumerate(p, start=1))
        return found / runs

    assert crowned(0.0) <= 0.1  # 5 %, and what 60 runs may add
    assert crowned(0.02) >= 0.9


def test_weighted_items_agree_with_equal_ones_where_the_weights_are_nearly_equal() -> None:
    rng = np.random.default_rng(0)
    new, old = rng.random(300) < 0.9, rng.random(300) < 0.86
    even = compare(new, old, np.ones(300), 0.05)
    uneven = compare(new, old, np.ones(300) + 1e-6 * rng.random(300), 0.05)
    assert uneven.p_better == pytest.approx(even.p_better, abs=0.02)
    assert uneven.difference == pytest.approx(even.difference, abs=1e-4)


def test_of_two_equal_sums_of_weights_neither_is_the_greater() -> None:
    """Won on all disputed items: by random signs as often as by no other, counted by half."""
    for seed in range(20):
        weights = np.concatenate([np.random.default_rng(seed).uniform(0.3, 3, 4), np.ones(50)])
        new, old = np.ones(54, dtype=bool), np.arange(54) >= 4
        found = compare(new, old, weights, 0.1)
        assert abs(found.p_better - 1 / 32) < 0.006
        assert abs(found.p_worse - 31 / 32) < 0.006


def test_nothing_to_compare_is_no_lead() -> None:
    nothing = compare(np.zeros(0, bool), np.zeros(0, bool), np.zeros(0), 0.05)
    assert (nothing.p_better, nothing.p_worse) == (0.5, 0.5)


# Successors


def texts(labels: NDArray[np.int64], rng: np.random.Generator, clear: bool) -> list[str]:
    """Texts whose words tell the class, or tell nothing."""
    words = ["ball goal team", "vote law party", "bank stock price"]
    return [f"{words[label] if clear else 'this that'} {rng.integers(1000)}" for label in labels]


@pytest.mark.parametrize(("chosen_clear", "worse"), [(True, False), (False, True)])
def test_labels_that_teach_another_model_nothing_are_warned_of(chosen_clear: bool, worse: bool) -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 200)
    is_chosen = np.arange(200) < 150
    written = [*texts(classes[:150], rng, chosen_clear), *texts(classes[150:], rng, True)]
    labels = pd.DataFrame({"text": written, "label": [f"c{one}" for one in classes]})
    exam = rng.integers(0, 3, 300)
    gold = pd.DataFrame({"text": texts(exam, rng, True), "label": [f"c{one}" for one in exam], "weight": 1.0})
    found = successor.check(labels, is_chosen, ~is_chosen, gold, seed=0)
    assert found is not None
    assert found.worse == worse
    assert found.labels == 50
    assert found.low <= found.difference <= found.high


@pytest.mark.parametrize("spoilt", [False, True])
def test_several_labels_an_item_serve_a_model_of_each_of_them(spoilt: bool) -> None:
    """Two labels, each told by a word. spoilt: the chosen labels tell nothing."""
    rng = np.random.default_rng(4)

    def table(m: int) -> tuple[pd.Series, NDArray[np.bool_]]:
        holds = rng.random((m, 2)) < [0.5, 0.3]
        noise = rng.integers(0, 30, (m, 2))
        words = zip(holds, noise, strict=True)
        return pd.Series([f"w{a} w{b}" + " red" * has[0] + " blue" * has[1] for has, (a, b) in words]), holds

    def labelled(text: pd.Series, holds: NDArray[np.bool_]) -> pd.DataFrame:
        names = [multilabel.label_of(np.array(["blue", "red"])[[has[1], has[0]]]) for has in holds]
        return pd.DataFrame({"text": text, "label": names, "weight": 1.0})

    (text, holds), exam = table(160), table(150)
    chosen = np.arange(160) < 80
    given = np.where(chosen[:, None] & spoilt, rng.permutation(holds), holds)
    found = successor.check(labelled(text, given), chosen, ~chosen, labelled(*exam), 0, multilabel)
    assert found is not None and found.random > 0.9
    assert found.worse == spoilt and (found.chosen < 0.7) == spoilt


@pytest.mark.parametrize("label", ['["a"]', "[]"])
def test_a_label_that_all_items_have_is_what_the_next_model_says(label: str) -> None:
    labels = pd.DataFrame({"text": [f"w{n}" for n in range(60)], "label": [label] * 59 + ['["a", "b"]']})
    gold = pd.DataFrame({"text": ["w1", "w2"], "label": label, "weight": 1.0})
    found = successor.check(labels, np.arange(60) < 30, np.arange(60) >= 30, gold, 0, multilabel)
    assert found is not None and found.chosen == 1.0 and found.random > 0.9 and not found.worse


def test_the_check_weighs_gold_items_as_if_they_were_there_so_often() -> None:
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 3, 120)
    labels = pd.DataFrame({"text": texts(classes, rng, True), "label": [f"c{one}" for one in classes]})
    half = np.arange(120) < 60
    exam = rng.integers(0, 3, 40)
    gold = pd.DataFrame({"text": texts(exam, rng, False), "label": [f"c{one}" for one in exam], "weight": 1.0})
    twice = successor.check(labels, half, ~half, pd.concat([gold, gold[:10]]), seed=0)
    heavy = successor.check(labels, half, ~half, gold.assign(weight=np.where(np.arange(40) < 10, 2.0, 1.0)), seed=0)
    assert twice is not None and heavy is not None
    assert np.isclose([heavy.chosen, heavy.random], [twice.chosen, twice.random]).all()
    assert heavy.high - heavy.low >= twice.high - twice.low  # but one heavy item is not two items


def test_few_or_wordless_labels_are_no_trouble_to_the_check() -> None:
    labels = pd.DataFrame({"text": ["!"] * 60, "label": ["a", "b"] * 30})
    gold = pd.DataFrame({"text": ["?", "x"], "label": ["a", "b"], "weight": 1.0})
    half = np.arange(60) < 30
    assert successor.check(labels[:10], half[:10], ~half[:10], gold, seed=0) is None
    found = successor.check(labels, half, ~half, gold, seed=0)
    assert found is not None and not found.worse


# When to stop


def history(accuracy: NDArray[np.float64], batch: int = 25, **columns: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame({"labels": batch * (1 + np.arange(len(accuracy))), "score": accuracy, "asks": batch, **columns})


STEEP = 0.95 - 0.5 * np.arange(1, 13) ** -0.3 * 0.9
FLAT = np.concatenate([[0.6, 0.8, 0.9, 0.93], np.full(10, 0.935)])


def test_a_long_history_is_not_replayed_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    judge = stopping._net
    monkeypatch.setattr(stopping, "_net", lambda rows, prices: asked.append(len(rows)) or judge(rows, prices))
    long = 0.95 - 0.5 * np.arange(1, 81) ** -0.3 * 0.9
    stopping.value(history(long), stopping.Prices(1.0, 1.0))
    assert asked == list(range(81 - stopping.REPLAYED, 81))  # each by all the rounds before it


@pytest.mark.parametrize(
    ("rule", "go_on", "stop"),
    [
        ("kappa", {"kappa": [0.7, 0.8, 0.9, 0.95]}, {"kappa": [0.9, 0.995, 0.99, 0.995]}),
        ("classification_change", {"changed": [0.3, 0.2, 0.1, 0.05]}, {"changed": [0.1, 0.01, 0.005, 0.01]}),
        ("uncertainty", {"uncertainty": [0.4, 0.3, 0.2, 0.1]}, {"uncertainty": [0.2, 0.05, 0.04, 0.05]}),
        ("plateau", {}, None),
    ],
)
def test_the_rules_of_the_field(rule: str, go_on: dict[str, list[float]], stop: dict[str, list[float]] | None) -> None:
    prices = stopping.Prices(1.0, 100.0)
    early = stopping.RULES[rule](history(STEEP[:4], **{key: np.array(value) for key, value in go_on.items()}), prices)
    assert not early.stop
    settled = history(FLAT) if stop is None else history(FLAT[:4], **{k: np.array(v) for k, v in stop.items()})
    assert stopping.RULES[rule](settled, prices).stop


def test_the_worth_of_the_next_batch_decides() -> None:
    dear, cheap = stopping.Prices(1000.0, 1.0), stopping.Prices(0.01, 1000.0)
    assert stopping.value(history(STEEP), dear).stop
    going = stopping.value(history(STEEP), cheap)
    assert not going.stop
    assert going.gain is not None and going.gain.middle > 0
    assert stopping.value(history(FLAT), stopping.Prices(20.0, 100.0)).stop
    assert not stopping.value(history(STEEP[:3]), dear).stop  # nobody can know yet


def test_advice_does_not_flicker() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        n = np.arange(1, 31)
        noisy = 0.93 - 0.4 * n**-0.8 + rng.normal(scale=0.006, size=30)
        stops = [stopping.value(history(noisy[:rounds]), stopping.Prices(15.0, 100.0)).stop for rounds in range(1, 31)]
        assert np.abs(np.diff(np.array(stops, dtype=int))).sum() <= 1
        assert stops[-1]


def test_labels_that_cost_nothing_are_worth_asking_and_worthless_points_are_not() -> None:
    assert not stopping.value(history(STEEP), stopping.Prices(0.0, 100.0)).stop
    assert stopping.value(history(STEEP), stopping.Prices(1.0, 0.0)).stop
    neither = stopping.value(history(STEEP), stopping.Prices(0.0, 0.0))
    assert neither.worth is not None and neither.worth.middle == 0


def test_where_all_of_gold_is_right_nothing_more_can_be_seen_to_be_gained() -> None:
    free = stopping.Prices(0.0, 100.0)
    perfect = stopping.value(history(np.array([0.9, 1.0, 1.0])), free)
    assert perfect.stop and "right on all of the gold set" in perfect.why
    assert not stopping.value(history(np.array([0.9, 0.95, 1.0])), free).stop


def test_no_history_is_no_reason_to_stop() -> None:
    for rule in stopping.RULES.values():
        empty = history(np.zeros(0), kappa=np.zeros(0), changed=np.zeros(0), uncertainty=np.zeros(0))
        assert not rule(empty, stopping.Prices(1.0, 1.0)).stop
