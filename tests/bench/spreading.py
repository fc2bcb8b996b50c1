"""What it costs to spread the work: `make bench-speed ARGS=ray`. The same texts are encoded here on one core, and by
`engine: ray` on a cluster of four nodes of one core each, all on this machine. Ideal is the time of one core divided by
the cores that there are. Clock seconds, in turn; the vectors must be the same to the bit."""

import hashlib
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from tests.bench.encoding import texts
from tests.bench.figures import Ratio, table

NODES, REPEATS, TIMES, PIECE = 4, 3, 2, 256  # TIMES the texts of encoding.py, in pieces
MORE = 1.15  # than ideal, at most


def encode(engine: str) -> dict[str, object]:
    """Clock seconds of all texts, once workers have the encoder, and a digest of their vectors."""
    import ray

    from labelwise.tasks import embed
    from labelwise.tasks.services.ray import each
    from labelwise.tasks.settings import Embed, Kind, Project, Pull, Settings

    settings = Settings(
        project=Project(name="n", id="i"), classes=["a", "b"], pull=Pull(pool="p", gold="g"), kind=Kind(), embed=Embed()
    )
    given = [f"{at} {text}" for at in range(TIMES) for text in texts()]
    pieces = [given[start : start + PIECE] for start in range(0, len(given), PIECE)]
    do = partial(embed.encoded_by_worker, settings, None)
    if engine == "ray":
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(NODES):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        ray.init(cluster.address, log_to_driver=False)
    where = "ray" if engine == "ray" else "local"
    _ = list(each(where, do, [(at, given[:8]) for at in range(4 * NODES)]))  # each worker loads the encoder
    began = time.perf_counter()
    found = dict(each(where, do, enumerate(pieces)))
    clock = time.perf_counter() - began
    whole = np.concatenate([found[at]["vectors"] for at in range(len(pieces))])
    return {"clock": clock, "digest": hashlib.sha256(whole.tobytes()).hexdigest()}


def bench() -> str:
    """The table."""
    runs: dict[str, list[dict[str, object]]] = {"local": [], "ray": []}
    path = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    for repeat in range(REPEATS):
        for engine in ("local", "ray") if repeat % 2 else ("ray", "local"):
            command = [sys.executable, "-m", "tests.bench.spreading", engine]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, env=env
            )
            runs[engine].append(json.loads(done.stdout.strip().splitlines()[-1]))
    cores = min(os.cpu_count() or 1, NODES)
    clocks = {engine: [float(str(run["clock"])) for run in found] for engine, found in runs.items()}
    ideal = [clock / cores for clock in clocks["local"]]
    same = len({run["digest"] for found in runs.values() for run in found}) == 1
    rows = [{"by": engine, "clock s, middle": f"{np.median(found):.1f}"} for engine, found in clocks.items()]
    return f"""{table(pd.DataFrame(rows))}

- on {NODES} nodes, {cores} cores: {Ratio(clocks["ray"], ideal):.2f} of ideal; at most {MORE} is the goal
- the vectors {"are the same to the bit" if same else "DIFFER"}
"""


if __name__ == "__main__":
    print(json.dumps(encode(sys.argv[1])))
