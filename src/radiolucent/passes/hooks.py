"""Hooks of explanations: a forward pass cut at some layers. Beside `models/activations.py` no other place hooks."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from radiolucent.errors import ExplainError
from radiolucent.models import black_box
from radiolucent.models.once import look_again
from radiolucent.models.opaque import opaque
from radiolucent.passes.places import first_of, with_first

__all__ = [
    "differentiable",
    "forward_beside",
    "forward_cut",
    "forward_from",
    "frozen",
    "gradients",
    "gradients_told",
    "not_called",
]

SCALES = (1024.0, 32.0, 1.0)
"""Multiples of a score whose gradient is taken in float16: the first under which it is finite."""

PERTURB = "use a method that only perturbs the image: LIME(), KernelSHAP(), Occlusion(), RISE() or Sobol()."


def differentiable(network: nn.Module) -> nn.Module:
    """The network, if its layers and gradients can be looked at.

    Raises:
        ExplainError: it is a function, or a module that has been scripted, traced, exported, compiled or quantised.
    """
    if (box := black_box(network)) is not None:
        raise ExplainError(f"{box.kind} has neither layers nor gradients; {PERTURB}")
    if why := opaque(network):
        raise ExplainError(
            f"the network is {why}: what happens inside cannot be seen, and neither layers nor rules apply to it. "
            f"Give the plain module it was made of, or {PERTURB}"
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


def gradients(
    network: nn.Module, score: torch.Tensor, values: Sequence[torch.Tensor]
) -> tuple[torch.Tensor | None, ...]:
    """∂score/∂value of each value, None where it hangs on none; the graph is kept.

    In float16 a gradient that is shared by a million places is rounded to zero: it is taken of a multiple of the score,
    and divided again.
    """
    half = any(p.dtype == torch.float16 for p in network.parameters())

    def of(score: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return torch.autograd.grad(score, values, retain_graph=True, allow_unused=True)

    found: tuple[torch.Tensor | None, ...] = ()
    for scale in SCALES if half else ():
        found = tuple(None if g is None else g.float() / scale for g in of(score * scale))
        if all(g is None or bool(g.isfinite().all()) for g in found):
            break
    return found or of(score)


@contextmanager
def gradients_told() -> Generator[None]:
    """What torch raises on the way back becomes an error of ours.

    Raises:
        ExplainError: no gradient can be had.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ExplainError(
            f"no gradient comes back through this network ({str(error).splitlines()[0][:200]}); {PERTURB}"
        ) from error


def forward_cut(
    network: nn.Module, inputs: torch.Tensor, names: Sequence[str]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """One forward pass that keeps the outputs of the named layers; `frozen`, it has a graph only behind the first.

    The network is `differentiable`.

    What lies before runs without one, so that a frozen backbone, an in-place activation or a large trunk do not matter.
    A layer called several times counts with its last call.

    Returns the network's output and the outputs kept; each of these can be differentiated by.
    """
    kept: dict[str, torch.Tensor] = {}

    def keeper(name: str) -> Any:
        def keep(_: nn.Module, __: Any, output: Any) -> Any:
            value = first_of(output)
            if value is None:
                return None
            kept[name] = value if value.requires_grad else value.detach().requires_grad_()
            return with_first(output, kept[name].clone())  # what follows may write in place

        return keep

    handles = [network.get_submodule(n).register_forward_hook(keeper(n)) for n in names]
    try:
        with torch.enable_grad():
            out = network(inputs)
    finally:
        look_again()
        for handle in handles:
            handle.remove()
    if uncalled := [n for n in names if n not in kept]:
        raise not_called(uncalled)
    return (out[0] if isinstance(out, tuple) else out), kept


def not_called(names: Sequence[str]) -> ExplainError:
    """Layers that were not called in a pass, as an error."""
    return ExplainError(
        f"the network answered without calling {', '.join(names)}: it hands out answers that it has kept, or takes "
        f"another way for this image. Let it compute each answer anew, or {PERTURB}"
    )


def forward_from(network: nn.Module, name: str, calls: int, inputs: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The network's output where the named layer gives `value` instead of what it computes, at the last of its calls.

    Args:
        calls: how often the layer is called in a pass.

    Raises:
        ExplainError: it was called another number of times.
    """
    made = 0

    def instead(_: nn.Module, __: Any, output: Any) -> Any:
        nonlocal made
        made += 1
        return with_first(output, value.clone()) if made == calls else None  # what follows may write in place

    handle = network.get_submodule(name).register_forward_hook(instead)
    try:
        out = network(inputs)
    finally:
        look_again()
        handle.remove()
    if made != calls:
        raise ExplainError(
            f"layer {name} was called {made} times where it had been called {calls} times: which call is the last "
            "depends on the image. Name a layer that is called once with layer=."
        )
    return out[0] if isinstance(out, tuple) else out


def forward_beside(network: nn.Module, inputs: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's output, and what the named layer gave at its last call."""
    kept: list[torch.Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        value = first_of(output)
        kept[:] = [] if value is None else [value.clone()]

    handle = network.get_submodule(name).register_forward_hook(keep)
    try:
        out = network(inputs)
    finally:
        look_again()
        handle.remove()
    return (out[0] if isinstance(out, tuple) else out), kept[-1]
