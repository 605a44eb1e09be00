"""What a manifest says of the films beyond their labels, for a report's first table."""

from collections import Counter

import numpy as np

from radiolucent.data import Dataset
from radiolucent.data.trained_on import IDENTITY, PIXELS

__all__ = ["characteristics", "groupings"]

EXPECTED = ("age", "sex")  # said to be missing where they are
MOST = 8  # values of a column that are told apart
OURS = (IDENTITY, PIXELS)


def characteristics(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    """(column, how its values are distributed over the films): quartiles of numbers, else counts."""
    names = sorted({k for r in dataset.records for k in r.columns} - set(OURS))
    found = [(name, _distribution([r.column(name) for r in dataset.records])) for name in names]
    have = {name.casefold() for name in names}
    return (*found, *((name, "not available") for name in EXPECTED if name not in have))


def groupings(dataset: Dataset) -> tuple[str, ...]:
    """Columns by whose values figures can be told apart: two to `MOST` of them."""
    values: dict[str, set[str]] = {}
    for r in dataset.records:
        for name, value in r.columns.items():
            values.setdefault(name, set()).add(value)
    return tuple(sorted(n for n, some in values.items() if 2 <= len(some) <= MOST and n not in OURS))


def _distribution(values: list[str | None]) -> str:
    known = [v for v in values if v]
    missing = f"; not given for {len(values) - len(known)} of {len(values)}" if len(known) < len(values) else ""
    try:
        numbers = np.array([float(v) for v in known])
    except ValueError:
        numbers = None
    if numbers is not None and len(set(known)) > MOST and np.isfinite(numbers).all():
        low, middle, high = np.percentile(numbers, [25, 50, 75])
        quartiles = f"quartiles {low:.3g} to {high:.3g}, range {numbers.min():.3g} to {numbers.max():.3g}"
        return f"median {middle:.3g} ({quartiles}){missing}"
    counts = Counter(known).most_common()
    rest = sum(n for _, n in counts[MOST:])
    shown = [f"{value} {n}" for value, n in counts[:MOST]] + ([f"others {rest}"] if rest else [])
    return ", ".join(shown) + missing
