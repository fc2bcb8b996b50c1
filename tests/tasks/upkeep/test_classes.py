"""`labelwise classes` in a workspace: params.yaml keeps its comments, a version holds each change and nothing else, and
what was cut off is finished."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from ruamel.yaml import YAML

from labelwise.tasks import pull, settings
from labelwise.tasks.errors import InputError, LabelwiseError, WorkspaceBusy, WorkspaceError
from labelwise.tasks.gold import asking, trusted
from labelwise.tasks.labels import ledger
from labelwise.tasks.labels.classes import VERBS, Classes
from labelwise.tasks.records import ANSWERS, ASKED, LABELS
from labelwise.tasks.services import player
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns, parse
from labelwise.tasks.upkeep import classes, init
from labelwise.tasks.workspace import Workspace, claimed, write_parquet
from tests.e2e import die
from tests.e2e.processes import ended, fork

SAVE = "labelwise.tasks.services.versions.workspace:Versions.save"
GIVEN = {"project": {"name": "n", "id": "i"}, "pull": {"pool": "p", "gold": "g"}}
Tell = Callable[[str], None]


def silent(_line: str) -> None:
    pass


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a version: 8 items with a label, by turns hot, cold and warm; a gold row of each. It plays."""
    monkeypatch.setattr(
        "labelwise.tasks.services.expectations._render", lambda folder, _: (folder / "index.html").touch()
    )
    plays = SimpleNamespace(refuse=lambda: (None, ""), keep=lambda: None)
    monkeypatch.setattr(player, "Play", lambda *_words: plays)
    (tmp_path / "pool.csv").write_text("text\n" + "".join(f"item {n}\n" for n in range(9)))
    (tmp_path / "gold.csv").write_text("text,label\nred,hot\nblue,cold\nrose,warm\n")
    sources = [str(tmp_path / name) for name in ("pool.csv", "gold.csv")]
    made = init.run(tmp_path / "here", *sources, ["hot", "cold", "warm"], "", None, Columns())
    pull.run(made)
    ids = pd.read_parquet(next(made.pool.glob("*.parquet"))).id[:8]
    rows = pd.DataFrame({"id": ids, "label": ["hot", "cold", "warm", "hot"] * 2, "why": "random", "task_id": range(8)})
    rows = rows.assign(status="labelled", round=1, annotation_id=range(8), created_at="2026-01-01")
    ledger.append(made.labels, 1, LABELS.conform(rows.reindex(columns=list(LABELS.columns))))
    versions = Versions(made.root)
    versions.add()
    versions.save("round 1: 8 labels")
    return Workspace(made.root)


def change(here: Workspace, verb: str, *names: str, dry_run: bool = False, tell: Tell = silent) -> list[str]:
    return classes.run(Workspace.open(here.root), verb, names, dry_run, tell)


def fresh(here: Workspace) -> Workspace:
    return Workspace.open(here.root)


def subjects(here: Workspace) -> list[str]:
    return Versions(here.root).git("log", "--format=%s").splitlines()


def test_a_change_is_a_version_of_its_own(here: Workspace) -> None:
    params = (here.root / "params.yaml").read_text(encoding="utf-8")
    before = Versions(here.root).head
    told = change(here, "rename", "hot", "very hot", dry_run=True)
    assert (here.root / "params.yaml").read_text(encoding="utf-8") == params and subjects(here)[
        0
    ] == "round 1: 8 labels"
    assert change(here, "rename", "hot", "very hot") == told[:-1]
    assert told[0] == "'hot' is called 'very hot' now"
    assert told[1] == "4 labels and 1 gold row of 'hot' count as 'very hot'"
    assert Versions(here.root).git("diff", "--name-only", before).splitlines() == ["params.yaml"]
    assert not Versions(here.root).git("status", "--porcelain")
    assert change(here, "rename", "hot", "very hot") == ["'hot' is called 'very hot' already: nothing was to do"]
    said = change(here, "drop", "warm")
    assert said[1].startswith("2 labels of 'warm' count no more; these items are put up to be labelled anew")
    assert "`labelwise gold review 1`" in said[2]
    said = change(here, "add", "mild", "lukewarm")
    assert said[1].startswith("no gold row is 'mild'")
    assert subjects(here)[:3] == [
        "classes: add mild, lukewarm",
        "classes: drop warm",
        "classes: rename hot to very hot",
    ]
    assert len(ledger.effective(ledger.today(fresh(here)))) == 6
    kept = (here.root / "params.yaml").read_text(encoding="utf-8")
    comments = [line.partition("#")[2] for line in params.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in kept.splitlines() if "#" in line] == comments
    assert YAML(typ="safe").load(kept)["classes"] == ["very hot", "cold", "mild", "lukewarm"]


