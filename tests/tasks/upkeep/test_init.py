"""Labels that exist already: the ledger's first rows, or one line that says why not."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from labelwise.tasks import pull
from labelwise.tasks.errors import InputError, SettingsError
from labelwise.tasks.kinds import Answer, choice, image, multilabel
from labelwise.tasks.labels import consensus, ledger
from labelwise.tasks.records import content_id
from labelwise.tasks.settings import Columns, Kind, Pull, change, kind_of, read
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace

POOL = "text\n" + "".join(f"item {n}\n" for n in range(20))
GOLD = "text,label\nred,warm\nblue,cold\n"


def made(
    tmp_path: Path,
    labelled: str,
    pool: str = POOL,
    gold: str = GOLD,
    tell: Callable[[str], None] = print,
    annotator: str | None = None,
) -> Workspace:
    for name, content in (("pool.csv", pool), ("gold.csv", gold), ("labelled.csv", labelled)):
        (tmp_path / name).write_text(content)
    sources: dict[str, Any] = {name: str(tmp_path / f"{name}.csv") for name in ("pool", "gold", "labelled")}
    usual: dict[str, Any] = {"classes": None, "name": "", "remote": None, "columns": Columns()}
    return init.run(tmp_path / "here", **sources, **usual, tell=tell, annotator=annotator)


def test_labels_that_exist_are_the_first_in_the_ledger(tmp_path: Path) -> None:
    workspace = made(tmp_path, "text,label\nitem 1,warm\nitem 7, cold\nitem 1,warm\n")
    rows = ledger.read(workspace.labels)
    assert rows.label.tolist() == ["warm", "cold"]
    assert set(rows.origin) == {"imported"}
    assert ledger.current_round(workspace.labels) == 0
    assert set(ledger.closed(rows)) == set(rows.id)  # nobody is asked again


def test_several_people_may_have_labelled_a_row_where_it_is_said_who(tmp_path: Path) -> None:
    given = "text,label,who\nitem 1,warm,ada\nitem 1,cold, ben \nitem 7,cold,ada\nitem 7,cold,\nitem 1,warm,ada\n"
    workspace = made(tmp_path, given, annotator="who")
    rows = ledger.read(workspace.labels)
    assert list(zip(rows.annotator, rows.label, strict=True)) == [
        ("ada", "warm"),
        ("ben", "cold"),
        ("ada", "cold"),
        ("imported", "cold"),
    ]
    table = consensus.of(workspace, ledger.today(workspace))
    assert table["people"].tolist() == [2, 2]


@pytest.mark.parametrize("annotator", [None, "who"])
def test_two_labels_of_one_person_are_refused_with_the_way_to_say_who_gave_them(
    tmp_path: Path, annotator: str | None
) -> None:
    with pytest.raises(InputError, match="2 rows with two labels: expected one label a text and person") as refused:
        made(tmp_path, "text,label,who\nitem 1,warm,ada\nitem 1,cold,ada\n", annotator=annotator)
    assert ("--annotator-column" in str(refused.value)) == (annotator is None)


def test_a_text_may_begin_as_the_cell_of_an_unread_file_does(tmp_path: Path) -> None:
    pool = POOL + "unread: my mail\n"
    _, said = begun(tmp_path, pool=pool)
    (tmp_path / "labelled.csv").write_text("text,label\nunread: my mail,warm\n")
    pull = Pull(pool=str(tmp_path / "pool.csv"), gold=str(tmp_path / "gold.csv"))
    found = init.labels_in(str(tmp_path / "labelled.csv"), pull, said.append)
    assert found.label.tolist() == ["warm"] and not any("cannot be read" in line for line in said)


def test_labels_of_pictures_none_of_which_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "labelled.csv").write_text("image,label\nnone.png,red\n../x.png,red\nnothing.png,blue\n")
    pull = Pull(pool="", gold="")
    why = r"no image can be read: .* got 2 x file is not there \('none.png'\), 1 x file lies outside .* \('../x.png'\)"
    with pytest.raises(InputError, match=why):
        init.labels_in(str(tmp_path / "labelled.csv"), pull, print, item=image)


@pytest.mark.parametrize(
    ("labelled", "said"),
    [
        ("text,label\nitem 1,hot\n", "1 label outside the classes: expected one of cold, warm"),
        ("text,label\nitem 99,warm\n", "1 row that is not in the pool"),
        ("text,label\nitem 1,warm\nitem 1,cold\n", "2 rows with two labels"),
        ("text,label\nitem 1,\n", "no row has a label yet"),
        ("text,label\nitem 1,WARM\n", "it looks like the class 'warm': write it so"),
        ("text,label\n", "labelled.csv holds no row: expected rows of the pool, with a label"),
    ],
)
def test_what_cannot_be_imported(tmp_path: Path, labelled: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        made(tmp_path, labelled)
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("red", "also in the gold set"),
        ("RED", "also in the gold set"),
        ("a" * 20_001, "text has more than 20000 characters"),
        ("\u200b", "text is blank"),
    ],
)
def test_what_the_pull_will_refuse_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    monkeypatch.setattr(
        "labelwise.tasks.services.expectations._render", lambda folder, _: (folder / "index.html").touch()
    )
    said: list[str] = []
    workspace = made(tmp_path, f"text,label\n{text},warm\nitem 1,cold\n", f"{POOL}{text}\n", tell=said.append)
    line = said[0]
    assert line.endswith(f"labelled.csv: 1 label left out, since the pull will refuse their rows: 1 x {why}")
    assert ledger.read(workspace.labels).label.tolist() == ["cold"]
    assert pull.run(workspace).refused == {why: 1}
    (shard,) = workspace.pool.iterdir()
    assert set(ledger.read(workspace.labels).id) <= set(pd.read_parquet(shard).id)


def test_where_nothing_is_left_to_import_the_ledger_is_empty(tmp_path: Path) -> None:
    said: list[str] = []
    workspace = made(tmp_path, "text,label\nRed,warm\nBlue,cold\n", POOL + "Red\nBlue\n", tell=said.append)
    assert "2 labels left out" in said[0]
    assert ledger.read(workspace.labels).empty


def test_a_text_that_gold_cannot_have_is_the_pools(tmp_path: Path) -> None:
    gold = GOLD + "item 1,warm\nItem 1,cold\n"  # nobody can say which
    gold += "".join(f"colour {n},warm\n" for n in range(10))
    said: list[str] = []
    workspace = made(tmp_path, "text,label\nitem 1,warm\n", gold=gold, tell=said.append)
    assert not [line for line in said if "labels left out" in line]
    assert ledger.read(workspace.labels).label.tolist() == ["warm"]


# What `init` says before it makes anything


def begun(
    tmp_path: Path, pool: bytes | str = POOL, gold: bytes | str = GOLD, **options: Any
) -> tuple[Workspace, list[str]]:
    """A workspace of these files, and what was said while it was made."""
    said: list[str] = []
    for name, content in (("pool.csv", pool), ("gold.csv", gold)):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    columns = options.pop("columns", Columns())
    sources = str(tmp_path / "pool.csv"), str(tmp_path / "gold.csv")
    workspace = init.run(
        tmp_path / "here", *sources, options.pop("classes", None), "", None, columns, tell=said.append, **options
    )
    return workspace, said


def test_it_shows_what_there_is(tmp_path: Path) -> None:
    _, said = begun(tmp_path, pool=POOL + "item 3\nRED\n \n", gold=GOLD + "green,warm\n")
    assert said == [
        "pool  23 rows, 20 items, 1 repeated, refused 2 (1 x text is blank, 1 x also in the gold set)",
        "      e.g. item 0",
        "      e.g. item 1",
        "      e.g. item 2",
        "gold  3 rows, 3 items: cold 1, warm 2",
    ]


def test_it_refuses_what_the_first_pull_would_refuse(tmp_path: Path) -> None:
    blank = r"more than 20% of the rows are refused.*30 x text is blank among 50"
    with pytest.raises(InputError, match=blank) as found:
        begun(tmp_path, pool=POOL + " \n" * 30)
    assert "pull." not in str(found.value)  # there are no settings yet
    with pytest.raises(InputError, match="the id 'k': expected one text for an id"):
        begun(tmp_path, pool="id,text\nk,one\nk,two\n", columns=Columns(id="id"))
    assert not (tmp_path / "here").exists()


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    for name, content in (("a.png", b""), ("b.png", b"<!DOCTYPE html>"), ("c.png", b"<html></html>")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as found:
        pull.look_at_pool(Pull(pool=str(tmp_path), gold=""), set(), item=image)
    said = "1 x file is empty ('a.png'), 2 x file is a web page and no picture ('b.png') among 3 rows"
    assert said in str(found.value)


def test_the_faults_of_all_sources_are_said_at_once(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match=r"pool\.csv has no column 'text'"):
        made(tmp_path, "text\nitem 1\n", pool="body\none\n", gold="text,label\nred,warm\n", tell=said.append)
    assert len(said) == 2
    assert re.match(r"labelwise: .*gold\.csv: too few labels", said[0])
    assert re.match(r"labelwise: .*labelled\.csv has no column 'label'", said[1])
    assert not (tmp_path / "here").exists()


def test_it_says_that_the_encoder_cannot_read_the_texts(tmp_path: Path) -> None:
    _, said = begun(tmp_path, pool="text\n" + "".join(f"{'😀🎉😍💖'[n % 4 :]}{'✨🚀'[n % 2]}\n" for n in range(8)))
    assert "the encoder does not know most characters of 100% of the texts" in said[-1]
    assert "embed.encoder" in said[-1]


def test_gold_need_not_have_the_users_key(tmp_path: Path) -> None:
    workspace, _ = begun(tmp_path, pool="key,text\n1,one\n2,two\n", columns=Columns(id="key"))
    assert pull.look_at_gold(workspace.settings.pull, ["cold", "warm"]).tally.new == 2
    with pytest.raises(InputError, match=r"no column 'key'.*--id-column.* of `labelwise init`"):
        init.run(
            tmp_path / "x", str(tmp_path / "gold.csv"), str(tmp_path / "gold.csv"), None, "", None, Columns(id="key")
        )


UMLAUTS = "text,label\nrot – ja,Rückerstattung\nblau,Gebühr\n"


def test_another_encoding_is_asked_for_and_then_kept(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"is not UTF-8 \(it looks like cp1252, where it has words like 'Rückerstattung'\).*--encoding cp1252",
    ):
        begun(tmp_path, gold=UMLAUTS.encode("cp1252"))
    assert not (tmp_path / "here").exists()
    workspace, _ = begun(tmp_path, gold=UMLAUTS.encode("cp1252"), encoding="cp1252")  # the pool is UTF-8 all the same
    assert workspace.settings.classes == ["Gebühr", "Rückerstattung"]
    assert workspace.settings.pull.encoding == "cp1252"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Café", "Cafe\u0301"),
        ("spam", "spam\u200b"),
        ("True", "true"),
        ("1", "1.0"),
        ("on hold", "On hold."),
        ("a b", "a  b"),
    ],
)
def test_two_spellings_of_a_class_are_refused_unless_both_are_named(tmp_path: Path, one: str, other: str) -> None:
    gold = f"text,label\nred,{one}\nblue,{other}\ngreen,cold\n"
    with pytest.raises(InputError, match="two classes look alike"):
        begun(tmp_path, gold=gold)
    workspace, _ = begun(tmp_path, gold=gold, classes=[one, other, "cold"])
    assert len(workspace.settings.classes) == 3


def test_a_class_with_a_comma_can_be_named(tmp_path: Path) -> None:
    gold = 'text,label\nred,"Fees, charges"\nblue,cold\n'
    with pytest.raises(InputError, match=r"a class with a comma stands in double quotes") as caught:
        begun(tmp_path, gold=gold, classes=init.names(["Fees, charges,cold,new"]))
    assert "\n" not in str(caught.value)
    for given in (['"Fees, charges",cold,new'], ["Fees, charges", "cold", "new"]):
        workspace, _ = begun(tmp_path, gold=gold, classes=init.names(given))
        assert workspace.settings.classes == ["Fees, charges", "cold", "new"]
        shutil.rmtree(workspace.root)
        shutil.rmtree(f"{workspace.root}.remote", ignore_errors=True)


def test_signs_are_honest_names(tmp_path: Path) -> None:
    names = ["+1 (agree)", "-1 (disagree)", "- none -", "@team: thanks!", "=> escalate (L2)"]
    gold = "text,label\n" + "".join(f'word {n},"{name}"\n' for n, name in enumerate(names))
    assert begun(tmp_path, gold=gold)[0].settings.classes == sorted(names)


def test_a_name_with_a_comma_stands_in_quotes_where_names_are_listed(tmp_path: Path) -> None:
    _, said = begun(tmp_path, gold='text,label\nred,"fees, charges"\nblue,cold\n')
    assert said[-1] == "gold  2 rows, 2 items: cold 1, 'fees, charges' 1"


def test_half_a_file_may_be_labelled(tmp_path: Path) -> None:
    rows = "".join(f"item {n},{'warm' if n < 4 else ''}\n" for n in range(20))
    said: list[str] = []
    workspace = made(tmp_path, "text,label\n" + rows, pool="text,label\n" + rows, tell=said.append)
    assert said[0].endswith("labelled.csv: of 20 rows 16 without a label yet: left out")
    assert len(ledger.read(workspace.labels)) == 4
    assert said[-1] == "given 4 labels: cold 0, warm 4"


def test_line_ends_and_trailing_blanks_make_no_other_item(tmp_path: Path) -> None:
    pool = 'text\n"one\r\ntwo "\n"one\ntwo"\nthree\n'
    said: list[str] = []
    workspace = made(tmp_path, 'text,label\n"one\ntwo\n",warm\n', pool=pool, tell=said.append)
    assert "pool  3 rows, 2 items, 1 repeated" in said
    assert ledger.read(workspace.labels).id.tolist() == [content_id("one\ntwo")]


# Several labels an item


SETS = 'text,label\nred,"[""warm""]"\nblue,"[""cold"", ""deep""]"\ngrey,[]\n'


def several(tmp_path: Path, gold: str, labelled: str = "", ending: str = "csv", **options: Any) -> Workspace:
    for name, content in ((f"gold.{ending}", gold), ("pool.csv", POOL), ("labelled.csv", labelled)):
        (tmp_path / name).write_text(content)
    given = str(tmp_path / "labelled.csv") if labelled else None
    wanted: dict[str, Any] = {"classes": None, "name": "", "remote": None, "columns": Columns(), "labelled": given}
    kind = Kind(answer="multilabel")
    sources = str(tmp_path / "pool.csv"), str(tmp_path / f"gold.{ending}")
    return init.run(tmp_path / "here", *sources, **wanted | options, kind=kind)


@pytest.mark.parametrize(
    ("gold", "options"),
    [
        (SETS, {}),
        ("text,label\nred,warm\nblue,cold; deep\ngrey,[]\n", {"delimiter": ";"}),
        ('text,label\nred,warm\nblue,"[""cold"", ""deep""]"\ngrey,[]\n', {"delimiter": "|"}),
    ],
)
def test_the_classes_are_all_names_in_the_labels(tmp_path: Path, gold: str, options: dict[str, Any]) -> None:
    workspace = several(tmp_path, gold, 'text,label\nitem 1,[]\nitem 2,"[""warm""]"\nitem 3,\n', **options)
    assert workspace.settings.classes == ["cold", "deep", "warm"]
    assert ledger.read(workspace.labels).label.tolist() == ["[]", '["warm"]']
    pull.run(workspace)
    assert pd.read_parquet(workspace.gold).label.tolist() == ['["warm"]', '["cold", "deep"]', "[]"]


@pytest.mark.parametrize("cell", ['[["cold"]]', '["cold", "cold"]', '["cold", 3]', '["cold"', '[""]', "cold"])
def test_a_label_that_is_no_set_is_set_aside_with_the_reason(tmp_path: Path, cell: str) -> None:
    rows = [f'text {n},"[""warm""]"\n' if n % 2 else f'text {n},"[""cold"", ""deep""]"\n' for n in range(10)]
    quoted = cell.replace('"', '""')
    workspace = several(tmp_path, SETS + "".join(rows) + f'odd,"{quoted}"\nbare,\n')
    pulled = pull.run(workspace)
    aside = pd.concat(map(pd.read_parquet, workspace.quarantine.rglob("*.parquet"))).set_index("text")
    with pytest.raises(ValueError, match="label") as fault:
        multilabel.read(cell)
    assert aside.reason.to_dict() == {"odd": str(fault.value), "bare": "label is missing"}
    assert sum(pulled.refused.values()) == 2 and pulled.gold_rows == 13


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        (GOLD, 'no label can be read: expected a JSON list of classes such as ["a", "b"], [] for none; with '),
        ('text,label\nred,"[[""warm""]]"\n', "got 1 x label holds a list in a list"),
        ("text,label\nred,\n", "too few labels"),
        ("text,label\nred,[]\n", "too few labels"),
    ],
)
def test_where_no_label_is_a_set_one_line_says_what_is_expected(tmp_path: Path, gold: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        several(tmp_path, gold)
    assert not (tmp_path / "here").exists()


def test_names_that_are_no_class_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="outside the classes: expected one of 'cold', 'warm', got 'deep'"):
        several(tmp_path, SETS, classes=["cold", "warm"])
    with pytest.raises(InputError, match=re.escape("""got '["cold", "hot"]' for 'item 1'""")):
        several(tmp_path, SETS, 'text,label\nitem 1,"[""hot"", ""cold""]"\n')


def test_a_delimiter_of_one_label(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--delimiter stands between several .*add --answer multilabel"):
        kind_of("text", "choice", ";")
    file = made(tmp_path, "text,label\nitem 1,warm\n").root / "params.yaml"
    change(file, {"pull.delimiter": ";"})
    with pytest.raises(SettingsError, match=r"pull\.delimiter stands between several"):
        read(file)


@pytest.mark.parametrize(("item", "answer"), [("sound", "choice"), ("image", "spans")])
def test_a_kind_that_does_not_exist(item: str, answer: str) -> None:
    with pytest.raises(SettingsError, match=r"--item, --answer: .*there are choice of a text, multilabel of a text"):
        kind_of(item, answer)


@pytest.mark.parametrize(
    ("counts", "kind", "name", "said"),
    [
        ({"ham": 50, "spam": 50}, choice, None, ""),
        ({"ham": 890, "spam": 110}, choice, None, ""),
        ({"ham": 990, "spam": 10}, choice, "f1:spam", "by the F1 of spam .* 10 of 1,000 gold items .* 99.0% accuracy"),
        ({"a": 500, "b": 480, "c": 20}, choice, "balanced_accuracy", "by balanced accuracy .* 20 of 1,000 .* are c"),
        ({"a": 400, "b": 350, "c": 250}, choice, None, ""),
        ({"ham": 100}, choice, None, ""),
        ({}, choice, None, ""),
        ({"a": 3, "b": 900}, multilabel, None, ""),
    ],
)
def test_where_a_class_is_rare_models_are_judged_by_more_than_accuracy(
    counts: dict[str, int], kind: Answer, name: str | None, said: str
) -> None:
    found = init.measure_for(counts, sum(counts.values()), kind)
    assert found.name == name and re.search(said, found.why)


@pytest.mark.parametrize("rare", ["spam", "a: b, [c]", '"'])
def test_a_workspace_whose_class_is_rare_plots_its_f1(tmp_path: Path, rare: str) -> None:
    labels = ["ham"] * 40 + [rare]
    gold = pd.DataFrame({"text": [f"gold {n}" for n in range(41)], "label": labels})
    gold.to_csv(tmp_path / "gold.csv", index=False)
    pd.DataFrame({"text": [f"pool {n}" for n in range(9)]}).to_csv(tmp_path / "pool.csv", index=False)
    told: list[str] = []
    files = [str(tmp_path / name) for name in ("pool.csv", "gold.csv")]
    made = init.run(tmp_path / "w", *files, None, "", None, Columns(), tell=told.append)
    assert made.settings.measure.text == f"f1:{rare}"
    assert any(line.startswith("models are judged by the F1 of") for line in told)
    (curve, _confusion) = YAML(typ="safe").load((tmp_path / "w" / "dvc.yaml").read_text())["plots"]
    assert curve["learning curve"]["y"]["metrics/curve.csv"] == [f"f1:{rare}", "low", "high"]
    assert curve["learning curve"]["title"] == f"gold f1:{rare} against labels"
