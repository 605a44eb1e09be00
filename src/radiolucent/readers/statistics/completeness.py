"""Which readings are there and which are missing: told beside every figure that needs films read by all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from radiolucent.readers.statistics.table import Table

__all__ = ["Completeness", "completeness"]


@dataclass(frozen=True)
class Completeness:
    """How many of the films read by anybody each reader read.

    Attributes:
        films: read by at least one. by_all: read by every one of these readers.
        read: by reader, how many of the films.
    """

    films: int
    by_all: int
    read: Mapping[str, int]

    @property
    def missing(self) -> int:
        """Readings that a fully crossed study of these readers and films would have besides."""
        return sum(self.films - n for n in self.read.values())

    @property
    def words(self) -> str:
        """A sentence on what is missing; "" where nothing is."""
        if not self.missing:
            return ""
        gaps = ", ".join(f"{reader} {self.films - n}" for reader, n in self.read.items() if n < self.films)
        return (
            f"{self.missing} of {self.films * len(self.read)} readings are missing ({gaps}): figures that need every "
            f"reader rest on the {self.by_all} of {self.films} films that all of them read"
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        readers = {name: {"read": n, "missing": self.films - n} for name, n in self.read.items()}
        return {"films": self.films, "read_by_all": self.by_all, "missing": self.missing, "readers": readers}


def completeness(table: Table, films: Sequence[str] | None = None) -> Completeness:
    """What is missing in a table of readings.

    Args:
        films: those that count; all of the table unless given.
    """
    there = np.isfinite(table.values)
    if films is not None:
        chosen = set(films)
        there = there[:, [f in chosen for f in table.films]]
    there = there[:, there.any(0)]
    read = {name: int(n) for name, n in zip(table.readers, there.sum(1), strict=True)}
    return Completeness(there.shape[1], int(there.all(0).sum()), read)
