"""Rebuild a past round from its tag alone, in a scratch folder, by the same stages, and compare part by part.

git says what the round was made from, the DVC remote gives it, MLflow says what was true when it was learned. The
stages run in this process: a `dvc.yaml` that came from elsewhere names commands, and those are not run.
"""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa

from flows.stages import REPRODUCIBLE
from tasks import made_with, promote, snapshot
from tasks.errors import InputError, LabelwiseError
from tasks.items import forgotten, stored
from tasks.labels import ledger, trusted, witness
from tasks.replay import (
    DIFFERS,
    Finding,
    batch,
    commit,
    found,
    gold_labels,
    items,
    metrics,
    model,
    outcome,
    read_files,
    registered,
    verdict,
)
from tasks.services import history
from tasks.services.dvc import Versions
from tasks.services.mlflow import Registered, Tracking
from tasks.workspace import Workspace

INPUTS = ["data/pool", "data/gold", "data/labels"]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Replayed:
    """round, commit: what was rebuilt. run, version: MLflow's, '' for a round without a model. elsewhere: what is not
    as it was when the round was made, in words; where there is none, the same bits must come out."""

    round: str
    commit: str
    run: str
    version: str
    elsewhere: list[str]
    parts: list[Finding]

    @property
    def verdict(self) -> str:
        return verdict(self.parts)

    def json(self) -> str:
        """The same for a program."""
        return json.dumps(asdict(self) | {"verdict": self.verdict}, indent=2)


def lines(seen: Replayed) -> list[str]:
    """The same for people."""
    made = f"version {seen.version}, run {seen.run}" if seen.version else "no model yet"
    head = [f"{seen.round}: commit {seen.commit[:10]}, {made}"]
    head += ["not the same bits need come out here: " + "; ".join(seen.elsewhere)] if seen.elsewhere else []
    table = [f"  {part.part:<13}{part.verdict:<15}{part.said}".rstrip() for part in seen.parts]
    wrong = [part.part for part in seen.parts if part.verdict == DIFFERS]
    return [*head, *table, f"verdict: {seen.verdict}" + (f" in {', '.join(wrong)}" if wrong else "")]


def replay(workspace: Path, name: str, source: str, encode: bool, tell: Tell) -> Replayed:
    """Rebuild the round `name` of the workspace, or of the git address `source`. encode: its vectors too, from texts.

    InputError when there is no such round. ServiceError when git, the DVC remote or MLflow cannot give what it needs.
    """
    where = source or str(Workspace.open(workspace).root)
    with TemporaryDirectory(prefix="labelwise-replay-") as scratch:
        tell(f"replay: cloning {name}")
        versions = history.clone(where, Path(scratch) / "round")
        tags = history.rounds(versions)
        number = _number(name, list(tags))
        own = tags[snapshot.tag(number)]
        history.checkout(versions, own.tag)
        tell("replay: fetching its data from the DVC remote")
        history.fetch(versions, [*(f"{path}.dvc" for path in INPUTS), *REPRODUCIBLE])
        here = Workspace.open(versions.root)
        tracking = Tracking(promote.experiment(here.settings))
        known = tracking.registered()
        run_id = snapshot.run_of(own.message)
        version = next((each for each in known if each.run_id == run_id), None)
        ancestors = {each.id for each in history.log(versions, own.id)}
        parts = [commit(own.tag, run_id, versions.inputs(), ancestors, known)]
        words = [snapshot.run_of(tags[tag].message) for tag in tags if tag <= own.tag]
        heard = witness.words((each.run_id, each.tags or {}) for each in known if each.run_id in words)
        parts += _inputs(versions, here, tracking, version, heard)
        if not source:
            parts.append(_working_copy(Workspace.open(workspace), tracking, heard))
        elsewhere = made_with.changed(version.tags) if version and version.tags else ["nothing says where it was made"]
        if encode and forgotten.ids(here):
            elsewhere.append("vectors were made beside texts that are forgotten")
        parts += _rebuilt(versions, here, tracking, version, encode, not elsewhere, tell)
        return Replayed(own.tag, own.id, run_id, version.version if version else "", elsewhere, parts)


def _number(name: str, tags: Sequence[str]) -> int:
    """The number of a round by its tag, or by its number alone."""
    given = re.fullmatch(r"(?:round-)?(\d{1,9})", name)
    if given is None or snapshot.tag(int(given[1])) not in tags:
        known = f"one of {min(tags)} to {max(tags)}" if tags else "a history with rounds"
        raise InputError("replay", expected=known, got=repr(name[:60]), fix="`git tag --list 'round-*'` names them")
    return int(given[1])


