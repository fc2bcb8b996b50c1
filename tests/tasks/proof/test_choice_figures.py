"""Where an answer is right or wrong, no figure of the proof moves: what the functions gave before they took scores is
in tests/recorded/proof.json, and comes out again. On one machine to the last bit, which

    python -m tests.tasks.proof.test_choice_figures && git diff --stat tests/recorded

shows; processors differ in the order in which they add up, so nine digits are asked for here.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from labelwise.tasks import report
from labelwise.tasks.gold import active_testing
from labelwise.tasks.kinds.measures import Parts, of_scores
from labelwise.tasks.promote import decide
from labelwise.tasks.proof import gate, savings, stopping, successor, target
from labelwise.tasks.proof.champion import GoldScore
from labelwise.tasks.settings import Promote
from tests.bench import proof_imported

RECORDED = Path(__file__).parents[2] / "recorded" / "proof.json"
WEIGHTS = {
    "alike": lambda _rng, g: np.ones(g),
    "drawn": lambda rng, g: np.where(rng.random(g) < 0.3, 1.0, rng.gamma(2.0, 0.5, g)),
}


def drawn() -> Iterator[tuple[str, np.random.Generator, int, NDArray[np.float64]]]:
    """Gold sets of all sizes, of equal weight and by active testing: a name, a generator, g and (g,) weights."""
    for seed, g in enumerate((1, 2, 7, 20, 60, 200, 1000)):
        for name, weights in WEIGHTS.items():
            rng = np.random.default_rng([seed, 12])
            yield f"{name} {g}", rng, g, weights(rng, g)


def compared() -> Iterator[tuple[str, Any]]:
    for name, rng, g, weights in drawn():
        for lead in (0.0, 0.05, 0.4):
            hard = rng.random(g)
            new, old = (hard + 0.2 * rng.random(g) < limit for limit in (0.8 + lead, 0.8))
            for alpha in (gate.level(1, 0.95), gate.level(12, 0.95), 0.3):
                yield f"{name}, lead {lead}, {alpha}", asdict(gate.compare(new * 1.0, old * 1.0, weights, alpha))
        same = rng.random(g) < 0.9
        yield f"{name}, never differ", asdict(gate.compare(same * 1.0, same * 1.0, weights, 0.05))
    yield "of no weight", asdict(gate.compare(np.ones(3), np.zeros(3), np.zeros(3), 0.05))


def accuracies() -> Iterator[tuple[str, Any]]:
    for name, rng, g, weights in drawn():
        for share in (0.0, 0.5, 0.95, 1.0):
            right = (rng.random(g) < share) * 1.0
            yield f"{name}, {share}", asdict(active_testing.weighted_mean(right, weights))
            table = pd.DataFrame({"actual": "x", "predicted": np.where(right, "x", "y"), "weight": weights})
            yield f"{name}, {share}, of a table", (GoldScore.of(table) or GoldScore(0, 0, 0, 0)).as_json()


def weighed() -> Iterator[tuple[str, Any]]:
    for seed in range(4):
        rng = np.random.default_rng([seed, 13])
        doubt = rng.beta(0.4, 3.0, 80)
        found = active_testing.draw(doubt, 30, rng)
        yield f"draw {seed}", found.rows.tolist()
        yield f"proposal {seed}", active_testing.proposal(doubt).tolist()
        yield f"weights {seed}", active_testing.weights(found.propensity, found.among).tolist()


def metered() -> Iterator[tuple[str, Any]]:
    for imported in (0, 200):
        yield f"imported {imported}", proof_imported.measured(imported, 0.25, seed=1).as_json()
    hard = np.random.default_rng(14).random(150)

    def judged(rows: NDArray[np.int64]) -> Parts:
        luck = np.random.default_rng(rows).normal(scale=0.03)
        return of_scores((hard >= 0.9 * len(rows) ** -0.35 * np.exp(luck)) * 1.0)

    weights = np.random.default_rng(15).gamma(2.0, 0.5, 150)
    rounds = [np.arange(25 * n) for n in range(1, 13)]
    found = savings.measure(judged, rounds, np.arange(60), weights, np.random.default_rng(16))
    assert found is not None
    yield "weighed", found.as_json()
    yield "in words", savings.sentence(found)


def succeeded() -> Iterator[tuple[str, Any]]:
    rng = np.random.default_rng(17)

    def table(m: int) -> pd.DataFrame:
        labels = rng.integers(0, 3, m)
        noise = rng.integers(0, 40, (m, 4))
        texts = [
            f"w{row[0]} w{row[1]} c{label if row[2] % 3 else row[3] % 3}"
            for label, row in zip(labels, noise, strict=True)
        ]
        return pd.DataFrame({"text": texts, "label": [f"class {label}" for label in labels]})

    labels, gold = table(140), table(90)
    chosen = np.arange(140) < 80
    for name, weights in (("alike", 1.0), ("drawn", rng.gamma(2.0, 0.5, 90))):
        found = successor.check(labels, chosen, ~chosen, gold.assign(weight=weights), seed=3)
        assert found is not None
        yield name, found.as_json()


def recorded(needed: dict[str, Any]) -> dict[str, Any]:
    """Under the name that the score had when the figures were recorded."""
    return {key.replace("score", "accuracy"): value for key, value in needed.items()}


def advised() -> Iterator[tuple[str, Any]]:
    rng = np.random.default_rng(18)
    n = np.arange(1, 13)
    columns = {"kappa": 1 - 0.3 / n**2, "changed": 0.3 / n**2, "uncertainty": 0.4 / n}
    accuracy = 0.93 - 0.4 * n**-0.8 + rng.normal(scale=0.006, size=12)
    history = pd.DataFrame({"labels": 25 * n, "score": accuracy, "asks": 25, **columns})
    for name, rule in stopping.RULES.items():
        for rounds in (2, 5, 12):
            yield f"{name}, {rounds}", asdict(rule(history[:rounds], stopping.Prices(15.0, 100.0)))
    curve = history.assign(low=history.score - 0.02, high=history.score + 0.02)
    yield "needed", [recorded(asdict(one)) for one in target.needed(curve, [0.9, 0.95], seed=4)]
    before, now = (pd.DataFrame({"id": range(300), "prediction": rng.choice(["a", "b", "c"], 300)}) for _ in range(2))
    yield "settling", report.settling(now.assign(least_confidence=rng.random(300)), before)


def decided() -> Iterator[tuple[str, Any]]:
    for name, rng, g, weights in drawn():
        actual = rng.choice(["rare", "common", "odd, one"], g, p=[0.1, 0.8, 0.1])
        table = pd.DataFrame({"id": [f"g{at}" for at in range(g)], "actual": actual, "weight": weights})
        new, old = (table.assign(predicted=np.where(rng.random(g) < p, actual, "common")) for p in (0.85, 0.7))
        for rule in (Promote(), Promote(rule="not_worse", tolerance=0.03), Promote(protected=["rare", "odd, one"])):
            yield f"{name}, {rule.rule} {len(rule.protected)}", asdict(decide(new, old, rule, look=2))
        yield f"{name}, lacks", asdict(decide(new, old, Promote(), lacks=["odd, one"]))
        yield f"{name}, old on fewer", asdict(decide(new, old[: g // 2 + 1], Promote()))
        yield f"{name}, worse where protected", asdict(decide(old, new, Promote(protected=["rare"])))


FIGURES: dict[str, Callable[[], Iterator[tuple[str, Any]]]] = {
    "gate": compared,
    "accuracy": accuracies,
    "active testing": weighed,
    "savings": metered,
    "successor": succeeded,
    "advice": advised,
    "promotion": decided,
}


def figures(of: str) -> Any:
    """As they come out of JSON, whose floats are exact."""
    return json.loads(json.dumps(dict(FIGURES[of]())))


def same(one: Any, other: Any) -> bool:
    """Two contents of JSON, numbers to nine digits."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


@pytest.mark.parametrize("of", FIGURES)
def test_what_is_right_or_wrong_counts_as_it_did(of: str) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[of]
    found = figures(of)
    assert found.keys() == recorded.keys()
    assert [name for name, value in found.items() if not same(value, recorded[name])] == []


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({of: figures(of) for of in FIGURES}, indent=0) + "\n", encoding="utf-8")
