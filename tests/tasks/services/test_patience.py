"""Trying again: what for, how often, and how long in between."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from labelwise.tasks.errors import InputError, ServiceBusy, ServiceDown, ServiceError
from labelwise.tasks.services import patience
from labelwise.tasks.services.patience import patient, patiently, seconds_asked


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which take no time here."""
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    return pauses


def failing(times: int, error: Exception) -> tuple[Callable[[], str], list[int]]:
    """A function that fails so often before it works, and its calls."""
    calls: list[int] = []

    def do() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "done"

    return do, calls


@pytest.mark.parametrize("error", [ServiceDown("gone"), ServiceBusy("429")])
def test_a_server_that_comes_back_is_waited_for(slept: list[float], error: Exception) -> None:
    do, calls = failing(3, error)
    said: list[str] = []
    assert patient(do, said.append) == "done"
    assert len(calls) == 4
    assert [line.split(";")[0] for line in said] == [str(error)] * 3


def test_the_pauses_grow_and_come_to_half_a_minute(slept: list[float]) -> None:
    do, calls = failing(99, ServiceDown("gone"))
    with pytest.raises(ServiceDown, match="gone"):
        patient(do)
    assert len(calls) == patience.TRIES
    for number, pause in enumerate(slept):
        assert 2**number <= pause <= 2**number + patience.PAUSE_S
    assert 25 < sum(slept) < 45


@pytest.mark.parametrize("error", [ServiceError("no"), InputError("bad"), KeyError("bug")])
def test_what_another_try_cannot_mend_is_said_at_once(slept: list[float], error: Exception) -> None:
    do, calls = failing(1, error)
    with pytest.raises(type(error)):
        patient(do)
    assert (len(calls), slept) == (1, [])


def test_a_server_that_nobody_has_started_is_said_at_once_but_a_busy_one_is_waited_for(slept: list[float]) -> None:
    do, calls = failing(1, ServiceDown("nobody there"))
    with pytest.raises(ServiceDown):
        patient(do, met=False)
    assert len(calls) == 1
    do, calls = failing(1, ServiceBusy("503"))
    assert patient(do, met=False) == "done"


@pytest.mark.parametrize(("asked", "waited"), [(20.0, 20.0), (0.0, 1.0), (None, 1.0), (9e9, patience.LONGEST_S)])
def test_the_server_says_how_long(slept: list[float], asked: float | None, waited: float) -> None:
    do, _ = failing(1, ServiceBusy("429", retry_after=asked))
    patient(do)
    assert waited <= slept[0] <= waited + patience.PAUSE_S


def test_a_function_made_patient_keeps_its_words(slept: list[float]) -> None:
    calls: list[int] = []

    @patiently
    def look(number: int, *, twice: bool = False) -> int:
        """A look."""
        calls.append(number)
        if len(calls) == 1:
            raise ServiceDown("gone")
        return 2 * number if twice else number

    assert look(3, twice=True) == 6
    assert (look.__doc__, calls) == ("A look.", [3, 3])


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    assert seconds_asked({"retry-after": " 12 "}) == 12
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    found = seconds_asked({"Retry-After": later})
    assert found is not None and 50 < found <= 60
    assert seconds_asked({"Retry-After": format_datetime(datetime(2000, 1, 1, tzinfo=UTC), usegmt=True)}) == 0
    for nonsense in ("", "soon", "-3", "Tue, 99 Foo"):
        assert seconds_asked({"Retry-After": nonsense}) is None
