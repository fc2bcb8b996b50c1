"""The control arm: a uniform sample of the whole pool, grown a few items a round, that nobody's model had a say in.

Every item has a place in one order of the pool that the seed alone decides. The control arm is the head of that order.
An item at the head which a strategy asked for before counts as soon as the head reaches it: its answer would have been
the same. So the answered head is a uniform sample of the pool at every moment, however the rest was chosen: it ends
before the first item that can still be asked, such as one that came to the pool since and has its place within.
The tail of the same order is the reserve from which gold is drawn.

How many of a batch the arm takes may follow what the savings meter said (`select.control: auto`), and it changes places
with the strategy `auto` while labels that this chose are seen to teach less than random ones (`select.fallback`):
whichever number it is, what is answered of the head stays a uniform sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.settings import Select

WHY = "control"
PLACES = 2.0**64
AUTO = "auto"  # `select.control` where the share follows the meter
STRATEGY = "auto"  # `select.strategy` that falls back on chance; whoever names another one has it as it is
FULL, HALF, LEAST = 0.2, 0.1, 0.05  # its shares: until it is known to save, then, and once that is settled
NARROW = 2.0  # the most that one end of a settled interval is of the other
AT_ONCE = 65_536  # ids hashed together: as text, each takes several times the memory of its hash
TAUGHT = 0.01  # of the measure: labels by chance that brought less than this have taught nothing
Order = NDArray[np.uint64]


@dataclass(frozen=True)
class Arm:
    """The share of a batch that is drawn by chance, in [0, 1], and why it is that, in words; '' where it was set."""

    share: float
    why: str = ""

    def __str__(self) -> str:
        """What is to be said behind other words.

        >>> str(Arm(0.1, "chosen labels save some")), str(Arm(0.2))
        ('; 10% of a batch by chance: chosen labels save some', '')
        """
        return f"; {self.share:.0%} of a batch by chance: {self.why}" if self.why else ""


def arm_of(select: Select, proof: Mapping[str, Any]) -> Arm:
    """The arm of the next batch. proof: metrics/proof.json as it stands, empty before there is one."""
    own = arm(select.control, proof.get("savings"))
    return fallen_back(own, proof) if select.fallback and select.strategy == STRATEGY else own


def fallen_back(own: Arm, proof: Mapping[str, Any]) -> Arm:
    """Chance and strategy change places, where labels that the strategy chose are seen to teach less than random ones:
    by as many of either (tasks/proof/taught.py), or by the savings meter. So a strategy that teaches nothing costs a
    quarter more labels than chance would, with an arm of a fifth; and what is known of both goes on growing, so that
    the strategy has its share again once this no longer holds. An arm that was set to nothing stays that: nobody wants
    labels by chance.

    >>> less = {"taught": {"less": True, "labels": 40, "low": -0.15, "high": -0.03}}
    >>> str(fallen_back(Arm(0.2), less))
    '; 80% of a batch by chance: 40 chosen labels teach less than 40 random ones (3.0 to 15.0 points)'
    >>> fallen_back(Arm(0.0), less).share, fallen_back(Arm(0.6), less).share
    (0.0, 0.6)
    >>> fallen_back(Arm(0.2), {"savings": None, "taught": None})
    Arm(share=0.2, why='')
    """
    if not 0 < own.share < 0.5:  # with half of it by chance, or more, nothing is left to change
        return own
    share, taught, savings = 1 - own.share, proof.get("taught"), proof.get("savings")
    if taught and taught["less"]:
        points = f"{-100 * taught['high']:.1f} to {-100 * taught['low']:.1f} points"
        return Arm(share, f"{taught['labels']} chosen labels teach less than {taught['labels']} random ones ({points})")
    if savings and savings["verdict"] == "costs":
        return Arm(share, "the loop needs more labels than chance would")
    return own


def arm(setting: float | str, savings: Mapping[str, Any] | None) -> Arm:
    """What `select.control` comes to. savings: what the meter says of all labels so far, as metrics/proof.json has it;
    None before it can tell.

    By `auto` it is a fifth until the meter says that chosen labels save some, then a tenth; and a twentieth, which
    keeps meter and class shares up to date, once the interval is narrow and what it projects is known, or labels by
    chance have taught nothing while the chosen ones have. Where chosen labels cost more than random ones it is a fifth
    again: then those drawn by chance are the better ones.

    >>> arm(0.3, None), arm("auto", None).share
    (Arm(share=0.3, why=''), 0.2)
    """
    if not isinstance(setting, str):
        return Arm(setting)
    if savings is None:
        return Arm(FULL, "the savings meter cannot tell yet")
    if savings["verdict"] == "costs":
        return Arm(FULL, "labels by chance teach more than chosen ones")
    if savings["verdict"] != "saves":
        return Arm(FULL, "the savings meter is not settled")
    chance, loop = savings["curves"]["random"], savings["curves"]["loop"]
    if chance[-1]["middle"] - chance[0]["middle"] < TAUGHT and chance[-1]["high"] < loop[-1]["low"]:
        return Arm(LEAST, "labels by chance have taught nothing")
    if savings["known"] and savings["ratio"]["high"] <= NARROW * savings["ratio"]["low"]:
        return Arm(LEAST, "the savings meter is settled")
    return Arm(HALF, "chosen labels save some, which is not settled")


def order(ids: pd.Index, seed: int) -> Order:
    """(n,) the place of each item in the order, by a keyed hash (SipHash), so that new items do not move the old."""
    key, parts = f"{seed:016d}", (ids[at : at + AT_ONCE] for at in range(0, max(len(ids), 1), AT_ONCE))
    hashed = [pd.util.hash_array(part.to_numpy(dtype=object), hash_key=key, categorize=False) for part in parts]
    return np.concatenate(hashed)


def reserved(places: Order, share: float) -> NDArray[np.bool_]:
    """(n,) which items are in the reserve: the tail of the order, `share` of the pool on average. Like the head it is
    a uniform sample, and new items do not move the old in or out."""
    return places >= (1 - share) * PLACES if share else np.zeros(len(places), dtype=bool)


def draw(places: Order, k: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which of n open items the arm takes in a batch of k: the first of the order. Their number is `share` of k, made
    whole by chance, so that it is right on average for batches of any size."""
    wanted = min(int(share * k + rng.random()), k)
    return np.argsort(places, kind="stable")[:wanted]


def sample(labels: pd.DataFrame, still_open: pd.Index, seed: int) -> NDArray[np.bool_]:
    """(m,) which labels (columns id, why) are in the control arm: those up to the last one it asked for, and before the
    first of the items that can still be asked. Items that were skipped or are with the reviewers leave holes."""
    places = order(pd.Index(labels.id), seed)
    asked = (labels.why == WHY).to_numpy()
    if not asked.any():
        return asked
    first_open = order(still_open, seed).min(initial=np.iinfo(np.uint64).max)
    return (places <= places[asked].max()) & (places < first_open)
