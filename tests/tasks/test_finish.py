"""What is finished, in a workspace that was made by hand: plans, looks, and the table of labels."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise.flows.finish import forecast
from labelwise.tasks import figures, finish, settings
from labelwise.tasks.errors import InputError, WorkspaceError
from labelwise.tasks.labels import ledger, weak
from labelwise.tasks.proof import control, finishing, promise
from labelwise.tasks.records import BATCH, GOLD, LABELS, POOL, SCORES
from labelwise.tasks.reporting import finished_page
from labelwise.tasks.services.versions.workspace import create
from labelwise.tasks.settings import Finish
from labelwise.tasks.workspace import Workspace, write_parquet

TEMPLATE = Path(__file__).parents[2] / "params.yaml"
OLD, NEW = 300, 100
CLASSES = ["a", "b"]


def truth(name: str) -> str:
    return CLASSES[int(name[1:]) % 2]


def ids(first: int, count: int) -> list[str]:
    return [f"i{at:03d}" for at in range(first, first + count)]


def answers(number: int, why: str, names: list[str]) -> pd.DataFrame:
    told = {"annotation_id": range(1000 * number, 1000 * number + len(names)), "task_id": 1, "annotator": "1"}
    rows = pd.DataFrame({"id": names, "label": list(map(truth, names)), "status": "labelled", "round": number, **told})
    more = {
        "origin": "asked",
        "why": why,
        "propensity": np.nan,
        "lead_time_s": 9.0,
        "created_at": "2026-01-01T00:00:00Z",
    }
    return rows.assign(**more)


def add_shard(here: Workspace, number: int, names: list[str]) -> None:
    rows = pd.DataFrame({"id": names, "text": [f"text of {each}" for each in names], "source_id": names})
    write_parquet(here.pool / f"shard-{number:04d}.parquet", rows, POOL)


def score(here: Workspace, names: list[str]) -> None:
    """A model that is right but for each twentieth item, of which it is no less sure."""
    said = [truth(each) if int(each[1:]) % 20 else CLASSES[1 - int(each[1:]) % 2] for each in names]
    rows = pd.DataFrame(
        {"id": names, "prediction": said, "confidence": 0.9, "least_confidence": 0, "margin": 0, "entropy": 0}
    )
    write_parquet(here.scores, SCORES.conform(rows))


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    path = tmp_path / "params.yaml"
    path.write_bytes(TEMPLATE.read_bytes())
    settings.change(path, {"classes": CLASSES, "pull.pool": "pool.csv", "pull.gold": "gold.csv", "project.name": "x"})
    workspace = Workspace(tmp_path)
    add_shard(workspace, 1, ids(0, OLD))
    ledger.append(workspace.labels, 0, LABELS.frame())
    ledger.append(workspace.labels, 1, answers(1, "uncertain", ids(0, 20)))
    write_parquet(workspace.gold, GOLD.frame(), GOLD)
    score(workspace, ids(0, OLD))
    return workspace


def test_who_finishes_with_the_head_alone_is_told(here: Workspace) -> None:
    assert finish.by_head(here) == ""
    scores = pd.read_parquet(here.scores)
    write_parquet(here.scores, scores.assign(candidate=scores.index < 30))
    assert finish.by_head(here).startswith(f"{OLD - 30:,} items are judged by the head alone; score.candidates: null")
    assert finish.by_head(here) in forecast(here, 0.05, 0.9)[-1]


@pytest.mark.parametrize("slips", [0, 8])
def test_how_often_people_slip_is_learned_from_the_control_arm(here: Workspace, slips: int) -> None:
    """What a model had thought of the items of a past batch, from the version that chose them."""
    versions = create(here.root, str(here.root.with_name("remote")))
    (here.root / "dvc.yaml").write_text("stages: {select: {cmd: 'true', outs: [data/batch.parquet]}}\n")
    batch = pd.DataFrame({"id": ids(20, 60), "prediction": list(map(truth, ids(20, 60))), "confidence": 0.98})
    batch = batch.assign(rank=1, score=0.0, why=control.WHY, propensity=0.2)
    write_parquet(here.batch, batch, BATCH)
    versions.record("select")
    versions.save("round 1", "round-0001")
    here.batch.unlink()
    assert finish.slipping(here) == pytest.approx(promise.LIKELY)  # nobody has answered it yet
    said = answers(2, control.WHY, ids(20, 60))
    other = {"a": "b", "b": "a"}
    ledger.append(here.labels, 2, said.assign(label=[*said.label[:slips].map(other), *said.label[slips:]]))
    found = float(finish.slipping(here) @ promise.SLIPS)
    usual = float(promise.LIKELY @ promise.SLIPS)
    assert found > 2 * usual if slips else found < 0.6 * usual


def play(here: Workspace, wrong: float) -> finish.Finished:
    """A whole finish: what is asked is answered, a shard of the ledger a batch."""
    finish.keep(here, finish.wanted(here, wrong, 0.95))
    plan = here.settings.select.finish
    assert plan is not None and plan.model is None
    assert "an exam of about" in finish.prepare(here, plan)
    plan = here.settings.select.finish
    assert plan is not None and plan.share is not None
    assert finish.prepare(here, plan) == "the model is the one that the exam began with"
    while True:
        batch, _ = finishing.batch(here, plan)
        if batch.empty:
            break
        number = ledger.current_round(here.labels) + 1
        ledger.append(here.labels, number, answers(number, batch.why.iloc[0], batch.id.tolist()))
        assert len(ledger.held(here)) == ledger.count(here.labels, plan.round)
    found = finish.finished(here, plan)
    finish.write(here, found, finished_page.page(here, found))
    assert finish.last(here, plan) == found.promise
    finish.keep(here, None)
    return found


def test_the_settings_keep_a_plan_and_are_as_before_without_it(here: Workspace) -> None:
    before = (here.root / "params.yaml").read_text()
    plan = Finish(wrong=0.02, round=1, share=0.25, model="abc")
    finish.keep(here, plan)
    assert here.settings.select.finish == plan
    assert (
        "  finish: {wrong: 0.02, confidence: 0.95, round: 1, look: 1, after: 0, share: 0.25, model: abc}"
        in (here.root / "params.yaml").read_text()
    )
    finish.keep(here, None)
    assert (here.root / "params.yaml").read_text() == before
    assert here.settings.select.finish is None


def test_a_pool_that_grew_is_finished_again_at_the_cost_of_what_is_new(here: Workspace) -> None:
    first = play(here, 0.2)
    table = first.table
    assert len(table) == OLD == sum(first.counts.values())
    assert first.counts["person"] < 0.4 * OLD
    assert first.allowed == 60
    right = table.label == table.id.map(truth)
    assert (~right).sum() <= 60
    assert right[table.by == "person"].all()
    assert table.source_id.tolist() == table.id.tolist()
    assert table.text.tolist() == [f"text of {each}" for each in table.id]
    assert finish.done(here) == first.promise
    assert finish.saved(here).startswith(f"To label all {OLD} items would have taken {first.counts['model']} more")
    assert finish.forecasts(here, 0.95, [0.2, 0.3]) == []  # what is done takes nothing
    with pytest.raises(InputError, match="all 300 items are finished at 30 % wrong or less"):
        finish.wanted(here, 0.3, 0.95)

    add_shard(here, 2, ids(OLD, NEW))
    score(here, ids(0, OLD + NEW))
    assert finish.done(here) == ""
    plan = finish.wanted(here, 0.2, 0.95)
    assert (plan.after, plan.look) == (1, 1)  # nobody has looked at these
    second = play(here, 0.2)
    assert sum(second.counts.values()) == NEW
    assert len(second.table) == OLD + NEW
    old = second.table[second.table.finish == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, table)
    assert set(second.table.id[second.table.finish == 2]) == set(ids(OLD, NEW))

    # A smaller share is another look at all of them, and has less of the risk.
    plan = finish.wanted(here, 0.1, 0.95)
    assert (plan.after, plan.look) == (0, 3)
    assert finishing.risk_of(plan) == pytest.approx(0.05 / 8)


def test_a_plan_that_is_taken_back_was_a_look(here: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="not being finished"):
        finish.abandon(here)
    finish.keep(here, finish.wanted(here, 0.1, 0.95))
    assert finish.going_on(here).startswith("under way: at most 10 % wrong")
    assert "look 2" in finish.abandon(here)
    assert here.settings.select.finish is None
    assert finish.wanted(here, 0.1, 0.95).look == 2
    assert [look["state"] for look in figures.looks(here)] == ["abandoned"]


def test_another_model_than_the_one_of_the_exam_is_refused(here: Workspace) -> None:
    finish.keep(here, finish.wanted(here, 0.2, 0.95))
    assert here.settings.select.finish is not None
    finish.prepare(here, here.settings.select.finish)
    score(here, [*ids(1, OLD - 1), "i000"])  # the same, in another order
    finish.prepare(here, here.settings.select.finish)
    score(here, ids(1, OLD - 1))
    with pytest.raises(WorkspaceError, match=r"not the one that the exam began with.*--abandon"):
        finish.prepare(here, here.settings.select.finish)


def test_a_gold_set_tells_how_sure_the_model_may_be(here: Workspace) -> None:
    blind = finish.forecasts(here, 0.95, [*finish.CURVE, 0.2])
    assert [each.wrong for each in blind] == [*finish.CURVE, 0.2]
    assert all(one.people >= two.people for one, two in pairwise(blind))
    right = pd.DataFrame({"id": ids(900, 99), "actual": "a", "predicted": "a", "confidence": 0.9, "weight": 1.0})
    figures.file(here, figures.PREDICTIONS).parent.mkdir(exist_ok=True)
    right.to_csv(figures.file(here, figures.PREDICTIONS), index=False)
    told = finish.forecasts(here, 0.95, [*finish.CURVE, 0.2])
    assert told[-1].people < blind[-1].people


@pytest.mark.parametrize(("wrong", "confidence", "said"), [
    (0, 0.95, r"expected a share above 0 and below 1, such as 0.02, got 0\. .*people label everything"),
    (2, 0.95, r"expected a share above 0 and below 1, such as 0.02, got 2"),
    (float("nan"), 0.95, "expected a share above 0"),
    (0.02, 95, "expected from 0.5 to below 1"),
])  # fmt: skip
def test_shares_that_cannot_be(here: Workspace, wrong: float, confidence: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        finish.wanted(here, wrong, confidence)


def test_so_few_items_that_no_exam_could_tell(here: Workspace) -> None:
    found = finish.forecasts(here, 0.95, [0.001])[0]
    assert (found.people, found.exam) == (OLD - 20, 0)
    finish.keep(here, finish.wanted(here, 0.001, 0.95))
    plan = here.settings.select.finish
    assert plan is not None
    assert finish.prepare(here, plan) == "no exam could show so few wrong: people label all 280 items"
    plan = here.settings.select.finish
    assert plan is not None
    batch, said = finishing.batch(here, plan)
    assert (len(batch), set(batch.why)) == (280, {"finish"})
    assert said == "280 of the items that the model must not label; it labels 0"


def test_the_page_says_the_promise_and_escapes_what_came(here: Workspace) -> None:
    found = play(here, 0.2)
    table = found.table.assign(label="<script>alert(1)</script>")
    page = finished_page.page(here, finish.Finished(table, found.plan, found.counts, 60, True, found.losses, found.end))
    assert found.promise in page.replace("&#39;", "'")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("right", [0.99, 0.3])
def test_a_language_model_labels_where_it_is_likelier_right(here: Workspace, right: float) -> None:
    """Where it errs, as the model does, the exam finds it; what it says after the plan has no say."""
    ledger.append(here.labels, 2, answers(2, "uncertain", ids(20, 80)))
    rng = np.random.default_rng(3)
    names = ids(0, OLD)
    said = [truth(each) if rng.random() < right else CLASSES[1 - int(each[1:]) % 2] for each in names]
    told = pd.DataFrame({"id": names, "label": said, "source": "llm:m", "written_at": "2026-01-01"})
    weak.append(here, told)
    finish.keep(here, finish.wanted(here, 0.05, 0.95))
    plan = here.settings.select.finish
    assert plan is not None and plan.weak == 1
    pool = finishing.gather(here, plan).open
    by_llm = pool.source == finishing.LLM
    if right < 0.5:
        assert not by_llm.any() and pool.doubt.round(6).eq(0.1).all()
        weak.append(here, told.assign(label=list(map(truth, names))))
        pd.testing.assert_frame_equal(finishing.gather(here, plan).open, pool)
        assert len(weak.held(here)) == OLD and not weak.held(here).equals(weak.read(here))
        return
    assert by_llm.all() and pool.doubt.max() < 0.1
    assert dict(zip(pool.id, pool.prediction, strict=True)).items() <= dict(zip(names, said, strict=True)).items()
    done = play(here, 0.05)
    new = done.table[done.table.by == finishing.LLM]
    assert done.counts[finishing.LLM] == len(new) > 100 and done.counts[finishing.MODEL] == 0
    assert (new.label != new.id.map(truth)).sum() <= done.allowed
    assert f"0 the model's, {len(new):,} a language model's." in done.promise
    page = finished_page.page(here, done)
    assert "labelled by a language model" in page and "a language model" in page


def test_who_says_something_likelier_right_labels(here: Workspace) -> None:
    items = pd.DataFrame({"id": ["x", "y", "z"], "prediction": ["a", "a", "a"], "doubt": [0.2, 0.2, 0.2]})
    said = pd.DataFrame({"id": ["z", "x"], "label": ["b", "b"], "trust": [0.9, 0.7], "source": [finishing.RULE] * 2})
    found = finishing.overruled(items, said)
    assert found.prediction.tolist() == ["a", "a", "b"] and found.doubt.tolist() == pytest.approx([0.2, 0.2, 0.1])
    assert found.source.tolist() == [finishing.MODEL, finishing.MODEL, finishing.RULE]
    assert finishing.overruled(items, said[:0]).source.eq(finishing.MODEL).all()
