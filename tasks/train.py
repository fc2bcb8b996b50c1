"""Stage `train`: fit the learner on the labels that count."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from labelwise.tasks import figures, kinds, stage
from labelwise.tasks.errors import quantity
from labelwise.tasks.items.leaks import leaked
from labelwise.tasks.items.vectors import Vectors, pool_items, pool_vectors
from labelwise.tasks.items.withheld import kept_for_gold, kept_out
from labelwise.tasks.labels import consensus
from labelwise.tasks.learners import (
    Exam,
    Examples,
    Items,
    Left,
    Model,
    deciding,
    learners,
    self_training,
    untrained,
    weakly,
    zero_shot,
)
from labelwise.tasks.proof import finishing, prevalence
from labelwise.tasks.settings import Settings, one_of
from labelwise.tasks.workspace import Workspace, atomic, reading, write_json


@dataclass
class Weak:
    """What rules and language models say of n items without a person's label. labels: columns id, label, trust;
    compared: what it does beside people's labels, once it was learned."""

    items: Items
    labels: pd.DataFrame
    compared: weakly.Compared | None = None


def train(
    labelled: Items,
    labels: pd.Series,
    pool: Items,
    settings: Settings,
    offered: Items | None = None,
    left: Left | None = None,
    exams: Sequence[Exam] = (),
    trust: pd.Series | None = None,
    weak: Weak | None = None,
) -> Model:
    """A model from n items with their n labels; without any, the untrained or zero-shot one. pool: all items, labelled
    or not. offered: those that self-training may take at the model's word; None: all of them. left: what is known of
    the items without a label. exams: of earlier rounds. trust: how likely each label is right, which is what it counts;
    None: surely. weak: what rules and language models say of others.

    WorkspaceError: a label is no class. SettingsError: the learner has a name that nobody knows.
    """
    learner = learner_of(settings)
    if labels.empty and weak is None:
        return zero_shot.fit(settings) if settings.train.zero_shot else untrained.Untrained(settings.classes)
    answer = kinds.answer(settings.kind.answer)
    consensus.refuse_strangers(labels, settings)
    targets = answer.targets(labels.tolist(), settings.classes)
    said = labels.tolist() if answer.PLACES else ()
    weights = None if trust is None or (trust == 1).all() else trust.to_numpy(np.float32)
    examples = Examples(labelled, targets, settings.classes, weights, left, exams, said)
    if weak is not None:
        words = weak.labels.label.tolist()
        counting = weak.labels.trust.to_numpy(np.float32)
        more = Examples(
            weak.items,
            answer.targets(words, settings.classes),
            settings.classes,
            counting,
            said=words if answer.PLACES else (),
        )
        examples, settings, weak.compared = weakly.beside(examples, more, settings)
    fit = learner.fit
    if settings.train.self_training:
        fit = self_training.around(fit, pool if offered is None else offered)
    model: Model = fit(examples, pool, settings)
    return model


def taught(
    known: pd.DataFrame,
    leaks: pd.DataFrame,
    vectors: Vectors,
    pool: Items,
    settings: Settings,
    exams: Sequence[Exam] = (),
    weak: Weak | None = None,
) -> tuple[Model, pd.DataFrame]:
    """The model of all labels that count (columns id, label, round, why, in order of id, and `trust` where they are not
    all sure), and those of them that it learned: none of an item that is in gold or nearly so (LEAKS). Self-training
    takes no such item either, and none with a label."""
    labels = without_leaks(known, leaks)
    offered = pool.take(np.flatnonzero(~vectors.ids.isin(leaks.id) & ~vectors.ids.isin(known.id)))
    there = left(labels, leaks, vectors, settings)
    own = pool.take(vectors.rows(labels.id))
    return train(own, labels.label, pool, settings, offered, there, exams, labels.get("trust"), weak), labels


def left(labels: pd.DataFrame, leaks: pd.DataFrame, vectors: Vectors, settings: Settings) -> Left | None:
    """How many items without a label are of each class, as the control arm has it. None where it has drawn none, and
    where nothing that is learned follows from it: a model that says the likeliest class stays as it is."""
    if labels.empty or deciding.by_likeliest(settings):
        return None
    kept_out = kept_for_gold(vectors.ids, settings).union(pd.Index(leaks.id))
    there = prevalence.in_pool(labels, vectors, kept_out, settings)
    rest = there.items - there.labelled
    if not there.control or not rest:
        return None
    low, high = (np.array([getattr(one, end) - one.found for one in there.classes], float) for end in ("low", "high"))
    return Left(rest, low, high)


