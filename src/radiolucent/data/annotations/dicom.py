"""DICOM Segmentation and Structured Report objects ; films are named by their SOP Instance UID."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.gather import Format, Gatherer, says_nothing_found
from radiolucent.data.annotations.shapes import ellipse
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["DICOM_SEG", "DICOM_SR"]

_SEG = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # segmentation, label map
_SR = "1.2.840.10008.5.1.4.1.1.88."
_OBSERVER, _FINDING, _COMMENT = ("121008", "121071", "121106")  # DCM: person observer name, finding, comment


def _is_seg(content: Any) -> bool:
    return str(content.get("SOPClassUID", "")) in _SEG


def _is_sr(content: Any) -> bool:
    return str(content.get("SOPClassUID", "")).startswith(_SR)


def _read_seg(content: Any, g: Gatherer) -> None:
    """Each segment on each film it was drawn on; fractional segments are marked where more than half.

    Frames name their segment and film; read without highdicom, which asks for a patient geometry that films lack.
    """
    labels = {int(s.SegmentNumber): str(s.SegmentLabel) for s in content.SegmentSequence}
    reader = str(content.get("ContentCreatorName") or g.options.reader)
    frames = np.asarray(content.pixel_array).reshape(-1, int(content.Rows), int(content.Columns))
    shape = (int(content.Rows), int(content.Columns))
    films = [str(i.ReferencedSOPInstanceUID) for s in content.get("ReferencedSeriesSequence") or ()
             for i in s.ReferencedInstanceSequence]  # fmt: skip
    marked: set[str] = set()
    for number, pixels in enumerate(frames):
        with g.entry(f"frame {number + 1}", films[0] if len(films) == 1 else None, reader):
            film, segment = _frame(content, number, films)
            for one, mask in _segments(content, segment, pixels).items():
                if mask.any():
                    marked.add(film)
                    g.marked(film, [Region.mask(mask)], reader=reader, label=labels[one], shape=shape)
    for film in films:
        if film not in marked:
            g.nothing(film, reader=reader, shape=shape)


def _frame(content: Any, number: int, films: list[str]) -> tuple[str, int | None]:
    """(film, segment) of a frame; the segment is None in a label map, where the pixels name it."""
    groups = (content.PerFrameFunctionalGroupsSequence[number], *content.get("SharedFunctionalGroupsSequence", ()))
    sources = [
        str(source.ReferencedSOPInstanceUID)
        for group in groups
        for derived in group.get("DerivationImageSequence") or ()
        for source in derived.get("SourceImageSequence") or ()
    ]
    named = sources or films
    if len(named) != 1:
        raise AnnotationError(f"belongs to {len(named)} films; expected the one that it was drawn on")
    segments = [int(s.ReferencedSegmentNumber) for g in groups for s in g.get("SegmentIdentificationSequence") or ()]
    return named[0], next(iter(segments), None)


def _segments(content: Any, segment: int | None, pixels: NDArray[Any]) -> dict[int, NDArray[np.bool_]]:
    kind = str(content.SegmentationType)
    if kind == "LABELMAP":
        return {int(value): pixels == value for value in np.unique(pixels) if value}
    if segment is None:
        raise AnnotationError("names no segment")
    if kind == "FRACTIONAL":
        return {segment: pixels > 0.5 * int(content.MaximumFractionalValue)}
    return {segment: pixels > 0}


def _read_sr(content: Any, g: Gatherer) -> None:
    """Every planar region (SCOORD) with the finding of the container it stands in, and the person observer's name.

    Without any region: no finding where a finding says so (Normal, No finding); else a finding without a place.
    """
    reader = _named(content, _OBSERVER) or g.options.reader
    found = list(_regions(content, None, ""))
    for number, (item, label, words) in enumerate(found):
        with g.entry(f"region {number} ({label})", None, reader):
            for film in _films(item):
                with g.entry(f"region {number} ({label}) on {film}", film, reader):
                    g.marked(film, [_scoord(item)], reader=reader, label=label, statement=words)
    if found:
        return
    evidence = [str(i.ReferencedSOPInstanceUID) for i in _evidence(content)]
    label, words = _named(content, _FINDING), _named(content, _COMMENT) or ""
    if not evidence or label is None:
        raise AnnotationError("the report marks no region and states no finding of a film")
    for film in evidence:
        if says_nothing_found(label):
            g.nothing(film, reader=reader, label=label, statement=words)
        else:
            g.marked(film, [], reader=reader, label=label, statement=words)


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
        str(reference.ReferencedSOPInstanceUID)
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
        closed = len(points) > 1 and (points[0] == points[-1]).all()
        if not closed:
            raise AnnotationError("an open line marks no area; expected a closed POLYLINE, CIRCLE or ELLIPSE")
        return Region.polygon(points[:-1])
    if kind == "CIRCLE":  # centre, and a point on it
        radius = float(np.hypot(*(points[1] - points[0])))
        return ellipse(points[0, 0], points[0, 1], radius, radius)
    if kind == "ELLIPSE":  # ends of the major axis, ends of the minor one
        centre, axis = points.mean(0), points[1] - points[0]
        turn = float(np.degrees(np.arctan2(axis[1], axis[0])))
        rx, ry = float(np.hypot(*axis)) / 2, float(np.hypot(*(points[3] - points[2]))) / 2
        return ellipse(centre[0], centre[1], rx, ry, turn)
    raise AnnotationError(f"{kind} marks no area; expected a closed POLYLINE, CIRCLE or ELLIPSE")


DICOM_SEG = Format("dicom-seg", "dicom", _is_seg, _read_seg)
DICOM_SR = Format("dicom-sr", "dicom", _is_sr, _read_sr)
