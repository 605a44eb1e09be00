"""SIIM-ACR Pneumothorax: `ImageId, EncodedPixels`, a row a mask."""

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import FULL, relative_runs, rows_of
from radiolucent.types import Region

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    return source.rows is not None and source.rows.has("imageid", "encodedpixels")


def _read(source: Source, g: Gatherer) -> None:
    """-1 means no pneumothorax."""
    for line, row in rows_of(source, g):
        image = row["imageid"]
        with g.entry(f"line {line}", image or None):
            if row["encodedpixels"] == "-1":
                g.state(image, finding=False, shape=FULL)
            else:
                pixels = relative_runs(row["encodedpixels"], FULL)
                g.mark(image, [Region.mask(pixels)], "Pneumothorax", shape=FULL)


FORMAT = Format(
    "siim",
    "SIIM-ACR CSV",
    "csv",
    "`ImageId, EncodedPixels`",
    "blank in the heading; gaps relative to the last run's end, down the columns; −1: no finding",
    _sniff,
    _read,
)
