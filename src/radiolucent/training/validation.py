"""The validation pass."""

from dataclasses import dataclass

import numpy as np
import torch

from radiolucent.errors import ConfigError, DataError
from radiolucent.metrics import auroc
from radiolucent.training.run import Run

__all__ = ["Scores", "validate"]


@dataclass(frozen=True)
class Scores:
    """loss: mean cross entropy in nats, without weights or smoothing. accuracy: called right. auroc: or None.

    Of several labels the loss is the mean over all known ones, and the AUROC that over labels with films of both kinds.
    """

    loss: float
    accuracy: float
    auroc: float | None


@torch.no_grad()
def validate(run: Run) -> Scores:
    """Mean loss and accuracy over all processes' validation images, in eval mode."""
    run.network.eval()
    run.agree_on_buffers()
    objective = run.objective.plain()
    sums = torch.zeros(4, dtype=torch.float64, device=run.processes.device)
    margins: list[torch.Tensor] = []
    truths: list[torch.Tensor] = []
    for inputs, labels in run.val_batches():
        logits = run.evaluate(inputs).float()
        losses, correct = objective.losses(logits, labels), objective.correct(logits, labels)
        weights, seen = objective.example_weights(labels), torch.tensor(len(labels), device=sums.device)
        sums += torch.stack([losses.sum(), weights.sum(), correct.sum(), seen])
        margins.append(_margin(run, logits))
        truths.append(labels)
    total, weight, right, count = run.processes.sum(sums).tolist()
    if count == 0:
        raise DataError("the validation loader gave no image; expected at least one: the best epoch is chosen on it.")
    if weight == 0:
        raise DataError("no validation image has a known label; expected some: the best epoch is chosen on them.")
    if not np.isfinite(total):
        raise ConfigError(f"the validation loss is {total} in epoch {run.epoch + 1}; lower lr (now {run.config.lr:g}).")
    return Scores(total / weight, right / count, _auroc(run, margins, truths))


def _margin(run: Run, logits: torch.Tensor) -> torch.Tensor:
    """(N,) by which the positive class leads: what ranks images as its probability does; of several labels (N, K)."""
    if run.objective.head == "multilabel":
        return logits
    if run.objective.head != "softmax":
        return logits[:, 0]
    positive = run.objective.positive
    others = torch.cat([logits[:, :positive], logits[:, positive + 1 :]], 1)
    return logits[:, positive] - others.logsumexp(1)


def _auroc(run: Run, margins: list[torch.Tensor], truths: list[torch.Tensor]) -> float | None:
    several = run.objective.head == "multilabel"
    empty = torch.zeros((0, run.objective.classes) if several else 0, device=run.processes.device)
    scores = run.processes.gather(torch.cat(margins) if margins else empty).double().numpy()
    labels = run.processes.gather(torch.cat(truths) if truths else empty.long()).numpy()
    if several:
        columns = [(labels[:, k] >= 0, labels[:, k] == 1, scores[:, k]) for k in range(labels.shape[1])]
        areas = [auroc(own[known], z[known]).value for known, own, z in columns if len(set(own[known])) == 2]
        return float(np.mean([a for a in areas if a is not None])) if areas else None
    truth = labels == run.objective.positive
    return auroc(truth, scores).value if 0 < truth.sum() < len(truth) else None
