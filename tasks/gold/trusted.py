"""Trusted labels: what several people agree on. The gold set is the user's own rows and what such labels add or change.

Two files an ask beside the user's own gold.parquet, both only ever added to: `asked-NNNN.parquet`, the items put before
people, and `answers-NNNN.parquet`, what a look at their answers brought. All else is derived from these rows.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from labelwise.tasks import figures, kinds
from labelwise.tasks.gold import active_testing
from labelwise.tasks.gold.intervals import items_by_class, lacking
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.labels import ledger, renamed
from labelwise.tasks.records import ANSWERS, ASKED, BESIDE, Schema
from labelwise.tasks.workspace import Workspace, read_parquet, write_parquet

AGREE = 2  # people who must agree
MOST = 5  # people who are asked
STATES = ("set aside", "disputed", "open")  # of a part of a label, each makes the whole such, the first first
OWNER = "the gold set"  # whose vote the user's own label is
GROWN, REVIEW = "grown", "review"
WITHDRAWN = "withdrawn"
LAPSED = "lapsed"  # the state of an item that was decided for a class that no longer exists
AWAY = ("set aside", LAPSED)  # states of items that are in no gold set, and that nobody waits for
ANSWER = ["id", "annotation_id"]  # by which an answer is known again


@dataclass(frozen=True)
class Agreement:
    """label: the last one that was decided, None before, and once set aside. state: `open` (too few answers),
    `disputed`, `decided`, `set aside` or, with other classes since, `lapsed`. people: who have answered."""

    label: str | None
    state: str
    people: int

    @property
    def wanted(self) -> int:
        """How many people must have answered before it can be decided."""
        return max(AGREE, self.people + 1) if self.state in ("open", "disputed") else self.people


def agreement(votes: Iterable[tuple[str, str | None]], own: str | None = None) -> Agreement:
    """What the votes (person, label; None for a skip), in order of time, come to. own: the user's label, which is a
    vote like any other.

    Decided: two people at least and more than half of those who gave a label say the same, and the last one does not
    contradict it. So a contradiction of what was decided opens it again. After five people the majority alone counts;
    without one the item is set aside. Of a person's answers the last counts.

    >>> agreement([("a", "x"), ("b", "y")]).state, agreement([("a", "x"), ("b", "y"), ("c", "y")]).label
    ('disputed', 'y')
    """
    said: dict[str, str | None] = {} if own is None else {OWNER: own}
    found = Agreement(own, "open", len(said))
    for person, label in votes:
        said.pop(person, None)
        said[person] = label
        given = Counter(one for one in said.values() if one is not None)
        best, count = given.most_common(1)[0] if given else (None, 0)
        agreed = count >= AGREE and 2 * count > given.total()
        if agreed and (label in (best, None) or len(said) >= MOST):
            found = Agreement(best, "decided", len(said))
        elif len(said) >= MOST:
            found = Agreement(None, "set aside", len(said))
        else:
            state = "disputed" if len(given) > 1 else "open"
            found = Agreement(found.label, state, len(said))
    return found


def agreement_of(votes: Sequence[tuple[str, str | None]], own: str | None = None, answer: Answer = choice) -> Agreement:
    """What votes come to, of any kind of label: people agree on each of its questions by itself. So of a set of classes
    each class needs its own majority, and who differs on one does not put the others in doubt. The item is decided when
    each question is, and set aside when one of them is.

    >>> from labelwise.tasks.kinds import multilabel
    >>> agreement_of([("a", '["x"]'), ("b", '["x", "y"]'), ("c", '["x", "z"]')], answer=multilabel).state
    'disputed'
    >>> agreement_of([("a", '["x"]'), ("b", '["x", "y"]'), ("c", '["x"]')], answer=multilabel).label
    '["x"]'
    """
    given = [label for _, label in votes if label is not None] + ([own] if own is not None else [])
    found = {
        question: agreement(
            [(person, None if label is None else answer.reply(label, question)) for person, label in votes],
            None if own is None else answer.reply(own, question),
        )
        for question in answer.questions(given)
    }
    parts = list(found.values())
    if len(parts) == 1 and "" in found:
        return parts[0]
    state = next((each for each in STATES if any(part.state == each for part in parts)), "decided")
    replies = {question: part.label for question, part in found.items()}
    known = {question: label for question, label in replies.items() if label is not None}
    label = answer.joined(known) if len(known) == len(replies) and state != "set aside" else None
    return Agreement(label, state, parts[0].people)


def not_withdrawn(answers: pd.DataFrame) -> pd.DataFrame:
    """The rows (ANSWERS) of the answers that nobody has withdrawn. Label Studio may give a number once more."""
    withdrawn = (answers.status == WITHDRAWN).astype(int)[::-1]
    return answers[withdrawn.groupby([answers[column] for column in ANSWER]).cumsum().sort_index() == 0]


def votes(answers: pd.DataFrame) -> dict[str, list[tuple[str, str | None]]]:
    """What `agreement` is made of, by item. Rows of earlier versions have their times as Label Studio wrote them, which
    do not sort as text."""
    said = not_withdrawn(answers.reset_index(drop=True))
    said = said.assign(created_at=pd.to_datetime(said.created_at, utc=True, format="ISO8601"))
    ordered = said.sort_values(["created_at", "annotation_id"], kind="stable")
    labels = ordered.label.astype(object).where(ordered.label.notna(), None)
    # Who has no account any more cannot be told from another such person: each of their answers is a vote of its own.
    nobody = ordered.annotator.isin([ledger.NOBODY, str(None)])
    people = ordered.annotator.mask(nobody, ledger.NOBODY + ordered.annotation_id.astype(str))
    found: dict[str, list[tuple[str, str | None]]] = {}
    for item, person, label in zip(ordered.id, people, labels, strict=True):
        found.setdefault(item, []).append((person, label))
    return found


def verdicts(
    asked: pd.DataFrame, answers: pd.DataFrame, answer: Answer = choice, lapsed: Collection[str] = ()
) -> pd.DataFrame:
    """The rows of `asked` (ASKED) with what became of them: columns `agreement` (a label or null), `state`, `wanted`,
    `people`. lapsed: classes that no longer exist; the state of what was decided for one of them is `lapsed`, until
    people say otherwise."""
    by_item = votes(answers)
    own = asked.label.astype(object).where(asked.label.notna(), None)
    found = [agreement_of(by_item.get(item, []), label, answer) for item, label in zip(asked.id, own, strict=True)]
    found = [_without(lapsed, one, answer) for one in found]
    return asked.assign(
        verdict=pd.array([one.label for one in found], dtype="string"),
        state=pd.array([one.state for one in found], dtype="string"),
        wanted=[one.wanted for one in found],
        people=[one.people for one in found],
    )


def _without(lapsed: Collection[str], found: Agreement, answer: Answer) -> Agreement:
    """The verdict, which gives no item a class that no longer exists."""
    if not lapsed or found.label is None or not set(answer.members(found.label)) & set(lapsed):
        return found
    return replace(found, label=None, state=LAPSED if found.state == "decided" else found.state)


def merged(own: pd.DataFrame, seen: pd.DataFrame, lapsed: Iterable[str] = ()) -> pd.DataFrame:
    """The gold set: columns of `own` (the user's rows) and `weight`, what each row counts, 1 on average.

    seen: what `verdicts` gave. The user's rows have the label that was decided, and are left out when set aside, or as
    long as their label says nothing any more (is one of `lapsed`). Drawn
    items come in ask by ask, each when all of it and of those before is decided or set aside: to take first what people
    agree on soonest would leave out what is hard.
    """
    reviewed = seen[seen.why == REVIEW].drop_duplicates("id", keep="last").set_index("id")
    kept = own[~own.id.isin(reviewed.index[reviewed.state.isin(AWAY)])]
    label = kept.id.map(reviewed.verdict).astype("string")
    kept = kept.assign(label=label.fillna(kept.label.astype("string"))) if len(reviewed) else kept
    kept = kept[~kept.label.isin(list(lapsed))]
    drawn = complete(seen)
    if drawn.empty:
        return kept.assign(weight=1.0).reset_index(drop=True)
    given = active_testing.weights(drawn.propensity.to_numpy(), drawn.among.to_numpy(dtype=np.int64))
    has_label = drawn.verdict.notna().to_numpy()
    added = drawn.assign(label=drawn.verdict, weight=active_testing.decided(given, has_label))[has_label]
    columns = [*own.columns, *(name for name in BESIDE if name in added and name not in own), "weight"]
    return pd.concat([kept.assign(weight=1.0), added.reindex(columns=columns)], ignore_index=True)


def complete(seen: pd.DataFrame) -> pd.DataFrame:
    """The drawn items that count, in the order of their turns: of the asks up to the first that still has an item
    nobody has decided."""
    drawn = seen[seen.why == GROWN].sort_values("turn")
    waiting = drawn.ask[drawn.verdict.isna() & ~drawn.state.isin(AWAY)]
    return drawn[drawn.ask < waiting.min()] if len(waiting) else drawn


# In a workspace


def gold(workspace: Workspace) -> pd.DataFrame:
    """The gold set (GOLD) with `weight`, the user's own rows first. Labels are under the names of today, here and in
    whatever is asked or decided."""
    own = today(workspace, read_parquet(workspace.gold))
    return merged(own, seen(workspace), own.label[renamed.lapsed(own.label, workspace.settings)].unique())


def too_few(workspace: Workspace) -> str:
    """What is to be said where gold has too few items of a class to measure the last model by (`evaluate.measure`), in
    words; '' for nothing."""
    if not workspace.gold.exists():
        return ""
    settings, found = workspace.settings, figures.headline(workspace)
    answer, labels = kinds.answer(settings.kind.answer), gold(workspace).label.tolist()
    items = items_by_class(labels, answer, settings.classes)
    return lacking(settings.measure, items, found.get("score_low", 0.0), found.get("score_high", 1.0))


def lapsed(workspace: Workspace) -> pd.Index:
    """The ids of the user's rows and drawn items that measure nothing as long as nobody gives them a class of today:
    theirs is one that no longer exists."""
    found = seen(workspace)
    own = today(workspace, read_parquet(workspace.gold)) if workspace.gold.exists() else found[:0]
    elsewhere = [*found.id[found.verdict.notna() | (found.state == "set aside")]]
    left = own.id[renamed.lapsed(own.label, workspace.settings) & ~own.id.isin(elsewhere)]
    return pd.Index(left).union(pd.Index(found.id[found.state == LAPSED])).unique()


def drawn(workspace: Workspace) -> pd.DataFrame:
    """The items of the pool that were drawn for gold (ASKED), answered or not."""
    rows = asked(workspace)
    return rows[rows.why == GROWN]


def seen(workspace: Workspace, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """All that was asked, or some of it, with what became of it (see `verdicts`)."""
    settings, put_up = workspace.settings, asked(workspace) if rows is None else rows
    return verdicts(put_up, today(workspace, answers(workspace)), kinds.answer(settings.kind.answer), settings.lapsed)


def asked(workspace: Workspace) -> pd.DataFrame:
    """All that was put before people (ASKED)."""
    return today(workspace, _shards(workspace, ASKED.holding(kinds.item(workspace.settings.kind.item).COLUMN)))


def asks(rows: pd.DataFrame) -> list[int]:
    """The numbers of the asks in `rows` (ASKED), in order."""
    return [int(number) for number in sorted(rows.ask.unique())]


def answers(workspace: Workspace) -> pd.DataFrame:
    """All that people said (ANSWERS), as they said it."""
    return _shards(workspace, ANSWERS)


def today(workspace: Workspace, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with their labels under the names that the classes have today."""
    return rows.assign(label=renamed.today(rows.label, workspace.settings))


def append(workspace: Workspace, table: Schema, rows: pd.DataFrame) -> None:
    """Add a shard of ASKED or ANSWERS. Earlier ones are never touched."""
    number = len(list(workspace.trusted.glob(f"{table.name}-*.parquet"))) + 1
    write_parquet(_shard(workspace, table, number), rows, table)


def _shards(workspace: Workspace, table: Schema) -> pd.DataFrame:
    files = sorted(workspace.trusted.glob(f"{table.name}-*.parquet"))
    return pd.concat([table.frame(), *map(read_parquet, files)], ignore_index=True) if files else table.frame()


def _shard(workspace: Workspace, table: Schema, number: int) -> Path:
    return workspace.trusted / f"{table.name}-{number:04d}.parquet"
