"""To wait on a condition."""

import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], seconds: float = 180, told: Callable[[], str] = lambda: "") -> Any:
    """What a condition comes to, as soon as that is something. AssertionError after so many seconds, with what is told
    then."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"it did not come to be within {seconds} s {told()}"
        time.sleep(0.2)
    return found
