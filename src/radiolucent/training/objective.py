"""What is minimised: the loss of each example, its weight, and whether it was called right."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from radiolucent.errors import ConfigError, DataError
from radiolucent.types import Head

__all__ = ["Objective", "balanced_weights"]


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """w_c = N / (K · N_c), so that every class weighs the same in sum.

    >>> balanced_weights([30, 10])
    [0.6666666666666666, 2.0]

    Raises:
        DataError: a class without examples.
    """
    if not counts or min(counts) < 1:
        raise DataError(f"training images a class: {list(counts)}; balanced weights need at least one of each.")
    return [sum(counts) / (len(counts) * count) for count in counts]


@dataclass(frozen=True)
class Objective:
    """Cross entropy for the three kinds of head.

    Attributes:
        head: "softmax", "sigmoid" (one logit, for class `positive`) or "multilabel" (labels (N, C) of 1, 0 and, where
            a label is not known, -1: it is no part of the loss).
        classes: number of classes.
        positive: class of the single logit.
        smoothing: label smoothing s.
        weights: weight of each class, or None.
    """

    head: Head
    classes: int
    positive: int = 1
    smoothing: float = 0.0
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.weights is not None and self.head == "multilabel":
            raise ConfigError(
                "class weights with a multi-label head; expected 'none': its labels are not one class each."
            )

    def losses(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Weighted loss (N,) of each example, in nats; divide the sum by the sum of `example_weights`."""
        logits = logits.float()
        if self.head == "softmax":
            losses = F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.smoothing)
            return losses * self.example_weights(labels)
        if self.head == "multilabel":
            known = (labels >= 0).float()
            return (self._binary(logits, labels.clamp(min=0).float()) * known).sum(1) / self.classes
        return self._binary(logits[:, 0], (labels == self.positive).float()) * self.example_weights(labels)

    def _binary(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        target = truth * (1 - self.smoothing) + 0.5 * self.smoothing
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none")

    def example_weights(self, labels: torch.Tensor) -> torch.Tensor:
        """(N,) weight of each example; of a multi-label head the share of its labels that are known."""
        if self.head == "multilabel":
            return (labels >= 0).float().mean(1)
        if self.weights is None:
            return torch.ones(len(labels), device=labels.device)
        return torch.tensor(self.weights, device=labels.device)[labels]

    def correct(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(N,) 1 where the likelier class is the labelled one; of several labels the share of known ones right."""
        if self.head == "softmax":
            return (logits.argmax(1) == labels).float()
        if self.head == "multilabel":
            known = labels >= 0
            return (((logits > 0) == (labels > 0)) & known).sum(1) / known.sum(1).clamp(min=1)
        return ((logits[:, 0] > 0) == (labels == self.positive)).float()

    def plain(self) -> "Objective":
        """The same without smoothing and weights: what validation is measured with."""
        return Objective(self.head, self.classes, self.positive)
