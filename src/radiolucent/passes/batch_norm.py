"""Batch and instance norms whose gradients are right for every type and layout."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["AffineNorms", "right"]


class AffineNorms(TorchFunctionMode):
    """Inside `with`, a batch norm in evaluation mode is computed as the affine function that it is.

    x · g + (β − μ g) with g = γ/√(σ² + ε). For some layouts of the gradient torch's own is wrong (of one image whose
    gradient came from tokens, say), and on a CPU takes up to four times as long. Half precision is computed in float32,
    as torch does. Left to torch are float32 on other devices, passes without a gradient, norms that take their
    statistics from the batch, instance norms, and norms whose weights ask for a gradient; these get their gradient in
    torch's default layout, for which it is right.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return right(func)(*args, **(kwargs or {}))


def right(func: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, or for a norm what gives the same with a gradient that is right."""
    return _RIGHT.get(func, func)


def _batch_norm(*args: Any, **kwargs: Any) -> torch.Tensor:
    found = _affine(*args, **kwargs)
    return _plainly_back(F.batch_norm(*args, **kwargs)) if found is None else found


def _instance_norm(*args: Any, **kwargs: Any) -> torch.Tensor:
    return _plainly_back(F.instance_norm(*args, **kwargs))


def _plainly_back(value: torch.Tensor) -> torch.Tensor:
    """The value, whose gradient is handed on in torch's default layout."""

    def plain(gradient: torch.Tensor) -> torch.Tensor:
        return gradient.clone(memory_format=torch.contiguous_format)

    if value.requires_grad:
        value.register_hook(plain)
    return value


_RIGHT: dict[Callable[..., Any], Callable[..., Any]] = {F.batch_norm: _batch_norm, F.instance_norm: _instance_norm}


def _affine(
    input: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor | None:
    given = (input, running_mean, running_var, weight, bias)
    if training or running_mean is None or running_var is None or not (input.requires_grad and torch.is_grad_enabled()):
        return None
    if any(t is not None and not t.is_floating_point() for t in given):
        return None
    if input.dtype == torch.float32 and input.device.type != "cpu":
        return None
    if any(t is not None and t.requires_grad for t in given[1:]):
        return None
    if input.ndim < 2 or input.shape[1] != len(running_mean):
        return None  # torch says what is wrong
    wide = torch.promote_types(input.dtype, torch.float32)
    gain = torch.rsqrt(running_var.to(wide) + eps)
    gain = gain if weight is None else gain * weight.to(wide)
    offset = torch.zeros_like(gain) if bias is None else bias.to(wide)
    shift = torch.addcmul(offset, running_mean.to(wide), gain, value=-1)
    shape = (1, -1, *[1] * (input.ndim - 2))
    return torch.addcmul(shift.view(shape), input.to(wide), gain.view(shape)).to(input.dtype)
