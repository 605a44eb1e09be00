"""Leaving a network, and the world's randomness, as they were."""

import os
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch

from radiolucent.models.modes import evaluating, own_modes

__all__ = ["alone", "as_it_was", "untouched"]

BACKWARD = ("_backward_hooks", "_backward_pre_hooks")
HOOKS = ("_forward_hooks", "_forward_pre_hooks", *BACKWARD)
NO_TENSORS = frozenset(
    (bool, int, float, str, type(None), dict, OrderedDict, tuple, list, set, FunctionType, MethodType)
)
"""Of most of a module's attributes; what they hold is not looked at."""

_turn = threading.RLock()


def _own_turn() -> None:
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, where no process forks
    os.register_at_fork(after_in_child=_own_turn)  # the thread that holds the turn stays with the parent


@contextmanager
def alone() -> Generator[None]:
    """One thread at a time: hooks, modes and random state are everybody's, and each would read the others' passes."""
    with _turn:
        yield


@contextmanager
def untouched(network: torch.nn.Module) -> Generator[None]:
    """Eval mode and modes of our own inside; afterwards all as before: mode, gradients, requires_grad, hooks, buffers,
    and the global random state.

    Backward hooks that others left on the network do not run inside: an explanation is of what the network computes,
    and not of what a hook makes of its gradients. What was made in inference mode is replaced by copies inside. Random
    state is torch's on the CPU and on the accelerator (if one is in use), numpy's and Python's.
    """
    modules = list(network.modules())
    swapped = _without_inference_tensors(modules)
    plain = [vars(m) for m in modules if not isinstance(m, torch.jit.ScriptModule)]
    hooks: list[tuple[dict[int, Any], dict[int, Any]]] = [(own[n], dict(own[n])) for own in plain for n in HOOKS]
    parameters = [(p, p.requires_grad, p.grad) for m in modules for p in m.parameters(recurse=False)]
    try:
        for own in plain:
            for name in BACKWARD:
                own[name].clear()
        with own_modes(), evaluating(network), as_it_was(network):
            yield
    finally:
        for now, before in hooks:
            if now or before:
                now.clear()
                now.update(before)
        for parameter, requires, grad in parameters:
            if parameter.requires_grad != requires:
                parameter.requires_grad_(requires)
            if parameter.grad is not grad:
                parameter.grad = grad
        for store, name, before in swapped:
            store[name] = before


@contextmanager
def as_it_was(network: torch.nn.Module) -> Generator[None]:
    """Afterwards the network's buffers and the global random state are as before."""
    buffers, restore_random = _buffers_of(network), _random_state()
    try:
        yield
    finally:
        for store, name, before, values in buffers:
            if not _same(values, before):
                with torch.no_grad():
                    before.copy_(values)
            store[name] = before
        restore_random()


def _without_inference_tensors(modules: Sequence[torch.nn.Module]) -> list[tuple[dict[str, Any], str, torch.Tensor]]:
    """Put copies in the place of what was made in inference mode, which no graph takes; returns what was there."""
    found: list[tuple[dict[str, Any], str, torch.Tensor]] = []
    with torch.inference_mode(False):
        for module in modules:
            if isinstance(module, torch.jit.ScriptModule):
                continue
            own = vars(module)
            stores: list[dict[str, Any]] = [own["_parameters"], own["_buffers"]]
            for store in stores if NO_TENSORS.issuperset(map(type, own.values())) else [*stores, own]:
                made = [(n, v) for n, v in store.items() if isinstance(v, torch.Tensor) and v.is_inference()]
                for name, value in made:
                    copy = value.detach().clone()
                    if isinstance(value, torch.nn.Parameter):
                        copy = torch.nn.Parameter(copy, value.requires_grad)
                    store[name] = copy
                    found.append((store, name, value))
    return found


def _same(values: torch.Tensor, before: torch.Tensor) -> bool:
    if before.layout != torch.strided:
        values, before = values.to_dense(), before.to_dense()
    if torch.equal(values, before):
        return True
    return before.is_floating_point() and torch.equal(values.nan_to_num(), before.nan_to_num())


def _buffers_of(
    network: torch.nn.Module,
) -> list[tuple[dict[str, torch.Tensor | None], str, torch.Tensor, torch.Tensor]]:
    """Every buffer that has values: where it is held, its name, itself, and a copy of what it says."""
    found: list[tuple[dict[str, torch.Tensor | None], str, torch.Tensor, torch.Tensor]] = []
    for module in network.modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        for name, value in vars(module)["_buffers"].items():
            if value is not None and not torch.nn.parameter.is_lazy(value):
                found.append((vars(module)["_buffers"], name, value, value.detach().clone()))
    return found


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
