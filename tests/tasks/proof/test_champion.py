"""The champion on today's gold: its model is asked about what came since, and what cannot be asked is said."""

import json
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks.learners import serving, untrained
from labelwise.tasks.learners.encoder import PACKAGED, Encoder
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.learners.serving import ENCODER_FILE
from labelwise.tasks.promote import decide, looks
from labelwise.tasks.proof import champion
from labelwise.tasks.proof.champion import GoldScore, Judged
from labelwise.tasks.services.mlflow import RoundRun, Tracking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Promote, parse
from labelwise.tasks.workspace import Workspace, table_of_text, write_csv, write_parquet

CLASSES = ["sport", "money"]
GOLD = {"g1": "the team won the match", "g2": "shares and interest rates", "g3": "goal in the final minute"}


class NoHistory:
    """A clone that has no past round."""

    def tagged(self, _name: str) -> bool:
        return False


VERSIONS = cast(Versions, NoHistory())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as it is registered, that tells sport from money."""
    folder = tmp_path_factory.mktemp("model") / "classifier"
    folder.mkdir()
    centres = Encoder(PACKAGED, 32).encode(["sport, a team that scores a goal", "money, interest and shares"])
    Head(CLASSES, np.arange(2), 20 * centres, np.zeros(2, dtype=np.float32)).save(folder)
    (folder / ENCODER_FILE).write_text(json.dumps({"encoder": PACKAGED, "max_tokens": 32}))
    return folder


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)  # where MLflow keeps files that no server keeps
    return Tracking("news-1")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "here")
    given = {"project": {"name": "n", "id": "i"}, "classes": [*CLASSES, "law"], "pull": {"pool": "p", "gold": "g"}}
    made.__dict__["settings"] = parse(given)
    rows = {"id": list(GOLD), "text": list(GOLD.values()), "label": ["sport", "money", "sport"], "source_id": None}
    write_parquet(made.gold, pd.DataFrame(rows))
    return made


def crowned(tracking: Tracking, model: Path, scratch: Path) -> champion.Champion:
    """The champion, made so by one gold item."""
    tags = {"labelwise.round": "1", "labelwise.inputs": "a", "labelwise.workspace": "1"}
    run_id, version = tracking.record(RoundRun(1, {}, {}, tags, {}), model)
    own = pd.DataFrame({"id": ["g1"], "actual": "sport", "predicted": "sport", "weight": 1.0})
    write_csv(scratch / champion.PREDICTIONS, own)
    tracking.attach(run_id, [scratch / champion.PREDICTIONS])
    tracking.crown(version)
    found = tracking.champion()
    assert found is not None
    return found


def today(*ids: str) -> pd.DataFrame:
    actual = {"g1": "sport", "g2": "money", "g3": "sport"}
    return pd.DataFrame({"id": ids, "actual": [actual[item] for item in ids], "weight": 1.0})


def test_the_champion_answers_what_came_to_gold_since_and_is_asked_once(
    tracking: Tracking, workspace: Workspace, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = crowned(tracking, model, tmp_path)
    gold = today("g1", "g2", "g3")
    judged = champion.judge(workspace, VERSIONS, tracking, present, gold)
    assert judged.table is not None
    assert dict(zip(judged.table.id, judged.table.predicted, strict=True)) == dict(
        zip(gold.id, gold.actual, strict=True)
    )
    assert (list(judged.lacks), judged.problem) == (["law"], "")

    stands = champion.stands(present.version, 1, 4, gold, judged)
    assert (stands.gold and stands.gold.items, stands.fresh and stands.fresh.items) == (3, 2)
    champion.keep_standing(workspace, stands)
    assert champion.standing(workspace) == stands
    assert champion.standing(workspace, "99") is None  # after a rollback
    assert str(stands).startswith(
        "accuracy 1.000 (0.439 to 1.000) on 3 gold items, round 4; 1.000 (0.342 to 1.000) on 2"
    )

    # its answers are kept with its run: nothing is loaded again for them
    asked: list[object] = []
    monkeypatch.setattr(champion, "classes_of", lambda *_: CLASSES)
    monkeypatch.setattr(serving, "load", asked.append)
    again = champion.judge(workspace, VERSIONS, tracking, present, gold)
    assert again.table is not None and len(again.table) == 3 and not asked


def test_a_class_that_was_renamed_is_the_same_in_what_the_champion_says(
    tracking: Tracking, workspace: Workspace, model: Path, tmp_path: Path
) -> None:
    given = {"project": {"name": "n", "id": "i"}, "classes": ["sports", "money"], "pull": {"pool": "p", "gold": "g"}}
    workspace.__dict__["settings"] = parse(given | {"renamed": {"sport": "sports"}})
    present = crowned(tracking, model, tmp_path)
    gold = today("g1", "g2", "g3").replace({"actual": {"sport": "sports"}})
    judged = champion.judge(workspace, VERSIONS, tracking, present, gold)
    assert judged.table is not None and judged.table.predicted.tolist() == gold.actual.tolist()
    assert (list(judged.lacks), list(judged.outdated)) == ([], ["sport"])
    kept = tracking.table(present.run_id, champion.ANSWERS)
    assert kept is not None and kept.predicted.tolist() == ["sport", "money", "sport"]  # as it was said

    level = gold.assign(predicted=gold.actual)
    assert not decide(level, judged.table, Promote()).promoted
    found = decide(level, judged.table, Promote(), outdated=judged.outdated)
    assert found.promoted and found.reason.startswith("the champion still says sport, and this is not worse: +0.0000")


def test_a_champion_that_cannot_be_loaded_counts_by_what_is_known_of_it(
    tracking: Tracking, workspace: Workspace, tmp_path: Path
) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    untrained.Untrained(CLASSES).save(strange)
    (strange / "run.pkl").write_bytes(b"never read")
    (strange / ENCODER_FILE).write_text(json.dumps({"encoder": PACKAGED, "max_tokens": 32}))
    present = crowned(tracking, strange, tmp_path)
    gold = today("g1", "g2", "g3")
    judged = champion.judge(workspace, VERSIONS, tracking, present, gold)
    assert judged.table is not None and judged.table.id.tolist() == ["g1"]
    assert "cannot be asked about the 2 gold items it has not seen (InputError" in judged.problem
    stands = champion.stands(present.version, 1, 4, gold, judged)
    assert stands.gold is not None and stands.gold.items == 1 and judged.problem in str(stands)


def test_a_champion_of_which_nothing_is_left_stands_on_nothing() -> None:
    stands = champion.stands("1", None, 4, today("g1"), Judged(None, frozenset(), problem="it is gone"))
    assert (stands.gold, stands.fresh, str(stands)) == (None, None, "measured on no gold item; it is gone")
    assert GoldScore.of(today().assign(predicted="")) is None


def test_a_class_that_the_champion_does_not_know_reaches_production() -> None:
    """110 gold items, ten of a class that came later; the newer model knows it, and is level otherwise."""
    actual = np.where(np.arange(110) < 10, "refund", "billing")
    new = pd.DataFrame({"id": np.arange(110).astype(str), "actual": actual, "predicted": actual})
    old = new.assign(predicted="billing")
    lost = new.assign(predicted=np.where(np.arange(110) < 60, "refund", "billing"))  # 50 items worse
    assert decide(new, old, Promote()).promoted  # measured on today's gold, it is clear anyway
    few = decide(new[8:], old[8:], Promote(), lacks=["refund"])
    assert few.promoted and few.reason.startswith("the champion does not know refund, and this is not worse: +0.0196")
    assert not decide(new[8:], old[8:], Promote()).promoted  # two items alone would not do
    assert not decide(lost, old, Promote(), lacks=["refund"]).promoted
    assert not decide(lost, old, Promote(protected=["billing"]), lacks=["refund"]).promoted


def test_gold_that_came_since_decides() -> None:
    """The champion leads on the 100 items that made it champion, and trails on 200 later ones."""
    at = np.arange(300)
    new = pd.DataFrame({"id": at.astype(str), "actual": "x", "predicted": np.where(at % 10 == 0, "y", "x")})
    old = new.assign(predicted=np.where((at >= 100) & (at % 4 == 0), "y", "x"))
    assert not decide(new[:100], old[:100], Promote()).promoted
    assert decide(new, old, Promote()).promoted


def test_the_looks_at_a_champion_are_the_rounds_since() -> None:
    rounds = pd.DataFrame({"round": range(6), "score": [np.nan, 0.5, 0.6, 0.6, np.nan, 0.7]})
    rounds = rounds.assign(calibration_error=np.nan)  # as rounds of before may have it
    assert looks(rounds, learned=2, number=6) == 3  # rounds 3, 5 and 6
    assert looks(rounds, learned=2, number=5) == looks(rounds[:5], learned=2, number=5) == 2  # played again, or not
    assert looks(rounds, learned=None, number=6) == 5  # nobody knows whose: all there were
    assert looks(rounds[:0], learned=None, number=1) == 1
    other = rounds.assign(
        calibration_error=rounds.score, score=[np.nan] * 5 + [0.7]
    )  # judged by another measure before
    assert looks(other, learned=2, number=6) == 3


def test_cells_of_a_csv_are_numbers_where_they_count(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", today("g1", "g2").assign(predicted="sport", weight=[1.5, 0.5]))
    found = GoldScore.of(table_of_text(tmp_path / "t.csv"))
    assert found is not None and found.score == pytest.approx(0.75)
