"""Which model is served, and what may be promised of its answers: read from the workspace, kept until model or gold set
are other ones."""

import math
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.answering.at_work import Served
from labelwise.tasks.answering.model import Chosen, chosen
from labelwise.tasks.errors import InputError, ServiceDown
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored, vectors
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.proof import answering, unlike
from labelwise.tasks.proof.answering import OF_ONLINE, OF_TRAFFIC, Threshold, risk_of_model
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.settings import Embed
from labelwise.tasks.workspace import Workspace

SAMPLE = 5000  # items of the pool whose confidences are the steps of the threshold


class Champion:
    """The model that is served, and its successors. wanted: see `model.chosen`; '' for the champion of the day."""

    def __init__(self, workspace: Workspace, wanted: str, tell: Callable[[str], None]) -> None:
        self._workspace, self._wanted, self._tell = workspace, wanted, tell
        self._version = ""

    def first(self) -> Served:
        """The model to begin with."""
        try:
            self._version = "" if self._wanted else self._of_the_day()
        except ServiceDown:  # `chosen` says what it takes then
            self._version = ""
        return serve(self._workspace, chosen(self._workspace, self._wanted, self._tell))

    def newer(self) -> Served | None:
        """Another model that is the champion now; None while it is the same."""
        if self._wanted or (now := self._of_the_day()) in ("", self._version):
            return None
        self._workspace.reread()
        served = serve(self._workspace, chosen(self._workspace, now, self._tell))
        self._version = now
        return served

    def _of_the_day(self) -> str:
        champion = open_tracking(self._workspace.settings).champion()
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
    own = encoded(workspace, classifier.embed)
    pool = confidences(workspace, classifier, own)
    share = 1 - OF_TRAFFIC - (OF_ONLINE if wanted.online else 0)
    risk = risk_of_model(wanted.confidence, looks(workspace, model), share)
    found = threshold(workspace, classifier, pool, own, risk)
    far = None
    if wanted.unlike and own:
        near = unlike.fit(sampled(workspace, unlike.MOST), wanted.unlike, workspace.settings.seed)
        far = near.far
    return Served(classifier, model.name, found, far)


def encoded(workspace: Workspace, embed: Embed) -> bool:
    """Whether all items of the workspace have vectors, by such an encoder."""
    wanted = workspace.settings.embed
    if embed.model_dump(exclude={"wording"}) != wanted.model_dump(exclude={"wording"}):
        return False
    made = ((vectors.vectors_of(workspace, shard), shard) for shard in stored.shards(workspace))
    return vectors.encoded(workspace) and all(vectors.fresh(file, shard, wanted) for file, shard in made)


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


def sampled(workspace: Workspace, most: int) -> NDArray[np.float32]:
    """(n, d) vectors of a sample of the pool."""
    pool = vectors.pool_vectors(workspace)
    return pool.gather(drawn(len(pool), most, workspace.settings.seed))


def drawn(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Positions of a sample, in order."""
    return np.sort(np.random.default_rng([seed, 7]).permutation(n)[:most])


def looks(workspace: Workspace, model: Chosen) -> int:
    """How many models the gold set had compared when this one was: that of each round until its own."""
    named = re.search(r"round-([0-9]+)", model.name)
    return max(1, int(named[1]) if named else ledger.current_round(workspace.labels))
