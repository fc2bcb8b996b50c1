"""What a trusted label of an item may tell: how far it moves the figure that models are judged by.

Of a mean score an item moves the figure by its loss. Of a ratio of n to d, such as an F1 or a recall, it moves it by
(n - F d) / D, with F the ratio and D the mean of d over all items (the delta method); so what is drawn in proportion to
the root of its mean square tells most of the ratio (Sawade, Landwehr & Scheffer 2010, 'Active estimation of
F-measures'). An item of a rare class moves a ratio far, and so does one that is taken for it. The recall
at a precision is taken to be where false alarms count: a model that has put its threshold there is on the edge of it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.settings import BALANCED, RECALL, MeasureName

LEAST = 0.1  # and one less it, the most, that a ratio is taken to be: a model that never says a class is no proof of it

Floats = NDArray[np.float64]


def squares(name: MeasureName, answer: Answer, classes: Sequence[str], p: Floats, said: Sequence[str]) -> Floats:
    """(n,) the mean square of how far each item may move a measure by classes, by what the model thinks, up to a
    factor that all have alike. It is at most 1.

    p: (n, c) the model's chance that an item has a class. said: (n,) what it says of each. What the ratios are likely
    to be follows from the same chances, and so it is settled before any label is.
    """
    columns = [classes.index(name.of)] if name.of else range(len(classes))
    places = {classes[column]: at for at, column in enumerate(columns)}
    codes, labels = pd.factorize(np.asarray(said, dtype=object))
    named = np.zeros((len(labels), len(places)))
    for row, label in enumerate(labels):
        named[row, [places[each] for each in answer.members(label) if each in places]] = 1
    true, told = p[:, columns], named[codes]
    # What a hit counts above, how much more below than a miss, and what a false alarm counts there.
    top, more_below, alarm = {BALANCED: (1, 0, 0.0), RECALL: (1, -1, name.price)}.get(name.form, (2, 1, 1.0))
    hits = (true * told).mean(axis=0)
    below = true.mean(axis=0) + alarm * told.mean(axis=0) - (alarm - more_below) * hits
    below = np.maximum(below, np.maximum(true.mean(axis=0), 1 / len(p)))
    ratio = np.clip(top * hits / below, LEAST, 1 - LEAST)
    having = (top * told - ratio * (1 + more_below * told)) / below  # where the truth has the class, and where not
    lacking = -(alarm * told * ratio) / below
    whole, more = lacking.sum(axis=1), having - lacking
    if answer.NAME == choice.NAME:  # the classes exclude each other
        found = (true * (whole[:, None] + more) ** 2).sum(axis=1) + (1 - true.sum(axis=1)).clip(0, 1) * whole**2
    else:
        found = (whole + (true * more).sum(axis=1)) ** 2 + (true * (1 - true) * more**2).sum(axis=1)
    most = found.max(initial=0.0)
    return found / most if most else found
