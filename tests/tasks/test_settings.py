"""params.yaml: what is accepted, and the one line with which everything else is refused."""

import copy
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from labelwise.tasks.errors import SettingsError
from labelwise.tasks.settings import Settings, as_line, change, formula, one_of, parse, read, refuse_empty_rules
from labelwise.tasks.workspace import table_of_text, write_csv

TEMPLATE = Path(__file__).parents[2] / "params.yaml"
GONE = object()
ON_FILES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def template() -> dict[str, Any]:
    """The shipped file as `labelwise init` completes it."""
    content = YAML(typ="safe").load(TEMPLATE.read_text(encoding="utf-8"))
    content["classes"] = ["no", "yes"]
    content["pull"] |= {"pool": "pool.csv", "gold": "gold.csv"}
    return content


VALID = template()


def with_value(dotted: str, value: Any) -> dict[str, Any]:
    """The valid content with one key changed, or taken away."""
    content = copy.deepcopy(VALID)
    *sections, key = dotted.split(".")
    section = content
    for part in sections:
        section = section[part]
    section[key] = value
    if value is GONE:
        del section[key]
    return content


def refusal(content: Any) -> str:
    """The one line with which content is refused."""
    with pytest.raises(SettingsError) as caught:
        parse(content)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert caught.value.exit_code == 2
    return line


def test_the_template_is_valid_once_classes_and_sources_are_set() -> None:
    made = parse(VALID)
    assert made.classes == ["no", "yes"]
    shown = set(VALID) | set(re.findall(r"^# (\w+): ", TEMPLATE.read_text(encoding="utf-8"), re.MULTILINE))
    assert shown == set(Settings.model_fields) - {"descriptions"}  # every section is shown to the user
    for name, section in VALID.items():
        if isinstance(section, dict):
            assert set(section) == set(type(getattr(made, name)).model_fields)


def test_the_control_arm_is_a_share_or_follows_the_meter() -> None:
    for share in (0, 0.3, 1, "auto"):
        assert parse(VALID | {"select": {"control": share}}).select.control == share
    for strange in ("aut", 1.5, -0.1, None, [0.2], True, float("nan")):
        said = refusal(VALID | {"select": {"control": strange}})
        assert said.startswith("params.yaml: select.control: expected a share from 0 to 1, or auto; got")


def test_a_class_that_was_renamed_has_its_last_name_at_once() -> None:
    assert parse(VALID).renamed == {}
    made = parse(VALID | {"renamed": {"never": "nope", "nope": "no", "nay": "no"}})
    assert made.renamed == {"never": "no", "nope": "no", "nay": "no"}
    assert set(made.answerable) == {"no", "yes", "never", "nope", "nay"}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"dropped": ["no"]}, "dropped: 'no' stands in `classes`, too; take it out of one of them"),
        ({"split": ["nay"], "renamed": {"nay": "no"}}, "split: 'nay' stands in `renamed`, too"),
        ({"split": ["nay"], "dropped": ["nay"]}, "dropped: 'nay' stands in `split`, too"),
        ({"split": ["nay", "nay"]}, "split: 'nay' stands there more than once"),
        ({"dropped": "nay"}, "`dropped`"),
    ],
)
def test_a_class_that_is_gone_is_said_once(tables: Any, said: str) -> None:
    assert said in refusal(VALID | tables)
    made = parse(VALID | {"dropped": ["nay"], "split": ["perhaps"], "renamed": {"never": "nay"}})
    assert set(made.answerable) == {"no", "yes", "nay", "perhaps", "never"}


@pytest.mark.parametrize(
    ("renamed", "said"),
    [
        ({"no": "yes"}, "renamed: 'no' is one of the classes; take it out of `renamed`, or out of `classes`"),
        ({"nope": "noo"}, "renamed: 'nope' leads to 'noo', which is none of the classes; did you mean 'no'?"),
        ({"a": "b", "b": "later"}, "'a' leads to 'later', which is none of the classes; if 'later' has another name"),
        ({"a": "b", "b": "a"}, "renamed: 'a' -> 'b' -> 'a' leads to no class; take one of these out"),
        ({"a": "a"}, "renamed: 'a' -> 'a' leads to no class"),
        ({1: "no"}, "`renamed.1.[key]`"),
        ({"a": 1}, "`renamed.a`"),
        (["a"], "`renamed`"),
    ],
)
def test_renamed_leads_from_what_is_no_class_to_what_is_one(renamed: Any, said: str) -> None:
    assert said in refusal(VALID | {"renamed": renamed})


