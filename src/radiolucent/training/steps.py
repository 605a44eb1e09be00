"""One training step."""

import torch

from radiolucent.errors import ConfigError
from radiolucent.training.optimizer import l2_penalty, set_rate
from radiolucent.training.reasons import relevance_outside, wrong_reasons
from radiolucent.training.run import Run

__all__ = ["train_step"]


def train_step(run: Run, batch: tuple[torch.Tensor, ...], counts: float) -> None:
    """Forward, backward, update.

    The loss is Σ w_i ℓ_i / Σ w_i over all processes' examples, however unequal their shares: each process's sum is
    divided by the common Σ w_i and multiplied by the number of processes, because gradients are averaged over them.

    Args:
        batch: this process's images, or their features behind the frozen prefix; their labels; with `right_reasons` or
            `relevance` where the answer must not come from, bool (N, S, S); with `group_rate` their groups, (N,).
        counts: 1; 0 where this process has run out of examples and only keeps the others company.

    Raises:
        ConfigError: such a penalty and no such mask, group DRO and no groups, or one image alone where a batch norm
            needs several.
    """
    set_rate(run.optimizer, run.rate())
    inputs, labels = batch[:2]
    logits = _answers(run, inputs)
    losses = run.objective.losses(logits, labels) * counts
    weights = run.objective.example_weights(labels) * counts
    total = run.processes.sum(weights.sum())
    share = run.processes.size / total.clamp(min=1e-8)  # a batch may have no known label
    if run.groups is None:
        loss = losses.sum() * share
    else:
        shares = run.groups.shares(losses, weights, _groups(batch), run.processes)
        loss = (losses * shares).sum() * run.processes.size
    run.sums.add(losses, weights, run.objective.correct(logits, labels) * counts, counts)
    if run.config.penalised:
        loss = loss + (_penalty(run, inputs, _irrelevant(batch)) * weights).sum() * share
    penalty = l2_penalty(run.network, run.config.l2)
    run.processes.fabric.backward(loss if penalty is None else loss + penalty)
    if run.config.grad_clip is not None:
        torch.nn.utils.clip_grad_norm_(run.learning, run.config.grad_clip, foreach=True)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    if run.average is not None:
        run.average.update()


def _answers(run: Run, inputs: torch.Tensor) -> torch.Tensor:
    try:
        return run.forward(inputs)
    except ValueError as error:
        if len(inputs) > 1 or "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            "a batch holds one film alone, and this network has a batch norm that takes its statistics over films "
            f"({error}). Choose another --batch-size: 2 or more, and one that leaves no remainder of 1."
        ) from error


def _penalty(run: Run, inputs: torch.Tensor, irrelevant: torch.Tensor) -> torch.Tensor:
    """λ times the penalty of each example, (N,)."""
    config = run.config
    if config.right_reasons:
        return config.right_reasons * wrong_reasons(run.forward, inputs, irrelevant, run.classifier)
    between = config.relevance_low, config.relevance_high
    return config.relevance * relevance_outside(run.forward, inputs, irrelevant, run.classifier, between)


def _irrelevant(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    if len(batch) < 3 or batch[2].ndim < 3:
        raise ConfigError(
            "right_reasons and relevance need batches (inputs, labels, mask), True where the answer must not come "
            "from; give the loader masks (Loader(irrelevant=…)), or set both to 0."
        )
    return batch[2]


def _groups(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    if len(batch) < 3 or batch[-1].ndim != 1:
        raise ConfigError(
            "group_rate needs batches that end with each example's group, whole numbers (N,); give the loader groups "
            "(Loader(groups=…)), or set group_rate=0."
        )
    return batch[-1]
