"""What a film looks like where nothing is said: the reference that attributions are measured from."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torchvision.transforms.v2.functional import gaussian_blur_image

from radiolucent.errors import ConfigError
from radiolucent.models import Classifier
from radiolucent.models.per_network import remember
from radiolucent.passes.forward import Pass
from radiolucent.passes.goal import Goal

__all__ = ["Baseline", "check_baseline", "completeness", "reference", "reference_logits"]

Baseline = str | float
"""A name ("black", "white", "grey", "mean", "blur", "zero"), or a grey level in [0, 1]."""

LEVELS = {"black": 0.0, "grey": 0.5, "white": 1.0}


def check_baseline(baseline: Baseline) -> None:
    """Refuse what `reference` does not know.

    Raises:
        ConfigError: no such baseline.
    """
    if isinstance(baseline, str) and baseline in (*LEVELS, "mean", "blur", "zero"):
        return
    if not isinstance(baseline, str) and 0 <= baseline <= 1:
        return
    raise ConfigError(
        f"baseline {baseline!r}; expected {', '.join(LEVELS)}, mean, blur, zero, or a grey level in [0, 1]."
    )


def reference(baseline: Baseline, classifier: Classifier, inputs: torch.Tensor) -> torch.Tensor:
    """The reference inputs (N, C, H, W).

    "black", "grey" (0.5), "white" and a number are one grey level; "mean" is each film's mean grey level; "blur" each
    film blurred (Gaussian, σ = a twelfth of its side), which keeps exposure and outline and takes detail away; "zero"
    is zero in the network's own normalised units.
    """
    check_baseline(baseline)
    if baseline == "zero":
        return torch.zeros_like(inputs)
    if baseline in ("mean", "blur"):
        grey = classifier.preprocess.denormalise(inputs.float())
        if baseline == "mean":
            new = grey.mean((1, 2), keepdim=True).expand_as(grey)
        else:
            sigma = min(grey.shape[1:]) / 12
            size = min(2 * round(3 * sigma) + 1, 2 * min(grey.shape[1:]) - 1)
            new = gaussian_blur_image(grey[:, None], [size, size], [sigma, sigma])[:, 0]
    else:
        level = LEVELS[baseline] if isinstance(baseline, str) else baseline
        new = inputs.new_full((len(inputs), *inputs.shape[2:]), level, dtype=torch.float32)
    return classifier.preprocess.normalise(new).to(inputs)


def reference_logits(baseline: Baseline, goal: Goal, start: torch.Tensor) -> torch.Tensor:
    """Logits (N, K) of the references (N, C, H, W), by the goal's classifier.

    Where they are all the same one image is asked, and on a CPU the answer is remembered with the network.
    """
    classifier = goal.classifier
    if baseline in ("mean", "blur"):
        return Pass(classifier, start).logits
    if classifier.device.type != "cpu":  # one pass costs less than to see that the weights are the same
        return Pass(classifier, start[:1]).logits.expand(len(start), -1)
    levels = tuple(start[0, :, 0, 0].tolist())  # the same at every place
    valid = (tuple(start.shape[1:]), str(start.dtype), goal.session.weights_of(classifier.network))
    asked = remember(classifier.network, ("reference", levels), valid, lambda: Pass(classifier, start[:1]).logits)
    return asked.expand(len(start), -1)


def completeness(
    maps: torch.Tensor, goal: Goal, logits: torch.Tensor, start: torch.Tensor
) -> Sequence[Mapping[str, Any]]:
    """For each image how far the map's sum is from what it should be: score minus the reference's score.

    Args:
        maps: (N, H, W). logits, start: (N, K) of the films and of their references.

    Returns "score", "reference_score", "completeness_error" = Σ map − (score − reference_score), and the same as a
    share of the difference, "completeness_relative" (None where there is no difference).
    """
    found: list[dict[str, Any]] = []
    pairs = zip(maps.double().sum((1, 2)).tolist(), goal.of(logits).tolist(), goal.of(start).tolist(), strict=True)
    for total, score, before in pairs:
        error, change = total - (score - before), abs(score - before)
        found.append(
            {
                "score": score,
                "reference_score": before,
                "completeness_error": error,
                "completeness_relative": abs(error) / change if change > 1e-12 else None,
            }
        )
    return found