@pytest.mark.parametrize("name", ["a: b", "c, d", "#x", "it's", 'say "hi"', "1", "2.0", "null", "{x}", "~", "- y", "é"])
def test_a_line_for_params_yaml_is_read_as_it_was_meant(name: str) -> None:
    content = {"renamed": {name: "z", "y": name}}
    assert YAML(typ="safe").load(as_line(content)) == content


def test_classes_may_be_described() -> None:
    told = {"yes": None, "no": "<b>a refusal</b>"}
    made = parse(VALID | {"classes": told})
    assert (made.classes, made.descriptions) == (["yes", "no"], {"no": "<b>a refusal</b>"})
    assert "descriptions" not in made.model_dump()
    assert "say it where a class is named" in refusal(VALID | {"descriptions": told})
    assert "`descriptions.no`" in refusal(VALID | {"classes": {"yes": None, "no": 5}})
    for classes in ({"yes": None}, {"yes": "", 1: ""}, {"": "", "no": ""}, {}):
        assert "classes" in refusal(VALID | {"classes": classes})


def test_a_rule_that_says_nothing_is_refused_with_what_to_set() -> None:
    with pytest.raises(SettingsError, match=r"not_worse.*tolerance: 0.*such as 0\.01") as refused:
        refuse_empty_rules(parse(VALID | {"promote": {"rule": "not_worse"}}))
    assert "\n" not in str(refused.value)
    refuse_empty_rules(parse(VALID | {"promote": {"rule": "not_worse", "tolerance": 0.01}}))
    refuse_empty_rules(parse(VALID | {"promote": {"rule": "better", "tolerance": 0.0}}))


def test_the_template_shows_the_defaults() -> None:
    bare = {key: VALID[key] for key in ("project", "classes", "pull")}
    bare["embed"] = {
        "wording": True,
        "precision": "auto",
    }  # off where params.yaml is from before there were such things
    bare["agree"] = {"by": "auto"}  # the same
    bare["select"] = {"seek": True, "typical": True, "fallback": True, "suspects": 0.2}
    assert parse(bare) == parse(VALID)


@pytest.mark.parametrize(
    ("key", "meant"), [("selct", "select"), ("select.bacth", "batch"), ("pull.columns.txt", "text"), ("sed", "seed")]
)
def test_an_unknown_key_is_named_and_the_likely_one_offered(key: str, meant: str) -> None:
    line = refusal(with_value(key, 1))
    assert f"unknown key `{key}`" in line
    assert f"did you mean `{meant}`?" in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("select.batch", "25"),
        ("select.batch", True),
        ("select.batch", 25.0),
        ("seed", "0"),
        ("push.show_prediction", 1),
        ("push.show_prediction", "yes"),
        ("promote.tolerance", False),
        ("classes", "no, yes"),
        ("pull.pool", None),
        ("pull.columns.text", 3),
        ("embed", 5),
        ("embed", None),
        ("embed", ["encoder"]),
        ("wait.deadline_hours", "soon"),
    ],
)
def test_a_wrong_type_is_named_with_what_came(key: str, value: Any) -> None:
    line = refusal(with_value(key, value))
    assert f"`{key}`" in line
    assert repr(value) in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", 2**32),
        ("select.batch", 0),
        ("embed.max_tokens", 4),
        ("embed.encoder", ""),
        ("train.regularisation", 0.0),
        ("train.regularisation", float("inf")),
        ("evaluate.resamples", 10),
        ("wait.quorum", 0.0),
        ("wait.quorum", 1.5),
        ("wait.quorum", float("nan")),
        ("wait.deadline_hours", 1e300),
        ("wait.poll_seconds", [1]),
        ("promote.tolerance", -0.1),
        ("pull.max_refused", 2),
        ("project.name", "n" * 37),
        ("project.name", ""),
        ("project.id", "i" * 12),
        ("project.id", ""),
        ("project.id", "a b"),
        ("classes", ["only"]),
    ],
)
def test_a_value_out_of_range_is_named(key: str, value: Any) -> None:
    assert f"`{key}`" in refusal(with_value(key, value))


