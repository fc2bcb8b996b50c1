"""MLflow: one run a round, found by its tags before it is made; a registered version a model; the alias `champion`.

MLflow has no keys of ours either. A request may go through though no answer came, or long after we gave it up: of two
runs of a round, or versions of a run, the one that is in use stays, else the older; see `record`.
"""

import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pandas as pd

from labelwise.tasks.errors import InputError, LabelwiseError, ServiceBusy, ServiceDown, ServiceError, quantity
from labelwise.tasks.figures import ACCURACY
from labelwise.tasks.records import tag
from labelwise.tasks.services.addresses import is_local, known
from labelwise.tasks.services.mlflow_look import MLflowLook
from labelwise.tasks.services.patience import seconds_asked
from labelwise.tasks.services.urls import public
from labelwise.tasks.settings import MEASURES, Settings
from labelwise.tasks.workspace import table_of_text

# Before mlflow is imported. Its own retries are off, see tasks/services/patience.py.
for name, value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # the loop says it in its own lines
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",  # a stranger's model may stand where ours stood
    "GIT_PYTHON_REFRESH": "quiet",
}.items():
    os.environ.setdefault(name, value)

CHAMPION = "champion"
NOTE = "mlflow.note.content"  # what MLflow's pages show as a description
# Columns of the table of runs that are shown unasked where a link names this view; MLflow's own choice has no figure.
VIEW = "labelwise"
# What a model shows of itself, whatever kind of label it gives.
HEADLINES = [f"{metric}{end}" for metric, _ in MEASURES.values() for end in ("", "_low", "_high")]
FIGURES = (*HEADLINES, "labels", "macro_f1")
SHOWN_AS = {
    # How MLflow's page names the kind of experiment 'machine learning'; left to itself it asks anyone who looks.
    "mlflow.experimentKind": "custom_model_development",
    f"mlflow.sharedViewState.{VIEW}": json.dumps({"selectedColumns": [f"metrics.`{name}`" for name in FIGURES]}),
    NOTE: "A labelling loop: a run is a round, its model registered; the alias `champion` is the best so far.",
}
AS_TRAINING = "workflowType=machine_learning"  # else the pages are those for language models, see `Tracking.page`
TRACE = "trace"  # the tag of a version that holds, as JSON, what its run's tags say
PAGE = 1000
EVERY = 3  # ViewType.ALL: those of an experiment that somebody has deleted, too
MODEL = "models:/"  # how the source of a version begins that was logged as a model; its id follows
REMOVED = "removed"  # the tag of a version whose files `labelwise gc` took


@dataclass(frozen=True)
class Loaded:
    """How MLflow loads a model: the module that it imports for that, the files that module is among, and the packages
    that they need, as lines of a requirements.txt."""

    module: str
    code: Sequence[Path] = ()
    needs: Sequence[str] = ()


INSTALLED = Loaded("labelwise.tasks.learners.serving")  # where Labelwise is


@dataclass(frozen=True)
class RoundRun:
    """Everything that MLflow is told about a round.

    params: settings; metrics: figures; tags: what it followed from; inputs: dataset name -> (folder, DVC hash). metric:
    the name of the headline among the figures; measure: the same in words. takes: what the model is given, as
    `Content.takes` has it. loaded: how the model is loaded.
    """

    number: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    inputs: dict[str, tuple[str, str]]
    metric: str = ACCURACY
    measure: str = ACCURACY
    takes: Sequence[tuple[str, str | None]] = (("string", None),)
    loaded: Loaded = INSTALLED


@dataclass(frozen=True)
class Registered:
    """A registered version with what it says of itself, and its run's tags and figures; these are None where the run is
    gone."""

    version: str
    run_id: str
    facts: dict[str, str]
    tags: dict[str, str] | None
    metrics: dict[str, float] | None


@dataclass(frozen=True)
class Champion:
    """The registered version that passed the gate last, its run, and what `note` wrote on it."""

    version: str
    run_id: str
    tags: dict[str, str] = field(default_factory=dict)


class Tracking:
    """The runs of one workspace. wanted: the name that its experiment and registered model are given when they are
    made, see `name`; workspace: its id. looking: only look, which takes no second to import MLflow."""

    def __init__(self, wanted: str, workspace: str = "", looking: bool = False) -> None:
        self.wanted, self.workspace = wanted, workspace
        self.uri = known("MLFLOW_TRACKING_URI")["MLFLOW_TRACKING_URI"]
        self._answering()
        self.client: Any
        if looking and self.uri.startswith("http"):
            self.client = MLflowLook(self.uri)
            return
        import mlflow

        with _mlflow_errors():
            mlflow.set_tracking_uri(self.uri)
            self.client = mlflow.MlflowClient(self.uri)

    def _answering(self) -> None:
        """ServiceDown in a second, not after the client's retries, when nobody listens."""
        if not self.uri.startswith("http"):
            return
        try:
            httpx.get(f"{self.uri}/health", timeout=10).raise_for_status()
        except httpx.HTTPStatusError as error:
            raise ServiceBusy(
                f"MLflow at {public(self.uri)} cannot answer now ({error.response.status_code})",
                fix="run it again later; its log says what is wrong",
                retry_after=seconds_asked(error.response.headers),
            ) from None
        except httpx.HTTPError as error:
            raise ServiceDown(
                f"MLflow does not answer at {self.uri}",
                got=str(error) or type(error).__name__,
                fix="`labelwise up`, or set MLFLOW_TRACKING_URI",
            ) from None

    @cached_property
    def name(self) -> str:
        """The name that experiment and registered model have: they keep that of their first round when `project.name`
        is changed. Of several the one of the wanted name, else the oldest."""
        with _mlflow_errors():
            if not self.workspace or self.client.get_experiment_by_name(self.wanted):
                return self.wanted
            experiments = _all(lambda page: self.client.search_experiments(EVERY, max_results=PAGE, page_token=page))
            ended = [each for each in experiments if each.name.endswith(f"-{self.workspace}")]
            ours = [each for each in ended if self._is_ours(each.experiment_id)]
        return str(min(ours, key=lambda each: int(each.experiment_id)).name) if ours else self.wanted

    def _is_ours(self, experiment_id: str) -> bool:
        """Whether its runs say that they are of this workspace: `1` ends the name of workspace `a-1`, too."""
        runs = self.client.search_runs([experiment_id], run_view_type=EVERY, max_results=1)
        return any(run.data.tags.get("labelwise.workspace") == self.workspace for run in runs)

    def artifact_url(self, run_id: str, name: str) -> str:
        """Where people look at a file kept with a run. MLflow's page shows HTML in a frame without scripts; the address
        of the file itself would only download it."""
        return f"{public(self.uri)}/#/experiments/{self._experiment()}/runs/{run_id}/artifacts/{name}?{AS_TRAINING}"

    @property
    def page(self) -> str:
        """Where people look at all rounds, with the figures that count; MLflow's first page before there are any."""
        with _mlflow_errors():
            found = self._found()
        if found is None:
            return public(self.uri)
        view = f"viewStateShareKey={VIEW}&" if f"mlflow.sharedViewState.{VIEW}" in found.tags else ""
        return f"{public(self.uri)}/#/experiments/{found.experiment_id}/runs?{view}{AS_TRAINING}"

    def record(self, run: RoundRun, model: Path) -> tuple[str, str]:
        """Log the round and register the model folder; what an interrupted call did is found. (run id, version)."""
        with _mlflow_errors():
            run_id = self._run(run)
            version = self._version(run_id)
            logged = None if version else self._model(run_id, run.number)
            self._log(run_id, run, logged and logged.model_id)
            version = version or self._register(run_id, logged, model, run)
            self.client.set_terminated(run_id)
            self._remove_remains(run_id)
        return run_id, version

    def attach(self, run_id: str, files: list[Path]) -> None:
        """Keep files with a run; one of the same name is replaced."""
        with _mlflow_errors():
            for file in files:
                self.client.log_artifact(run_id, str(file))

    def find(self, number: int, inputs: str) -> str | None:
        """The id of the run of a round on just these inputs, whether it ended or was cut off."""
        wanted = f"tags.`labelwise.round` = '{number}' and tags.`labelwise.inputs` = '{inputs}'"
        runs = self._runs(wanted)
        used = next((run for run in runs if self._version(run)), None)
        return used or next(iter(runs), None)

    def _runs(self, wanted: str) -> list[str]:
        """The ids of the runs that a search finds, oldest first."""
        found = self.client.search_runs([self._experiment()], wanted, order_by=["attributes.start_time ASC"])
        return [str(run.info.run_id) for run in found]

    def champion(self) -> Champion | None:
        """The version under the alias, None before the first."""
        with _mlflow_errors():
            try:
                version = self.client.get_model_version_by_alias(self.name, CHAMPION)
            except Exception as error:  # MlflowException: to import it takes seconds
                if getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        return Champion(str(version.version), str(version.run_id), dict(version.tags)) if version else None

    def crown(self, version: str) -> None:
        """Move the alias `champion` to this version."""
        with _mlflow_errors():
            self.client.set_registered_model_alias(self.name, CHAMPION, version)

    def note(self, version: str, **facts: str) -> None:
        """Tags on a registered version: why it was promoted or not."""
        with _mlflow_errors():
            for key, value in facts.items():
                self.client.set_model_version_tag(self.name, version, key, value)

    def tags(self, version: str) -> dict[str, str]:
        """What a registered version says of itself: what it was made with, and what `note` wrote."""
        with _mlflow_errors():
            return facts_of(self.client.get_model_version(self.name, version))

    def models(self) -> pd.DataFrame:
        """Every registered version, the oldest first: columns `version`, `run_id`, `model_id` (None where it was not
        logged as a model), `promoted` (whether it has ever been champion), `removed` (whether `drop` took its files).
        """
        with _mlflow_errors():
            found = self._versions()
        followed = {one.tags.get("replaces") for one in found}
        rows = [
            (
                str(one.version),
                one.run_id,
                one.source.removeprefix(MODEL) if one.source.startswith(MODEL) else None,
                one.tags.get("promoted") == "true" or str(one.version) in followed,
                REMOVED in one.tags,
            )
            for one in sorted(found, key=lambda one: int(one.version))
        ]
        return pd.DataFrame(rows, columns=["version", "run_id", "model_id", "promoted", "removed"])

    def size(self, model_id: str) -> int:
        """The bytes of a logged model's files."""
        with _mlflow_errors():
            folders, total = [""], 0
            while folders:
                for file in self.client.list_logged_model_artifacts(model_id, folders.pop() or None):
                    folders += [file.path] if file.is_dir else []
                    total += file.file_size or 0
            return total

    def drop(self, version: str, model_id: str, why: str) -> None:
        """Delete the files of a registered version's model. The version stays, with its run, its figures and `why`."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with _mlflow_errors():
            self.client.set_model_version_tag(self.name, version, REMOVED, why)
            where = self.client.get_logged_model(model_id).artifact_location
            get_artifact_repository(where, tracking_uri=self.uri).delete_artifacts()

    def remember(self, facts: dict[str, str]) -> None:
        """Tags on the experiment as a whole."""
        with _mlflow_errors():
            for key, value in facts.items():
                self.client.set_experiment_tag(self._experiment(), key, value)

    def remembered(self) -> dict[str, str]:
        """What `remember` was told last."""
        with _mlflow_errors():
            found = self._found()
            return dict(found.tags) if found else {}

    def table(self, run_id: str, name: str) -> pd.DataFrame | None:
        """A CSV that was attached to a run, its cells as text; None where there is none."""
        with _mlflow_errors(), TemporaryDirectory() as scratch:
            if name not in {file.path for file in self.client.list_artifacts(run_id)}:
                return None
            return table_of_text(Path(self.client.download_artifacts(run_id, name, scratch)))

    def runs(self) -> dict[str, tuple[dict[str, str], dict[str, float]]]:
        """Tags and figures of every run of a round, by the run's id. A request for a thousand."""
        with _mlflow_errors():
            found = self._found()
            wanted = [found.experiment_id] if found else []
            runs = _all(lambda token: self.client.search_runs(wanted, max_results=PAGE, page_token=token))
        tagged = [run for run in runs if "labelwise.round" in run.data.tags]
        return {str(run.info.run_id): (dict(run.data.tags), dict(run.data.metrics)) for run in tagged}

    def registered(self) -> list[Registered]:
        """Every registered version, oldest first. A request for a thousand, and those of `runs`."""
        runs = self.runs()
        with _mlflow_errors():
            versions = self._versions()
        found = [
            Registered(str(each.version), str(each.run_id), facts_of(each), *runs.get(each.run_id, (None, None)))
            for each in versions
        ]
        return sorted(found, key=lambda each: int(each.version))

    def files(self, version: str, folder: Path) -> Path:
        """The files of a registered model, as they were given to `record`, downloaded below `folder`."""
        import mlflow

        with _mlflow_errors():
            uri = self.client.get_model_version(self.name, version).source  # `models:/NAME` would end at a `#` in it
            fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
        data = fetched / "data"
        inside = sorted(data.iterdir()) if data.is_dir() else []
        if len(inside) != 1 or not (fetched / "MLmodel").is_file():
            said = f"version {version} of {self.name} in MLflow is no model of ours, or parts of it are gone"
            got = ", ".join(sorted(path.name for path in fetched.iterdir()))
            raise ServiceError(said, expected="MLmodel and one folder in data", got=got)
        return inside[0]

    def _experiment(self) -> str:
        with _mlflow_errors():
            experiment = self._found()
            if experiment is None:
                return str(self.client.create_experiment(self.name, tags=SHOWN_AS))
            return str(experiment.experiment_id)

    def _found(self) -> Any:
        """The experiment, None before it is made. ServiceError when somebody has deleted it: MLflow keeps it and its
        name then, and takes no run into it."""
        found = self.client.get_experiment_by_name(self.name)
        if found is None or found.lifecycle_stage == "active":
            return found
        # Another server's address is in the user's environment, with a password in it perhaps.
        where = f"MLFLOW_TRACKING_URI={public(self.uri)} " if is_local("MLFLOW_TRACKING_URI") else ""
        raise ServiceError(
            f"the experiment {self.name!r} was deleted in MLflow at {public(self.uri)}",
            fix=f"`{where}mlflow experiments restore -x {found.experiment_id}` brings its runs back",
        )

    def _run(self, run: RoundRun) -> str:
        """The run of the round, found or made."""
        if found := self.find(run.number, run.tags["labelwise.inputs"]):
            return found
        tags = run.tags | {
            NOTE: description(run.number, run.metrics, run.metric, run.measure),
            "mlflow.source.name": "labelwise",
        }
        score = f" · {run.metrics[run.metric]:.3f}" if run.metric in run.metrics else ""
        made = self.client.create_run(self._experiment(), tags=tags, run_name=f"{tag(run.number)}{score}")
        return str(made.info.run_id)

    def _log(self, run_id: str, run: RoundRun, model_id: str | None) -> None:
        """What the run does not hold yet: a figure that is logged twice would show as two points. model_id: the model
        that has FIGURES, too."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

        logged = self.client.get_run(run_id)
        now = int(logged.info.start_time)
        self.client.log_batch(
            run_id,
            metrics=[
                Metric(key, value, now, run.number, model_id=model_id if key in FIGURES else None)
                for key, value in run.metrics.items()
                if key not in logged.data.metrics
            ],
            params=[Param(key, value) for key, value in run.params.items()],
            tags=[RunTag(key, value) for key, value in run.tags.items()],
        )
        inputs = [
            DatasetInput(
                Dataset(name=name, digest=digest[:36], source_type="local", source=json.dumps({"uri": path})),
                [InputTag("mlflow.data.context", name)],
            )
            for name, (path, digest) in run.inputs.items()
        ]
        self.client.log_inputs(run_id, datasets=inputs)

    def _version(self, run_id: str) -> str | None:
        """The registered version of a run."""
        found = _in_order_of_use(self.client.search_model_versions(f"run_id = '{run_id}'"))
        return str(found[0].version) if found else None

    def _versions(self) -> list[Any]:
        """Every registered version. MLflow's filters have no way to write a quote, so what is awkward in the name
        stands there as `_`, any character, and what is found is compared with the name itself."""
        like = "name LIKE '" + re.sub(r"[^A-Za-z0-9 .-]", "_", self.name) + "'"
        found = _all(lambda token: self.client.search_model_versions(like, max_results=PAGE, page_token=token))
        return [version for version in found if version.name == self.name]

    def _make_registered_model(self) -> None:
        """Make the registered model unless it is there."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            said = "Each version is the model of a round; the alias `champion` is the best so far."
            self.client.create_registered_model(self.name, description=said)

    def _model(self, run_id: str, number: int) -> Any:
        """The logged model of a run, found or made; it is PENDING until `_register` has brought its files."""
        from mlflow.entities import LoggedModelOutput

        experiment = self._experiment()
        mine = f"source_run_id = '{run_id}'"
        found = self.client.search_logged_models([experiment], mine, order_by=[{"field_name": "creation_time"}])
        logged = found[0] if found else self.client.create_logged_model(experiment, tag(number), run_id)
        outputs = self.client.get_run(run_id).outputs
        if logged.model_id not in {output.model_id for output in (outputs.model_outputs if outputs else [])}:
            self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])  # twice would be refused
        return logged

    def _register(self, run_id: str, logged: Any, model: Path, run: RoundRun) -> str:
        """Keep the model's files, going on from where an earlier call ended, and register it."""
        from mlflow.models import Model

        with TemporaryDirectory() as scratch:
            about = Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id)
            save(Path(scratch) / "model", model, run.loaded, run.takes, about)
            self.client.log_model_artifacts(logged.model_id, f"{scratch}/model")
        self.client.finalize_logged_model(logged.model_id, "READY")
        self._make_registered_model()
        score = {run.metric: f"{run.metrics[run.metric]:.3f}"} if run.metric in run.metrics else {}
        made = self.client.create_model_version(
            self.name,
            logged.model_uri,
            run_id,
            # With all that its run says, in one tag: who has the version alone can rebuild it and check it.
            tags=score | {TRACE: json.dumps(run.tags)},
            model_id=logged.model_id,
            description=description(run.number, run.metrics, run.metric, run.measure),
        )
        return str(made.version)

    def _remove_remains(self, run_id: str) -> None:
        """Remove what was made by requests that went through unheard: runs and models that were never continued,
        second versions of a run."""
        for other in self._runs("attributes.status = 'RUNNING' and tags.`labelwise.round` != ''"):
            if other != run_id and not self._version(other):
                self.client.delete_run(other)
        newest = [{"field_name": "creation_time", "ascending": False}]
        for model in self.client.search_logged_models([self._experiment()], max_results=20, order_by=newest):
            if model.status == "PENDING":  # the server's own filter takes only its own number for that
                self.client.delete_logged_model(model.model_id)
        known = set()
        for version in _in_order_of_use(self._versions()):
            if version.run_id in known and not version.aliases and not _judged(version):
                self.client.delete_model_version(self.name, version.version)
            known.add(version.run_id)


