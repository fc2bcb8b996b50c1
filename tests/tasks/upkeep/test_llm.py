"""`labelwise llm`: what leaves the machine is asked for first, what it says is kept, and people measure it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelwise.tasks import pull, settings
from labelwise.tasks.errors import InputError, ServiceDown
from labelwise.tasks.labels import ledger, weak
from labelwise.tasks.labels import llm as asking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns
from labelwise.tasks.upkeep import beside, init, llm
from labelwise.tasks.workspace import Workspace, read_parquet
from tests.tasks.labels.rows import labelled, rows
from tests.tasks.labels.speaking import Speaking, speaking

N = 60


@pytest.fixture
def model() -> Iterator[Speaking]:
    """Right of parcels; of glasses it says what it likes."""
    with speaking() as found:
        found.answers = lambda prompt: "late" if "parcel" in prompt.split("==========")[1] else "a glass"
        yield found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Speaking) -> Workspace:
    """Sixty items: thirty of a parcel, and thirty of a glass."""
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(llm.ALLOW, "1")
    texts = [*(f"parcel {n}" for n in range(N // 2)), *(f"glass {n}" for n in range(N // 2))]
    pd.DataFrame({"text": texts}).to_csv(tmp_path / "p.csv")
    gold = {"text": ["never came", "all in pieces"], "label": ["late", "broken"]}
    pd.DataFrame(gold).to_csv(tmp_path / "g.csv")
    sources = str(tmp_path / "p.csv"), str(tmp_path / "g.csv")
    made = init.run(tmp_path / "w", *sources, classes=None, name="w", remote=None, columns=Columns())
    pull.run(made)
    return named(made, model.address)


def named(here: Workspace, address: str, **more: Any) -> Workspace:
    free = {"input": 0.0, "output": 0.0, "as_of": "2026-11-01"}
    given = {"address": address, "model": "m", "examples": 0, "items": 20, "prices": free} | more
    settings.change(here.root / "params.yaml", {f"llm.{key}": value for key, value in given.items()})
    return Workspace(here.root)


def answered(here: Workspace) -> None:
    """People's answers to the first ten of the control arm."""
    texts = pd.concat([read_parquet(shard) for shard in sorted(here.pool.glob("*.parquet"))]).set_index("id").text
    drawn = asking.to_ask(here, 10)
    label = ["late" if "parcel" in texts[item] else "broken" for item in drawn]
    given = [
        labelled(item, said, n) | {"why": "control"} for n, (item, said) in enumerate(zip(drawn, label, strict=True))
    ]
    ledger.append(here.labels, 1, rows(*given))


@pytest.fixture(autouse=True)
def without_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may change the workspace is asked of MLflow, and its commit is pushed: tests/e2e/test_weak.py does both."""

    def add(here: Workspace, _command: str, change: Any, append: Any, *_: object) -> int:
        made = change()
        if len(made):
            append(here, made)
        return len(made)

    monkeypatch.setattr(beside, "add", add)


def run(here: Workspace, most: int | None = None, dry_run: bool = False, ask: Any = None) -> tuple[Any, list[str]]:
    said: list[str] = []
    return llm.run(here, most, dry_run, ask, said.append), said


def test_what_it_says_is_kept_and_people_measure_it(here: Workspace, model: Speaking) -> None:
    answered(here)
    found, said = run(here, 30)
    assert len(model.asked) == 30 and any("asked about 30 items" in line for line in said)
    assert any("no class was named of" in line and "'a glass'" in line for line in said)
    kept = weak.read(here)
    assert set(kept.source) == {"llm:m"} and set(kept.label) == {"late"}
    of = found.of
    assert 0 < of.judged == of.right < 10 and of.low < 1 == of.right / of.judged  # it says nothing of glasses
    assert found.by_class == {"late": (of.judged, of.judged)} and found.items == 30
    shown = llm.lines(found, here.settings)
    assert any("right of 100%" in line and "of the control arm" in line for line in shown)
    assert json.loads(llm.as_json(found))["llm"]["items"] == 30
    assert here.settings.llm.items == 20 and len(run(here)[1]) and len(model.asked) == 50


def test_before_people_have_answered_nothing_is_measured(here: Workspace) -> None:
    found, _ = run(here)
    assert "not measured yet" in llm.lines(found, here.settings)[-1]


def test_a_dry_run_shows_the_prompt_and_sends_nothing(here: Workspace, model: Speaking) -> None:
    found, said = run(here, dry_run=True)
    assert found is None and not model.asked and not weak.shards(here)
    assert said[0].endswith(f"and the classes go to {model.address}, on this machine.")
    assert "20 items would be asked of m" in said[1]
    assert "The classes:" in said and "- broken" in said and "==========" in said


def test_nothing_leaves_the_machine_before_its_owner_says_so(
    here: Workspace, model: Speaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(llm.ALLOW)
    with pytest.raises(InputError, match=r"on this machine\. Nothing was sent"):  # whatever it is that listens there
        run(here)
    assert not model.asked
    here = named(here, "http://labels.invalid/v1")
    with pytest.raises(InputError) as refused:
        run(here)
    sent = "each text that is asked about and the classes go to http://labels.invalid/v1, which is not on this machine"
    assert sent in str(refused.value)
    assert "LABELWISE_LLM=1" in str(refused.value)
    asked: list[str] = []
    with pytest.raises(InputError):
        run(here, ask=lambda question: bool(asked.append(question)))
    assert len(asked) == 1
    with pytest.raises(ServiceDown):  # now it goes there, where nobody is
        run(here, ask=lambda _: True)
    with pytest.raises(ServiceDown):  # and is not asked for again
        run(here)
    with pytest.raises(InputError):  # until something else would leave
        run(named(here, "http://labels.invalid/v1", examples=3))
    monkeypatch.setenv(llm.ALLOW, "1")
    with pytest.raises(ServiceDown):
        run(named(here, "http://labels.invalid/v1", examples=3))


def test_a_round_asks_its_share_once_and_nothing_hinders_it(
    here: Workspace, model: Speaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = Versions(here.root)
    assert "asked about 20 items" in llm.of_round(here, versions, 0, lambda _: None)
    assert llm.of_round(here, versions, 0, lambda _: None) == "nothing to ask"
    assert "asked about 20 items" in llm.of_round(here, versions, 1, lambda _: None)
    assert len(model.asked) == 40
    assert len(weak.shards(here)) == 2
    gone = named(here, "http://127.0.0.1:9/v1")
    assert "does not answer" in llm.of_round(gone, versions, 2, lambda _: None)
    assert len(weak.shards(here)) == 2
    monkeypatch.delenv(llm.ALLOW)
    stranger = named(here, "http://labels.invalid/v1")
    assert "not asked: llm: each text" in llm.of_round(stranger, versions, 2, lambda _: None)
    assert weak.read(here).source.eq("llm:m").all()


def test_where_the_pool_is_used_up_it_says_what_is_known(here: Workspace, model: Speaking) -> None:
    run(here, 1000)
    many = len(model.asked)
    found, said = run(here)
    assert len(model.asked) == many < N and found.items == many and "nothing is left" in said[0]  # the reserve is not
