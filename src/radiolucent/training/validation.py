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
    """loss: mean cross entropy in nats, without weights or smoothing. accuracy: called right. auroc: or None."""

    loss: float
    accuracy: float
    auroc: float | None


@torch.no_grad()
def validate(run: Run) -> Scores:
    """Mean loss and accuracy over all processes' validation images, in eval mode."""
    run.network.eval()
    run.agree_on_buffers()
    objective = run.objective.plain()
    sums = torch.zeros(3, dtype=torch.float64, device=run.processes.device)
    margins: list[torch.Tensor] = []
    truths: list[torch.Tensor] = []
    for inputs, labels in run.val_batches():
        logits = run.evaluate(inputs).float()
        losses, correct = objective.losses(logits, labels), objective.correct(logits, labels)
        sums += torch.stack([losses.sum(), correct.sum(), torch.tensor(len(labels), device=sums.device)])
        margins.append(_margin(run, logits))
        truths.append(labels)
    total, right, count = run.processes.sum(sums).tolist()
    if count == 0:
        raise DataError("the validation loader gave no image; expected at least one: the best epoch is chosen on it.")
    if not np.isfinite(total):
        raise ConfigError(f"the validation loss is {total} in epoch {run.epoch + 1}; lower lr (now {run.config.lr:g}).")
    return Scores(total / count, right / count, _auroc(run, margins, truths))


def _margin(run: Run, logits: torch.Tensor) -> torch.Tensor:
    """(N,) by which the positive class leads: what ranks images as its probability does."""
    if run.objective.head != "softmax":
        return logits[:, 0]
    positive = run.objective.positive
    others = torch.cat([logits[:, :positive], logits[:, positive + 1 :]], 1)
    return logits[:, positive] - others.logsumexp(1)


def _auroc(run: Run, margins: list[torch.Tensor], truths: list[torch.Tensor]) -> float | None:
    if run.objective.head == "multilabel":
        return None
    empty = torch.zeros(0, device=run.processes.device)
    scores = run.processes.gather(torch.cat(margins) if margins else empty).double().numpy()
    truth = run.processes.gather(torch.cat(truths) if truths else empty.long()).numpy() == run.objective.positive
    return auroc(truth, scores).value if 0 < truth.sum() < len(truth) else None
