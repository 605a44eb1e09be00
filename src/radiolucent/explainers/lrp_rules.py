"""What LRP's rules hand back through one weighed layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

__all__ = ["Back", "Weighed", "hand_back", "stabilised"]


def stabilised(z: torch.Tensor, epsilon: float) -> torch.Tensor:
    """z + ε sign z, with sign 0 = 1; never 0."""
    least = torch.tensor(max(epsilon, torch.finfo(z.dtype).tiny), dtype=z.dtype, device=z.device)
    return z + torch.copysign(least, z)


@dataclass(frozen=True, eq=False)
class Weighed:
    """A convolution or dense layer, with the batch norm behind it folded in.

    Attributes:
        x: what goes in. z: what comes out. linear: x and weights to what comes out without the bias.
        bias: such that it can be added to what comes out.
    """

    x: torch.Tensor
    z: torch.Tensor
    linear: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    weight: torch.Tensor
    bias: torch.Tensor

    def through(self, x: torch.Tensor, weight: torch.Tensor) -> "Through":
        """Σ_i x_i w_ij, and the way back of the same layer."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return Through(leaf, self.linear(leaf, weight))

    def back(self, weight: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Σ_j w_ij given_j."""
        return self.through(self.x, weight).back(given)


class Through(NamedTuple):
    """One pass through a layer: what went in, what came out (on autograd's graph)."""

    leaf: torch.Tensor
    out: torch.Tensor

    def back(self, given: torch.Tensor) -> torch.Tensor:
        """Σ_j w_ij given_j."""
        return torch.autograd.grad(self.out, self.leaf, given)[0]


class Back(NamedTuple):
    """Relevance handed back, R_i = x_i slope_i + constant_i, and the bias's share of each output's."""

    slope: torch.Tensor
    bias: torch.Tensor
    constant: torch.Tensor | None = None


Box = tuple[torch.Tensor, torch.Tensor]
"""The smallest and largest values that an input can have, such that they can be broadcast to it."""


def hand_back(rule: str, at: Weighed, relevance: torch.Tensor, epsilon: float, gamma: float, box: Box) -> Back:
    """R_i of a layer's inputs from R_j of its outputs. Sources: Montavon 2019, table 10.1; Bach 2015, eq. 60 (αβ);
    Lapuschkin 2019 (flat); Andéol 2021 (γ for inputs of either sign). Inputs may have either sign everywhere: with
    x⁺ = max(x, 0), x⁻ = min(x, 0), and w, b alike,

    - epsilon: R_i = Σ_j x_i w_ij / (z_j + ε sign z_j) R_j;
    - gamma: w + γ w⁺ in place of w in front of x⁺, w + γ w⁻ in front of x⁻, where z_j > 0; else the other way round;
    - z+ (alpha1-beta0): x⁺ w⁺ + x⁻ w⁻ in place of x w; alpha2-beta1: that twice, less the same with x⁺ w⁻ + x⁻ w⁺;
    - flat: as if all inputs and weights were 1; box: x w − low w⁺ − high w⁻ in place of x w.
    """
    up, down = at.weight.clamp(min=0), at.weight.clamp(max=0)
    if rule == "flat":
        ones = torch.ones_like(at.weight)
        count = at.linear(torch.ones_like(at.x), ones)
        none = torch.zeros_like(at.x)
        return Back(none, torch.zeros_like(relevance), at.back(ones, relevance / stabilised(count, epsilon)))
    if rule == "box":
        low, high = (edge.to(at.x).expand_as(at.x) for edge in box)
        plain, lower, upper = at.through(at.x, at.weight), at.through(low, up), at.through(high, down)
        c = relevance / stabilised((plain.out - lower.out - upper.out).detach(), epsilon)
        return Back(plain.back(c), torch.zeros_like(relevance), -low * lower.back(c) - high * upper.back(c))
    if rule == "epsilon":
        c = relevance / stabilised(at.z, epsilon)
        return Back(at.back(at.weight, c), at.bias * c)
    if rule == "gamma":
        found = [
            _signed(
                at, at.weight + gamma * a, at.weight + gamma * b, at.bias + gamma * offset, relevance * side, epsilon
            )
            for a, b, offset, side in (
                (up, down, at.bias.clamp(min=0), at.z > 0),
                (down, up, at.bias.clamp(max=0), at.z < 0),
            )
        ]
        return Back(found[0].slope + found[1].slope, found[0].bias + found[1].bias)
    more = _signed(at, up, down, at.bias.clamp(min=0), relevance, epsilon)
    if rule != "alpha2-beta1":
        return more
    less = _signed(at, down, up, at.bias.clamp(max=0), relevance, epsilon)
    return Back(2 * more.slope - less.slope, 2 * more.bias - less.bias)


def _signed(
    at: Weighed, above: torch.Tensor, below: torch.Tensor, bias: torch.Tensor, relevance: torch.Tensor, epsilon: float
) -> Back:
    """Proportional to x⁺ above + x⁻ below + bias."""
    positive = at.through(at.x.clamp(min=0), above)
    if bool((at.x >= 0).all()):  # behind a ReLU there is no x⁻
        c = relevance / stabilised(positive.out.detach() + bias, epsilon)
        return Back(positive.back(c), bias * c)
    negative = at.through(at.x.clamp(max=0), below)
    c = relevance / stabilised((positive.out + negative.out).detach() + bias, epsilon)
    return Back(torch.where(at.x > 0, positive.back(c), negative.back(c)), bias * c)


class Handing(torch.autograd.Function):
    """A weighed layer's value; backward what `back` makes of the gradient, also for the biases' `ones`, and
    what the image itself gets beside."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        ones: torch.Tensor | None,
        arrived: torch.Tensor,
        value: torch.Tensor,
        back: Callable[..., Any],
    ) -> torch.Tensor:
        ctx.back = back
        return value.clone()  # what follows may write in place

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return (*ctx.back(grads[0]), None, None)
