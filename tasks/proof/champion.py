"""The champion on today's gold: what the model in production says of every item that there is now, and so what stands
behind it.

What a model says of an item does not change. So only items that came to gold since are put before it, by the model that
MLflow gives out, text in and class out, as in production; its answers are kept with its run.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from labelwise.tasks import figures, kinds
from labelwise.tasks.errors import LabelwiseError, ServiceDown, ServiceError, quantity
from labelwise.tasks.gold import trusted
from labelwise.tasks.gold.intervals import estimated
from labelwise.tasks.kinds import Measure, measures
from labelwise.tasks.labels import renamed
from labelwise.tasks.services.mlflow import Champion, Tracking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, reading, write_csv

ANSWERS = "gold_answers.csv"  # kept with the champion's run: what it says of gold items, those of later rounds too
PREDICTIONS = "predictions.csv"  # of a run: the gold items by which its model was judged when it was registered


@dataclass(frozen=True)
class Judged:
    """A champion's answers, under the names that the classes have today. table: columns id, predicted, and weight where
    it is known; None where nothing is known of it. crowned_on: the items by which it became champion. lacks: the
    classes of today that it has not. outdated: the names that it says and that are no longer a class. problem: why it
    could not be asked about later items, in words; '' where it could."""

    table: pd.DataFrame | None
    crowned_on: frozenset[str]
    lacks: Sequence[str] = ()
    outdated: Sequence[str] = ()
    problem: str = ""


@dataclass(frozen=True)
class GoldScore:
    """The figure of a measure, such as the accuracy, with the ends of its 95 % interval, and on
    how many gold items."""

    score: float
    low: float
    high: float
    items: int

    @classmethod
    def of(cls, answers: pd.DataFrame, measure: Measure = measures.OF_CHOICE) -> "GoldScore | None":
        """From columns actual, predicted, weight (text or numbers); None where they cannot tell it."""
        if answers.empty:
            return None
        weights = answers.weight.to_numpy(dtype=float)
        found = estimated(measure, answers.predicted.tolist(), answers.actual.tolist(), weights)
        return (
            None
            if found is None
            else cls(round(found.value, 6), round(found.low, 6), round(found.high, 6), len(answers))
        )

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "GoldScore":
        """From champion.json, in which the figure of every measure is called accuracy."""
        return cls(content["accuracy"], content["low"], content["high"], content["items"])

    def as_json(self) -> dict[str, Any]:
        """For champion.json."""
        return {"accuracy": self.score, "low": self.low, "high": self.high, "items": self.items}

    def __str__(self) -> str:
        return f"{self.score:.3f} ({self.low:.3f} to {self.high:.3f}) on {self.items:,} gold items"


@dataclass(frozen=True)
class Standing:
    """What stands behind the champion. version: in MLflow. learned: the round that it comes from, None where that is
    not known. measured: the round whose gold it was measured on. gold: on all of that gold. fresh: on the items that
    did not make it champion, where there are any: being picked by its own figures flatters a model on the others.
    measure: its name."""

    version: str
    learned: int | None
    measured: int
    gold: GoldScore | None
    fresh: GoldScore | None = None
    problem: str = ""
    measure: str = measures.OF_CHOICE.words

    def __str__(self) -> str:
        """In words, for people."""
        said = f"{self.measure} {self.gold}, round {self.measured}" if self.gold else "measured on no gold item"
        said += f"; {self.fresh} that did not make it champion" if self.fresh else ""
        return said + (f"; {self.problem}" if self.problem else "")


def standing(workspace: Workspace, version: str | None = None) -> Standing | None:
    """What the last round said of its champion (metrics/champion.json); None before there was one, and where `version`
    is another one, such as after a rollback."""
    content = figures.champion(workspace)
    if not content:
        return None
    with reading(figures.file(workspace, figures.CHAMPION)):
        gold, fresh = (content[name] and GoldScore.from_json(content[name]) for name in ("gold", "fresh"))
        found = Standing(**content | {"gold": gold, "fresh": fresh})
    return found if version in (None, found.version) else None


def keep_standing(workspace: Workspace, found: Standing) -> None:
    """Write metrics/champion.json. Accuracy is not named, as in files from before there was another measure."""
    measured = {name: part and part.as_json() for name, part in (("gold", found.gold), ("fresh", found.fresh))}
    content = asdict(found) | measured
    if found.measure == measures.OF_CHOICE.words:
        del content["measure"]
    figures.keep_champion(workspace, content)


def stands(
    version: str,
    learned: int | None,
    number: int,
    gold: pd.DataFrame,
    judged: Judged,
    measure: Measure = measures.OF_CHOICE,
) -> Standing:
    """What stands behind a champion in round `number`. gold: its items today (columns id, actual, weight)."""
    if judged.table is None:
        return Standing(version, learned, number, None, problem=judged.problem, measure=measure.words)
    answered = gold[["id", "actual", "weight"]].merge(judged.table[["id", "predicted"]], on="id")
    later = answered[~answered.id.isin(judged.crowned_on)]
    fresh = GoldScore.of(later, measure) if judged.crowned_on else None
    whole = GoldScore.of(answered, measure)
    return Standing(version, learned, number, whole, fresh, judged.problem, measure.words)


def judge(
    workspace: Workspace, versions: Versions, tracking: Tracking, champion: Champion, gold: pd.DataFrame
) -> Judged:
    """What the champion says of today's gold items (column id). ServiceDown when MLflow does not answer; a model that
    cannot be loaded is a `problem`."""
    own, known = (_table(tracking, champion.run_id, name) for name in (PREDICTIONS, ANSWERS))
    crowned_on = frozenset(own.id) if own is not None else frozenset()
    tables = [table for table in (own, known) if table is not None]
    table = pd.concat(tables, ignore_index=True).drop_duplicates("id") if tables else None
    new = gold.id if table is None else gold.id[~gold.id.isin(table.id)]
    classes = classes_of(versions, tracking.tags(champion.version).get("labelwise.tag", ""))
    today, renames, problem = workspace.settings.classes, workspace.settings.renamed, ""
    if len(new) or classes is None:
        try:
            with TemporaryDirectory() as scratch:
                from labelwise.tasks.learners import serving  # torch with it

                model = serving.load(tracking.files(champion.version, Path(scratch)))
                classes = model.model.classes
                if len(new):
                    said = pd.DataFrame({"id": new.to_numpy(), "predicted": model.judged(_texts(workspace, new)).label})
                    table = said if table is None else pd.concat([table, said], ignore_index=True)
                    answers = Path(scratch) / ANSWERS
                    write_csv(answers, table[["id", "predicted"]])
                    tracking.attach(champion.run_id, [answers])
        except ServiceDown:
            raise
        except (LabelwiseError, ValueError, RuntimeError, KeyError, OSError) as error:  # whatever stands there now
            unseen = quantity(len(new), "gold item")
            problem = f"its model cannot be asked about the {unseen} it has not seen ({_brief(error)})"
    knows = {renames.get(name, name) for name in classes or today}
    lacks = [name for name in today if name not in knows]
    outdated = [name for name in classes or () if name in renames or name in workspace.settings.lapsed]
    if table is not None:
        table = table.assign(predicted=renamed.today(table.predicted, workspace.settings))
    return Judged(table, crowned_on, lacks, outdated, problem if len(new) else "")


def classes_of(versions: Versions, tag: str) -> list[str] | None:
    """The classes that the model of a past round has, None where that version is not here."""
    if not tag or not versions.tagged(tag):
        return None
    named = YAML(typ="safe").load(versions.git("show", f"{tag}:params.yaml"))["classes"]  # a list, or with descriptions
    return [str(name) for name in named]


def _texts(workspace: Workspace, ids: pd.Series) -> list[str]:
    gold = trusted.gold(workspace).set_index("id")[kinds.item(workspace.settings.kind.item).COLUMN]
    return [str(gold[item]) for item in ids]


def _table(tracking: Tracking, run_id: str, name: str) -> pd.DataFrame | None:
    """A table of a run; None where it, or the run, is gone."""
    try:
        return tracking.table(run_id, name)
    except ServiceDown:
        raise
    except ServiceError:
        return None


def _brief(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]
