"""A network and everything without which its output means nothing."""

import dataclasses
import hashlib
import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from radiolucent.bounds import expect
from radiolucent.errors import ConfigError, ModelError
from radiolucent.images import Preprocess
from radiolucent.models.modes import evaluating, own_modes
from radiolucent.models.once import look_again
from radiolucent.models.one_output import OneOutput
from radiolucent.models.state_bytes import bytes_of
from radiolucent.models.takes import asked
from radiolucent.shown import Shown
from radiolucent.types import Head, LabelRule, absent, label_position, rules_for, supported

__all__ = ["NOT_FINITE", "Classifier", "check_classifier"]

NOT_FINITE = (
    "the network answers with not-a-number or infinity: it is damaged, or does not get the input it was trained on; "
    "train it again, or check its weights and preprocessing."
)
"""Of logits: why they are no answer."""


def digest_of(meta: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over what a classifier means (JSON-ready, without provenance) and its weights."""
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        for part in bytes_of(tensor):
            digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Classifier(Shown):
    """Network, class names, preprocessing, decision threshold and temperature: never separable.

    Attributes:
        network: maps inputs (N, C, S, S) to logits (N, K), or (N, 1) for a "sigmoid" head.
        class_names: K names; two for a single-logit head.
        preprocess: from a film to an input.
        positive: index of the class that sensitivity and the threshold speak of.
        head: "softmax", "sigmoid" (one logit for the positive class) or "multilabel" (a logit a label, and a film may
            have any number of them; `positive` has no meaning there).
        threshold: calibrated probability of the positive class at or above which it is called.
        temperature: logits are divided by it before probabilities are taken.
        architecture: how `build` makes the network again.
        provenance: training data, recipe, versions; JSON-ready.
        calibrated_on: films that the temperature was fitted on, which bound how sure a probability is
            (`radiolucent.types.supported`); None where it is not known.
        rules: of a "multilabel" head, threshold and temperature of each label; where there are none, `threshold` and
            `temperature` hold for every label.
    """

    network: nn.Module
    class_names: tuple[str, ...]
    preprocess: Preprocess
    positive: int = 1
    head: Head = "softmax"
    threshold: float = 0.5
    temperature: float = 1.0
    architecture: Mapping[str, Any] = field(default_factory=dict[str, Any])
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    calibrated_on: int | None = None
    rules: tuple[LabelRule, ...] = ()

    def __post_init__(self) -> None:
        least = 1 if self.head == "multilabel" else 2
        if len(self.class_names) < least or not 0 <= self.positive < len(self.class_names):
            raise ConfigError(
                f"classes {self.class_names} with positive index {self.positive}; expected two or more classes, or one "
                "label or more, and an index among them."
            )
        if self.head not in ("softmax", "sigmoid", "multilabel") or (
            self.head == "sigmoid" and len(self.class_names) != 2
        ):
            raise ConfigError(
                f"head {self.head!r} for {len(self.class_names)} classes; expected 'softmax', 'multilabel' or "
                "'sigmoid' (two classes)."
            )
        rules_for(self.class_names, self.head, self.rules, LabelRule())
        if not 0 <= self.threshold <= 1 or not self.temperature > 0:
            raise ConfigError(f"threshold {self.threshold}, temperature {self.temperature}; expected [0, 1] and > 0.")

    def __repr__(self) -> str:
        size, name = self.preprocess.size, self.architecture.get("name", type(self.network).__name__)
        names = " / ".join(self.class_names)
        if self.multilabel:
            return f"Classifier({name}, labels {names}, input {size} × {size})"
        positive = f"{self.class_names[self.positive]} from {self.threshold:.3f}"
        return f"Classifier({name}, {names}, positive: {positive}, input {size} × {size})"

    def rows(self) -> list[dict[str, Any]]:
        """What it is, a row a fact."""
        facts = self.meta() | {"parameters": sum(p.numel() for p in self.network.parameters()), "device": self.device}
        return [{"fact": name, "value": str(value)[:200]} for name, value in facts.items()]

    def with_(self, **changes: Any) -> "Classifier":
        """A copy with some fields changed; the network is shared.

        Raises:
            ConfigError: one threshold or temperature, where each label has its own.
        """
        if self.rules and "rules" not in changes and (wrong := {"threshold", "temperature"} & changes.keys()):
            raise ConfigError(
                f"{' and '.join(sorted(wrong))} of labels ({', '.join(self.class_names)}) have their own; "
                "give rules=(LabelRule(threshold, temperature), …), one a label (radiolucent.types)."
            )
        return dataclasses.replace(self, **changes)

    @property
    def device(self) -> torch.device:
        """Where the network's parameters are."""
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in: its first floating-point parameter's type."""
        return next((p.dtype for p in self.network.parameters() if p.is_floating_point()), torch.float32)

    @property
    def multilabel(self) -> bool:
        """Whether each class is a label of its own, of which a film may have any number."""
        return self.head == "multilabel"

    @property
    def label_rules(self) -> tuple[LabelRule, ...]:
        """One rule a label of a "multilabel" head."""
        same = LabelRule(self.threshold, self.temperature, self.calibrated_on)
        return rules_for(self.class_names, self.head, self.rules, same)

    @property
    def outputs(self) -> int:
        """Number of logits: 1 for a "sigmoid" head, else one a class."""
        return 1 if self.head == "sigmoid" else len(self.class_names)

    @property
    def without_lung(self) -> tuple[float, ...] | None:
        """Logits that a network on the lungs alone gives every film on which it takes nothing for lung; of others None.

        They are no answer about the film: `Predictions.no_call`.
        """
        found: torch.Tensor | None = getattr(self.network, "without_lung", None)
        if found is None:  # an exported file, whose description says it
            told = self.architecture.get("without_lung")
            return None if told is None else tuple(told)
        return tuple(found.float().tolist())

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) of inputs (N, C, S, S), in eval mode without gradients; the network's mode is put back."""
        # No inference mode: a lazy or caching module would keep tensors that nothing can be differentiated by.
        with evaluating(self.network), own_modes(), torch.no_grad():
            # A copy: a network may keep what it has answered.
            found = asked(self.network, inputs.to(self.device, self.dtype)).float().cpu().clone()
            look_again()
            return found.as_subclass(torch.Tensor)

    def no_call(self, logits: torch.Tensor) -> torch.Tensor:
        """Bool (N,) of logits (N, K): whether they are those of any film without lung (`without_lung`)."""
        if (fixed := self.without_lung) is None:
            return torch.zeros(len(logits), dtype=torch.bool)
        return (logits == torch.tensor(fixed)).all(1)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Calibrated probabilities (N, number of classes) from logits (N, K).

        Raises:
            ModelError: logits that are not finite (`NOT_FINITE`).
        """
        if not bool(torch.isfinite(logits).all()):
            raise ModelError(NOT_FINITE)
        if self.multilabel:
            each = [r.probability(logits[:, k].numpy(force=True)) for k, r in enumerate(self.label_rules)]
            return torch.from_numpy(np.stack(each, axis=1))
        scaled = logits.double() / self.temperature
        if self.head == "softmax":
            return supported(scaled.softmax(1), self.calibrated_on, scaled.shape[1])
        ones = supported(scaled.sigmoid(), self.calibrated_on)
        pair = [1 - ones[:, 0], ones[:, 0]]
        return torch.stack(pair if self.positive == 1 else pair[::-1], dim=1)

    def called(self, logits: torch.Tensor) -> torch.Tensor:
        """Class indices int64 (N,) that logits (N, K) are called.

        Of two classes the positive one where its calibrated probability reaches the threshold, else the other; of more
        the most probable.

        Raises:
            ConfigError: a "multilabel" head, which calls any number of labels (`calls`).
        """
        if self.multilabel:
            raise ConfigError(
                f"one call of several labels ({', '.join(self.class_names)}); name the label (target=), or ask for all "
                "with calls(logits)."
            )
        chances = self.probabilities(logits)
        if len(self.class_names) > 2:
            return chances.argmax(1)
        return torch.where(chances[:, self.positive] >= self.threshold, self.positive, 1 - self.positive)

    def calls(self, logits: torch.Tensor) -> torch.Tensor:
        """Whether each label of a "multilabel" head is called at its own threshold: bool (N, K) of logits (N, K).

        Raises:
            ConfigError: another head, of which `called` gives the one class.
        """
        if not self.multilabel:
            raise ConfigError(f"labels of a {self.head} head; it calls one class a film: called(logits).")
        chances = self.probabilities(logits)
        cuts = [float("inf") if rule.threshold is None else rule.threshold for rule in self.label_rules]
        return chances >= torch.tensor(cuts, dtype=chances.dtype)

    def of_label(self, label: str | int) -> "Classifier":
        """One label of a "multilabel" head as a classifier of two classes, "no LABEL" and LABEL; the network is shared.

        Raises:
            ConfigError: no such label, or another head.
        """
        if not self.multilabel:
            raise ConfigError(f"label {label!r} of a {self.head} head; only a multi-label head has labels.")
        k = label_position(self.class_names, label)
        name, rule = self.class_names[k], self.label_rules[k]
        threshold = 1.0 if rule.threshold is None else rule.threshold
        architecture: dict[str, Any] = {"name": "one label", "label": k, "of": dict(self.architecture)}
        if (fixed := self.without_lung) is not None:
            architecture["without_lung"] = [fixed[k]]
        names = absent(name), name
        return Classifier(
            OneOutput(self.network, k), names, self.preprocess, 1, "sigmoid", threshold, rule.temperature,
            architecture, self.provenance, rule.calibrated_on,
        )  # fmt: skip

    def index_of(self, target: str | int) -> int:
        """The index of a class given by name or index.

        Raises:
            ConfigError: no such class; the message lists them.
        """
        if isinstance(target, str) and target in self.class_names:
            return self.class_names.index(target)
        if isinstance(target, str) and self.multilabel:
            return label_position(self.class_names, target)
        if not isinstance(target, str) and hasattr(target, "__index__"):
            found = operator.index(target)
            if 0 <= found < len(self.class_names):
                return found
        raise ConfigError(f"target {target!r}; expected one of {', '.join(self.class_names)} (or its index).")

    def meta(self) -> dict[str, Any]:
        """Everything but the weights, JSON-ready."""
        return {
            "architecture": dict(self.architecture),
            "class_names": list(self.class_names),
            "preprocess": self.preprocess.to_dict(),
            "positive": self.positive,
            "head": self.head,
            "threshold": self.threshold,
            "temperature": self.temperature,
            "provenance": dict(self.provenance),
        } | self._told_only_if_known()

    def _told_only_if_known(self) -> dict[str, Any]:
        """What older checkpoints do not have, which stay the same by it."""
        known = {} if self.calibrated_on is None else {"calibrated_on": self.calibrated_on}
        return known | ({"rules": [dataclasses.asdict(rule) for rule in self.rules]} if self.rules else {})

    @cached_property
    def hash(self) -> str:
        """SHA-256 over weights and meaning (not provenance), as of the first time it is asked for."""
        return self.digest()

    def digest(self) -> str:
        """The hash as of now."""
        meta = self.meta()
        meta.pop("provenance")
        return digest_of(meta, self.network.state_dict())


def check_classifier(given: Any) -> None:
    """Refuse what is no classifier, such as a run's path or a bare network.

    Raises:
        ConfigError: with the calls that make one.
    """
    how = "rl.load(run), rl.load('box'), or of a network of your own rl.wrap(module, …)"
    expect(given, Classifier, "classifier", how)
