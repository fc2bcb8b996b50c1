"""What encoding texts costs, by what runs it: `make bench-speed ARGS=encode`. Texts of 50 tokens on average, each way
in a process of its own, in turn; seconds of the processor on one core, and of the clock on two. The rival is
sentence-transformers' `encode` by its own batch of 32; the ceiling the matrix products of the same encoder alone, in
the process that encodes.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.bench.figures import RIVALS, Ratio, table

TEXTS, REPEATS, SEED = 2000, 3, 0
OURS, RIVAL = ("torch auto", "torch float32", "onnx", "int8"), "sentence-transformers"  # auto: what new workspaces have
STEP = 1024  # tokens in a step, see learners/devices.py
BY_RIVAL = Path(__file__).with_name("rival_encoding.py")
TIMES, BEST = 1.3, 1.45  # the rival, by torch and by the best
TORCH = "torch"
CEILING, BOTH = 0.8, 1.8  # of the matrix products alone; two cores over one
WORDS = ["the", "order", "of", "our", "new", "printer", "arrived", "late", "and", "invoice", "was", "wrong", "please"]


def texts() -> list[str]:
    """Of 10 to 66 common words, 38 on average: about 50 tokens."""
    rng = np.random.default_rng(SEED)
    return [" ".join(rng.choice(WORDS, int(n))) + f" no {rng.integers(1e6)}" for n in rng.integers(10, 67, TEXTS)]


def encode(name: str) -> dict[str, float]:
    """CPU and clock seconds of the texts by this engine, and for torch those of the matrix products alone."""
    from labelwise.tasks.kinds import text
    from labelwise.tasks.settings import Embed

    by, _, precision = name.partition(" ")
    asked = Embed.model_validate({"engine": by, "precision": precision or None})
    made: Any = text.encoder(asked)
    given = texts()
    made.encode(given[:64])
    found = timed(lambda: made.encode(given))
    return found | ({"ceiling": timed(lambda: products(made, given))["cpu"]} if by == TORCH else {})


def products(made: Any, given: list[str]) -> None:
    """The matrix products of the encoder's layers for as many tokens as these texts have, in its precision."""
    import torch

    wide, inner = made.model.config.hidden_size, made.model.config.intermediate_size
    tokens = sum(map(len, made.tokenizer(given, truncation=True, max_length=made.max_tokens)["input_ids"]))
    kind = made.model.dtype
    with torch.inference_mode():
        into, out = torch.randn(STEP, wide, dtype=kind), torch.randn(STEP, inner, dtype=kind)
        square, up, down = (torch.randn(*shape, dtype=kind) for shape in ((wide, wide), (wide, inner), (inner, wide)))
        for _ in range(made.model.config.num_hidden_layers * tokens // STEP):
            for weights in (square, square, square, square, up):
                into @ weights
            out @ down


def timed(do: Callable[[], object]) -> dict[str, float]:
    """CPU and clock seconds."""
    cpu, clock = time.process_time(), time.perf_counter()
    do()
    return {"cpu": time.process_time() - cpu, "clock": time.perf_counter() - clock}


def seconds(runs: list[dict[str, float]], of: str = "cpu") -> list[float]:
    """Of each run."""
    return [run[of] for run in runs]


def bench() -> str:
    """The table."""
    from labelwise.tasks.learners import devices
    from labelwise.tasks.learners.encoder import PACKAGED, path_of
    from labelwise.tasks.settings import Embed

    ways = [*OURS, *([RIVAL] if RIVALS.exists() else [])]
    runs: dict[tuple[str, int], list[dict[str, float]]] = {(way, cores): [] for way in ways for cores in (1, 2)}
    for repeat in range(REPEATS):
        for way, cores in list(runs) if repeat % 2 else list(runs)[::-1]:
            command = [sys.executable, "-m", "tests.bench.encoding", way]
            if way == RIVAL:
                command = [str(RIVALS), str(BY_RIVAL), path_of(PACKAGED), str(Embed().max_tokens)]
            env = os.environ | {"OMP_NUM_THREADS": str(cores), "MKL_NUM_THREADS": str(cores)}
            given = json.dumps(texts())
            done = subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True, env=env)
            runs[way, cores].append(json.loads(done.stdout.strip().splitlines()[-1]))
    rows = []
    for way in ways:
        one, two = (seconds(runs[way, cores], "clock") for cores in (1, 2))
        cpu = seconds(runs[way, 1])
        row = {"by": way, "texts a CPU s, one core": f"{TEXTS / np.mean(cpu):.0f}"}
        row["two cores over one"] = f"{Ratio(one, two):.2f}"
        if way.startswith(TORCH):
            row["of its matrix products alone"] = f"{Ratio(seconds(runs[way, 1], 'ceiling'), cpu):.2f}"
        if RIVAL in ways:
            row[f"times {RIVAL}"] = f"{Ratio(seconds(runs[RIVAL, 1]), cpu):.2f}"
        rows.append(row)
    lack = "" if RIVAL in ways else f"- {RIVAL} was left out: `make rivals` installs it\n"
    return f"""{table(pd.DataFrame(rows))}

{lack}
- torch auto computes here on {devices.place("auto")}
- goals: {TIMES} times the rival by torch, {BEST} by the best; {CEILING} of the matrix products alone
- two cores over one: {BOTH} is the goal
"""


if __name__ == "__main__":
    print(json.dumps(encode(sys.argv[1])))
