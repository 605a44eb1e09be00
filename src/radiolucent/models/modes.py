"""The modes a network is asked in are ours, whatever is in force around the call."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

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
    """Eval mode inside; afterwards each module's mode as before."""
    # A frozen script has no mode at all.
    modes = [(m, True) for m in network.modules() if getattr(m, "training", False)]
    try:
        if modes:
            _evaluate(network)
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _evaluate(network: nn.Module) -> None:
    try:
        network.eval()
    except NotImplementedError:  # an exported program has one mode only
        for module in network.modules():
            module.training = False
