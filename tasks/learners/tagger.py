"""`tagger`: spans of texts by a conditional random field (crf.py) on what the frozen encoder makes of each word and on
how the word is written. Cheap enough for every round: the encoder has read the words once, in the stage `embed`."""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import expit, log_expit, logit

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import spans as answer
from labelwise.tasks.kinds.marked import Marked
from labelwise.tasks.kinds.offsets import Span
from labelwise.tasks.learners import calibration, crf, one_vs_rest
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.optimizers import minimize
from labelwise.tasks.learners.words import OWN, READ, Words
from labelwise.tasks.settings import BY_CLASS, MeasureName, Settings

NAME = "tagger"
SERVES = frozenset({answer.NAME})
READS = frozenset({"text"})
SCALED_ON = 1_000  # texts of the pool whose words say how far states vary
LOOKED_AT = 2_000  # texts of the pool on which thresholds are looked for
REACH = 4.0  # root of the sum of squares of a word's scaled states: as far as about as many marks
BRIEF = 60  # steps of a fit that is only to be compared
SPREAD_SLOPE, SPREAD_SHIFT = 0.3, 1.0  # how far calibration lies from none, before labels speak
TINY = 1e-6
BLOCK = 512  # texts judged at once: of the longest that a pool takes, some 3 GB

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Scale:
    """mean, unit: (d,) of the states of words. States less the mean, divided by the unit, are of about the same size
    whatever the encoder."""

    mean: NDArray[np.float32]
    unit: NDArray[np.float32]

    @classmethod
    def of(cls, pool: Items, seed: int) -> "Scale":
        """As the words of a sample of the pool have it."""
        states = pool.take(calibration.random_positions(len(pool), SCALED_ON, seed)).words().states
        states = np.asarray(states, np.float32)
        if not len(states):
            return cls(np.zeros(states.shape[1], np.float32), np.ones(states.shape[1], np.float32))
        spread = np.maximum(states.std(axis=0), 1e-3) * np.sqrt(states.shape[1]) / REACH
        return cls(states.mean(axis=0), spread.astype(np.float32))

    def scaled(self, words: Words) -> Words:
        """The same words, their states scaled."""
        return replace(words, states=(np.asarray(words.states, np.float32) - self.mean) / self.unit)

    def of_states(self, weights: crf.Weights) -> crf.Weights:
        """The weights for states as they are that say the same as these do for scaled ones."""
        states = weights.states / self.unit[:, None]
        return replace(weights, states=states, bias=weights.bias - self.mean @ states)


