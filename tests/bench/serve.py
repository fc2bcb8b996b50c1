"""`make bench-serve`: what `labelwise answer` costs beside its encoder, how it stands load, and how small it is.

It makes its own workspace, on servers of its own: short pieces of BBC News, two rounds, a champion. ARGS: names of
PARTS (all where none is named); --runtime NAME; --items N of `load`.
"""

import argparse
import http.client
import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import psutil

from labelwise.tasks import settings
from tests.bench import figures, rounds

POOL, GOLD, WORDS, BATCH, SEED = 4000, 400, 12, 100, 0
ITEMS, CLIENTS = 20_000, 64  # of `load`, an item a request
LONG, TOGETHER = 100_000, 50  # items of `memory`, and those of a request
BLOCKS, BLOCK = 20, 25  # of requests one by one, a median each
STARTS = 5
HOST = "127.0.0.1"
LONGEST_S = 300.0  # that a start may take
P50_GOAL, START_GOAL_S, SIZE_GOAL = 1.2, 5.0, 1 / 3
PARTS = ("start", "one", "load", "memory", "size")
# All is answered: what is measured is answering. What tickets cost is measured by itself.
ANSWERS = {"answer.wrong": 0.5, "answer.watch": 0.0, "answer.unlike": 0.0}
TICKETS = {"answer.wrong": 1e-9, "answer.watch": 0.0, "answer.unlike": 0.01}
USUAL = {"answer.wrong": 0.5, "answer.watch": 0.01, "answer.unlike": 0.01}


@dataclass
class Service:
    """A running `labelwise answer`."""

    port: int
    process: subprocess.Popen[bytes]
    begun: float
    healthy: float = 0.0  # seconds until the first /health

    def connection(self) -> http.client.HTTPConnection:
        """One that is kept open."""
        return http.client.HTTPConnection(HOST, self.port, timeout=120)

    def cpu(self) -> float:
        """Seconds of the processor that it has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def megabytes(self) -> float:
        """What it holds in memory."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6


@contextmanager
def service(workspace: Path, runtime: str) -> Iterator[Service]:
    """`labelwise answer` in a process of its own, from its first /health on."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "labelwise.flows.cli", "answer", "--workspace", str(workspace)]
    command += ["--listen", f"{HOST}:{port}", "--runtime", runtime, "--least", "0"]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    found = Service(port, process, begun)
    try:
        while not _healthy(port):
            if process.poll() is not None or time.perf_counter() - begun > LONGEST_S:
                sys.exit("bench: the service did not start")
            time.sleep(0.02)
        found.healthy = time.perf_counter() - begun
        yield found
    finally:
        process.terminate()
        process.wait()


def _healthy(port: int) -> bool:
    one = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        one.request("GET", "/health")
        return one.getresponse().status == 200
    except OSError:
        return False
    finally:
        one.close()


def asked(connection: http.client.HTTPConnection, *texts: str) -> None:
    """Have texts answered. ValueError where they are not."""
    connection.request("POST", "/answer", json.dumps({"items": texts}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200 or len(json.loads(body)["answers"]) != len(texts):
        raise ValueError(f"{answer.status}: {body[:100]!r}")


# What a request costs


def one(workspace: Path, runtime: str) -> str:
    """Requests of one item, each in turn with the encoder alone on the same text."""
    rows = [
        _one(workspace, runtime, what, changed)
        for what, changed in (("all is answered", ANSWERS), ("as by default", USUAL), ("nothing is answered", TICKETS))
    ]
    return f"""## One item at a time

{BLOCKS * BLOCK} requests of one text of {WORDS} words by one client, runtime {runtime}; in turn with them, in another
process, forward passes of the encoder alone, by torch and by onnxruntime, the text cut into tokens before. As many
threads there as here. Medians; ratios over {BLOCKS} parts of {BLOCK} requests, to the pass by torch first.

