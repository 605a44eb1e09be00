"""The modes a network is asked in are ours, whatever is in force around the call."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import fx, nn

__all__ = ["evaluating", "own_modes"]


@contextmanager
def own_modes() -> Generator[None]:
    """No inference mode, no autocast, and gradients recorded, as if nothing had been said outside."""
    with (
        torch.inference_mode(False),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        torch.enable_grad(),
    ):
        yield


@contextmanager
def evaluating(network: nn.Module) -> Generator[None]:
    """Eval mode inside; afterwards each module's mode as before, also where a module changes modes as it runs.

    A module with a `train()` of its own may do more than set the mode: LoRA layers merge their weights for eval mode.
    It is told of its mode again afterwards, and its own parameters are as they were, to the bit.
    """
    modes = [(m, m.training) for m in network.modules() if hasattr(m, "training")]  # a frozen script has none
    moved = any(mode for _, mode in modes)
    own = [(m, mode, _parameters_of(m)) for m, mode in modes if mode and _is_told(m)] if moved else []
    try:
        if moved:
            _evaluate(network)
        yield
    finally:
        for module, mode, kept in own:
            module.train(mode)
            for parameter, before in kept:
                if not torch.equal(parameter, before):
                    parameter.data.copy_(before)
        for module, mode in modes:
            if module.training != mode:
                module.training = mode


def _is_told(module: nn.Module) -> bool:
    """Whether a change of mode does something of the module's own."""
    return type(module).train is not nn.Module.train and not isinstance(module, torch.jit.ScriptModule | fx.GraphModule)


def _parameters_of(module: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each parameter that the module itself holds, and a copy of it."""
    return [(p, p.detach().clone()) for p in module.parameters(recurse=False)]


def _evaluate(network: nn.Module) -> None:
    try:
        network.eval()
    except NotImplementedError:  # an exported program has one mode only
        for module in network.modules():
            module.training = False
