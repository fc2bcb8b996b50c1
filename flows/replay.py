"""Rebuild a past round from its tag alone, in a scratch folder, by the same stages, and compare part by part.

git says what the round was made from, the DVC remote gives it, MLflow says what was true when it was learned. The
stages run in this process: a `dvc.yaml` that came from elsewhere names commands, and those are not run.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from labelwise.flows.stages import REPRODUCIBLE
from labelwise.tasks import made_with, records
from labelwise.tasks.items import forgotten
from labelwise.tasks.labels import witness
from labelwise.tasks.past.rebuild import INPUTS, Scratch
from labelwise.tasks.past.replay import DIFFERS, Finding, commit, verdict
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.services.versions import clones, history, remote
from labelwise.tasks.services.versions.history import Commit
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace


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
    made = f"version {seen.version}, run {plain(seen.run, 40)}" if seen.version else "no model yet"
    said = [f"{seen.round}: commit {seen.commit[:10]}, {made}"]
    if seen.elsewhere:
        said.append(f"not the same bits need come out here: {plain('; '.join(seen.elsewhere), 400)}")
    said += [f"  {part.part:<13}{part.verdict:<15}{plain(part.said, 500)}".rstrip() for part in seen.parts]
    wrong = [part.part for part in seen.parts if part.verdict == DIFFERS]
    return [*said, f"verdict: {seen.verdict}" + (f" in {', '.join(wrong)}" if wrong else "")]


def replay(workspace: Path, name: str, source: str, encode: bool, tell: Callable[[str], None]) -> Replayed:
    """Rebuild the round `name` of the workspace, or of the git address `source`. encode: its vectors too, from texts.

    InputError when there is no such round. ServiceError when git, the DVC remote or MLflow cannot give what it needs.
    """
    own = None if source else Workspace.open(workspace)
    remote.refuse_lack_of(own.root if own else source)
    with TemporaryDirectory(prefix="labelwise-replay-") as folder:
        tell("replay: cloning the history")
        versions = clones.clone(str(own.root) if own else source, Path(folder) / "round")
        tags = history.tagged_rounds(versions)
        mine = history.meant(name, tags, "replay")
        clones.checkout(versions, mine.id)
        tell(f"replay: fetching the data of {mine.tag} from the DVC remote")
        clones.fetch(versions, [*(f"{path}.dvc" for path in INPUTS), *REPRODUCIBLE])
        here = Workspace.open(versions.root)
        origin, scratch = _asked(here, versions, mine, tags)
        elsewhere = _elsewhere(scratch, encode)
        parts = [
            origin,
            *scratch.inputs(),
            *([scratch.ledger_in(own)] if own else []),
            *scratch.outputs(REPRODUCIBLE, encode, not elsewhere, tell),
        ]
        version = scratch.version.version if scratch.version else ""
        return Replayed(mine.tag, mine.id, records.run_of(mine.message), version, elsewhere, parts)


def _asked(here: Workspace, versions: Versions, mine: Commit, tags: dict[str, Commit]) -> tuple[Finding, Scratch]:
    """What MLflow says of the round and of those before it."""
    tracking = open_tracking(here.settings)
    known = tracking.registered()
    run_id = records.run_of(mine.message)
    ancestors = {each.id for each in history.log(versions, mine.id)}
    so_far = {records.run_of(each.message) for each in tags.values() if each.id in ancestors}
    recorded = witness.recorded_by((each.run_id, each.tags or {}) for each in known if each.run_id in so_far)
    version = next((each for each in known if each.run_id == run_id), None)
    return commit(mine.tag, run_id, versions.inputs(), ancestors, known), Scratch(
        here, versions, tracking, version, recorded
    )


def _elsewhere(scratch: Scratch, encode: bool) -> list[str]:
    """Why other bits may come out here, in words."""
    tags = scratch.version.tags if scratch.version else None
    said = made_with.changed(tags) if tags else ["nothing says where it was made"]
    if encode and forgotten.ids(scratch.here):
        said.append("vectors were made beside texts that are forgotten")
    return said
