"""REFLACX: `anomaly_location_ellipses.csv`, one a reading, whose film and reader stand in `metadata_phase_N.csv`."""

from pathlib import Path

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Shape
from radiolucent.data.annotations.shapes import ellipse
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import four, rows_of
from radiolucent.errors import AnnotationError

__all__ = ["FORMAT"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_POSSIBLY = 3  # of 5, from which on its authors take a finding for present


def _sniff(source: Source) -> bool:
    rows = source.rows
    return rows is not None and rows.has(*_CORNERS, "certainty") and not rows.has("image") and not rows.has("filename")


def _read(source: Source, g: Gatherer) -> None:
    image, reader, shape = _about(source, g)
    # Column names are in lower case by now; the published ones begin with a capital.
    findings = [c for c in (source.rows.header if source.rows else ()) if c and c not in (*_CORNERS, "certainty")]
    marked = False
    for line, row in rows_of(source, g):
        with g.entry(f"line {line}", image, reader):
            left, top, right, bottom = four([row[c] for c in _CORNERS])
            labels = [c.capitalize() for c in findings if row[c].lower() in ("true", "1", "1.0")]
            sure = float(row["certainty"])
            if sure < _POSSIBLY:
                g.pass_over("ellipse of a finding that is unlikely (certainty 1 or 2)")
                continue
            marked = True
            place = ellipse((left + right) / 2, (top + bottom) / 2, abs(right - left) / 2, abs(bottom - top) / 2)
            g.mark(image, [place], labels, reader=reader, shape=shape)
    if not marked:
        g.whole(image, reader=reader, shape=shape)


def _about(source: Source, g: Gatherer) -> tuple[str, str, Shape | None]:
    """(image, reader, (H, W)) of the reading that the file's folder is named after."""
    key = source.path.absolute().parent.name
    for folder in list(source.path.absolute().parents)[:4]:
        for file in sorted(folder.glob("metadata*.csv")):
            if found := _row(file, key):
                image = found.get("dicom_id") or Path(found.get("image", "").replace("\\", "/")).stem
                sizes = [found.get(c) for c in ("image_size_y", "image_size_x")]
                shape = (int(float(sizes[0])), int(float(sizes[1]))) if sizes[0] and sizes[1] else None
                return image, found.get("reader") or found.get("reader_id") or g.options.reader, shape
    raise AnnotationError(f"no metadata*.csv beside or above it has a reading {key}; without it the film is unknown")


def _row(file: Path, key: str) -> dict[str, str] | None:
    rows = Source.open(file).rows
    if rows is None or "id" not in rows.header:
        return None
    at = rows.header.index("id")
    return next((dict(zip(rows.header, c, strict=True)) for _, c in rows.rows if c[at] == key), None)


FORMAT = Format(
    "reflacx",
    "REFLACX ellipses",
    "csv",
    "`xmin,ymin,xmax,ymax,certainty,…`, a column a finding; film and reader from `metadata_phase_N.csv` above",
    "corners of ellipses; unlikely findings (certainty below 3 of 5) are passed over and counted",
    _sniff,
    _read,
)