{figures.table(pd.DataFrame(rows))}
"""


def _one(workspace: Path, runtime: str, what: str, changed: dict[str, Any]) -> dict[str, str]:
    settings.change(workspace / "params.yaml", changed)
    texts = figures.snippets(BLOCKS * BLOCK + BLOCK, WORDS, False, SEED + 1).text.tolist()
    by_torch, by_onnx = _forward(texts)
    with service(workspace, runtime) as running:
        connection, taken = running.connection(), []
        for number, text in enumerate(texts):
            if number == BLOCK:  # those before have warmed all three
                cpu = running.cpu()
            works = partial(asked, connection, text), partial(by_torch, number), partial(by_onnx, number)
            taken.append([_seconds(work) for work in works])
        cpu = running.cpu() - cpu
    ours, torch, onnx = np.array(taken[BLOCK:]).T
    blocks = [np.median(np.reshape(each, (BLOCKS, BLOCK)), axis=1).tolist() for each in (ours, torch, onnx)]
    to_torch, to_onnx = (figures.Ratio(blocks[0], other) for other in blocks[1:])
    return {
        "": what,
        "p50, ms": f"{1000 * np.median(ours):.1f}",
        "p99, ms": f"{1000 * np.quantile(ours, 0.99):.1f}",
        "CPU, ms": f"{1000 * cpu / len(ours):.1f}",
        "torch alone": f"{1000 * np.median(torch):.1f}",
        "onnxruntime alone": f"{1000 * np.median(onnx):.1f}",
        "ratio": f"{to_torch:.2f}",
        f"goal {P50_GOAL}": figures.verdict(to_torch, P50_GOAL),
        "to onnxruntime": f"{to_onnx:.2f}",
    }


def _forward(texts: list[str]) -> tuple[Callable[[int], Any], Callable[[int], Any]]:
    """A forward pass of the encoder on the text at a place, by torch and by onnxruntime."""
    import torch

    from labelwise.tasks.learners import onnx_encoder
    from labelwise.tasks.learners.encoder import PACKAGED, Encoder

    most = settings.Embed().max_tokens
    one, other = Encoder(PACKAGED, most), onnx_encoder.Encoder(PACKAGED, most)
    given = [one.tokenizer([text], return_tensors="pt") for text in texts]
    ids = [each["input_ids"].numpy().astype(np.int32) for each in given]
    lengths = [np.array([each.shape[1]], np.int32) for each in ids]

    def by_torch(place: int) -> None:
        with torch.inference_mode():
            one.model(**given[place])

    def by_onnx(place: int) -> None:
        other.session.run(["states"], {"ids": ids[place], "lengths": lengths[place]})

    return by_torch, by_onnx


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


# Load


@dataclass
class Load:
    """What the clients saw. rss: megabytes of the service by the number of items answered."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rss: dict[int, float] = field(default_factory=dict)
    took: float = 0.0
    cpu: float = 0.0


def load(workspace: Path, runtime: str, items: int) -> str:
    """Many clients at once, for as long as `items` take."""
    settings.change(workspace / "params.yaml", USUAL)
    with service(workspace, runtime) as running:
        found = played(running, items, CLIENTS, 1)
    errors = f"{len(found.errors)} ({found.errors[0]})" if found.errors else "none"
    rows = [
        {
            "clients": CLIENTS,
            "items": f"{items:,}",
            "minutes": f"{found.took / 60:.1f}",
            "errors": errors,
            "items/s": f"{items / found.took:.0f}",
            "items a CPU second": f"{items / found.cpu:.0f}",
            "p50, ms": f"{1000 * np.median(found.seconds):.0f}",
            "p99, ms": f"{1000 * np.quantile(found.seconds, 0.99):.0f}",
        }
    ]
    return f"""## Load

{CLIENTS} clients, each with a connection of its own and one text of {WORDS} words a request, no two alike; runtime
{runtime}; Label Studio, MLflow and the clients on the same two cores.

{figures.table(pd.DataFrame(rows))}

{remembered(found)}
"""


