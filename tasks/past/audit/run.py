"""Read what an audit asks about, and ask."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from labelwise.tasks import kinds, learners, promote, records, snapshot
from labelwise.tasks.errors import LabelwiseError
from labelwise.tasks.gold import asking, trusted
from labelwise.tasks.items import forgotten, stored
from labelwise.tasks.labels import ledger, witness
from labelwise.tasks.past.audit import answers, data, models
from labelwise.tasks.past.audit.models import Past, Traced
from labelwise.tasks.past.audit.part import Part
from labelwise.tasks.records import number_of, tag
from labelwise.tasks.services.label_studio.project import LabelStudioProject, open_gold_project, open_project
from labelwise.tasks.services.mlflow import Registered, Tracking, open_tracking
from labelwise.tasks.services.versions import clones, history, remote
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace, read_table

SHOWN = 10  # models, and complaints, that people are shown; programs get all
LONGEST = 1_000  # characters of a complaint, which may name a command to be copied
FETCHED = [
    "data/pool.dvc",
    "data/gold.dvc",
    "data/labels.dvc",
    "select",
]  # by stage: a file as a target makes DVC leave out others


@dataclass(frozen=True)
class Audit:
    """models: every registered version, traced. parts: what was looked at."""

    models: list[Traced]
    parts: list[Part]

    @property
    def in_order(self) -> bool:
        return not any(part.complaints for part in self.parts)

    @property
    def verdict(self) -> str:
        """One line: what is wrong, or that all is accounted for; and what nobody could look at."""
        unseen = [f"{part.name} not checked" for part in self.parts if part.checked is None]
        kinds = ("missing", "surplus", "changed")
        counts = {kind: sum(len(getattr(part, kind)) for part in self.parts) for kind in kinds}
        said = [f"{count:,} {kind}" for kind, count in counts.items() if count] or ["all accounted for"]
        return ", ".join([*said, *unseen])

    def json(self) -> str:
        """The same for a program."""
        return json.dumps(asdict(self) | {"in_order": self.in_order, "verdict": self.verdict}, indent=2)


def lines(seen: Audit) -> list[str]:
    """The same for people: models, parts, complaints, verdict."""
    shown = [("model", "round", "run", "commit", "rows", "reviewers", "made by")]
    for each in seen.models[-SHOWN:]:
        made = (
            f"labelwise {each.made_by.get('labelwise', '?')} ({each.code[:8]}), torch {each.made_by.get('torch', '?')}"
        )
        counts = f"{each.rows:,}", f"{len(each.reviewers):,}"
        shown.append((each.version, each.round, each.run[:8], each.commit[:10], *counts, made))
    said = _aligned(shown)
    if more := len(seen.models) - SHOWN if len(seen.models) > SHOWN else 0:
        said.append(f"and {more:,} earlier models: --json has them all")
    said += [
        "",
        *_aligned(
            [("part", "checked", "missing", "surplus", "changed", "waiting", "forgotten", ""), *map(_row, seen.parts)]
        ),
    ]
    for part in seen.parts:
        said += [f"{part.name}: {plain(line, LONGEST)}" for line in part.complaints[:SHOWN]]
        said += [f"{part.name}: {len(part.complaints) - SHOWN:,} more"] if len(part.complaints) > SHOWN else []
    return [*said, f"verdict: {seen.verdict}"]


def run(workspace: Path, source: str) -> Audit:
    """Look at the whole history of a workspace, or of the git address `source`. ServiceError when git, MLflow or the
    DVC remote does not answer; Label Studio may be out of reach, which is said. Of a history whose data is gone from
    the remote nothing else can be said."""
    if source and (lack := remote.lack_of(source)):
        return Audit([], [Part("files at remote", 0, missing=[str(lack)])])
    with _opened(workspace, source) as here:
        versions = Versions(here.root)
        tracking = open_tracking(here.settings)
        known = tracking.registered()
        past = _past(versions)
        rows = ledger.read_by_shard(here.labels)
        gone = forgotten.ids(here)
        learned = max(map(number_of, past.tags), default=-1)
        named = {records.run_of(commit.message) for commit in past.tags.values()}
        recorded = witness.recorded_by((each.run_id, each.tags or {}) for each in known if each.run_id in named)
        unlike = witness.check(here.labels, recorded, lambda run_id: tracking.table(run_id, witness.FILE), gone)
        objects = history.objects(versions, [*past.tags, "HEAD"] if past.tags else [])
        parts = [
            models.rounds_part(past, known),
            models.models(past, known, tag(ledger.current_round(here.labels))),
            data.rows(rows, unlike, {number for each in recorded for number in each.shards}, learned),
            data.items(rows, _pool(here), stored.gold(here).id, gone),
            data.stored(objects, history.at_remote(versions, objects), remote.lack(versions)),
            _champion(tracking, known),
            *_label_studio(here, rows, gone),
        ]
        return Audit(models.traced(known, rows), parts)


@contextmanager
def _opened(workspace: Path, source: str) -> Iterator[Workspace]:
    """The workspace itself, or a clone that lasts as long as the audit."""
    if not source:
        here = Workspace.open(workspace)
        remote.refuse_missing(here)
        yield here
        return
    with TemporaryDirectory(prefix="labelwise-audit-") as scratch:
        versions = clones.clone(source, Path(scratch) / "clone")
        Workspace.open(versions.root)
        clones.fetch(versions, FETCHED)
        yield Workspace.open(versions.root)


def _past(versions: Versions) -> Past:
    tags = history.tagged_rounds(versions)
    both = [history.contents(versions, name, tags) for name in ("params.yaml", "dvc.lock")]
    inputs = {
        name: hashlib.sha256(b"".join(each[name] for each in both)).hexdigest()[:16]
        for name in tags
        if all(name in each for each in both)
    }
    hashes: dict[str, dict[str, str]] = {}
    for name in ("pool", "gold", "labels"):
        for revision, content in history.contents(versions, f"data/{name}.dvc", tags).items():
            hashes.setdefault(revision, {})[name] = str(history.tracked(content)["md5"])
    return Past(tags, {each.id for each in history.log(versions, "HEAD")}, inputs, hashes)


def _pool(here: Workspace) -> list[str]:
    return [item for shard in stored.shards(here) for item in read_table(shard, ["id"])["id"].to_pylist()]


def _champion(tracking: Tracking, known: Sequence[Registered]) -> Part:
    """The model in production: its files are those that were registered, and can be loaded."""
    found = Part("champion", 0)
    champion = tracking.champion()
    if champion is None:
        found.said = "there is none yet"
        return found
    mine = next((each for each in known if each.version == champion.version), None)
    registered = (mine.tags or mine.facts).get(promote.MODEL) if mine else None
    if registered is None:
        found.said = f"version {champion.version} was registered before digests were kept"
        return found
    found.checked = 1
    try:
        with TemporaryDirectory() as scratch:
            files = tracking.files(champion.version, Path(scratch))
            digest = promote.digest_of(files)
            learners.load(files)
    except LabelwiseError as error:
        found.missing.append(f"the files of version {champion.version}: {error}")
        return found
    if digest != registered:
        found.changed.append(f"the files of version {champion.version} in MLflow are not those that were registered")
    return found


def _label_studio(here: Workspace, rows: pd.DataFrame, gone: set[str]) -> list[Part]:
    """Both projects against what was collected from them."""
    answer = kinds.answer(here.settings.kind.answer)

    def batches() -> Part:
        project = open_project(here.settings)
        pending = (
            _numbers(snapshot.look(here, project).rows) if project.found is not None and here.batch.exists() else set()
        )
        return answers.answers("answers", _exported(project), rows.drop(columns="shard"), pending, gone, answer)

    def golden() -> Part:
        project, asked, known = open_gold_project(here.settings), trusted.asked(here), trusted.answers(here)
        tasks = (
            project.touched(None)
            if project.found is not None
            else pd.DataFrame(columns=["id", "task_id", "updated_at"])
        )
        exported = project.answered(tasks.task_id.tolist())
        pending = _numbers(
            asking.news(
                asking.answered(
                    exported, asked, here.settings.answerable, answer, asking.cells_of(asked, here.settings)
                ),
                known,
                tasks,
            )
        )
        return answers.answers("gold answers", exported, known.rename(columns={"ask": "round"}), pending, gone, answer)

    return [_reached("answers", batches), _reached("gold answers", golden)]


def _reached(name: str, look: Callable[[], Part]) -> Part:
    """A part of Label Studio's, or that it is out of reach."""
    try:
        return look()
    except LabelwiseError as error:
        return Part(name, None, said=f"not checked: {error}")


def _exported(project: LabelStudioProject) -> list[dict[str, Any]]:
    return project.everything() if project.found is not None else []


def _numbers(rows: pd.DataFrame) -> set[int]:
    return set(rows.annotation_id.dropna().astype(int))


def _row(part: Part) -> tuple[str, ...]:
    if part.checked is None:
        return (part.name, *["-"] * 6, plain(part.said, 160))
    counts = part.checked, len(part.missing), len(part.surplus), len(part.changed), part.waiting, part.forgotten
    return (part.name, *(f"{count:,}" for count in counts), part.said)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of text as a table."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
