"""Stage `promote`: log the round to MLflow, register its model, and decide whether it is the new champion."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labelwise.tasks import figures, kinds, made_with
from labelwise.tasks.errors import InputError, WorkspaceError, named, quantity
from labelwise.tasks.figures import gold_metrics
from labelwise.tasks.gold.intervals import estimated
from labelwise.tasks.kinds import Measure, measures
from labelwise.tasks.kinds.measures import Floats, Labels
from labelwise.tasks.labels import ledger, weak, witness
from labelwise.tasks.proof import champion, prevalence
from labelwise.tasks.proof.gate import compare, level
from labelwise.tasks.records import run_of, tag
from labelwise.tasks.services.mlflow import Loaded, RoundRun, Tracking, open_tracking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Promote, Settings
from labelwise.tasks.workspace import Workspace, read_json

# Settings that hold people's own words, which are no names of parameters.
NAMES: dict[str, Any] = dict.fromkeys(("project", "classes", "renamed", "dropped", "split"), True)
NAMES |= {"pull": {"columns": {"features"}}}
MODEL = "labelwise.model"  # tag of a run: the digest of the files that are registered


@dataclass(frozen=True)
class Decision:
    """Whether a model is the new champion, why, and the figures that say so."""

    promoted: bool
    reason: str
    figures: dict[str, float]


def decide(
    new: pd.DataFrame,
    old: pd.DataFrame | None,
    rule: Promote,
    look: int = 1,
    lacks: Sequence[str] = (),
    outdated: Sequence[str] = (),
    measure: Measure = measures.OF_CHOICE,
) -> Decision:
    """Compare a model with the champion by their predictions (columns id, actual, predicted; weight unless all count
    alike) of the gold items that both were measured on. old: None before the first champion. look: the number of
    this comparison among those with this champion, 1 and on. lacks: the classes of today that the champion lacks.
    outdated: names that it still says and that are no longer a class. measure: what models are judged by.

    `better`: the chance of so clear a lead between equal models is at most what this look may spend of 1 - confidence
    (`proof/gate.py`). `not_worse`: the lower end of the difference's interval at that level is above -tolerance. In a
    protected class the new model must not be shown to be worse: on the items whose true label names it, whatever else
    that names. Where a precision is asked for, the new model's must not be shown to be below it, unless the champion's
    is no better. A champion that cannot answer a class of today, or says an earlier name of one, goes unless the new
    model is shown to be worse. What stands in the way of a model is tested at 1 - confidence each time.
    """
    if old is None:
        return Decision(True, "the first model", {})
    both = weighed(new).merge(weighed(old)[["id", "predicted", "weight"]], on="id", suffixes=("", "_old"))
    if both.empty:
        return Decision(True, "the champion was measured on other gold items, so the newer model is taken", {})
    # Where the champion could not be asked about later items: gold only grows, and its first part has its own weights.
    first_part = len(both) == len(old) < len(new) and both.weight_old.notna().all()
    weights = both.weight_old if first_part else both.weight
    truth = both.actual.tolist()
    new_said, old_said, counts = both.predicted.tolist(), both.predicted_old.tolist(), weights.to_numpy(dtype=float)
    spent, alone = level(look, rule.confidence), 1 - rule.confidence
    paired = measure.paired(new_said, old_said, truth, counts)
    whole = compare(paired.new, paired.old, paired.weights, spent).times(paired.scale)
    alike = measures.mean_score(measure.answer).paired(new_said, old_said, truth, counts)
    figures = {
        "items": float(whole.items),
        "difference": whole.difference,
        "low": whole.low,
        "high": whole.high,
        "p": whole.p_better,
        "look": float(look),
        "level": spent,
    }
    for name in rule.protected:
        rows = np.array([name in measure.answer.members(label) for label in truth], dtype=bool)
        of_class = compare(alike.new[rows], alike.old[rows], counts[rows], spent)
        figures[f"worse.{name}"] = of_class.p_worse
        if of_class.p_worse <= alone:
            of_items = quantity(of_class.items, "gold item")
            reason = f"worse in the protected class {name}: {of_class.difference:+.3f} on {of_items}"
            return Decision(False, reason, figures)
    short = too_imprecise(measure, new_said, old_said, truth, counts)
    if short and measure.of not in lacks:  # who lacks the class that is looked for is no better for saying nothing
        return Decision(False, short, figures)
    shown = "" if measure.plain else f"{measure.words} "
    shown += f"{whole.difference:+.4f} ({whole.low:+.4f} to {whole.high:+.4f}) on {whole.items} gold items"
    wants = [f"does not know {named(lacks)}"] * bool(lacks) + [f"still says {named(outdated)}"] * bool(outdated)
    if wants and whole.p_worse > alone:
        return Decision(True, f"the champion {' and '.join(wants)}, and this is not worse: {shown}", figures)
    asked = f"look {look} at this champion may err with a chance of {spent:.2g}"
    if rule.rule == "better":
        passed = whole.p_better <= spent
        verdict = "better" if passed else "not shown to be better"
        return Decision(passed, f"{verdict} than the champion: {shown}, p = {whole.p_better:.2g}; {asked}", figures)
    passed = whole.low >= -rule.tolerance
    verdict = "not worse" if passed else "it may be worse"
    return Decision(passed, f"{verdict} than the champion: {shown}, tolerance {rule.tolerance}; {asked}", figures)


def too_imprecise(measure: Measure, new: Labels, old: Labels, truth: Sequence[str], weights: Floats) -> str:
    """Why a model is refused by the precision that is asked for, in words: its own is shown to be less, and it is less
    than the champion's; '' where it is not. What says nothing to be of the class has no precision that falls short."""
    precision = measure.precision_of()
    found = precision and estimated(precision, new, truth, weights)
    if precision is None or not found or found.high >= (measure.precision or 0):
        return ""
    before = estimated(precision, old, truth, weights)
    if before and before.value <= found.value:
        return ""
    champions = f"{before.value:.3f}" if before else "not known, since it says so of none"
    shown = (
        f"{precision.words} {found.value:.3f} ({found.low:.3f} to {found.high:.3f}), {measure.precision} is asked for"
    )
    return f"too imprecise: {shown}; the champion's is {champions}"


