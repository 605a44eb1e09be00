"""CSV files of published chest X-ray collections: RSNA, NIH, VinDr, SIIM."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.gather import Format, Gatherer, Rows, Shape, says_nothing_found
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["NIH", "RSNA", "SIIM", "VINDR", "relative_runs"]

FULL = (1024, 1024)  # of every film of RSNA, NIH and SIIM as released: the files do not say it


def _numbers(cells: list[str]) -> list[float]:
    try:
        return [float(c) for c in cells]
    except ValueError as error:
        raise AnnotationError(f"{','.join(cells)}; expected four numbers") from error


def _rows(content: Rows) -> Any:
    for line, cells in content.rows:
        yield line, {k: v.strip() for k, v in zip(content.header, cells, strict=True)}


def _rsna(content: Rows, g: Gatherer) -> None:
    """`patientId,x,y,width,height,Target`: a row a box (Target 1), or one without numbers (Target 0: no finding)."""
    for line, row in _rows(content):
        image = row["patientid"]
        with g.entry(f"line {line}", image):
            numbers = [row[c] for c in ("x", "y", "width", "height")]
            if row["target"] not in ("0", "1"):
                raise AnnotationError(f"Target {row['target']!r}; expected 0 or 1")
            if row["target"] == "1":
                g.marked(image, [Region.box(*_numbers(numbers))], label="Lung Opacity", shape=FULL)
            elif any(numbers):
                raise AnnotationError(f"Target 0 with a box ({','.join(numbers)})")
            else:
                g.nothing(image, shape=FULL)


def _nih(content: Rows, g: Gatherer) -> None:
    """`Image Index,Finding Label,Bbox [x,y,w,h],,,`: the heading's brackets hold three commas."""
    for line, cells in content.rows:
        image = cells[0].strip()
        with g.entry(f"line {line}", image):
            g.marked(image, [Region.box(*_numbers(list(cells[2:6])))], label=cells[1].strip(), shape=FULL)


def _vindr(content: Rows, g: Gatherer) -> None:
    """`image_id,rad_ID,class_name,x_min,y_min,x_max,y_max`, a row a box and reader; "No finding" has no numbers."""
    for line, row in _rows(content):
        image, reader, label = row["image_id"], row.get("rad_id") or g.options.reader, row["class_name"]
        with g.entry(f"line {line}", image, reader):
            numbers = [row[c] for c in ("x_min", "y_min", "x_max", "y_max")]
            if says_nothing_found(label):
                g.nothing(image, reader=reader, label=label)
                continue
            x0, y0, x1, y1 = _numbers(numbers)
            g.marked(image, [Region.box(x0, y0, x1 - x0, y1 - y0)], reader=reader, label=label)


def _siim(content: Rows, g: Gatherer) -> None:
    """`ImageId, EncodedPixels` (with that blank): a row a mask; -1 means no pneumothorax."""
    for line, row in _rows(content):
        image = row["imageid"]
        with g.entry(f"line {line}", image):
            if row["encodedpixels"] == "-1":
                g.nothing(image, shape=FULL)
            else:
                pixels = relative_runs(row["encodedpixels"], FULL)
                g.marked(image, [Region.mask(pixels)], label="Pneumothorax", shape=FULL)


def relative_runs(text: str, shape: Shape) -> NDArray[np.bool_]:
    """A mask (H, W) from pairs (gap since the last run's end, run), down the columns.

    >>> relative_runs("1 2 1 1", (3, 2)).T.tolist()
    [[False, True, True], [False, True, False]]
    """
    try:
        values = np.array([int(v) for v in text.split()], np.int64)
    except ValueError as error:
        raise AnnotationError(f"run lengths {text[:40]!r}; expected whole numbers, or -1") from error
    if not len(values) or len(values) % 2 or (values < 0).any() or values.sum() > shape[0] * shape[1]:
        raise AnnotationError(f"{len(values)} run lengths, sum {values.sum()}; expected pairs within {shape} pixels")
    flat = np.zeros(shape[0] * shape[1], bool)
    ends = np.cumsum(values)
    for start, end in zip(ends[::2], ends[1::2], strict=True):
        flat[start:end] = True
    return flat.reshape(shape[1], shape[0]).T


def _is_nih(content: Rows) -> bool:
    return content.has("image index", "finding label") and any(c.startswith("bbox") for c in content.header)


RSNA = Format("rsna", "csv", lambda c: c.has("patientid", "x", "y", "width", "height", "target"), _rsna)
NIH = Format("nih", "csv", _is_nih, _nih)
VINDR = Format("vindr", "csv", lambda c: c.has("image_id", "class_name", "x_min", "y_min", "x_max", "y_max"), _vindr)
SIIM = Format("siim", "csv", lambda c: c.has("imageid", "encodedpixels"), _siim)
