"""Rows of figures, categories and signals: what a source holds, what is refused, what people and programs see."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from labelwise.tasks import embed, evaluate, figures, promote, pull, score, select, sources, train
from labelwise.tasks.errors import InputError, SettingsError
from labelwise.tasks.items import sifting, stored, suites
from labelwise.tasks.items.sifting import Seen
from labelwise.tasks.kinds import row
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.labels import ledger, removed
from labelwise.tasks.learners.kernel import Kernel, Layout, settled
from labelwise.tasks.records import LABELS
from labelwise.tasks.services import expectations
from labelwise.tasks.settings import (
    COMMA,
    Columns,
    Feature,
    Kind,
    Pull,
    Settings,
    feature_of,
    features_named,
    left_out,
    parse,
)
from labelwise.tasks.upkeep import init, purge, seeds
from labelwise.tasks.workspace import Workspace, read_parquet

FEATURES = {"age": "number", "income": COMMA, "job": "category", "eeg": "signal of 4 at 8 Hz"}
COLUMNS = Columns(features=FEATURES)
PULL = Pull(pool="p", gold="g", columns=COLUMNS)


def read(*rows: tuple[str | None, ...]) -> list[Any]:
    return row.read(pd.DataFrame(rows, columns=COLUMNS.sources, dtype=object), PULL).tolist()


def detect(rows: dict[str, list[Any]], **columns: Any) -> tuple[dict[str, str], str]:
    found, said = row.detected(lambda: pd.DataFrame(rows, dtype=object), Columns(**columns))
    return found.features, "; ".join(said)


def test_a_row_is_read_as_figures_categories_and_signals() -> None:
    whole, gaps, printed = read(
        ("41.0", "1.234,5", " nurse ", "[1, 2.5, null, 4e-1]"),
        ("N/A", "", "<NA>", None),
        ("-0", "7", "nan", "[1. 2.\n 3. 4.]"),
    )
    assert json.loads(whole) == {"age": 41, "income": 1234.5, "job": "nurse", "eeg": [1, 2.5, None, 0.4]}
    assert gaps is None
    assert json.loads(printed) == {"age": 0, "income": 7, "job": None, "eeg": [1, 2, 3, 4]}
    assert row.tidy(whole) == whole and row.identify(whole) != row.identify(printed)
    near = whole.replace("1234.5", "1234.5000001")
    assert row.fold(near) == row.fold(whole) != row.fold(whole.replace("1234.5", "1234.6"))


def test_a_figure_with_a_point_is_no_figure_with_a_decimal_comma() -> None:
    features = Columns(features={"x": COMMA})
    texts = ["1.5", "1,234.5", "12.34,5", "1234.567", "1.234", "-1.234.567,8", "7", "1,5e3", ",5", "?", "inf"]
    cells = row.packed(pd.DataFrame({"x": texts}, dtype=object), features)
    found = [None if cell is None else json.loads(cell)["x"] for cell in cells]
    assert found[:4] == [{"text": text} for text in texts[:4]]
    assert found[4:] == [1234, -1234567.8, 7, 1500, 0.5, None, {"infinite": "inf"}]


def test_whole_numbers_are_kept_and_compared_to_the_last_digit() -> None:
    features = Columns(features={"n": "number", "c": COMMA, "s": "signal of 2"})
    values = [2**53 + at for at in range(2)]
    frame = pd.DataFrame([(f"{at}", f"{at:,}".replace(",", "."), f"[{at}, 0.5]") for at in values], columns=list("ncs"))
    cells = row.packed(frame, features).tolist()
    assert [json.loads(cell) for cell in cells] == [{"n": at, "c": at, "s": [at, 0.5]} for at in values]
    given = [{"n": at, "c": at, "s": None} for at in values] + [dict.fromkeys("ncs")]
    assert [json.loads(cell)["n"] for cell in row.given(given, Pull(pool="p", gold="g", columns=features))] == [
        *values,
        None,
    ]
    assert row.fold(cells[0]) != row.fold(cells[1])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1700000000, 1700000100, False),
        (1700000000.25, 1700000000.75, False),
        (1234567.25, float(np.float32(1234567.25)), True),
        (0.1, float(np.float32(0.1)), True),
        (99.123, float(np.float32(99.123)), True),
        (2000000, 1999999.9999999998, True),
        (0.000123456, 0.000123457, False),
    ],
)
def test_rows_are_the_same_by_the_digits_of_fractions_alone(one: float, other: float, same: bool) -> None:
    assert (row.fold(json.dumps({"a": one})) == row.fold(json.dumps({"a": other}))) == same


def test_a_category_is_as_it_is_written_but_for_what_tools_write_in_several_ways(tmp_path: Path) -> None:
    """Whole numbers with a gap are floats in Parquet and in pandas; NA, None and - are names, not gaps."""
    features = Columns(features={"c": "category"})
    names = ["NA", "None", "-", "n/a", "null", "?", "007", "1.50"]
    cells = row.packed(pd.DataFrame({"c": [*names, "", "nan", "<NA>", None]}, dtype=object), features).tolist()
    assert [json.loads(cell)["c"] for cell in cells[:8]] == names and cells[8:] == [None] * 4
    frame = pd.DataFrame({"c": [3, None, 5]})
    frame.to_parquet(tmp_path / "p.parquet")
    frame.to_csv(tmp_path / "p.csv", index=False)
    (tmp_path / "whole.csv").write_text('c\n3\n""\n5\n')
    for name in ("p.parquet", "p.csv", "whole.csv"):
        (rows,) = sources.chunks(str(tmp_path / name), ["c"], cells=Cells(figures=["c"]))
        assert row.packed(rows, features).tolist() == ['{"c":"3"}', None, '{"c":"5"}']
    pull = Pull(pool="p", gold="g", columns=features)
    cells = row.given(frame, pull)
    assert cells == ['{"c":"3"}', '{"c":null}', '{"c":"5"}']
    assert row.given([{"c": 3}, {"c": None}, {"c": np.float32(5)}], pull) == cells
    assert row.given([{"c": True}, {"c": "TRUE"}], pull) == ['{"c":"true"}'] * 2


BAD = {
    "text stands where a figure was expected, in column 1 of the row": ("old", "1", "a", "[1,2,3,4]"),
    "text stands where a figure was expected, in column 2 of the row": ("1", "1 000 €", "a", "[1,2,3,4]"),
    "a figure is infinite or beyond 1e300, in column 1 of the row": ("inf", "1", "a", "[1,2,3,4]"),
    "a signal is no list of figures, in column 4 of the row": ("1", "1", "a", "[[1,2],[3,4]]"),
    "a signal has another length than the others, in column 4 of the row": ("1", "1", "a", "[1,2,3]"),
    "every column of the row is missing": ("", None, "nan", "NaN"),
}


def test_what_is_no_row_is_refused_with_its_reason_and_kept_as_it_came() -> None:
    cells = [*read(*BAD.values()), *read(("1e999", "1", "a", "[1,2,3,4]"), ("1", "1", "a", "[1,2,Infinity,4]"))]
    rows = pd.DataFrame({"row": cells, "source_id": None})
    suite = suites.pool(PULL.max_chars, 0.5, row)
    refused = expectations.refusals(suite, suites.measured(rows, item=row))
    reasons = [refused[at].reason for at in range(len(cells))]
    assert reasons[: len(BAD)] == list(BAD)
    assert all("a figure is infinite" in reason for reason in reasons[len(BAD) :])
    aside = sifting.quarantined(rows, refused, row)
    assert "old" in aside.row[0] and "1 000 €" in aside.row[1]
    signals = [list(json.loads(aside.row[at])["eeg"].values()) for at in (3, 4, 7)]
    assert signals == [["[[1,2],[3,4]]"], ["[1,2,3]"], [[1, 2, "inf", 4]]]
    long = read(("1", "1", "x" * 300, "[1,2,3,4]"))
    short = expectations.refusals(suites.pool(100, 0.5, row), suites.measured(rows.head(1).assign(row=long), item=row))
    assert "at most 100 allowed (pull.max_chars)" in short[0].reason


def test_rows_that_differ_in_nothing_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = read(("1", "2,5", "a", "[1,2,3,4]"), ("1.0", "2,50", "a", "[1.0,2,3,4]"), ("2", "2,5", "a", "[1,2,3,4]"))
    rows = pd.DataFrame({"row": cells, "source_id": None})
    sifted = sifting.new_pool(rows, {}, {row.fold(cells[2])}, Seen(), row)
    assert len(sifted.new) == 1 and sifted.repeated == 1 and len(sifted.elsewhere) == 1  # the third is gold


def test_hostile_cells_are_told_and_shown_as_they_are() -> None:
    for cell in (
        "",
        "{",
        "[1]",
        "null",
        '{"a":{"text":"x"}}',
        "[" * 5000,
        '{"a":1e999}',
        '{"<b>":"<script>"}',
        "\ud800",
    ):
        row.measures([cell, None])
        row.rules(10)
        assert isinstance(row.brief(cell), str) and isinstance(row.fold(row.tidy(cell)), str)
        assert "<script>" not in row.as_html(cell) and "<b>" not in row.as_html(cell)
        assert row.thumbnail(cell) == ""
        assert np.isfinite(Kernel.of(settled([cell], FEATURES)).encode([cell])).all()


# What the columns are


def test_columns_are_told_by_what_they_hold() -> None:
    n = 120
    features, said = detect(
        {
            "label": ["x"] * n,
            "who": list(map(str, range(n))),
            "age": [str(at) for at in range(n)],
            "price": [f"{at},5" for at in range(n)],
            "job": ["nurse", "smith", ""] * 40,
            "eeg": [f"[{at}, 1, 2]" for at in range(n)],
            **{f"c3_t{at}": list(map(str, range(n))) for at in range(9)},
            "note": [f"words {at}" for at in range(n)],
            "same": ["1"] * n,
            "empty": [None] * n,
            "order_id": list(map(str, range(n))),
        },
        id="who",
    )
    assert features == {
        "age": "number",
        "price": COMMA,
        "job": "category",
        "eeg": "signal of 3",
        "same": "number",
        "empty": "number",
        "order_id": "number",
        "c3": "signal of 9 in c3_t0..c3_t8",
    }
    assert "columns c3_t0 to c3_t8 are one signal, 'c3'" in said and "'note' is left out" in said
    assert "the same in every row" in said and "same, empty" in said
    assert "'order_id' looks like a key" in said and "--id-column" in said


ODD = {
    "thousands": (["1,234.50", "12.25", "7,000,000.00", "3.10"], "it holds figures such as '1,234.50'"),
    "units": (["12 %", "7.5 %", "100 %", "3 %"], "it holds figures such as '12 %'"),
    "money": (["€12.50", "€7", "$3.10", "4 EUR"], "it holds figures such as '€12.50'"),
    "minus": (["\u22121.5", "\u22127", "\u22123.25", "\u22122"], "it holds figures such as"),
    "dates": (["2026-01-02", "2026-03-04 10:00", "2.3.2026", "2025/11/30"], "it holds dates such as '2026-01-02'"),
    "marks": (["1.5", "2.5", "n.d.", "3.5"], "75% of it are figures, the rest are n.d."),
    "names": (["Ada", "Grace", "Mary", "Emmy"], "nearly every row has another text there"),
}


@pytest.mark.parametrize("name", list(ODD))
def test_a_column_that_is_likely_meant_otherwise_is_left_out_with_what_to_do(name: str) -> None:
    cells, why = ODD[name]
    rows = {"a": ["1", "2", "3", "4"], "odd": cells}
    found, told = detect(rows)
    assert list(found) == ["a"] and f"column 'odd' is left out: {why}" in told
    assert "odd" in detect(rows, features={"a": "", "odd": ""})[0], "unless it is named"


@pytest.mark.parametrize("form", ["{} ABC", "0.0.{}", "1.2.{}", "+49 {} 000", "{}/40/2020"])
def test_codes_that_only_look_like_figures_or_dates_stay_categories(form: str) -> None:
    cells = [form.format(100 + at % 25) for at in range(60)]
    assert detect({"a": ["1", "2"] * 30, "code": cells})[0]["code"] == "category"


def test_codes_and_few_percentages_stay_categories() -> None:
    found, _ = detect({"a": ["1", "2"] * 20, "share": ["10 %", "20 %"] * 20, "code": ["1", "2", "3", "x"] * 10})
    assert found == {"a": "number", "share": "category", "code": "category"}


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (
            ["[[1, 2], [3, 4]]"] * 4,
            r"no signals: expected a list of figures in each row; of several channels, a column",
        ),
        (['["a", "b"]'] * 4, "no signals"),
        (["[]", "[1, 2]"] * 2, "no signals"),
        (
            ["[1]", "[1, 2]", "[1, 2, 3]", "[1, 2]"],
            "no windows of a signal: expected lists of one length, got lists of 1",
        ),
    ],
)
def test_lists_that_are_no_signals_are_told_and_the_advice_helps(cells: list[str], why: str) -> None:
    rows = {"a": ["1", "2", "3", "4"], "two words": cells}
    with pytest.raises(InputError, match=why) as refused:
        detect(rows)
    assert str(refused.value).endswith("or leave it out: '--features=-two words'")
    named_, without = left_out(["-two words"])
    assert detect(rows, features=features_named(named_), without=without)[0] == {"a": "number"}


def test_columns_that_are_left_out_must_be_there() -> None:
    rows = {**{f"t{at}": ["1", "2"] for at in range(8)}, "a": ["1", "2"]}
    assert list(detect(rows, without=["t"])[0]) == ["a"]
    assert list(detect(rows, without=["a"])[0]) == ["t"]
    with pytest.raises(InputError, match=r"no column 'b'"):
        detect(rows, without=["b"])
    with pytest.raises(InputError, match=r"no column 'typo'"):
        detect(rows, features={"a": "number"}, without=["typo"])
    with pytest.raises(InputError, match=r"'a' is named and left out"):
        detect(rows, features={"a": "number"}, without=["a"])
    assert list(detect(rows, features={"a": "number"}, without=["t3"])[0]) == ["a"]


def test_gaps_in_wide_columns_and_rows_without_a_group_are_told() -> None:
    rows = {f"t{at}": ["1", "2"] for at in range(12) if at != 5} | {"rec": ["r1", " "]}
    found, told = detect(rows, group="rec")
    assert found == {f"t{at}": "number" for at in range(12) if at != 5}
    assert "columns t0 to t11 are no signal, each is a figure by itself; missing: t5" in told
    assert "group column 'rec' is blank in 1 of 2 rows" in told
    assert "no signal" not in detect({f"time_{at}": ["1", "2"] for at in (*range(8), 1_700_000_000)})[1]
    assert "blank in every row" in detect({"a": ["1", "2"], "rec": [None, ""]}, group="rec")[1]


def test_a_column_that_is_the_answer_under_another_name_is_told() -> None:
    given = [(json.dumps({"a": at % 3, "outcome": f"is {at % 2}"}), f"class {at % 2}") for at in range(30)]
    (line,) = row.remarks([], given)
    assert line.startswith("column 'outcome' has a value of its own for each class") and line.endswith("=-outcome")
    assert row.remarks([], given[:10]) == [] and row.remarks([], [(cell, "one") for cell, _ in given]) == []


def test_named_columns_alone_and_what_they_are_said_to_be() -> None:
    rows = {"age": ["1", "2"], "zip": ["10115", "20095"], "rest": ["a", "b"]}
    assert detect(rows, features={"zip": "category", "age": ""})[0] == {"zip": "category", "age": "number"}
    with pytest.raises(InputError, match=r"no column 'aeg': expected one of age, zip, rest.*did you mean 'age'"):
        detect(rows, features={"aeg": ""})
    assert detect(rows, features={"rest": ""})[0] == {"rest": "category"}  # who names it means it
    rated = {"eeg": "signal at 9 Hz", "t": "signal at 2 Hz"}
    signals = {"eeg": ["[1, 2, 3]", "[4, 5, 6]", "[7]"], **{f"t{at}": ["1", "2", "3"] for at in range(8)}}
    assert detect(signals, features=rated)[0] == {"eeg": "signal of 3 at 9 Hz", "t": "signal of 8 at 2 Hz in t0..t7"}


def test_figures_that_can_be_read_in_two_ways_are_asked_about_and_the_advice_helps() -> None:
    rows = {"price": ["1,234", "5,678", "9,012"]}
    with pytest.raises(InputError, match=r"two ways.*--features 'price=number with decimal comma'"):
        detect(rows)
    assert detect(rows, features={"price": COMMA})[0] == {"price": COMMA}


@pytest.mark.parametrize(
    "text", ["figure", "signal at 0 Hz", "signal in t0..t0", "signal in a1..b3", "signal of 3 in t0..t3"]
)
def test_what_says_of_no_column_what_it_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"signal|number"):
        feature_of(text)


def test_a_signal_in_too_many_columns_is_refused_before_they_are_named() -> None:
    for last in ("100000", "999999999", "9" * 5000):
        with pytest.raises(ValueError, match=r"too many columns; a signal has at most 100,000"):
            feature_of(f"signal in t0..t{last}")
    with pytest.raises(SettingsError, match=r"--features: .*too many columns"):
        features_named(["age", "t=signal in t0..t999999999"])
    assert len(feature_of("signal in t0..t99999").wide) == 100_000


def test_wide_columns_with_leading_zeros() -> None:
    assert feature_of("signal in t00..t11").wide[0] == "t00" and feature_of("signal in t8..t11").wide == (
        "t8",
        "t9",
        "t10",
        "t11",
    )


def test_settings_of_rows_say_what_the_columns_are() -> None:
    content = {"project": {"name": "n", "id": "i"}, "classes": ["a", "b"], "kind": {"item": "row"}}
    with pytest.raises(SettingsError, match=r"pull.columns.features: say what the columns of a row are"):
        parse(content | {"pull": {"pool": "p", "gold": "g"}})
    for features, said in (
        ({"label": "number"}, "column of the label"),
        ({"t": "signal in t0..t9", "t3": "number"}, "part of"),
    ):
        with pytest.raises(SettingsError, match=said):
            parse(content | {"pull": {"pool": "p", "gold": "g", "columns": {"features": features}}})


def settings_of(features: dict[str, str]) -> Settings:
    content = {"project": {"name": "n", "id": "i"}, "classes": ["a", "b"], "kind": {"item": "row"}}
    return parse(content | {"pull": {"pool": "p", "gold": "g", "columns": {"features": features}}})


def test_other_columns_than_before_are_refused_and_another_rate_is_not() -> None:
    before = settings_of(FEATURES)
    for features, said in (
        ({**FEATURES, "age": "category"}, "expected age: number, got age: category"),
        (
            {name: text for name, text in FEATURES.items() if name != "job"},
            "expected job: category, got no such column",
        ),
        ({**FEATURES, "more": "number"}, "expected no column 'more', got more: number"),
    ):
        with pytest.raises(SettingsError, match=said):
            removed.refuse_other_columns(settings_of(features), before)
    removed.refuse_other_columns(settings_of(FEATURES | {"eeg": "signal of 4 at 16 Hz"}), before)
    removed.refuse_other_columns(settings_of({"x": "number"}), None)


def test_what_mlflow_keeps_of_columns_is_their_number() -> None:
    """It takes a hundred parameters, and no brackets in their names."""
    many = settings_of({f"income ({at})": "number" for at in range(80)})
    assert not [key for key in promote.flat(many.model_dump(exclude=promote.NAMES)) if "income" in key]
    assert promote.counts(many) == {"classes": "2", "features": "80"}


def test_a_workspace_of_rows_follows_from_its_columns(tmp_path: Path) -> None:
    """From files with a decimal comma, a list and a key to params.yaml and dvc.yaml; seeds are rows, no words."""
    rng = np.random.default_rng(0)
    rows = [f'k{at};{at / 8:.3f};"[{at}, 1, {rng.random()}]";{"ab"[at % 2]}'.replace(".", ",", 1) for at in range(40)]
    for name, part, columns in (("pool", rows[:30], 3), ("gold", rows[30:], 4)):
        lines = [";".join(line.split(";")[:columns]) for line in ["key;size;wave;label", *part]]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    told: list[str] = []
    sources = str(tmp_path / "pool.csv"), str(tmp_path / "gold.csv")
    made = init.run(
        tmp_path / "w", *sources, None, "", None, Columns(id="key"), tell=told.append, kind=Kind(item="row")
    )
    assert made.settings.pull.columns.features == {"size": COMMA, "wave": "signal of 3"}
    assert made.settings.embed.encoder == "kernel" and made.settings.gold.near_duplicate == 0.9999
    assert any("features: 1 of figures with a decimal comma, 1 of signals" in line for line in told)
    stages = YAML(typ="safe").load((made.root / "dvc.yaml").read_text())["stages"]
    assert all("pull.columns.features" in stages[name]["params"] for name in ("embed", "train"))
    with pytest.raises(InputError, match=r"there is no 'a small one': expected a file, folder or table of rows"):
        seeds.texts_of(made, ["a small one"])
    assert len(seeds.texts_of(made, [str(tmp_path / "gold.csv")])) == 10


# Vectors


def rows_of(figures: Any) -> list[str]:
    return [json.dumps({"a": float(x), "b": float(y), "c": job}) for x, y, job in figures]


KIND = {"a": "number", "b": "number", "c": "category"}


def test_vectors_are_of_unit_length_whatever_the_figures_and_near_where_rows_are() -> None:
    rng = np.random.default_rng(0)
    cells = rows_of([(x, 1000 * y, "k") for x, y in rng.normal(size=(500, 2))])
    kernel = Kernel.of(settled(cells, KIND))
    odd = rows_of([(1e200, -1e200, "k"), (0.1, 100, "k"), (0.1001, 100.1, "k"), (0.1, 100, "other"), (0.9, 100, "k")])
    odd += ['{"a":null,"b":100,"c":null}']
    vectors = kernel.encode(odd)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    similar = vectors[1] @ vectors.T
    assert similar[2] > row.DEFAULTS["gold.near_duplicate"]
    assert row.DEFAULTS["select.near_duplicate"] > similar[4] > similar[0] and similar[3] < 0.9 and similar[5] < 0.95


def test_what_is_settled_stays_whatever_comes_later_and_can_be_read_from_json() -> None:
    first = rows_of([(x, x, "k") for x in np.linspace(0, 1, 50)])
    known = json.loads(json.dumps(settled(first, KIND)))
    alone, beside = (Kernel.of(known).encode(cells) for cells in (first, [*first, *rows_of([(1e6, 0, "new")])]))
    np.testing.assert_array_equal(alone, beside[: len(first)])


def test_a_constant_column_and_one_wrong_figure_do_not_flatten_the_others() -> None:
    figures = [(float(x), 5.0, "k") for x in np.linspace(-1, 1, 400)]
    plain, spoilt = settled(rows_of(figures), KIND), settled(rows_of([*figures, (1e12, 5.0, "k")]), KIND)
    assert plain["scale"][1] == 1 and spoilt["scale"][0] == pytest.approx(plain["scale"][0], rel=0.1)


def test_signals_are_told_apart_by_their_rhythm() -> None:
    at = np.arange(128) / 64
    slow, fast = (np.sin(2 * np.pi * pace * at) for pace in (3, 14))
    layout = Layout({"x": Feature("signal", 128, 64.0)})
    figures = pd.DataFrame(
        layout.figures([{"x": slow.tolist()}, {"x": fast.tolist()}, {"x": None}]), columns=layout.names
    )
    assert figures["x: power 2 to 4 Hz"].idxmax() == 0 and figures["x: power 8 to 16 Hz"].idxmax() == 1
    assert figures.loc[2].isna().all() and figures["x: crossings"].idxmax() == 1
    flat = layout.figures([{"x": [1.0] * 128}, {"x": [1.0]}])
    assert np.isfinite(flat[0]).all() and np.isnan(flat[1]).all()


# People and programs


def test_a_program_gives_a_frame_or_mappings() -> None:
    frame = pd.DataFrame({"age": [41, 7], "income": ["1,5", None], "job": ["nurse", "x"], "eeg": [[1, 2, 3, 4], None]})
    cells = row.given(frame.assign(more=0), PULL)
    assert cells[0] == read(("41", "1,5", "nurse", "[1,2,3,4]"))[0]
    assert row.given(frame.to_dict("records"), PULL) == cells
    assert row.given([dict.fromkeys(FEATURES)], PULL) == ['{"age":null,"income":null,"job":null,"eeg":null}']
    with pytest.raises(InputError, match=r"no column 'age'.*with None"):
        row.given(frame.drop(columns="age"), PULL)
    figures = row.given(frame.assign(income=[1.234, np.float32(0.5)]), PULL)
    assert [json.loads(cell)["income"] for cell in figures] == [1.234, 0.5]
    with pytest.raises(
        InputError, match=r"row 1: text stands where a figure was expected, in 'age': expected number, got old"
    ):
        row.given(frame.assign(age=["1", "old"]), PULL)
    assert row.takes(COLUMNS) == [("any", "age"), ("any", "income"), ("any", "job"), ("any", "eeg")]


def test_a_curve_keeps_its_peaks_and_its_gaps() -> None:
    signal: list[float | None] = [0.0] * 5000
    signal[2500], signal[10] = 9.0, None
    drawn = row.curves({"<b>": signal, "none": [None, None]}, 720, 100)
    assert " 16.0" in drawn and drawn.count("<path") == 2 and "&lt;b&gt;: 5,000 figures from 0 to 9" in drawn
    gap = row.curves({"x": [1.0, None, 2.0, 3.0]}, 100, 50, named=False)
    assert gap.count("M") == 2 and gap.count("L") == 1 and "<text" not in gap
    data = row.task(json.dumps({"eeg": [1, None, 2], "note": "<img src=x>"}))
    assert data["curves"].startswith("data:image/svg+xml;base64,") and "&lt;img src=x&gt;" in data["row"]
    assert row.thumbnail('{"eeg":[1,2]}').startswith("data:image/svg+xml;base64,") and row.thumbnail('{"a":1}') == ""


def test_the_interface_shows_pictures_where_there_are_signals() -> None:
    plain, curved = (row.view(Columns(features=each)) for each in ({"a": "number"}, FEATURES))
    assert plain.find("Image") is None and plain.find("HyperText") is not None
    found = curved.find("Image")
    assert found is not None and found.get("value") == "$curves"


@pytest.fixture
def several(tmp_path: Path) -> Workspace:
    """A workspace of 110 rows with any number of labels, pulled and encoded."""
    rng = np.random.default_rng(0)
    a, b, job = rng.normal(size=160).round(4), rng.normal(size=160).round(4), rng.choice(["x", "y"], 160)
    rows = pd.DataFrame({"a": a, "b": b, "job": job})
    rows["label"] = [answer_to(each) for each in rows.to_dict("records")]
    rows[:110].drop(columns="label").to_csv(tmp_path / "pool.csv", index=False)
    rows[110:].to_csv(tmp_path / "gold.csv", index=False)
    content: dict[str, Any] = {
        "project": {"name": "n", "id": "i"},
        "kind": {"item": "row", "answer": "multilabel"},
        "classes": ["hot", "odd"],
        "pull": {"pool": str(tmp_path / "pool.csv"), "gold": str(tmp_path / "gold.csv")},
        "embed": {"encoder": "kernel"},
        "gold": {"near_duplicate": 0.9999},
        "select": {"batch": 30, "control": 0.1},
        "evaluate": {"resamples": 100},
    }
    content["pull"]["columns"] = {"features": {"a": "number", "b": "number", "job": "category"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    workspace = Workspace(tmp_path)
    assert pull.run(workspace).new_pool == 110
    embed.run(workspace)
    return workspace


def test_several_labels_a_row_from_the_file_to_the_next_batch(several: Workspace) -> None:
    workspace = several
    ledger.append(workspace.labels, 0, LABELS.frame())
    train.run(workspace)
    score.run(workspace)
    select.run(workspace)
    batch = read_parquet(workspace.batch)
    cells = stored.cells_by_id(workspace, batch.id)
    given = {"status": "labelled", "annotator": "1", "round": 1, "origin": "asked", "why": batch.why}
    labels = [answer_to(json.loads(cells[item])) for item in batch.id]
    answers = pd.DataFrame({"id": batch.id, "label": labels, **given, "created_at": "2026-01-01T00:00:00+00:00"})
    ledger.append(workspace.labels, 1, LABELS.conform(answers.reindex(columns=list(LABELS.columns))))
    train.run(workspace)
    evaluate.run(workspace)
    score.run(workspace)
    assert figures.gold_metrics(workspace)["set_f1"] > 0.85
    select.run(workspace)
    assert len(read_parquet(workspace.batch)) == 30


def test_vectors_that_are_lost_come_out_as_they_were_also_once_rows_are_forgotten(several: Workspace) -> None:
    shard = stored.shards(several)[0]
    rows = read_parquet(shard)
    largest = rows.id[rows.row.map(lambda cell: abs(json.loads(cell)["a"])).argmax()]
    purge.purge(several, {largest}, set())
    embed.run(several)
    before = {path.name: path.read_bytes() for path in several.vectors.iterdir()}
    kept = (several.root / "data" / "settled.json").read_text(encoding="utf-8")
    assert len(json.loads(kept)["known"]["centre"]) == 2 and not any(job in kept for job in ('"x"', '"y"'))
    fresh = row.settled(read_parquet(shard).row.tolist(), several.settings)
    assert fresh != json.loads(kept)["known"], "made again from what is left, the scale would be another"

    shutil.rmtree(several.vectors)
    embed.run(several)
    assert {path.name: path.read_bytes() for path in several.vectors.iterdir()} == before

    # a workspace of before has it beside its vectors alone
    (several.root / "data" / "settled.json").unlink()
    embed.run(several)
    assert (several.root / "data" / "settled.json").read_text(encoding="utf-8") == kept
    assert {path.name: path.read_bytes() for path in several.vectors.iterdir()} == before

    # another rate or form is another scale: no vector by the old one is left beside new ones
    changed = json.loads((several.root / "params.yaml").read_text())
    changed["pull"]["columns"]["features"]["b"] = "category"
    (several.root / "params.yaml").write_text(json.dumps(changed))
    several = Workspace(several.root)
    assert "159 rows encoded" in embed.run(several)
    assert len(json.loads((several.root / "data" / "settled.json").read_text())["known"]["centre"]) == 1


def answer_to(values: dict[str, Any]) -> str:
    return json.dumps([name for name, has in (("hot", values["a"] > 0), ("odd", values["job"] == "x")) if has])
