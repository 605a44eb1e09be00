"""Leaving a network, and the world's randomness, as they were."""

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["untouched"]


@contextmanager
def untouched(network: torch.nn.Module) -> Generator[None]:
    """Eval mode inside; afterwards mode, gradients, requires_grad, hooks and global random state as before.

    Random state is torch's on the CPU and on the accelerator (if one is in use), numpy's and Python's.
    """
    modules = list(network.modules())
    modes = [m.training for m in modules]
    hook_names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    hooks = [{name: dict(getattr(m, name)) for name in hook_names} for m in modules]
    parameters = [(p, p.requires_grad, p.grad) for p in network.parameters()]
    restore_random = _random_state()
    network.eval()
    try:
        yield
    finally:
        for module, mode, before in zip(modules, modes, hooks, strict=True):
            module.training = mode
            for name, kept in before.items():
                now = getattr(module, name)
                for key in [k for k in now if k not in kept]:
                    del now[key]
        for parameter, requires, grad in parameters:
            parameter.requires_grad_(requires)
            parameter.grad = grad
        restore_random()


def _random_state() -> Callable[[], None]:
    cpu, python = torch.random.get_rng_state(), random.getstate()
    # The legacy global generator is the one that a method or a library may draw from without being asked.
    legacy: Any = np.random.get_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def restore() -> None:
        torch.random.set_rng_state(cpu)
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)

    return restore