def save(folder: Path, model: Path, loaded: Loaded, takes: Sequence[tuple[str, str | None]], about: Any = None) -> None:
    """Write the files of a model as MLflow keeps a model. folder: where to; takes: as `Content.takes` has it; about:
    which model of MLflow's it is, None where it is none of a server's."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    def taken(kind: str, name: str | None) -> ColSpec:
        """A column that may be missing, but for one without a name, which stands for all."""
        return ColSpec(AnyType() if kind == "any" else kind, name, required=name is None)

    with warnings.catch_warnings():
        # It asks for an example of what goes in, which would be somebody's words.
        warnings.filterwarnings("ignore", message=".*An input example was not provided")
        mlflow.pyfunc.save_model(
            str(folder),
            mlflow_model=about,
            loader_module=loaded.module,
            data_path=str(model),
            code_paths=[str(path) for path in loaded.code] or None,
            pip_requirements=list(loaded.needs),
            signature=ModelSignature(
                Schema([taken(*column) for column in takes]),
                Schema([ColSpec("string", "label"), ColSpec("double", "confidence")]),
            ),
        )


def fetched(address: str, folder: Path) -> Path:
    """The files of a registered model by its address, `models:/NAME@ALIAS` or `models:/NAME/VERSION`, downloaded below
    `folder`. InputError for another address."""
    found = re.fullmatch(r"models:/(?P<name>[^/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>[0-9]+))", address)
    if not found:
        raise InputError("the address of a model", expected="models:/NAME@ALIAS or models:/NAME/VERSION", got=address)
    tracking = Tracking(found["name"])
    with _mlflow_errors():
        version = found["version"] or tracking.client.get_model_version_by_alias(found["name"], found["alias"]).version
    return tracking.files(str(version), folder)


def description(number: int, metrics: Mapping[str, float], metric: str = ACCURACY, measure: str = ACCURACY) -> str:
    """What a run or a version is, in a sentence that begins with what a narrow column shows of it. metric: the name of
    the headline among the figures; measure: the same in words.

    >>> description(2, {"accuracy": 0.9, "accuracy_low": 0.833, "accuracy_high": 0.942, "labels": 50})
    '90.0% right on gold (95 % interval 83.3% to 94.2%): the model of round 2, with 50 labels'
    """
    made = f"the model of round {number}, with {quantity(int(metrics.get('labels', 0)), 'label')}"
    head = [metrics.get(f"{metric}{end}") for end in ("", "_low", "_high")]
    if None in head:
        return made
    value, low, high = (f"{share:.1%}" for share in head)
    shown = f"{value} right on gold" if measure == ACCURACY else f"{measure} {value} on gold"
    return f"{shown} (95 % interval {low} to {high}): {made}"


def facts_of(version: Any) -> dict[str, str]:
    """What a registered version says of itself: what it was made with, which versions of earlier rounds say in a tag
    each, and what `note` wrote."""
    made = version.tags.get(TRACE, "{}")
    try:
        said = json.loads(made)
    except ValueError:
        said = {}
    facts = {key: str(value) for key, value in said.items()} if isinstance(said, dict) else {}
    return facts | {key: value for key, value in version.tags.items() if key != TRACE}


def _in_order_of_use(versions: Iterable[Any]) -> list[Any]:
    """Registered versions: those with an alias first, then those that were judged, then the older."""
    return sorted(versions, key=lambda version: (not version.aliases, not _judged(version), int(version.version)))


def _judged(version: Any) -> bool:
    """Whether the gate has said something of it."""
    return "promoted" in (version.tags or {})


def record_rehearsal(
    out: Path, plan: str, runs: list[dict[str, Any]], files: list[Path], metric: str = ACCURACY
) -> str:
    """Log each run of a rehearsal once, and files with the rehearsal as a whole; returns where. `plan` tells it from
    others. metric: what its scores are called in MLflow.

    To MLFLOW_TRACKING_URI where that is set; else to a database in `out`, which needs no server.
    """
    import mlflow
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    server = os.environ.get("MLFLOW_TRACKING_URI")
    uri = server or f"sqlite:///{(out / 'mlflow.db').resolve()}"
    with _mlflow_errors():
        client = mlflow.MlflowClient(uri)
        found = client.get_experiment_by_name("rehearsal")
        artifacts = None if server else (out / "mlflow").resolve().as_uri()
        experiment = found.experiment_id if found else client.create_experiment("rehearsal", artifacts)
        wanted = f"tags.`labelwise.plan` = '{plan}'"
        logged = _all(lambda token: client.search_runs([experiment], wanted, max_results=PAGE, page_token=token))
        for run in [{"strategy": "all", "learner": "", "seed": ""}, *runs]:
            tags = {f"labelwise.{key}": str(run[key]) for key in ("strategy", "learner", "seed")} | {
                "labelwise.plan": plan
            }
            known = [each for each in logged if tags.items() <= each.data.tags.items()]
            name = "-".join(filter(None, map(str, (run["strategy"], run["learner"], run["seed"]))))
            run_id = (known[0] if known else client.create_run(experiment, tags=tags, run_name=name)).info.run_id
            if "score" in run:
                now, points = get_current_time_millis(), zip(run["labels"], run["score"], strict=True)
                there = len(client.get_metric_history(run_id, metric)) if known else 0
                metrics = [Metric(metric, value, now, step) for step, value in points][there:]
                client.log_batch(run_id, metrics=metrics)
            else:
                for file in files:
                    client.log_artifact(run_id, str(file))
            client.set_terminated(run_id)
    return uri


def _all(search: Callable[[str | None], Any]) -> list[Any]:
    """All pages of a search."""
    page = search(None)
    found = list(page)
    while page.token:
        page = search(page.token)
        found += page
    return found


@contextmanager
def _mlflow_errors() -> Iterator[None]:
    """MLflow's errors as ours. It says of a server that is gone that it failed with 500."""
    try:
        yield
    except LabelwiseError:
        raise
    except httpx.HTTPError as error:
        raise ServiceDown("MLflow does not answer", got=str(error) or type(error).__name__) from None
    except Exception as error:
        import requests
        from mlflow.exceptions import MlflowException

        if not isinstance(error, MlflowException | requests.RequestException):
            raise
        status = error.get_http_status_code() if isinstance(error, MlflowException) else _status(error)
        kind = ServiceBusy if status >= 500 or status == 429 else ServiceError
        raise kind("MLflow failed", got=str(error)[:200]) from error


def _status(error: Any) -> int:
    """The status that an artifact was refused with; 503 where there was no answer."""
    return 503 if error.response is None else int(error.response.status_code)


def open_tracking(settings: Settings, looking: bool = False) -> Tracking:
    """The workspace's runs and models in MLflow. looking: for a look, see Tracking."""
    return Tracking(experiment_name(settings), settings.project.id, looking)


def experiment_name(settings: Settings) -> str:
    """The name that a workspace's experiment and registered model are given; MLflow takes no `/` and `:` in it, and
    no path that leads out of a folder. Later they go by `Tracking.name`, since people change `project.name`."""
    return re.sub(r"[/:]|^\.\.", "-", f"{settings.project.name}-{settings.project.id}")
