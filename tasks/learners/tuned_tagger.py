"""What `finetune` makes of marked texts: a field (tagger.py) over their words as an encoder reads them whose upper
layers were tuned to tell their tags."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from labelwise.tasks.kinds import spans as answer
from labelwise.tasks.learners import calibration, tagger, words
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.tuned import Prepared, Tower
from labelwise.tasks.learners.words import Words
from labelwise.tasks.progress import counted
from labelwise.tasks.settings import Embed, Settings

DRAWN = 500  # items of the pool on which thresholds are looked for


@dataclass(frozen=True)
class TunedTagger:
    """Texts to words by the tuned encoder, words to spans by a field. `draft`: one on the frozen encoder's words."""

    learner: str
    tower: Tower
    field: tagger.Tagger
    draft: tagger.Tagger
    trained: bool = True

    @property
    def classes(self) -> list[str]:
        return self.field.classes

    @property
    def thresholds(self) -> NDArray[np.float32]:
        return self.field.thresholds

    def probabilities(self, items: Items) -> NDArray[np.object_]:
        """n items -> (n,) Marked: each costs a pass through the encoder."""
        return self.field.probabilities(worded(items, self.tower))

    def save(self, folder: Path) -> None:
        """`config.json`, the tuned layers as float16 in `layers.safetensors`, the fields in folders of their own."""
        config = {
            "learner": self.learner,
            "answer": answer.NAME,
            "classes": self.classes,
            "thresholds": self.thresholds.tolist(),
            "frozen_layers": self.tower.frozen_layers,
            "embed": self.tower.settings.model_dump(),
            **({"chosen": self.field.remark} if self.field.remark else {}),
        }
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file(self.tower.weights(), folder / "layers.safetensors")
        for name, field in (("field", self.field), ("draft", self.draft)):
            (folder / name).mkdir()
            field.save(folder / name)


def load(folder: Path) -> TunedTagger:
    """What `TunedTagger.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tower = Tower(Embed(**config["embed"]), config["frozen_layers"])
    tower.restore(load_file(folder / "layers.safetensors"))
    return TunedTagger(config["learner"], tower, tagger.load(folder / "field"), tagger.load(folder / "draft"))


def worded(items: Items, tower: Tower) -> Items:
    """The same items with their words as the tower reads them, whenever they are asked for."""

    def words_at(rows: NDArray[np.integer]) -> Words:
        with counted(f"{len(rows):,} texts through the tuned encoder", len(rows)) as done:
            return words.read(tower.encoder, items.texts_at(rows), done, last=True)[1]

    return replace(items, words_at=words_at)


def read(items: Items, tower: Tower) -> Items:
    """The same, read once and kept in memory."""
    return replace(items, words_at=worded(items, tower).words().take)


def open_tags(windows: words.Windows, examples: Examples, seen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N, k) the tags of the classes that have been seen that labels leave open to each word of their texts."""
    found = windows.words(examples.items.texts(), np.empty((int(windows.starts[-1]), 0), np.float32))
    marks = [answer.spans_of(label) for label in examples.said]
    return tagger.taggings(found, marks, [examples.classes[each] for each in seen])[0]


def states(tower: Tower, windows: words.Windows, texts: list[Prepared], rows: list[int]) -> tuple[Any, Any]:
    """(N,) the words that are read in these windows, among all, and (N, d) the mean states of their tokens, through
    which gradients flow to the tuned part."""
    import torch

    passed, at = tower.states([texts[row] for row in rows]), 0
    tokens, numbers = [], []
    for row in rows:
        of_window, words_of = windows.pairs[row]
        tokens.append(of_window + at)
        numbers.append(windows.starts[windows.owner[row]] + words_of)
        at += len(windows.ids[row])
    told, place, counts = np.unique(np.concatenate(numbers), return_inverse=True, return_counts=True)
    of_tokens = passed[torch.from_numpy(np.concatenate(tokens))]
    sums = torch.zeros(len(told), passed.shape[1]).index_add(0, torch.from_numpy(place), of_tokens)
    return torch.from_numpy(told), sums / torch.from_numpy(counts)[:, None]


def of(
    learner: str,
    tower: Tower,
    examples: Examples,
    parts: tuple[NDArray[np.int64], NDArray[np.int64]],
    pool: Items,
    draft: tagger.Tagger,
    settings: Settings,
) -> TunedTagger:
    """A calibrated field on the words of a tuned tower. parts: the examples by which it was tuned, and the others."""
    drawn = read(pool.take(calibration.random_positions(len(pool), DRAWN, settings.seed)), tower)
    scale = tagger.Scale.of(drawn, settings.seed)
    known = replace(examples, items=read(examples.items, tower))
    own, asked = (known.take(rows) for rows in parts)
    told = tagger.told_by(tagger.field(own, scale), asked)
    found = tagger.field(known, scale, *tagger.calibrated(told.probability, told.true))
    found = tagger.settled(found, told, asked, known, drawn, len(pool), settings)
    return TunedTagger(learner, tower, found, draft)
