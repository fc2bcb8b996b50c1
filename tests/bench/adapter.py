"""`python -m tests.bench.adapter FOLDER`: would a compact adapter over the packaged encoder's vectors of pictures learn
more than the logistic head? It is not in the product: this is how that was decided.

The adapter is residual (v + W2 relu(W1 v), as Houlsby et al. 2019, arXiv 1902.00751, put it into layers), learned with
a softmax head on top; how long is decided by a third of the labels, held out, then it learns all. fashion_mnist lies in
FOLDER; the same draws of labels for both.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import t
from threadpoolctl import threadpool_limits
from torch import nn

from labelwise.tasks.kinds import image, picture
from labelwise.tasks.learners import frozen
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.vision import PACKAGED
from labelwise.tasks.settings import Embed, parse
from tests.bench import figures

POOL, GOLD, DRAWS, LABELS = 700, 600, 5, (100, 300)
INNER, STEPS, EVERY, RATE, DECAY = 64, 400, 20, 3e-3, 1e-2
SIDE = 128  # pixels
Vectors, Labels = NDArray[np.float32], NDArray[np.int64]


class Adapter(nn.Module):
    """Vectors of length d -> logits of c classes. At first it leaves vectors as they are."""

    def __init__(self, d: int, c: int) -> None:
        super().__init__()
        self.inner, self.outer, self.head = nn.Linear(d, INNER), nn.Linear(INNER, d), nn.Linear(d, c)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.head(vectors + self.outer(torch.relu(self.inner(vectors))))


def learned(vectors: Vectors, labels: Labels, classes: int, seed: int) -> Adapter:
    """One of these labels, taught for as long as a third of them, held out, says."""
    held = np.random.default_rng(seed).permutation(len(labels)) < len(labels) // 3
    losses = [
        nn.functional.cross_entropy(model(torch.from_numpy(vectors[held])), torch.from_numpy(labels[held])).item()
        for model in taught(vectors[~held], labels[~held], classes, seed)
    ]
    *_, last = islice(taught(vectors, labels, classes, seed), 1 + int(np.argmin(losses)))
    return last


def taught(vectors: Vectors, labels: Labels, classes: int, seed: int) -> Iterator[Adapter]:
    """The same one, each time after EVERY further steps."""
    torch.manual_seed(seed)
    model = Adapter(vectors.shape[1], classes)
    by = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    x, y = torch.from_numpy(vectors), torch.from_numpy(labels)
    for step in range(1, STEPS + 1):
        by.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        by.step()
        if step % EVERY == 0:
            yield model


def encoded(path: Path, many: int) -> tuple[Vectors, Labels]:
    """So many pictures of a set, drawn by chance."""
    rows = pd.read_parquet(path)[["image", "label"]]
    rows = rows.iloc[np.random.default_rng(0).permutation(len(rows))[:many]]
    content = [each["bytes"] if isinstance(each, dict) else each for each in rows.image]
    cells = [picture.cell_of(each, f"{n}.png", SIDE) for n, each in enumerate(content)]
    vectors = image.encoder(Embed(encoder=PACKAGED)).encode(cells)
    return vectors.astype(np.float32), np.unique(rows.label, return_inverse=True)[1].astype(np.int64)


def main(data: Path) -> None:
    """Print a row a number of labels."""
    (pool, answers), (gold, truth) = encoded(data / "pool.parquet", POOL), encoded(data / "gold.parquet", GOLD)
    names = [str(each) for each in range(answers.max() + 1)]
    settings = parse({"project": {"name": "n", "id": "i"}, "classes": names, "pull": {"pool": "p", "gold": "g"}})
    rows = []
    for many in LABELS:
        found = []
        for seed in range(DRAWS):
            drawn = np.random.default_rng(seed).permutation(len(pool))[:many]
            own, said = Items.of(pool[drawn]), answers[drawn]
            head = frozen.fit(Examples(own, said, names), own, settings).probabilities(Items.of(gold))
            adapted = learned(pool[drawn], said, len(names), seed)(torch.from_numpy(gold)).detach().numpy()
            found.append([(each.argmax(axis=1) == truth).mean() for each in (head, adapted)])
        both = np.array(found)
        gain = both[:, 1] - both[:, 0]
        half = t.ppf(0.975, DRAWS - 1) * gain.std(ddof=1) / np.sqrt(DRAWS)
        means = {"frozen": f"{both[:, 0].mean():.3f}", "adapter": f"{both[:, 1].mean():.3f}"}
        rows.append(
            {
                "labels": many,
                **means,
                "gain": f"{gain.mean():+.3f} ({gain.mean() - half:+.3f} to {gain.mean() + half:+.3f})",
            }
        )
    print(f"{figures.machine()}\n\n{figures.table(pd.DataFrame(rows))}")


if __name__ == "__main__":
    with threadpool_limits(1):
        main(Path(sys.argv[1]))
