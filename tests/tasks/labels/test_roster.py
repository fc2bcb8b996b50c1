"""people.yaml: names and rates, and one line where it is wrong."""

from pathlib import Path

import pandas as pd
import pytest

from labelwise.tasks.errors import SettingsError
from labelwise.tasks.kinds import choice
from labelwise.tasks.labels import people, queues, roster
from labelwise.tasks.labels.agreement import Quality
from labelwise.tasks.labels.roster import Person
from labelwise.tasks.proof import money
from labelwise.tasks.records import LABELS
from labelwise.tasks.services.label_studio.project import Queue
from labelwise.tasks.settings import parse
from labelwise.tasks.workspace import Workspace


def read(root: Path, text: str) -> dict[str, Person]:
    (root / roster.FILE).write_text(text)
    return roster.read(Workspace(root))


def test_names_and_rates(tmp_path: Path) -> None:
    assert roster.read(Workspace(tmp_path)) == {} == read(tmp_path, "# nobody yet\n")
    found = read(tmp_path, "7: {name: Ana, rate: 60}\n'8': {name: Ben}\n9: {rate: 0}\n")
    assert found == {"7": Person(name="Ana", rate=60), "8": Person(name="Ben"), "9": Person(rate=0)}
    assert roster.rates(found) == {"7": 60, "9": 0}
    experts = read(tmp_path, "7: {expert: true}\n8: {expert: false}\n9: {expert: true}\n")
    assert roster.experts(experts, ["7", "8"]) == ["7"]
    named = {number: one.name for number, one in found.items()}
    assert people.line(Quality("7", 3, None, None, None), named).startswith("7 (Ana): 3 answers")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7: {name: Ana", "people.yaml is no YAML"),
        ("- Ana\n", "people.yaml: expected {7: {name: Ana, rate: 60, expert: true}}.* got list"),
        ("ana@example.com: {rate: 60}\n", "'ana@example.com' is no number of an account.*labelwise people"),
        ("7: 60\n", "`7`: expected.*got int"),
        ("7: {rate: -1}\n", r"`7\.rate`: expected Input should be greater than or equal to 0.*got -1"),
        ("7: {rate: '60'}\n", r"`7\.rate`: expected Input should be a valid number.*got '60'"),
        ("7: {wage: 60}\n", r"`7\.wage`"),
        ("7: {classes: late}\n", r"`7\.classes`: expected Input should be a valid list.*got 'late'"),
        ("7: {columns: {language: de}}\n", r"`7\.columns\.language`: expected Input should be a valid list.*got 'de'"),
        ("7: {columns: {language: []}}\n", r"`7\.columns\.language`: expected List should have at least 1 item"),
        ("7: {expert: sometimes}\n", r"`7\.expert`: expected Input should be a valid boolean.*got 'sometimes'"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_who_has_a_rate_of_his_own_is_paid_by_it() -> None:
    rows = pd.DataFrame({"annotation_id": range(4), "annotator": ["7", "7", "8", "9"], "lead_time_s": 36.0})
    rows.loc[:1, "lead_time_s"] = 72.0  # who is dear takes twice as long
    ledger = LABELS.conform(rows.reindex(columns=list(LABELS.columns)).assign(round=1))
    alike = money.costs(ledger, pd.DataFrame(), 30.0, 0.5)
    paid = money.costs(ledger, pd.DataFrame(), 30.0, 0.5, rates={"7": 60.0})
    assert alike.labels == pytest.approx(4 * 54 / 3600 * 30)
    assert paid.labels == pytest.approx(2 * 72 / 3600 * 60 + 2 * 54 / 3600 * 30)
    assert paid.label == pytest.approx(paid.labels / 4) and paid.seconds_a_label == 54


PEOPLE = """
7: {name: Ana, expert: true}
8: {name: Ben, columns: {language: [de, fr]}}
9: {classes: [late, gone]}
"""
CONTENT = {"project": {"name": "n", "id": "i"}, "classes": ["late", "broken"], "pull": {"pool": "p", "gold": "g"}}


def test_who_may_answer_a_part_alone_has_a_queue_and_hard_items_are_for_experts(tmp_path: Path) -> None:
    people = read(tmp_path, PEOPLE)
    accounts = {"7": "ana@example.com", "8": "ben@example.com", "9": "cleo@example.com"}
    assert [*queues.queues(people, accounts)] == [Queue("experts", "experts"), Queue("8", "Ben"), Queue("9", "9")]
    assert [*queues.queues(people, {})] == []
    alike = read(tmp_path, "8: {name: Ben, classes: [late]}\n9: {name: ben, expert: true}\n")
    assert [each.called for each in queues.queues(alike, accounts)] == ["experts", "Ben (8)"]
    contexts = {"a": '{"language": "de"}', "b": '{"language": "en"}', "c": '{"language": "fr "}'}
    batch = pd.DataFrame({"id": list("abcd"), "prediction": ["late", "broken", None, "late"]})
    found = queues.whose(batch, contexts, {"d"}, people, accounts, choice)
    assert found == {"a": " 8 9 ", "b": "", "c": " 8 9 ", "d": "experts"}
    people = read(tmp_path, PEOPLE)
    without = {number: person for number, person in people.items() if number == "7"}
    assert queues.whose(batch, contexts, set(), without, accounts, choice) == {}


def test_classes_and_columns_that_there_are_not_are_one_line(tmp_path: Path) -> None:
    settings = parse(CONTENT | {"renamed": {"gone": "late"}})
    with pytest.raises(SettingsError, match=r"people.yaml: `8\.columns`: expected none, since .*got 'language'"):
        roster.refuse_strange(read(tmp_path, PEOPLE), settings)
    roster.refuse_strange(read(tmp_path, "9: {classes: [late, gone]}"), settings)
    with pytest.raises(SettingsError, match=r"`9\.classes`: expected some of late, broken, gone, got 'lat'"):
        roster.refuse_strange(read(tmp_path, "9: {classes: [lat]}"), settings)


def test_a_name_that_nobody_has_is_said() -> None:
    accounts = {"1": "owner@example.com", "7": "ana@example.com"}
    assert list(roster.strangers({"7"}, accounts)) == []
    (said,) = roster.strangers({"7", "9"}, accounts)
    assert said == (
        "people.yaml names 9, which is no account in Label Studio; there are 1 (owner@example.com), 7 (ana@example.com)"
    )