def looks(rounds: pd.DataFrame, learned: int | None, number: int) -> int:
    """The number of the comparison that round `number` makes with a champion of round `learned`, 1 and on: the rounds
    since that have a model, whatever it was judged by (columns round, score, calibration_error), and this one. All of
    them where nobody knows the champion's round. A round that is played again counts once."""
    first = -1 if learned is None else learned
    measured = rounds[["score", "calibration_error"]].notna().any(axis=1)
    return int(((rounds["round"] > first) & (rounds["round"] < number) & measured).sum()) + 1


def weighed(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions, as they are or as the cells of a CSV, with what each item counts."""
    known = predictions.weight.astype(float) if "weight" in predictions else 1.0
    return predictions.assign(weight=known)


def rollback(workspace: Workspace, to: str = "") -> str:
    """Make the champion before the present one champion again, or the registered version `to`. Returns a line for
    people, with the way back. WorkspaceError when there is none."""
    tracking = open_tracking(workspace.settings)
    present = tracking.champion()
    if to and to not in (known := tracking.models().version.tolist()):
        raise InputError("--to", expected="a registered version: " + ", ".join(known), got=repr(to))
    before = to or (present and tracking.tags(present.version).get("replaces"))
    if present is None or not before:
        raise WorkspaceError(
            "there is no champion to go back to",
            expected="a champion that replaced another one",
            got=f"version {present.version}" if present else "no champion",
        )
    tracking.crown(before)
    if to:
        tracking.note(to, rolled_back="false")
    tracking.note(present.version, rolled_back="true")
    said = f"version {before} is the champion again; version {present.version} stays registered"
    return f"{said}: `labelwise rollback --to {present.version}` makes it champion again"


def run(workspace: Workspace, versions: Versions, seconds: dict[str, float]) -> tuple[str, str]:
    """Log, register, decide. seconds: by stage. Returns the run's id ('' without a model) and a line for people."""
    metrics = gold_metrics(workspace)
    settings = workspace.settings
    measure = kinds.measure(settings)
    if measure.answer.METRIC not in metrics:
        return "", "no model yet"
    tracking = open_tracking(settings)
    with tempfile.TemporaryDirectory() as scratch:
        seen = Path(scratch) / witness.FILE
        shards = unseen(versions, ledger.current_round(workspace.labels))
        seen.write_text(witness.text(witness.table(workspace.labels, shards)), encoding="utf-8")
        model = bundle(workspace, Path(scratch) / "classifier")
        facts = facts_of(workspace, versions, metrics, seconds, model, shards)
        facts = replace(facts, loaded=carried(model, Path(scratch)))
        run_id, version = tracking.record(facts, model)
        tracking.attach(run_id, [figures.file(workspace, figures.PREDICTIONS), seen])
    own, number = weighed(figures.predictions(workspace)), ledger.current_round(workspace.labels)
    stands = champion.stands(version, number, number, own, champion.Judged(own, frozenset(own.id)), measure)
    present = tracking.champion()
    if present is None or present.version != version:  # an interrupted call may have crowned it already
        judged = champion.judge(workspace, versions, tracking, present, own) if present else None
        plan = settings.select.finish
        learned = _round_of(tracking, present.version) if present else None
        if judged is not None and judged.table is None:
            decision = Decision(True, f"nothing is known of the champion: {judged.problem}", {})
        elif plan is not None and number > plan.round:
            decision = Decision(False, f"it is that of round {plan.round}, which finishes the pool", {})
        else:
            look = looks(figures.curve(workspace), learned, number)
            found = judged or champion.Judged(None, frozenset())
            decision = decide(own, found.table, settings.promote, look, found.lacks, found.outdated, measure)
        more = {"replaces": present.version} if present and decision.promoted else {}
        if decision.figures:
            more["gate"] = json.dumps({name: float(f"{value:.6g}") for name, value in decision.figures.items()})
        reason = decision.reason + (f"; {judged.problem}" if judged and judged.problem else "")
        tracking.note(version, promoted=str(decision.promoted).lower(), reason=reason, **more)
        if decision.promoted:
            tracking.crown(version)
        elif present and judged:
            stands = champion.stands(present.version, learned, number, own, judged, measure)
        said = f"{'is the champion' if decision.promoted else 'stays behind'}: {reason}"
    else:
        said = "is the champion"
    champion.keep_standing(workspace, stands)
    tracking.note(stands.version, standing=str(stands))
    return run_id, f"version {version} {said}"


def _round_of(tracking: Tracking, version: str) -> int | None:
    """The round that a registered model comes from."""
    number = tracking.tags(version).get("labelwise.round", "")
    return int(number) if number.isdecimal() else None


def facts_of(
    workspace: Workspace,
    versions: Versions,
    metrics: dict[str, float],
    seconds: dict[str, float],
    model: Path,
    shards: range,
) -> RoundRun:
    """All that the round's run says of where it came from. model: the folder that is registered. shards: of the ledger,
    those that the run has recorded."""
    settings = workspace.settings
    number = ledger.current_round(workspace.labels)
    hashes = versions.hashes()
    labels = float(len(ledger.effective(ledger.today(workspace))))
    return RoundRun(
        number=number,
        params=flat(settings.model_dump(exclude=NAMES)) | counts(settings),
        metrics={figures.logged_as(name): value for name, value in metrics.items()}
        | {"labels": labels}
        | of_class(workspace)
        | of_weak(workspace)
        | {f"seconds.{stage}": value for stage, value in seconds.items()},
        tags={
            "labelwise.workspace": settings.project.id,
            "labelwise.round": str(number),
            "labelwise.tag": tag(number),
            "labelwise.inputs": versions.inputs(),
            "mlflow.source.git.commit": versions.head,
            "seed": str(settings.seed),
            **{f"dvc.{name}": digest for name, digest in hashes.items()},
            MODEL: digest_of(model),
            witness.DIGEST: witness.digest(witness.table(workspace.labels, shards)),
            witness.SHARDS: f"{shards[0]}-{shards[-1]}",
            **made_with.facts(),
        },
        inputs={name: (str(workspace.root / "data" / name), hashes[name]) for name in ("pool", "gold", "labels")},
        metric=figures.logged_as(settings.measure.text),
        measure=settings.measure.words,
        takes=kinds.item(settings.kind.item).takes(settings.pull.columns),
    )


def bundle(workspace: Workspace, folder: Path) -> Path:
    """The model with what it needs to take items: the folder that `labelwise.tasks.learners.serving` loads."""
    from labelwise.tasks.learners.serving import ENCODER_FILE, about

    shutil.copytree(workspace.model, folder)
    (folder / ENCODER_FILE).write_text(json.dumps(about(workspace)), encoding="utf-8")
    return folder


def carried(model: Path, folder: Path) -> Loaded:
    """What goes with the registered files of a model, so that MLflow can load it where Labelwise is not installed; its
    code is written into `folder`."""
    from labelwise.tasks.learners import portable, serving

    needs = portable.requirements(model, read_json(model / serving.ENCODER_FILE))
    return Loaded(portable.LOADER, portable.code(folder), needs)


def digest_of(model: Path) -> str:
    """The digest of a model's files."""
    files = sorted(path for path in model.rglob("*") if path.is_file())
    return made_with.digest((path.relative_to(model), path.read_bytes()) for path in files)


def unseen(versions: Versions, number: int) -> range:
    """The shards of the ledger that no earlier run has recorded: those since the last round with a model."""
    earlier = range(number - 1, -1, -1)
    seen = next((n for n in earlier if versions.tagged(tag(n)) and run_of(versions.message(tag(n)))), -1)
    return range(seen + 1, number + 1)


def of_class(workspace: Workspace) -> dict[str, float]:
    """How many items of the measured class are found, and how many there are in the pool; empty where nobody knows."""
    there = prevalence.counted(workspace)
    one = there.of(workspace.settings.measure.of) if there else None
    if one is None or one.middle is None:
        return {}
    ends = {"in_pool": one.middle, "in_pool_low": one.low, "in_pool_high": one.high}
    return {"found": float(one.found)} | {name: float(value) for name, value in ends.items()}


def of_weak(workspace: Workspace) -> dict[str, float]:
    """What weak labels did for the model, and what language models have cost so far; empty where there are none."""
    paid = weak.spent(workspace)
    found = {f"weak.{name}": value for name, value in figures.weakly(workspace).items() if value is not None}
    return found | ({"llm.cost": paid} if paid else {})


def counts(settings: Settings) -> dict[str, str]:
    """How many classes there are, and how many features where items are rows: MLflow takes a hundred parameters, and
    not every name for one."""
    features = settings.pull.columns.features
    return {"classes": str(len(settings.classes))} | ({"features": str(len(features))} if features else {})


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted keys.

    >>> flat({"select": {"batch": 25}})
    {'select.batch': '25'}
    """
    result: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = str(value)[:500]
    return result