def test_the_list_says_what_there_is_and_was(here: Workspace) -> None:
    change(here, "rename", "hot", "very hot")
    change(here, "split", "warm", "mild", "tepid")
    rows = classes.table(fresh(here))
    assert [(row.name, row.key, row.labels, row.gold, row.earlier, row.became) for row in rows] == [
        ("very hot", "1", 4, 1, ["hot"], ""),
        ("cold", "2", 2, 1, [], ""),
        ("mild", "3", 0, 0, [], ""),
        ("tepid", "4", 0, 0, [], ""),
        ("warm", "", 2, 1, [], "split"),
    ]
    assert classes.lines(rows) == [
        "key  class     labels  gold  earlier names",
        "1    very hot       4     1  hot",
        "2    cold           2     1",
        "3    mild           0     0",
        "4    tepid          0     0",
        "split: 'warm': 2 labels to be given anew, 1 gold row set aside",
    ]
    assert json.loads(classes.as_json(rows))["classes"][0]["earlier"] == ["hot"]
    gone = [classes.Row("warm", "", 2, 1, [], "dropped")]
    assert classes.lines(gone)[1:] == ["dropped: 'warm': 2 labels to be given anew, 1 gold row set aside"]
    assert classes.lines(gone, several=True)[1:] == ["dropped: 'warm': taken out of 2 labels and 1 gold row"]


def test_gold_of_a_class_that_is_gone_measures_nothing_until_it_is_said_anew(here: Workspace, tmp_path: Path) -> None:
    change(here, "drop", "warm")
    seen = fresh(here)
    assert sorted(trusted.gold(seen).label) == ["cold", "hot"]
    (lost,) = trusted.lapsed(seen)
    assert str(asking.counts(seen)).endswith("1 set aside: of classes that there are no more")
    pull.run(seen)  # the file has it still
    assert sorted(trusted.gold(seen).label) == ["cold", "hot"] and not list(seen.quarantine.glob("gold*"))

    # Two people say what it is: their word against the one of before.
    own = pd.read_parquet(seen.gold)
    row = own[own.id == lost].assign(ask=1, why=trusted.REVIEW, turn=None, propensity=None, among=None, doubt=None)
    write_parquet(seen.trusted / "asked-0001.parquet", row, ASKED)
    said = {"id": lost, "label": "hot", "status": "labelled", "ask": 1, "task_id": 1, "lead_time_s": 1.0}
    people = [
        said | {"annotator": who, "annotation_id": n, "created_at": f"2026-01-0{n}T00:00:00Z"}
        for n, who in ((1, "a"), (2, "b"))
    ]
    write_parquet(seen.trusted / "answers-0001.parquet", pd.DataFrame(people), ANSWERS)
    assert sorted(trusted.gold(seen).label) == ["cold", "hot", "hot"] and trusted.lapsed(seen).empty
    for name in ("asked", "answers"):
        (seen.trusted / f"{name}-0001.parquet").unlink()

    # Or the gold file says it.
    (tmp_path / "gold.csv").write_text("text,label\nred,hot\nblue,cold\nrose,cold\n")
    pull.run(seen)
    assert sorted(trusted.gold(seen).label) == ["cold", "cold", "hot"] and trusted.lapsed(seen).empty
    assert len(pd.read_parquet(seen.gold)) == 3


