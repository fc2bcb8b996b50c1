"""When to stop. Rules over the history of the rounds; by name in RULES, as `stop.rule` in params.yaml.

A history has a row a round that has a model: labels, score (the mean score of its answers, in [0, 1]), kappa
(agreement of this model with the last one beyond chance), changed (share of predictions that differ from the last
model's), uncertainty (mean least confidence of the pool), asks (size of the next batch).

Where an item may have several classes, a prediction is a whole set of them, for `kappa` and `changed` as well. The mean
over classes would dilute a change: one in a hundred of 28 answers an item may be one in four of the items. And a kappa
of each class would never settle for a rare one: of three items that are said to have it, one more is 0.86.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labelwise.tasks.proof.curves import Points, posterior
from labelwise.tasks.proof.prevalence import NOBODY, Prevalence
from labelwise.tasks.proof.savings import NOISE, Interval

KAPPA, CHANGED, UNCERTAINTY, PLATEAU = 0.99, 0.01, 0.05, 0.005
WINDOW = 3  # rounds that must agree
DRAWS = 1000
AHEAD = (1, 2, 4, 8)  # batches: a batch that pays only together with the next ones pays
REPLAYED = 20  # rounds on which the hysteresis looks back, as many as were simulated (docs/proof.md)
RETURN = 2.0  # once stopping was advised, going on must be worth this many times its cost


@dataclass(frozen=True)
class Prices:
    """batch: what the next batch costs, labels and computing. point: what one point (0.01) of the score is worth.
    found: what those items of a batch are worth that are of the class people look for."""

    batch: float
    point: float
    found: float = 0.0


@dataclass(frozen=True)
class Advice:
    """stop, and why. gain: points of score expected of the next batch; worth: of them, in money, less its cost. Both
    None where the rule does not ask."""

    stop: bool
    why: str
    gain: Interval | None = None
    worth: Interval | None = None


Rule = Callable[[pd.DataFrame, Prices], Advice]


def kappa(history: pd.DataFrame, _prices: Prices) -> Advice:
    """Predictions have settled: the mean kappa of the last rounds is 0.99 or more (Bloodgood & Vijay-Shanker 2009)."""
    return _settled(history.kappa, lambda mean: mean >= KAPPA, f"kappa average {{:.3f}}, {KAPPA} is settled")


def classification_change(history: pd.DataFrame, _prices: Prices) -> Advice:
    """At most one prediction in a hundred changes from round to round (Zhu, Wang & Hovy 2008)."""
    return _settled(
        history.changed, lambda mean: mean <= CHANGED, f"{{:.1%}} of predictions change, {CHANGED:.0%} is settled"
    )


def uncertainty(history: pd.DataFrame, _prices: Prices) -> Advice:
    """The pool holds little that the model is unsure of (overall uncertainty, Zhu, Wang & Hovy 2008)."""
    return _settled(
        history.uncertainty, lambda mean: mean <= UNCERTAINTY, f"mean uncertainty {{:.3f}}, {UNCERTAINTY} is settled"
    )


def plateau(history: pd.DataFrame, _prices: Prices) -> Advice:
    """The best score of the last three rounds is less than half a point above that of the rounds before."""
    if len(history) <= WINDOW:
        return Advice(False, "too few rounds to see a plateau")
    gained = float(history.score[-WINDOW:].max() - history.score[:-WINDOW].max())
    return Advice(gained < PLATEAU, f"the last {WINDOW} rounds brought {gained:+.2%}, a plateau is below {PLATEAU:.1%}")


def value(history: pd.DataFrame, prices: Prices) -> Advice:
    """The next batches are not worth what they cost: expected gain in score times the worth of a point.

    The gain is read off the learning curve's posterior. One batch that does not pay is no reason while two, four or
    eight together would. Hysteresis: stopping must be advised by two rounds in a row, and is taken back only when going
    on is worth twice its cost. After two models that are right on all of gold no gain could be seen.
    """
    perfect = (
        len(history) >= 2
        and bool((history.score.tail(2) >= 1).all())
        and (not prices.found or prices.found < prices.batch)
    )
    first = max(0, len(history) - REPLAYED)
    verdicts = [_net(history[: at + 1], prices) for at in range(first, len(history))]
    stopped, against = False, 0
    for net in verdicts:
        if net is None:
            continue
        against = against + 1 if net.best <= 0 else 0
        if not stopped and against >= 2:
            stopped = True
        elif stopped and net.best > (RETURN - 1) * net.cost:
            stopped = False
    last = verdicts[-1] if verdicts else None
    if last is None and perfect:
        return Advice(True, "the last two models are right on all of the gold set, so no gain could be seen")
    if last is None:
        return Advice(False, "too few rounds to know what the next one is worth")
    worth = last.gain.middle * prices.point
    said = f"the next batch should bring {last.gain:.2f} points, worth {worth:.2f}, and costs {prices.batch:.2f}"
    said += f"; what it should find is worth {prices.found:.2f}" if prices.found else ""
    return Advice(stopped or perfect, said, last.gain, last.worth)


def recall(there: Prevalence | None, name: str, wanted: float, absent: float) -> Advice:
    """Of what is of a class, the wanted share is found, with 95 % confidence: where e-discovery ends a review (Cormack
    & Grossman 2016; Lewis, Yang & Frieder 2021). Where none is found: at most the share `absent` of the pool can be it.

    The bound is that of one look, and it is looked at in every round: docs/rare.md has how often that stops too early.
    """
    one = there.of(name) if there else None
    if there is None or one is None:
        return Advice(False, f"nobody has counted yet how many are {name}")
    if one.middle is None:
        return Advice(False, f"nobody can know how many are {name}: {NOBODY}")
    if not one.found:
        return Advice(one.most <= absent * there.items, there.sentence(one))
    said = f"at least {int(1000 * one.found_at_least) / 10:g} % of what is {name} is found, with 95 % confidence"
    counts = f"{one.found:,} found, at most {one.most:,} there"
    reached = one.found_at_least >= wanted
    return Advice(reached, f"{said} ({counts})" + ("" if reached else f"; {100 * wanted:g} % is wanted"))


RECALL = "recall"  # the one rule that asks how many there are, not what the rounds were like

RULES: dict[str, Rule] = {
    "value": value,
    "kappa": kappa,
    "classification_change": classification_change,
    "uncertainty": uncertainty,
    "plateau": plateau,
    "none": lambda _history, _prices: Advice(False, "no rule is set"),
}


@dataclass(frozen=True)
class _Net:
    best: float  # expected worth less cost of the best number of batches
    cost: float  # of that number
    gain: Interval
    worth: Interval


def _net(history: pd.DataFrame, prices: Prices) -> _Net | None:
    """What going on is worth after the last round of a history; None with fewer than four rounds."""
    if len(history) < 4:
        return None
    sizes = history.labels.to_numpy(dtype=float)
    errors = 1 - history.score.to_numpy(dtype=float)
    rng = np.random.default_rng(len(sizes))
    # How far rounds scatter about a smooth curve, from second differences: a line has none, and noise has 6 sd^2. Two
    # rounds on a line prove no line.
    bends = np.diff(errors, 2)
    spread = max(NOISE, float(np.sqrt((bends**2).mean() / 6)))
    known = Points(sizes, errors[None], np.full(len(sizes), spread), alike=0.0)
    curves = posterior(known, rng, each=DRAWS)
    now, batch = curves.errors(sizes[-1]), float(history.asks.iloc[-1])
    left = errors[-1]  # no batch can bring more than that, though a curve may lie above the last point
    gains = {ahead: 100 * np.minimum(now - curves.errors(sizes[-1] + ahead * batch), left) for ahead in AHEAD}
    cost = prices.batch - prices.found
    nets = {ahead: float(gain.mean()) * prices.point - ahead * cost for ahead, gain in gains.items()}
    best = max(nets, key=lambda ahead: nets[ahead])
    return _Net(nets[best], best * prices.batch, Interval.of(gains[1]), Interval.of(gains[1] * prices.point - cost))


def _settled(column: pd.Series, settled: Callable[[float], bool], said: str) -> Advice:
    known = column.dropna()
    if len(known) < WINDOW:
        return Advice(False, "too few rounds to compare")
    mean = float(known[-WINDOW:].mean())
    return Advice(settled(mean), said.format(mean))
