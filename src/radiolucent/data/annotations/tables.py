"""What the formats that are CSV share: their lines, and numbers in cells."""

import ast
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.gather import Gatherer, Shape
from radiolucent.data.annotations.source import Source
from radiolucent.data.label_cells import COMMA
from radiolucent.errors import AnnotationError

__all__ = ["FULL", "Said", "column", "corner_columns", "four", "lines_of", "relative_runs", "rows_of"]

FULL = (1024, 1024)
"""(H, W) of every film of RSNA, NIH and SIIM as released: the files do not say it."""
_IMAGE = ("image", "filename", "image_id", "imageid", "image index", "patientid", "file_name", "image_name", "img",
          "file", "path", "image_path", "#filename")  # fmt: skip
_LABEL = ("label", "class", "class_name", "label_name", "category", "category_name", "diagnosis", "finding",
          "finding_label", "finding_labels", "findings", "labels", "lesion_type", "finding_categories",
          "name")  # fmt: skip
_READER = ("reader", "rad_id", "reader_id", "reader_name", "annotator", "annotator_id", "radiologist",
           "radiologist_id", "created_by")  # fmt: skip
_SIZES = (("image_height", "image_width"), ("height", "width"))  # of the image
_SEVERAL = ("finding_labels", "findings", "labels", "finding_categories")
_ABOUT = frozenset(("id", "index", "study_id", "series_id", "class_id", "label_id", "category_id", "split", "depth"))
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")  # Python takes 1_0 and letters too
_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"), ("x1", "y1", "x2", "y2"))


def column(source: Source, names: Sequence[str] = _IMAGE) -> str | None:
    """The first of these columns that a CSV file has; by default one that names the film."""
    header = source.rows.header if source.rows else ()
    return next((name for name in names if name in header), None)


def corner_columns(source: Source) -> tuple[str, str, str, str] | None:
    """The columns of two corners, under any of their usual names; None where there are none."""
    return next((names for names in _CORNERS if source.rows and source.rows.has(*names)), None)


def lines_of(source: Source, g: Gatherer) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line number, cells) of every line that has as many cells as the heading; the others become problems."""
    rows = source.rows
    assert rows is not None
    image = column(source)
    at = rows.header.index(image) if image else 0
    for line, cells in rows.ragged:
        reason = f"has {len(cells)} cells; expected {len(rows.header)}, as in the heading"
        g.problem(f"line {line}", reason, cells[at] if at < len(cells) else None)
    yield from rows.rows


def rows_of(source: Source, g: Gatherer) -> Iterator[tuple[int, dict[str, str]]]:
    """`lines_of`, with the cells by the names of their columns.

    Raises:
        AnnotationError: two columns of one name.
    """
    rows = source.rows
    assert rows is not None
    named = [name for name in rows.header if name]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise AnnotationError(f"the heading names {', '.join(twice)} twice; expected each column once")
    for line, cells in lines_of(source, g):
        yield line, dict(zip(rows.header, cells, strict=True))


class Said:
    """The columns of a CSV file that hold labels, the reader and words, under any of their usual names.

    Args:
        known: further columns that the format reads. Any other column is noted by name.
    """

    def __init__(self, source: Source, g: Gatherer, known: Sequence[str]) -> None:
        self._label, self._reader, self._default = column(source, _LABEL), column(source, _READER), g.options.reader
        self._note, self._told = g.note, False
        self._size = next((pair for pair in _SIZES if column(source, pair) and not {*pair} & {*known}), None)
        taken = {*known, self._label, self._reader, "statement", *_ABOUT, *(self._size or ())}
        header = source.rows.header if source.rows else ()
        self._unknown = [name for name in header if name and name not in taken]
        if self._unknown:
            g.note(f"columns that were not read: {', '.join(self._unknown)}")

    def reader(self, row: dict[str, str]) -> str:
        """Who read it."""
        return (row[self._reader] if self._reader else "") or self._default

    def shape(self, row: dict[str, str]) -> Shape | None:
        """(H, W) of the image, where its columns are none that the format knows as a box's."""
        return image_shape(*(row.get(name) for name in self._size)) if self._size else None

    def labels(self, row: dict[str, str]) -> list[str]:
        """What was found: several with "|" or ";" between, or as a list in brackets, where the column's name allows."""
        text = row[self._label] if self._label else ""
        if self._label in _SEVERAL and text.startswith("["):
            try:
                return [str(x) for x in ast.literal_eval(text)]
            except (ValueError, SyntaxError) as error:
                raise AnnotationError(f"{self._label} {text[:60]!r}; expected a list of texts") from error
        found = [x.strip() for x in re.split(r"[|;]", text) if x.strip()]
        with_comma = next((x for x in found if "," in x), None)
        if with_comma and not self._told:
            self._note(COMMA.format(with_comma))
            self._told = True
        return found

    def of_film(self, row: dict[str, str]) -> list[str]:
        """The labels of a row without a place.

        Raises:
            AnnotationError: it has none, and a column that is not understood may hold one.
        """
        found = self.labels(row)
        if not found and (held := [f"{name} {row[name]!r}" for name in self._unknown if row[name]]):
            raise AnnotationError(
                f"has no place, no label that is understood, and {', '.join(held)[:120]}; name the column of the "
                f"finding one of {', '.join(_LABEL[:4])}"
            )
        return found


def four(cells: Sequence[str]) -> tuple[float, float, float, float]:
    """Four cells as numbers.

    >>> four(["1", "2.5", "3e1", "4"])
    (1.0, 2.5, 30.0, 4.0)
    """
    if len(cells) != 4 or not all(_NUMBER.fullmatch(cell) for cell in cells):
        raise AnnotationError(f"{','.join(cells)}; expected four numbers")
    a, b, c, d = (float(cell) for cell in cells)
    return a, b, c, d


def relative_runs(text: str, shape: Shape) -> NDArray[np.bool_]:
    """A mask (H, W) from pairs (gap since the last run's end, run), down the columns.

    >>> relative_runs("1 2 1 1", (3, 2)).T.tolist()
    [[False, True, True], [False, True, False]]
    """
    try:
        values = np.array([int(v) for v in text.split()], np.int64)
    except ValueError as error:
        raise AnnotationError(f"run lengths {text[:40]!r}; expected whole numbers, or -1") from error
    if (
        not len(values)
        or len(values) % 2
        or (values < 0).any()
        or (values > shape[0] * shape[1]).any()
        or values.sum() > shape[0] * shape[1]
    ):
        raise AnnotationError(f"{len(values)} run lengths, sum {values.sum()}; expected pairs within {shape} pixels")
    flat = np.zeros(shape[0] * shape[1], bool)
    ends = np.cumsum(values)
    for start, end in zip(ends[::2], ends[1::2], strict=True):
        flat[start:end] = True
    return flat.reshape(shape[1], shape[0]).T
