"""The same work on several machines: `engine: ray` in params.yaml, a cluster that RAY_ADDRESS names, or one of this
machine's cores that is started for the while.

What is spread is a function of its arguments alone, so it comes to the same bits wherever it runs, if the processor is
the same, and may run again: Ray does so when a worker dies. What comes back is kept here, by a name that follows from
its number: once, whatever was done twice. Ray sends functions and arrays between its own processes by pickle; a cluster
is as trusted as this machine (docs/security.md).
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from labelwise.tasks.errors import InputError, LabelwiseError, ServiceDown

AHEAD = 2  # parts that are sent for each core, so that none waits; the rest stays here, however large the pool
LOOK_S = 5.0  # between two looks whether the cluster is there
ALONE_S = 120.0  # that it may have no core: one that grows by itself takes a while
RETRIES = 5  # times that a part whose worker died is done again
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "1"}
AGAIN = "what is done is kept: run it again, or set engine: local"

Engine = Literal["local", "ray"]
Key = TypeVar("Key")
Part = TypeVar("Part")
Result = TypeVar("Result")


def each(
    engine: Engine, do: Callable[[Part], Result], parts: Iterable[tuple[Key, Part]], gpu: bool = False
) -> Iterator[tuple[Key, Result]]:
    """What `do` makes of each part, beside its key: here, one after the other, or on the cluster's cores, in the order
    in which they are done. do: a function of a module, or a `partial` of one. gpu: whether it computes on one where the
    cluster has any.

    ServiceDown where there is no cluster, or it goes away. What `do` raises of our own errors is raised here.
    """
    if engine == "local":
        yield from ((key, do(part)) for key, part in parts)
        return
    with _connected() as ray:
        cores = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        on_gpu = gpu and ray.cluster_resources().get("GPU", 0) >= 1
        task = ray.remote(num_cpus=1, num_gpus=1 if on_gpu else 0, max_retries=RETRIES)(_call)
        function, waiting = ray.put(do), dict[Any, Key]()
        for key, part in parts:
            waiting[task.remote(function, part)] = key
            if len(waiting) >= AHEAD * cores:
                yield _first(ray, waiting)
        while waiting:
            yield _first(ray, waiting)


def _call(do: Callable[[Any], Any], part: Any) -> Any:
    return do(part)


def _first(ray: Any, waiting: dict[Any, Key]) -> tuple[Key, Any]:
    """The first that is done. Ray itself would wait for ever for a node, and end this process when its head is gone."""
    alone_since = None
    while True:
        done, _ = ray.wait(list(waiting), num_returns=1, timeout=LOOK_S)
        if done:
            return waiting.pop(done[0]), ray.get(done[0])
        if not _answers(ray.get_runtime_context().gcs_address):
            raise Away("its head does not answer")
        alone_since = None if ray.cluster_resources().get("CPU") else alone_since or time.monotonic()
        if alone_since and time.monotonic() - alone_since > ALONE_S:
            raise Away(f"it has had no core for {ALONE_S:.0f} s")


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=LOOK_S).close()
        return True
    except (OSError, ValueError):
        return False


class Away(Exception):
    """The cluster."""


@contextmanager
def _connected() -> Iterator[Any]:
    """Ray, connected to its cluster; what goes wrong with that is said in a line."""
    os.environ |= {name: value for name, value in QUIET.items() if name not in os.environ}
    try:
        import ray
    except ImportError as error:
        fix = "`pip install 'labelwise[ray]'`, or set engine: local"
        raise InputError("engine: ray needs Ray", got=str(error), fix=fix) from None
    address, mine, gone = os.environ.get("RAY_ADDRESS", "").strip(), not ray.is_initialized(), False
    if mine:
        here: dict[str, Any] = {} if address else {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            if ":" in address and "://" not in address and not _answers(address):  # Ray itself would try for minutes
                raise ConnectionError("nobody listens there")
            ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **here)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            what = f"no Ray cluster answers at {address}" if address else "Ray does not start here"
            said = (str(error).splitlines() or [type(error).__name__])[0][:160]
            fix = "see that it runs (`ray status`), correct RAY_ADDRESS, or set engine: local"
            raise ServiceDown(what, got=said, fix=fix) from None
    try:
        yield ray
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, LabelwiseError):
            raise error.cause from None
        raise
    except (ray.exceptions.RayError, Away) as error:
        gone, said = True, str(error).splitlines()[0][:160]
        raise ServiceDown("the Ray cluster went away", got=said, fix=AGAIN) from None
    finally:
        if mine and not gone:  # it would wait for what is no more
            ray.shutdown()
