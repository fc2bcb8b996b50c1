"""Which items of the reserve are drawn for gold, and what is to be expected of them."""

import difflib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds, learners
from labelwise.tasks.errors import InputError, WorkspaceError, named, quantity
from labelwise.tasks.gold import active_testing, influence, trusted
from labelwise.tasks.gold.intervals import REACH, enough, items_by_class
from labelwise.tasks.labels import renamed
from labelwise.tasks.proof import control
from labelwise.tasks.records import probabilities
from labelwise.tasks.settings import BY_CLASS, OF_CLASS, MeasureName, Settings, measure_named
from labelwise.tasks.workspace import Workspace, read_parquet

MOST = 0.5  # of the pool, that anybody is told to keep for gold


@dataclass(frozen=True)
class Opinion:
    """What the model thinks, and what for it is asked. scores: of the pool (SCORES). aim: the measure that what is
    drawn is to tell most of. chances: of each item of `scores`, a column a class of today; None where the model has no
    say in such a measure, since there is no model, or it does not know the class."""

    scores: pd.DataFrame
    aim: MeasureName
    chances: pd.DataFrame | None = None


def opinion(workspace: Workspace, of: str | None) -> Opinion:
    """What a draw goes by in a workspace. of: the class that it is to tell most of; None: `evaluate.measure`.
    InputError for another class, or one that the model does not know yet."""
    settings = workspace.settings
    aim = aim_of(settings, of)
    if not workspace.scores.exists():
        raise WorkspaceError(
            f"{workspace.root} has no scores to draw by", fix="`labelwise run --max-wait 0` makes the first ones"
        )
    scores = read_parquet(workspace.scores)
    scores = scores.assign(prediction=renamed.today(scores.prediction, settings))
    if aim.form not in BY_CLASS or scores.prediction.isna().any():
        return Opinion(scores, aim)
    p = kinds.answer(settings.kind.answer).chances(probabilities(scores))
    chances = renamed.chances(p, learners.load(workspace.model).classes, settings)
    if not aim.of or aim.of in chances:
        return Opinion(scores, aim, chances.set_axis(scores.id))
    if of is None:
        return Opinion(scores, aim)
    raise InputError(
        f"gold grow --for {of!r}: the model of now does not know this class",
        fix="`labelwise run --max-wait 0` makes one that does",
    )


def aim_of(settings: Settings, of: str | None) -> MeasureName:
    """`evaluate.measure` for None, or where it is about the class `of`; else the F1 of that. InputError for another
    name."""
    if of is None or of == settings.measure.of != "":
        return settings.measure
    if of in settings.classes:
        return measure_named(f"{OF_CLASS}:{of}", settings.kind.answer, settings.classes)
    near = difflib.get_close_matches(of, settings.classes, n=1)
    raise InputError(
        "gold grow --for",
        expected="one of the classes: " + named(settings.classes),
        got=repr(of),
        fix=f"did you mean {near[0]!r}?" if near else "",
    )


def draw(by: Opinion, drawn: pd.DataFrame, n: int, settings: Settings) -> pd.DataFrame:
    """The next n items to put before people, drawn from the reserve: columns id, turn, propensity, among, doubt.

    drawn: what was drawn before (ASKED). The chance of an item follows what the model thinks, which labels held out
    have calibrated: for a mean score its doubt, for measures by classes see gold/influence.py; without a model all are
    alike. InputError: n is none, or too many.
    """
    if not settings.gold.reserve:
        raise InputError(
            "gold: no item is kept for it",
            expected="gold.reserve above 0",
            got="0",
            fix="set gold.reserve in params.yaml, 0.1 say, and let the loop run once",
        )
    kept = by.scores[reserve(by, settings)]
    if not drawn.id.isin(kept.id).all():
        raise InputError(
            "gold: items drawn earlier are no longer in the reserve, so that what is drawn now could not be weighed",
            fix="put `seed` back in params.yaml, and gold.reserve to what it was or more",
        )
    left = kept[~kept.id.isin(drawn.id)].reset_index(drop=True)
    if not 1 <= n <= len(left):
        raise InputError(
            "gold grow",
            expected=f"1 to {quantity(len(left), 'item')} (of {len(kept):,} in the reserve, {len(drawn):,} are drawn)",
            got=f"{n:,}",
            fix="ask for fewer, raise gold.reserve in params.yaml, or add to the pool",
        )
    doubt = np.where(left.prediction.isna(), np.nan, 1 - left.confidence.to_numpy(dtype=np.float64))
    squares = doubt
    if by.chances is not None:
        answer, p = kinds.answer(settings.kind.answer), by.chances.loc[left.id].to_numpy()
        squares = influence.squares(by.aim, answer, by.chances.columns.tolist(), p, left.prediction.tolist())
    found = active_testing.draw(squares, n, np.random.default_rng([settings.seed, 4, len(drawn)]))
    turns = int(drawn.turn.max() if len(drawn) else 0) + 1 + np.arange(n)  # some drawn may be forgotten since
    columns = {"turn": turns, "propensity": found.propensity, "among": found.among, "doubt": doubt[found.rows]}
    return pd.DataFrame({"id": left.id.iloc[found.rows].to_numpy(), **columns})


def reserve(by: Opinion, settings: Settings) -> NDArray[np.bool_]:
    """(n,) which items of the pool are kept for gold."""
    return control.reserved(control.order(pd.Index(by.scores.id), settings.seed), settings.gold.reserve)


def expected(workspace: Workspace, by: Opinion) -> list[str]:
    """How many of the class that is hardest to measure the last ask and the rest of the reserve hold by what the model
    thinks; and what would do where gold and reserve hold too few. In words; nothing where no class is rare."""
    if by.aim.form in BY_CLASS and by.scores.prediction.isna().any():
        return ["there is no model yet that says where a class may be: they are drawn by chance alone"]
    if by.chances is None:
        return []
    settings, asked, gold = workspace.settings, trusted.asked(workspace), trusted.gold(workspace)
    items = items_by_class(gold.label.tolist(), kinds.answer(settings.kind.answer), settings.classes)
    of = by.aim.of or min(by.chances.columns.tolist(), key=lambda each: items.get(each, 0))
    p = by.chances[of]
    grown = asked[asked.why == trusted.GROWN]
    inside = reserve(by, settings)
    last, coming = grown.id[grown.ask == grown.ask.max()], grown.id[~grown.id.isin(gold.id)]
    left = p[inside & ~p.index.isin(grown.id)].sum()
    said = (
        f"by what the model thinks {p.reindex(last).sum():,.0f} of these are {named([of])}, and {left:,.0f} more in "
        "the rest of the reserve"
    )
    wanted, there = enough(by.aim, len(settings.classes)), items.get(of, 0) + p.reindex(coming).sum() + left
    if there >= wanted:
        return [said]
    share = settings.gold.reserve * (1 + (wanted - there) / max(p[inside].sum(), 1.0))
    fix = "add to the pool, or bring gold rows of your own"
    if share <= MOST:
        fix = f"set gold.reserve in params.yaml to {share:.2g} (it is {settings.gold.reserve:g}), or add to the pool"
    return [
        said,
        f"gold and reserve hold {there:,.0f} together, fewer than the {wanted:,} that +-{REACH:g} takes: {fix}",
    ]
