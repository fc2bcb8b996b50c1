"""`auto`: the learner that was most right about labels it had not seen. None wins everywhere, and the best one changes
as labels grow; so the ledger decides, each round again. Gold is not looked at.

Up to 60 labels a tuned encoder (`contrastive`) competes with the `ensemble`, and with what both say together, on a
third of the labels that neither saw, where items are texts. With few labels that exam is half a throw of dice: the two
together are rarely far from the better one, whichever it is. Where an exam has clearly spoken against tuning, it is not
tried again before the labels have more than doubled. With more labels tuning takes a minute a round, most of it to
judge gold and pool again, and on two of three sets that were measured it is worth nothing (docs/labels.md): who wants
it then, sets `train.learner` to `contrastive`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from labelwise.tasks.learners import calibration, contrastive, deciding, ensemble, frozen, one_vs_rest, tagger
from labelwise.tasks.learners.base import Exam, Examples, Items, Model, Prefilter, prefilter_of
from labelwise.tasks.settings import Settings

NAME = "auto"
SERVES = frozenset({"choice", "multilabel", "spans"})
READS = frozenset({"vectors"})
CHOICE = {learner.NAME: learner for learner in (frozen, ensemble, contrastive)}
FEWEST, MOST_TUNED = 12, 60  # labels, between which tuning is tried
CLEARLY = 2.0  # standard errors by which tuning has lost
AGAIN = 2  # of the labels by which tuning has lost: beyond so many it is tried again
TOGETHER = " + "


@dataclass(frozen=True)
class Auto:
    """The models of the learners that were chosen, by name, and in words why they were. Several are one opinion: the
    geometric mean of what they say (Genest & Zidek 1986, 'Combining probability distributions'). exam: by which they
    were chosen; None where there was none, and of a model that was read back."""

    members: dict[str, Model]
    reason: str
    exam: Exam | None = None
    trained: bool = True

    @property
    def chosen(self) -> str:
        """The learners' names."""
        return TOGETHER.join(self.members)

    @property
    def classes(self) -> list[str]:
        return next(iter(self.members.values())).classes

    @property
    def thresholds(self) -> NDArray[np.float32] | None:
        return next(iter(self.members.values())).thresholds

    @property
    def draft(self) -> Model | None:
        """Of a model with a tuned encoder, the part that needs none."""
        costly = self.members.get(contrastive.NAME)
        return None if costly is None else self.members.get(ensemble.NAME, costly.draft)

    @property
    def prefilter(self) -> Prefilter | None:
        """The head of the ensemble, which hardly any choice is without."""
        return prefilter_of(self.members[ensemble.NAME]) if ensemble.NAME in self.members else None

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        opinions = [model.probabilities(items) for model in self.members.values()]
        return opinions[0] if len(opinions) == 1 else together(opinions)

    def save(self, folder: Path) -> None:
        """`config.json`, and each model in a folder that has the learner's name."""
        config: dict[str, Any] = {"learner": NAME, "classes": self.classes}
        config |= {"chosen": self.chosen, "reason": self.reason}
        several = isinstance(next(iter(self.members.values())), ensemble.Labels)
        config |= (one_vs_rest if several else deciding).kept(self.thresholds)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        for name, model in self.members.items():
            (folder / name).mkdir()
            model.save(folder / name)


