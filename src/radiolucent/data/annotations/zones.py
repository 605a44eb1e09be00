"""Severity scores of six lung zones, a set of columns a reader (Brixia style)."""

import re

from radiolucent.data.annotations.gather import Format, Gatherer, Rows
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["SIX_ZONES"]

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


def _matches(content: Rows) -> bool:
    return content.has("filename") and bool(_readers(content.header))


def _read(content: Rows, g: Gatherer) -> None:
    name = content.header.index("filename")
    for line, cells in content.rows:
        for reader, columns in _readers(content.header).items():
            image = cells[name].strip()
            with g.entry(f"line {line}, reader {reader}", image, reader):
                scores = [cells[columns[z]].strip() for z in _ZONES]
                if not any(scores):
                    continue  # this reader did not read the film
                values = [_score(z, s) for z, s in zip(_ZONES, scores, strict=True)]
                total = cells[columns["GLOBAL"]].strip() if "GLOBAL" in columns else ""
                if total and float(total) != sum(values):
                    raise AnnotationError(f"global score {total}; the zones sum to {sum(values):g}")
                if any(values):
                    zones = [Region.zone(z, v) for z, v in zip(_ZONES, values, strict=True)]
                    g.marked(image, zones, reader=reader)
                else:
                    g.nothing(image, reader=reader)


def _score(zone: str, text: str) -> float:
    value = float(text) if text else -1.0
    if not 0 <= value <= _MOST:
        raise AnnotationError(f"zone {zone} has {text or 'no score'}; expected 0 to {_MOST}, or all six empty")
    return value


SIX_ZONES = Format("zones", "csv", _matches, _read)
