"""How to choose: pure functions over arrays, one family a file. They know nothing of files, Prefect or Label Studio.

A strategy takes the candidates, the size of the batch and a random generator, and returns a `Choice`. To add one, write
the function and put it into `STRATEGIES`; from another package, register it under the entry point group
`labelwise.strategies`.
"""

from importlib.metadata import entry_points

from tasks.strategies import diversity, uncertainty
from tasks.strategies.base import Candidates, Choice, Labelled, Strategy, uniform

STRATEGIES: dict[str, Strategy] = {
    "random": uniform,
    "least_confidence": uncertainty.least_confidence,
    "margin": uncertainty.margin,
    "entropy": uncertainty.entropy,
}

# For round 0: these need no model.
COLD_STARTS: dict[str, Strategy] = {"medoids": diversity.medoids, "random": uniform}


def strategies() -> dict[str, Strategy]:
    """Ours and those of installed packages; a stranger's may not take the name of one of ours."""
    strangers = {entry.name: entry.load() for entry in entry_points(group="labelwise.strategies")}
    return strangers | STRATEGIES


__all__ = ["COLD_STARTS", "STRATEGIES", "Candidates", "Choice", "Labelled", "Strategy", "strategies"]