def memory(workspace: Path) -> str:
    """What the service holds over many items."""
    settings.change(workspace / "params.yaml", USUAL)
    with service(workspace, "static") as running:
        found = played(running, LONG, CLIENTS // 8, TOGETHER)
    speed = f"{LONG / found.took:.0f} items/s, {LONG / found.cpu:.0f} a CPU second"
    return f"""## Memory

{LONG:,} items by {CLIENTS // 8} clients, {TOGETHER} a request, no two alike; runtime static, by which they take
{found.took / 60:.1f} minutes ({speed}); errors: {len(found.errors)}.

{remembered(found)}
"""


def remembered(found: Load) -> str:
    """What it held when how much was answered."""
    rows = [{"items answered": f"{count:,}", "RSS, MB": f"{size:.0f}"} for count, size in sorted(found.rss.items())]
    return figures.table(pd.DataFrame(rows))


def played(running: Service, items: int, clients: int, together: int) -> Load:
    """Clients at work, each with `together` items a request."""
    texts = figures.snippets(POOL, WORDS, False, SEED + 2).text.tolist()
    found, lock, numbers = Load(), threading.Lock(), iter(range(0, items, together))
    looks = {round(items * share / 100) for share in (1, 10, 25, 50, 75, 100)}

    def client() -> None:
        connection = running.connection()
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                connection.close()
                return
            begun = time.perf_counter()
            try:
                asked(connection, *(f"{texts[each % len(texts)]} {each}" for each in range(number, number + together)))
            except (OSError, ValueError, http.client.HTTPException) as error:
                connection.close()
                connection = running.connection()
                with lock:
                    found.errors.append(f"{type(error).__name__}: {error}")
            with lock:
                found.seconds.append(time.perf_counter() - begun)
                if (answered := together * len(found.seconds)) in looks:
                    found.rss[answered] = running.megabytes()

    cpu, begun = running.cpu(), time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found.took, found.cpu = time.perf_counter() - begun, running.cpu() - cpu
    return found


# Start


def start(workspace: Path, runtimes: Iterable[str]) -> str:
    """From the start of a process to its first answer."""
    settings.change(workspace / "params.yaml", USUAL)
    rows = []
    for runtime in runtimes:
        shutil.rmtree(workspace / ".labelwise" / "answer", ignore_errors=True)
        for what, times in (("first", 1), ("later", STARTS)):
            starts = [_start(workspace, runtime) for _ in range(times)]
            healthy, answered, cpu = (figures.Estimate(values) for values in zip(*starts, strict=True))
            form = ".1f"
            rows.append(
                {
                    "runtime": runtime,
                    "start": what,
                    "to /health, s": _shown(healthy, form),
                    "to the first answer, s": _shown(answered, form),
                    "CPU, s": _shown(cpu, form),
                    f"goal {START_GOAL_S:.0f} s": figures.verdict(answered, START_GOAL_S) if times > 1 else "",
                }
            )
    return f"""## Cold start

From the start of the process. The first start of a model keeps in the workspace what it found out; {STARTS} later ones.

{figures.table(pd.DataFrame(rows))}
"""


def _shown(found: figures.Estimate, form: str) -> str:
    return format(found, form) if found.n > 1 else f"{found.mean:{form}}"


def _start(workspace: Path, runtime: str) -> tuple[float, float, float]:
    """Seconds to /health and to the first answer, and of the processor until then."""
    with service(workspace, runtime) as running:
        asked(running.connection(), "The first item that comes")
        return running.healthy, time.perf_counter() - running.begun, running.cpu()


# Size


def size(workspace: Path, folder: Path, runtimes: Sequence[str]) -> str:
    """Megabytes on disk, by what the packages say that they brought."""
    whole = environment(["labelwise"])
    rows = [
        {
            "": "loop",
            "packages": len(whole),
            "environment, MB": f"{_megabytes(whole):.0f}",
            "folder, MB": "",
            "share": "",
        }
    ]
    for runtime in runtimes:
        out = folder / f"bundle-{runtime}"
        command = [sys.executable, "-m", "labelwise.flows.cli", "bundle", str(out), "--workspace", str(workspace)]
        subprocess.run([*command, "--runtime", runtime, "--least", "0"], check=True)
        names = [line.partition("==")[0] for line in (out / "requirements.txt").read_text().splitlines()]
        needed = environment(names)
        own = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
        share = (_megabytes(needed) + own) / _megabytes(whole)
        rows.append(
            {
                "": f"bundle, {runtime}",
                "packages": len(needed),
                "environment, MB": f"{_megabytes(needed):.0f}",
                "folder, MB": f"{own:.0f}",
                "share": f"{share:.2f}, goal {SIZE_GOAL:.2f}: {'reached' if share <= SIZE_GOAL else 'missed'}",
            }
        )
    return f"""## Size

What the packages brought that `pip install labelwise` installs, and those of a bundle's requirements.txt, with all that
they need, and the bundle's folder. Nothing compiled, torch for CPUs.

{figures.table(pd.DataFrame(rows))}
"""


def environment(names: Iterable[str]) -> set[str]:
    """The packages that pip installs for these, all they need included, by their names."""
    found: set[str] = set()
    waiting = [_plain(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # mlflow-skinny, where MLflow itself is installed
            continue
        found.add(name)
        for need in needs:
            parts = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?[^;]*(?:;(.*))?", need)
            if parts and _holds(parts[2]):
                waiting.append(_plain(parts[1]))
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _holds(marker: str | None) -> bool:
    """Whether a package is needed here, without extras."""
    from packaging.markers import Marker

    return not marker or Marker(marker.strip()).evaluate({"extra": ""})


def _megabytes(names: Iterable[str]) -> float:
    """Of the files of these packages."""
    files = (file for name in names for file in importlib.metadata.files(name) or [])
    return sum(file.size or 0 for file in files if file.suffix != ".pyc") / 1e6


# All of it


def made(folder: Path) -> Path:
    """A workspace with a champion: two rounds of `BATCH` labels."""
    pool, gold = (figures.snippets(count, WORDS, of_gold, SEED) for count, of_gold in ((POOL, False), (GOLD, True)))
    workspace = rounds.workspace(folder, pool, gold)
    settings.change(workspace / "params.yaml", {"select.batch": BATCH})
    rounds.play(workspace)
    for _ in range(2):
        rounds.answer(folder, workspace)
        rounds.play(workspace)
    return workspace


def main(words: list[str]) -> None:
    """Run the named parts, or all."""
    parser = argparse.ArgumentParser(prog="make bench-serve")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar=" ".join(PARTS))
    parser.add_argument("--runtime", default="onnx")
    parser.add_argument("--items", type=int, default=ITEMS)
    given = parser.parse_args(words)
    wanted = given.parts or PARTS
    threads = os.environ.get("OMP_NUM_THREADS", "as many as there are cores")
    print(f"# labelwise answer\n\n{figures.machine()}\n- threads (OMP_NUM_THREADS): {threads}\n", flush=True)
    with figures.servers(), TemporaryDirectory(prefix="labelwise-bench-") as scratch:
        folder = Path(scratch)
        workspace = made(folder)
        works: dict[str, Callable[[], str]] = {
            "start": lambda: start(workspace, ("torch", "onnx", "static")),
            "one": lambda: one(workspace, given.runtime),
            "load": lambda: load(workspace, given.runtime, given.items),
            "memory": lambda: memory(workspace),
            "size": lambda: size(workspace, folder, ("onnx", "static")),
        }
        for name, work in works.items():
            if name in wanted:
                before = figures.load()
                section = work()
                print(f"{section}\nLoad: before {before}, after {figures.load()}.\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