def test_what_was_decided_for_a_class_that_is_gone_is_set_aside_and_holds_up_nothing() -> None:
    asked = pd.DataFrame({"id": ["a", "b"], "label": [None, None], "why": trusted.GROWN, "ask": [1, 2], "turn": [1, 2]})
    one = {"status": "labelled", "lead_time_s": 1.0, "task_id": 1}
    said = [
        one
        | {"id": item, "label": label, "annotator": who, "ask": 1, "annotation_id": number, "created_at": "2026-01-01"}
        for number, (item, label, who) in enumerate(
            [("a", "spam", "x"), ("a", "spam", "y"), ("b", "bug", "x"), ("b", "bug", "y")]
        )
    ]
    seen = trusted.verdicts(asked, ANSWERS.conform(pd.DataFrame(said)), lapsed=["spam"])
    assert seen.state.tolist() == [trusted.LAPSED, "decided"]
    assert trusted.complete(seen).id.tolist() == ["a", "b"]  # the second ask counts all the same


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "place", ["os:fsync", "pathlib:Path.replace", "labelwise.tasks.services.versions.workspace:Versions.save"]
)
def test_a_command_that_dies_is_finished_by_the_same_or_by_the_next(here: Workspace, place: str, when: str) -> None:
    def deadly() -> None:
        begun = classes.write

        def write(*words: object) -> None:
            if not place.startswith("labelwise"):
                die.plant(place, 0, when, die.die)
            begun(*words)  # type: ignore[arg-type]

        classes.write = write  # type: ignore[assignment]
        if place.startswith("labelwise"):
            die.plant(place, 0, when, die.die)
        change(here, "rename", "hot", "very hot")

    log = here.root.parent / "log"
    assert ended(fork(deadly, log)) == -9, log.read_text()
    said: list[str] = []
    written = "very hot" in fresh(here).settings.classes  # the file is the old one or the new one
    assert fresh(here).settings.classes == (["very hot", "cold", "warm"] if written else ["hot", "cold", "warm"])
    said += change(here, "rename", "hot", "very hot", tell=said.append)
    assert fresh(here).settings.renamed == {"hot": "very hot"}
    assert len([subject for subject in subjects(here) if subject.startswith("classes:")]) == 1
    assert not Versions(here.root).git("status", "--porcelain")
    assert any("cut off" in line for line in said) == written
    change(here, "drop", "cold")  # and nothing hinders the next one


def test_a_change_that_died_is_kept_by_the_next_run(here: Workspace) -> None:
    def deadly() -> None:
        die.plant(SAVE, 0, "before", die.die)
        change(here, "merge", "hot", "warm", "not cold")

    assert ended(fork(deadly, here.root.parent / "log")) == -9
    with claimed(here) as claim:
        assert (claim.loop_unfinished, claim.unfinished_command) == (False, "classes merge hot warm 'not cold'")
        said = classes.keep(fresh(here), Versions(here.root))
    assert said.endswith("classes: 'hot' and 'warm' are one class now, 'not cold'")
    assert subjects(here)[0] == "classes: 'hot' and 'warm' are one class now, 'not cold'"


def test_what_was_written_by_hand_is_kept_by_itself(here: Workspace) -> None:
    settings.change(here.root / "params.yaml", {"classes": ["hot", "cold", "warm", "mild"], "seed": 7})
    assert "'mild' is new" in classes.keep(fresh(here), Versions(here.root))
    settings.change(here.root / "params.yaml", {"seed": 8})
    assert not classes.keep(fresh(here), Versions(here.root))  # the round takes it along
    told: list[str] = []
    change(here, "drop", "mild", tell=told.append)
    assert told == ["params.yaml had changes that no version had; they are one now: settings: changed by hand"]
    assert subjects(here)[:3] == ["classes: drop mild", "settings: changed by hand", "classes: 'mild' is new"]
    # Taken out though labels bear it, and then said what became of it: one version.
    settings.change(here.root / "params.yaml", {"classes": ["hot", "cold", "lukewarm"]})
    change(here, "rename", "warm", "lukewarm")
    assert subjects(here)[0] == "classes: rename warm to lukewarm" and len(subjects(here)) == 6
    assert fresh(here).settings.renamed == {"warm": "lukewarm"}


