"""`finetune`: the encoder's upper layers and a linear layer learn the classes together, by cross-entropy (Devlin et
al. 2019, arXiv 1810.04805). For hundreds of labels and more; with few it is the weakest learner of all."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.kinds import spans as answer
from labelwise.tasks.learners import calibration, encoder, frozen, one_vs_rest, tagger, tuned, tuned_tagger, words
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.settings import Settings

NAME = "finetune"
SERVES = frozenset({"choice", "multilabel", "spans"})
READS = frozenset({"vectors", "text"})
NEEDS = encoder.NEEDS
RATE = 1e-4
BATCH = 16
WINDOW = 8  # batches whose texts are sorted by length together
EPOCHS = 10
PATIENCE = 2  # epochs without a better loss on the held-out labels before it ends
PASSES = 8000  # texts that go through the encoder, at most, but for the last epoch; windows of marked ones
TOKENS = 400_000  # of marked texts, whose states are kept: 600 MB of an encoder that is 384 wide
SCALE = 10.0  # of the first weights of the linear layer: unit vectors give small logits
ENCODED = 500  # items of the pool on which thresholds are looked for
HELD_OUT = 5  # one label in five says when to stop


def fit(examples: Examples, pool: Items, settings: Settings) -> tuned.Tuned | tuned_tagger.TunedTagger:
    """Tune until the loss on a fifth of the labels, held out, no longer falls; the best weights are kept."""
    if examples.said:
        return of_spans(examples, pool, settings)
    return of_labels(examples, pool, settings) if examples.multilabel else of_one(examples, settings)


def of_labels(examples: Examples, pool: Items, settings: Settings) -> tuned.Tuned:
    """Of several labels an item: a binary cross-entropy a label, from the heads on the frozen vectors onwards."""
    import torch

    draft = one_vs_rest.fit(examples, pool, settings)
    examples = examples.take(calibration.random_positions(len(examples), PASSES, settings.seed))
    tower = tuned.Tower(settings.embed)
    texts = tower.prepared(examples.items.texts())
    fold = calibration.held_out(examples, settings.seed, HELD_OUT)
    seen, unseen = np.flatnonzero(fold > 0), np.flatnonzero(fold == 0)
    if not len(draft.seen) or not len(seen) or not len(unseen):
        tower.settle()
        return tuned.Tuned(NAME, tower, draft, draft)
    targets = torch.from_numpy(examples.labels[:, draft.seen].astype(np.float32))
    layer = torch.nn.Parameter(torch.from_numpy(draft.weights.copy()))
    bias = torch.nn.Parameter(torch.from_numpy(draft.bias.copy()))
    counting = torch.from_numpy(examples.counting)
    best: dict[str, Any] = {}
    losses: list[float] = []

    def loss(rows: list[int]) -> Any:
        logits = tower.vectors([texts[row] for row in rows]) @ layer.T + bias
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets[rows], reduction="none")
        return (counting[rows] * each.sum(1)).mean()

    def judged() -> bool:
        heads = replace(draft, weights=layer.detach().numpy().copy(), bias=bias.detach().numpy().copy())
        logits = heads.logits(tuned.encoded(tower, [texts[row] for row in unseen])).astype(np.float64)
        logits = np.where(np.isfinite(logits), logits, np.nan)
        losses.append(one_vs_rest.log_loss(logits, examples.labels[unseen]))
        if losses[-1] == min(losses):
            best.update(weights=tower.weights(), heads=heads, logits=logits)
        return len(losses) - int(np.argmin(losses)) > PATIENCE

    epochs = _epochs(seen, texts, settings.seed)
    tuned.train(tower, epochs, loss, RATE, extra=[layer, bias], stop=judged)
    tower.restore(best["weights"])
    slopes, shifts = one_vs_rest.calibrated(best["logits"], examples.labels[unseen])
    heads: one_vs_rest.Heads = best["heads"].turned(slopes, shifts)
    found = tuned.Tuned(NAME, tower, heads, draft)
    odds = best["logits"] * slopes + shifts
    limits = one_vs_rest.limits(found.probabilities, odds, examples.take(unseen), pool, settings, ENCODED)
    return replace(found, head=heads.settled(*limits))


def of_spans(examples: Examples, pool: Items, settings: Settings) -> tuned_tagger.TunedTagger:
    """Of marked texts: a cross-entropy a word over the tags that its label leaves open (see crf.py). What the tuned
    encoder says of words then counts in the field of `tagger` as much as the fifth of the labels asks for that neither
    has seen; by it the field is calibrated, too. So another part says when to stop, a fifth of the others: of labels
    that chose the best of several epochs, that epoch promises too much."""
    import torch

    draft = tagger.fit(examples, pool, settings)
    tower = tuned.Tower(settings.embed)
    examples = examples.take(tuned_tagger.affordable(examples.items, tower, PASSES, TOKENS, settings.seed))
    fold = calibration.held_out(examples, settings.seed, HELD_OUT)
    seen, unseen = np.flatnonzero(fold > 0), np.flatnonzero(fold == 0)
    fold = calibration.held_out(examples.take(seen), settings.seed, HELD_OUT)
    windows = words.Windows.of(tower.encoder, examples.items.texts())
    of_some = [len(numbers) > 0 for numbers, _ in windows.pairs]
    parts = seen[fold > 0], seen[fold == 0], unseen
    own, others, asked = (np.flatnonzero(np.isin(windows.owner, rows) & of_some) for rows in parts)
    if not (len(draft.seen) and len(own) and len(others) and len(asked)):
        tower.settle()
        return tuned_tagger.untuned(NAME, tower, draft)
    texts = tower.entering(windows.ids)
    open_to = torch.from_numpy(tuned_tagger.open_tags(windows, examples, draft.seen))
    counting = torch.from_numpy(np.repeat(examples.counting, np.diff(windows.starts)))
    layer = torch.nn.Parameter(torch.zeros(open_to.shape[1], tower.model.config.hidden_size))
    bias = torch.nn.Parameter(torch.zeros(open_to.shape[1]))
    best: dict[str, Any] = {}
    losses: list[float] = []

    def each(rows: list[int]) -> Any:
        numbers, states = tuned_tagger.states(tower, windows, texts, rows)
        logits = states @ layer.T + bias
        agreeing = logits.masked_fill(~open_to[numbers], -torch.inf)
        return counting[numbers] * (torch.logsumexp(logits, 1) - torch.logsumexp(agreeing, 1))

    def judged() -> bool:
        with torch.no_grad():
            losses.append(float(torch.cat([each(rows) for rows in in_order(others)]).mean()))
        if losses[-1] == min(losses):
            head = layer.detach().numpy().T.copy(), bias.detach().numpy().copy()
            best.update(weights=tower.weights(), head=head)
        return len(losses) - int(np.argmin(losses)) > PATIENCE

    tuned.train(
        tower, _epochs(own, texts, settings.seed), lambda rows: each(rows).mean(), RATE, [layer, bias], stop=judged
    )
    tower.restore(best["weights"])
    found = tuned_tagger.untuned(NAME, tower, draft)
    return tuned_tagger.pooled(found, best["head"], examples, (seen, unseen), pool, settings)


def in_order(rows: NDArray[np.int64]) -> list[list[int]]:
    """Batches of these rows as they come."""
    return [rows[at : at + BATCH].tolist() for at in range(0, len(rows), BATCH)]


def of_one(examples: Examples, settings: Settings) -> tuned.Tuned:
    """Of one class an item: cross-entropy."""
    import torch

    draft = frozen.of_one(examples, settings)
    examples = examples.take(calibration.random_positions(len(examples), PASSES, settings.seed))
    tower = tuned.Tower(settings.embed)
    texts = tower.prepared(examples.items.texts())
    fold = calibration.held_out(examples, settings.seed, HELD_OUT)
    seen, unseen = np.flatnonzero(fold > 0), np.flatnonzero(fold == 0)
    if len(np.unique(examples.labels[seen])) < 2:
        tower.settle()
        return tuned.Tuned(NAME, tower, frozen.head(examples, tuned.encoded(tower, texts), 10.0), draft)
    classes, targets = np.unique(examples.labels, return_inverse=True)
    layer = torch.nn.Parameter(SCALE * _means(tuned.encoded(tower, texts), targets, len(classes)))
    weights = torch.from_numpy(examples.counting)
    best: dict[str, Any] = {}
    losses: list[float] = []

    def head() -> frozen.Head:
        return frozen.Head(examples.classes, classes, layer.detach().numpy().copy(), np.zeros(len(classes), np.float32))

    def judged() -> bool:
        logits = head().logits(tuned.encoded(tower, [texts[row] for row in unseen]))
        losses.append(calibration.log_loss(logits, examples.labels[unseen]))
        if losses[-1] == min(losses):
            best.update(weights=tower.weights(), head=head(), logits=logits)
        return len(losses) - int(np.argmin(losses)) > PATIENCE

    tuned.train(
        tower,
        _epochs(seen, texts, settings.seed),
        lambda rows: (
            weights[rows]
            * torch.nn.functional.cross_entropy(
                tower.vectors([texts[row] for row in rows]) @ layer.T, torch.from_numpy(targets[rows]), reduction="none"
            )
        ).mean(),
        RATE,
        extra=[layer],
        stop=judged,
    )
    tower.restore(best["weights"])
    temperature = calibration.temperature(best["logits"], examples.labels[unseen])
    return tuned.Tuned(NAME, tower, best["head"].at(temperature), draft)


def _epochs(rows: NDArray[np.int64], texts: list[tuned.Prepared], seed: int) -> list[list[list[int]]]:
    lengths, rng = np.array([len(text.ids) for text in texts]), np.random.default_rng(seed)
    return [bucketed(rows, lengths, rng) for _ in range(min(EPOCHS, 1 + PASSES // len(rows)))]


def bucketed(rows: NDArray[np.int64], lengths: NDArray[np.int64], rng: np.random.Generator) -> list[list[int]]:
    """Every row once, in batches of like length and of no order: windows of a shuffle are sorted by length before they
    are cut, so that little is padded."""
    order = rng.permutation(rows)
    batches = []
    for start in range(0, len(order), WINDOW * BATCH):
        window = order[start : start + WINDOW * BATCH]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[at : at + BATCH].tolist() for at in range(0, len(window), BATCH)]
    return [batches[at] for at in rng.permutation(len(batches))]


def _means(vectors: NDArray[np.float32], targets: NDArray[np.int64], c: int) -> Any:
    """(c, d) the mean vector of each class: where the linear layer starts."""
    import torch

    return torch.from_numpy(np.stack([vectors[targets == k].mean(axis=0) for k in range(c)]))


def load(folder: Path) -> tuned.Tuned | tuned_tagger.TunedTagger:
    """What was saved of a model of this learner."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return (tuned_tagger if config.get("answer") == answer.NAME else tuned).load(folder)
