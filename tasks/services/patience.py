"""Trying again, here and nowhere else. The clients' own retries are turned off: they would send a request again that
went through though no answer came. What is tried again here is a whole stage, or a look; both first find what is there
already."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import wraps
from typing import ParamSpec, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from labelwise.tasks.errors import ServiceBusy, ServiceDown

TRIES = 6  # with the pauses, half a minute: a server's restart
PAUSE_S = 1.0  # after the first failure; doubled after each further one
LONGEST_S = 300.0  # what a server may ask us to wait

Words = ParamSpec("Words")
Result = TypeVar("Result")
Tell = Callable[[str], None]


def patient(do: Callable[[], Result], tell: Tell | None = None, *, met: bool = True) -> Result:
    """What `do` returns, once the servers let it: tried again when one does not answer or puts us off. `do` must find
    what an earlier try of it did.

    tell: gets a line before each pause. met: whether the servers have answered before; if not, one that nobody has
    started is said at once. ServiceDown after the last try.
    """
    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ServiceDown if met else ServiceBusy)),
        wait=_pause,
        stop=stop_after_attempt(TRIES),
        before_sleep=lambda state: tell and tell(f"{_error(state)}; again in {state.upcoming_sleep:.0f} s"),
        reraise=True,
    )
    return retrying(do)


def patiently(look: Callable[Words, Result]) -> Callable[Words, Result]:
    """A function that only looks, made patient."""

    @wraps(look)
    def looked(*words: Words.args, **named: Words.kwargs) -> Result:
        return patient(lambda: look(*words, **named))

    return looked


def seconds_asked(headers: Mapping[str, str]) -> float | None:
    """What a Retry-After header asks us to wait: seconds, or a date; None where it says nothing of use.

    >>> seconds_asked({"Retry-After": "7"}), seconds_asked({})
    (7.0, None)
    """
    asked = {name.lower(): value for name, value in headers.items()}.get("retry-after", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a time zone
        return None


def _pause(state: RetryCallState) -> float:
    """Seconds to wait: longer each time, and no less than the server asks for."""
    asked = getattr(_error(state), "retry_after", None) or 0.0
    pause: float = wait_exponential_jitter(initial=PAUSE_S, max=30.0, jitter=PAUSE_S)(state)
    return max(pause, min(asked, LONGEST_S))


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
