"""Which model answers: the champion, or another one that is named."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from labelwise.tasks import figures
from labelwise.tasks.answering.kept import digest_of_files, kept_folder
from labelwise.tasks.errors import InputError, ServiceDown
from labelwise.tasks.learners import serving
from labelwise.tasks.learners.runtimes import TORCH
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.records import round_tags, tag
from labelwise.tasks.services.mlflow import REMOVED, Champion, Tracking, facts_of, open_tracking
from labelwise.tasks.services.versions import clones
from labelwise.tasks.workspace import Workspace

NONE = "there is no champion yet"
FIRST = "answer a batch and let `labelwise run` learn from it; `labelwise status` says where it stands"


@dataclass(frozen=True)
class Chosen:
    """A model, what it is called, a digest of its files, and what it runs on, see learners/runtimes.py."""

    classifier: Classifier
    name: str
    digest: str = ""
    runtime: str = TORCH


def chosen(workspace: Workspace, wanted: str, tell: Callable[[str], None]) -> Chosen:
    """The champion as MLflow has it; where MLflow does not answer, as the last round had it, which is told. wanted: a
    registered version, or the tag of a round, whose model then comes from the DVC remote; '' for the champion.

    InputError: there is no such model, or it has learned nothing. ServiceError: it cannot be had.
    """
    if round_tags(wanted):
        return _of_round(workspace, wanted)
    if wanted and not re.fullmatch("[0-9]+", wanted):
        expected = "a registered version such as 3, or a round such as round-0003"
        raise InputError("--version", expected=expected, got=repr(wanted[:60]))
    if wanted:
        return _registered(open_tracking(workspace.settings), wanted)
    try:
        champion = open_tracking(workspace.settings, looking=True).champion()
    except ServiceDown:
        return _as_last_known(workspace, tell)
    if champion is None:
        raise InputError(NONE, fix=FIRST)
    return _of_champion(workspace, champion)


def _registered(tracking: Tracking, version: str) -> Chosen:
    known = tracking.models().version.tolist()
    if version not in known:
        raise InputError("--version", expected="one of " + (", ".join(known) or "none so far"), got=repr(version))
    facts = tracking.tags(version)
    refuse_removed(version, facts)
    with TemporaryDirectory() as scratch:
        return _read(tracking.files(version, Path(scratch)), _named(version, facts))


def _of_champion(workspace: Workspace, champion: Champion) -> Chosen:
    """The champion. Its files are kept: they never change, and MLflow's own client, which brings them, takes seconds to
    import."""
    facts = facts_of(champion)
    refuse_removed(champion.version, facts)
    name = _named(champion.version, facts)

    def fetched(place: Path) -> None:
        with TemporaryDirectory() as scratch:
            shutil.copytree(open_tracking(workspace.settings).files(champion.version, Path(scratch)), place)

    try:
        return _read(kept_folder(workspace, "model", champion.run_id, fetched), name)
    except OSError:  # one may only read there
        with TemporaryDirectory() as scratch:
            fetched(found := Path(scratch) / "model")
            return _read(found, name)


def refuse_removed(version: str, facts: dict[str, str]) -> None:
    """InputError where the files of a version are gone."""
    if REMOVED in facts:
        fix = f"`--version {facts['labelwise.tag']}`" if "labelwise.tag" in facts else "choose another one"
        raise InputError(f"the files of version {version} were removed by `labelwise gc`", fix=fix)


def _named(version: str, facts: dict[str, str]) -> str:
    return f"version {version}" + (f" ({facts['labelwise.tag']})" if "labelwise.tag" in facts else "")


def _as_last_known(workspace: Workspace, tell: Callable[[str], None]) -> Chosen:
    """The champion by metrics/champion.json."""
    found = figures.champion(workspace)
    if not found or found.get("learned") is None:
        raise InputError(f"{NONE}, as far as is known without MLflow", fix=f"`labelwise up`; or {FIRST}")
    tell(
        f"MLflow does not answer: version {found['version']} is taken, the champion of round {found['measured']}; "
        "a `labelwise rollback` since is not known"
    )
    return _of_round(workspace, tag(int(found["learned"])), f"version {found['version']} ({tag(found['learned'])})")


def _of_round(workspace: Workspace, name: str, called: str = "") -> Chosen:
    with clones.past(workspace.root, name, "predict --version", ["train"]) as (_, there):
        return _read(there.root, called or name)


def _read(found: Path, name: str) -> Chosen:
    """The model in a folder; its encoder is loaded when it is asked for, since it may be moved to another runtime."""
    made = serving.load(found, later=True)
    if not made.model.trained:
        raise InputError(f"the model of {name} has learned nothing", expected="one of a round with labels", fix=FIRST)
    own = found / "model"
    return Chosen(made, name, digest_of_files(own if own.is_dir() else found))
