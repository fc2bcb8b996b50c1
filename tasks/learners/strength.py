"""How strongly heads are regularised, evenly or not.

Some encoders of pictures say in the later figures of a vector where something is (see efficientnet.py). Where things
always lie in the same place, as on scans, that is most of what there is to know; where they lie anywhere it is noise.
So these figures count more or less, as labels held out have it: a Gaussian prior of its own for each of two groups of
weights (MacKay 1995, 'Probable networks and plausible predictions', has one for each).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, TypeVar

from labelwise.tasks.learners import vision
from labelwise.tasks.settings import Settings

Logits = TypeVar("Logits")
SCALES = (1.0, 2.0, 0.5, 0.0)  # of equals the first is taken


@dataclass(frozen=True)
class Strength:
    """c: scikit-learn's C, of all weights. scale: what the figures from `first` on are multiplied by; 0: they are not
    looked at."""

    c: float
    first: int = 0
    scale: float = 1.0

    def of(self, rows: Any) -> Any:
        """(n, d) vectors as a head sees them, or its weights for these as weights for the vectors as they are."""
        if self.scale == 1:
            return rows
        result = rows.copy()
        result[:, self.first :] *= self.scale
        return result


def chosen(
    grid: tuple[float, ...], settings: Settings, tried: Callable[[Strength], tuple[float, Logits]]
) -> tuple[Strength, Logits]:
    """The strength of the least loss, and what came with it. grid: of C. tried: a strength -> the loss on labels held
    out, and the logits of these."""
    found = [(*tried(strength), strength) for strength in map(Strength, grid)]
    best = min(found, key=itemgetter(0))
    if first := vision.WHERE.get(settings.embed.encoder):
        others = [replace(best[2], first=first, scale=scale) for scale in SCALES[1:]]
        best = min([best, *((*tried(strength), strength) for strength in others)], key=itemgetter(0))
    return best[2], best[1]
