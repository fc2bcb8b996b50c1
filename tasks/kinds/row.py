"""An item that is a row: figures and categories by the names of their columns, and signals, each a list of figures.

Its cell is a JSON object of the columns in a fixed order, those of `pull.columns.features`; null is a missing value.
What should have been a figure or a signal and is none stands there as {reason: the cell as it came}: so it can be told
in whatever row it is, and the row goes to quarantine as it came.
"""

import difflib
import html
import json
import re
import shlex
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd

from labelwise.tasks.errors import InputError, SettingsError, named, quantity
from labelwise.tasks.kinds.base import DECODES
from labelwise.tasks.kinds.controls import TO
from labelwise.tasks.kinds.forms import unpacked
from labelwise.tasks.kinds.values import NUMBER as A_NUMBER
from labelwise.tasks.kinds.values import NUMBERS
from labelwise.tasks.kinds.values import TEXT as A_TEXT
from labelwise.tasks.records import content_id
from labelwise.tasks.services.expectations import ABSENT, BETWEEN, PRESENT, Rule
from labelwise.tasks.settings import (
    CATEGORY,
    COMMA,
    NUMBER,
    SIGNAL,
    Columns,
    Embed,
    Feature,
    Pull,
    Settings,
    feature_of,
)

if TYPE_CHECKING:
    from labelwise.tasks.learners.kernel import Kernel

NAME = "row"
COLUMN = "row"
ARRAYS = True
WORDS = False
CURVES = "curves"  # of the picture of the signals, in the task's data and in the interface
WIDE_PICTURE, STRIP = 720, 110  # pixels of that picture, and of each signal in it
KERNEL = "kernel"  # the one encoder of rows, see learners/kernel.py
DEFAULTS: Mapping[str, Any] = {
    "embed.encoder": KERNEL,
    "embed.wording": False,
    "pull.max_chars": 1_000_000,
    # A cosine of 0.9999 is a difference of 2 % of a standard deviation in each column, one of 0.99 of 20 %.
    "gold.near_duplicate": 0.9999,
    "select.near_duplicate": 0.99,
}
wording = None

