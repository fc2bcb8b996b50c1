"""`labelwise rules`: what is shown of each, what is kept, and what is taken back."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelwise.tasks import kinds, pull
from labelwise.tasks.items.withheld import offered
from labelwise.tasks.labels import judged, ledger, rules, weak
from labelwise.tasks.labels.judged import Judged
from labelwise.tasks.settings import Columns
from labelwise.tasks.upkeep import init
from labelwise.tasks.upkeep import rules as stage
from labelwise.tasks.workspace import Workspace, read_parquet
from tests.tasks.labels.rows import rows

N = 60
RULES = """\
from labelwise import rule


@rule
def parcels(item):
    return "late" if "parcel" in item.text else None


@rule
def loud(item):
    return "broken" if "!" in item.text else None
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Sixty items: thirty of a parcel that is late, every third of them with an exclamation mark, and thirty cracks."""
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))
    late = [f"parcel {n} is late{'!' if n % 3 == 0 else ''}" for n in range(N // 2)]
    pd.DataFrame({"text": [*late, *(f"glass {n} has a crack" for n in range(N // 2))]}).to_csv(tmp_path / "p.csv")
    gold = {"text": ["never came", "all broken"], "label": ["late", "broken"]}
    pd.DataFrame(gold).to_csv(tmp_path / "g.csv")
    sources = str(tmp_path / "p.csv"), str(tmp_path / "g.csv")
    made = init.run(tmp_path / "w", *sources, classes=None, name="w", remote=None, columns=Columns())
    pull.run(made)
    (made.root / rules.FILE).write_text(RULES)
    return made


def run(here: Workspace) -> dict[str, Judged]:
    found, made = stage.look(Workspace(here.root))
    if len(made):
        weak.append(here, made)
    return {each.name: each for each in found}


def pool(here: Workspace) -> pd.DataFrame:
    return read_parquet(here.pool / "shard-0001.parquet")


def answered(here: Workspace, number: int, some: pd.DataFrame) -> None:
    label = some.text.map(lambda text: "late" if "parcel" in text else "broken")
    given = zip(some.id, label, range(1000 * number, 1000 * number + len(some)), strict=True)
    common: dict[str, Any] = {"why": "margin", "round": number, "created_at": "2026-01-01", "annotator": "1"}
    made = [{"id": item, "label": label, "annotation_id": n, "task_id": n} | common for item, label, n in given]
    ledger.append(here.labels, number, rows(*made))


def test_what_rules_say_is_kept_once_and_what_they_no_longer_say_is_taken_back(here: Workspace) -> None:
    items = offered(here)
    assert 40 < len(items) < N  # a tenth is kept for gold, and no rule sees it
    found = run(here)
    assert found["parcels"].covers > 0 and found["parcels"].low is None and not found["parcels"].refuted
    both = found["loud"].covers
    assert found["loud"].conflicts == found["parcels"].conflicts == both > 0
    assert len(weak.read(here)) == found["parcels"].covers + both
    assert set(weak.read(here).id) <= set(items)
    run(here)
    assert len(weak.shards(here)) == 1  # nothing is new
    (here.root / rules.FILE).write_text(RULES.replace('"parcel"', '"glass"').replace("loud", "shouted"))
    run(here)
    now = weak.read(here)
    assert set(now.source) == {"rule:parcels", "rule:shouted"}
    texts = pool(here).set_index("id").text
    assert texts[now.id[now.source == "rule:parcels"]].str.contains("glass").all()


def test_people_refute_a_rule_and_it_is_left_out(here: Workspace) -> None:
    run(here)
    answered(here, 1, pool(here)[pool(here).text.str.contains("!|glass")])
    found = run(here)
    loud, parcels = found["loud"], found["parcels"]
    assert loud.refuted and loud.right == 0 and loud.high is not None and loud.high < loud.chance
    assert not parcels.refuted and parcels.right == parcels.judged > 0
    assert set(weak.read(here).source) == {"rule:parcels"}
    shown = stage.lines(list(found.values()), N)
    assert any(line.startswith("loud") and line.endswith("refuted: left out") for line in shown)
    assert sum("loud says broken, people late: parcel" in line for line in shown) == judged.SHOWN
    assert max(map(len, shown)) <= 100


def test_what_a_rule_says_holds_where_people_said_so() -> None:
    several = kinds.answer("multilabel")
    assert judged.holds('["a"]', '["a", "b"]', several) and not judged.holds('["a", "c"]', '["a", "b"]', several)
    assert judged.holds("[]", "[]", several) and not judged.holds("[]", '["a"]', several)  # none of them is an answer


class Kept:
    """What the loop commits, in place of git."""

    head = ""

    def __init__(self) -> None:
        self.added: list[list[str]] = []

    def add(self, paths: list[str]) -> None:
        self.added.append(paths)


def test_a_round_runs_the_rules_where_they_may_run_and_goes_on_without(
    here: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions: Any = Kept()
    assert stage.of_round(here, versions).startswith("not run: rules: ") and not versions.added
    monkeypatch.setenv(rules.ALLOW, "1")
    said = stage.of_round(here, versions)
    assert said == f"2 rules; {len(weak.read(here))} weak labels new or taken back"
    assert stage.of_round(here, versions) == "2 rules; 0 weak labels new or taken back" and len(versions.added) == 1
    (here.root / rules.FILE).write_text(RULES.replace("return", "return 1 / 0 or", 1))
    assert "parcels raised an error" in stage.of_round(here, versions)
    (here.root / rules.FILE).write_text("1 / 0")
    assert stage.of_round(here, versions).startswith("not run: rules: ")
