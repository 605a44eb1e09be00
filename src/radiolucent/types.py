"""The frozen values that pass between rooms.

Frames. *Source* pixels are those of the file after its declared orientation; *model* pixels are those of the
network's input. Coordinates are continuous, x to the right and y down, and pixel (row r, column c) covers
[c, c + 1) × [r, r + 1), so a pixel's centre is at (c + 0.5, r + 0.5) (COCO's convention).

`Classifier`, the remaining value of the data flow, stands in `radiolucent.models.classifier`: it holds a network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import AnnotationError, ConfigError, DataError

__all__ = [
    "Annotation",
    "Estimate",
    "Explanation",
    "Finding",
    "Geometry",
    "Predictions",
    "Radiograph",
    "Region",
]

Verdict = Literal["pass", "fail", "inconclusive", "not applicable"]
Concern = Literal["data", "model", "map"]
Head = Literal["softmax", "sigmoid", "multilabel"]


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


def supported(probabilities: Any, films: int | None, classes: int = 2) -> Any:
    """Probabilities p as (films · p + 1) / (films + classes): no surer than the films they were calibrated on support.

    Laplace's rule of succession: what happened on all of n films has probability (n + 1) / (n + 2) on the next. It
    changes no ranking. None: nothing is known of the films, and p stays as it is.

    Args:
        probabilities: an array, a tensor or a number.

    >>> supported(1.0, 98)
    0.99
    """
    return probabilities if films is None else (films * probabilities + 1) / (films + classes)


@dataclass(frozen=True, eq=False)
class Radiograph:
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
    metadata: Mapping[str, Any] = field(default_factory=_empty)
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

        A reader may mark an old scar and still call the film normal.

        >>> scar = Annotation("a", label="scar", diagnoses=("NORMAL",))
        >>> scar.call(), scar.call(("NORMAL", "PNEUMONIA"), "PNEUMONIA")
        (True, False)
        """
        said = [x for x in (self.label, *self.diagnoses) if x in classes]
        return positive in said if said else self.finding


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier said of N images, with all that evaluation needs.

    Attributes:
        image_ids: N image identifiers.
        patient_ids: N patient identifiers; where unknown, the image identifier (each image its own patient).
        logits: float32 (N, C); C = 1 for a single-logit head.
        labels: int64 (N,) class indices, -1 where unknown; (N, C) 0/1 for a multi-label head.
        class_names: the classes, in the order of the logits; two for a single-logit head.
        positive: index into `class_names` of the class that sensitivity speaks of.
        head: how logits become probabilities.
        temperature: logits are divided by it before that.
        threshold: calibrated probability of `positive` at or above which an image is called positive.
        calibrated_on: films that the temperature was fitted on, which bound how sure a probability is (`supported`);
            None where it is not known.
        groups: further columns by name, each of length N (site, etiology, split, ...), for subgroups.
    """

    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    positive: int = 1
    head: Head = "softmax"
    temperature: float = 1.0
    threshold: float = 0.5
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=_empty)
    calibrated_on: int | None = None

    def __post_init__(self) -> None:
        count = len(self.image_ids)
        if len(self.patient_ids) != count or self.logits.shape[0] != count or self.labels.shape[0] != count:
            raise DataError(
                f"predictions disagree in length: {count} images, {len(self.patient_ids)} patients, logits "
                f"{self.logits.shape}, labels {self.labels.shape}; expected the same N everywhere."
            )

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Calibrated probabilities (N, K) with K = len(class_names)."""
        logits = self.logits.astype(np.float64) / self.temperature
        if self.head == "softmax":
            shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
            return supported(shifted / shifted.sum(axis=1, keepdims=True), self.calibrated_on, logits.shape[1])
        ones = supported(1.0 / (1.0 + np.exp(-np.clip(logits, -500, 500))), self.calibrated_on)
        if self.head == "multilabel":
            return ones
        positive = ones[:, 0]
        return np.stack([1 - positive, positive] if self.positive == 1 else [positive, 1 - positive], axis=1)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Calibrated probability (N,) of the positive class."""
        return self.probabilities[:, self.positive]

    @property
    def truth(self) -> NDArray[np.bool_]:
        """(N,) True where the label is the positive class."""
        return self.labels[:, self.positive] == 1 if self.labels.ndim == 2 else self.labels == self.positive

    @property
    def called(self) -> NDArray[np.bool_]:
        """(N,) True where the positive class is called at the threshold."""
        return self.scores >= self.threshold


@dataclass(frozen=True, eq=False)
class Explanation:
    """One raw attribution map and how it came to be.

    Attributes:
        map: raw signed float32 (H, W) in the model-input frame; positive speaks for the target.
        image_id: the image explained.
        target: class index explained; `target_name` its name.
        score: value of the quantity explained, for the unperturbed image.
        score_kind: "logit", "probability", "margin" (target minus the strongest other logit) or "contrast" (target
            minus one other class's logit).
        method: the method's name, e.g. "gradcam".
        parameters: the method's parameters.
        seed: seed of its random generator.
        model_hash: SHA-256 of the classifier.
        geometry: back to source pixels.
        details: further results of the method (LIME: segments, coefficients, standard errors, R², ...).
        trust: the trust stamp, by name of the test; empty where none was made.
        contrast: name of the class the target is held against, for the score kind "contrast"; else None.
        logits: the network's whole answer (K,) to the unperturbed image, from the pass that was explained.
        title: the method as people write it, e.g. "Grad-CAM"; empty where it is not known.
        signed: whether negative values mean something too: they speak against the target.
    """

    map: NDArray[np.float32]
    image_id: str
    target: int
    target_name: str
    score: float
    score_kind: Literal["logit", "probability", "margin", "contrast"]
    method: str
    parameters: Mapping[str, Any]
    seed: int
    model_hash: str
    geometry: Geometry
    details: Mapping[str, Any] = field(default_factory=_empty)
    trust: Mapping[str, Any] = field(default_factory=_empty)
    contrast: str | None = None
    logits: tuple[float, ...] = ()
    title: str = ""
    signed: bool = True


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the point estimate; None where it is not defined (and `note` says why).
        low, high: ends of the interval; None where there is none.
        level: coverage of the interval, e.g. 0.95.
        n: number of independent units it rests on (patients where clustered, else images).
        method: how the interval was got, e.g. "wilson", "delong", "patient bootstrap (10000)".
        note: a caveat, or why it is not defined.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    method: str
    note: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"not applicable ({self.note})"
        if self.low is None or self.high is None:
            return f"{self.value:.3f} (n = {self.n})"
        return f"{self.value:.3f} ({100 * self.level:.3g}% CI {self.low:.3f}–{self.high:.3f}, n = {self.n})"

    def as_dict(self) -> dict[str, Any]:
        """The form of `summary.json`: value, low, high, level, n, method and, where there is one, note."""
        fields = {k: getattr(self, k) for k in ("value", "low", "high", "level", "n", "method")}
        return fields | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class Finding:
    """The outcome of one test of data or model.

    Attributes:
        test: short stable name, e.g. "duplicates.exact".
        question: what was asked, in words.
        verdict: "pass", "fail", "inconclusive" or "not applicable".
        summary: the answer in one or two sentences.
        estimate: the figure it rests on, if any.
        threshold: what the figure was held against, if anything.
        evidence: names, tables and numbers a reader can check; JSON-ready.
        source: where the test and threshold come from, or "ours".
        advice: what to do about it.
        concerns: "data": something is *available* to whoever learns from these films; "model": the network *uses* it
            (only this fails a model); "map": what an explanation shows, which illustrates and proves nothing.
        control: the same figure where nothing should happen (a random patch, a silhouette, the area), if there is one.
        severity: how far the figure lies beyond its threshold, in thresholds; 0 where nothing failed. For sorting.
    """

    test: str
    question: str
    verdict: Verdict
    summary: str
    estimate: Estimate | None = None
    threshold: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=_empty)
    source: str = "ours"
    advice: str = ""
    concerns: Concern = "data"
    control: Estimate | None = None
    severity: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, with the estimate in the form of `summary.json`."""
        names = (
            "test", "question", "verdict", "summary", "threshold", "source", "advice", "concerns", "severity",
        )  # fmt: skip
        return {k: getattr(self, k) for k in names} | {
            "estimate": self.estimate.as_dict() if self.estimate else None,
            "control": self.control.as_dict() if self.control else None,
            "evidence": dict(self.evidence),
        }
