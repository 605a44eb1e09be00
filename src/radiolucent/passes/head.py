"""The network behind a layer as a function of its own."""

from collections.abc import Callable

import torch

from radiolucent.errors import ExplainError
from radiolucent.models import Classifier
from radiolucent.models.takes import fitting
from radiolucent.passes.forward import Cut
from radiolucent.passes.hooks import forward_from

__all__ = ["Head", "head_behind"]

Head = Callable[[torch.Tensor], torch.Tensor]
"""Values (n, …) of the layer to logits (n, K), float32 on the CPU; n at most the batch it was made for."""


def head_behind(classifier: Classifier, image: torch.Tensor, cut: Cut, batch: int) -> tuple[Head, str]:
    """What the network computes behind a cut from other values of its layer, and how ("head" or "whole passes").

    Only the operations that the logits need are run, if the session takes that shortcut and they give the cut's own
    logits; otherwise whole passes are made in which the layer's output is replaced.
    """
    network, name = classifier.network, cut.layer.name
    value = cut.value.detach()
    valid = (name, tuple(image.shape[1:]), batch)
    inputs = fitting(network, image.expand(batch, -1, -1, -1).to(classifier.device, classifier.dtype))

    def whole(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return forward_from(network, name, cut.layer.calls, x.clone(), value)  # the network may write in place

    several = value.expand(batch, *value.shape[1:]).contiguous()
    tolerance = max(1e-4, 4 * torch.finfo(value.dtype).eps)
    traced = cut.session.traced(network, valid, whole, (inputs, several), cut.logits.detach(), tolerance)
    run: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = traced or whole

    def head(values: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # and no inference mode: a module may keep what it makes
            full = torch.cat([values, values[-1:].expand(batch - len(values), *values.shape[1:])])
            return run(inputs, full)[: len(values)].float().cpu()

    if bool((head(value) == head(torch.zeros_like(value))).all()) and bool(cut.gradient(cut.logits.sum(1)).any()):
        raise ExplainError(
            f"what {name} gives is not what the network goes on with (it gives several things that come of the same "
            "numbers): replacing it changes nothing. Name a layer before it with layer=, or use GradCAM()."
        )
    return head, "head" if traced else "whole passes"
