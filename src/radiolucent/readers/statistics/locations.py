"""Location-aware reading: figures of merit of marks with confidence (LROC, AFROC, wAFROC), of readers and models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import marks, numbers
from radiolucent.metrics.resample import clusters_of
from radiolucent.readers.statistics.jackknife import Areas
from radiolucent.readers.statistics.mrmc import MRMC, Model, mrmc_of

__all__ = ["FILM_FIGURES", "FilmMarks", "LocationFigure", "figure_of_merit", "film_marks", "located_mrmc", "peaks"]

LocationFigure = Literal["wAFROC", "AFROC", "wAFROC1", "AFROC1", "HrAuc", "LROC"]
FILM_FIGURES: tuple[LocationFigure, ...] = ("wAFROC", "AFROC", "wAFROC1", "AFROC1", "HrAuc", "LROC")
NEVER = -np.inf  # the confidence of a lesion nobody marked, and of a film without marks
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FilmMarks:
    """What one reader (or model) marked on one film.

    Attributes:
        lesions: the confidence of each lesion's mark, −inf where it was missed; empty for a film without lesions.
        elsewhere: the confidences of marks that hit no lesion.
        weights: how much each lesion counts, summing to 1; alike unless given.
    """

    lesions: tuple[float, ...] = ()
    elsewhere: tuple[float, ...] = ()
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        given = self.weights
        if given is not None:
            sound = len(given) == len(self.lesions) and abs(sum(given) - 1) <= 1e-6 and min(given) >= 0
            if not sound:
                raise ConfigError(
                    f"weights {given} of {len(self.lesions)} lesions; expected one each, 0 or more, summing to 1."
                )
        if any(np.isnan(x) for x in (*self.lesions, *self.elsewhere)):
            raise ConfigError("a confidence is not a number; leave out the mark, or give −inf for a missed lesion.")

    @property
    def alarm(self) -> float:
        """The highest confidence of a mark that hit no lesion."""
        return max(self.elsewhere, default=NEVER)

    @property
    def highest(self) -> float:
        """The highest confidence of any mark: the film's rating where places do not count."""
        return max((*self.lesions, *self.elsewhere), default=NEVER)


def film_marks(
    points: NDArray[Any], confidences: Sequence[float] | Floats, lesions: Sequence[NDArray[np.bool_]]
) -> FilmMarks:
    """Marks (K, 2) as (x, y) pixels with their confidences, held against lesion masks bool (H, W).

    A mark hits the lesions whose mask holds its pixel; a lesion keeps its highest mark.
    """
    places, sure = numbers(points, "points"), numbers(confidences, "confidences")
    if places.size and places.shape[1:] != (2,):
        raise ConfigError(f"points {places.shape}; expected (K, 2) of x and y.")
    places = places.reshape(-1, 2)
    if sure.shape != places.shape[:1]:
        raise ConfigError(f"{len(places)} points with {sure.size} confidences; expected one each.")
    if not np.isfinite(places).all():
        raise ConfigError("a point is not a place; leave out the mark.")
    hits = np.zeros((len(lesions), len(places)), bool)
    for k, given in enumerate(lesions):
        mask = marks(given, "a lesion's mask")
        if mask.ndim != 2:
            raise ConfigError(f"a lesion's mask {mask.shape}; expected (H, W).")
        at = np.floor(places).astype(int)
        inside = (at >= 0).all(1) & (at[:, 0] < mask.shape[1]) & (at[:, 1] < mask.shape[0])
        hits[k, inside] = mask[at[inside, 1], at[inside, 0]]
    found = tuple(float(sure[own].max()) if own.any() else NEVER for own in hits)
    return FilmMarks(found, tuple(float(c) for c in sure[~hits.any(0)]))


def peaks(values: NDArray[np.floating], *, most: int = 5, apart: int = 16) -> tuple[Floats, Floats]:
    """A map's highest local maxima as marks: points (K, 2) as (x, y) pixels, and their values (K,) as confidences.

    Args:
        values: map (H, W). most: marks at most. apart: pixels between two of them at least.

    No mark where the map is nowhere positive: it points nowhere.

    Raises:
        ConfigError: not a map (H, W) of finite numbers.
    """
    from skimage.feature import peak_local_max

    if np.ndim(values) != 2 or not np.isfinite(numbers(values, "map")).all():
        raise ConfigError(f"map {np.shape(values)}; expected finite numbers (H, W).")
    at = peak_local_max(
        np.asarray(values, np.float64), min_distance=apart, threshold_abs=0.0, num_peaks=most, exclude_border=False
    )
    found = np.asarray(values, np.float64)[at[:, 0], at[:, 1]]
    return at[:, ::-1].astype(np.float64) + 0.5, found


