"""Stage `select`: choose the batch that reviewers are asked next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import figures, kinds, learners, stage
from labelwise.tasks.errors import named, quantity
from labelwise.tasks.items import leaks
from labelwise.tasks.items.leaks import leaked
from labelwise.tasks.items.vectors import Vectors, places, pool_vectors
from labelwise.tasks.items.withheld import kept_for_gold, kept_out, withheld
from labelwise.tasks.kinds import Answer, Views, choice
from labelwise.tasks.labels import consensus, ledger, sought, suspects
from labelwise.tasks.proof import control, finishing
from labelwise.tasks.records import BATCH, probabilities
from labelwise.tasks.settings import Select, one_of
from labelwise.tasks.strategies import AUTO, COLD_STARTS, Candidates, Choice, Labelled, Strategy, rare, strategies
from labelwise.tasks.strategies.auto import typical_first
from labelwise.tasks.strategies.base import chosen
from labelwise.tasks.strategies.batches import asked_of, class_balanced, mixed, spread
from labelwise.tasks.strategies.seeking import WHY as SEED
from labelwise.tasks.strategies.seeking import Sought, nearest
from labelwise.tasks.terminal import plain
from labelwise.tasks.workspace import Workspace, columns_of, read_parquet, write_parquet

MEASURES = ("least_confidence", "margin", "entropy")  # that the table of scores has for people


@dataclass(frozen=True)
class Opinion:
    """How probabilities are read. thresholds: see `Model.thresholds`."""

    answer: Answer
    thresholds: NDArray[np.float32] | None = None

    def views(self, kept: NDArray[np.float32]) -> Views | None:
        """As strategies see them."""
        return self.answer.views(kept, self.thresholds)


OF_ONE_CLASS = Opinion(choice)


def select(
    scores: pd.DataFrame,
    vectors: Vectors,
    labelled: Labelled,
    closed: pd.Index,
    settings: Select,
    rng: np.random.Generator,
    seed: int = 0,
    opinion: Opinion = OF_ONE_CLASS,
    lapsed: Sequence[str] | pd.Index = (),
    looked_for: Sought | None = None,
    doubted: Sequence[str] | pd.Index = (),
) -> pd.DataFrame:
    """The batch (BATCH), first the item to be asked first. What is left of the pool, when that is less.

    scores and vectors are in the pool's order; `closed` holds the ids that must not be asked. The control arm takes its
    share of the batch, in the order of the pool that `seed` decides, and stands at places of the batch left to chance:
    nobody can tell it from the rest. lapsed: ids to be labelled again, which are closed to strategies; at most
    `select.relabel` of the batch, more only where nothing else is left. The order of the pool says which come first.
    looked_for: classes that have hardly been found, which have their part of what the control arm leaves. doubted: ids
    whose labels look wrong, those first that do most; they are asked only beside items that have no label.
    """
    open_rows, pool = np.flatnonzero(~scores.id.isin(closed).to_numpy()), pd.Index(scores.id)
    anew = to_relabel(pool, lapsed, settings, len(open_rows), seed)
    if len(open_rows):
        wrong = places(pool, pd.Index(doubted).difference(pd.Index(lapsed), sort=False))
        anew = np.concatenate([anew, wrong[: settings.batch - len(anew)]])
    k = min(settings.batch - len(anew), len(open_rows))
    batch = chosen(anew, why=ledger.RELABEL)
    if k:
        fresh = choose(scores, vectors, labelled, open_rows, k, settings, rng, seed, opinion, looked_for)
        batch = mixed(batch, fresh, rng) if len(anew) else fresh
    asked = scores.iloc[batch.indices].reset_index(drop=True)
    return BATCH.conform(
        pd.DataFrame(
            {
                "id": asked.id,
                "rank": np.arange(1, len(asked) + 1),
                "score": batch.scores,
                "why": batch.why,
                "propensity": batch.propensity,
                "prediction": asked.prediction,
                "confidence": asked.confidence,
            }
        )
    )


def to_relabel(
    pool: pd.Index, lapsed: Sequence[str] | pd.Index, settings: Select, others: int, seed: int
) -> NDArray[np.int64]:
    """The rows of the pool whose items are labelled again in this batch. others: how many items can be asked beside
    them."""
    rows = np.flatnonzero(pool.isin(lapsed))
    if not len(rows) or not settings.relabel:
        return rows[:0]
    most = max(1, int(settings.relabel * settings.batch), settings.batch - others)
    return rows[np.argsort(control.order(pool[rows], seed), kind="stable")[:most]]


def choose(
    scores: pd.DataFrame,
    vectors: Vectors,
    labelled: Labelled,
    open_rows: NDArray[np.int64],
    k: int,
    settings: Select,
    rng: np.random.Generator,
    seed: int,
    opinion: Opinion,
    looked_for: Sought | None = None,
) -> Choice:
    """k of the open rows of the pool: the control arm, what is nearest to the classes that are looked for, and what the
    strategy wants, as rows of the pool."""
    kept = probabilities(scores)[open_rows]
    p = opinion.answer.chances(kept)
    wording = None if vectors.wording is None else vectors.wording[open_rows]
    seen = opinion.views(kept), opinion.thresholds
    groups = None if vectors.groups is None else vectors.groups[open_rows]
    candidates = Candidates(p, lambda indices: vectors.gather(open_rows[indices]), labelled, wording, *seen, groups)
    if looked_for is not None:
        candidates = replace(candidates, sought=looked_for.nearness[open_rows])
    share = control.arm(settings.control, None).share
    drawn = control.draw(control.order(pd.Index(scores.id.iloc[open_rows]), seed), k, share, rng)
    picked = chosen(drawn, why=control.WHY, propensity=len(drawn) / len(open_rows))
    all_rows = np.arange(len(open_rows))
    if looked_for is not None and (room := min(int(looked_for.most.sum()), k - len(drawn))):
        near = nearest(looked_for.most)
        if settings.near_duplicate is not None:
            near = spread(near, settings.near_duplicate, candidates.take(drawn))
        picked = mixed(picked, asked_of(near, candidates, np.setdiff1d(all_rows, drawn), room, rng), rng)
    if len(picked.indices) < k:
        # The model has an opinion before the first label: by the names of classes, or by weak labels.
        guesses = bool(scores.prediction.notna().all()) and not len(labelled) and labelled.labels.ndim == 1
        strategy, _ = strategy_for(settings, labelled, guesses, candidates.take(picked.indices))
        rest = np.setdiff1d(all_rows, picked.indices)
        if "candidate" in scores:  # of all, where so few of these are open that the batch would be short
            worth = rest[scores.candidate.to_numpy()[open_rows[rest]]]
            rest = worth if len(worth) >= k - len(picked.indices) else rest
        picked = mixed(picked, asked_of(strategy, candidates, rest, k - len(picked.indices), rng), rng)
    return replace(picked, indices=open_rows[picked.indices])


def strategy_for(
    settings: Select, labelled: Labelled, guesses: bool = False, beside: Candidates | None = None
) -> tuple[Strategy, str]:
    """The strategy of the settings with its wrappers, and how to call it in words. While the labels tell nothing
    apart there is no model to ask, and the cold start takes the place of a strategy that needs one; that of `auto`
    only until all other classes must be rare (see strategies/rare.py). guesses: whether each item has a likeliest class
    though nothing is labelled: then the cold start asks some of each. beside: what the batch holds already.
    SettingsError for a name that nobody knows."""
    name, said = settings.strategy, settings.strategy
    strategy = one_of("select.strategy", name, strategies())
    if name == AUTO and settings.typical:
        strategy = typical_first
    cold_start = one_of("select.cold_start", settings.cold_start, COLD_STARTS)
    if (lack := labelled.lack) and name not in COLD_STARTS:
        strategy, said = cold_start, f"{settings.cold_start} (cold start: {name} needs {lack})"
        if name == AUTO and rare.all_alike(labelled):
            strategy, said = rare.unlike, f"{name}: what is unlike the one class seen so far, and chance"
        if guesses:
            strategy = class_balanced(strategy)
    elif settings.balance:
        strategy = class_balanced(strategy)
    if settings.near_duplicate is not None:
        strategy = spread(strategy, settings.near_duplicate, beside)
    return strategy, said


def as_labelled(
    scores: pd.DataFrame,
    vectors: Vectors,
    labels: pd.DataFrame,
    classes: list[str],
    opinion: Opinion = OF_ONE_CLASS,
) -> Labelled:
    """What strategies see of the labels that count (columns id, label, round, why)."""
    rows = vectors.rows(labels.id)
    kept = probabilities(scores)[rows]
    return Labelled(
        vectors.gather(rows),
        opinion.answer.targets(labels.label.tolist(), classes),
        opinion.answer.chances(kept),
        labels["round"].to_numpy(),
        labels.why.to_numpy(dtype=object),
        None if vectors.wording is None else vectors.wording[rows],
        opinion.views(kept),
    )


def run(workspace: Workspace) -> str:
    """Read scores, vectors, consensus and ledger, write data/batch.parquet. Returns a line for people."""
    settings = workspace.settings
    if settings.select.finish is not None:
        batch, said = finishing.batch(workspace, settings.select.finish)
        write_parquet(workspace.batch, batch)
        return said
    rng = np.random.default_rng([settings.seed, ledger.current_round(workspace.labels)])
    rows = ledger.today(workspace)
    seen = [column for column in columns_of(workspace.scores) if column not in MEASURES]
    scores, vectors = read_parquet(workspace.scores, columns=seen), pool_vectors(workspace)
    opinion = Opinion(kinds.answer(settings.kind.answer), learners.thresholds(workspace.model))
    labels = consensus.current(workspace)
    labelled = as_labelled(scores, vectors, labels, settings.classes, opinion)
    pool = pd.Index(scores.id)
    never = kept_out(workspace, pool)
    closed, lapsed = withheld(workspace, pool), ledger.to_relabel(rows).difference(never)
    arm = control.arm_of(settings.select, figures.proof(workspace))
    chosen_by = settings.select.model_copy(update={"control": arm.share})
    looked_for = sought.sought(workspace, vectors, labels)
    learned = labels[~labels.id.isin(never)]
    doubted = suspects.of(workspace, rows, learned, int(chosen_by.suspects * chosen_by.batch), vectors)
    batch = select(
        scores, vectors, labelled, closed, chosen_by, rng, settings.seed, opinion, lapsed, looked_for, doubted
    )
    write_parquet(workspace.batch, batch)
    wanted = settings.select.batch
    why = "" if len(batch) == wanted else left_out(workspace, pool)
    if batch.empty:
        return f"nothing is left to ask{why}"
    by_chance, anew, near = (int((batch.why == why).sum()) for why in (control.WHY, ledger.RELABEL, SEED))
    said = strategy_for(settings.select, labelled)[1]
    short = f"; all that is left, fewer than the {wanted} of select.batch{why}" if len(batch) < wanted else ""
    looks = int(batch.id[batch.why == ledger.RELABEL].isin(doubted).sum())
    again = f", {anew - looks} to be labelled anew of {len(lapsed):,}" if anew > looks else ""
    again += f", {looks} whose label looks wrong" if looks else ""
    labels_sought = dict.fromkeys(looked_for.labels[looked_for.most > 0]) if looked_for else {}
    names = named(settings.classes[label] for label in labels_sought)
    beside = f", {near} in search of {plain(names, 200)}" if near else ""
    by_strategy = len(batch) - by_chance - anew - near
    return f"{quantity(by_strategy, 'item')} by {said}{beside}, {by_chance} for the control arm{again}{short}{arm}"


def left_out(workspace: Workspace, pool: pd.Index) -> str:
    """In brackets, what settings keep out of every batch; '' for nothing. pool: all of its ids."""
    kept = len(kept_for_gold(pool, workspace.settings))
    parts = [f"{quantity(kept, 'item is', 'items are')} kept for gold (gold.reserve)"] if kept else []
    parts += [f"{count:,} {words}" for count, words in leaks.counted(leaked(workspace))]
    return f" ({'; '.join(parts)})" if parts else ""


if __name__ == "__main__":
    stage.main(run)
