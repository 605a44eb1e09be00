"""What a film looks like where nothing is said: the reference that attributions are measured from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ConfigError, ExplainError
from radiolucent.models import Classifier
from radiolucent.models.per_network import remember
from radiolucent.passes.forward import Pass
from radiolucent.passes.goal import Goal
from radiolucent.types import Radiograph

__all__ = ["Baseline", "check_baseline", "completeness", "reference", "reference_logits", "same_for_all"]

Baseline = str | float | Radiograph | torch.Tensor | NDArray[Any]
"""A name ("black", "white", "grey", "mean", "blur", "zero"), a grey level in [0, 1], a film, or an input of the
network's own (C, H, W), normalised as the network takes it; or one for each film (N, C, H, W)."""

LEVELS = {"black": 0.0, "grey": 0.5, "white": 1.0}


def check_baseline(baseline: Baseline) -> None:
    """Refuse what `reference` does not know.

    Raises:
        ConfigError: no such baseline.
    """
    if isinstance(baseline, str) and baseline in (*LEVELS, "mean", "blur", "zero"):
        return
    if isinstance(baseline, Radiograph):
        return
    if isinstance(baseline, torch.Tensor | np.ndarray):
        if baseline.ndim in (3, 4) and bool(torch.isfinite(torch.as_tensor(baseline)).all()):
            return
        raise ConfigError(
            f"baseline of shape {tuple(baseline.shape)}; expected finite numbers (C, H, W) or (N, C, H, W)."
        )
    if isinstance(baseline, float | int) and 0 <= baseline <= 1:
        return
    raise ConfigError(
        f"baseline {baseline!r}; expected {', '.join(LEVELS)}, mean, blur, zero, a grey level in [0, 1], a film, or a "
        "tensor in the network's own units."
    )


def same_for_all(baseline: Baseline) -> bool:
    """Whether every film has the same reference."""
    if isinstance(baseline, torch.Tensor | np.ndarray):
        return baseline.ndim == 3 or len(baseline) == 1
    return not isinstance(baseline, str) or baseline not in ("mean", "blur")


def reference(baseline: Baseline, classifier: Classifier, inputs: torch.Tensor) -> torch.Tensor:
    """The reference inputs (N, C, H, W).

    "black", "grey" (0.5), "white" and a number are one grey level; "mean" is each film's mean grey level; "blur" each
    film blurred (Gaussian, σ = a twelfth of its side), which keeps exposure and outline and takes detail away; "zero"
    is zero in the network's own normalised units. A film is preprocessed as every film; a tensor is taken as it is.

    Raises:
        ConfigError: no such baseline, or a tensor of another shape than the inputs'.
    """
    from torchvision.transforms.v2.functional import gaussian_blur_image

    check_baseline(baseline)
    if isinstance(baseline, Radiograph):
        return classifier.preprocess(baseline).to(inputs).expand_as(inputs)
    if isinstance(baseline, torch.Tensor | np.ndarray):
        return _given(torch.as_tensor(baseline), inputs)
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


def _given(baseline: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """A reference of the user's, for each of the inputs."""
    shape = tuple(baseline.shape[-3:])
    if shape != tuple(inputs.shape[1:]) or (baseline.ndim == 4 and len(baseline) not in (1, len(inputs))):
        raise ConfigError(
            f"baseline of shape {tuple(baseline.shape)} for inputs {tuple(inputs.shape)}; expected "
            f"{tuple(inputs.shape[1:])}, or one for each of the films explained together."
        )
    return baseline.detach().to(inputs).expand_as(inputs)


def reference_logits(baseline: Baseline, goal: Goal, start: torch.Tensor) -> torch.Tensor:
    """Logits (N, K) of the references (N, C, H, W), by the goal's classifier.

    Where they are all the same one image is asked, and on a CPU the answer is remembered with the network.
    """
    classifier = goal.classifier
    if not same_for_all(baseline):
        return Pass(classifier, start).logits
    if isinstance(baseline, Radiograph | torch.Tensor | np.ndarray):
        return Pass(classifier, start[:1]).logits.expand(len(start), -1)
    if classifier.device.type != "cpu":  # one pass costs less than to see that the weights are the same
        return Pass(classifier, start[:1]).logits.expand(len(start), -1)
    levels = tuple(start[0, :, 0, 0].tolist())  # the same at every place
    valid = (tuple(start.shape[1:]), str(start.dtype), goal.session.state_of(classifier.network))
    asked = remember(classifier.network, ("reference", levels), valid, lambda: Pass(classifier, start[:1]).logits)
    return asked.expand(len(start), -1)


def completeness(
    maps: torch.Tensor, goal: Goal, logits: torch.Tensor, *starts: torch.Tensor
) -> Sequence[Mapping[str, Any]]:
    """For each image how far the map's sum is from what it should be: score minus the reference's score.

    Args:
        maps: (N, H, W). logits: (N, K) of the films. starts: (N, K) of their references, whose mean score counts.

    Raises:
        ExplainError: the network's answer to a reference is not finite.

    Returns "score", "reference_score", "completeness_error" = Σ map − (score − reference_score), and the same as a
    share of the difference, "completeness_relative" (None where there is no difference).
    """
    if not all(bool(torch.isfinite(start).all()) for start in starts):
        raise ExplainError(
            "the network's answer to the reference image is not finite: it divides by something that a film of one "
            "grey level has none of, such as its own deviation. Nothing can be measured from there; give another "
            'reference: baseline="blur", or a film.'
        )
    found: list[dict[str, Any]] = []
    begin = torch.stack([goal.of(start) for start in starts]).mean(0)
    pairs = zip(maps.double().sum((1, 2)).tolist(), goal.of(logits).tolist(), begin.tolist(), strict=True)
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
