"""Rules on the real servers: run where the owner says so, learned beside people, replayed without them; and labels that
look wrong, put before people again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from labelwise.tasks import figures, settings
from labelwise.tasks.errors import quantity
from labelwise.tasks.labels import consensus, ledger, weak
from labelwise.tasks.past.replay import IDENTICAL
from labelwise.tasks.reporting import page as reports
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns
from labelwise.tasks.upkeep import forget, init
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import BATCH, CLASSES, Make, Source, answer, command, play, rows
from tests.e2e.test_provable import replayed

RULES = """\
from labelwise import rule

SPORT = open("words.txt").read().split()


@rule
def matches(item):
    return "sport" if set(item.text.lower().split()) & set(SPORT) else None


@rule
def always(item):
    return "politics"
"""
WORDS = "cup win wins england injury match chelsea arsenal coach olympic final open rugby club liverpool champion"
KILLED = """
from pathlib import Path
from tests.e2e import die
die.plant("labelwise.tasks.services.versions.workspace:Versions.save", 0, "before", die.die)
from labelwise.flows import cli
import sys
sys.argv = ["labelwise", "rules", "--workspace", {root!r}]
cli.main()
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_rules_are_learned_beside_people_and_replayed_without_them(make: Make, source: Source) -> None:
    here = make("rules")
    play(here)
    (here.root / "rules.py").write_text(RULES)
    (here.root / "words.txt").write_text(WORDS)
    words = "rules", "--workspace", str(here.root)
    unasked = command(*words)
    assert unasked.returncode != 0 and "has never run here: nothing was run" in unasked.stderr
    assert not weak.shards(here)
    program = [sys.executable, "-c", KILLED.format(root=str(here.root))]
    died = subprocess.run(program, env=os.environ | {"LABELWISE_RULES": "1"}, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()[-2000:]
    assert len(weak.shards(here)) == 1
    done = command(*words, LABELWISE_RULES="1")
    assert done.returncode == 0, done.stderr
    assert (
        "a command did not end; kept data/labels/weak-0001.parquet" in done.stderr
        and "no label of people yet" in done.stdout
    )
    assert len(weak.shards(here)) == 1
    answer(here, source)
    play(here)
    unasked_items = consensus.unasked(here)
    assert len(unasked_items) > 100 and (unasked_items.people == 0).all()
    assert set(consensus.current(here).id) == set(ledger.effective(rows(here)).id)
    again = command(*words, LABELWISE_RULES="1")
    assert "always" in again.stdout and "of 12" in again.stdout
    answer(here, source)
    play(here)
    (here.root / "rules.py").write_text("raise SystemExit('nobody runs this')\n")
    seen = replayed(here, "round-0002")
    assert {verdict for verdict, _ in seen.values()} == {IDENTICAL}, seen
    gone = str(consensus.unasked(here).id.iloc[0])
    forget.run(Workspace.open(here.root), [gone], lambda _lines: True)
    assert gone not in set(weak.every(here).id)
    play(here)


def test_rules_that_are_there_before_the_first_batch_are_learned_for_it(
    make: Make, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make("ruled")
    (here.root / "rules.py").write_text(RULES)
    (here.root / "words.txt").write_text(WORDS)
    empty = command("rules", "--workspace", str(here.root), LABELWISE_RULES="1")
    assert empty.returncode != 0 and "`labelwise run` brings it in, and runs them" in empty.stderr
    monkeypatch.setenv("LABELWISE_RULES", "1")
    play(here)
    assert len(consensus.unasked(here)) > 100 and consensus.current(here).empty
    assert pd.read_parquet(here.batch).prediction.notna().all()  # by a model of what the rules say
    answer(here, source)
    monkeypatch.delenv("LABELWISE_RULES")
    play(here)  # nobody lets them run any more, and no round waits for that
    assert len(weak.shards(here)) == 1
    for name in ("round-0000", "round-0001"):
        seen = replayed(here, name)
        assert {verdict for verdict, _ in seen.values()} == {IDENTICAL}, seen


@pytest.mark.usefixtures("servers")
def test_labels_that_look_wrong_are_put_before_people_again(source: Source, tmp_path: Path) -> None:
    """A third of the labels that came with the data are wrong; reviewers know better."""
    answers = pd.read_csv(source.answers)
    some = answers.sample(90, random_state=1)
    others = {"business": "sport", "sport": "politics", "politics": "business"}
    some["label"] = [others[name] if n % 6 == 0 else name for n, name in enumerate(some.label)]
    some.to_csv(tmp_path / "labelled.csv", index=False)
    root, sources = tmp_path / "suspects", (str(source.pool), str(source.gold))
    labelled = str(tmp_path / "labelled.csv")
    here = init.run(root, *sources, CLASSES, "suspects", None, Columns(), labelled)
    quick = {"wait.poll_seconds": [0.2, 1], "train.learner": "frozen", "evaluate.resamples": 200}
    settings.change(root / "params.yaml", quick | {"select.batch": BATCH, "select.suspects": 0.4})
    here = Workspace.open(root)
    play(here)
    asked = pd.read_parquet(here.batch)
    anew = asked[asked.why == ledger.RELABEL]
    assert 1 <= len(anew) <= 4 and anew.id.isin(ledger.effective(rows(here)).id).all()
    before = ledger.effective(rows(here)).set_index("id").label
    answer(here, source)
    play(here)
    after = consensus.current(here).set_index("id").label
    truth = answers.set_index("text").label
    texts = pd.read_parquet(here.pool / "shard-0001.parquet").set_index("id").text
    changed = [item for item in anew.id if after[item] != before[item]]
    assert changed and all(after[item] == truth[texts[item]] for item in changed)
    looked = figures.proof(here)["looked"]
    assert (looked["again"], looked["changed"]) == (len(anew), len(changed))
    report = reports.page(here, Versions(root))
    assert f"{quantity(len(anew), 'label')} looked at again, {len(changed)} changed." in report
