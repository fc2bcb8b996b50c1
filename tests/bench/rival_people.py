"""What crowd-kit and cleanlab make of the same answers. Run by an interpreter that has them (.venv-rivals), never by
the project's own, which nothing under the AGPL may enter, as cleanlab is: `python rival_people.py CROWDS.npz OUT.npz`.
Imports nothing of the project.

CROWDS: of each crowd i, `i-item`, `i-person`, `i-label`, (m,) numbers from 0, and `i-opinion`, (n, c), a model's.
OUT: of each way `i-WAY`, (n, 2): the class, and how sure the way is of it.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from cleanlab.multiannotator import get_label_quality_multiannotator
from crowdkit.aggregation import MACE, DawidSkene, MajorityVote

STEPS = 100


def of_crowd_kit(way: Any) -> Callable[[pd.DataFrame, Any, int], Any]:
    """A way of crowd-kit: (n, 2)."""

    def found(answers: pd.DataFrame, _opinion: Any, n: int) -> Any:
        sure = way().fit_predict_proba(answers).reindex(range(n)).fillna(0.0)
        return np.column_stack([sure.columns[sure.to_numpy().argmax(axis=1)], sure.max(axis=1)])

    return found


def crowdlab(answers: pd.DataFrame, opinion: Any, n: int) -> Any:
    """cleanlab's CROWDLAB, with a model that has not learned these labels: (n, 2)."""
    given = answers.pivot_table(index="task", columns="worker", values="label").reindex(range(n))
    told = get_label_quality_multiannotator(given, opinion, verbose=False)["label_quality"]
    return told[["consensus_label", "consensus_quality_score"]].to_numpy(dtype=float)


WAYS = {
    "majority (crowd-kit)": of_crowd_kit(MajorityVote),
    "Dawid-Skene (crowd-kit)": of_crowd_kit(lambda: DawidSkene(n_iter=STEPS)),
    "MACE (crowd-kit)": of_crowd_kit(lambda: MACE(random_state=0)),
    "CROWDLAB (cleanlab)": crowdlab,
}


def main(crowds: str, out: str) -> None:
    """All ways on all crowds."""
    told = {}
    with np.load(crowds) as given:
        for crowd in sorted({name.partition("-")[0] for name in given}):
            columns = {name: given[f"{crowd}-{of}"] for name, of in (("task", "item"), ("worker", "person"))}
            answers = pd.DataFrame({**columns, "label": given[f"{crowd}-label"]})
            opinion = given[f"{crowd}-opinion"]
            for name, way in WAYS.items():
                told[f"{crowd}-{name}"] = way(answers, opinion, int(answers.task.max()) + 1)
            print(f"crowd {crowd}", file=sys.stderr, flush=True)
    np.savez_compressed(out, **told)


if __name__ == "__main__":
    main(*sys.argv[1:])
