"""Answers that are said to be logits and are shares of one: probabilities, or percentages."""

import torch

from radiolucent.errors import ModelError

__all__ = ["ARE_PROBABILITIES", "refuse_shares"]

ARE_PROBABILITIES = (
    "it ends in a softmax or sigmoid: it gives probabilities, of which another softmax would make nonsense. Say "
    'output="probabilities" (at the command line --model-options output=probabilities).'
)


def refuse_shares(logits: torch.Tensor) -> None:
    """Notice answers (N, K) that sum to 1 or 100 over the classes.

    Raises:
        ModelError: they do.
    """
    if logits.shape[1] > 1 and _sum_to_one(logits):
        raise ModelError(ARE_PROBABILITIES)
    if logits.shape[1] > 1 and _sum_to_one(logits / 100):
        raise ModelError(
            "what it gives for a film sums to 100: these are percentages, of which a softmax would make nonsense. Wrap "
            'what divides them by 100, and say output="probabilities".'
        )


def _sum_to_one(answers: torch.Tensor) -> bool:
    """Whether answers (N, K) are what a softmax gives."""
    return bool((answers >= 0).all()) and float((answers.sum(1) - 1).abs().max()) < 1e-4
