"""A pool that is being finished: who labels which item, and what people are asked next. tasks/finish.py begins and ends
it, and proof/promise.py says why the promise is kept."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import figures, kinds
from labelwise.tasks.errors import quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import Answer
from labelwise.tasks.labels import ledger, reliability, weak
from labelwise.tasks.proof import control, promise
from labelwise.tasks.records import BATCH
from labelwise.tasks.settings import Finish, Settings
from labelwise.tasks.workspace import Workspace, read_parquet

EXAM, REST = "exam", "finish"  # why an item is asked
WHYS = (EXAM, REST)
MOST = 1000  # items asked at once
TABLE, LIST = "finished.parquet", "finished.csv"  # of a finished pool
PERSON, GOLD, MODEL, NOBODY = "person", "gold", "model", "nobody"  # by whom a label is
LLM, RULE = "language model", "rule"
MACHINES = (MODEL, LLM, RULE)


@dataclass(frozen=True)
class Pool:
    """What is to be finished, whoever labels it. items: columns id, prediction, source (which of MACHINES says so),
    doubt, label (people's, None where there is none) and by; the items that were finished before are not among them."""

    items: pd.DataFrame

    @property
    def open(self) -> pd.DataFrame:
        """Those without a label of people, the surest first."""
        rest = self.items[self.items.label.isna()]
        return rest.sort_values(["doubt", "id"], kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Standing:
    """How far a finish is. items: the open ones of a `Pool` in their order, with `inside`, whether they belong to the
    exam, `said`, what people have said of them, and `loss`, what the exam found. end: how many of them the model may
    label. settled: whether the exam is over, so that `end` is final. ask: ids to ask next, and why."""

    items: pd.DataFrame
    end: int
    settled: bool
    ask: list[str]
    why: str


def budget_of(wrong: float, items: int) -> int:
    """How many of n labels may be wrong.

    >>> budget_of(0.02, 999), budget_of(0.29, 100)
    (19, 29)
    """
    return int(wrong * items + 1e-9)


def stand(
    pool: Pool,
    plan: Finish,
    seed: int,
    exam: dict[str, str],
    asked: Collection[str],
    said: dict[str, str],
    closed: Collection[str],
    expected: NDArray[np.floating],
    answer: Answer,
) -> Standing:
    """Where a finish stands.

    exam: what people answered when the exam asked it, by id; asked: ids that have been asked since the plan: an item of
    the exam that came to nothing, or was answered with the model's opinion in sight, counts as wrong. said: labels of
    people, by id; closed: ids not to be asked again. expected: (n,) the loss to expect of each open item in its order,
    which says how far the exam is asked.
    """
    items = pool.open
    places = pd.util.hash_array(
        items.id.to_numpy(dtype=object), hash_key=f"x{plan.round:05d}{seed:010d}", categorize=False
    )
    share = plan.share or 1.0
    inside = places < share * control.PLACES
    answered = items.id.isin(list(exam)).to_numpy()
    losses = np.full(len(items), np.nan)
    at = np.flatnonzero(inside & answered)
    truth = [exam[each] for each in items.id.iloc[at]]
    losses[at] = 1 - answer.score(items.prediction.iloc[at].tolist(), truth)
    losses[inside & ~answered & items.id.isin(list(asked)).to_numpy()] = 1.0
    most = allowed(plan, len(pool.items), answer)
    end = promise.trusted(losses, most)
    unknown = np.flatnonzero(inside[:end] & np.isnan(losses[:end]))
    items = items.assign(inside=inside, said=items.id.map(said).astype("string"), loss=losses)
    if len(unknown):
        lost = np.where(np.isnan(losses), share * expected, np.nan_to_num(losses))
        lost[:end][~inside[:end] & (np.arange(end) < unknown[0])] = 0.0  # what was passed is known
        likely = int(np.searchsorted(np.cumsum(lost), most + 1))
        next_ = unknown[unknown < max(likely, unknown[0] + 1)][:MOST]
        return Standing(items, end, False, items.id.iloc[next_].tolist(), EXAM)
    rest = items.said.isna() & ((np.arange(len(items)) >= end) | inside) & ~items.id.isin(list(closed))
    return Standing(items, end, True, items.id[rest].tolist()[:MOST], REST)


def allowed(plan: Finish, items: int, answer: Answer) -> float:
    """The sum of losses in the exam up to which the model may label; negative where it may not."""
    return promise.mistakes(budget_of(plan.wrong, items), plan.share or 1.0, risk_of(plan), exact(answer))


def word(settings: Settings) -> str:
    """What the tab of the open batch is called, before its number."""
    return "Round" if settings.select.finish is None else "Finish"


def exact(answer: Answer) -> bool:
    """Whether a label is right or wrong, and nothing between."""
    return answer.NAME == "choice"


def risk_of(plan: Finish) -> float:
    """The chance to break the promise that a plan may take."""
    return promise.risk_of(plan.confidence, plan.look)


def digest(scores: pd.DataFrame, settings: Settings) -> str:
    """Of what a model thinks of the pool, and of the classes that people choose from."""
    order = scores.sort_values("id")
    said = pd.util.hash_pandas_object(order[["id", "prediction", "confidence"]].astype("string"), index=False)
    classes = json.dumps([settings.classes, settings.renamed, settings.dropped, settings.split])
    return hashlib.sha256(said.to_numpy().tobytes() + classes.encode()).hexdigest()[:16]


# In a workspace


def gather(workspace: Workspace, plan: Finish) -> Pool:
    """What a plan is about: of the items that were not finished before, what the model thinks, or a rule or a language
    model where that is likelier right, and what people had said before the plan."""
    scores = read_parquet(workspace.scores, columns=["id", "prediction", "confidence"])
    before = ids_of(workspace, plan.after)
    scores = scores[~scores.id.isin(before)]
    labels = ledger.effective(ledger.today(workspace).iloc[: ledger.count(workspace.labels, plan.round)])
    gold = trusted.gold(workspace)
    own, theirs = scores.id.map(labels.set_index("id").label), scores.id.map(gold.set_index("id").label)
    by = pd.Series(pd.NA, scores.index, dtype="string").mask(theirs.notna(), GOLD).mask(own.notna(), PERSON)
    found = {"label": own.astype("string").fillna(theirs.astype("string")), "by": by, "doubt": 1 - scores.confidence}
    items = scores[["id", "prediction"]].assign(**found).reset_index(drop=True)
    return Pool(overruled(items, weakly(workspace, plan, labels)))


def weakly(workspace: Workspace, plan: Finish, labels: pd.DataFrame) -> pd.DataFrame:
    """What the weak labels of a plan come to, of items without a label (columns id, label, trust, source), as far as
    people's labels of before it bear them out."""
    rows = weak.read(workspace, plan.weak)
    found = reliability.combined(rows, labels[["id", "label"]], workspace.settings)[["id", "label", "trust"]]
    asked = found.id.isin(rows.id[rows.source.str.startswith(weak.LLM)])
    return found.assign(source=np.where(asked, LLM, RULE))


def overruled(items: pd.DataFrame, weakly: pd.DataFrame) -> pd.DataFrame:
    """The items (id, prediction, doubt) with `source`: where a weak label (id, label, trust, source) is likelier right
    than what the model says, that is the prediction."""
    own = weakly.set_index("id").reindex(items.id).reset_index(drop=True)
    better = (own.trust > 1 - items.doubt).fillna(False)
    return items.assign(
        prediction=items.prediction.mask(better, own.label),
        doubt=items.doubt.mask(better, 1 - own.trust),
        source=pd.Series(MODEL, items.index, dtype="string").mask(better, own.source),
    )


def ids_of(workspace: Workspace, shards: int) -> list[str]:
    """The items of the first shards of the pool."""
    paths = stored.shards(workspace)[:shards]
    return [each for path in paths for each in read_parquet(path, columns=["id"]).id]


def expected(workspace: Workspace, doubt: NDArray[np.floating]) -> NDArray[np.float64]:
    """The loss to expect of items of which the model has this doubt, as far as gold tells."""
    told = figures.predictions(workspace)
    if told.empty:
        return promise.expected(doubt)
    answer = kinds.answer(workspace.settings.kind.answer)
    losses = 1 - answer.score(told.predicted.tolist(), told.actual.tolist())
    weights = told.weight.astype(float).to_numpy() if "weight" in told else None
    return promise.expected(doubt, 1 - told.confidence.astype(float).to_numpy(), losses, weights)


def standing(workspace: Workspace, plan: Finish) -> Standing:
    """Where the finish of a workspace stands."""
    pool = gather(workspace, plan)
    answer = kinds.answer(workspace.settings.kind.answer)
    rows = ledger.today(workspace)
    since = rows[(rows["round"] > plan.round) & rows.why.isin(WHYS)]
    counting = map(ledger.effective, (since[since.why == EXAM], rows))
    exam, said = (dict(zip(each.id, each.label, strict=True)) for each in counting)
    closed = ledger.closed(rows).difference(ledger.to_relabel(rows))
    losses = expected(workspace, pool.open.doubt.to_numpy())
    seed = workspace.settings.seed
    return stand(pool, plan, seed, exam, set(since.id), said, set(closed), losses, answer)


def batch(workspace: Workspace, plan: Finish) -> tuple[pd.DataFrame, str]:
    """What people are asked next (BATCH) while a pool is being finished, and a line for people. It is empty when all is
    asked."""
    found = standing(workspace, plan)
    asked = found.items.set_index("id").loc[found.ask].reset_index()
    chance = plan.share if found.why == EXAM else np.nan
    table = pd.DataFrame(
        {
            "id": asked.id,
            "rank": np.arange(1, len(asked) + 1),
            "score": asked.doubt,
            "why": found.why,
            "propensity": chance,
            "prediction": asked.prediction,
            "confidence": 1 - asked.doubt,
        }
    )
    model = int((~found.items.inside[: found.end]).sum())
    if found.why == EXAM:
        line = f"{quantity(len(asked), 'item')} of the exam"
    elif asked.empty:
        line = f"the pool is labelled: {quantity(model, 'item')} by the model"
    else:
        line = f"{len(asked):,} of the items that the model must not label; it labels {model:,}"
    return BATCH.conform(table), line


def planned(workspace: Workspace, pool: Pool, plan: Finish, slips: NDArray[np.floating]) -> promise.Plan:
    """What a finish is expected to take. slips: see `promise.plan`."""
    answer = kinds.answer(workspace.settings.kind.answer)
    losses = expected(workspace, pool.open.doubt.to_numpy())
    return promise.plan(losses, budget_of(plan.wrong, len(pool.items)), risk_of(plan), exact(answer), slips)
