"""The gold set by active testing against uniform sampling, on labelled sets whose accuracy is known.

One of the benches behind docs/proof.md (`make bench-proof`); by itself: python -m tests.bench.proof_gold DATA.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows import rehearse
from tasks import rehearsal
from tasks.rehearsal import Rows
from tasks.settings import Settings
from tests.bench import figures
from tests.bench.labels import KEPT, cleaned

SETS = ["spamassassin", "convabuse", "it_tickets", "banking77", "unfair_tos"]
POPULATION = 4000  # items whose accuracy is to be known
TRAINED = {"banking77": 600}  # labels of the model, where they are not
LABELS = 200


def prepared(data: Path, name: str) -> tuple[Rows, Settings]:
    """A sample of the set's pool, in random order, with its vectors, which are kept in .bench/."""
    folder = KEPT / "gold" / name
    cleaned(data, name, folder)
    rows = rehearse.rows_of(str(folder / "pool.parquet"), rehearse.COLUMNS, lambda _line: None)
    rows = rows.sample(min(len(rows), POPULATION + 1000), random_state=0).reset_index(drop=True)
    plan = rehearse.Plan(str(folder / "pool.parquet"), None, [], [], 1, 1, 1, 0.0)
    settings = rehearse.settings_of(plan, sorted(set(rows.label)))
    return Rows(rows, rehearse.encoded(rows, settings, folder)), settings


if __name__ == "__main__":
    for each in SETS:
        prepared(Path(sys.argv[1]), each)
        print(each, flush=True)
