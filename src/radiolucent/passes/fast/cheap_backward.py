"""Batch norms and clipped ReLUs that go back faster."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["Light"]


class Light(TorchFunctionMode):
    """Inside `with`, two functions give what they give, at less cost on a CPU where there is a gradient to be taken.

    A batch norm in evaluation is x · γ/√(σ² + ε) + (β − μ γ/√(σ² + ε)), which it is: torch takes up to four times as
    long for the gradient of its own. Forward torch computes it in this way too, so that no ReLU falls on its other side
    (the same to the bit on the x86 processors tried); backward the numbers are the same up to rounding.

    A clipped ReLU (ReLU6, Hardtanh) in place keeps what it gives instead of a copy of what it was given: what lies
    strictly between the limits is the same of both, and so is the gradient, to the bit. Where a network then writes
    into it, its gradient would be lost: see `overwritten` (writes that torch does not count, as through `.data`, are
    not seen). The gradient between a norm and a clipped ReLU is written into: a hook of the network's own that keeps
    it has to keep a copy.

    In other types than float32 norms are computed so for their gradient's sake, on every device: torch's own is wrong
    for some strides of a float64 gradient. Norms that learn, and passes without a gradient, are left alone; so are
    float32 on other devices, and clipped ReLUs of other types.

    Args:
        clips: whether clipped ReLUs are among them.
    """

    def __init__(self, *, clips: bool = True) -> None:
        super().__init__()
        self._clips = clips
        self._clipped: list[tuple[torch.Tensor, int]] = []

    @property
    def overwritten(self) -> bool:
        """Whether something was written into what a clipped ReLU gave: there is then no gradient through it."""
        return any(value._version != version for value, version in self._clipped)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm and (found := _affine(*args, **kwargs)) is not None:
            return found
        if self._clips and func in LIMITS and (limits := _limits(func, *args, **kwargs)) is not None:
            value = cast(torch.Tensor, _Clip.apply(*limits))
            self._clipped.append((value, value._version))
            return value
        return func(*args, **kwargs)


LIMITS = {F.relu6: (0.0, 6.0), F.hardtanh: (-1.0, 1.0)}
"""Clipped ReLUs, and their limits if none are given."""


def _limits(
    func: Any, input: torch.Tensor, *given: Any, inplace: bool = False, **named: float
) -> tuple[torch.Tensor, float, float] | None:
    """A tensor that is clipped in place, and the limits; None for anything else."""
    most = 0 if func is F.relu6 else 2
    inplace = bool(given[most]) if len(given) > most else inplace
    low, high = (*given[:most], *LIMITS[func][len(given[:most]) :])
    low, high = float(named.get("min_val", low)), float(named.get("max_val", high))
    of_its_own = input._base is None and not input.is_leaf  # writing into a view or a leaf is torch's to judge
    if not (inplace and low < high and of_its_own and torch.is_grad_enabled() and input.requires_grad):
        return None
    return (input, low, high) if input.dtype == torch.float32 and input.device.type == "cpu" else None


class _Clip(torch.autograd.Function):
    """max(low, min(z, high)) in place; backward the gradient where the value lies strictly between the limits."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, low: float, high: float) -> torch.Tensor:
        out = F.hardtanh(z, low, high, inplace=True)
        ctx.mark_dirty(out)
        ctx.save_for_backward(out)
        ctx.limits = low, high
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (out,) = ctx.saved_tensors
        found = torch.ops.aten.hardtanh_backward(grads[0], out, *ctx.limits)
        before = ctx.next_functions[0][0]
        if getattr(before, "_forward_cls", None) is _Norm:
            before.to_itself = found.data_ptr()
        return found, None, None


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
        return None  # an error, which torch tells
    work = torch.promote_types(input.dtype, torch.float32)
    mean, variance = running_mean.to(work), running_var.to(work)
    gain = torch.rsqrt(variance + eps)
    gain = gain if weight is None else gain * weight.to(work)
    shift = torch.addcmul(torch.zeros_like(gain) if bias is None else bias.to(work), mean, gain, value=-1)
    shape = (1, -1, *[1] * (input.ndim - 2))
    return cast(torch.Tensor, _Norm.apply(input, gain.view(shape), shift.view(shape)))


class _Norm(torch.autograd.Function):
    """x · gain + shift, by its x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, gain: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gain)
        ctx.to_itself = 0  # where the gradient lies that a clipped ReLU made for this function: it may be written into
        return torch.addcmul(shift, x.to(gain.dtype), gain).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gain,) = ctx.saved_tensors
        own, ctx.to_itself = grads[0].data_ptr() == ctx.to_itself, 0
        return grads[0].mul_(gain) if own else (grads[0] * gain).to(grads[0].dtype), None, None
