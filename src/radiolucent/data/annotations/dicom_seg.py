"""DICOM Segmentation objects; films are named by their SOP Instance UID. In and, through highdicom, out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.check import MOST_PIXELS
from radiolucent.data.annotations.dicom import frames_of, one_frame
from radiolucent.data.annotations.dicom_write import write_segments
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_MOST = 10 * MOST_PIXELS  # all segments of all films together
_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # segmentation, label map


def _sniff(source: Source) -> bool:
    return source.sop_class in _CLASSES


def _read(source: Source, g: Gatherer) -> None:
    """Each segment on each film it was drawn on; fractional segments are marked where more than half.

    Frames name their segment and film; read without highdicom, which asks for a patient geometry that films lack.
    """
    content = source.dicom
    if frames_of(content) * int(content.Rows) * int(content.Columns) > _MOST:
        raise AnnotationError(f"segments of more than {_MOST:,} pixels in all")
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
                    g.mark(film, [Region.mask(mask)], labels[one], reader=reader, shape=shape)
    for film in films:
        if film not in marked:
            g.state(film, finding=False, reader=reader, shape=shape)


def _frame(content: Any, number: int, films: list[str]) -> tuple[str, int | None]:
    """(film, segment) of a frame; the segment is None in a label map, where the pixels name it."""
    groups = (content.PerFrameFunctionalGroupsSequence[number], *content.get("SharedFunctionalGroupsSequence", ()))
    sources = [
        one_frame(source)
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


FORMAT = Format(
    "dicom-seg",
    "DICOM Segmentation",
    "dicom",
    "binary, fractional (above one half) and label-map segments; content creator is the reader",
    "films are matched by SOP Instance UID",
    _sniff,
    _read,
    empty_means="no finding",
    write=write_segments,
    to="",
)
