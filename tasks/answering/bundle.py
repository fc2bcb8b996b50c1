"""The model as a folder of its own, for a machine or a container where neither Labelwise nor torch is."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from labelwise.tasks import kinds
from labelwise.tasks.answering.model import FIRST, NONE
from labelwise.tasks.errors import InputError
from labelwise.tasks.exports.place import replacing
from labelwise.tasks.kinds import text
from labelwise.tasks.learners import portable, serving
from labelwise.tasks.services.mlflow import Loaded, open_tracking, save
from labelwise.tasks.workspace import Workspace, read_json


def run(workspace: Workspace, out: Path, version: str, tell: Callable[[str], None]) -> str:
    """Write the champion, or another registered version, to the folder `out`, as MLflow keeps a model; a text encoder
    lies in it, too, where that spares torch. An earlier bundle makes way. Returns a line for people; told is what such
    a model cannot do without.

    InputError: there is no such version, it has learned nothing, or something else is at `out`. ServiceError: MLflow
    does not give it.
    """
    tracking = open_tracking(workspace.settings)
    champion = None if version else tracking.champion()
    if champion is None and not version:
        raise InputError(NONE, fix=FIRST)
    known = tracking.models().version.tolist()
    wanted = version or (champion.version if champion else "")
    if wanted not in known:
        raise InputError("--version", expected="one of " + (", ".join(known) or "none so far"), got=repr(wanted[:60]))
    with TemporaryDirectory() as scratch, replacing([out], workspace.root) as (place,):
        model = tracking.files(wanted, Path(scratch))
        loaded = bundled(model, Path(scratch), tell)
        settings = workspace.settings
        save(place, model, loaded, kinds.item(settings.kind.item).takes(settings.pull.columns))
        size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    return f"{out}: version {wanted}, {size / 1e6:.0f} MB, {len(loaded.needs)} packages in {out / 'requirements.txt'}"


def bundled(model: Path, folder: Path, tell: Callable[[str], None]) -> Loaded:
    """How the files of a model are loaded where it is to be small; the encoder is put among them. folder: for its
    code."""
    if not serving.load(model).model.trained:
        raise InputError("the model has learned nothing", expected="one of a round with labels", fix=FIRST)
    about = read_json(model / serving.ENCODER_FILE)
    needs = portable.without_torch(model, about)
    if needs is None:
        needs = portable.requirements(model, about)
        tell("this model cannot do without torch: its learner, its encoder or its kind of label needs it")
    elif about.get("item", text.NAME) == text.NAME:
        portable.carry_encoder(model, about["encoder"])
    return Loaded(portable.LOADER, portable.code(folder), needs)
