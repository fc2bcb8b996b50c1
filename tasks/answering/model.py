"""Which model answers: the champion, or another one that is named."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from labelwise.tasks import figures
from labelwise.tasks.errors import InputError, ServiceDown
from labelwise.tasks.learners import serving
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.records import round_tags, tag
from labelwise.tasks.services.mlflow import REMOVED, Tracking, open_tracking
from labelwise.tasks.services.versions import clones
from labelwise.tasks.workspace import Workspace

NONE = "there is no champion yet"
FIRST = "answer a batch and let `labelwise run` learn from it; `labelwise status` says where it stands"


@dataclass(frozen=True)
class Chosen:
    """A model, and what it is called."""

    classifier: Classifier
    name: str


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
    try:
        tracking = open_tracking(workspace.settings)
        champion = None if wanted else tracking.champion()
    except ServiceDown:
        if wanted:
            raise
        return _as_last_known(workspace, tell)
    if champion is None and not wanted:
        raise InputError(NONE, fix=FIRST)
    return _registered(tracking, wanted or (champion.version if champion else ""))


def _registered(tracking: Tracking, version: str) -> Chosen:
    known = tracking.models().version.tolist()
    if version not in known:
        raise InputError("--version", expected="one of " + (", ".join(known) or "none so far"), got=repr(version))
    facts = tracking.tags(version)
    if REMOVED in facts:
        fix = f"`--version {facts['labelwise.tag']}`" if "labelwise.tag" in facts else "choose another one"
        raise InputError(f"the files of version {version} were removed by `labelwise gc`", fix=fix)
    with TemporaryDirectory() as folder:
        made = serving.load(tracking.files(version, Path(folder)))
    return _learned(made, f"version {version}" + (f" ({facts['labelwise.tag']})" if "labelwise.tag" in facts else ""))


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
        return _learned(serving.load(there.root), called or name)


def _learned(made: Classifier, name: str) -> Chosen:
    if not made.model.trained:
        raise InputError(f"the model of {name} has learned nothing", expected="one of a round with labels", fix=FIRST)
    return Chosen(made, name)