def fit(examples: Examples, pool: Items, settings: Settings) -> Auto | tagger.Tagger:
    """Choose by held-out labels, then learn from all of them. Of spans there is one learner that a round can wait for,
    `tagger`."""
    if examples.said:
        return tagger.fit(examples, pool, settings)
    if examples.multilabel:
        return Auto({"ensemble": ensemble.fit(examples, pool, settings)}, "several labels an item")
    if len(examples.seen) < 2:
        return Auto({"frozen": frozen.of_one(examples, settings, pool)}, "one class only")
    quiet = ensemble.fit(examples, pool, settings)
    if quiet.thresholds is not None:
        return Auto({"ensemble": quiet}, f"judged by {settings.measure.words}")
    if not contrastive.READS.issubset({"vectors", settings.kind.item}):
        return Auto({"ensemble": quiet}, f"no encoder of a {settings.kind.item} is tuned")
    if not FEWEST <= len(examples) <= MOST_TUNED:
        return Auto({"ensemble": quiet}, f"tuning is tried from {FEWEST} to {MOST_TUNED} labels")
    given = len(examples.given)
    if lost := clearly_lost(examples.exams, given):
        return Auto({"ensemble": quiet}, lost)
    started = contrastive.start(examples, settings)
    if not len(started.held_out):
        return Auto({"ensemble": quiet}, "too few labels to compare learners")
    labels = examples.labels[started.held_out]
    rest = examples.take(np.setdiff1d(np.arange(len(examples)), started.held_out))
    rival = ensemble.fit(rest, pool, settings).probabilities(examples.items.take(started.held_out))
    groups = examples.take(started.held_out).items.groups
    tuned = softmax(calibration.tempered(started.logits, labels, settings.seed, groups), axis=1)
    opinions = {"ensemble": rival, "contrastive": tuned, f"ensemble{TOGETHER}contrastive": together([rival, tuned])}
    losses = {name: calibration.log_loss(logarithms(p), labels) for name, p in opinions.items()}
    chosen = min(losses, key=lambda name: losses[name])
    figures = ", ".join(f"{loss:.3f} for {name}" for name, loss in losses.items())
    reason = f"log loss on {len(labels)} labels held out: {figures}"
    exam = compared(given, rival, [p for name, p in opinions.items() if name != "ensemble"], labels)
    members: dict[str, Model] = {"ensemble": quiet}
    if chosen != "ensemble":
        members["contrastive"] = contrastive.finish(started, examples, settings)
    return Auto({name: members[name] for name in chosen.split(TOGETHER)}, reason, exam)


def clearly_lost(exams: Sequence[Exam], labels: int) -> str:
    """Why tuning is not tried with so many labels, in words; '' where it is. Only exams on fewer labels count, so that
    a round that is learned again comes to the same.

    >>> clearly_lost([Exam(20, -0.3, 0.1)], 40)
    'tuning lost 0.300 of log loss with 20 labels; it is tried again beyond 40'
    >>> clearly_lost([Exam(20, -0.3, 0.1)], 41), clearly_lost([Exam(20, -0.3, 0.4)], 30), clearly_lost([], 30)
    ('', '', '')
    """
    last = max((exam for exam in exams if exam.labels < labels), key=lambda exam: exam.labels, default=None)
    if last is None or not last.error or last.gain >= -CLEARLY * last.error or labels > AGAIN * last.labels:
        return ""
    return (
        f"tuning lost {-last.gain:.3f} of log loss with {last.labels} labels; "
        f"it is tried again beyond {AGAIN * last.labels}"
    )


def compared(
    given: int, own: NDArray[np.floating], others: Sequence[NDArray[np.floating]], labels: NDArray[np.int64]
) -> Exam:
    """The exam of (h, c) opinions on h labels held out: the best of the others against one's own. given: labels of
    people in all."""

    def losses(p: NDArray[np.floating]) -> NDArray[np.floating]:
        return -np.fmax(logarithms(p)[np.arange(len(labels)), labels], calibration.FLOOR)

    best = min((losses(p) for p in others), key=lambda found: float(found.mean()))
    gains = losses(own) - best
    return Exam(given, float(gains.mean()), float(gains.std() / np.sqrt(max(len(gains) - 1, 1))))


def together(opinions: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
    """Several (n, c) probabilities -> their geometric mean, rows scaled to sum to 1."""
    return softmax(np.mean([logarithms(p) for p in opinions], axis=0), axis=1).astype(np.float32)


def logarithms(p: NDArray[np.floating]) -> NDArray[np.floating]:
    """Logarithms of probabilities, those of zero bounded."""
    return np.log(np.maximum(p, 1e-12))


def load(folder: Path) -> Auto:
    """The model that `Auto.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    members: dict[str, Model] = {name: CHOICE[name].load(folder / name) for name in config["chosen"].split(TOGETHER)}
    return Auto(members, config["reason"])
