"""Linear algebra in one thread, for heads that are fitted to some hundred or thousand rows.

Such a fit multiplies small matrices thousands of times. On two idle cores the threads of OpenBLAS took it six to ten
times as long as one thread does, and on a busy machine thirty times: they wait for each other. In one thread the result
does not hang on the number of cores either.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[object]:
    """BLAS in one thread, for as long as the block runs; to be entered once what uses it has been imported."""
    limited: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> Any:
    """Those that are loaded; to look for them each time would take longer than a small fit."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
