"""`make bench ARGS=kinds`: what a round of each kind of item and answer costs beside one of texts with one class."""

import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import settings
from labelwise.tasks.kinds import picture
from labelwise.tasks.learners import vision
from labelwise.tasks.learners.encoder import Encoder
from labelwise.tasks.settings import Kind
from tests.bench import rounds
from tests.bench.figures import Estimate, Ratio, snippets, table, verdict
from tests.bench.rounds import BATCH, GOLD, LEARNING, ROUNDS, SEED

TEXTS, OTHERS = 50_000, 10_000  # items of a pool
CLASSES, SHORT, COLUMNS, SIDE = 28, 8, 10, 16  # words of a text, columns of a row, pixels of a picture's side
GOAL = 1.3

Vectors = NDArray[np.float32]
Made = tuple[pd.DataFrame, pd.DataFrame]  # pool and gold: the columns of an item, and label


@dataclass(frozen=True)
class Edition:
    """kind: what is played. size: items of the pool. make: (folder, size) -> its rows."""

    kind: Kind
    size: int
    make: Callable[[Path, int], Made]

    @property
    def name(self) -> str:
        return f"{self.kind.item}, {self.kind.answer}, {self.size:,}"


def bench(folder: Path) -> str:
    """Rounds of all editions in turn, so that what else the machine does meets all of them."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(Encoder, "encode", _of_tokens))
        stack.enter_context(patch.object(vision.Encoder, "encode", _of_colours))
        return _bench(folder)


def _bench(folder: Path) -> str:
    played = {edition.name: _Played(folder / str(number), edition) for number, edition in enumerate(EDITIONS)}
    for _ in range(ROUNDS + 1):  # the first pays for what is imported on first use
        for each in played.values():
            each.go_on()
    tables = {name: each.parts() for name, each in played.items()}
    names = sorted({part for rows in tables.values() for part in rows}, key=_learning_last)
    beyond = {
        name: rows[[part for part in rows if not part.startswith(LEARNING)]].sum(axis=1).tolist()
        for name, rows in tables.items()
    }
    shown = pd.DataFrame({name: rows.mean().reindex(names) for name, rows in tables.items()}).map("{:.2f}".format)
    shown.loc["**beyond learning**"] = {name: f"{Estimate(seconds):.2f}" for name, seconds in beyond.items()}
    shown = shown.rename_axis("s a round").reset_index()
    against = {edition.name: PLAIN.format(size=f"{edition.size:,}") for edition in EDITIONS}
    ratios = {name: Ratio(beyond[name], beyond[against[name]]) for name in beyond if name != against[name]}
    lines = "\n".join(
        f"- **{name}: {ratio:.2f} times {against[name]}**, goal at most {GOAL}: {verdict(ratio, GOAL)}"
        for name, ratio in ratios.items()
    )
    return f"""## What a round costs of each kind

Pools of short texts ({SHORT} words), of pictures of {SIDE} pixels a side and of rows of {COLUMNS} figures; a gold set
of {GOLD}, {CLASSES} classes, batches of {BATCH}, seed {SEED}: in one process and in turn. The labels of texts are made
of the texts: a class is one of the {CLASSES} most frequent words of five letters and more, a text has those that it
holds (choice: the first of them, for a text without one the first of all; spans: where they stand). Those of pictures
and rows are the part of the range that the colour or the first figure is in. {ROUNDS} rounds of each after one that
does not count, as above; the stages that learn (learner `frozen`, vectors of texts and pictures that are quickly made)
are shown, and are not counted.

{table(shown)}

