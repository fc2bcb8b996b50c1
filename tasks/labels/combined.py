"""What several people said of the same items, combined: one label an item, and how far it can be trusted.

    found = combine(said, DAWID_SKENE, answer, classes)

Whatever is said of an item, people agree on it question by question, see `Answer.questions`: which class it is; of
several labels, class by class, whether it is one of them; of spans, whether each that anybody marked is there. Who
confuses what is learned from all questions about one class (labels/aggregate.py). A label is as likely as all of its
parts together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.kinds import Answer, choice, spans
from labelwise.tasks.kinds.base import NO, YES
from labelwise.tasks.labels.aggregate import Agreed, Answers, Doubles, Whole, dawid_skene, majority
from labelwise.tasks.settings import By, Settings

if TYPE_CHECKING:  # `status` must not wait for learners
    from labelwise.tasks.learners import Items

AUTO, LATEST, MAJORITY, DAWID_SKENE = WAYS = get_args(By)

FIRST = 20  # turns that settle from which labels a model learns

Opinion = Callable[[list[str], Doubles], Doubles]


@dataclass(frozen=True)
class Said:
    """m answers: of which of `items` items, (m,), by which of `people` people, (m,), and the m labels. The later ones
    come last."""

    item: Whole
    person: Whole
    label: Sequence[str]
    items: int
    people: int

    @property
    def shared(self) -> int:
        """How many items have answers of two people or more."""
        return int((np.bincount(self.item, minlength=self.items) > 1).sum())

    def last(self) -> "Said":
        """The last answer to each item alone."""
        at = np.sort(len(self.item) - 1 - np.unique(self.item[::-1], return_index=True)[1])
        return Said(self.item[at], self.person[at], [self.label[row] for row in at], self.items, self.people)


@dataclass(frozen=True)
class Combined:
    """What is agreed of n items. label, trust: of each, (n,), and how likely that is right; people, doubt: how many
    labelled it, and the share of them that said otherwise. right: (m,) how likely each answer is."""

    label: list[str]
    trust: Doubles
    people: NDArray[np.int64]
    doubt: Doubles
    right: Doubles


def combine(
    said: Said,
    by: str,
    answer: Answer,
    classes: list[str],
    opinion: Opinion | None = None,
    strange: bool = True,
) -> Combined:
    """What is agreed on, by one of WAYS; AUTO is DAWID_SKENE. Each item has an answer at least.

    opinion: what a model says that has not learned the labels of these items, (n, c), from n labels and their trust; it
    is heard by AUTO and DAWID_SKENE, and of spans not at all. strange: whether an item may have a label that nobody
    gave it, since the model and what people confuse speak for it.
    """
    topics = topics_of(said, answer, classes)
    heard = topics_of(said.last(), answer, classes) if by == LATEST else topics
    if by in (LATEST, MAJORITY):
        agreed = [majority(topic.answers) for topic in heard]
    elif opinion is None or answer.PLACES:
        agreed = [dawid_skene(topic.answers) for topic in heard]
    else:
        first = [dawid_skene(topic.answers, steps=FIRST) for topic in heard]
        by_class = opinion(*_label(said, heard, first, answer, strange))
        agreed = [dawid_skene(topic.answers, topic.opinion(by_class)) for topic in heard]
    label, trust = _label(said, heard, agreed, answer, strange)
    trust = np.ones(said.items) if by == LATEST else trust
    right = np.ones(len(said.item))
    for topic, each in zip(topics, agreed, strict=True):
        np.multiply.at(right, topic.row, each.right(topic.answers)[: len(topic.row)])
    people = np.bincount(said.item, minlength=said.items)
    alike = np.array(label, object)[said.item] == np.array(said.label, object)
    return Combined(label, trust, people, 1 - np.bincount(said.item, alike, said.items) / people, right)


@dataclass(frozen=True)
class Topic:
    """Questions about one class. answers: what was said to k of them, and of spans, behind these, that there is nothing
    where nobody has marked anything. item: (k,) the item that each is about. question: (k,) as `Answer.questions` has
    it. row: which of the answers to items each of the first of `answers` is a part of. replies: what may be said. at:
    the position of the class, None where the question is which class it is."""

    answers: Answers
    item: Whole
    question: list[str]
    row: Whole
    replies: list[str]
    at: int | None

    def opinion(self, by_class: Doubles) -> Doubles:
        """(k, r) how likely a model of (n, c) probabilities takes each reply to be."""
        if self.at is None:
            return by_class[self.item]
        has = by_class[self.item, self.at]
        return np.column_stack([1 - has, has])


def topics_of(said: Said, answer: Answer, classes: list[str]) -> list[Topic]:
    label, names = pd.factorize(np.array(said.label, object))
    if answer.NAME == choice.NAME:
        at = pd.Index(classes).get_indexer(pd.Index(names))[label]
        answers = Answers(said.item, said.person, at, said.items, said.people, len(classes))
        return [Topic(answers, np.arange(said.items), [""] * said.items, np.arange(len(label)), classes, None)]
    return (_of_places if answer.PLACES else _of_classes)(said, label, list(names), answer, classes)


def _of_classes(said: Said, label: Whole, names: list[str], answer: Answer, classes: list[str]) -> list[Topic]:
    """A topic a class, about all items."""
    found = []
    for question in answer.questions(names):
        if question:
            has = np.array([answer.reply(name, question) == YES for name in names])[label].astype(np.int64)
            answers = Answers(said.item, said.person, has, said.items, said.people, 2)
            every, rows = np.arange(said.items), np.arange(len(label))
            found.append(Topic(answers, every, [question] * said.items, rows, [NO, YES], classes.index(question)))
    return found


def _of_places(said: Said, label: Whole, names: list[str], answer: Answer, classes: list[str]) -> list[Topic]:
    """A topic a class, about each span of it that anybody marked."""
    rows_of: dict[int, list[int]] = {}
    for row, item in enumerate(said.item.tolist()):
        rows_of.setdefault(item, []).append(row)
    asked: dict[str, list[tuple[int, str]]] = {}
    for item, rows in rows_of.items():
        for question in filter(None, answer.questions(names[label[row]] for row in rows)):
            asked.setdefault(answer.members(answer.joined({question: YES}))[0], []).append((item, question))
    found = []
    for name in sorted(asked):
        told = [
            (number, row, answer.reply(names[label[row]], question) == YES)
            for number, (item, question) in enumerate(asked[name])
            for row in rows_of[item]
        ]
        of, at, has = (np.array(each, np.int64) for each in zip(*told, strict=True))
        k = len(asked[name])
        # One a text: without any, everybody would look as if he marked at random wherever two ends differ.
        of, who = np.append(of, k + said.item), np.append(said.person[at], said.person)
        answers = Answers(of, who, np.append(has, np.zeros(len(label), np.int64)), k + said.items, said.people, 2)
        items, questions = zip(*asked[name], strict=True)
        found.append(Topic(answers, np.array(items), list(questions), at, [NO, YES], classes.index(name)))
    return found


def _label(
    said: Said, topics: list[Topic], agreed: list[Agreed], answer: Answer, strange: bool
) -> tuple[list[str], Doubles]:
    """The label of each item, and how likely it is."""
    replies: list[dict[str, str]] = [{} for _ in range(said.items)]
    trust = np.ones(said.items)
    chosen = [each.opinion if strange else _given(topic, each) for topic, each in zip(topics, agreed, strict=True)]
    if answer.PLACES:
        chosen = _without_rivals(topics, chosen)
    for topic, each, p in zip(topics, agreed, chosen, strict=True):
        best = p[: len(topic.question)].argmax(axis=1)
        np.multiply.at(trust, topic.item, each.opinion[np.arange(len(best)), best])
        for item, question, reply in zip(topic.item.tolist(), topic.question, best.tolist(), strict=True):
            replies[item][question] = topic.replies[reply]
    return [answer.joined(own or {"": answer.joined({})}) for own in replies], trust


def _given(topic: Topic, agreed: Agreed) -> Doubles:
    """(k, r) the same, 0 for what nobody has replied."""
    return np.where(topic.answers.counts() > 0, agreed.opinion, 0.0)


def _without_rivals(topics: list[Topic], opinions: list[Doubles]) -> list[Doubles]:
    """The same, but of spans that share a part of the text and that no person has marked together only the likeliest
    is there: who draws an end differently, or calls it another class, means one thing."""
    found = [p.copy() for p in opinions]
    marked_by: dict[tuple[int, int], set[int]] = {}
    for t, topic in enumerate(topics):
        yes = topic.answers.label == 1
        for k, person in zip(topic.answers.item[yes].tolist(), topic.answers.person[yes].tolist(), strict=True):
            marked_by.setdefault((t, k), set()).add(person)
    there: dict[int, list[tuple[str, set[int]]]] = {}
    for (t, k), people in sorted(marked_by.items(), key=lambda one: -found[one[0][0]][one[0][1], 1]):
        question, beside = topics[t].question[k], there.setdefault(int(topics[t].item[k]), [])
        if any(spans.share(question, other) and not people & theirs for other, theirs in beside):
            found[t][k] = 1.0, 0.0
        elif found[t][k, 1] > found[t][k, 0]:
            beside.append((question, people))
    return found


def held_out(items: "Items", labels: list[str], trust: Doubles, settings: Settings) -> Doubles:
    """(n, c) what a model says of n items that has not learned their labels: a head on their vectors, each label by its
    trust. Where there is nothing to learn from, how often each class is.

    Heads learn from `calibration.MOST` labels at most, drawn by chance, which are judged by heads of the others among
    them: what one voice among several says settles early.
    """
    from scipy.special import expit, softmax

    from labelwise.tasks.learners import Examples, calibration, frozen, one_vs_rest

    targets: NDArray[Any] = kinds.answer(settings.kind.answer).targets(labels, settings.classes)
    examples = Examples(items, targets, settings.classes, trust.astype(np.float32))
    inside = calibration.sampled(examples, settings.seed)
    outside = np.setdiff1d(np.arange(len(targets)), inside)
    some = examples.take(inside)
    if len(np.unique(some.labels, axis=0)) < 2:
        often = some.labels if some.multilabel else np.eye(len(settings.classes))[some.labels]
        return np.tile(often.mean(axis=0).astype(np.float64), (len(targets), 1))
    found = np.empty((len(targets), len(settings.classes)))
    model: frozen.Head | one_vs_rest.Heads
    if some.multilabel:
        c, odds = one_vs_rest.crossed(some, settings)
        slopes, shifts = one_vs_rest.calibrated(odds, some.labels)
        found[inside] = expit(odds * slopes + shifts)
        strange = np.isnan(odds)  # no other item has the label: a model cannot know of it
        found[inside] = np.where(strange, _rate(some.labels[strange] > 0), found[inside])
        model = one_vs_rest.heads(some, some.items.vectors(), c).turned(slopes, shifts)
    else:
        c, logits = frozen.crossed(some, settings)
        heat = calibration.temperature(logits, some.labels)
        found[inside] = _with_strange(softmax(logits / heat, axis=1), np.isinf(logits), some.labels)
        model = frozen.head(some, some.items.vectors(), c).at(heat)
    if len(outside):
        found[outside] = model.probabilities(items.take(outside))
    return found


def _with_strange(p: Doubles, strange: NDArray[np.bool_], labels: NDArray[np.int64]) -> Doubles:
    """(m, c) the same opinions, but a class that the model of an item cannot know, since no other label is of it, has
    its part of how often a label is of such a class."""
    often = _rate(strange[np.arange(len(labels)), labels]) * strange.any(axis=1, keepdims=True)
    return np.asarray((1 - often) * p + often * strange / np.maximum(strange.sum(axis=1, keepdims=True), 1))


def _rate(happened: NDArray[np.bool_]) -> float:
    return float((happened.sum() + 0.5) / (happened.size + 1))
