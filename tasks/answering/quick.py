"""The model on another runtime: onnxruntime with the encoder's own weights, or with wide layers of 8 bits, or a table
of tokens in place of the encoder. What that changes is measured before it is used, and refused where it is too much."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from labelwise.tasks import made_with
from labelwise.tasks.answering.drift import SAMPLE, Drift, drawn, follows_of, measured
from labelwise.tasks.answering.kept import Arrays, kept, kept_folder
from labelwise.tasks.answering.model import Chosen
from labelwise.tasks.errors import InputError
from labelwise.tasks.exports.place import seen
from labelwise.tasks.items import stored, vectors
from labelwise.tasks.kinds import text
from labelwise.tasks.learners import onnx_encoder, runtimes, static_encoder
from labelwise.tasks.learners.encoder import path_of
from labelwise.tasks.learners.runtimes import INT8, ONNX, RUNTIMES, SAME, STATIC, TORCH
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.workspace import Workspace

AGREEMENT = 0.99  # share of the labels that must stay the same
COMPARED = {ONNX: 200}  # items of the pool, and of the gold set at most, that are compared; else SAMPLE
READ = 20_000  # items of the pool that a table is fitted to
AUTO = ""
NEXT = {INT8: ONNX, STATIC: INT8}  # what to try where one is refused


@dataclass(frozen=True)
class Runtime:
    """What the model is to run on. name: one of RUNTIMES, or AUTO: onnxruntime where it is installed and reads the
    encoder, else torch. least: the share of labels that must stay as torch has them, in [0, 1]."""

    name: str = TORCH
    least: float = AGREEMENT

    def __post_init__(self) -> None:
        if self.name not in (*RUNTIMES, AUTO):
            raise InputError("--runtime", expected=" or ".join(RUNTIMES), got=repr(self.name[:60]))
        if not 0 <= self.least <= 1:
            raise InputError("--least", expected="a share from 0 to 1, such as 0.99", got=f"{self.least:g}")

    @property
    def same(self) -> bool:
        """Whether its vectors are those of the workspace, but for rounding."""
        return self.name in (*SAME, AUTO)


AS_LEARNED = Runtime()  # on torch, as the encoder was when the model learned


def quick(workspace: Workspace, model: Chosen, wanted: Runtime, tell: Callable[[str], None]) -> Chosen:
    """The model on the runtime that is wanted; what it changes is told, once a model.

    InputError: its items are no texts, it marks parts of them, the encoder is none that the runtime reads, or fewer
    than `wanted.least` of the labels stay as they are by torch.
    """
    own = model.classifier
    if wanted.name == AUTO:
        wanted = replace(wanted, name=ONNX if can_do_without(workspace, own) else TORCH)
    if wanted.name == TORCH:
        return model
    if own.item is not text or own.answer.PLACES:
        expected = "torch, but for texts with one or several labels"
        raise InputError("--runtime", expected=expected, got=wanted.name, fix="leave it out")
    folder = table(workspace, own, tell) if wanted.name == STATIC else graph(workspace, own, wanted.name)
    other = replace(own, encoder=runtimes.encoder(wanted.name, own.embed, folder))
    news: list[Drift] = []

    def made() -> Arrays:
        found = measured(workspace, own, other, COMPARED.get(wanted.name, SAMPLE))
        news.append(found)
        return {"drift": np.array([found.n, found.agreement, found.score, found.was, found.se], np.float64)}

    follows = [model.digest, wanted.name, follows_of(workspace)]
    n, *rest = kept(workspace, f"drift-{wanted.name}", follows, made)["drift"].tolist()
    found = Drift(int(n), *rest)
    if found.agreement < wanted.least:
        fix = f"--runtime {NEXT.get(wanted.name, TORCH)}, or --least {math.floor(100 * found.agreement) / 100:g}"
        what = f"--runtime {wanted.name} changes too much"
        raise InputError(what, expected=f"{wanted.least:.0%}", got=str(found), fix=fix)
    if news:
        tell(f"by {wanted.name} in place of torch {found}")
    return replace(model, classifier=other, runtime=wanted.name)


def can_do_without(workspace: Workspace, model: Classifier) -> bool:
    """Whether onnxruntime can run the encoder of the model here, and the workspace has what that is measured by."""
    there = all(find_spec(name) for name in onnx_encoder.NEEDS)
    texts = model.item is text and not model.answer.PLACES and onnx_encoder.reads(model.embed.encoder)
    tables = [*stored.shards(workspace), workspace.gold]  # a pull may have been cut off before they had vectors
    return there and texts and len(tables) > 1 and all(vectors.vectors_of(workspace, each).exists() for each in tables)


def graph(workspace: Workspace, model: Classifier, runtime: str) -> Path:
    """The folder of the encoder's graph for onnxruntime."""
    embed, source = model.embed, Path(path_of(model.embed.encoder))
    follows = [runtime, seen(source) if source.is_dir() else "", embed.encoder, made_with.code()]
    return kept_folder(workspace, f"graph-{runtime}", follows, lambda scratch: runtimes.make(runtime, embed, scratch))


def table(workspace: Workspace, model: Classifier, tell: Callable[[str], None]) -> Path:
    """The folder of the table that stands for the encoder, made of the pool but for what `measured` looks at."""

    def made(scratch: Path) -> None:
        tell("a table is made of the encoder, which takes a minute")
        rows = drawn(workspace)[1][: READ if vectors.encoded_by(workspace, model.embed) else SAMPLE]
        items = vectors.pool_items(workspace, vectors.pool_vectors(workspace)).take(np.sort(rows))
        texts = items.texts()
        own = items.vectors() if vectors.encoded_by(workspace, model.embed) else model.encoder.encode(texts)
        static_encoder.make(scratch, model.embed.encoder, model.encoder, texts, own, model.embed.max_tokens)

    return kept_folder(workspace, STATIC, [follows_of(workspace), model.embed.model_dump()], made)
