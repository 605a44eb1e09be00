"""The number that is explained."""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F

from radiolucent.errors import ConfigError
from radiolucent.models import Classifier
from radiolucent.passes.forward import Pass
from radiolucent.passes.session import Session
from radiolucent.types import supported

__all__ = ["Goal", "ScoreKind", "checked_kind"]

ScoreKind = Literal["logit", "probability", "margin", "contrast"]


@dataclass(frozen=True, eq=False)
class Goal:
    """The number explained for each image.

    Attributes:
        targets: int64 (N,) class indices, on the CPU.
        kind: the class's "logit", its "probability" (calibrated), its "margin" over the best other class, or its
            "contrast": its logit minus that of the class `against`.
        classifier: for head and temperature.
        against: int64 (N,) class indices, for a contrast.
        forward: the batch's shared pass, where there is one. session: of the job.
    """

    targets: torch.Tensor
    kind: ScoreKind
    classifier: Classifier
    against: torch.Tensor | None = None
    forward: Pass | None = None
    session: Session = field(default_factory=Session, repr=False)

    def of(self, logits: torch.Tensor) -> torch.Tensor:
        """Scores (N,) of logits (N, K); differentiable.

        A single logit z, the log-odds, speaks for the positive class: the other class's logit is −z, and margin and
        contrast are ±z as well.
        """
        rows = torch.arange(len(logits))
        clf = self.classifier
        if clf.head == "sigmoid":
            sign = torch.where(self.targets == clf.positive, 1.0, -1.0).to(logits)
            signed = sign * logits[:, 0]
            chance = supported((signed / clf.temperature).sigmoid(), clf.calibrated_on)
            return chance if self.kind == "probability" else signed
        chosen = logits[rows, self.targets]
        if self.kind == "logit":
            return chosen
        if self.kind == "contrast" and self.against is not None:
            return chosen - logits[rows, self.against]
        if self.kind == "probability":
            if clf.multilabel:
                return self._of_labels(chosen)
            whole = (logits / clf.temperature).softmax(1)
            return supported(whole, clf.calibrated_on, whole.shape[1])[rows, self.targets]
        others = logits.scatter(1, self.targets[:, None], float("-inf"))
        return chosen - others.amax(1)

    def _of_labels(self, chosen: torch.Tensor) -> torch.Tensor:
        """Calibrated probabilities (N,) of each image's label from its logit: each label has its own temperature."""
        rules = [self.classifier.label_rules[int(k)] for k in self.targets]
        hot = (chosen / chosen.new_tensor([rule.temperature for rule in rules])).sigmoid()
        films = chosen.new_tensor([float(rule.calibrated_on or 0) for rule in rules])
        known = torch.tensor([rule.calibrated_on is not None for rule in rules], device=chosen.device)
        return torch.where(known, supported(hot, films), hot)

    def gradient(self, logits: torch.Tensor) -> torch.Tensor:
        """∂score/∂logits (N, K)."""
        if self.kind == "logit" and self.classifier.head != "sigmoid":
            return F.one_hot(self.targets, logits.shape[1]).to(logits)
        with torch.enable_grad():
            leaf = logits.detach().clone().requires_grad_()
            return torch.autograd.grad(self.of(leaf).sum(), leaf)[0]

    def over(self, classifier: Classifier, inputs: torch.Tensor) -> Pass:
        """The forward pass over these inputs: the batch's shared one if they are the batch, else a new one."""
        shared = self.forward
        if shared is not None and shared.inputs is inputs:
            return shared
        return Pass(classifier, inputs, session=self.session)

    def rows(self, index: slice) -> "Goal":
        """The goal of some of the images."""
        against = None if self.against is None else self.against[index]
        return dataclasses.replace(self, targets=self.targets[index], against=against, forward=None)

    def tiled(self, times: int) -> "Goal":
        """The goal of `times` copies of the batch, one after the other."""
        against = None if self.against is None else self.against.repeat(times)
        return dataclasses.replace(self, targets=self.targets.repeat(times), against=against, forward=None)

    def repeated(self, count: int, target: int | None = None) -> "Goal":
        """The goal of the first image for `count` variants of it; of another class if `target` is given."""
        chosen = int(self.targets[0]) if target is None else target
        against = None if self.against is None else self.against[:1].expand(count)
        return dataclasses.replace(self, targets=torch.full((count,), chosen), against=against, forward=None)


def checked_kind(score: ScoreKind, contrast: str | int | None) -> ScoreKind:
    """The kind of score that `explain`'s arguments ask for.

    Raises:
        ConfigError: an unknown score, or one that does not go with a contrast.
    """
    if score not in ("logit", "probability", "margin", "contrast"):
        raise ConfigError(f"score {score!r}; expected logit, probability, margin or contrast.")
    if contrast is None:
        if score == "contrast":
            raise ConfigError("score 'contrast' without a class to contrast with; give contrast=, e.g. \"NORMAL\".")
        return score
    if score not in ("logit", "contrast"):
        raise ConfigError(f"score {score!r} with contrast {contrast!r}; a contrast is of logits: leave out score.")
    return "contrast"
