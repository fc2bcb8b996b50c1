"""The tree of errors is the one that its file draws, and each is one line."""

import inspect
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks import errors
from tasks.errors import LabelwiseError

KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, LabelwiseError) and kind is not LabelwiseError
}
DRAWN = re.findall(r"^(.*)─ (\w+) .*exit (\d+)$", errors.__doc__ or "", flags=re.MULTILINE)


def test_every_error_is_drawn() -> None:
    assert [name for _, name, _ in DRAWN] == list(KINDS)


@pytest.mark.parametrize(("branch", "name", "code"), DRAWN)
def test_parent_and_exit_code_are_as_drawn(branch: str, name: str, code: str) -> None:
    kind = KINDS[name]
    assert kind("x").exit_code == int(code)
    above = [other for indent, other, _ in DRAWN[: list(KINDS).index(name)] if len(indent) < len(branch)]
    assert kind.__base__ is (KINDS[above[-1]] if above else LabelwiseError)


@given(problem=st.text(), expected=st.text(), got=st.text(), fix=st.text())
@example(problem="a\nb\r\nc", expected="d\x0be", got="f\x85g", fix="h\u2028i")
def test_an_error_is_one_line(problem: str, expected: str, got: str, fix: str) -> None:
    assert len(str(LabelwiseError(problem, expected=expected, got=got, fix=fix)).splitlines()) <= 1


def test_what_is_not_known_is_not_said() -> None:
    assert str(LabelwiseError("no pool")) == "no pool"
    assert str(LabelwiseError("no pool.", fix="add one")) == "no pool. To mend it: add one"
    assert str(LabelwiseError("no pool", got="gold")) == "no pool: got gold"
