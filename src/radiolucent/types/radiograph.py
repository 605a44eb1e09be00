"""A film, and what a doctor said of it, in source pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import AnnotationError, ConfigError
from radiolucent.shown import Shown
from radiolucent.types.names import plain_label
from radiolucent.types.nothing import nothing

__all__ = ["Annotation", "Geometry", "Radiograph", "Region"]


@dataclass(frozen=True, eq=False)
class Radiograph(Shown):
    """One X-ray image as grey levels, with all that was done to get there.

    Attributes:
        pixels: float32 (H, W) in [0, 1]; 1 is bright (bone).
        image_id: stable identifier; unless given, the file's path.
        patient_id: patient identifier, or None where unknown.
        spacing: pixel spacing in mm as (row, column), or None where unknown.
        source: where it came from: the path, or a note such as ``"array"``.
        transforms: every pixel transform applied between the stored pixels and `pixels`, in order.
        metadata: what the file says of itself (format, stored mode, stored width and height, bit depth, ...).
        notes: what was assumed or is odd, and whoever judges by the film should know.
    """

    pixels: NDArray[np.float32]
    image_id: str = "array"
    patient_id: str | None = None
    spacing: tuple[float, float] | None = None
    source: str = "array"
    transforms: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=nothing)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels)
        if pixels.ndim != 2 or pixels.dtype != np.float32 or 0 in pixels.shape:
            raise ConfigError(
                f"{self.image_id}: pixels have shape {pixels.shape} and type {pixels.dtype}; expected a non-empty "
                "float32 (H, W) array in [0, 1]. Read files with radiolucent.read()."
            )
        low, high = float(pixels.min()), float(pixels.max())
        if not (0.0 <= low and high <= 1.0):  # also refuses not-a-number
            raise ConfigError(f"{self.image_id}: pixels range over [{low}, {high}]; expected [0, 1].")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in source pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def __repr__(self) -> str:
        spacing = "unknown" if self.spacing is None else " × ".join(f"{s:.3g}" for s in self.spacing) + " mm"
        height, width = self.pixels.shape
        return f"Radiograph({self.image_id!r}, {height} × {width}, pixel {spacing}, {len(self.transforms)} transforms)"


@dataclass(frozen=True)
class Geometry:
    """Where the model's input lies in the source image: an axis-aligned scale and shift.

    x_model = scale_x · x_source + shift_x, and the same for y, in continuous coordinates (see the module).

    Attributes:
        source_shape: (H, W) of the source image in pixels.
        model_shape: (H, W) of the model's input in pixels.
        scale: (scale_y, scale_x), model pixels per source pixel.
        shift: (shift_y, shift_x) in model pixels.
    """

    source_shape: tuple[int, int]
    model_shape: tuple[int, int]
    scale: tuple[float, float]
    shift: tuple[float, float]

    def to_model(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Map (K, 2) points (x, y) from source to model coordinates."""
        scale, shift = np.array(self.scale[::-1]), np.array(self.shift[::-1])
        return np.asarray(points, np.float64) * scale + shift

    def to_source(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Map (K, 2) points (x, y) from model to source coordinates; the exact inverse of `to_model`."""
        scale, shift = np.array(self.scale[::-1]), np.array(self.shift[::-1])
        return (np.asarray(points, np.float64) - shift) / scale


@dataclass(frozen=True, eq=False)
class Region:
    """One marked place, in source pixels. Build it with `box`, `polygon`, `mask` or `zone`.

    Attributes:
        kind: which of the four it is.
        points: (K, 2) x, y corners: two for a box (top left, bottom right), three or more for a polygon.
        pixels: bool (H, W) for a mask.
        name: the zone's name for a zone score ("A" ... "F" in the six-zone scheme).
        score: the zone's score.
    """

    kind: Literal["box", "polygon", "mask", "zone"]
    points: NDArray[np.float64] | None = None
    pixels: NDArray[np.bool_] | None = None
    name: str | None = None
    score: float | None = None

    @staticmethod
    def box(x: float, y: float, width: float, height: float) -> "Region":
        """A box from its top left corner and size, in source pixels."""
        corners = np.array([[x, y], [x + width, y + height]], np.float64)
        if not np.isfinite(corners).all() or width <= 0 or height <= 0:
            raise AnnotationError(
                f"box x={x}, y={y}, width={width}, height={height}; expected finite numbers and a positive size."
            )
        return Region("box", points=corners)

    @staticmethod
    def polygon(points: Sequence[Sequence[float]] | NDArray[Any]) -> "Region":
        """A closed polygon from its (K, 2) corners x, y, K ≥ 3, in source pixels."""
        corners = np.asarray(points, np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise AnnotationError(f"polygon of shape {corners.shape}; expected (K, 2) finite points with K ≥ 3.")
        return Region("polygon", points=corners)

    @staticmethod
    def mask(pixels: NDArray[Any]) -> "Region":
        """A pixel mask, (H, W) like the source image."""
        array = np.asarray(pixels)
        if array.ndim != 2:
            raise AnnotationError(f"mask of shape {array.shape}; expected (H, W).")
        return Region("mask", pixels=array.astype(bool))

    @staticmethod
    def zone(name: str, score: float) -> "Region":
        """A severity score for a named zone, as in the six-zone scheme."""
        return Region("zone", name=name, score=float(score))


@dataclass(frozen=True, eq=False)
class Annotation:
    """What one reader said of one image. "No finding" is a value: no regions and `finding` False.

    Attributes:
        image_id: the image it belongs to.
        regions: marked places in source pixels.
        label: the reader's class, or None where not stated.
        reader: who read it.
        statement: the reader's words.
        finding: True: something was found; False: read, nothing found. Not read at all is no `Annotation`.
        image_shape: (H, W) of the image the regions were drawn on, or None where unknown.
        diagnoses: what the reader called the whole image in the same reading, where `label` is that of a mark.
    """

    image_id: str
    regions: tuple[Region, ...] = ()
    label: str | None = None
    reader: str = "reader"
    statement: str = ""
    finding: bool = True
    image_shape: tuple[int, int] | None = None
    diagnoses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.regions and not self.finding:
            raise AnnotationError(
                f"{self.image_id}: {len(self.regions)} regions but no finding; expected no region without a finding."
            )

    def call(self, classes: Sequence[str] = (), positive: str = "") -> bool:
        """The reading as yes or no: its diagnosis where that is one of `classes`, else whether anything was found.

        A reader may mark an old scar and still call the film normal. Names are compared without case (`plain_label`).

        >>> scar = Annotation("a", label="scar", diagnoses=("NORMAL",))
        >>> scar.call(), scar.call(("NORMAL", "PNEUMONIA"), "PNEUMONIA")
        (True, False)
        """
        known = {plain_label(name) for name in classes}
        said = {plain_label(x) for x in (self.label, *self.diagnoses) if x is not None} & known
        return plain_label(positive) in said if said else self.finding
