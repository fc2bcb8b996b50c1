"""Children of a process that has imported all they need: real processes, without seconds of imports."""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

LIMIT_S = 400.0  # a run of the loop that takes longer hangs


def fork(do: Callable[[], Any], log: Path) -> int:
    """Do something in a child; its pid. The child's words go to `log`, it exits with what `do` would exit with."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # of a parent in the background it is ignored
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        do()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def ended(pid: int, seconds: float = LIMIT_S) -> int:
    """Wait for a child; its exit code, negative for a signal. One that hangs is killed: TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"a run of the loop took more than {seconds:.0f} s")


def inside(do: Callable[[], Any], log: Path) -> Any:
    """What `do` returns, done in a child, so that no thread of DVC or Prefect starts in this process."""
    answer = log.with_suffix(".json")

    def told() -> None:
        answer.write_text(json.dumps(do()))

    code = ended(fork(told, log))
    if code:
        raise RuntimeError(f"exit {code}: {log.read_text()[-2000:]}")
    return json.loads(answer.read_text())
