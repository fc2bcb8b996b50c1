"""What chosen labels gave beside as many random ones, with an interval: for the checks that compare the two."""

from dataclasses import asdict, dataclass
from typing import Any

LEAST, MOST = 20, 1000  # labels of either sort: a check, not a second loop
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Contrast:
    """labels: of each sort. chosen, random: the measure that they gave, in [0, 1]. difference: chosen less random, with
    its 95 % interval."""

    labels: int
    chosen: float
    random: float
    difference: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether chosen labels clearly gave less."""
        return self.high < 0

    def as_json(self, verdict: str) -> dict[str, Any]:
        """For metrics/proof.json. verdict: the name by which `clear` stands there."""
        return {**asdict(self), verdict: self.clear}
