"""Sets of ids that stay small, however large the pool."""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


class Ids:
    """A growing set, eight bytes an id (a Python set takes a hundred): their 64-bit hashes, sorted.

    >>> ids = Ids()
    >>> ids.add(["a", "b", "a"]).tolist()
    [True, True, False]
    >>> ids.has(["b", "c"]).tolist()
    [True, False]
    """

    def __init__(self) -> None:
        self._hashes = np.array([], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._hashes)

    def has(self, ids: Iterable[Hashable]) -> Mask:
        """Which of `ids` are in the set."""
        return self._places(_hashes(ids))[1]

    def add(self, ids: Iterable[Hashable]) -> Mask:
        """Add `ids`; which of them are new, of equal ones the first."""
        given = _hashes(ids)
        hashes, first = np.unique(given, return_index=True)
        places, known = self._places(hashes)
        self._hashes = np.insert(self._hashes, places[~known], hashes[~known])
        new = np.zeros(len(given), dtype=np.bool_)
        new[first[~known]] = True
        return new

    def _places(self, hashes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], Mask]:
        """Where each hash belongs, and whether it is there."""
        places = np.searchsorted(self._hashes, hashes)
        return places, np.searchsorted(self._hashes, hashes, side="right") > places


class Owners:
    """Which text each of the user's own ids stands for: sixteen bytes an id."""

    def __init__(self) -> None:
        self._names, self._pairs = Ids(), Ids()

    def add(self, source_ids: Sequence[object], ids: Sequence[str]) -> str | None:
        """Learn that these stand for those; the first that stands for another already, if any. Null stands for none."""
        pairs = [(name, each) for name, each in zip(source_ids, ids, strict=True) if isinstance(name, str)]
        new_names = self._names.add(name for name, _ in pairs)
        clashes = np.flatnonzero(self._pairs.add(pairs) & ~new_names)
        return pairs[clashes[0]][0] if len(clashes) else None


def _hashes(ids: Iterable[Hashable]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(hash, ids), dtype=np.int64)
