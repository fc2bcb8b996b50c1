"""A round rebuilt, against the round as it was recorded, part by part. Pure: what was read goes in, findings come out.

Nobody is believed alone. Data is compared with the hash that git names, that hash with what MLflow was told when the
round was learned, each row of the ledger with the run that bore witness of it, each text with its id, which is its own
hash; and what was computed is compared with what comes out when it is computed again.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy

from labelwise.tasks import figures
from labelwise.tasks.errors import quantity
from labelwise.tasks.kinds import Content, text
from labelwise.tasks.services.mlflow import Registered
from labelwise.tasks.workspace import Workspace, read_parquet

IDENTICAL, EQUAL, CLOSE, DIFFERS = "identical", "equal to 1e-6", "equal to 1e-3", "differs"
WORDS = (IDENTICAL, EQUAL, CLOSE, DIFFERS)  # from good to bad
SHOWN = 5  # complaints of one part that are told
INDEPENDENT = 1e-6  # what another machine may add to a figure
WEIGHTS = 1e-3  # and to a weight, which a solver stops near
PREDICTED, ASKED = ("confidence", "weight"), ("score", "propensity", "confidence")  # numbers in predictions and batch
ROUNDED = 1e-9  # figures are written with six digits


@dataclass(frozen=True)
class Finding:
    """What is said of one part: commit, pool, gold, ledger, vectors, model, metrics, batch."""

    part: str
    verdict: str
    said: str


@dataclass(frozen=True)
class Outcome:
    """What the stages made of a round. model: files by name; metrics: figures by name; predictions, batch: tables."""

    model: dict[str, bytes]
    metrics: dict[str, Any]
    predictions: pd.DataFrame
    batch: pd.DataFrame


def outcome(workspace: Workspace) -> Outcome:
    """What lies in the workspace now."""
    files = sorted(path for path in workspace.model.rglob("*") if path.is_file())
    return Outcome(
        model={str(path.relative_to(workspace.model)): path.read_bytes() for path in files},
        metrics={"gold": figures.gold_metrics(workspace), "proof": figures.proof(workspace)},
        predictions=figures.predictions(workspace),
        batch=read_parquet(workspace.batch),
    )


def verdict(findings: Sequence[Finding]) -> str:
    """The worst of all."""
    return max((finding.verdict for finding in findings), key=WORDS.index)


def found(part: str, complaints: Sequence[str], said: str, word: str = IDENTICAL) -> Finding:
    """A finding: it differs when there is any complaint."""
    if not complaints:
        return Finding(part, word, said)
    more = f"; {len(complaints) - SHOWN:,} more" if len(complaints) > SHOWN else ""
    return Finding(part, DIFFERS, "; ".join(complaints[:SHOWN]) + more)


def also(finding: Finding, complaints: Sequence[str]) -> Finding:
    """A finding with what else was found of its part."""
    said = [finding.said] if finding.verdict == DIFFERS else []
    return found(finding.part, [*said, *complaints], finding.said, finding.verdict)


# What the round followed from


def commit(
    round_tag: str, named: str, inputs: str, history: Collection[str], versions: Sequence[Registered]
) -> Finding:
    """The tag against MLflow. named: the run that its commit names, '' for a round without a model. inputs: the digest
    of its params.yaml and dvc.lock. history: ids of the commits it rests on. versions: all that are registered."""
    own = [each for each in versions if (each.tags or each.facts).get("labelwise.tag") == round_tag]
    strange = [f"version {each.version} is registered for it from another run" for each in own if each.run_id != named]
    if not named:
        return found("commit", strange, "a round without a model: MLflow has no word of it")
    mine = next((each for each in own if each.run_id == named), None)
    if mine is None or mine.tags is None:
        return found("commit", [f"MLflow has no version of run {named}, which the tag names", *strange], "")
    if mine.tags.get("labelwise.inputs") != inputs:
        strange.append("params.yaml or dvc.lock is not the one that MLflow has seen")
    if mine.tags.get("mlflow.source.git.commit") not in history:
        strange.append("the commit that MLflow has seen is not in the tag's history: it was rewritten")
    return found("commit", strange + at_odds(mine), f"version {mine.version} and its run were made from it")


def at_odds(version: Registered) -> list[str]:
    """What a registered version says otherwise than its run."""
    tags = version.tags or {}
    keys = [key for key in version.facts if key in tags and version.facts[key] != tags[key]]
    return [f"version {version.version} says {key} {version.facts[key][:40]}, its run {tags[key][:40]}" for key in keys]


def items(
    rows: pd.DataFrame, strangers: Sequence[str], hashes: tuple[str, str | None], kind: Content = text
) -> list[str]:
    """Complaints about a table of items (id, and the item). strangers: files that are not what their hash says.
    hashes: git's, and MLflow's where it has one."""
    complaints = [f"{file} is not what its hash says" for file in strangers]
    ours, theirs = hashes
    if theirs is not None and ours != theirs:
        complaints.append(f"DVC hash {ours[:12]}, MLflow has {theirs[:12]}")
    own = rows[kind.COLUMN].map(kind.identify)
    return complaints + [f"item {item}: its {kind.NAME} was changed" for item in rows.id[own != rows.id]]


def gold_labels(gold: pd.DataFrame, seen: pd.DataFrame | None) -> list[str]:
    """Complaints about gold labels (columns id, label) that are not those the round was measured by (columns id,
    actual)."""
    if seen is None:
        return []
    both = gold[["id", "label"]].merge(seen[["id", "actual"]], on="id", how="outer", indicator=True)
    odd = both[(both["_merge"] != "both") | (both.label != both.actual)]
    return [
        f"item {row['id']}: gold label {row['label']!r}, but the round was measured by {row['actual']!r}"
        for row in odd.astype(object).where(odd.notna(), None).to_dict("records")
    ]


# What follows from it


def model(then: Mapping[str, bytes], now: Mapping[str, bytes], exact: bool) -> Finding:
    """Weights as recorded and as rebuilt. exact: here the same bits must come out."""
    names = sorted(then.keys() ^ now.keys())
    if names:
        return found("model", [f"{name} is in one of them only" for name in names], "")
    furthest = max((distance(then[name], now[name]), name) for name in then)
    word = _word(furthest[0], exact, WEIGHTS)
    said = quantity(len(then), "file") if word == IDENTICAL else f"off by {furthest[0]:.1e} in {furthest[1]}"
    return Finding("model", word, said)


def registered(files: Mapping[str, bytes], recorded: Mapping[str, bytes], version: str) -> list[str]:
    """Complaints about the files that MLflow serves, which have the recorded ones and what encodes texts for them."""
    odd = [name for name in recorded if files.get(name) != recorded[name]]
    return [f"{name} of registered version {version} is not the recorded one" for name in odd]


def metrics(then: Outcome, now: Outcome, logged: Mapping[str, float] | None, exact: bool) -> Finding:
    """Figures as recorded, as rebuilt, and as MLflow has them."""
    gold = then.metrics["gold"]
    kept = {name: logged[figures.logged_as(name)] for name in gold if logged and figures.logged_as(name) in logged}
    told = [
        f"{name} {gold[name]}, MLflow has {value}" for name, value in kept.items() if abs(value - gold[name]) > ROUNDED
    ]
    of_then = {name: value for name, value in now.metrics["proof"].items() if name in then.metrics["proof"]}
    rebuilt = now.metrics | {"proof": of_then}  # a later version may find out more than the round's own did
    far = max(difference(then.metrics, rebuilt), tables(then.predictions, now.predictions, PREDICTED))
    word = _word(far, exact, INDEPENDENT)
    if word == DIFFERS:
        told += [
            f"{name} {gold[name]}, rebuilt {value}"
            for name, value in now.metrics["gold"].items()
            if name in gold and difference(gold[name], value) > INDEPENDENT + ROUNDED
        ] or ["the predictions of single gold items or the savings differ"]
    said = f"{quantity(len(gold), 'figure')}, {quantity(len(then.predictions), 'prediction')}"
    return found("metrics", told, said, word)


def batch(then: pd.DataFrame, now: pd.DataFrame, exact: bool) -> Finding:
    """Which items it asked, in which order, and why."""
    if then.id.tolist() != now.id.tolist():
        lost, new = (sorted(set(one.id) - set(other.id)) for one, other in ((then, now), (now, then)))
        odd = [f"it asked {', '.join(lost[:SHOWN])}; rebuilt, it asks {', '.join(new[:SHOWN])}"] if lost else []
        return found("batch", odd or ["the same items in another order"], "")
    word = _word(tables(then, now, ASKED), exact, WEIGHTS)
    said = f"the same {quantity(len(then), 'item')} in the same order"
    return Finding("batch", EQUAL if word == CLOSE else word, said)


# How far apart


def _word(far: float, exact: bool, most: float) -> str:
    if far == 0:
        return IDENTICAL
    if exact or far > most + ROUNDED:
        return DIFFERS
    return EQUAL if far <= INDEPENDENT + ROUNDED else CLOSE


def distance(then: bytes, now: bytes) -> float:
    """The largest difference between two files of safetensors or JSON: 0 for the same bytes, inf for another shape."""
    if then == now:
        return 0.0
    try:
        return difference(json.loads(then), json.loads(now)) or ROUNDED  # not the same bytes
    except ValueError:
        pass
    try:
        one, other = safetensors.numpy.load(then), safetensors.numpy.load(now)
    except safetensors.SafetensorError:
        return float("inf")
    if {name: array.shape for name, array in one.items()} != {name: array.shape for name, array in other.items()}:
        return float("inf")
    gaps = [np.abs(one[name].astype(np.float64) - other[name].astype(np.float64)).max(initial=0.0) for name in one]
    return float(np.nan_to_num(max(gaps, default=0.0), nan=np.inf)) or ROUNDED


def difference(then: Any, now: Any) -> float:
    """The largest difference between the numbers in two pieces of JSON; inf where anything else differs.

    >>> difference({"a": [1.0, "x"]}, {"a": [1.5, "x"]})
    0.5
    """
    numbers = (int, float)
    if isinstance(then, numbers) and isinstance(now, numbers) and not isinstance(then, bool):
        return abs(then - now)
    if isinstance(then, dict) and isinstance(now, dict) and then.keys() == now.keys():
        return max((difference(then[key], now[key]) for key in then), default=0.0)
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return max((difference(*pair) for pair in zip(then, now, strict=True)), default=0.0)
    return 0.0 if then == now else float("inf")


def tables(then: pd.DataFrame, now: pd.DataFrame, numbers: Sequence[str]) -> float:
    """The largest difference between two tables in the columns that hold numbers; inf where anything else differs."""
    texts = [column for column in then.columns if column not in numbers]
    if list(then.columns) != list(now.columns) or not _text(then[texts]).equals(_text(now[texts])):
        return float("inf")
    one, other = (each.reindex(columns=list(numbers)).astype(float).to_numpy() for each in (then, now))
    if (np.isnan(one) != np.isnan(other)).any():
        return float("inf")
    return float(np.nanmax(np.abs(one - other), initial=0.0))


def _text(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.astype(object).where(cells.notna(), None).map(str).reset_index(drop=True)


def read_files(folder: Path) -> dict[str, bytes]:
    """All files in a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
