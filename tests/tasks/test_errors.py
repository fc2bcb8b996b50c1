"""The tree of errors is the one that its file draws, and each is one line."""

import inspect
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labelwise.tasks import errors
from labelwise.tasks.errors import LabelwiseError, ServiceError

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


@pytest.mark.parametrize("hostile", ["\x1b]0;owned\x07", "\x9b2J", "a\rb", "\u202egnp.exe", "\ud800", "\0", "a\x08b"])
def test_no_line_is_a_command_to_the_terminal(hostile: str) -> None:
    line = str(ServiceError(hostile, expected=hostile, got=hostile, fix=hostile))
    assert line.isprintable()
    assert line.encode("ascii")


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hunter2@example.org/x",
        "postgresql+psycopg2://me:hunter2@db/x",
        "https://:hunter2@example.org",
        "https://hunter2@example.org",
        "https://me:hunter2@hunter2@example.org",
        "https://b.s3.example.org/x?X-Amz-Credential=hunter2&X-Amz-Signature=hunter2",
        "https://example.org/x?sig=hunter2 and https://me:hunter2@example.org",
    ],
)
def test_no_line_gives_a_password_away(address: str) -> None:
    for line in (str(ServiceError(address)), str(ServiceError("x", got=f"cannot open {address}"))):
        assert "hunter2" not in line
        assert "example.org" in line or "db" in line