def test_what_hinders_a_change(here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    params = here.root / "params.yaml"
    written = params.read_text(encoding="utf-8")
    drop = partial(change, here, "drop", "warm")
    with claimed(here), pytest.raises(WorkspaceBusy, match=r"another loop is at work in .*: got process [0-9]+ on "):
        drop()
    with pytest.raises(WorkspaceError), claimed(here) as claim:  # a loop that fails
        claim.begin("run")
        raise WorkspaceError("a server is down")
    with pytest.raises(WorkspaceError, match=r"last run of the loop did not end\. To mend it: `labelwise run`"):
        drop()
    with claimed(here):
        pass
    params.write_text(f"{written}\n[", encoding="utf-8")  # no YAML
    with pytest.raises(LabelwiseError, match="git stash push"):
        drop()
    params.write_text(written, encoding="utf-8")
    refusing = SimpleNamespace(refuse=lambda: (_ for _ in ()).throw(WorkspaceError("played by another")))
    with monkeypatch.context() as patch:
        patch.setattr(player, "Play", lambda *_words: refusing)
        with pytest.raises(WorkspaceError, match="played by another"):
            drop()
    Versions(here.root).git("checkout", "--quiet", "--detach")
    with pytest.raises(WorkspaceError, match="no branch"):
        drop()
    Versions(here.root).git("switch", "--quiet", "main")
    assert params.read_text(encoding="utf-8") == written
    drop()
    change(here, "add", "mild", "tepid")
    change(here, "drop", "hot")
    with pytest.raises(InputError, match="no gold row would be left to measure by"):
        change(here, "drop", "cold")


FORMS = {
    "in a line": "classes: [a, 'b c', d]  # which\n# of today\n",
    "a line each": "classes:\n- a  # the first\n- b c\n- d  # the last\n\n# of the sources\n",
    "described": 'classes:\n  a: alpha  # the first\n  b c: "x: y"\n  d:  # the last\n\n# of the sources\n',
    "described in braces": 'classes: {a: alpha, "b c": "x: y", d: null}  # which\n',
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "given",
    [
        ("rename", "d", "e, f"),
        ("rename", "a", "yes"),
        ("merge", "a", "d", "a"),
        ("drop", "d"),
        ("drop", "a"),
        ("split", "b c", "1", "🙂 <b>"),
        ("add", "no: way"),
    ],
)
def test_params_yaml_keeps_its_form_and_its_comments(tmp_path: Path, form: str, given: tuple[str, ...]) -> None:
    file = tmp_path / "params.yaml"
    rest = json.dumps(GIVEN)[1:-1].replace(', "pull"', '\n"pull"')
    file.write_text(
        f"seed: 1  # of all\n{FORMS[form]}{rest}\npromote: {{protected: [a]}}  # never worse\n"
        "evaluate: {measure: 'f1:a'}  # the rare one\n",
        encoding="utf-8",
    )
    before = file.read_text(encoding="utf-8")
    was = settings.read(file)
    after = VERBS[given[0]](Classes.of(was), *given[1:])
    classes.write(Workspace(tmp_path), after)
    written = file.read_text(encoding="utf-8")
    now = parse(YAML(typ="safe").load(written))
    assert Classes.of(now) == after
    told = {after.renamed.get(name, name): text for name, text in was.descriptions.items()}
    assert now.descriptions.items() <= told.items() and len(now.descriptions) >= len(was.descriptions) - 1
    comments = {line.partition("# ")[2] for line in before.splitlines()}
    lost = comments - {line.partition("# ")[2] for line in written.splitlines()}
    assert lost <= ({"the first"} if "a" not in after.names and given[0] == "drop" else set())


def test_a_class_that_a_rule_or_a_worth_is_about_is_not_dropped(here: Workspace) -> None:
    params = here.root / "params.yaml"
    settings.change(params, {"evaluate.measure": "f1:cold", "stop.rule": "recall"})
    with pytest.raises(InputError, match=r"stop\.rule is about 'cold'.* give stop.rule another value"):
        change(here, "drop", "cold")
    assert fresh(here).settings.measure.text == "f1:cold"
    assert "models are judged by the F1 of icy" in "; ".join(change(here, "rename", "cold", "icy"))
    assert fresh(here).settings.measure.text == "f1:icy"
    settings.change(params, {"stop.rule": "value", "evaluate.measure": "recall:icy at  precision 0.90"})
    assert "by the recall of cold: very (at precision 0.9)" in "; ".join(change(here, "rename", "icy", "cold: very"))
    assert fresh(here).settings.measure.text == "recall:cold: very at precision 0.9"
    change(here, "drop", "cold: very")
    assert fresh(here).settings.measure.text == "accuracy"
