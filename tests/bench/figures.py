"""How a figure is made and shown: ratios with their 95 % interval, tables, the machine, the servers."""

import importlib.metadata
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from scipy import stats

LIBRARIES = ("prefect", "dvc", "mlflow", "label-studio-sdk", "great-expectations", "pandas", "pyarrow", "torch")
GOLD_PERCENT = 20  # of the articles, which no snippet of a pool is from
CONFIDENCE = 0.95
ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".bench"  # what a figure was made of: a call that was cut off goes on where it was
RIVALS = ROOT / ".venv-rivals" / "bin" / "python"


class Estimate:
    """A mean of repeated measurements with its 95 % interval (Student's t)."""

    def __init__(self, values: Sequence[float]) -> None:
        self.n = len(values)
        self.mean = float(np.mean(values))
        spread = float(np.std(values, ddof=1)) / self.n**0.5 if self.n > 1 else float("nan")
        reach = spread * float(stats.t.ppf((1 + CONFIDENCE) / 2, self.n - 1)) if self.n > 1 else float("nan")
        self.low, self.high = self.mean - reach, self.mean + reach

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


class Ratio(Estimate):
    """The geometric mean of paired ratios with its 95 % interval: twice as slow and twice as fast cancel out."""

    def __init__(self, ours: Sequence[float], rival: Sequence[float]) -> None:
        super().__init__(np.log(np.asarray(ours) / np.asarray(rival)).tolist())
        self.mean, self.low, self.high = (float(np.exp(value)) for value in (self.mean, self.low, self.high))


def verdict(ratio: Estimate, goal: float = 1.0) -> str:
    """Where the whole interval lies."""
    if ratio.high <= goal:
        return "reached"
    return "missed" if ratio.low > goal else "not decided: the interval holds the goal"


def table(rows: pd.DataFrame) -> str:
    """Markdown that also reads well on a terminal: the first column on the left, the others on the right."""
    cells = [[str(name) for name in rows.columns], *rows.astype(str).to_numpy().tolist()]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in (cells[0], rule, *cells[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """What it was measured on."""
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return "\n".join(
        [
            f"- machine: {os.cpu_count()} cores of {_processor()}, {memory:.0f} GiB memory, {platform.system()}",
            f"- Python {platform.python_version()}; {versions}",
        ]
    )


def load() -> str:
    """How busy the machine is, servers and other people's work included."""
    return f"{os.getloadavg()[0]:.1f} for {os.cpu_count()} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@contextmanager
def servers() -> Iterator[None]:
    """The three servers, in a home of their own that goes when the block ends, and the variables that lead there.

    LABELWISE_TEST_HOME names a home to use instead; servers that already run there are left running.
    """
    with tempfile.TemporaryDirectory(prefix="labelwise-bench-", ignore_cleanup_errors=True) as scratch:
        os.environ["LABELWISE_HOME"] = os.environ.get("LABELWISE_TEST_HOME") or scratch
        os.environ |= {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "DO_NOT_TRACK": "1"}
        from labelwise.tasks.services.local import servers

        found = all(server.state == "running" for server in servers.ps())
        try:
            os.environ.update(servers.up(print).as_environment())
            yield
        finally:
            if not found:
                servers.down()


def snippets(count: int, words: int, gold: bool, seed: int) -> pd.DataFrame:
    """`count` different pieces of `words` words from BBC News: columns text, label. Gold comes from other articles."""
    from labelwise.flows.demos.news import bbc_news
    from labelwise.tasks.kinds.forms import folded
    from labelwise.tasks.records import content_id

    news = bbc_news()
    is_gold = news.text.map(lambda text: int(content_id(text), 16) % 100 < GOLD_PERCENT)
    pieces = [
        (" ".join(found[start : start + words]), row.label)
        for row in news[is_gold == gold].itertuples()
        for found in [row.text.split()]
        for start in range(0, len(found) - words + 1, words)
    ]
    rows = pd.DataFrame(pieces, columns=["text", "label"])
    return rows[~rows.text.map(folded).duplicated()].sample(count, random_state=seed).reset_index(drop=True)
