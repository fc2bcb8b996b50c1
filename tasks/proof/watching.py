"""Does the promise still hold for what a model answers? A few of its answers are watched: drawn by chance, and answered
by people who do not see the model's opinion.

    watch = update(begin(wrong), loss)          with each watched item, in the order in which people answer
    alarm(watch)                                whether more than `wrong` of the answers are wrong by now
    raised(watch, confidences, losses, risk)    the threshold to go on with after that

and `raised_by(confidences, losses, wrong, risk)` does all of it for what was watched of a model.

A gambler stakes on the losses to be more than promised. While each loss has a mean of at most `wrong`, given what was
before, the gambler's fortune, 1 at first, has a mean of at most 1 at any time, and ever reaches 1 / alpha with a chance
of at most alpha (Ville's inequality): so often there is a false alarm, for ever, however often one looks. Parts of the
fortune wait for later items (mixture over the start as of Shiryaev and Roberts; as a test by betting Shin, Ramdas &
Rinaldo 2022, 'E-detectors', arXiv 2203.03532), since stakes that were lost while all was well find no late change. Of
1, the part that still waits after t items is PATIENCE / (PATIENCE + wrong x t). The state has the same size for ever.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.proof.answering import Threshold, threshold

ALPHA = 0.05  # chance that there is ever a false alarm
TIMES = (1.5, 2.0, 4.0)  # as much as promised that the stakes expect to be wrong
PARTS = (0.25, 0.5, 0.25)  # of the fortune
PATIENCE = 10  # mistakes allowed by the promise until half is staked; simulated: 2 to 20
MOST = 1e300  # JSON knows no infinity

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Watch:
    """All that is to be kept; JSON-able. seen: watched items. fortunes: of each of TIMES. peak: the largest fortune
    there has been, in all. rise: how much more likely the last `since` losses are, in logarithms, if twice as much as
    promised is wrong; they begin where that is most likely to have begun."""

    wrong: float
    seen: int = 0
    fortunes: tuple[float, ...] = (0.0,) * len(TIMES)
    peak: float = 1.0
    rise: float = 0.0
    since: int = 0


def begin(wrong: float) -> Watch:
    """A watch over the promise that at most `wrong`, in (0, 1), of the answers are wrong."""
    return Watch(wrong)


def update(watch: Watch, loss: float) -> Watch:
    """The watch after one more item, whose loss is in [0, 1]."""
    wrong, late = watch.wrong, watch.wrong * watch.seen
    waited, waits = PATIENCE / (PATIENCE + late), PATIENCE / (PATIENCE + late + wrong)
    factors = [factor(wrong, times, loss) for times in TIMES]
    fortunes = tuple(
        min((fortune + waited - waits) * by, MOST) for fortune, by in zip(watch.fortunes, factors, strict=True)
    )
    whole = waits + sum(part * fortune for part, fortune in zip(PARTS, fortunes, strict=True))
    rise = watch.rise + math.log(factor(wrong, 2.0, loss))
    rose = rise > 0
    return replace(
        watch,
        seen=watch.seen + 1,
        fortunes=fortunes,
        peak=max(watch.peak, whole),
        rise=rise if rose else 0.0,
        since=watch.since + 1 if rose else 0,
    )


def factor(wrong: float, times: float, loss: float) -> float:
    """What a stake becomes: as much more likely as the loss is if `times` as much is wrong, but never all. Its mean is
    1 where that of the loss is `wrong`, and less below.

    >>> round(factor(0.05, 2, 1), 6), round(0.05 * factor(0.05, 2, 1) + 0.95 * factor(0.05, 2, 0), 6)
    (2.0, 1.0)
    """
    expected = min(times * wrong, (1 + wrong) / 2)
    return 1 + (expected - wrong) / (wrong * (1 - wrong)) * (loss - wrong)


def alarm(watch: Watch, alpha: float = ALPHA) -> bool:
    """Whether it is shown that more is wrong than promised; stays so. False with a chance of at most `alpha`."""
    return watch.peak >= 1 / alpha


def raised(watch: Watch, confidences: Floats, losses: Floats, risk: float, whole: bool = True) -> Threshold:
    """The threshold after an alarm, from what was watched since the change, as far as that is known from the watch:
    inf where no part of it is shown to keep the promise. Its coverage is of what was answered until now.

    confidences, losses: of watched items in their order, the last `watch.since` of them at least.
    """
    last = slice(len(losses) - min(watch.since, len(losses)), None)
    sure = np.asarray(confidences)[last]
    return threshold(sure, sure, np.asarray(losses)[last], watch.wrong, risk, None, whole)


def raised_by(
    confidences: Floats, losses: Floats, wrong: float, risk: float, alpha: float = ALPHA, whole: bool = True
) -> float:
    """The threshold that all that was watched of a model asks for: -inf while its promise holds, inf where it must not
    answer any more.

    confidences, losses: (n,) of watched items, in their order. What lies below a raised threshold is passed over: it is
    no longer answered. After an alarm the watch begins anew. Where it is too early for a threshold after an alarm, it
    is looked for again when twice as many have been watched since the change (which the model would have answered, that
    is). Each look for a threshold has half of the risk of the one before, the first half of `risk`.
    """
    sure, lost = np.asarray(confidences, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    value, watch, due = -math.inf, begin(wrong), 0
    known: list[int] = []
    for at, (confidence, loss) in enumerate(zip(sure.tolist(), lost.tolist(), strict=True)):
        if confidence < value < math.inf:
            continue
        known.append(at)
        if value < math.inf:
            watch = update(watch, loss)
            if not alarm(watch, alpha):
                continue
            known = known[-watch.since :]
        elif len(known) < due:
            continue
        risk, due = risk / 2, 2 * len(known)
        value = threshold(sure[known], sure[known], lost[known], wrong, risk, None, whole).value
        if value < math.inf:
            watch, known = begin(wrong), []
    return value