@dataclass(frozen=True)
class Tagger:
    """A field over the tags of the classes that have been seen, (s,) positions in `classes`. Log odds of spans are
    multiplied by `slope` and shifted. thresholds: (c,) the probability from which on a span of each class is said.
    remark: what of the labels it could not learn."""

    classes: list[str]
    seen: NDArray[np.int64]
    weights: crf.Weights
    slope: float
    shift: float
    thresholds: NDArray[np.float32]
    remark: str = ""
    trained: bool = True
    draft: None = None

    def probabilities(self, items: Items) -> NDArray[np.object_]:
        """n items -> (n,) Marked."""
        if len(items) > BLOCK:
            return np.concatenate([self.probabilities(block) for block in items.blocks(BLOCK)])
        words = items.words()
        tagged = crf.judge(self.weights, words)
        found = crf.spans(tagged, words)
        p = turned(found.probability, self.slope, self.shift)
        ends = np.searchsorted(found.text, np.arange(len(words) + 1))
        least, errors, sums, which = self._by_word(tagged, words)
        means = sums / np.maximum(words.lengths, 1)
        begin = words.places[words.starts[found.text] + found.first, 0]
        end = words.places[words.starts[found.text] + found.last, 1]
        of = self.seen[found.of]
        opinions = np.empty(len(words), dtype=object)
        for row in range(len(words)):
            mine = slice(ends[row], ends[row + 1])
            opinions[row] = Marked(
                *(begin[mine], end[mine], of[mine], p[mine], least[row], errors[row]),
                *(float(means[row]), float(sums[row]), float(tagged.margin[row]), int(words.lengths[row])),
                int(which[row]),
            )
        return opinions

    def _by_word(
        self, tagged: crf.Tagged, words: Words
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats, NDArray[np.int64]]:
        """(n, k) tags and errors of the least sure word of each text, over all classes, (n,) the sum of how improbable
        the likeliest tag is, and (n,) a number for that word; -1 of a text without words."""
        n, k = len(words), 1 + 2 * len(self.classes)
        unsure = 1 - tagged.tags.max(axis=1) if len(tagged.tags) else np.empty(0)
        text = np.repeat(np.arange(n), words.lengths)
        sums = np.bincount(text, unsure, minlength=n)
        least, errors = np.zeros((n, k), np.float32), np.zeros((n, k), np.float32)
        least[:, 0] = 1.0
        order = np.lexsort((-unsure, text))
        first = order[np.concatenate([[True], text[order][1:] != text[order][:-1]])] if len(order) else order
        places = np.concatenate([[0], *([1 + 2 * each, 2 + 2 * each] for each in self.seen)]).astype(np.int64)
        tags = tagged.tags[first]
        least[text[first]] = 0.0
        least[text[first][:, None], places] = tags
        gaps = tags.copy()
        gaps[np.arange(len(first)), tags.argmax(axis=1) if len(first) else []] -= 1
        errors[text[first][:, None], places] = gaps
        which = np.full(n, -1, np.int64)
        which[text[first]] = words.marks[first, OWN]
        return least, errors, sums.astype(np.float64), which

    def save(self, folder: Path) -> None:
        """`config.json` and `tagger.safetensors`."""
        config = {
            "learner": NAME,
            "answer": answer.NAME,
            "classes": self.classes,
            "thresholds": self.thresholds.tolist(),
            "words": READ,
            "slope": self.slope,
            "shift": self.shift,
            **({"chosen": self.remark} if self.remark else {}),
        }
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        w = self.weights
        steps = np.where(np.isfinite(w.steps), w.steps, 0.0)
        tensors = {"states": w.states, "marks": w.marks, "bias": w.bias, "steps": steps}
        save_file({"seen": self.seen, **tensors}, folder / "tagger.safetensors")


@dataclass(frozen=True)
class HeldOut:
    """Possible spans of labelled texts by fields that have not seen these: (M,) probability, whether the label has just
    this, and its class; spans of the labels that no field held possible have the probability 0."""

    probability: NDArray[np.float64]
    true: NDArray[np.bool_]
    of: NDArray[np.int64]


NOTHING = HeldOut(np.empty(0), np.empty(0, bool), np.empty(0, np.int64))


