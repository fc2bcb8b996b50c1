"""The same rounds against labels you already have, no servers: will it save me anything, and which strategy?"""

import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from labelwise.tasks import figures, kinds
from labelwise.tasks.errors import InputError, quantity
from labelwise.tasks.items import leaks
from labelwise.tasks.learners import able_to_learn, learners
from labelwise.tasks.services import mlflow
from labelwise.tasks.settings import Settings, kind_of, one_of
from labelwise.tasks.strategies import serving, strategies
from labelwise.tasks.trial import rehearsal
from labelwise.tasks.trial.kept import claim, encoded, played, read_words, whole_pool_scores, worded
from labelwise.tasks.trial.plan import Plan, batches, classes_in, digest, gathered, looked_at, settings_of
from labelwise.tasks.trial.rehearsal import Rows, Run
from labelwise.tasks.workspace import write_json

LIBRARIES = ("labelwise", "numpy", "scikit-learn", "torch", "transformers")


def rehearse(plan: Plan, out: Path, json_to: Path | None, tell: Callable[[str], None]) -> dict[str, Any]:
    """Play every run of the plan, go on where an earlier call stopped, and say what came of it. Returns what the JSON
    holds."""
    kind_of(plan.item, plan.answer, plan.delimiter)
    known_strategies, known_learners = strategies(), learners()
    for option, given in (("--strategies", plan.strategies), ("--learner", plan.learners)):
        if not given:
            raise InputError(option, expected="at least one name", fix="leave it out for the default")
    for name in plan.strategies:
        one_of("--strategies", name, known_strategies)
    for name in plan.learners:
        one_of("--learner", name, known_learners)
    for option, given, able in (
        ("--strategies", plan.strategies, serving(plan.answer)),
        ("--learner", plan.learners, able_to_learn(plan.answer, plan.item)),
    ):
        if unable := [name for name in given if name not in able]:
            raise InputError(f"{option}: {unable[0]} cannot serve {plan.answer}", expected="one of " + ", ".join(able))
    plan = looked_at(plan, tell)
    pool, gold = gathered(plan, tell)
    settings = settings_of(plan, sorted(classes_in(pool, plan) | classes_in(gold, plan)))
    claim(out, plan, settings, pool, gold)
    own, exam = (
        Rows(
            rows,
            encoded(rows, settings, out, pool),
            worded(rows, settings, out),
            plan.content.COLUMN,
            read_words(rows, settings, out),
        )
        for rows in (pool, gold)
    )
    near = len(rehearsal.leaked(own, exam, settings.gold.near_duplicate))
    if near:
        tell(f"rehearse: {quantity(near, 'row of the pool is', 'rows of the pool are')} {leaks.WORDS}")
    sizes = batches(plan, len(pool) - near, tell)
    full = whole_pool_scores(own, exam, settings, plan, out)
    runs = played(plan, own, exam, settings, sizes, out)
    return concluded(plan, settings, runs, full, out, json_to, tell)


def concluded(
    plan: Plan,
    settings: Settings,
    runs: list[Run],
    full: dict[str, float],
    out: Path,
    json_to: Path | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Table, picture, JSON and MLflow runs."""
    measure = kinds.measure(settings)
    best, entries = full[plan.learners[0]], rehearsal.summary(runs, full, measure)
    content: dict[str, Any] = {
        "pool": plan.pool,
        "gold": plan.gold,
        "settings": settings.model_dump(exclude={"project"}),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "measure": measure.words,
        "full": {"score": best, **rehearsal.also_accuracy(best, measure), "by_learner": full},
        "runs": [run.as_json(measure) for run in runs],
        "summary": entries,
        "verdict": rehearsal.verdict(entries, measure.words),
    }
    cells = rehearsal.table(entries, measure.words)
    for path in filter(None, (out / "rehearsal.json", json_to)):
        write_json(path, content)
    drawn = rehearsal.picture(runs, full, measure.words)
    drawn.savefig(out / "rehearsal.png", dpi=110)
    shown = Table(*cells.columns)
    for row in cells.to_numpy().tolist():
        shown.add_row(*row)
    Console(width=200, highlight=False).print(shown)
    noisy = f", its labels as noisy as the runs' ({plan.noise:.0%} wrong)" if plan.noise else ""
    tell("rehearse: the whole pool gives " + ", ".join(f"{value:.3f} ({name})" for name, value in full.items()) + noisy)
    for line in rehearsal.fallbacks(runs):
        tell(f"rehearse: {line}")
    where = mlflow.record_rehearsal(
        out,
        digest([json.dumps(asdict(plan), default=str)]),
        content["runs"],
        [out / "rehearsal.png", out / "rehearsal.json"],
        figures.logged_as(measure.name),
    )
    tell(f"rehearse: picture {out / 'rehearsal.png'}, figures {out / 'rehearsal.json'}, runs in MLflow at {where}")
    print(content["verdict"])
    return content
