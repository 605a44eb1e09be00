"""Readings as a table of raters and films."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.words import says_nothing_found
from radiolucent.errors import AnnotationError
from radiolucent.types import Annotation, plain_label

__all__ = ["NO_FINDING", "Table", "diagnosis_table", "finding_table", "zone_table"]

NO_FINDING = "no finding"


@dataclass(frozen=True, eq=False)
class Table:
    """Ratings by reader and unit.

    Attributes:
        readers: R names. units: N names, films or films' zones. films: N image ids, the film of each unit.
        values: float (R, N), not-a-number where the reader did not read the film.
    """

    readers: tuple[str, ...]
    units: tuple[str, ...]
    films: tuple[str, ...]
    values: NDArray[np.float64]


def finding_table(annotations: Sequence[Annotation], classes: Sequence[str] = (), positive: str = "") -> Table:
    """1 where a reader's call (`Annotation.call`) is yes, 0 where they read the film and it is no."""
    readers = tuple(sorted({a.reader for a in annotations}))
    films = tuple(sorted({a.image_id for a in annotations}))
    if not films:
        raise AnnotationError("no readings; expected at least one.")
    values = np.full((len(readers), len(films)), np.nan)
    row, column = {r: i for i, r in enumerate(readers)}, {f: i for i, f in enumerate(films)}
    for a in annotations:
        at = row[a.reader], column[a.image_id]
        values[at] = np.fmax(values[at], float(a.call(classes, positive)))  # of several, any yes counts
    return Table(readers, films, films, values)


def diagnosis_table(
    annotations: Sequence[Annotation], classes: Sequence[str] = (), positive: str = ""
) -> tuple[Table, tuple[str, ...]] | None:
    """(table of codes, diagnoses by code) of what readers called each film; None where nobody gave a diagnosis.

    A reading without a diagnosis is not-a-number, save where the finding says it: nothing found and, between two
    classes of a model, also something found. A diagnosis is a class of the model where it has its name
    (`plain_label`), and so is "no finding" in any words where one class means that. Several diagnoses of a film by one
    reader: the positive class if it is among them, else all of them together as one.
    """
    if all(a.label is None for a in annotations):
        return None
    spelt = {plain_label(c): c for c in classes}
    others = [c for c in classes if c != positive]
    healthy = others if len(others) == 1 else [c for c in classes if says_nothing_found(c)]
    nothing = healthy[0] if len(healthy) == 1 else NO_FINDING
    said: dict[tuple[str, str], set[str]] = {}
    for a in annotations:
        found = said.setdefault((a.reader, a.image_id), set())
        # The label of a mark is no diagnosis where the reader gave one beside it.
        for word in a.diagnoses or ((a.label,) if a.label is not None else ()):
            plain = plain_label(word)
            denied = plain not in spelt and not a.finding and says_nothing_found(word)
            found.add(nothing if denied else spelt.setdefault(plain, word))
        if not a.diagnoses and a.label is None:
            found |= {nothing} if not a.finding else {positive} if len(classes) == 2 else set[str]()
    words = {key: positive if positive in some else " + ".join(sorted(some)) for key, some in said.items()}
    names = tuple(sorted(set(words.values()) - {""}))
    readers, films = (tuple(sorted({key[i] for key in said})) for i in (0, 1))
    values = np.full((len(readers), len(films)), np.nan)
    for (reader, film), word in words.items():
        if word:
            values[readers.index(reader), films.index(film)] = names.index(word)
    return Table(readers, films, films, values), names


def zone_table(annotations: Sequence[Annotation]) -> Table:
    """Severity scores by film and zone; a film read without finding scores 0 in each zone that others scored."""
    scored = {r.name for a in annotations for r in a.regions if r.kind == "zone" and r.name}
    if not scored:
        raise AnnotationError("no zone scores among the readings; expected a six-zone file.")
    readers = tuple(sorted({a.reader for a in annotations}))
    films = tuple(sorted({a.image_id for a in annotations}))
    zones = sorted(scored)
    values = np.full((len(readers), len(films), len(zones)), np.nan)
    for a in annotations:
        i, j = readers.index(a.reader), films.index(a.image_id)
        if not a.finding:
            values[i, j] = 0.0
        for region in a.regions:
            if region.kind == "zone" and region.name and region.score is not None:
                values[i, j, zones.index(region.name)] = region.score
    units = tuple(f"{f} {z}" for f in films for z in zones)
    return Table(readers, units, tuple(f for f in films for _ in zones), values.reshape(len(readers), -1))
