"""Stage `prove`: what the labels were worth. The loop against its control arm, chosen labels against as many random
ones for its own model and for another, labels of today against those that were looked at again, and how many items of
each class there are."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import figures, kinds, stage
from labelwise.tasks.gold import trusted
from labelwise.tasks.items.leaks import leaked
from labelwise.tasks.items.vectors import gold_items, pool_items, pool_vectors
from labelwise.tasks.items.withheld import kept_out, withheld
from labelwise.tasks.kinds.measures import Parts
from labelwise.tasks.labels import consensus, ledger
from labelwise.tasks.learners import Examples, Items, thresholds_of
from labelwise.tasks.progress import counted
from labelwise.tasks.proof import control, finishing, looked, prevalence, savings, subsets, successor, taught
from labelwise.tasks.proof.looked import Looked
from labelwise.tasks.proof.savings import PartsOf, Savings
from labelwise.tasks.proof.successor import Successor
from labelwise.tasks.proof.taught import Taught
from labelwise.tasks.settings import Settings
from labelwise.tasks.strategies.seeking import WHY as SEED
from labelwise.tasks.train import train, without_leaks
from labelwise.tasks.workspace import Workspace


@dataclass(frozen=True)
class Proof:
    """What labels were worth; None where it cannot be told."""

    savings: Savings | None = None
    taught: Taught | None = None
    successor: Successor | None = None
    looked: Looked | None = None

    def as_json(self) -> dict[str, Any]:
        """For metrics/proof.json."""
        found = {"savings": self.savings, "taught": self.taught, "successor": self.successor}
        told = {name: one and one.as_json() for name, one in found.items()}
        return told | ({"looked": self.looked.as_json()} if self.looked else {})


def prove(
    labels: pd.DataFrame, labelled: Items, gold: pd.DataFrame, exam: Items, pool: Items, settings: Settings
) -> Proof:
    """The savings meter, what chosen labels teach, what second looks at labels were worth, and the successor check, on
    the labels that count (columns id, label, round, why, control, and `first` where an item has had another label
    before).

    labelled, exam: the items of labels and gold (columns label, weight), in their order.
    """
    worth = Proof()
    if told(gold, settings):
        judged = judged_by(labels, labelled, gold, exam, pool, settings)
        worth = Proof(
            metered(judged, labels, gold, settings),
            teaching(judged, labels, gold, settings),
            looked=looked_again(judged, labels, labelled, gold, exam, pool, settings),
        )
    told_by_text = settings.kind.item in successor.READS and not kinds.answer(settings.kind.answer).PLACES
    if not told_by_text or not kinds.measure(settings).plain:
        return worth  # chosen labels are rich in what is rare: right more seldom, and not worse for it
    answer = kinds.answer(settings.kind.answer)
    by_strategy = ((labels.why != control.WHY) & (labels["round"] > 0)).to_numpy()
    read = labels.assign(text=labelled.texts())
    gold_read = gold.assign(text=exam.texts())
    found = successor.check(read, by_strategy, labels.control.to_numpy(), gold_read, settings.seed, answer)
    return replace(worth, successor=found)


def meter(
    labels: pd.DataFrame, labelled: Items, gold: pd.DataFrame, exam: Items, pool: Items, settings: Settings
) -> Savings | None:
    """The savings meter alone; see `prove`."""
    if not told(gold, settings):
        return None
    return metered(judged_by(labels, labelled, gold, exam, pool, settings), labels, gold, settings)


def metered(judged: PartsOf, labels: pd.DataFrame, gold: pd.DataFrame, settings: Settings) -> Savings | None:
    """The savings meter, gold items weighed. Both arms learn with `prove.learner`, whatever the loop itself
    learns with: what is compared is the choice of labels alone. Labels that no round asked for (imported ones) are in
    both arms from the start; without them, the head of the order is a uniform sample of what could be asked."""
    rounds = labels["round"].to_numpy()
    asked = rounds > 0
    in_control = np.flatnonzero(labels.control & asked)
    so_far = [np.flatnonzero(asked & (rounds <= number)) for number in np.unique(rounds[asked])]
    rng = np.random.default_rng([settings.seed, 3, int(rounds.max(initial=0))])
    with counted("what labels by chance would have given, models", None) as done:
        judging = counting(judged, done)
        weights, measure = gold.weight.to_numpy(), kinds.measure(settings)
        return savings.measure(judging, so_far, in_control, weights, rng, np.flatnonzero(~asked), measure)


def teaching(judged: PartsOf, labels: pd.DataFrame, gold: pd.DataFrame, settings: Settings) -> Taught | None:
    """What labels that the strategy chose teach against as many of the control arm, with models and gold as in
    `metered`. Without imported labels, the first batch was the cold start's: what it taught says nothing of others.

    A good strategy asks more of the rare classes than there are, and a model of such labels alone says them too often,
    which costs accuracy. So where the measure is a mean score, each label of gold counts as much as any other, however
    many items have it: for one class an item that is the balanced accuracy."""
    rounds = labels["round"].to_numpy()
    asked = rounds > 0
    first = int(rounds[asked].min(initial=np.iinfo(np.int64).max)) if asked.all() else 0
    in_control = labels.control.to_numpy(dtype=bool) & asked
    by_strategy = (rounds > first) & ~in_control & ~labels.why.isin([control.WHY, SEED]).to_numpy(dtype=bool)
    rng = np.random.default_rng([settings.seed, 4, int(rounds.max(initial=0))])
    sorts = np.flatnonzero(by_strategy), np.flatnonzero(in_control)
    with counted("what chosen labels teach, models", None) as done:
        measure = kinds.measure(settings)
        by_label = measure.plain and not measure.answer.PLACES  # of marked texts hardly two have one label
        weights = evened(gold) if by_label else gold.weight.to_numpy()
        return taught.compare(counting(judged, done), *sorts, weights, rng, np.flatnonzero(~asked), measure)


def looked_again(
    judged: PartsOf,
    labels: pd.DataFrame,
    labelled: Items,
    gold: pd.DataFrame,
    exam: Items,
    pool: Items,
    settings: Settings,
) -> Looked | None:
    """What it was worth that labels were asked for again, with models and gold as in `metered`; None where none was."""
    if "first" not in labels or labels["first"].isna().all():
        return None
    before = labels["first"].fillna(labels.label)
    again, changed = int(labels["first"].notna().sum()), int((before != labels.label).sum())
    if not changed:
        return Looked(again, 0)
    rows = np.arange(len(labels))
    was = judged_by(labels.assign(label=before), labelled, gold, exam, pool, settings)(rows)
    rng = np.random.default_rng([settings.seed, 5, int(labels["round"].max())])
    return looked.compare(again, changed, was, judged(rows), gold.weight.to_numpy(), kinds.measure(settings), rng)


def evened(gold: pd.DataFrame) -> NDArray[np.float64]:
    """(g,) the weights of gold items (columns label, weight) so that all labels weigh the same together.

    >>> evened(pd.DataFrame({"label": ["a", "b", "b"], "weight": 1.0})).tolist()
    [1.0, 0.5, 0.5]
    """
    weights = gold.weight.to_numpy(np.float64)
    together = gold.weight.groupby(gold.label).transform("sum").to_numpy(np.float64)
    return np.divide(weights, together, out=np.zeros_like(weights), where=together > 0)


def counting(judged: PartsOf, done: Callable[[int], None]) -> PartsOf:
    """The same, each model told to `done`."""

    def told_of(rows: NDArray[np.int64]) -> Parts:
        done(1)
        return judged(rows)

    return told_of


def told(gold: pd.DataFrame, settings: Settings) -> bool:
    """Whether the gold items can tell the measure: one at least is of the class that it is about."""
    truth = gold.label.tolist()
    return bool((gold.weight.to_numpy() @ kinds.measure(settings).parts(truth, truth).true > 0).any())


def judged_by(
    labels: pd.DataFrame, labelled: Items, gold: pd.DataFrame, exam: Items, pool: Items, settings: Settings
) -> PartsOf:
    """Label numbers -> what the answers of a model of these labels to the g gold items bring to the measure. The model
    is of `prove.learner`: fitted quickly where there is a way (see proof/subsets.py), otherwise as a round trains it.
    """
    answer, measure, truth = kinds.answer(settings.kind.answer), kinds.measure(settings), gold.label.tolist()
    learner = settings.train.model_copy(update={"learner": settings.prove.learner, "self_training": False})
    own = settings.model_copy(update={"train": learner})

    def trained(rows: NDArray[np.int64]) -> subsets.Believed:
        model = train(labelled.take(rows), labels.label.iloc[rows].reset_index(drop=True), pool, own)
        return model.probabilities(exam), thresholds_of(model)

    targets = answer.targets(labels.label.tolist(), settings.classes)
    said = labels.label.tolist() if answer.PLACES else ()
    examples = Examples(labelled, targets, settings.classes, said=said)
    believed = subsets.believed_by(examples, exam, pool, own) or trained

    def parts(rows: NDArray[np.int64]) -> Parts:
        opinion, thresholds = believed(rows)
        return measure.parts(answer.decide(opinion, settings.classes, thresholds).tolist(), truth)

    return parts


def run(workspace: Workspace) -> str:
    """Read consensus, vectors and gold, write metrics/proof.json. Returns a line for people."""
    settings = workspace.settings
    labels = without_leaks(consensus.current(workspace), leaked(workspace))
    vectors = pool_vectors(workspace)
    still_open = vectors.ids[~vectors.ids.isin(withheld(workspace, vectors.ids))]
    labels = labels.assign(control=control.sample(labels, still_open, settings.seed))
    pool = pool_items(workspace, vectors)
    gold = trusted.gold(workspace)
    labels["first"] = labels.id.map(ledger.first_said(ledger.today(workspace)))
    judged = labels[~labels.why.isin(finishing.WHYS)].reset_index(drop=True)  # the others were no choice of the loop
    worth = (
        prove(judged, pool.take(vectors.rows(judged.id)), gold, gold_items(workspace), pool, settings)
        if len(judged)
        else Proof()
    )
    there = prevalence.in_pool(labels, vectors, kept_out(workspace, vectors.ids), settings)
    found = worth.as_json()
    said = savings.sentence(worth.savings, settings.measure.words) if settings.select.control else UNKNOWN
    if len(labels) and len(gold) and not told(gold, settings):
        said = f"savings: cannot tell, gold has no item of {settings.measure.of} to measure by"
    said += str(control.arm_of(settings.select, found))
    figures.keep_proof(workspace, {"said": said, **found, "prevalence": there.as_json()})
    if (other := worth.successor) is not None and other.worse:
        said += f"; WARNING: another kind of model learns less from chosen labels ({other.difference:+.1%})"
    one = there.of(settings.measure.of)
    return said if one is None else f"{said}; {there.sentence(one)}"


UNKNOWN = "savings: nobody can know them, for select.control is 0: no label was drawn by chance"


if __name__ == "__main__":
    stage.main(run)
