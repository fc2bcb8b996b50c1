"""The thresholds that MAPIE finds for the same known items. Run by an interpreter that has it (.venv-rivals), never by
the project's own: `python rival_answers.py KNOWN.npz PRECISION CONFIDENCE OUT.json`. Imports nothing of the project.

KNOWN: of r draws of g known items (r, g) sure and right, the model's confidence and whether it is right, and (r, t)
levels, thresholds to choose from, rising. OUT: {setting: [threshold, null where there is none]}. An answer of the model
is a positive, so that the share of right answers is a precision.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mapie.risk_control import BinaryClassificationController
from mapie.risk_control.fwer_control import FWERFixedSequenceTesting

# By name: the way that pays for many thresholds, and whether these are quantiles rather than MAPIE's own.
SETTINGS: dict[str, tuple[Any, bool]] = {
    "by default": ("bonferroni_holm", False),
    "quantiles": ("bonferroni_holm", True),
    "fixed sequence": ("fixed_sequence", True),
    "5 starts": (FWERFixedSequenceTesting(n_starts=5), True),
}


def both(sure: Any) -> Any:
    """The probabilities of wrong and right, as a classifier gives them."""
    return np.column_stack([1 - np.ravel(sure), np.ravel(sure)])


def found(way: Any, levels: Any, sure: Any, right: Any, precision: float, confidence: float) -> float | None:
    """The threshold of a setting."""
    more = {} if levels is None else {"list_predict_params": levels}
    controller = BinaryClassificationController(
        both, "precision", target_level=precision, confidence_level=confidence, fwer_method=way, **more
    )
    best = controller.calibrate(sure[:, None], right).best_predict_param
    return None if best is None else float(best)


def main(known: str, precision: str, confidence: str, out: str) -> None:
    """All settings on all draws."""
    with np.load(known) as given:
        draws = list(zip(given["sure"], given["right"].astype(int), given["levels"], strict=True))
    told = {
        name: [
            found(way, np.unique(levels) if own else None, sure, right, float(precision), float(confidence))
            for sure, right, levels in draws
        ]
        for name, (way, own) in SETTINGS.items()
    }
    Path(out).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