# What a cell should have been and is not, with what people are told.
TEXT, ENDLESS, NO_ARRAY, LENGTH = "text", "infinite", "no array", "length"
FAULTS = {
    TEXT: "text stands where a figure was expected",
    ENDLESS: "a figure is infinite or beyond 1e300",
    NO_ARRAY: "a signal is no list of figures",
    LENGTH: "a signal has another length than the others",
}
ABSENTEES = frozenset({"", "nan", "na", "n/a", "none", "null", "nil", "?", "-", "<na>", "nat"})  # of figures
NO_CATEGORY = frozenset({"", "nan", "NaN", "<NA>"})  # what tools write for none; NA and None are names of something
WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
WHOLE_FLOAT = re.compile(r"([+-]?[0-9]+)\.0")
DECIMAL_COMMA = re.compile(r"[+-]?(?:(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)(?:,[0-9]*)?|,[0-9]+)(?:[eE][+-]?[0-9]+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
WIDE = re.compile(r"(?:(.*?)[_.\-]?)?(?:t|time|sample|samples)_?(\d+)", re.IGNORECASE)
SHORTEST = 8  # columns in a row that are a signal
MOSTLY = 0.9  # share of a column's values that are figures, from which on the others are faults
MANY, DISTINCT = 50, 0.5  # categories: more than so many, and than so large a share of the rows, are keys or free text
KEPT_DIGITS = 7  # of a signal's figures
ALIKE_DIGITS, ALIKE_PLACES = 6, 3  # of a fraction, by which two rows are the same: digits, and places after the point
TELLING = 20  # gold rows from which on a column that tells each label is no chance
BRIEF = 12  # columns named in a line
HUGE = 1e300  # figures beyond are as good as infinite
DIGITS = 20  # different values that a column of categories may have and still be codes such as 1, 2, 3, x
MANY_FIGURES = 0.5  # share of a column's values that are figures, from which on the others are likely marks for none
UNREAD = {  # texts that are likely meant otherwise: by what they look like, what is said of them
    re.compile(
        r"(?=.*\d)[\-−]?[$€£¥]?\s?[\-−]?\d{1,3}(?:[,.'’\s\u00a0\u202f]?\d{3})*(?:[.,]\d*)?\s?(?:[%$€£¥]|"
        r"EUR|USD|GBP|CHF|JPY|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|TRY|BRL|MXN|ZAR|KRW|SGD|HKD|ILS|AED)?"
    ): ("it holds figures such as {0!r}, which are read with a decimal point, nothing between thousands and no unit"),
    # Not versions such as 0.0.20: where a year has two digits, day and month have two as well.
    re.compile(
        r"(?:\d{4}([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])"
        r"|(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\2\d{4}"
        r"|(?:0[1-9]|[12]\d|3[01])([-/.])(?:0[1-9]|[12]\d|3[01])\3\d{2})(?:[T ].*)?"
    ): ("it holds dates such as {0!r}: give what matters of them as figures, such as the hour or days since"),
}
POINTS = 400  # of a picture of a signal
KEY = re.compile(r"(^|_|\b)(id|key|index|nr|no|number)$", re.IGNORECASE)


# Reading


def columns(columns: Columns) -> list[str]:
    """Those that the features are read from."""
    return columns.sources


def files(columns: Columns) -> None:
    """None: a row stands in its cells."""
    del columns


def read(rows: pd.DataFrame, pull: Pull) -> pd.Series:
    """The rows as JSON."""
    return packed(rows, pull.columns)


def packed(rows: pd.DataFrame, columns: Columns) -> pd.Series:
    """(n, k) the columns of the features, cells text or None -> (n,) cells."""
    features = {name: feature_of(text) for name, text in columns.features.items()}
    parts = [_read(rows, name, feature) for name, feature in features.items()]
    cells = [
        None if all(value is None for value in row) else _packed(dict(zip(features, row, strict=True)))
        for row in zip(*parts, strict=True)
    ]
    return pd.Series(cells, dtype=object)


def _read(rows: pd.DataFrame, name: str, feature: Feature) -> list[Any]:
    if feature.wide:
        parts = [_figures(rows[column], False) for column in feature.wide]
        return [_joined(list(row)) for row in zip(*parts, strict=True)]
    cells = rows[name]
    if feature.form == SIGNAL:
        return [_signal(cell, feature.length) for cell in cells]
    if feature.form == CATEGORY:
        return [_category(cell) for cell in cells]
    return _figures(cells, feature.form == COMMA)


def _category(cell: Any) -> str | None:
    """As it is written, but for what tools write in several ways: whole numbers, which they make floats of where one is
    missing, and truth values.

    >>> [_category(cell) for cell in ("3.0", "3", "007", "1.50", "True", "NA", "")]
    ['3', '3', '007', '1.50', 'true', 'NA', None]
    """
    text = "" if cell is None else str(cell).strip()
    if text in NO_CATEGORY:
        return None
    if whole := WHOLE_FLOAT.fullmatch(text):
        return whole[1]
    return text.lower() if text.lower() in ("true", "false") else text


def _absent(cell: Any) -> bool:
    return cell is None or str(cell).strip().lower() in ABSENTEES


def _figures(cells: pd.Series, comma: bool) -> list[Any]:
    """The cells of a column as figures: None where one is missing, {reason: cell} where it is none."""
    texts = [None if _absent(cell) else str(cell).strip() for cell in cells]
    plain = [_with_point(text) if comma and text else text for text in texts]
    found = pd.to_numeric(pd.Series(plain, dtype=object), errors="coerce").astype("float64").to_numpy()
    return [
        None if text is None else _figure(value, text, written)
        for value, text, written in zip(found.tolist(), texts, plain, strict=True)
    ]


def _with_point(text: str) -> str | None:
    """A figure with a decimal comma as one with a point; None where it is written otherwise.

    >>> [_with_point(text) for text in ("1.234,5", "1.234", "-7", "1.5", "1,234.5")]
    ['1234.5', '1234', '-7', None, None]
    """
    if "." not in text and "," not in text:
        return text
    return text.replace(".", "").replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else None


def _figure(value: float, text: str, written: str | None) -> Any:
    """written: with a decimal point. Whole numbers are kept to the last digit, which a float is too short for."""
    if np.isnan(value):
        return {TEXT: text}
    if not abs(value) < HUGE:
        return {ENDLESS: text}
    return int(written) if written and WHOLE.fullmatch(written) else _plain(value)


def _plain(value: float) -> float | int:
    """A figure as JSON has it: 17.0 is 17."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _signal(cell: Any, length: int | None) -> Any:
    """A list of figures from JSON, or as numpy prints one."""
    if _absent(cell):
        return None
    text = str(cell).strip()
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        inner = re.fullmatch(r"\[([^\[\]]*)\]", text)
        given = re.split(r"[\s,;]+", inner[1].strip()) if inner else None
    if not isinstance(given, list) or not given or any(isinstance(each, list | dict | bool) for each in given):
        return {NO_ARRAY: text}
    if length is not None and len(given) != length:
        return {LENGTH: text}
    if all(type(each) in (int, float) and abs(each) < HUGE for each in given):
        return [_kept(each) for each in given]
    return _joined(_figures(pd.Series(given, dtype=object), False))


def _kept(value: float) -> float | int:
    """A figure of a signal: a whole number as it is, another with as many digits as a sensor has."""
    plain = value if isinstance(value, int) else _plain(value)
    return plain if isinstance(plain, int) else _plain(float(f"{plain:.{KEPT_DIGITS}g}"))


def _joined(values: list[Any]) -> Any:
    """Figures as a signal; None where all are missing, {reason: all of it} where one is none."""
    faults = [reason for value in values for reason in _reasons(value)]
    if faults:
        whole = [next(iter(value.values())) if isinstance(value, dict) else value for value in values]
        return {NO_ARRAY if TEXT in faults else ENDLESS: whole}
    if all(value is None for value in values):
        return None
    return [None if value is None else _kept(value) for value in values]


def _packed(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


# What is expected of a row


def rules(max_chars: int) -> list[Rule]:
    """What is expected of a row."""
    length = "row: characters"
    detail = f"row has {{value:.0f}} characters as JSON, at most {max_chars} allowed (pull.max_chars)"
    return [
        Rule("every column of the row is missing", length, PRESENT),
        DECODES,
        *(
            Rule(words, f"row: column with {reason}", ABSENT, detail=f"{words}, in column {{value:.0f}} of the row")
            for reason, words in FAULTS.items()
        ),
        Rule(f"row has more than {max_chars} characters", length, BETWEEN, {"max_value": max_chars}, detail),
    ]


def measures(cells: Sequence[str | None]) -> dict[str, Any]:
    """How long each row is, and the first column of it with each fault, counted from 1."""
    faulty = [{} if cell is None else _faults(cell) for cell in cells]
    found = {
        f"row: column with {reason}": pd.Series([each.get(reason) for each in faulty], dtype="float64")
        for reason in FAULTS
    }
    return {
        "row: characters": pd.Series([None if cell is None else len(cell) for cell in cells], dtype="float64")
    } | found


def _faults(cell: str) -> dict[str, int]:
    if '{"' not in cell[1:]:  # within the outer braces there are none
        return {}
    said = [(reason, at) for at, value in enumerate(unpacked(cell).values(), 1) for reason in _reasons(value)]
    return dict(reversed(said))


def _reasons(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def tidy(cell: str) -> str:
    """As JSON is written here."""
    values = unpacked(cell)
    return _packed(values) if values else cell


def identify(cell: str) -> str:
    """The id of the item: a hash of the row."""
    return content_id(cell)


def fold(cell: str) -> str:
    """The row with six digits of each fraction, and three places after the point at least: what differs by less is the
    same. Whole numbers stay as they are.

    >>> fold('{"a":0.1,"b":"x"}') == fold('{"a":0.10000000149,"b":"x"}')
    True
    >>> fold('{"a":1700000000}') == fold('{"a":1700000001}')
    False
    """
    values = unpacked(cell)
    return _packed({name: _rounded(value) for name, value in values.items()}) if values else cell


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if type(value) is int:
        return str(value)
    if not isinstance(value, float):
        return value
    many = abs(value) >= 10 ** (ALIKE_DIGITS - ALIKE_PLACES)
    return str(_plain(round(value, ALIKE_PLACES) if many else float(f"{value:.{ALIKE_DIGITS}g}")))


# What the columns are


def detected(look: Callable[[], pd.DataFrame], columns: Columns) -> tuple[Columns, list[str]]:
    """The features, each with what it is, and what to say of them: those that were named, or all but those of id,
    label, group and context; what seems to be a key or free text is left out."""
    if twice := next((name for name in columns.without if name in columns.features), None):
        raise InputError(f"--features: {twice!r} is named and left out", fix="name it, or leave it out")
    if columns.features and all(map(_whole, columns.features.values())) and not columns.without:
        return columns, []
    rows = look()
    named_already = {columns.label, columns.id, columns.group, *columns.context, *columns.without}
    asked = columns.features or dict.fromkeys((str(name) for name in rows if name not in named_already), "")
    wide = wide_signals([name for name, text in asked.items() if not text], rows)
    inside = {column for feature in wide.values() for column in feature.wide}
    found: dict[str, str] = {}
    for name in columns.without:
        if name not in rows and name not in wide:
            refuse_unknown(name, rows)
    wide_names = [name for name in wide if name not in columns.without]
    said = [f"columns {wide[name].wide[0]} to {wide[name].wide[-1]} are one signal, {name!r}" for name in wide_names]
    said += gaps([name for name, text in asked.items() if not text and name not in inside], rows)
    said += ungrouped(columns.group, rows)
    for name, text in asked.items():
        if text or name in inside:
            found |= {name: _with_length(text, name, rows)} if text else {}
            continue
        if name not in rows:
            refuse_unknown(name, rows)
        feature = _form(rows[name], name)
        odd = _unread(rows[name]) if feature in (None, Feature(CATEGORY)) else ""
        if (odd or feature is None) and not columns.features:
            said.append(f"column {name!r} is left out: {odd or 'nearly every row has another text there'}")
        else:
            found[name] = (feature or Feature(CATEGORY)).text
    found |= {name: wide[name].text for name in wide_names}
    if not found:
        raise InputError(
            "the pool has no column of figures, categories or signals",
            expected="some beside those of id, label, group and context",
            got=named([str(each) for each in rows][:20]),
        )
    forms = [feature_of(text).form for text in found.values()]
    said.append(f"features: {_counted(forms)} (pull.columns.features)")
    return columns.model_copy(update={"features": found, "without": []}), said + _odd(rows, found)


def ungrouped(group: str | None, rows: pd.DataFrame) -> list[str]:
    """What to say of rows without a group, where there should be groups."""
    blank = int(rows[group].map(lambda cell: cell is None or not str(cell).strip()).sum()) if group in rows else 0
    if not blank:
        return []
    many = "every row" if blank == len(rows) else f"{blank:,} of {len(rows):,} rows"
    return [f"group column {group!r} is blank in {many}: such a row is kept together with no other"]


def gaps(names: Sequence[str], rows: pd.DataFrame) -> list[str]:
    """What to say of columns such as t0 to t19 that would be a signal if none were missing."""
    said = []
    for stem, run in _runs(names).items():
        numbers = sorted(number for number, _ in run)
        if len(run) < SHORTEST or numbers[-1] - numbers[0] >= 2 * len(run):
            continue
        lacking = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
        if there := [name for name in (f"{stem}{number}" for number in lacking[:5]) if name not in rows]:
            said.append(
                f"columns {stem}{numbers[0]} to {stem}{numbers[-1]} are no signal, each is a figure by itself; "
                f"missing: {named(there)}"
            )
    return said


def _whole(text: str) -> bool:
    """Whether it says all of a column: of a signal its length, too."""
    return bool(text) and (feature_of(text).form != SIGNAL or feature_of(text).length is not None)


def _with_length(text: str, name: str, rows: pd.DataFrame) -> str:
    """What a column is said to be, a signal with its length, or with its columns where these are wide."""
    if _whole(text):
        return text
    wide = {} if name in rows else wide_signals([str(each) for each in rows], rows)
    if name not in rows and name not in wide:
        refuse_unknown(name, rows)
    found = wide[name] if name in wide else Feature(SIGNAL, usual_length(rows[name]))
    return replace(found, rate=feature_of(text).rate).text


def refuse_unknown(name: str, rows: pd.DataFrame) -> NoReturn:
    """InputError for a column that is not in the pool."""
    there = [str(each) for each in rows]
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    fix = f"did you mean {near[0]!r}?" if near else "name another by --features"
    raise InputError(f"the pool has no column {name!r}", expected=f"one of {named(there[:20])}", fix=fix)


def usual_length(cells: pd.Series) -> int | None:
    """How many figures most signals of a column have; None where there is none."""
    lengths = [len(found) for cell in cells if isinstance(found := _signal(cell, None), list)]
    return max(set(lengths), key=lengths.count) if lengths else None


def _counted(forms: list[str]) -> str:
    words = {
        NUMBER: "of figures",
        COMMA: "of figures with a decimal comma",
        CATEGORY: "of categories",
        SIGNAL: "of signals",
    }
    return ", ".join(f"{forms.count(form)} {words[form]}" for form in dict.fromkeys(forms))


def _odd(rows: pd.DataFrame, found: Mapping[str, str]) -> list[str]:
    """What of the features is likely to be a mistake."""
    said = []
    constant = [name for name in found if name in rows and rows[name].nunique(dropna=False) <= 1 < len(rows)]
    if constant:
        said.append(f"the same in every row, so that nothing can be learned from it: {named(constant[:5])}")
    for name in found:
        if KEY.search(name) and name in rows and rows[name].is_unique and len(rows) > MANY:
            said.append(
                f"column {name!r} looks like a key: if it is one, name it by --id-column, so that none learns it"
            )
    return said


def _runs(names: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    """Columns that may be parts of signals by what stands before their number."""
    runs: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if found := WIDE.fullmatch(name):
            runs.setdefault(name[: found.start(2)], []).append((int(found[2]), name))
    return runs


def wide_signals(names: Sequence[str], rows: pd.DataFrame) -> dict[str, Feature]:
    """Signals that stand in columns such as t0, t1, t2, or eeg_t0, eeg_t1: eight at least in a row, all of figures."""
    signals: dict[str, Feature] = {}
    for stem, run in _runs(names).items():
        numbers, own = zip(*sorted(run), strict=True)
        together = list(numbers) == list(range(numbers[0], numbers[0] + len(numbers)))
        if len(own) >= SHORTEST and together and all(_form(rows[name], name) == Feature(NUMBER) for name in own):
            found = WIDE.fullmatch(own[0])
            short = (found[1] or "") if found else ""
            name = short if short and short not in names and short not in signals else stem.rstrip("_.-")
            signals[name] = Feature(SIGNAL, len(own), None, tuple(own))
    return signals


def _form(cells: pd.Series, name: str) -> Feature | None:
    """What a column is; None for keys and free text. InputError where figures can be read in two ways."""
    texts = [str(cell).strip() for cell in cells if not _absent(cell)]
    if not texts:
        return Feature(NUMBER)
    if all(text.startswith("[") for text in texts):
        _refuse_lists(cells, name)
        return Feature(SIGNAL, usual_length(cells))
    numbers = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").notna().mean()
    if numbers >= MOSTLY:
        return Feature(NUMBER)
    comma = [bool(DECIMAL_COMMA.fullmatch(text)) for text in texts]
    with_comma = [text for text in texts if "," in text]
    if with_comma and np.mean(comma) >= MOSTLY:
        if all(THOUSANDS.fullmatch(text) for text in with_comma):
            raise InputError(
                f"column {name!r} holds figures such as {with_comma[0]!r}, which can be read in two ways",
                expected="a decimal point and nothing between thousands",
                fix=f"write it so in all files, or say that it is a decimal comma: --features '{name}={COMMA}'",
            )
        return Feature(COMMA)
    distinct = len(set(texts))
    return None if distinct > max(MANY, DISTINCT * len(texts)) or distinct == len(texts) > 1 else Feature(CATEGORY)


def _unread(cells: pd.Series) -> str:
    """Why a column of many texts is likely meant otherwise, in words; '' where it is not: dates, figures as they are
    not read, and figures with marks for none."""
    texts = [str(cell).strip() for cell in cells if not _absent(cell)]
    if len(set(texts)) <= min(DIGITS, len(texts) - 1):
        return ""
    for form, words in UNREAD.items():
        like = [text for text in texts if form.fullmatch(text)]
        if like and len(like) >= MOSTLY * len(texts):
            return words.format(like[0][:30])
    figures = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").notna().to_numpy()
    if figures.mean() >= MANY_FIGURES:
        others = named(sorted({text[:20] for text, is_figure in zip(texts, figures, strict=True) if not is_figure})[:3])
        return (
            f"{figures.mean():.0%} of it are figures, the rest are {others}; make these blank, and it is one of figures"
        )
    return ""


def _leaving_out(name: str) -> str:
    return f"leave it out: {shlex.quote(f'--features=-{name}')}"


def _refuse_lists(cells: pd.Series, name: str) -> None:
    """InputError where most lists of a column cannot be windows of one signal."""
    found = [each for each in (_signal(cell, None) for cell in cells) if each is not None]
    lists = [len(each) for each in found if isinstance(each, list)]
    usual = max(set(lists), key=lists.count) if lists else 0
    if lists.count(usual) > len(found) / 2:
        return
    fix = f"mend it in all files, or {_leaving_out(name)}"
    if len(lists) > len(found) / 2:
        got = f"lists of {min(lists)} to {max(lists)} figures"
        raise InputError(
            f"column {name!r} holds no windows of a signal", expected="lists of one length", got=got, fix=fix
        )
    wrong = next(str(cell) for cell in cells if isinstance(_signal(cell, None), dict))
    raise InputError(
        f"column {name!r} holds lists that are no signals",
        expected="a list of figures in each row; of several channels, a column each",
        got=wrong[:60],
        fix=fix,
    )


# Vectors


def settled(cells: list[str], settings: Settings) -> dict[str, Any]:
    """The scale of each figure, and what the signals are."""
    from labelwise.tasks.learners import kernel

    return kernel.settled(cells, settings.pull.columns.features)


def encoder(embed: Embed, settled: Mapping[str, Any] | None = None) -> "Kernel":
    """Random Fourier features of standardised figures."""
    if embed.encoder != KERNEL:
        raise SettingsError(
            "params.yaml: `embed.encoder` names no encoder of rows",
            expected=KERNEL,
            got=repr(embed.encoder),
            fix=f"set embed.encoder to {KERNEL}",
        )
    from labelwise.tasks.learners.kernel import Kernel

    return Kernel.of(settled or {})


def needs(_embed: Embed) -> list[str]:
    """Nothing."""
    return []


# For people and programs


def given(items: Any, pull: Pull) -> list[str]:
    """The cells of a frame with the columns of the features, or of a list of such mappings."""
    # As objects: pandas would make floats of whole numbers where one is missing.
    rows = items if isinstance(items, pd.DataFrame) else pd.DataFrame(list(items), dtype=object)
    columns = pull.columns
    own = columns.sources
    if missing := [name for name in own if name not in rows]:
        raise InputError(
            f"the rows have no column {missing[0]!r}",
            expected="a frame, or a list of mappings, with " + named(own[:20]),
            got=named([str(name) for name in rows][:20]),
            fix="where nothing is known of a column, give it with None",
        )
    texts = {name: rows[name].map(partial(_as_text, comma=columns.features.get(name) == COMMA)) for name in own}
    cells = [None if cell is None else tidy(cell) for cell in packed(pd.DataFrame(texts, dtype=object), columns)]
    for position, cell in enumerate(cells):
        for reason, at in (_faults(cell) if cell else {}).items():
            name = list(columns.features)[at - 1]
            raise InputError(
                f"row {position}: {FAULTS[reason]}, in {name!r}",
                expected=columns.features[name],
                got=str(unpacked(cell or "")[name][reason])[:60],
            )
    return [_packed(dict.fromkeys(columns.features)) if cell is None else cell for cell in cells]


def _as_text(value: Any, comma: bool) -> str | None:
    """A value of a program as a source has it: a figure of a column with a decimal comma with one, too."""
    if isinstance(value, np.ndarray | list | tuple):
        return json.dumps(np.asarray(value, dtype=float).tolist())
    if pd.isna(value):
        return None
    return str(value).replace(".", ",") if comma and isinstance(value, float | np.floating) else str(value)


def takes(columns: Columns) -> list[tuple[str, str | None]]:
    """Anything a column: MLflow takes no whole number for a figure, and `given` says better what is wrong."""
    return [("any", name) for name in columns.sources]


def remarks(cells: list[str], gold: Sequence[tuple[str, str]] = ()) -> list[str]:
    """What tells the label of each gold row by itself, and is likely the label under another name. What else there is
    to say follows from the columns, see `detected`."""
    del cells
    read, labels = [unpacked(cell) for cell, _ in gold], [label for _, label in gold]
    said = []
    for name in read[0] if len(read) >= TELLING else ():
        pairs = {(json.dumps(row[name]), label) for row, label in zip(read, labels, strict=True)}
        if 1 < len(set(labels)) == len(pairs) == len({value for value, _ in pairs}):
            said.append(
                f"column {name!r} has a value of its own for each class: if it is the answer, or made from it, "
                f"{_leaving_out(name)}"
            )
    return said


def notes(_cells: list[str]) -> Counter[str]:
    """Nothing: a row is kept as it is."""
    return Counter()


def view(columns: Columns) -> ET.Element:
    """The row in Label Studio: a table, of which nothing can be marked, and where there are signals a picture of them:
    Label Studio takes data addresses out of markup, and shows them as images."""
    whole = ET.Element("View", {"className": "labelwise-row"})
    ET.SubElement(whole, "Style").text = STYLE
    options = {"valueType": "text", "inline": "true", "selectionEnabled": "false"}
    ET.SubElement(whole, "HyperText", {"name": TO, "value": f"${NAME}", **options})
    if any(feature_of(text).form == SIGNAL for text in columns.features.values()):
        size = {"width": "100%", "maxWidth": f"{WIDE_PICTURE}px", "zoomControl": "false", "rotateControl": "false"}
        ET.SubElement(whole, "Image", {"name": CURVES, "value": f"${CURVES}", **size})
    return whole


STYLE = """
      .labelwise-row { font-size: 14px; margin-bottom: 8px; max-height: 60vh; overflow: auto }
      .labelwise-row table, .labelwise-row tbody { display: block }
      .labelwise-row tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)) }
      .labelwise-row tbody { column-gap: 24px }
      .labelwise-row tr { display: grid; grid-template-columns: minmax(110px, 45%) 1fr; padding-bottom: 2px }
      .labelwise-row th { opacity: 0.7; font-weight: normal; text-align: left; padding-right: 12px }
      .labelwise-row th, .labelwise-row td { overflow-wrap: anywhere }
      .labelwise-row td { white-space: pre-wrap }
    """


def task(cell: str) -> dict[str, str]:
    """What `view` reads."""
    return {NAME: as_html(cell), CURVES: address(curves(signals_of(cell), WIDE_PICTURE, STRIP))}


def signals_of(cell: str) -> dict[str, list[float | None]]:
    """The signals of a row by column."""
    return {name: value for name, value in unpacked(cell).items() if isinstance(value, list)}


def as_html(cell: str) -> str:
    """The figures and categories, a line a column, all of it escaped.

    >>> as_html('{"a<b":1.5,"c":null,"d":[1,2]}')
    '<table><tr><th>a&lt;b</th><td>1.5</td></tr><tr><th>c</th><td>–</td></tr></table>'
    """
    lines = [
        f"<tr><th>{html.escape(_shown(name))}</th><td>{html.escape(_shown(_spoken(value), 2000))}</td></tr>"
        for name, value in unpacked(cell).items()
        if not isinstance(value, list)
    ]
    return f"<table>{''.join(lines)}</table>"


def address(svg: str) -> str:
    """A picture as a data address. As an image nothing in it runs."""
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def curves(signals: Mapping[str, Sequence[float | None]], width: int, height: int, named: bool = True) -> str:
    """An SVG of signals, each in a strip of its own: a line from its least to its greatest figure, with a gap where
    some are missing. Of a long one the least and the greatest of each stretch are drawn, so that no peak is lost.
    named: whether the name and the ends stand beside each."""
    ground = f'<rect width="{width}" height="{height * max(len(signals), 1)}" fill="#f7fafc"/>'
    parts = [ground]
    for number, (name, signal) in enumerate(signals.items()):
        values = thinned(np.array([np.nan if value is None else value for value in signal], float))
        there = np.isfinite(values)
        low, high = (values[there].min(), values[there].max()) if there.any() else (0.0, 0.0)
        top, bottom = number * height + (16 if named else 2), (number + 1) * height - 3
        share = (values - low) / (high - low) if high > low else np.where(there, 0.5, np.nan)
        x, y = np.linspace(2, width - 2, len(values)), bottom - share * (bottom - top)
        first = there & ~np.concatenate([[False], there[:-1]])
        line = "".join(f"{'M' if first[at] else 'L'}{x[at]:.1f} {y[at]:.1f}" for at in np.flatnonzero(there))
        parts.append(f'<path d="{line}" fill="none" stroke="#2b6cb0" stroke-width="1.2"/>')
        if named:
            said = html.escape(f"{_shown(name)}: {_spoken(list(signal))}")
            font = 'font-family="sans-serif" font-size="11" fill="#4a5568"'
            parts.append(f'<text x="4" y="{number * height + 12}" {font}>{said}</text>')
    whole = height * max(len(signals), 1)
    size = f'width="{width}" height="{whole}" viewBox="0 0 {width} {whole}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def thinned(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> Any:
    """At most 2 POINTS figures of a signal: the least and the greatest of each stretch."""
    if len(values) <= 2 * POINTS:
        return values
    parts = np.array_split(values, POINTS)
    ends = [(np.nan, np.nan) if np.isnan(part).all() else (np.nanmin(part), np.nanmax(part)) for part in parts]
    return np.array(ends).ravel()


def thumbnail(cell: str) -> str:
    """Its signals; '' where it has none."""
    signals = signals_of(cell)
    return address(curves(signals, 240, 40, named=False)) if signals else ""


def values(cell: str) -> dict[str, Any]:
    """The figures, categories and signals."""
    return unpacked(cell)


def value_types(columns: Columns) -> dict[str, str]:
    """Of each feature."""
    known = {CATEGORY: A_TEXT, SIGNAL: NUMBERS}
    return {name: known.get(feature_of(text).form, A_NUMBER) for name, text in columns.features.items()}


def brief(cell: str) -> str:
    """The first columns on a line.

    >>> brief('{"age":41,"job":null,"eeg":[1,2,3.5]}')
    'age 41, job –, eeg 3 figures from 1 to 3.5'
    """
    values = unpacked(cell)
    parts = [f"{_shown(name)} {_shown(_spoken(value))}" for name, value in list(values.items())[:BRIEF]]
    more = f", and {len(values) - BRIEF} more" if len(values) > BRIEF else ""
    return ", ".join(parts) + more if values else cell


def _spoken(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        there = [each for each in value if each is not None]
        ends = f" from {min(there):.4g} to {max(there):.4g}" if there else ""
        return quantity(len(value), "figure") + ends
    if isinstance(value, dict):
        return ", ".join(map(str, value.values()))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _shown(text: str, most: int = 40) -> str:
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"