class _Pairs:
    """Σ over pairs (film without, film with lesions) that a figure of merit averages, and its denominators by film."""

    def __init__(self, films: Sequence[FilmMarks], figure: LocationFigure) -> None:
        if figure not in FILM_FIGURES:
            raise ConfigError(f"figure {figure!r}; expected one of {', '.join(FILM_FIGURES)}.")
        ill = np.array([bool(f.lesions) for f in films])
        self.columns = np.flatnonzero(ill)
        self.rows = np.arange(len(films)) if figure.endswith("1") else np.flatnonzero(~ill)
        if not len(self.columns) or not len(self.rows):
            raise ConfigError(
                "films with and without a lesion are needed (without: AFROC1 and wAFROC1 take those with)."
            )
        rate = "highest" if figure == "HrAuc" else "alarm"
        alarms = np.array([getattr(films[int(r)], rate) for r in self.rows])
        self.won = np.zeros((len(self.rows), len(self.columns)))
        self.worth = np.ones(len(self.columns))
        for c, film in enumerate(films[int(k)] for k in self.columns):
            ratings, weights = self._claims(film, figure)
            self.won[:, c] = _beats(np.array(ratings), alarms) @ np.array(weights)
            self.worth[c] = len(film.lesions) if figure in ("AFROC", "AFROC1") else 1.0

    @staticmethod
    def _claims(film: FilmMarks, figure: LocationFigure) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(confidences, weights) with which a film with lesions competes."""
        if figure == "HrAuc":
            return (film.highest,), (1.0,)
        if figure == "LROC":  # one mark a film: the surest one, which counts where it hits a lesion
            best = max(film.lesions)
            return ((best,), (1.0,)) if best > film.alarm else ((NEVER,), (0.0,))
        count = len(film.lesions)
        if figure in ("AFROC", "AFROC1"):
            return film.lesions, (1.0,) * count
        return film.lesions, film.weights or (1 / count,) * count

    def value(self) -> float:
        return float(self.won.sum() / (len(self.rows) * self.worth.sum()))

    def without(self, index: NDArray[np.intp], units: int) -> Floats:
        """(units,) the figure without each patient's films."""
        rows, columns = np.zeros((units, len(self.rows))), np.zeros((units, len(self.columns)))
        rows[index[self.rows], np.arange(len(self.rows))] = 1
        columns[index[self.columns], np.arange(len(self.columns))] = 1
        lost = rows @ self.won.sum(1) + columns @ self.won.sum(0) - ((rows @ self.won) * columns).sum(1)
        below = (len(self.rows) - rows.sum(1)) * (self.worth.sum() - columns @ self.worth)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(below > 0, (self.won.sum() - lost) / below, np.nan)


def _beats(ratings: Floats, alarms: Floats) -> Floats:
    """(rows, ratings): 1 where a rating is above an alarm, ½ where they are the same (also both without a mark)."""
    return (ratings > alarms[:, None]) + 0.5 * (ratings == alarms[:, None])


def figure_of_merit(films: Sequence[FilmMarks], figure: LocationFigure = "wAFROC") -> float:
    """One reader's figure of merit.

    "wAFROC": how often a lesion is marked with more confidence than the surest false mark of a film without lesions,
    lesions weighing so that every film with lesions counts alike; "AFROC": all lesions count alike; with "1": false
    marks on films with lesions count too; "HrAuc": the AUROC of each film's surest mark, wherever it is; "LROC": films
    compete with their surest mark, and only where it hits. Ties count half, also of two without a mark.
    Source: Chakraborty & Berbaum 2004; Chakraborty 2017, ch. 14; LROC: Swensson 1996, Popescu 2007.

    >>> figure_of_merit([FilmMarks((), (2.0,)), FilmMarks((), ()), FilmMarks((3.0, NEVER), ())])
    0.625
    """
    return _Pairs(films, figure).value()


def located_mrmc(
    readings: Sequence[Sequence[Sequence[FilmMarks]]],
    figure: LocationFigure = "wAFROC",
    *,
    tests: Sequence[str] | None = None,
    readers: Sequence[str] | None = None,
    model: Model = "or",
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
) -> MRMC:
    """Reader-averaged figures of merit of tests and their differences: as `mrmc`, from marks instead of scores.

    Args:
        readings: by test, by reader, by film; every reader read every film under every test, and a film has the same
            lesions in all of them.
        groups: a patient identifier a film; patients are left out whole.

    Raises:
        ConfigError: readings that do not fit, fewer than two readers, or a class that one patient holds up alone.
    """
    rows = [films for test in readings for films in test]
    shape = {len(films) for films in rows}, {len(test) for test in readings}
    if len(shape[0]) != 1 or len(shape[1]) != 1 or min(shape[1]) < 2:
        raise ConfigError("readings of every test by the same two readers and more, of the same films, are needed.")
    count = shape[0].pop()
    if any(len({len(films[k].lesions) for films in rows}) != 1 for k in range(count)):
        raise ConfigError("a film has not the same lesions in all readings; missed ones have a confidence of −inf.")
    index, units = clusters_of(groups, count)
    pairs = [_Pairs(films, figure) for films in rows]
    without = np.array([p.without(index, units) for p in pairs])
    if not np.isfinite(without).all():
        raise ConfigError("without one patient no film with, or without, a lesion is left: more patients are needed.")
    apart = without - without.mean(1, keepdims=True)
    found = Areas(np.array([p.value() for p in pairs]), without, (units - 1) / units * (apart @ apart.T))
    return mrmc_of(found, len(readings), tests=tests, readers=readers, model=model, level=level, figure=figure)