def test_the_longest_name_and_id_fit_a_title_of_label_studio() -> None:
    project = parse(with_value("project", {"name": "n" * 36, "id": "i" * 11})).project
    assert len(f"{project.name} · {project.id}") == 50


def test_an_item_of_a_list_is_named_by_its_position() -> None:
    assert "`classes.1`" in refusal(with_value("classes", ["no", 1]))
    assert "`wait.poll_seconds.1`" in refusal(with_value("wait.poll_seconds", [1, float("inf")]))


@pytest.mark.parametrize("key", ["pull", "project", "classes", "pull.gold", "project.id"])
def test_what_is_missing_is_named(key: str) -> None:
    assert f"`{key}` is missing" in refusal(with_value(key, GONE))


def test_rules_over_several_values() -> None:
    assert "maybe stands there more than once" in refusal(with_value("classes", ["maybe", "no", "maybe"]))
    assert "wait: poll_seconds must rise" in refusal(with_value("wait.poll_seconds", [3, 1]))


@pytest.mark.parametrize("content", [None, [], ["pull"], "pull", 3])
def test_content_that_is_no_mapping(content: Any) -> None:
    assert f"got {type(content).__name__}" in refusal(content)


@pytest.mark.parametrize(
    "written", ["select: [1\n", "a: 1\na: 2\n", "\tseed: 1", "seed: 2024-13-45", "seed: !!int\n", "\xff"]
)
def test_a_file_that_is_no_yaml(tmp_path: Path, written: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(written.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"^params\.yaml is no YAML: .") as caught:
        read(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is missing"):
        read(tmp_path / "params.yaml")


def test_change_keeps_every_comment_and_the_order(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")

    change(path, {"classes": ["no", "yes"], "pull.pool": "p.csv", "pull.gold": "g.csv", "pull.columns.id": "key"})

    def comments(text: str) -> list[str]:
        return [line.partition("#")[2] for line in text.splitlines() if "#" in line]

    written = path.read_text(encoding="utf-8")
    assert comments(written) == comments(TEMPLATE.read_text(encoding="utf-8"))
    assert list(YAML(typ="safe").load(written)) == list(VALID)
    assert read(path).pull.columns.id == "key"
    assert read(path).seed == VALID["seed"]


def test_a_list_stays_on_its_line_before_its_comment(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("classes: []     # the answers\nseed: 0\n", encoding="utf-8")
    change(path, {"classes": ["no way", "a:b", "ja, nein", "2"]})
    first, second = path.read_text(encoding="utf-8").splitlines()
    assert first.split("#")[0].strip() == """classes: [no way, "a:b", "ja, nein", '2']"""
    assert (first.split("#")[1], second) == (" the answers", "seed: 0")


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.sampled_from(":?,[]{}#&*!|>%@`'\" -"),
    min_size=1,
    max_size=100,
).filter(lambda name: not re.search("[\u202a-\u202e\u2066-\u2069]|^\\s*[=+@-].*[(|!]", name))


@given(names=st.lists(NAMES, min_size=2, max_size=5, unique=True))
@example(names=["yes", "no"])
@example(
    names=["a:b", ":a", "a?", "?a", "? a", "-", "- ", "-a", "---", "...", "=", "<<", "\xa0", "\ufeff", "0x1", "1_0"]
)
@example(names=["word " * 20, "long" * 25, "x: " * 33, "a  " * 33])
@example(names=["null", "~", "1", "1.0", "true", "2024-01-01", "- a", "a: b", "# c", " ", "'", '"', "{", "*a"])
@settings(ON_FILES, max_examples=25)
def test_any_class_name_survives_the_file(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    change(path, {"classes": names})
    assert read(path).classes == names


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "a\x7f", "\u202egnp", "\x9b2J", "\r"])
def test_names_that_are_commands_to_a_terminal(name: str) -> None:
    for content in (VALID | {"classes": ["a", name]}, VALID | {"project": {"name": name, "id": "x"}}):
        with pytest.raises(SettingsError, match="has control characters") as caught:
            parse(content)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", '=HYPERLINK("http://x")', "@SUM(1)", "-2+3+cmd|x", " =A(1)"])
def test_a_class_that_a_spreadsheet_would_run_is_quoted_where_a_table_is_written(tmp_path: Path, name: str) -> None:
    assert parse(VALID | {"classes": ["a", name]}).classes[1] == name
    cells = [name, f"'{name}", f"''{name}", "'quoted'", "+1 (agree)", "'", "", "NA", "-1"]
    write_csv(tmp_path / "a.csv", pd.DataFrame({"class": cells, "f1": 0.5}))
    shown = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)["class"].tolist()
    assert not [cell for cell in shown if formula(cell)]
    assert table_of_text(tmp_path / "a.csv")["class"].tolist() == cells


def test_a_long_name_is_shown_with_the_limit() -> None:
    with pytest.raises(SettingsError, match="at most 100 characters, got 124: 'Long"):
        parse(VALID | {"classes": ["a", "Long" * 31]})


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hunter2@example.org/pool.csv",
        "https://hunter2@example.org/pool.csv",
        "s3://KEY:hunter2@bucket/pool.csv",
        "abfs://box:hunter2@account/x",
        "https://bucket.example.org/pool.csv?X-Amz-Signature=hunter2",
        "https://example.org/pool.csv?a=b&access_token=hunter2",
    ],
)
def test_an_address_that_carries_a_secret_is_refused_and_not_said(address: str) -> None:
    for key in ("pool", "gold"):
        with pytest.raises(SettingsError, match=f"pull.{key}: the address carries a password or a key") as caught:
            parse(VALID | {"pull": VALID["pull"] | {key: address}})
        assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        parse(VALID | {"pull": address})  # a wrong type is shown as it came
    assert "hunter2" not in str(caught.value)
    for fine in (
        "s3://bucket/a@b:c.csv",
        "/data/me:x@y/pool.csv",
        "abfs://box@account/x",
        "sftp://me@example.org/pool.csv",
        "https://x.org/a.csv?page=2",
    ):
        parse(VALID | {"pull": VALID["pull"] | {"pool": fine}})
    with pytest.raises(SettingsError, match="carries a password or a key"):  # a blank does not end it
        parse(VALID | {"pull": VALID["pull"] | {"pool": "https://me:hunter2 @example.org/pool.csv"}})


