"""Loads a model back, to take items and give labels: `labelwise.load("models:/NAME@champion").predict(["some text"])`,
or the same with `mlflow.pyfunc.load_model`. What a program gives for an item is the content's to say: a text, or a
frame with the columns of a row.

MLflow calls `_load_pyfunc` by name (its `loader_module` way), so nothing is pickled, neither written nor read. Models
that were registered before 0.2 name that module as it was called then, which no longer exists: `load` reads these, too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, learners
from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import Answer, Content, choice, text
from labelwise.tasks.kinds.base import Encoder, Opinion
from labelwise.tasks.learners import runtimes, words
from labelwise.tasks.learners.words import Words
from labelwise.tasks.settings import Embed, Pull
from labelwise.tasks.workspace import Workspace, read_json

REGISTERED = "models:/"  # how an address of MLflow's begins
ENCODER_FILE = "encoder.json"
ENCODER = "encoder"  # folder of a text encoder that a model brings with it, see portable.py
RUNTIME = "runtime"  # what runs that one, where it is not what there is, see runtimes.py
PULL = Pull(pool="", gold="")
BLOCK, CHARACTERS = 65_536, 32 * 2**20  # items, and of their cells, that are held at once


@dataclass(frozen=True)
class Classifier:
    """Items in, labels out: a class, or where an item may have several, the JSON list of their names, or of the spans
    in it. pull: how the items of the source were read, its addresses left out. embed: what the encoder was made by."""

    encoder: Encoder
    model: learners.Model
    answer: Answer = choice
    item: Content = text
    pull: Pull = PULL
    embed: Embed = field(default_factory=Embed)

    def predict(self, items: Any, _params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A row an item: `label`, and `confidence`, the score that it is expected to have, in [0, 1]. Items: texts as a
        list, a Series, or a frame with a `text` column; rows as a frame with their columns. InputError for what is no
        such item."""
        return self.judged(self.item.given(items, self.pull))

    def judged(self, cells: Iterable[str]) -> pd.DataFrame:
        """The same of items as the tables keep them."""
        parts = [self._opinion(part)[0] for part in _parts(cells)]
        return self._said(np.concatenate(parts) if parts else np.empty((0, len(self.model.classes)), np.float32))

    def seen(self, cells: list[str]) -> tuple[pd.DataFrame, NDArray[np.float32]]:
        """The same, and (n, d) the frozen encoder's vectors of the items, each encoded once."""
        opinion, vectors = self._opinion(cells)
        return self._said(opinion), vectors if len(vectors) else self.vectors(cells)

    def of(self, items: learners.Items) -> pd.DataFrame:
        """The same of items whose vectors are known, if they are those of this encoder."""
        return self._said(self.model.probabilities(items))

    def _said(self, p: Opinion) -> pd.DataFrame:
        thresholds = learners.thresholds_of(self.model)
        labels = self.answer.decide(p, self.model.classes, thresholds)
        confidence = self.answer.expect(p, thresholds).astype(np.float32)
        return pd.DataFrame({"label": labels, "confidence": confidence})

    def vectors(self, cells: list[str]) -> NDArray[np.float32]:
        """(n, d) the frozen encoder's vectors of items: float16 and back, as they were when the heads learned."""
        return self.encoder.encode(cells).astype(np.float16).astype(np.float32)

    def _opinion(self, cells: list[str]) -> tuple[Opinion, NDArray[np.float32]]:
        """What the model says, and the vectors that it asked for, none where it did not. The frozen encoder reads the
        items once at most, however many parts of the model ask."""
        vectors: list[NDArray[np.float32]] = []

        def at(rows: NDArray[np.integer]) -> NDArray[np.float32]:
            if not vectors:
                vectors.append(self.vectors(cells))
            return vectors[0][rows]

        def words_at(rows: NDArray[np.integer]) -> Words:
            found = words.read(self.encoder, [cells[row] for row in rows])[1]
            return replace(found, states=found.states.astype(np.float16).astype(np.float32))

        items = learners.Items(len(cells), at, lambda rows: [cells[row] for row in rows], words_at=words_at)
        return self.model.probabilities(items), vectors[0] if vectors else np.empty((0, 0), np.float32)


