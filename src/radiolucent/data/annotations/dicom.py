"""What DICOM objects about films share: the one frame they speak of, and graphics."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.gather import NoArea
from radiolucent.data.annotations.shapes import ellipse, four_corners
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["closed_line", "frames_of", "one_frame", "round_shape"]


def frames_of(content: Any) -> int:
    """How many frames an object says it has."""
    return int(content.get("NumberOfFrames") or 1)


def one_frame(reference: Any) -> str:
    """The SOP Instance UID of a reference to a film.

    Raises:
        AnnotationError: it is to a later frame of an image with several.
    """
    frames = reference.get("ReferencedFrameNumber")
    numbers = [] if frames is None else np.ravel(np.asarray(frames, int)).tolist()
    if any(number != 1 for number in numbers):
        raise AnnotationError(f"belongs to frame {numbers} of a multi-frame image; expected a film of one frame")
    return str(reference.ReferencedSOPInstanceUID)


def closed_line(points: NDArray[np.float64], expected: str, *, filled: bool = False) -> Region:
    """A polygon, or an upright box, from a line (K, 2) whose last point is its first, or which is filled.

    Raises:
        NoArea: an open line.
    """
    closed = len(points) > 1 and bool((points[0] == points[-1]).all())
    if not closed and not filled:
        raise NoArea("an open line", "line", expected)
    corners = points[:-1] if closed else points
    return four_corners(corners) if len(corners) == 4 else Region.polygon(corners)


def round_shape(kind: str, points: NDArray[np.float64]) -> Region:
    """A CIRCLE from its centre and a point on it, or an ELLIPSE from the ends of its major and its minor axis."""
    if kind == "CIRCLE":
        radius = float(np.hypot(*(points[1] - points[0])))
        return ellipse(points[0, 0], points[0, 1], radius, radius)
    centre, axis = points.mean(0), points[1] - points[0]
    turn = float(np.degrees(np.arctan2(axis[1], axis[0])))
    rx, ry = float(np.hypot(*axis)) / 2, float(np.hypot(*(points[3] - points[2]))) / 2
    return ellipse(centre[0], centre[1], rx, ry, turn)
