"""The same training arithmetic with less waiting for memory, on CPUs.

Of a plain training step of MobileNet v1 (224 px, batch 32, 2 cores) about a third goes into batch norms and
activations, which only move memory. (What the operating system takes for fresh pages is saved by
`radiolucent.models.keep_freed_memory`.)
"""

from collections.abc import Generator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

__all__ = ["quickened"]

_aten: Any = torch.ops.aten


class _NormClamp(torch.autograd.Function):
    """Batch norm in training mode, then a clamp to [0, top], keeping only the result: the clamp's mask is read from it.

    The same numbers as the two operations one after the other, which keep what lies between them as well.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> torch.Tensor:
        """args: x (N, C, H, W), weight, bias, running mean, running variance, momentum, ε, top."""
        x, weight, bias, mean, variance, momentum, eps, top = args
        out, batch_mean, batch_scale = _aten.native_batch_norm(x, weight, bias, mean, variance, True, momentum, eps)
        out.clamp_(0, top)
        ctx.save_for_backward(x, weight, out, batch_mean, batch_scale)
        ctx.eps, ctx.top = eps, top
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradients of x, weight and bias."""
        x, weight, out, mean, scale = ctx.saved_tensors
        inner = _aten.hardtanh_backward(grads[0], out, 0, ctx.top)
        wanted = list(ctx.needs_input_grad[:3])
        found = _aten.native_batch_norm_backward(inner, x, weight, None, None, mean, scale, True, ctx.eps, wanted)
        return *found, None, None, None, None, None


class _Pointwise(torch.autograd.Function):
    """1 × 1 convolution whose weight gradient is one matrix product over all pixels."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> torch.Tensor:
        """args: x (N, C, H, W) channels last, weight (K, C, 1, 1)."""
        ctx.save_for_backward(*args)
        return F.conv2d(*args)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradients of x and weight."""
        x, weight = ctx.saved_tensors
        grad, inner, outer = grads[0], None, None
        if ctx.needs_input_grad[0]:
            options = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, False, False])
            inner = _aten.convolution_backward(grad, x, weight, None, *options)[0]
        if ctx.needs_input_grad[1]:
            outer = (_rows(grad).t() @ _rows(x)).view_as(weight)
        return inner, outer


def _rows(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) as (N·H·W, C); no copy in channels-last layout."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _norm_clamp(self: Any, x: torch.Tensor) -> torch.Tensor:
    if not (self.training and torch.is_grad_enabled()):
        return type(self).forward(self, x)
    counter: Any = self.num_batches_tracked
    counter.add_(1)
    top = 6.0 if isinstance(self.act, nn.ReLU6) else float("inf")
    statistics = (self.running_mean, self.running_var, self.momentum, self.eps)
    return _NormClamp.apply(x, self.weight, self.bias, *statistics, top)  # pyright: ignore[reportReturnType]


def _pointwise(self: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    return _Pointwise.apply(x, self.weight)  # pyright: ignore[reportReturnType]


def _quicker(module: Any) -> Any:
    """The quicker way through a module, or None."""
    timm_norm = f"{type(module).__module__}.{type(module).__qualname__}" == "timm.layers.norm_act.BatchNormAct2d"
    if timm_norm and type(module.act) in (nn.ReLU, nn.ReLU6) and type(module.drop) is nn.Identity:
        usual = module.affine and module.track_running_stats and isinstance(module.momentum, float)
        return _norm_clamp if usual else None
    if type(module) is nn.Conv2d and module.bias is None:
        plain = module.kernel_size == module.stride == (1, 1) and module.padding in (0, (0, 0)) and module.groups == 1
        return _pointwise if plain else None
    return None


@contextmanager
def quickened(network: nn.Module, *, active: bool = True) -> Generator[None]:
    """Inside the block batch norms with their ReLU and 1 × 1 convolutions of the network train by quicker, equal steps.

    For 32-bit training on CPUs; weights, names and results are those of the network as it is, up to rounding.
    """
    changed: list[nn.Module] = []
    for module in network.modules() if active else ():
        if (way := _quicker(module)) is not None and "forward" not in vars(module):
            module.forward = MethodType(way, module)
            changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward
