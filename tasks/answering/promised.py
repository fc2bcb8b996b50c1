"""Which model is served, and what may be promised of its answers: read from the workspace, kept until model or gold set
are other ones."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.answering.at_work import Served
from labelwise.tasks.answering.drift import follows_of
from labelwise.tasks.answering.kept import Arrays, kept
from labelwise.tasks.answering.model import Chosen, chosen
from labelwise.tasks.answering.quick import AS_LEARNED, Runtime, quick
from labelwise.tasks.errors import InputError, ServiceDown
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored, vectors
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners.runtimes import SAME, STATIC
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.proof import answering, unlike
from labelwise.tasks.proof.answering import OF_ONLINE, OF_TRAFFIC, Threshold, risk_of_model
from labelwise.tasks.services.mlflow import Tracking, open_tracking
from labelwise.tasks.workspace import Workspace

SAMPLE = 5000  # items of the pool whose confidences are the steps of the threshold


class Champion:
    """The model that is served, and its successors. wanted: see `model.chosen`; '' for the champion of the day."""

    def __init__(
        self, workspace: Workspace, wanted: str, tell: Callable[[str], None], runtime: Runtime = AS_LEARNED
    ) -> None:
        self._workspace, self._wanted, self._tell, self._runtime = workspace, wanted, tell, runtime
        self._version = ""
        self._tracking: Tracking | None = None

    def first(self) -> Served:
        """The model to begin with."""
        try:
            self._version = "" if self._wanted else self._of_the_day()
        except ServiceDown:  # `chosen` says what it takes then
            self._version = ""
        return self._served(self._wanted)

    def newer(self) -> Served | None:
        """Another model that is the champion now; None while it is the same."""
        if self._wanted or (now := self._of_the_day()) in ("", self._version):
            return None
        self._workspace.reread()
        served = self._served(now)
        self._version = now
        return served

    def _served(self, wanted: str) -> Served:
        model = chosen(self._workspace, wanted, self._tell)
        return serve(self._workspace, quick(self._workspace, model, self._runtime, self._tell))

    def _of_the_day(self) -> str:
        if self._tracking is None:  # one for all looks: to make a client takes more of the processor than they do
            self._tracking = open_tracking(self._workspace.settings, looking=True)
        champion = self._tracking.champion()
        return champion.version if champion else ""


def serve(workspace: Workspace, model: Chosen) -> Served:
    """A model with what is promised of it: nothing where the workspace lacks its gold set or its pool. InputError where
    a class that people keep for themselves is none."""
    wanted, classifier = workspace.settings.answer, model.classifier
    if strange := sorted(set(wanted.never) - set(workspace.settings.classes)):
        raise InputError(
            "answer.never in params.yaml names no class", got=repr(strange[0]), fix="name one of `classes`"
        )
    if not workspace.gold.exists() or not stored.shards(workspace):  # a clone without its data, say
        return Served(classifier, model.name, Threshold(math.inf, 0.0, 0, None))
    own = model.runtime in SAME and vectors.encoded_by(workspace, classifier.embed)
    follows = [model.digest, model.runtime, own, follows_of(workspace)]
    pool = kept(workspace, "confidences", follows, lambda: {"pool": confidences(workspace, classifier, own)})["pool"]
    share = 1 - OF_TRAFFIC - (OF_ONLINE if wanted.online else 0)
    risk = risk_of_model(wanted.confidence, looks(workspace, model), share)
    found = threshold(workspace, classifier, pool, own, risk)
    far = reference(workspace, model, own, follows).far if wanted.unlike else None
    classifier.seen(stored.cells(workspace, np.zeros(1, int)))  # the first that is read takes longest: not a caller's
    return Served(classifier, model.name, found, far)


def reference(workspace: Workspace, model: Chosen, own: bool, follows: list[Any]) -> unlike.Reference:
    """What the pool looks like to the encoder of the model. own, follows: as in `serve`."""
    share, seed = workspace.settings.answer.unlike, workspace.settings.seed

    def made() -> Arrays:
        found = unlike.fit(sampled(workspace, model, own), share, seed)
        return {"rows": found.rows, "own": found.own, "limit": np.array([found.limit])}

    found = kept(workspace, "unlike", [follows, share], made)
    return unlike.Reference(found["rows"], found["own"], float(found["limit"][0]))


def threshold(workspace: Workspace, model: Classifier, pool: NDArray[np.float64], own: bool, risk: float) -> Threshold:
    """The least confidence at which the model may answer, by the gold set. pool: its confidences there. own: whether
    the workspace's vectors are of its encoder. risk: the chance that this breaks the promise."""
    settings = workspace.settings
    gold, answer = trusted.gold(workspace), kinds.answer(settings.kind.answer)
    column = kinds.item(settings.kind.item).COLUMN
    said = model.of(vectors.gold_items(workspace)) if own else model.judged(gold[column].tolist())
    losses = 1 - answer.score(said.label.tolist(), gold["label"].tolist())
    weights = gold["weight"].to_numpy(np.float64)
    return answering.threshold(
        pool,
        said.confidence.to_numpy(np.float64),
        np.asarray(losses, np.float64),
        settings.answer.wrong,
        risk,
        None if (weights == weights[0]).all() else weights,
        answer.NAME == "choice",
    )


def confidences(workspace: Workspace, model: Classifier, own: bool) -> NDArray[np.float64]:
    """(n,) the model's confidences of a sample of the pool, or of all of it where it is small."""
    n = stored.items(workspace)
    if own:
        items = vectors.pool_items(workspace, vectors.pool_vectors(workspace))
        said = model.of(items.take(drawn(n, SAMPLE, workspace.settings.seed)))
    else:
        said = model.judged(stored.cells(workspace, drawn(n, SAMPLE // 10, workspace.settings.seed)))
    return said.confidence.to_numpy(np.float64)


def sampled(workspace: Workspace, model: Chosen, own: bool) -> NDArray[np.float32]:
    """(n, d) vectors of a sample of the pool by the encoder of the model."""
    most = unlike.MOST if own or model.runtime == STATIC else unlike.MOST // 8
    rows = drawn(stored.items(workspace), most, workspace.settings.seed)
    if own:
        return vectors.pool_vectors(workspace).gather(rows)
    return model.classifier.vectors(stored.cells(workspace, rows))


def drawn(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Positions of a sample, in order."""
    return np.sort(np.random.default_rng([seed, 7]).permutation(n)[:most])


def looks(workspace: Workspace, model: Chosen) -> int:
    """How many models the gold set had compared when this one was: that of each round until its own."""
    named = re.search(r"round-([0-9]+)", model.name)
    return max(1, int(named[1]) if named else ledger.current_round(workspace.labels))
