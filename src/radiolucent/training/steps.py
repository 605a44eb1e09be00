"""One training step."""

import torch

from radiolucent.training.optimizer import l2_penalty, set_rate
from radiolucent.training.run import Run

__all__ = ["train_step"]


def train_step(run: Run, inputs: torch.Tensor, labels: torch.Tensor, counts: float) -> None:
    """Forward, backward, update.

    The loss is Σ w_i ℓ_i / Σ w_i over all processes' examples, however unequal their shares: each process's sum is
    divided by the common Σ w_i and multiplied by the number of processes, because gradients are averaged over them.

    Args:
        inputs: this process's images, or their features behind the frozen prefix. labels: theirs.
        counts: 1; 0 where this process has run out of examples and only keeps the others company.
    """
    set_rate(run.optimizer, run.rate())
    logits = run.forward(inputs)
    losses = run.objective.losses(logits, labels) * counts
    weights = run.objective.example_weights(labels) * counts
    total = run.team.sum(weights.sum())
    loss = losses.sum() * (run.team.size / total)
    run.tally.add(losses, weights, run.objective.correct(logits, labels) * counts, counts)
    penalty = l2_penalty(run.network, run.config.l2)
    run.team.fabric.backward(loss if penalty is None else loss + penalty)
    if run.config.grad_clip is not None:
        torch.nn.utils.clip_grad_norm_(run.learning, run.config.grad_clip, foreach=True)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    if run.average is not None:
        run.average.update()
