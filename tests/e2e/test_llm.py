"""A language model on the real servers: killed while it is asked, asked in the loop, replayed with nobody there; and a
real one, which is a bad labeller and must not hurt."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pandas as pd
import pytest

from labelwise.flows.demos import language_model
from labelwise.tasks import figures, settings
from labelwise.tasks.labels import consensus, ledger, llm, weak
from labelwise.tasks.past.replay import IDENTICAL
from labelwise.tasks.records import run_of
from labelwise.tasks.reporting import page as reports
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns, Kind
from labelwise.tasks.upkeep import forget, init
from labelwise.tasks.upkeep import llm as command_llm
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import Addresses, Make, Source, answer, command, play, rows
from tests.e2e.test_finish import finished
from tests.e2e.test_provable import replayed
from tests.tasks.labels.speaking import Speaking, speaking
from tests.waiting import until

PRICES = {"input": 100.0, "output": 100.0, "as_of": "2026-11-01"}

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(command_llm.ALLOW, "1")


def truth(source: Source) -> Callable[[str], str]:
    """A model that is right of all but politics, which it calls sport."""
    known = pd.read_csv(source.answers).set_index("text").label

    def says(prompt: str) -> str:
        label = str(known[prompt.split("==========\n")[1].strip()])
        return "sport" if label == "politics" else label

    return says


def named(here: Workspace, address: str, **more: object) -> dict[str, object]:
    given = {"address": address, "model": "m", "prices": PRICES, "budget": 50.0, "items": 40, "examples": 3} | more
    changes = {f"llm.{key}": value for key, value in given.items()}
    settings.change(here.root / "params.yaml", changes)
    return changes


def asked_of(model: Speaking) -> list[str]:
    return [prompt.split("==========\n")[1] for prompt in model.asked]


def test_a_language_model_labels_beneath_people(make: Make, source: Source) -> None:
    with speaking(truth(source)) as model:
        here = make("llm")
        play(here)
        named(here, model.address)
        says, hangs = model.answers, Event()

        def slowly(prompt: str) -> str:
            if len(model.asked) > 10:
                hangs.wait(60)
            return says(prompt)

        model.answers = slowly
        words = [sys.executable, "-P", "-m", "labelwise.flows.cli", "llm", "--workspace", str(here.root)]
        process = subprocess.Popen(words, env=os.environ, stderr=subprocess.PIPE)
        until(lambda: len(model.asked) > 10)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        hangs.set()
        model.answers = says
        assert not weak.shards(here)
        again = command("llm", "--workspace", str(here.root))
        assert again.returncode == 0, again.stderr
        assert "not measured yet" in again.stdout
        assert len(model.asked) == len(set(asked_of(model)))  # nothing was asked twice, and so paid twice
        paid = weak.spent(here)
        assert 0 < paid < 50
        assert weak.every(here).label.isna().sum() >= 1  # what was on its way when it was killed

        answer(here, source)
        play(here)  # round 1 asks its share
        answer(here, source)
        play(here)
        assert llm.asked_so_far(here) == 3 * 40 and len(model.asked) == len(set(asked_of(model)))
        assert len(consensus.unasked(here)) > 60
        assert set(consensus.current(here).id) == set(ledger.effective(rows(here)).id)
        found = command_llm.found(here)
        assert found.of.judged >= 3 and found.of.right >= 1
        report = reports.page(Workspace.open(here.root), Versions(here.root))
        assert "Who should label the next hundred" in report and "llm:m" in report
        assert f"Language models, beside these: {weak.spent(here):,.2f} EUR." in report
        own = str(consensus.unasked(here).id.iloc[0])

    named(here, "http://127.0.0.1:9/v1")
    answer(here, source)
    play(here)  # nobody is there: the round goes on without
    assert figures.headline(here)["score"] > 0.6
    seen = replayed(here, "round-0002")
    assert {verdict for verdict, _ in seen.values()} == {IDENTICAL}, seen
    assert (paid := weak.spent(here)) > 0
    forget.run(Workspace.open(here.root), [own], lambda _lines: True)
    assert own not in set(weak.every(here).id) and weak.spent(here) == pytest.approx(paid)
    down = command("llm", "--workspace", str(here.root))
    assert down.returncode != 0 and "does not answer" in down.stderr and "Traceback" not in down.stderr
    run = open_tracking(here.settings).client.get_run(run_of(Versions(here.root).message("round-0002")))
    assert run.data.metrics["llm.cost"] > 0 and run.data.metrics["weak.labels"] > 0
    _finished_with_it(here, source)


def test_one_marks_parts_of_texts_beneath_people(servers: Addresses, tmp_path: Path) -> None:
    people, cities = ("Ann", "Bob", "Cleo", "Dan", "Eve"), ("Rome", "Oslo", "New York", "Lima", "San Jose")
    ways = ("{} lives in {}.", "{} left {} at noon.", "They say {} hates {}!", "Was it {} who went to {}?")
    told = [
        (way.format(who, where), {who: "person", where: "place"}) for way in ways for who in people for where in cities
    ]
    labels = [
        [[text.index(part), text.index(part) + len(part), name] for part, name in marks.items()] for text, marks in told
    ]
    table = pd.DataFrame({"text": [text for text, _ in told], "label": [json.dumps(each) for each in labels]})
    table = table.sample(frac=1, random_state=0)
    files = [tmp_path / name for name in ("pool.csv", "gold.csv", "answers.csv")]
    table[["text"]][:80].to_csv(files[0], index=False)
    table[80:].to_csv(files[1], index=False)
    table.to_csv(files[2], index=False)
    root, sources = tmp_path / "marks", (str(files[0]), str(files[1]))
    init.run(root, *sources, ["person", "place"], "marks", None, Columns(), kind=Kind(answer="spans"))
    quick = {"wait.poll_seconds": [0.2, 1], "evaluate.resamples": 200, "select.batch": 12, "gold.reserve": 0.0}
    settings.change(root / "params.yaml", quick)
    known = dict(told)

    def says(prompt: str) -> str:
        marks = known[prompt.split("==========\n")[1].strip()]
        return json.dumps([{"text": part, "class": name} for part, name in marks.items()])

    with speaking(says) as model:
        here = Workspace.open(root)
        named(here, model.address)
        play(here)
        assert len(consensus.unasked(here)) == 40 and "such as [{" in model.asked[0]
        answer(here, Source(*files))
        play(here)
    assert '"class": "place"}]' in model.asked[-1]  # what people marked is shown beside an item
    found = command_llm.found(here)
    assert found.of.judged >= 1 and found.of.right == found.of.judged and set(found.by_class) == {"person", "place"}
    assert figures.weakly(here)["weight"]
    seen = replayed(here, "round-0001")
    assert {verdict for verdict, _ in seen.values()} == {IDENTICAL}, seen


def _finished_with_it(here: Workspace, source: Source) -> None:
    """It labels a part of the pool that is finished, and the promise is kept."""
    settings.change(here.root / "params.yaml", {"llm.address": None})
    said = finished(here, 0.2)
    for _ in range(8):
        if "confidence" in said:
            break
        answer(here, source)
        said = play(here)
    table = pd.read_parquet(here.root / "finished" / "finished.parquet")
    known = pd.read_csv(source.answers).set_index("text").label
    assert (table.by == "language model").any() and "a language model's" in said
    assert (table.label != table.text.map(known)).mean() <= 0.2


def test_a_real_one_that_labels_badly_does_not_hurt(make: Make, source: Source) -> None:
    assert language_model.is_here(), "no language model here: make test-long brings it"
    with language_model.speaking() as address:
        alone, beside = make("alone"), make("beside")
        prompt = "{classes}\n\n{item}\n\nAnswer with one word: business, politics or sport."
        own = {"model": "SmolLM2-135M-Instruct", "prompt": prompt, "examples": 0, "max_tokens": 8, "timeout_s": 300.0}
        named(beside, address, items=12, **own)
        for _ in range(2):
            for here in (alone, beside):
                play(here)
                answer(here, source)
        for here in (alone, beside):
            play(here)
    said = weak.every(beside)
    assert len(said) == 36 and said.tokens_in.gt(0).all() and said.cost.gt(0).all()
    known = pd.read_csv(source.answers).set_index("text").label
    texts = pd.read_parquet(beside.pool / "shard-0001.parquet").set_index("id").text
    labels = said[said.label.notna()]
    right = [label == known[texts[item]] for item, label in zip(labels.id, labels.label, strict=True)]
    assert len(right) >= 5 and sum(right) < 0.9 * len(right)  # it names classes, and often the wrong one
    with_it, without = (figures.headline(here)["score"] for here in (beside, alone))
    assert with_it >= without - 0.1
