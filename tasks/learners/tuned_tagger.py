"""What `finetune` makes of marked texts: the field of `tagger` over their words, which reads beside the frozen encoder
one whose upper layers were tuned to tell their tags."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.kinds import spans as answer
from labelwise.tasks.learners import crf, tagger, words
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.optimizers import minimize
from labelwise.tasks.learners.tuned import Prepared, Tower
from labelwise.tasks.progress import counted
from labelwise.tasks.settings import Embed, Settings

Floats = NDArray[np.floating]
DRAWN = 500  # items of the pool on which thresholds are looked for
TOKENS = 100_000  # of these, at most: some 400 full windows
TOGETHER = 200_000  # characters whose words are judged at once: 40,000 words of English, some 100 MB of states
COUNTED = 32  # texts whose tokens are counted at once
BOUNDS = (0.05, 2.0), (0.0, 2.0)  # of the weights of the frozen encoder and the tuned one


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
        with counted(f"{len(items):,} texts through the tuned encoder", len(items)) as done:
            parts = [self.field.probabilities(read(part, self.tower, done)) for part in blocks(items)]
        return np.concatenate([np.empty(0, object), *parts])

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
        self.tower.write(folder / "layers.safetensors")
        for name, field in (("field", self.field), ("draft", self.draft)):
            (folder / name).mkdir()
            field.save(folder / name)


def load(folder: Path) -> TunedTagger:
    """What `TunedTagger.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tower = Tower(Embed(**config["embed"]), config["frozen_layers"])
    tower.read(folder / "layers.safetensors")
    return TunedTagger(config["learner"], tower, tagger.load(folder / "field"), tagger.load(folder / "draft"))


def read(items: Items, tower: Tower, done: Callable[[int], None] = lambda _done: None) -> Items:
    """The same items with their words as the tower reads them, kept in memory."""
    return replace(items, words_at=words.read(tower.encoder, items.texts(), done, last=True)[1].take)


def blocks(items: Items) -> Iterator[Items]:
    """All items in order, at a time as many as have `TOGETHER` characters, up to one text."""
    for part in items.blocks(tagger.BLOCK):
        ends = np.cumsum([len(text) for text in part.texts()])
        for rows in np.split(np.arange(len(part)), np.flatnonzero(np.diff(ends // TOGETHER)) + 1):
            yield part.take(rows)


def affordable(items: Items, tower: Tower, most: int, tokens: int, seed: int) -> NDArray[np.int64]:
    """At most `most` positions by chance, in order, of texts that have at most so many tokens together in all of their
    windows: what a pass through the encoder costs, and what its states take."""
    order, left = np.random.default_rng(seed).permutation(len(items))[:most], tokens
    texts, kept = items.texts_at(order), [order[:0]]
    for at in range(0, len(order), COUNTED):
        windows = words.Windows.of(tower.encoder, texts[at : at + COUNTED])
        of_windows = [len(ids) for ids in windows.ids]
        used = np.bincount(windows.owner, of_windows, minlength=len(windows.places)).cumsum()
        kept.append(order[at : at + COUNTED][used <= left])
        left -= int(used[-1])
        if left < 0:
            break
    return np.sort(np.concatenate(kept))


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

    parts: the examples of which head and tower know some, and those of which they know none."""
    own, asked = (examples.take(rows) for rows in parts)
    asked = replace(asked, items=read(asked.items, found.tower))
    began = tagger.field(own, tagger.Scale.of(pool, settings.seed), of=found.draft.seen)
    of_words = asked.items.words()
    marks = [answer.spans_of(label) for label in asked.said]
    open_to, _ = tagger.taggings(of_words, marks, [examples.classes[each] for each in found.draft.seen])
    by_frozen = joined(began.weights, head, 1.0, 0.0).scores(of_words)
    by_tuned = joined(began.weights, head, 0.0, 1.0).scores(of_words)
    weights = weighed(by_frozen, by_tuned, began.weights.steps, of_words.lengths, open_to)
    told = tagger.told_by(replace(began, weights=joined(began.weights, head, *weights)), asked)
    slope, shift = tagger.calibrated(told.probability, told.true)
    field = replace(found.draft, weights=joined(found.draft.weights, head, *weights), slope=slope, shift=shift)
    drawn = pool.take(affordable(pool, found.tower, DRAWN, TOKENS, settings.seed))
    believed = replace(found, field=field).probabilities(tagger.unlabelled(drawn, examples))
    field = tagger.settled(field, told, asked, examples, believed, len(pool), settings)
    said = f"the frozen encoder counts {weights[0]:.2f}, the tuned one {weights[1]:.2f}"
    return replace(found, field=replace(field, remark="; ".join(filter(None, [said, field.remark]))))


def weighed(
    frozen: NDArray[np.float64],
    tuned: NDArray[np.float64],
    steps: Floats,
    lengths: NDArray[np.int64],
    open_tags: NDArray[np.bool_],
) -> tuple[float, float]:
    """How much two opinions count in the field that gives labels the highest likelihood, within `BOUNDS`. Labels that
    say nothing of it leave the frozen encoder as it is, and the tuned one out.

    frozen, tuned: (N, k) the scores of the words of texts of these lengths; steps: (k, k) those of the frozen opinion;
    open_tags: (N, k) the tags that labels leave open."""
    may = np.isfinite(steps)
    of_steps = np.where(may, steps, 0.0)

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores, own = at[0] * frozen + at[1] * tuned, np.where(may, at[0] * of_steps, -np.inf)
        value, gap, gap_steps = crf.log_loss(scores, own, lengths, open_tags)
        return value, np.array([(gap * frozen).sum() + (gap_steps * of_steps).sum(), (gap * tuned).sum()])

    found = minimize(loss, [1.0, 0.0], jac=True, bounds=BOUNDS, method="L-BFGS-B").x.round(3)
    return float(found[0]), float(found[1])


def untuned(learner: str, tower: Tower, draft: tagger.Tagger) -> TunedTagger:
    """What says the same as the draft: what the tower has learned counts nothing yet."""
    w = draft.weights
    return TunedTagger(learner, tower, replace(draft, weights=joined(w, (0 * w.states, 0 * w.bias), 1.0, 0.0)), draft)


def joined(weights: crf.Weights, head: tuple[Floats, Floats], frozen: float, tuned: float) -> crf.Weights:
    """The weights for frozen and tuned states side by side that say `frozen` times what these say and `tuned` times
    what the head says."""
    layer, bias = head
    may = np.isfinite(weights.steps)
    return crf.Weights(
        np.concatenate([frozen * weights.states, tuned * layer]),
        frozen * weights.marks,
        frozen * weights.bias + tuned * bias,
        np.where(may, frozen * np.where(may, weights.steps, 0.0), -np.inf),
    )