def test_a_change_that_fails_leaves_the_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")

    def full(_self: Any, _content: Any, file: Any) -> None:
        file.write("seed: 1\nproj")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labelwise.tasks.settings.YAML.dump", full)
    with pytest.raises(OSError, match="No space left"):
        change(path, {"seed": 1})
    assert [each.name for each in tmp_path.iterdir()] == ["params.yaml"]
    assert path.read_text(encoding="utf-8") == TEMPLATE.read_text(encoding="utf-8")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.binary()
KEYS = st.text(max_size=8) | st.integers() | st.none() | st.sampled_from(list(VALID))
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=10
)
PLACES = [*VALID, *(f"{name}.{key}" for name in VALID if isinstance(VALID[name], dict) for key in VALID[name])]


@given(content=ANYTHING | st.builds(with_value, st.sampled_from(PLACES), ANYTHING))
@settings(deadline=None)
def test_any_content_gives_settings_or_one_line(content: Any) -> None:
    try:
        assert isinstance(parse(content), Settings)
    except SettingsError as error:
        assert len(str(error).splitlines()) == 1


SCRAPS = ["!!int ", "!!float ", "!!timestamp ", "!!set ", "&a ", "*a", "<<: ", "1e400", "[", "}", "? ", "| ", "\t"]


@given(
    at=st.integers(0, len(TEMPLATE.read_text(encoding="utf-8"))),
    scrap=st.sampled_from(SCRAPS) | st.text(max_size=3),
    cut=st.integers(0, 12),
)
@ON_FILES
def test_any_damage_to_the_file_gives_settings_or_one_line(tmp_path: Path, at: int, scrap: str, cut: int) -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(text[:at] + scrap + text[at + cut :], encoding="utf-8")
    try:
        assert isinstance(read(path), Settings)
    except SettingsError as error:
        assert len(str(error).splitlines()) == 1


def test_one_of_offers_the_nearest_name() -> None:
    assert one_of("select.strategy", "margin", {"margin": 1}) == 1
    with pytest.raises(SettingsError, match=r"`select\.strategy`.*got 'margn'.*did you mean `margin`\?"):
        one_of("select.strategy", "margn", {"margin": 1, "entropy": 2})
