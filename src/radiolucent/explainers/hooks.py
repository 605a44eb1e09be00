"""The only place that hooks into a network: choosing, capturing and cutting at a layer."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from radiolucent.errors import ExplainError

__all__ = ["Cut", "capture", "cut_at", "last_linear", "target_layer"]


def _tensor(output: Any) -> torch.Tensor | None:
    return output if isinstance(output, torch.Tensor) else None


def target_layer(network: nn.Module, inputs: torch.Tensor, name: str | None = None) -> tuple[str, nn.Module]:
    """The layer whose feature maps are weighed: the last that gives (N, K, h, w) with h·w > 1, in order of execution.

    Args:
        inputs: one image is enough (1, C, H, W).
        name: a layer by its dotted name instead.

    Raises:
        ExplainError: no such layer, or one without feature maps; candidates are listed.
    """
    seen: list[tuple[str, nn.Module]] = []
    names = {module: n for n, module in network.named_modules()}

    def note(module: nn.Module, _: Any, output: Any) -> None:
        tensor = _tensor(output)
        if tensor is not None and tensor.ndim == 4 and tensor.shape[2] * tensor.shape[3] > 1:
            seen.append((names[module], module))

    handles = [m.register_forward_hook(note) for m in network.modules() if m is not network]
    try:
        with torch.no_grad():
            network(inputs[:1])
    finally:
        for handle in handles:
            handle.remove()
    if name is not None:
        found = next(((n, m) for n, m in seen if n == name), None)
        if found is None:
            raise ExplainError(
                f"layer {name!r} gives no feature maps (N, K, h, w); candidates, the deepest last: "
                f"{', '.join(dict.fromkeys(n for n, _ in seen[-12:])) or 'none'}."
            )
        return found
    if not seen:
        raise ExplainError("the network has no layer with feature maps (N, K, h, w); use a perturbation method: LIME.")
    return seen[-1]


def last_linear(network: nn.Module) -> nn.Linear | None:
    """The last dense layer in order of definition: the head of a network that ends in pooling and one dense layer."""
    found = [m for m in network.modules() if isinstance(m, nn.Linear)]
    return found[-1] if found else None


@dataclass(frozen=True, eq=False)
class Cut:
    """A forward pass cut at a layer: its feature maps (N, K, h, w) and the logits (N, C)."""

    features: torch.Tensor
    logits: torch.Tensor


def _logits(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def capture(network: nn.Module, layer: nn.Module, inputs: torch.Tensor) -> Cut:
    """One forward pass without gradients, keeping the layer's output."""
    kept: list[torch.Tensor] = []

    def keep(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append(output)
        # What follows may write in place (ReLU): give it a copy. It is small beside the trunk's maps.
        return output.clone()

    handle = layer.register_forward_hook(keep)
    try:
        with torch.no_grad():
            logits = _logits(network(inputs))
    finally:
        handle.remove()
    return Cut(kept[-1], logits)


def cut_at(network: nn.Module, layer: nn.Module, inputs: torch.Tensor) -> Cut:
    """One forward pass that records gradients only behind the layer: the features are a leaf that requires them.

    The trunk runs without a graph, so that a frozen backbone, an in-place activation or a large trunk do not matter.
    """
    leaf: list[torch.Tensor] = []

    def cut(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        torch.set_grad_enabled(True)
        leaf.append(output.detach().requires_grad_())
        return leaf[-1].clone()  # what follows may write in place

    handle = layer.register_forward_hook(cut)
    requires = [(p, p.requires_grad) for p in network.parameters()]
    before = torch.is_grad_enabled()
    try:
        for parameter, _ in requires:
            parameter.requires_grad_(False)
        torch.set_grad_enabled(False)
        logits = _logits(network(inputs))
    finally:
        torch.set_grad_enabled(before)
        handle.remove()
        for parameter, value in requires:
            parameter.requires_grad_(value)
    return Cut(leaf[-1], logits)
