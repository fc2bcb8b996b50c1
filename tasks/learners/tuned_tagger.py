"""What `finetune` makes of marked texts: the field of `tagger` over their words, which reads beside the frozen encoder
one whose upper layers were tuned to tell their tags."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize

from labelwise.tasks.kinds import spans as answer
from labelwise.tasks.learners import calibration, crf, tagger, words
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.tuned import Prepared, Tower
from labelwise.tasks.learners.words import Words
from labelwise.tasks.progress import counted
from labelwise.tasks.settings import Embed, Settings

Floats = NDArray[np.floating]
DRAWN = 500  # items of the pool on which thresholds are looked for


@dataclass(frozen=True)
class TunedTagger:
    """Texts to words by an encoder, each with its state before the tuned layers and after; words to spans by a field.
    `draft`: a field on the frozen states alone."""

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


def pooled(
    found: TunedTagger,
    head: tuple[Floats, Floats],
    examples: Examples,
    parts: tuple[NDArray[np.int64], NDArray[np.int64]],
    pool: Items,
    settings: Settings,
) -> TunedTagger:
    """The draft and a (d, k) head with its (k,) bias on tuned states as one field, each with the weight that gives the
    least log loss of labels that neither has seen (a logarithmic opinion pool: Genest & Zidek 1986). A field on tuned
    states alone would trust them as far as they know the labels that they were tuned by.

    parts: the examples by which head and tower were tuned, and the others."""
    drawn = read(pool.take(calibration.random_positions(len(pool), DRAWN, settings.seed)), found.tower)
    own, asked = (examples.take(rows) for rows in parts)
    asked = replace(asked, items=read(asked.items, found.tower))
    began = tagger.field(own, tagger.Scale.of(pool, settings.seed), of=found.draft.seen)
    of_words = asked.items.words()
    marks = [answer.spans_of(label) for label in asked.said]
    open_to, _ = tagger.taggings(of_words, marks, [examples.classes[each] for each in found.draft.seen])

    def loss(weights: NDArray[np.float64]) -> float:
        return crf.log_loss(joined(began.weights, head, *weights), of_words, open_to)

    weights = minimize(loss, [1.0, 0.1], bounds=[(0.05, 2.0), (0.0, 2.0)], method="L-BFGS-B").x.round(3).tolist()
    told = tagger.told_by(replace(began, weights=joined(began.weights, head, *weights)), asked)
    slope, shift = tagger.calibrated(told.probability, told.true)
    field = replace(found.draft, weights=joined(found.draft.weights, head, *weights), slope=slope, shift=shift)
    field = tagger.settled(field, told, asked, examples, drawn, len(pool), settings)
    said = f"the frozen encoder counts {weights[0]:.2f}, the tuned one {weights[1]:.2f}"
    return replace(found, field=replace(field, remark="; ".join(filter(None, [said, field.remark]))))


def untuned(learner: str, tower: Tower, draft: tagger.Tagger) -> TunedTagger:
    """What says the same as the draft: what the tower has learned counts nothing yet."""
    w = draft.weights
    return TunedTagger(learner, tower, replace(draft, weights=joined(w, (0 * w.states, 0 * w.bias), 1.0, 0.0)), draft)


def joined(weights: crf.Weights, head: tuple[Floats, Floats], frozen: float, tuned: float) -> crf.Weights:
    """The weights for frozen and tuned states side by side that say `frozen` times what these say and `tuned` times
    what the head says."""
    layer, bias = head
    return crf.Weights(
        np.concatenate([frozen * weights.states, tuned * layer]),
        frozen * weights.marks,
        frozen * weights.bias + tuned * bias,
        np.where(np.isfinite(weights.steps), frozen * weights.steps, -np.inf),
    )