def load(folder: Path) -> Tagger:
    """What `Tagger.save` wrote. InputError where it knows words as another version cut and read them: on those of this
    one it would say something else, and nobody would see it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if (made := config.get("words")) != READ:
        raise InputError(
            f"{folder} was learned from words as another version of labelwise reads them",
            expected=f"words by rule {READ}",
            got=str(made),
            fix="train it anew (`labelwise run`), or load it with the version that made it",
        )
    t = load_file(folder / "tagger.safetensors")
    steps = np.where(crf.allowed(len(t["seen"])), t["steps"], -np.inf)
    weights = crf.Weights(t["states"], t["marks"], t["bias"], steps)
    thresholds = np.array(config["thresholds"], np.float32)
    own = config["classes"], t["seen"], weights, config["slope"], config["shift"]
    return Tagger(*own, thresholds, config.get("chosen", ""))


def fit(examples: Examples, pool: Items, settings: Settings) -> Tagger:
    """A field of all labels; calibration and thresholds follow from what fields of two thirds of them say of the rest.

    A threshold is that of the highest expected F1 (`one_vs_rest.thresholds`): of the spans of all classes together, or
    of each class where `evaluate.measure` is about classes."""
    scale = Scale.of(pool, settings.seed)
    asked = examples.take(calibration.sampled(examples, settings.seed))
    told = held_out(asked, scale, settings.seed)
    found = field(examples, scale, *calibrated(told.probability, told.true))
    drawn = pool.take(calibration.random_positions(len(pool), LOOKED_AT, settings.seed))
    believed = found.probabilities(unlabelled(drawn, examples))
    return settled(found, told, asked, examples, believed, len(pool), settings)


def unlabelled(drawn: Items, examples: Examples) -> Items:
    """Those whose text has no label."""
    known = set(examples.items.texts())
    return drawn.take(np.flatnonzero([text not in known for text in drawn.texts()]))


def settled(
    found: Tagger,
    told: HeldOut,
    asked: Examples,
    examples: Examples,
    believed: NDArray[np.object_],
    items: int,
    settings: Settings,
) -> Tagger:
    """A calibrated field with its thresholds. told: what was said of the labels of `asked` while they were held out;
    they stand for all examples. believed: what the field says of items without a label, drawn by chance from a pool of
    so many `items`: they stand for all such."""
    p = np.concatenate([turned(told.probability, found.slope, found.shift), *(one.probability for one in believed)])
    of = np.concatenate([told.of, *(one.of for one in believed)])
    each = [len(examples) / max(len(asked), 1), max(items - len(examples), 0) / max(len(believed), 1)]
    counting = np.repeat(each, [len(told.of), len(of) - len(told.of)])
    return replace(found, thresholds=thresholds(p, of, counting, settings.measure, examples.classes))


def field(
    examples: Examples,
    scale: Scale,
    slope: float = 1.0,
    shift: float = 0.0,
    limits: NDArray[np.float32] | None = None,
    steps: int = crf.STEPS,
    of: NDArray[np.int64] | None = None,
) -> Tagger:
    """A field of these labels, as it comes. limits: thresholds; one half each if None. of: the classes that it tells;
    those that have been seen if None."""
    seen = examples.seen if of is None else of
    words = examples.items.words()
    marks = [answer.spans_of(label) for label in examples.said]
    open_tags, lost = taggings(words, marks, [examples.classes[each] for each in seen])
    weights = scale.of_states(crf.fit(scale.scaled(words), open_tags, examples.counting.astype(np.float64), steps))
    limits = np.full(len(examples.classes), 0.5, np.float32) if limits is None else limits
    remark = f"spans left out in part, for they overlap others or begin or end inside a word: {lost:,}" if lost else ""
    return Tagger(examples.classes, seen, weights, slope, shift, limits, remark)


def taggings(words: Words, marks: Sequence[Sequence[Span]], classes: Sequence[str]) -> tuple[NDArray[np.bool_], int]:
    """(N, k) which tags labels leave open to each word, and how many spans a flat tagger cannot say. A word in two
    spans, or in a span only in part, may have any tag: it teaches nothing.

    Of "New York City" as one place with "York" as another in it, "York" is left open, and "City" may be `I` of the
    first only.
    """
    place = {name: at for at, name in enumerate(classes)}
    tag = np.zeros(len(words.places), np.int64)
    open_to_all = np.zeros(len(words.places), bool)
    lost = 0
    for text, spans in enumerate(marks):
        start = int(words.starts[text])
        own = words.places[start : int(words.starts[text + 1])]
        times = np.zeros(len(own), np.int64)
        inside = []
        for begin, end, name in spans:
            mine = np.flatnonzero((own[:, 0] < end) & (own[:, 1] > begin))
            times[mine] += 1
            cut = mine[(own[mine, 0] < begin) | (own[mine, 1] > end)]
            open_to_all[start + cut] = True
            inside.append((mine, len(cut) > 0))
            if len(mine):
                tag[start + mine] = 2 + 2 * place[name]
                tag[start + mine[0]] = 1 + 2 * place[name]
        open_to_all[start + np.flatnonzero(times > 1)] = True
        lost += sum(cut or not len(mine) or bool((times[mine] > 1).any()) for mine, cut in inside)
    found = np.zeros((len(tag), 1 + 2 * len(classes)), bool)
    found[np.arange(len(tag)), tag] = True
    found[open_to_all] = True
    return found, lost


def held_out(examples: Examples, scale: Scale, seed: int) -> HeldOut:
    """What fields say of the labels of the other folds."""
    fold = calibration.folds(examples.labels, seed, groups=examples.items.groups)
    parts = []
    for number in np.unique(fold):
        seen, rest = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(seen):
            parts.append(told_by(field(examples.take(seen), scale, steps=BRIEF), examples.take(rest)))
    return HeldOut(*(np.concatenate(each) for each in zip(*(astuple(part) for part in [NOTHING, *parts]), strict=True)))


def told_by(model: Tagger, examples: Examples) -> HeldOut:
    """What a field says of labels that it has not seen."""
    parts: list[tuple[float, bool, int]] = []
    place = {name: at for at, name in enumerate(examples.classes)}
    for one, label in zip(model.probabilities(examples.items), examples.said, strict=True):
        truth = {(start, end, place[name]) for start, end, name in answer.spans_of(label)}
        found = list(zip(one.begin.tolist(), one.end.tolist(), one.of.tolist(), strict=True))
        parts += [(p, span in truth, span[2]) for p, span in zip(one.probability.tolist(), found, strict=True)]
        parts += [(0.0, True, of) for _, _, of in truth.difference(found)]
    p, true, of = zip(*parts, strict=True) if parts else ((), (), ())
    return HeldOut(np.array(p, np.float64), np.array(true, bool), np.array(of, np.int64))


def log_losses(model: Tagger, examples: Examples) -> NDArray[np.float64]:
    """(m,) minus the log-likelihood, in nats, of labels that a field has not seen, as it comes."""
    words = examples.items.words()
    marks = [answer.spans_of(label) for label in examples.said]
    open_tags, _ = taggings(words, marks, [examples.classes[each] for each in model.seen])
    return crf.log_losses(model.weights, words, open_tags)


def turned(p: NDArray[np.float64], slope: float, shift: float) -> NDArray[np.float64]:
    """Probabilities whose log odds are multiplied and shifted; 0 stays 0."""
    return np.where(p > 0, expit(slope * logit(np.clip(p, TINY, 1 - TINY)) + shift), 0.0)


def calibrated(p: NDArray[np.float64], true: NDArray[np.bool_]) -> tuple[float, float]:
    """The slope and shift of log odds of the highest likelihood (Platt 1999), each held near none of it: few labels say
    little. Spans that were not held possible have no say."""
    told = p > 0
    x, sign = logit(np.clip(p[told], TINY, 1 - TINY)), np.where(true[told], 1.0, -1.0)

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = sign * (at[0] * x + at[1])
        gap = -sign * expit(-odds)
        off = (at - [1.0, 0.0]) / np.array([SPREAD_SLOPE, SPREAD_SHIFT]) ** 2
        value = -log_expit(odds).sum() + 0.5 * float(off @ (at - [1.0, 0.0]))
        return value, np.array([gap @ x, gap.sum()]) + off

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(0.2, 5.0), (-5.0, 5.0)], method="L-BFGS-B").x
    return float(found[0]), float(found[1])


def thresholds(
    p: NDArray[np.float64],
    of: NDArray[np.int64],
    counting: NDArray[np.float64],
    measure: MeasureName,
    classes: list[str],
) -> NDArray[np.float32]:
    """(c,) from M possible spans of these classes with their probabilities: one for all, or one each where the measure
    is about classes."""
    wanted = one_vs_rest.precisions(measure, classes)
    groups = (
        [np.arange(len(p))] * len(classes) if measure.form not in BY_CLASS else [of == c for c in range(len(classes))]
    )
    found = np.full(len(classes), 0.5, np.float32)
    for c, mine in enumerate(groups):
        if len(p[mine]):
            asked = None if wanted is None else wanted[[c]]
            found[c] = one_vs_rest.thresholds(p[mine, None], counting[mine], wanted=asked)[0]
    return found
