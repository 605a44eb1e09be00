"""Time to read: each reader's under two tests, and what one takes more than the other on the films read under both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import numbers
from radiolucent.metrics.intervals import jackknife_interval, t_of, undefined
from radiolucent.metrics.resample import clusters_of
from radiolucent.readers.statistics.components import or_components
from radiolucent.readers.statistics.jackknife import Areas
from radiolucent.readers.statistics.mrmc import names_of
from radiolucent.types import Estimate

__all__ = ["ReadingTime", "ReadingTimes", "reading_times"]

Floats = NDArray[np.float64]
FEW = "fewer than two patients: no interval"


@dataclass(frozen=True)
class ReadingTime:
    """Seconds that one reader took a film under one test: the mean with its interval by patient, and the median."""

    reader: str
    test: str
    films: int
    mean: Estimate
    median: float | None


@dataclass(frozen=True)
class ReadingTimes:
    """Times to read.

    Attributes:
        tests: names of the two. times: of each reader under each.
        differences: by reader, mean seconds of the second test less the first, on films read under both.
        average: their mean over readers; readers and patients random. p: its two-sided p. None where there is none.
    """

    tests: tuple[str, str]
    times: tuple[ReadingTime, ...]
    differences: Mapping[str, Estimate]
    average: Estimate | None
    p: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`, in seconds."""
        by: dict[str, dict[str, Any]] = {}
        for t in self.times:
            by.setdefault(t.reader, {})[t.test] = {"films": t.films, "median": t.median, "mean": t.mean.as_dict()}
        return {
            "tests": list(self.tests),
            "readers": by,
            "differences": {reader: e.as_dict() for reader, e in self.differences.items()},
            "average_difference": (self.average.as_dict() | {"p": self.p}) if self.average else None,
        }


def reading_times(
    seconds: NDArray[Any],
    *,
    tests: tuple[str, str] = ("unaided", "aided"),
    readers: Sequence[str] | None = None,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
) -> ReadingTimes:
    """Times to read under two tests, and the paired difference of each reader and of all of them.

    A mean's interval comes from leaving out each patient in turn (`jackknife_interval`). The average over readers is
    analysed as readers' AUROCs are (Obuchowski & Rockette's model of one test, readers and patients random), by the
    covariances of the readers' differences when a patient is left out: no reading is left out for one that is missing.

    Args:
        seconds: (2, J, N): first without, then with the aid, say; J readers, N films, not-a-number where a film was not
            read. groups: N patient identifiers.

    Raises:
        ConfigError: another shape, or a time below 0 or infinite.

    >>> found = reading_times(np.array([[[30, 40, 50]], [[20, 40, 30]]], float), readers=["A"])
    >>> found.differences["A"].value
    -10.0
    """
    from scipy import stats

    values = numbers(seconds, "seconds")
    if values.ndim != 3 or values.shape[0] != 2 or not values.shape[1]:
        raise ConfigError(f"seconds {values.shape}; expected (2 tests, readers, films).")
    if (values < 0).any() or np.isinf(values).any():
        raise ConfigError(f"{np.nanmin(values):g} to {np.nanmax(values):g} seconds; expected finite times from 0 on.")
    names = names_of("reader", readers, values.shape[1])
    names_of("test", tests, 2)
    index, units = clusters_of(groups, values.shape[2])
    times = tuple(
        ReadingTime(name, test, int(np.isfinite(row).sum()), _mean(row, index, level), _median(row))
        for j, name in enumerate(names)
        for test, row in zip(tests, values[:, j], strict=True)
    )
    gaps = values[1] - values[0]
    differences = {name: _mean(row, index, level) for name, row in zip(names, gaps, strict=True)}
    some = np.array([_without(row, index, units) for row in gaps if np.isfinite(row).any()])
    if len(some) < 2 or units < 2 or not np.isfinite(some).all():
        return ReadingTimes(tests, times, differences, None, None)
    own = np.array([np.nanmean(row) for row in gaps if np.isfinite(row).any()])
    apart = some - some.mean(1, keepdims=True)
    parts = or_components(Areas(own, some, (units - 1) / units * (apart @ apart.T)), 1)
    value, error, df = float(own.mean()), float((parts.error_alone[0] / len(own)) ** 0.5), float(parts.df_alone[0])
    method = f"{len(own)} readers and {units} patients random (Obuchowski–Rockette, jackknife, Hillis df)"
    if error <= 1e-12:
        note = "no variance among readers or films: no interval"
        return ReadingTimes(tests, times, differences, Estimate(value, None, None, level, units, method, note), None)
    half, p = t_of(level, df) * error, float(2 * stats.t.sf(abs(value) / error, df))
    return ReadingTimes(tests, times, differences, Estimate(value, value - half, value + half, level, units, method), p)


def _median(row: Floats) -> float | None:
    return float(np.nanmedian(row)) if np.isfinite(row).any() else None


def _without(row: Floats, index: NDArray[np.intp], units: int) -> Floats:
    """Mean (U,) without each patient, the whole one for who has no film here; not-a-number with none left."""
    there = np.isfinite(row)
    sums = np.bincount(index, np.where(there, row, 0.0), minlength=units)
    size = np.bincount(index, there, minlength=units)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums.sum() - sums) / (size.sum() - size)


def _mean(row: Floats, index: NDArray[np.intp], level: float) -> Estimate:
    there = np.isfinite(row)
    if not there.any():
        return undefined("no film", level, 0, "jackknife")
    own = np.unique(index[there], return_inverse=True)[1]
    patients, value = int(own.max()) + 1, float(row[there].mean())
    method = "jackknife" if patients == there.sum() else "patient jackknife"
    if patients < 2:
        return Estimate(value, None, None, level, patients, method, FEW)
    return jackknife_interval(value, value - _without(row[there], own, patients), level=level, method=method)
