"""The model of round 0 where `train.zero_shot` asks for it: a text belongs to the class whose name lies nearest to it
(Chang et al. 2008, 'Importance of semantic representation: dataless classification'). Only as good as the names are
words."""

import numpy as np

from labelwise.tasks.learners.encoder import Encoder
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.settings import Settings

SHARPNESS = 20.0  # of cosines: 0.1 more is e² times as probable


def fit(settings: Settings) -> Head:
    """A head whose weights are the vectors of the class names, `_` and `-` read as spaces."""
    names = [name.replace("_", " ").replace("-", " ") for name in settings.classes]
    weights = SHARPNESS * Encoder(settings.embed.encoder, settings.embed.max_tokens).encode(names)
    return Head(settings.classes, np.arange(len(names)), weights, np.zeros(len(names), dtype=np.float32))