def _inputs(
    versions: Versions, here: Workspace, tracking: Tracking, version: Registered | None, heard: list[witness.Word]
) -> list[Finding]:
    """Pool, gold and ledger, as they came from the DVC remote."""
    hashes, tags = history.outputs(versions), (version.tags or {}) if version else {}
    odd = {path: history.strangers(versions, path, hashes[path]) for path in [*INPUTS, "data/vectors"]}
    both = {path: (hashes[path], tags.get(f"dvc.{Path(path).name}")) for path in INPUTS}

    def pool() -> Finding:
        rows = pd.concat([pd.read_parquet(shard, columns=["id", "text"]) for shard in stored.shards(here)])
        return found("pool", items(rows, odd["data/pool"], both["data/pool"]), f"{len(rows):,} items")

    def gold() -> Finding:
        rows = trusted.gold(here)
        measured = tracking.table(version.run_id, "predictions.csv") if version else None
        complaints = items(rows, odd["data/gold"], both["data/gold"]) + gold_labels(rows, measured)
        return found("gold", complaints, f"{len(rows):,} items")

    def labels() -> Finding:
        rows = ledger.read(here.labels)
        complaints = [str(each) for each in _unlike(here, tracking, heard)]
        # First what a person looks for, the item; then the file that holds it.
        complaints += items(pd.DataFrame({"id": [], "text": []}), odd["data/labels"], both["data/labels"])
        return found("ledger", complaints, f"{len(rows):,} rows{_unheard(here, heard)}")

    def vectors() -> Finding:
        return found("vectors", [f"{file} is not what its hash says" for file in odd["data/vectors"]], "")

    return [
        _readable(part, read)
        for part, read in (("pool", pool), ("gold", gold), ("ledger", labels), ("vectors", vectors))
    ]


def _readable(part: str, read: Callable[[], Finding]) -> Finding:
    """A finding, also where what came cannot even be read."""
    try:
        return read()
    except (LabelwiseError, pa.ArrowException, OSError, KeyError, ValueError) as error:
        return Finding(part, DIFFERS, f"it cannot be read: {' '.join(str(error).split())[:160]}")


def _unlike(here: Workspace, tracking: Tracking, heard: list[witness.Word]) -> list[witness.Difference]:
    return witness.check(here.labels, heard, lambda run: tracking.table(run, witness.FILE), forgotten.ids(here))


def _unheard(here: Workspace, heard: list[witness.Word]) -> str:
    """Which shards no run bears witness of, in words."""
    missing = set(range(ledger.current_round(here.labels) + 1)) - {n for word in heard for n in word.shards}
    rows = sum(len(pd.read_parquet(ledger.shard(here.labels, n))) for n in missing)
    return f", {rows:,} of them known to no run in MLflow" if rows else ""


def _working_copy(here: Workspace, tracking: Tracking, heard: list[witness.Word]) -> Finding:
    """The ledger that lies in the workspace now, in the rounds that were replayed."""

    def read() -> Finding:
        complaints = [str(each) for each in _unlike(here, tracking, heard)]
        return found("working copy", complaints, "its ledger has the same rows")

    return _readable("working copy", read)


def _rebuilt(
    versions: Versions,
    here: Workspace,
    tracking: Tracking,
    version: Registered | None,
    encode: bool,
    exact: bool,
    tell: Tell,
) -> list[Finding]:
    """Run the stages on what came, and compare with what was recorded."""
    hashes = history.outputs(versions)
    made = {"model": "model", "metrics": "metrics/predictions.csv", "batch": "data/batch.parquet"}
    odd = {part: history.strangers(versions, path, hashes[path]) for part, path in made.items()}
    try:
        then = outcome(here)
        _clear(here, encode)
        for stage, run in REPRODUCIBLE.items():
            tell(f"replay: {stage}: {run(here)}")
        now = outcome(here)
    except (LabelwiseError, pa.ArrowException, OSError, KeyError, ValueError) as error:
        return [Finding("model", DIFFERS, f"it cannot be rebuilt: {' '.join(str(error).split())[:160]}")]
    served: list[str] = []
    if version:
        with TemporaryDirectory() as scratch:
            served = registered(read_files(tracking.files(version.version, Path(scratch))), then.model, version.version)
    compared = [
        model(then.model, now.model, exact),
        metrics(then, now, version.metrics if version else None, exact),
        batch(then.batch, now.batch, exact),
    ]
    more = {"model": served}
    return [
        _with(each, [f"{file} is not what its hash says" for file in odd[each.part]] + more.get(each.part, []))
        for each in compared
    ]


def _with(finding: Finding, complaints: list[str]) -> Finding:
    """A finding with what else was found of its part."""
    said = [finding.said] if finding.verdict == DIFFERS else []
    return found(finding.part, [*said, *complaints], finding.said, finding.verdict)


def _clear(here: Workspace, encode: bool) -> None:
    """Take away what the stages make: nothing recorded may stand in for what is rebuilt."""
    for path in (here.model, here.scores, here.batch, *(here.vectors.parent / "vectors",) * encode):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name in ("gold.json", "proof.json", "predictions.csv", "per_class.csv", "calibration.csv"):
        (here.metrics / name).unlink(missing_ok=True)
