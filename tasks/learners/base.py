"""What the loop asks of any model."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Model(Protocol):
    """A trained model. `classes` gives the order of the columns of `probabilities`."""

    @property
    def classes(self) -> list[str]: ...

    @property
    def trained(self) -> bool: ...

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) -> (n, c); rows sum to 1, or are NaN where nothing has been learned."""
        ...

    def save(self, folder: Path) -> None:
        """Write safetensors and JSON into an empty folder."""
        ...
