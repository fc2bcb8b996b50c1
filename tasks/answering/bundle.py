"""The model as a folder of its own, for a machine or a container where neither Labelwise nor torch is."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from labelwise.tasks import kinds
from labelwise.tasks.answering.kept import digest_of_files
from labelwise.tasks.answering.model import FIRST, NONE, Chosen
from labelwise.tasks.answering.quick import Runtime, quick
from labelwise.tasks.errors import InputError
from labelwise.tasks.exports.place import replacing
from labelwise.tasks.kinds import text
from labelwise.tasks.learners import portable, serving
from labelwise.tasks.learners.runtimes import TORCH
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.learners.static_encoder import Encoder
from labelwise.tasks.services.mlflow import Loaded, open_tracking, save
from labelwise.tasks.workspace import Workspace, read_json, write_json


def run(
    workspace: Workspace, out: Path, version: str, tell: Callable[[str], None], runtime: Runtime | None = None
) -> str:
    """Write the champion, or another registered version, to the folder `out`, as MLflow keeps a model; a text encoder
    lies in it, too, where that spares torch. An earlier bundle makes way. runtime: what its encoder is to run on, see
    `quick`; None: torch where it is installed, else onnxruntime. Returns a line for people; told is what such a model
    cannot do without.

    InputError: there is no such version, it has learned nothing, the runtime cannot be had, or something else is at
    `out`. ServiceError: MLflow does not give it.
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
        if runtime is None:
            loaded = bundled(model, Path(scratch), tell)
        else:
            loaded = moved(workspace, model, Path(scratch), runtime, tell)
        settings = workspace.settings
        save(place, model, loaded, kinds.item(settings.kind.item).takes(settings.pull.columns))
        size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    return f"{out}: version {wanted}, {size / 1e6:.0f} MB, {len(loaded.needs)} packages in {out / 'requirements.txt'}"


def bundled(model: Path, folder: Path, tell: Callable[[str], None]) -> Loaded:
    """How the files of a model are loaded where it is to be small; the encoder is put among them. folder: for its
    code."""
    _trained(model)
    about = read_json(model / serving.ENCODER_FILE)
    needs = portable.without_torch(model, about)
    if needs is None:
        needs = portable.requirements(model, about)
        tell("this model cannot do without torch: its learner, its encoder or its kind of label needs it")
    elif about.get("item", text.NAME) == text.NAME:
        portable.carry_encoder(model, about["encoder"])
    return Loaded(portable.LOADER, portable.code(folder), needs)


def moved(workspace: Workspace, model: Path, folder: Path, runtime: Runtime, tell: Callable[[str], None]) -> Loaded:
    """The same where the encoder is to run on a runtime that is named."""
    own, about = _trained(model), read_json(model / serving.ENCODER_FILE)
    if runtime.name == TORCH:
        return Loaded(portable.LOADER, portable.code(folder), portable.requirements(model, about))
    needs = portable.without_torch(model, about, runtime.name)
    if needs is None:
        got = "one whose learner, encoder or kind of label needs torch"
        raise InputError(f"--runtime {runtime.name}", expected="a model without torch", got=got, fix="leave it out")
    encoder = quick(workspace, Chosen(own, "", digest_of_files(model)), runtime, tell).classifier.encoder
    if isinstance(encoder, Encoder):
        portable.carry_table(model, encoder.folder)
    else:
        portable.carry_encoder(model, about["encoder"])
    write_json(model / serving.ENCODER_FILE, about | {serving.RUNTIME: runtime.name})
    return Loaded(portable.LOADER, portable.code(folder), needs)


def _trained(model: Path) -> Classifier:
    found = serving.load(model, later=True)
    if not found.model.trained:
        raise InputError("the model has learned nothing", expected="one of a round with labels", fix=FIRST)
    return found
