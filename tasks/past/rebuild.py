"""Read a round that lies in a scratch folder, run its stages again, and have `replay.py` compare."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa

from labelwise.tasks import figures, kinds
from labelwise.tasks.errors import LabelwiseError, ServiceError, quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import forgotten, stored
from labelwise.tasks.labels import ledger, witness
from labelwise.tasks.past import replay
from labelwise.tasks.past.replay import DIFFERS, Finding, found
from labelwise.tasks.services.mlflow import Registered, Tracking
from labelwise.tasks.services.versions import history
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, read_parquet

INPUTS = ["data/pool", "data/gold", "data/labels"]
MADE = {
    "vectors": "data/vectors",
    "model": "model",
    "metrics": figures.tracked(figures.PREDICTIONS),
    "batch": "data/batch.parquet",
}
BROKEN = (
    LabelwiseError,
    pa.ArrowException,
    OSError,
    KeyError,
    ValueError,
)  # what files of strangers can do to a reader

Stages = Mapping[str, Callable[[Workspace], str]]


@dataclass(frozen=True)
class Scratch:
    """A round in a folder of its own, and who is asked about it. version: MLflow's, None for a round without a model.
    recorded: what runs say of the ledger so far."""

    here: Workspace
    versions: Versions
    tracking: Tracking
    version: Registered | None
    recorded: Sequence[witness.Recorded]

    def inputs(self) -> list[Finding]:
        """Pool, gold and ledger, as they came from the DVC remote."""
        return [_readable("pool", self._pool), _readable("gold", self._gold), _readable("ledger", self._ledger)]

    def ledger_in(self, other: Workspace) -> Finding:
        """The ledger that lies in another place, the workspace itself, in the rounds up to this one."""

        def look() -> Finding:
            complaints = [str(each) for each in self._unlike(other)]
            return found("working copy", complaints, "its ledger has the same rows")

        return _readable("working copy", look)

    def outputs(self, stages: Stages, encode: bool, exact: bool, tell: Callable[[str], None]) -> list[Finding]:
        """Run the stages on what came, and compare with what was recorded. encode: make the vectors again, too. exact:
        the same bits must come out."""
        odd = {part: self._strangers(path) for part, path in MADE.items()}
        vectors = found("vectors", odd["vectors"], "made anew" if encode else "as recorded")
        try:
            then = replay.outcome(self.here)
            _clear(self.here, encode)
            for stage, run in stages.items():
                tell(f"replay: {stage}: {run(self.here)}")
            now = replay.outcome(self.here)
        except BROKEN as error:
            return [vectors, Finding("model", DIFFERS, f"it cannot be rebuilt: {_first_words(error)}")]
        logged = self.version.metrics if self.version else None
        compared = [
            replay.model(then.model, now.model, exact),
            replay.metrics(then, now, logged, exact),
            replay.batch(then.batch, now.batch, exact),
        ]
        odd["model"] += self._served(then.model)
        return [vectors, *(replay.also(each, odd[each.part]) for each in compared)]

    def _pool(self) -> Finding:
        columns = ["id", stored.column_of(self.here)]
        rows = pd.concat([read_parquet(shard, columns=columns) for shard in stored.shards(self.here)])
        return found("pool", self._items("data/pool", rows), quantity(len(rows), "item"))

    def _gold(self) -> Finding:
        rows = trusted.gold(self.here)
        measured = self.tracking.table(self.version.run_id, "predictions.csv") if self.version else None
        complaints = [*self._items("data/gold", rows), *replay.gold_labels(rows, measured)]
        return found("gold", complaints, quantity(len(rows), "item"))

    def _ledger(self) -> Finding:
        rows = ledger.read_by_shard(self.here.labels)
        # First what a person looks for, the item; then the file that holds it.
        none = pd.DataFrame(columns=["id", stored.column_of(self.here)])
        complaints = [*map(str, self._unlike(self.here)), *self._items("data/labels", none)]
        alone = len(rows) - int(rows.shard.isin({number for each in self.recorded for number in each.shards}).sum())
        unknown = f", {alone:,} known to no run" if alone else ""
        return found("ledger", complaints, quantity(len(rows), "row") + unknown)

    def _items(self, path: str, rows: pd.DataFrame) -> list[str]:
        ours = history.outputs(self.versions)[path]
        theirs = (self.version.tags or {}).get(f"dvc.{Path(path).name}") if self.version else None
        item = kinds.item(self.here.settings.kind.item)
        return replay.items(rows, history.strangers(self.versions, path, ours), (ours, theirs), item)

    def _strangers(self, path: str) -> list[str]:
        odd = history.strangers(self.versions, path, history.outputs(self.versions)[path])
        return [f"{file} is not what its hash says" for file in odd]

    def _unlike(self, where: Workspace) -> list[witness.Difference]:
        def fetch(run_id: str) -> pd.DataFrame | None:
            return self.tracking.table(run_id, witness.FILE)

        return witness.check(where.labels, self.recorded, fetch, forgotten.ids(where))

    def _served(self, recorded: Mapping[str, bytes]) -> list[str]:
        """What MLflow gives out as the round's model, against what was recorded; its files may have been cleared."""
        if self.version is None or "removed" in self.version.facts:
            return []
        try:
            with TemporaryDirectory() as folder:
                files = replay.read_files(self.tracking.files(self.version.version, Path(folder)))
        except ServiceError as error:
            return [f"MLflow does not give the files of version {self.version.version}: {error}"]
        return replay.registered(files, recorded, self.version.version)


def _readable(part: str, look: Callable[[], Finding]) -> Finding:
    """A finding, also where what came cannot even be read."""
    try:
        return look()
    except BROKEN as error:
        return Finding(part, DIFFERS, f"it cannot be read: {_first_words(error)}")


def _first_words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]


def _clear(here: Workspace, encode: bool) -> None:
    """Take away what the stages make: nothing recorded may stand in for what is rebuilt."""
    files = [figures.file(here, name) for name in figures.OF_STAGES]
    for path in [here.consensus, here.model, here.scores, here.batch, *files, *[here.vectors] * encode]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
