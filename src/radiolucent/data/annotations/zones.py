"""Severity scores of six lung zones, a set of columns a reader (Brixia style)."""

import re

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import lines_of
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_COLUMN = re.compile(r"^(.+)-([a-f]|global)$")
_ZONES = "ABCDEF"  # A to C right lung top to bottom (the image's left), D to F left lung
_MOST = 3


def _readers(header: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Column of each zone ("A" … "F", "GLOBAL") by reader."""
    found: dict[str, dict[str, int]] = {}
    for column, name in enumerate(header):
        if match := _COLUMN.match(name):
            found.setdefault(match[1].upper(), {})[match[2].upper()] = column
    return {reader: zones for reader, zones in found.items() if set(_ZONES) <= set(zones)}


def _sniff(source: Source) -> bool:
    return source.rows is not None and source.rows.has("filename") and bool(_readers(source.rows.header))


def _read(source: Source, g: Gatherer) -> None:
    content = source.rows
    assert content is not None
    name = content.header.index("filename")
    for line, cells in lines_of(source, g):
        for reader, columns in _readers(content.header).items():
            image = cells[name] or None
            with g.entry(f"line {line}, reader {reader}", image, reader):
                scores = [cells[columns[z]] for z in _ZONES]
                if not any(scores):
                    continue  # this reader did not read the film
                values = [_score(z, s) for z, s in zip(_ZONES, scores, strict=True)]
                total = cells[columns["GLOBAL"]] if "GLOBAL" in columns else ""
                if total and float(total) != sum(values):
                    raise AnnotationError(f"global score {total}; the zones sum to {sum(values):g}")
                if any(values):
                    zones = [Region.zone(z, v) for z, v in zip(_ZONES, values, strict=True)]
                    g.mark(image, zones, reader=reader)
                else:
                    g.state(image, finding=False, reader=reader)


def _score(zone: str, text: str) -> float:
    value = float(text) if text else -1.0
    if not 0 <= value <= _MOST:
        raise AnnotationError(f"zone {zone} has {text or 'no score'}; expected 0 to {_MOST}, or all six empty")
    return value


FORMAT = Format(
    "zones",
    "six-zone scores (Brixia style)",
    "csv",
    "`filename,S-A…S-F,S-Global,J-A…`: a set of columns a reader, scores 0 to 3",
    "A to C the right lung from top to bottom (the image's left); empty: this reader did not read it; all 0: no "
    "finding; "
    "the global score must be the sum",
    _sniff,
    _read,
)
