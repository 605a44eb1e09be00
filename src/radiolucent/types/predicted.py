"""What a classifier answers, and where an explanation says that it looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import DataError
from radiolucent.shown import Shown
from radiolucent.types.radiograph import Geometry

__all__ = ["Explanation", "Head", "Predictions", "supported"]


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
class Predictions(Shown):
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

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A row a film: image, patient, label, probability of the positive class, whether it is called, its groups."""
        name = f"p_{self.class_names[self.positive]}"
        flat = self.labels.ndim == 1
        return [
            {
                "image": self.image_ids[i],
                "patient": self.patient_ids[i],
                "label": self.class_names[int(self.labels[i])] if flat and self.labels[i] >= 0 else None,
                name: float(self.scores[i]),
                "called": bool(self.called[i]),
                **{k: v[i] for k, v in self.groups.items()},
            }
            for i in range(len(self))
        ]

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

    def __repr__(self) -> str:
        called = f"{int(self.called.sum())} called {self.class_names[self.positive]} at {self.threshold:.3f}"
        return f"Predictions({len(self)} films of {len(set(self.patient_ids))} patients, {called})"


@dataclass(frozen=True, eq=False)
class Explanation(Shown):
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

    def __repr__(self) -> str:
        height, width = self.map.shape
        trust = self.trust.get("verdict", "not tested")
        what = f"{self.method} of {self.target_name}, {self.score_kind} {self.score:.3g}"
        return f"Explanation({self.image_id!r}, {what}, map {height} × {width}, trust: {trust})"
