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
    With group DRO the loss is that of the worst group: regularisation by early stopping, as Sagawa 2020 chooses it.
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
    groups = torch.zeros(2, 0 if run.groups is None else len(run.groups), device=run.processes.device)
    for inputs, labels, *others in run.val_batches():
        logits = run.evaluate(inputs).float()
        losses, correct = objective.losses(logits, labels), objective.correct(logits, labels)
        weights, seen = objective.example_weights(labels), torch.tensor(len(labels), device=sums.device)
        sums += torch.stack([losses.sum(), weights.sum(), correct.sum(), seen])
        if run.groups is not None:
            _add(groups, losses, weights, others)
        margins.append(_margin(run, logits))
        truths.append(labels)
    total, weight, right, count = run.processes.sum(sums).tolist()
    if count == 0:
        raise DataError("the validation loader gave no image; expected at least one: the best epoch is chosen on it.")
    if weight == 0:
        raise DataError("no validation image has a known label; expected some: the best epoch is chosen on them.")
    if run.groups is not None:
        total, weight = _worst(run.processes.sum(groups))
    if not np.isfinite(total):
        raise ConfigError(f"the validation loss is {total} in epoch {run.epoch + 1}; lower lr (now {run.config.lr:g}).")
    return Scores(total / weight, right / count, _auroc(run, margins, truths))


def _add(sums: torch.Tensor, losses: torch.Tensor, weights: torch.Tensor, others: list[torch.Tensor]) -> None:
    """Add losses and weights (N,) to their groups' sums (2, G); examples of group −1 are of none."""
    if not others or others[-1].ndim != 1:
        raise ConfigError("group_rate needs validation batches that end with each example's group (Loader(groups=…)).")
    own = others[-1] >= 0
    for row, values in zip(sums, (losses, weights), strict=True):
        row.index_add_(0, others[-1][own], values[own].float())


def _worst(sums: torch.Tensor) -> tuple[float, float]:
    """(Loss, weight) of the group whose mean loss is highest."""
    loss, weight = sums.double().cpu()
    if not bool((weight > 0).any()):
        raise DataError("no validation image is in a group; expected some: the best epoch is chosen on the worst one.")
    worst = int(torch.where(weight > 0, loss / weight.clamp(min=1e-8), -1.0).argmax())
    return float(loss[worst]), float(weight[worst])


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
