"""AttnLRP: relevance handed back through attention."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from radiolucent.errors import ExplainError
from radiolucent.explainers.attention import Opened
from radiolucent.explainers.lrp import LRP, Relevance
from radiolucent.explainers.lrp_layers import Layers
from radiolucent.passes.backward_rules import on_graph

__all__ = ["AttnLRP"]


@dataclass(frozen=True)
class AttnLRP(LRP):
    """The score handed back layer by layer through attention. Source: Achtibat 2024 (arXiv 2402.05602), section 3.

    As ε-LRP through everything affine (eq. 8) and through activations (identity rule, eq. 9), and:

    - softmax s of x: R_i = x_i (R_i − s_i Σ_j R_j), its first-order Taylor expansion (proposition 3.1);
    - a product of two things that depend on the image, Q Kᵀ, A V or a gate: half to each (propositions 3.2, 3.3);
    - layer, group and RMS norm: the deviation counts as a constant (identity rule, proposition 3.4).

    Attention counts where it is computed, fused or not. The books of ε-LRP are kept: what a Taylor expansion leaves
    out is a constant, and stands in `bias_share` with the biases and position embeddings; it may be larger than the
    score. Networks without attention are refused: there ε-LRP is the method.
    """

    title: ClassVar[str] = "AttnLRP"
    answers: ClassVar[str] = "a vision transformer's score handed back through its attention"
    misleads: ClassVar[str] = "noisy at patch borders; biases and embeddings hold a share that is not on the map"
    cost: ClassVar[str] = "2 + b"

    @property
    def one_by_one(self) -> bool:
        """The books hold for any place of the batch's axis only where one image is in it."""
        return True

    def rules(self, ones: torch.Tensor | None, layers: Layers | None) -> Relevance:
        return _Attending(self.epsilon, ones, layers)


class _Attending(Opened, Relevance):
    """Rules for what transformers have and convolutional networks do not."""

    def __init__(self, epsilon: float, ones: torch.Tensor | None, layers: Layers | None) -> None:
        super().__init__(epsilon, ones, layers, "AttnLRP")
        self.attentions = 0

    def check(self) -> None:
        if not self.attentions:
            raise ExplainError("AttnLRP is meant for transformers, and this network has no attention; use LRP().")

    def other(self, name: str) -> None:
        raise ExplainError(
            f"AttnLRP has no rule for {name!r}, which this network uses: it is meant for transformers of attention, "
            "norms, convolutions, dense layers and activations. Use IntegratedGradients()."
        )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        written = str(getattr(func, "__name__", func))
        name, given = written.strip("_"), [*args, *kwargs.values()]
        if torch.is_grad_enabled() and any(map(on_graph, given)):
            if name == "softmax":
                return self.shown(lambda: self._softmax(func(*args, **kwargs), *args, **kwargs), given)
            if name in NORMS and sum(map(on_graph, given)) == 1:
                return self.shown(lambda: getattr(self, f"_{name}")(*args, **kwargs), given)
            if name in PRODUCTS and sum(isinstance(a, torch.Tensor) and a.requires_grad for a in args) == 2:
                return self.shown(lambda: _halved(func, written, args, kwargs), given)
        return super().__torch_function__(func, types, args, kwargs)

    def _softmax(
        self, out: torch.Tensor, input: torch.Tensor, dim: int | None = None, *_: Any, **__: Any
    ) -> torch.Tensor:
        """The derivative is the rule; what s leaves of its expansion J x is a constant."""
        if dim is None:
            self.other("softmax without an axis")
        self.attentions += out.ndim > 2
        if self.ones is None:
            return out
        s = out.detach()
        weighed = torch.where(s > 0, s * input.detach().to(s), 0)
        offset = s - weighed + s * weighed.sum(dim, keepdim=True)
        return out + offset * (self.ones.to(out) - 1)

    def _layer_norm(
        self,
        input: torch.Tensor,
        normalized_shape: Any,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        eps: float = 1e-5,
        *_: Any,
    ) -> torch.Tensor:
        axes = tuple(range(-len(normalized_shape), 0))
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        x = x - x.mean(axes, keepdim=True)
        return self._scaled(_over_deviation(x, axes, eps), weight, bias).to(input.dtype)

    def _rms_norm(
        self, input: torch.Tensor, normalized_shape: Any, weight: torch.Tensor | None = None, eps: float | None = None
    ) -> torch.Tensor:
        axes, wide = tuple(range(-len(normalized_shape), 0)), torch.promote_types(input.dtype, torch.float32)
        least = torch.finfo(wide).eps if eps is None else eps
        return self._scaled(_over_deviation(input.to(wide), axes, least), weight, None).to(input.dtype)

    def _group_norm(
        self,
        input: torch.Tensor,
        num_groups: int,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        eps: float = 1e-5,
        *_: Any,
    ) -> torch.Tensor:
        shape = (-1, *[1] * (input.ndim - 2))
        x = input.to(torch.promote_types(input.dtype, torch.float32)).unflatten(1, (num_groups, -1)).flatten(2)
        x = _over_deviation(x - x.mean(2, keepdim=True), (2,), eps).reshape(input.shape)
        scale, offset = (None if each is None else each.view(shape) for each in (weight, bias))
        return self._scaled(x, scale, offset).to(input.dtype)

    def _normalize(
        self, input: torch.Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
    ) -> torch.Tensor:
        return input / input.detach().norm(p, dim, keepdim=True).clamp_min(eps)

    def _scaled(self, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
        x = x if weight is None else x * weight
        return x if bias is None else x + (bias if self.ones is None else bias * self.ones)


NORMS = frozenset("layer_norm group_norm rms_norm normalize".split())
PRODUCTS = frozenset("mul imul rmul multiply matmul rmatmul bmm einsum".split())


def _over_deviation(x: torch.Tensor, axes: tuple[int, ...], eps: float) -> torch.Tensor:
    """x by its root mean square along some axes, which counts as a constant."""
    return x * (x.detach().square().mean(axes, keepdim=True) + eps).rsqrt()


def _halved(func: Any, written: str, args: Any, kwargs: Any) -> Any:
    """A product of two, each of which is given half."""
    halved = [_Halved.apply(a) if on_graph(a) else a for a in args]
    if written in ("__imul__", "mul_"):
        return args[0].copy_(torch.mul(*halved))
    return func(*halved, **kwargs)


class _Halved(torch.autograd.Function):
    """The same numbers; half the gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0] / 2
