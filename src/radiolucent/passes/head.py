"""The network behind a layer as a function of its own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from radiolucent.models import Classifier
from radiolucent.models.per_network import remember, weights_of
from radiolucent.models.takes import fitting
from radiolucent.passes.fast.trace import operations
from radiolucent.passes.forward import Cut
from radiolucent.passes.hooks import forward_from

__all__ = ["Head", "head_behind"]

Head = Callable[[torch.Tensor], torch.Tensor]
"""Values (n, …) of the layer to logits (n, K), float32 on the CPU; n at most the batch it was made for."""


def head_behind(classifier: Classifier, image: torch.Tensor, cut: Cut, batch: int) -> tuple[Head, str]:
    """What the network computes behind a cut from other values of its layer, and how ("head" or "whole passes").

    The layers before the cut are traced away (see `radiolucent.passes.fast.trace`), but for shortcuts past it. Where
    that fails, or does not give the cut's own logits, whole passes are made in which the layer's output is replaced.
    Remembered for the network's next image.
    """
    network, name = classifier.network, cut.layer.name
    value = cut.value.detach()
    valid = (name, tuple(image.shape[1:]), batch, weights_of(network))
    inputs = fitting(network, image.expand(batch, -1, -1, -1).to(classifier.device, classifier.dtype))

    whole = partial(forward_from, network, name, cut.layer.calls)
    traced = remember(network, "head", valid, lambda: _traced(whole, inputs, value, cut.logits))
    run: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = traced or whole

    def head(values: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # and no inference mode: a module may keep what it makes
            full = torch.cat([values, values[-1:].expand(batch - len(values), *values.shape[1:])])
            return run(inputs, full)[: len(values)].float().cpu()

    return head, "head" if traced else "whole passes"


def _traced(whole: Callable[..., torch.Tensor], inputs: torch.Tensor, value: torch.Tensor, logits: torch.Tensor) -> Any:
    several = value.expand(len(inputs), *value.shape[1:]).contiguous()
    try:
        made = operations(whole, inputs, several)
        with torch.inference_mode():
            again = made(inputs, several)[:1].float().cpu()
    except Exception:  # tracing fails in many ways
        return None
    expected = logits.detach()
    tolerance = max(1e-4, 4 * torch.finfo(value.dtype).eps)
    return made if float((again - expected).abs().max()) <= tolerance * (float(expected.abs().max()) + 1e-6) else None