{lines}
"""


class _Played:
    """A workspace of an edition and what its rounds have cost."""

    def __init__(self, folder: Path, edition: Edition) -> None:
        folder.mkdir()
        self._folder, self._seconds = folder, list[dict[str, float]]()
        pool, gold = edition.make(folder, edition.size)
        classes = sorted({name for label in (*pool.label, *gold.label) for name in _names(label, edition.kind.answer)})
        self._workspace = rounds.workspace(folder, pool, gold, kind=edition.kind, classes=classes)
        settings.change(self._workspace / "params.yaml", {"train.learner": "frozen"})
        rounds.play(self._workspace)

    def go_on(self) -> None:
        self._seconds.append(rounds.one_round(self._folder, self._workspace))

    def parts(self) -> pd.DataFrame:
        """A row a round that counts, a column a part."""
        return pd.DataFrame(self._seconds).fillna(0.0)[1:]


def _learning_last(part: str) -> tuple[bool, str]:
    return part.startswith(LEARNING), part


# What is played


def texts(folder: Path, size: int, answer: str) -> Made:
    """Snippets of news, labelled by their own words."""
    pool, gold = (snippets(count, SHORT, own, SEED) for count, own in ((size, False), (GOLD, True)))
    held = Counter(word for text in pool.text for word in set(_words(text)))
    classes = sorted(word for word, _ in held.most_common(CLASSES))
    label = partial(LABELS[answer], classes)
    first, second = (rows.assign(label=[label(text) for text in rows.text]) for rows in (pool, gold))
    return first, second


def _words(text: str) -> list[str]:
    return re.findall("[a-z]{5,}", text.lower())


def _one(classes: list[str], text: str) -> str:
    return next((name for name in classes if name in _words(text)), classes[0])


def _several(classes: list[str], text: str) -> str:
    return json.dumps([name for name in classes if name in _words(text)])


def _spans(classes: list[str], text: str) -> str:
    found = (match for match in re.finditer("[A-Za-z]{5,}", text) if match[0].lower() in classes)
    return json.dumps([[match.start(), match.end(), match[0].lower()] for match in found])


def _names(label: str, answer: str) -> list[str]:
    if answer == "choice":
        return [label]
    return [name if answer == "multilabel" else name[2] for name in json.loads(label)]


def pictures(folder: Path, size: int) -> Made:
    """Noise about a grey."""
    from PIL import Image

    rng = np.random.default_rng(SEED)
    (folder / "pictures").mkdir()
    rows = []
    for number in range(size + GOLD):
        grey = rng.uniform(32, 224)
        cells = np.clip(rng.normal(grey, 8, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(cells).save(folder / "pictures" / f"{number}.png")
        rows.append({"image": f"pictures/{number}.png", "label": _part((grey - 32) / 192)})
    return pd.DataFrame(rows[:size]), pd.DataFrame(rows[size:])


def figures(folder: Path, size: int) -> Made:
    """Figures of a normal distribution."""
    cells = np.random.default_rng(SEED).normal(size=(size + GOLD, COLUMNS))
    rows = pd.DataFrame(cells, columns=[f"f{number}" for number in range(COLUMNS)])
    rows["label"] = [_part(rank) for rank in rows.f0.rank(pct=True) - 1e-9]
    return rows[:size], rows[size:]


def _part(share: float) -> str:
    return f"part {int(share * CLASSES):02}"


# Vectors that are quickly made


def _of_tokens(self: Encoder, texts: list[str], progress: Callable[[int], None] = lambda _done: None) -> Vectors:
    """The means of what the encoder knows of each token by itself."""
    known = self.model.get_input_embeddings().weight.detach().numpy()
    if not texts:
        return np.empty((0, known.shape[1]), dtype=np.float32)
    vectors = np.array([known[ids].mean(axis=0) for ids in self._tokens(texts)], np.float32).reshape(-1, known.shape[1])
    progress(len(texts))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _of_colours(self: object, cells: list[str], progress: Callable[[int], None] = lambda _done: None) -> Vectors:
    """Every fourth pixel about their mean, which by themselves make no two alike, and an angle for the mean."""
    seen = np.array([np.asarray(picture.of_cell(cell))[::4, ::4].ravel() for cell in cells], np.float32)
    seen = seen.reshape(-1, SIDE * SIDE * 3 // 16)
    mean = seen.mean(axis=1, keepdims=True)
    own = seen - mean
    angle = mean / 256 * np.pi
    progress(len(cells))
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    return np.hstack([own, np.cos(angle), np.sin(angle)]) / np.float32(2**0.5)


LABELS = {"choice": _one, "multilabel": _several, "spans": _spans}
PLAIN = "text, choice, {size}"
EDITIONS = (
    *(Edition(Kind(answer=answer), TEXTS, partial(texts, answer=answer)) for answer in LABELS),
    Edition(Kind(), OTHERS, partial(texts, answer="choice")),
    Edition(Kind(item="image"), OTHERS, pictures),
    Edition(Kind(item="row"), OTHERS, figures),
)
