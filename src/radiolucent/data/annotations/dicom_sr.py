"""DICOM Structured Reports with regions; films are named by their SOP Instance UID. In and, through highdicom, out."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from radiolucent.data.annotations.dicom import closed_line, one_frame, round_shape
from radiolucent.data.annotations.dicom_write import write_reports
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, NoArea
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_CLASS = "1.2.840.10008.5.1.4.1.1.88."
_OBSERVER, _FINDING, _COMMENT = ("121008", "121071", "121106")  # DCM: person observer name, finding, comment
_EXPECTED = "a closed POLYLINE, CIRCLE or ELLIPSE"


def _sniff(source: Source) -> bool:
    return source.sop_class.startswith(_CLASS)


def _read(source: Source, g: Gatherer) -> None:
    """Every planar region (SCOORD) with the finding of the container it stands in, and the person observer's name.

    Without any region: no finding where a finding says so (Normal, No finding); else a finding without a place.
    """
    content = source.dicom
    reader = _named(content, _OBSERVER) or g.options.reader
    found = list(_regions(content, None, ""))
    for number, (item, label, words) in enumerate(found):
        with g.entry(f"region {number} ({label})", None, reader):
            for film in _films(item):
                with g.entry(f"region {number} ({label}) on {film}", film, reader):
                    g.mark(film, [_scoord(item)], label, reader=reader, statement=words)
    if found:
        return
    evidence = [str(i.ReferencedSOPInstanceUID) for i in _evidence(content)]
    label, words = _named(content, _FINDING), _named(content, _COMMENT) or ""
    if not evidence or label is None:
        raise AnnotationError("the report marks no region and states no finding of a film")
    for film in evidence:
        g.whole(film, label, reader=reader, statement=words)


def _concept(item: Any) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def _value(item: Any) -> str | None:
    kind = item.get("ValueType")
    if kind == "CODE":
        return str(item.ConceptCodeSequence[0].CodeMeaning)
    if kind in ("PNAME", "TEXT"):
        return str(item.PersonName if kind == "PNAME" else item.TextValue)
    return None


def _named(item: Any, code: str) -> str | None:
    """The value of the first content item of this concept, from above."""
    for child in item.get("ContentSequence") or ():
        found = _value(child) if _concept(child) == code else _named(child, code)
        if found:
            return found
    return None


def _regions(item: Any, label: str | None, words: str) -> Iterator[tuple[Any, str | None, str]]:
    children = item.get("ContentSequence") or ()
    for child in children:
        if _concept(child) == _FINDING:
            label = _value(child) or label
        if _concept(child) == _COMMENT:
            words = _value(child) or words
    for child in children:
        if child.get("ValueType") == "SCOORD":
            yield child, label, words
        yield from _regions(child, label, words)


def _films(item: Any) -> list[str]:
    films = [
        one_frame(reference)
        for child in item.get("ContentSequence") or ()
        for reference in child.get("ReferencedSOPSequence") or ()
    ]
    if not films:
        raise AnnotationError("a region that names no film")
    return films


def _evidence(content: Any) -> Iterator[Any]:
    for study in content.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.ReferencedSeriesSequence:
            yield from series.ReferencedSOPSequence


def _scoord(item: Any) -> Region:
    """Column and row from the top left corner of the top left pixel (PS3.3 C.18.6): our own frame."""
    points = np.asarray(item.GraphicData, float).reshape(-1, 2)
    kind = str(item.GraphicType)
    if kind == "POLYLINE":
        return closed_line(points, _EXPECTED)
    if kind in ("CIRCLE", "ELLIPSE"):
        return round_shape(kind, points)
    raise NoArea(kind, kind.lower(), _EXPECTED)


FORMAT = Format(
    "dicom-sr",
    "DICOM Structured Report",
    "dicom",
    "closed polylines, circles, ellipses with their finding; person observer is the reader",
    "open lines and points mark no area; a report without region finds nothing only if it says so",
    _sniff,
    _read,
    write=write_reports,
    to="",
)
