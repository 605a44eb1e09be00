"""Which column of a manifest is which: the names that it may have, and what separates its cells."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from radiolucent.data.label_cells import cell_text
from radiolucent.data.records import split_of
from radiolucent.errors import DataError

__all__ = ["COLUMNS", "names_films", "separator_of", "under_known_names"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "path": ("image", "imagepath", "file", "filename", "filepath", "imagefile"),
    "label": ("class", "findinglabels"),
    "patient_id": ("patient", "patientid", "subject", "subjectid", "personid"),
    "split": (),
    "site": (),
    "etiology": (),
    "sha256": (),
}
"""The columns that are read, each with other names that it may have; case, blanks, "-" and "_" do not count."""


def separator_of(heading: str) -> str:
    """What stands between the cells of a CSV file: whichever of comma, semicolon and tab parts its heading into most.

    >>> separator_of("path;label"), separator_of("path,label;note"), separator_of('"path";"label";"note, if any"')
    (';', ',', ';')
    """
    return max((",", ";", "\t"), key=lambda s: len(next(csv.reader([heading], delimiter=s), ())))


def names_films(header: Iterable[str]) -> bool:
    """Whether a column gives the films' paths, under any of its names.

    >>> names_films(["File Name", "Target"]), names_films(["patientId", "Target"])
    (True, False)
    """
    return any(_plain(name) in ("path", *COLUMNS["path"]) for name in header)


def under_known_names(rows: Sequence[Mapping[str, Any]], where: object) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows with the columns of `COLUMNS` under these names, and a note on each that had another.

    Raises:
        DataError: two columns may be the one, and neither has its name.
    """
    header = [name for name in rows[0] if name]
    called: dict[str, str] = {}
    for column, others in COLUMNS.items():
        if column in header:
            continue
        for names in ((_plain(column),), others):
            found = [name for name in header if _plain(name) in names]
            if len(found) > 1:
                raise DataError(
                    f"{where}: {' and '.join(found)} may both be the column {column!r}; rename the right one."
                )
            if found:
                called[found[0]] = column
                break
    notes: list[str] = []
    if "split" not in (*header, *called.values()):
        found = _of_splits(rows, [n for n in header if n not in called])
        if len(found) == 1:
            called[found[0]] = "split"
        elif found:
            notes.append(f"columns {', '.join(found)} tell splits, and none is read; call the right one 'split'")
    notes += [f"column {name.strip()!r} is read as {column}" for name, column in called.items() if name != column]
    return [{called.get(name, name): value for name, value in row.items()} for row in rows], notes


def _of_splits(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """The columns whose cells are train and test, or the like, and nothing else."""
    cells = {name: {cell_text(row.get(name)) for row in rows} - {""} for name in names}
    return [name for name, some in cells.items() if len(some) > 1 and all(split_of(cell) for cell in some)]


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name).casefold()