def learner_of(settings: Settings) -> Any:
    """The module of `train.learner`; SettingsError for a name that nobody knows."""
    return one_of("train.learner", settings.train.learner, learners())


def run(workspace: Workspace) -> str:
    """Read the consensus and the vectors, write model/. Returns a line for people."""
    vectors = pool_vectors(workspace)
    pool, settings = pool_items(workspace, vectors), workspace.settings
    known, weak = learnable(workspace, vectors.ids), weakly_labelled(workspace, vectors)
    model, labels = taught(known, leaked(workspace), vectors, pool, settings, exams(workspace), weak)
    with atomic(workspace.model) as scratch:
        scratch.mkdir()
        model.save(scratch)
        if weak is not None and weak.compared is not None:
            write_json(scratch / figures.WEAKLY, weak.compared.as_json())
    if (exam := exam_of(model)) is not None:
        found = {"gain": round(exam.gain, 6), "error": round(exam.error, 6), "of": examined(settings)}
        figures.keep_exam(workspace, exam.labels, found)
    chosen = json.loads((workspace.model / "config.json").read_text(encoding="utf-8")).get("chosen", "")
    answer = kinds.answer(workspace.settings.kind.answer)
    learned = {name for label in labels.label.unique() for name in answer.members(label)}
    said = f"{quantity(len(labels), 'label')} in {len(learned)} of {len(model.classes)} classes"
    said += f", {left_out} left out: in gold or nearly so" if (left_out := len(known) - len(labels)) else ""
    if weak is not None and weak.compared is not None:
        weight = weak.compared.weight
        said += f"; {quantity(len(weak.labels), 'weak label')} "
        said += f"at {weight:g} of one" if weight else "teach nothing more"
    return said + (chosen and f"; {chosen}")


def with_more(workspace: Workspace, vectors: Vectors, more: Items, said: pd.Series, settings: Settings) -> Model:
    """The model of all labels that count and of further items, which are not of the pool, with their labels `said`."""
    pool, leaks = pool_items(workspace, vectors), leaked(workspace)
    known = without_leaks(learnable(workspace, vectors.ids), leaks)
    labelled = Items.joined(pool.take(vectors.rows(known.id)), more)
    labels = pd.concat([known.label, said], ignore_index=True)
    trust = pd.concat([known.trust, pd.Series(1.0, said.index)], ignore_index=True)
    there, weak = left(known, leaks, vectors, settings), weakly_labelled(workspace, vectors)
    return train(labelled, labels, pool, settings, left=there, trust=trust, weak=weak)


def learnable(workspace: Workspace, pool: pd.Index) -> pd.DataFrame:
    """The labels that count (CONSENSUS) and may be learned. What was asked to finish the pool and is kept for gold is
    not. pool: all of its ids."""
    known = consensus.current(workspace)
    kept = known.why.isin(finishing.WHYS) & known.id.isin(kept_for_gold(pool, workspace.settings))
    return known[~kept].reset_index(drop=True)


def weakly_labelled(workspace: Workspace, vectors: Vectors) -> Weak | None:
    """The items of the pool that only rules and language models have labelled; none that is gold or nearly so, or kept
    for it. None where there is no such item."""
    found = consensus.unasked(workspace)
    if found.empty:
        return None
    never = kept_out(workspace, vectors.ids)
    found = found[found.id.isin(vectors.ids) & ~found.id.isin(never)].reset_index(drop=True)
    return None if found.empty else Weak(pool_items(workspace, vectors).take(vectors.rows(found.id)), found)


def exams(workspace: Workspace) -> list[Exam]:
    """What was kept of the exams of earlier rounds that had the same classes and encoder."""
    of = examined(workspace.settings)
    with reading(figures.file(workspace, figures.EXAMS)):
        found = figures.exams(workspace).items()
        return [Exam(int(labels), each["gain"], each["error"]) for labels, each in found if each["of"] == of]


def examined(settings: Settings) -> str:
    """A digest of what an exam is about: of another it says nothing."""
    about = [settings.classes, settings.embed.model_dump(), settings.train.model_dump()]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def exam_of(model: Model) -> Exam | None:
    """By which the learner of a model was chosen; None where nothing was compared."""
    found: Exam | None = getattr(model, "exam", None)
    return found


def without_leaks(labels: pd.DataFrame, leaks: pd.DataFrame) -> pd.DataFrame:
    """The labels that may be learned from: not those of items that are in gold, or nearly so (LEAKS)."""
    return labels[~labels.id.isin(leaks.id)].reset_index(drop=True)


if __name__ == "__main__":
    stage.main(run)
