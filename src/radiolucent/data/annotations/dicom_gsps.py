"""DICOM Grayscale Softcopy Presentation States: what was drawn on a film at a workstation."""

from typing import Any

import numpy as np

from radiolucent.data.annotations.dicom import closed_line, one_frame, round_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, NoArea
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_CLASSES = ("1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.11.2")  # grey, colour
_EXPECTED = "a closed POLYLINE, CIRCLE or ELLIPSE"
_LONGEST = 64  # characters of a text that is taken for a label


def _sniff(source: Source) -> bool:
    return source.sop_class in _CLASSES


def _read(source: Source, g: Gatherer) -> None:
    content = source.dicom
    reader = str(content.get("ContentCreatorName") or g.options.reader)
    every = [i for s in content.get("ReferencedSeriesSequence") or () for i in s.get("ReferencedImageSequence") or ()]
    layers = content.get("GraphicAnnotationSequence") or ()
    if not layers:
        raise AnnotationError("the presentation state has no graphic annotation; it says how to show a film, no more")
    for number, layer in enumerate(layers):
        where = f"annotation {number + 1} ({layer.get('GraphicLayer', '')})"
        with g.entry(where):
            films = [one_frame(i) for i in layer.get("ReferencedImageSequence") or every]
            if not films:
                raise AnnotationError("names no image")
            for film in films:
                with g.entry(where, film, reader):
                    _layer(content, layer, g, film, reader, where)


def _layer(content: Any, layer: Any, g: Gatherer, film: str, reader: str, where: str) -> None:
    texts = [str(t.get("UnformattedTextValue") or "").strip() for t in layer.get("TextObjectSequence") or ()]
    texts = [t for t in texts if t]
    single = len(texts) == 1 and len(texts[0]) <= _LONGEST and "\n" not in texts[0]
    label, words = (texts[0], "") if single else (None, "; ".join(texts))
    drawn = layer.get("GraphicObjectSequence") or ()
    regions: list[Region] = []
    for number, item in enumerate(drawn):
        with g.entry(f"{where}, graphic {number + 1}", film, reader):
            regions.append(_region(item, content))
    if regions:
        g.mark(film, regions, label, reader=reader, statement=words)
    elif not drawn and label:
        g.whole(film, label, reader=reader)


def _region(item: Any, content: Any) -> Region:
    points = np.asarray(item.GraphicData, float).reshape(-1, 2)
    units = str(item.get("GraphicAnnotationUnits", ""))
    if units == "DISPLAY":
        points = points * _whole_display(content)
    elif units != "PIXEL":
        raise AnnotationError(f"graphic in units {units or '(none)'}; expected PIXEL or DISPLAY")
    kind = str(item.GraphicType)
    if kind == "POLYLINE":
        return closed_line(points, _EXPECTED, filled=str(item.get("GraphicFilled", "N")) == "Y")
    if kind in ("CIRCLE", "ELLIPSE"):
        return round_shape(kind, points)
    if kind == "INTERPOLATED":
        raise AnnotationError(f"a curve (INTERPOLATED), with no course between its points; expected {_EXPECTED}")
    raise NoArea(kind, kind.lower(), _EXPECTED)


def _whole_display(content: Any) -> Any:
    """(width, height) in pixels of the displayed area, where it is the whole film, unturned.

    Raises:
        AnnotationError: it is a part of the film, or a turned one.
    """
    areas = content.get("DisplayedAreaSelectionSequence") or ()
    turned = int(content.get("ImageRotation") or 0) or str(content.get("ImageHorizontalFlip") or "N") == "Y"
    if len(areas) != 1 or turned:
        raise AnnotationError("a graphic in shares of a turned or unknown display; expected PIXEL units")
    first = [int(v) for v in areas[0].DisplayedAreaTopLeftHandCorner]
    last = [int(v) for v in areas[0].DisplayedAreaBottomRightHandCorner]
    if first != [1, 1]:
        raise AnnotationError("a graphic in shares of a part of the film; expected PIXEL units, or the whole film")
    return np.array(last, float)


FORMAT = Format(
    "dicom-gsps",
    "DICOM Presentation State",
    "dicom",
    "filled or closed polylines, circles, ellipses; one short text beside them is their label, longer ones are words; "
    "content creator is the reader",
    "films are matched by SOP Instance UID; PIXEL units, or DISPLAY of the whole unturned film; curves are refused",
    _sniff,
    _read,
    units="own",
)