def _parts(cells: Iterable[str]) -> Iterator[list[str]]:
    """Cells in lists that can be held at once."""
    part: list[str] = []
    size = 0
    for cell in cells:
        part.append(cell)
        size += len(cell)
        if len(part) == BLOCK or size >= CHARACTERS:
            yield part
            part, size = [], 0
    if part:
        yield part


def load(model: str | Path, later: bool = False) -> Classifier:
    """A model that takes items and gives labels.

    model: `models:/NAME@ALIAS` or `models:/NAME/VERSION`, registered in MLflow (MLFLOW_TRACKING_URI, or the local
    server); or a folder: a workspace, its `model/`, or what was downloaded from MLflow. later: the encoder is loaded
    when it is first asked for.

    InputError where there is no such model, or anything in it is neither JSON nor safetensors. ServiceError where
    MLflow does not give it.
    """
    if str(model).startswith(REGISTERED):
        from labelwise.tasks.services.mlflow import fetched

        with TemporaryDirectory() as scratch:
            return _bundled(fetched(str(model), Path(scratch)), later)
    folder = Path(model).expanduser().resolve()
    for bundle in (folder, *folder.glob("data/*")):  # below data/: as MLflow keeps it
        if (bundle / ENCODER_FILE).is_file():
            return _bundled(bundle, later)
    own = folder if folder.name == "model" else folder / "model"
    if (own.parent / "params.yaml").is_file() and own.is_dir():
        return _loaded(about(Workspace(own.parent)), own, later)
    known = "models:/NAME@ALIAS, models:/NAME/VERSION, a workspace or the folder of a model"
    raise InputError(f"there is no model at {model}", expected=known)


def _bundled(folder: Path, later: bool = False) -> Classifier:
    """The model in a folder that says beside it which encoder it goes with, as MLflow keeps it."""
    said = read_json(folder / ENCODER_FILE)
    own = {"encoder": str(folder / ENCODER)} if (folder / ENCODER).is_dir() else {}
    return _loaded(said | own, folder, later)


def about(workspace: Workspace) -> dict[str, Any]:
    """What a model of the workspace needs beside its own files to read items: the settings of the encoder and, but for
    texts, what an item is, from which columns and how large it is read, and what the encoder had to know."""
    chosen = workspace.settings
    said: dict[str, Any] = chosen.embed.model_dump()
    if chosen.kind.item == text.NAME:
        return said
    from labelwise.tasks.items.vectors import settled  # Arrow, which who only reads a model does not need

    columns = chosen.pull.columns.model_dump(exclude={"label", "id", "group", "context"})
    read = {"columns": columns, "picture_side": chosen.pull.picture_side}
    return said | {"item": chosen.kind.item, "settled": settled(workspace)} | read


def _loaded(about: dict[str, Any], folder: Path, later: bool = False) -> Classifier:
    embed = Embed.model_validate({key: about[key] for key in Embed.model_fields if key in about})
    item = kinds.item(about.get("item", text.NAME))

    def made() -> Encoder:
        if RUNTIME in about:
            return runtimes.encoder(about[RUNTIME], embed, folder / ENCODER)
        encoder: Any = item.encoder(embed, about.get("settled"))
        if hasattr(encoder, "alone"):
            encoder.alone = False  # somebody waits for it, see encoder.py
        return encoder

    encoder = runtimes.Later(made) if later else made()
    answer = kinds.answer(learners.answer(folder))
    read = {key: about[key] for key in ("columns", "picture_side") if key in about}  # else as by default
    pull = PULL.model_validate(PULL.model_dump() | read)
    return Classifier(encoder, learners.load(folder), answer, item, pull, embed)


def _load_pyfunc(folder: str) -> Classifier:
    """The hook that MLflow calls with the folder that was logged."""
    return _bundled(Path(folder))
