"""What a classifier answers, and where an explanation says that it looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError, DataError
from radiolucent.shown import Shown
from radiolucent.types.nothing import nothing
from radiolucent.types.radiograph import Geometry

__all__ = [
    "NO_CALL", "NO_LUNG", "Explanation", "Head", "LabelRule", "Predictions", "absent", "label_position", "rules_for",
    "supported",
]  # fmt: skip

NO_CALL = "no call"
"""What stands in a class's place where a network takes nothing on a film for lung."""

NO_LUNG = "nothing on it has the texture of a lung, so that the answer would be the same for any such film"
"""Why there is no call."""


Head = Literal["softmax", "sigmoid", "multilabel"]


def supported(probabilities: Any, films: Any, classes: int = 2) -> Any:
    """Probabilities p as (films · p + 1) / (films + classes): no surer than the films they were calibrated on support.

    Laplace's rule of succession: what happened on all of n films has probability (n + 1) / (n + 2) on the next. It
    changes no ranking. None: nothing is known of the films, and p stays as it is.

    Args:
        probabilities: an array, a tensor or a number. films: a number, one for each probability, or None.

    >>> supported(1.0, 98)
    0.99
    """
    return probabilities if films is None else (films * probabilities + 1) / (films + classes)


@dataclass(frozen=True)
class LabelRule:
    """How one label of a multi-label model is called.

    Attributes:
        threshold: calibrated probability at or above which it is called; None: never, because none could be chosen.
        temperature: its logit is divided by it before the sigmoid.
        calibrated_on: films that the temperature was fitted on (`supported`); None where it is not known.
    """

    threshold: float | None = 0.5
    temperature: float = 1.0
    calibrated_on: int | None = None

    def __post_init__(self) -> None:
        if (self.threshold is not None and not 0 <= self.threshold <= 1) or not self.temperature > 0:
            raise ConfigError(f"threshold {self.threshold}, temperature {self.temperature}; expected [0, 1] and > 0.")

    def probability(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """Calibrated probabilities of logits of any shape."""
        scaled = np.asarray(logits, np.float64) / self.temperature
        return supported(1.0 / (1.0 + np.exp(-np.clip(scaled, -500, 500))), self.calibrated_on)


def rules_for(names: Sequence[str], head: Head, rules: Sequence[LabelRule], same: LabelRule) -> tuple[LabelRule, ...]:
    """One rule a label: those given, or `same` for every label where there are none.

    Raises:
        ConfigError: rules for another kind of head, or of another number.
    """
    if rules and (head != "multilabel" or len(rules) != len(names)):
        raise ConfigError(
            f"{len(rules)} rules for {len(names)} classes with head {head!r}; expected one a label, and head "
            "'multilabel'."
        )
    return tuple(rules) or (same,) * len(names)


def label_position(names: Sequence[str], label: str | int) -> int:
    """The position of a label given by name, without regard to case, or by index.

    Raises:
        ConfigError: no such label; the message lists them.
    """
    if isinstance(label, str):
        found = [i for i, n in enumerate(names) if n == label]
        found = found or [i for i, n in enumerate(names) if n.casefold() == label.strip().casefold()]
    else:
        found = [int(label)] if 0 <= int(label) < len(names) else []
    if len(found) != 1:
        raise ConfigError(f"label {label!r}; expected one of {', '.join(names)}.")
    return found[0]


def absent(label: str) -> str:
    """The class name of films without a label.

    >>> absent("effusion")
    'no effusion'
    """
    return f"no {label}"


@dataclass(frozen=True, eq=False)
class Predictions(Shown):
    """What a classifier said of N images, with all that evaluation needs.

    Attributes:
        image_ids: N image identifiers.
        patient_ids: N patient identifiers; where unknown, the image identifier (each image its own patient).
        logits: float32 (N, C); C = 1 for a single-logit head.
        labels: int64 (N,) class indices, -1 where unknown; (N, C) 1, 0 or -1 (unknown) for a multi-label head.
        class_names: the classes, in the order of the logits; two for a single-logit head.
        positive: index into `class_names` of the class that sensitivity speaks of.
        head: how logits become probabilities.
        temperature: logits are divided by it before that.
        threshold: calibrated probability of `positive` at or above which an image is called positive.
        calibrated_on: films that the temperature was fitted on, which bound how sure a probability is (`supported`);
            None where it is not known.
        groups: further columns by name, each of length N (site, etiology, split, ...), for subgroups.
        rules: of a multi-label head, one a label; where there are none, `threshold` and `temperature` hold for all.
        without_lung: logits that a network on the lungs alone gives every film on which it takes nothing for lung; None
            of other networks.

    Of a multi-label head `scores`, `truth` and `called` have no meaning: `of_label` gives those of one label.
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
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=nothing)
    calibrated_on: int | None = None
    rules: tuple[LabelRule, ...] = ()
    without_lung: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        rules_for(self.class_names, self.head, self.rules, LabelRule())
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
        if self.multilabel:
            return self._rows_of_labels()
        name = f"p_{self.class_names[self.positive]}"
        scores, called = self.scores, self.called
        return [
            {
                "image": self.image_ids[i],
                "patient": self.patient_ids[i],
                "label": self.class_names[int(self.labels[i])] if self.labels[i] >= 0 else None,
                name: float(scores[i]),
                "called": bool(called[i]),
                **self._told(i),
                **{k: v[i] for k, v in self.groups.items()},
            }
            for i in range(len(self))
        ]

    def _rows_of_labels(self) -> Sequence[Mapping[str, Any]]:
        chances, calls = self.probabilities, self.calls
        known = {0: 0, 1: 1, -1: None}
        return [
            {
                "image": self.image_ids[i],
                "patient": self.patient_ids[i],
                **{name: known[int(self.labels[i, k])] for k, name in enumerate(self.class_names)},
                **{f"p_{name}": float(chances[i, k]) for k, name in enumerate(self.class_names)},
                **{f"called_{name}": bool(calls[i, k]) for k, name in enumerate(self.class_names)},
                **self._told(i),
                **{k: v[i] for k, v in self.groups.items()},
            }
            for i in range(len(self))
        ]

    def _told(self, i: int) -> Mapping[str, bool]:
        return {} if self.without_lung is None else {"no_call": bool(self.no_call[i])}

    @property
    def multilabel(self) -> bool:
        """Whether each class is a label of its own, of which a film may have any number."""
        return self.head == "multilabel"

    @property
    def label_rules(self) -> tuple[LabelRule, ...]:
        """One rule a label of a multi-label head."""
        same = LabelRule(self.threshold, self.temperature, self.calibrated_on)
        return rules_for(self.class_names, self.head, self.rules, same)

    def of_label(self, label: str | int) -> "Predictions":
        """One label of a multi-label head as a question of two classes, "no LABEL" and LABEL; -1 where not known.

        A label without a threshold is called from a probability of 1 on: practically never.

        Raises:
            ConfigError: no such label, or another head.
        """
        if not self.multilabel:
            raise ConfigError(f"label {label!r} of a {self.head} head; only a multi-label head has labels.")
        k = label_position(self.class_names, label)
        name, rule = self.class_names[k], self.label_rules[k]
        return Predictions(
            self.image_ids, self.patient_ids, self.logits[:, k : k + 1], self.labels[:, k], (absent(name), name), 1,
            "sigmoid", rule.temperature, 1.0 if rule.threshold is None else rule.threshold, self.groups,
            rule.calibrated_on, without_lung=self.without_lung and self.without_lung[k : k + 1],
        )  # fmt: skip

    @property
    def no_call(self) -> NDArray[np.bool_]:
        """(N,) True where the logits are those of any film without lung (`without_lung`), and so say nothing of it."""
        if self.without_lung is None:
            return np.zeros(len(self), bool)
        return (self.logits == np.array(self.without_lung, np.float32)).all(1)

    @property
    def calls(self) -> NDArray[np.bool_]:
        """(N, C) of a multi-label head: whether each label is called at its own threshold."""
        chances = self.probabilities
        cuts = [rule.threshold for rule in self.label_rules]
        return np.stack([chances[:, k] >= (np.inf if t is None else t) for k, t in enumerate(cuts)], axis=1)

    def _single(self, what: str) -> None:
        if self.multilabel:
            raise ConfigError(
                f"{what} of several labels ({', '.join(self.class_names)}); take one with of_label(NAME), or all with "
                "`probabilities` and `calls`; evaluate_labels() evaluates all."
            )

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Calibrated probabilities (N, K) with K = len(class_names); of a multi-label head each label's own."""
        if self.multilabel:
            return np.stack([r.probability(self.logits[:, k]) for k, r in enumerate(self.label_rules)], axis=1)
        logits = self.logits.astype(np.float64) / self.temperature
        if self.head == "softmax":
            shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
            return supported(shifted / shifted.sum(axis=1, keepdims=True), self.calibrated_on, logits.shape[1])
        positive = supported(1.0 / (1.0 + np.exp(-np.clip(logits, -500, 500))), self.calibrated_on)[:, 0]
        return np.stack([1 - positive, positive] if self.positive == 1 else [positive, 1 - positive], axis=1)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Calibrated probability (N,) of the positive class."""
        self._single("one score a film")
        return self.probabilities[:, self.positive]

    @property
    def log_odds(self) -> NDArray[np.float64]:
        """log p/(1 − p) (N, K) of every class by the logits alone (without `supported`).

        They rank films as probabilities do, and go on where a probability can be no nearer to 0 or 1: two logits 37
        apart make it 1 in double precision, and films that differ beyond that would be tied.
        """
        logits = self.logits.astype(np.float64)
        if self.multilabel:
            return logits / np.array([rule.temperature for rule in self.label_rules])
        if self.head == "sigmoid":
            own = logits[:, 0] / self.temperature
            return np.stack([-own, own] if self.positive == 1 else [own, -own], axis=1)
        if logits.shape[1] == 2:
            own = (logits[:, 1] - logits[:, 0]) / self.temperature
            return np.stack([-own, own], axis=1)
        scaled = logits / self.temperature
        rest = [np.logaddexp.reduce(np.delete(scaled, k, axis=1), axis=1) for k in range(scaled.shape[1])]
        return scaled - np.stack(rest, axis=1)

    @property
    def margins(self) -> NDArray[np.float64]:
        """Log odds (N,) of the positive class (`log_odds`): what films are ranked by."""
        self._single("one margin a film")
        return self.log_odds[:, self.positive]

    @property
    def truth(self) -> NDArray[np.bool_]:
        """(N,) True where the label is the positive class."""
        self._single("one truth a film")
        return self.labels == self.positive

    @property
    def called(self) -> NDArray[np.bool_]:
        """(N,) True where the positive class is called at the threshold."""
        return self.scores >= self.threshold

    @property
    def no_call_note(self) -> str:
        """How many films the network takes nothing on for lung, in words; "" where there are none."""
        count = int(self.no_call.sum())
        if not count:
            return ""
        return (
            f"on {count} of {len(self)} films nothing has the texture of a lung: the answer there is the same whatever "
            "the film, and no call, but counts in all figures"
        )

    def __repr__(self) -> str:
        films = f"{len(self)} films of {len(set(self.patient_ids))} patients"
        none = f", {count} without lung (no call)" if (count := int(self.no_call.sum())) else ""
        if self.multilabel:
            called = ", ".join(f"{int(n)} {name}" for name, n in zip(self.class_names, self.calls.sum(0), strict=True))
            return f"Predictions({films}, called: {called}{none})"
        called = f"{int(self.called.sum())} called {self.class_names[self.positive]} at {self.threshold:.3f}"
        return f"Predictions({films}, {called}{none})"


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
    details: Mapping[str, Any] = field(default_factory=nothing)
    trust: Mapping[str, Any] = field(default_factory=nothing)
    contrast: str | None = None
    logits: tuple[float, ...] = ()
    title: str = ""
    signed: bool = True

    def __repr__(self) -> str:
        height, width = self.map.shape
        trust = self.trust.get("verdict", "not tested")
        what = f"{self.method} of {self.target_name}, {self.score_kind} {self.score:.3g}"
        return f"Explanation({self.image_id!r}, {what}, map {height} × {width}, trust: {trust})"
