"""Hooks of explanations: a forward pass cut at some layers. Beside `models/activations.py` no other place hooks."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from radiolucent.errors import ExplainError
from radiolucent.models import BlackBox

__all__ = ["differentiable", "forward_beside", "forward_cut", "forward_from", "frozen"]


def differentiable(network: nn.Module) -> nn.Module:
    """The network, if it is one.

    Raises:
        ExplainError: it is a function without layers and gradients.
    """
    if isinstance(network, BlackBox):
        raise ExplainError(
            "a wrapped function has neither layers nor gradients; use a method that only perturbs the image: LIME(), "
            "KernelSHAP(), Occlusion(), RISE() or Sobol()."
        )
    return network


@contextmanager
def frozen(network: nn.Module) -> Generator[None]:
    """No parameter asks for a gradient inside, so that a graph begins only where a leaf is put."""
    learning = [p for p in network.parameters() if p.requires_grad]
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def forward_cut(
    network: nn.Module, inputs: torch.Tensor, names: Sequence[str]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """One forward pass that keeps the outputs of the named layers; `frozen`, it has a graph only behind the first.

    What lies before runs without one, so that a frozen backbone, an in-place activation or a large trunk do not matter.
    A layer called several times counts with its last call.

    Returns the network's output and the outputs kept; each of these can be differentiated by.
    """
    kept: dict[str, torch.Tensor] = {}
    differentiable(network)

    def keeper(name: str) -> Any:
        def keep(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
            kept[name] = output if output.requires_grad else output.detach().requires_grad_()
            return kept[name].clone()  # what follows may write in place (ReLU)

        return keep

    handles = [network.get_submodule(n).register_forward_hook(keeper(n)) for n in names]
    try:
        with torch.enable_grad():
            out = network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return (out[0] if isinstance(out, tuple) else out), kept


def forward_from(network: nn.Module, name: str, inputs: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The network's output where the named layer gives `value` instead of what it computes, at each of its calls."""

    def instead(_: nn.Module, __: Any, ___: torch.Tensor) -> torch.Tensor:
        return value.clone()  # what follows may write in place

    handle = network.get_submodule(name).register_forward_hook(instead)
    try:
        out = network(inputs)
    finally:
        handle.remove()
    return out[0] if isinstance(out, tuple) else out


def forward_beside(network: nn.Module, inputs: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's output, and what the named layer gave at its last call."""
    kept: list[torch.Tensor] = []
    handle = network.get_submodule(name).register_forward_hook(lambda _, __, output: kept.append(output.clone()))
    try:
        out = network(inputs)
    finally:
        handle.remove()
    return (out[0] if isinstance(out, tuple) else out), kept[-1]
