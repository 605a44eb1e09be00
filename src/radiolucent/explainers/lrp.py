"""ε-LRP: layer-wise relevance propagation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.composites import Range, checked
from radiolucent.explainers.lrp_layers import Layers
from radiolucent.explainers.lrp_rules import stabilised
from radiolucent.explainers.promise import AddsUp, Promise
from radiolucent.explainers.weighing import upsample
from radiolucent.models import Classifier
from radiolucent.passes.backward_rules import Activation, Rules, on_graph
from radiolucent.passes.forward import INPUT
from radiolucent.passes.hooks import gradients

__all__ = ["LRP", "Relevance"]


@dataclass(frozen=True)
class LRP(Explainer):
    """The score handed back layer by layer, to each input in proportion to what it added. Source: Bach 2015, eq. 58.

    R_i = Σ_j a_i w_ij / (z_j + ε sign z_j) R_j, where z_j = Σ_i a_i w_ij + b_j is what enters an activation. Between
    two activations everything affine counts as one layer: convolution, batch norm, average pooling, sums and
    concatenations. An activation hands on what it is given (ReLU6 as well); max pooling to the largest. As shown by
    Ancona 2018 (1711.06104), proposition 1, that is input × gradient with σ(z)/(z + ε sign z) for σ'(z), which is how
    it is computed here and in Skater.

    map = Σ_c x_c R_c. Inputs are in the network's normalised units, so that a mid grey (0 for most networks) gets
    nothing. The details say where the score went: `relevance` (the map's sum), `bias_share` (what the biases and batch
    norms' offsets hold) and `epsilon_share` (what ε swallowed, the rest).

    Attributes:
        epsilon: keeps small z from being divided by; Skater's default.
        layer: relevance at this layer, by dotted name, summed over its features and upsampled (and without shares in
            the details); None: of the input.
        conserve: track the biases' share; costs about a fifth more.
        composite: "epsilon" for all layers, or other rules (see `radiolucent.explainers.lrp_rules`) by kind of layer:
            "epsilon-plus", "epsilon-plus-flat", "epsilon-gamma-box", "epsilon-alpha2-beta1",
            "epsilon-alpha2-beta1-flat" (dense layers follow epsilon, convolutions the second rule, the first layer the
            third), or by ranges of layers: [("flat", 0, 1), ("z+", 1, 10), ("gamma", 10, -1)]. Convolutions and dense
            layers are numbered from 0 in order of execution; whatever is in no range follows epsilon.
        gamma: of the rule "gamma".
    """

    title: ClassVar[str] = "ε-LRP"
    answers: ClassVar[str] = "the score handed back layer by layer"
    misleads: ClassVar[str] = "mid grey gets nothing; the biases' share is not on the map (it is in the details)"
    cost: ClassVar[str] = "2 + b"

    epsilon: float = 1e-4
    layer: str | None = None
    conserve: bool = True
    composite: str | Sequence[Range] = "epsilon"
    gamma: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("epsilon", self.epsilon), ("gamma", self.gamma)):
            if value < 0:
                raise ConfigError(f"{name} {value}; expected 0 or more.")
        object.__setattr__(self, "composite", checked(self.composite))

    def promise(self, details: Mapping[str, Any]) -> Promise | None:
        """Relevance and the biases' share make up the score; a map at a layer in between leaves biases out."""
        given = float(details["relevance_given"])
        if "bias_share" not in details or not given:
            return None
        missing = abs(given - float(details["relevance"]) - float(details["bias_share"]))
        return AddsUp(missing / abs(given), missing)

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        shared = goal.over(classifier, inputs)
        at = INPUT if self.layer is None else shared.resolve(self.layer).name
        # Behind a layer in between, the biases before it are no part of the sum.
        ones = inputs.new_ones(len(inputs)).requires_grad_() if self.conserve and self.layer is None else None
        plain = self.composite == "epsilon"
        layers = None if plain else Layers.of(classifier, inputs, self.composite, self.epsilon, self.gamma)
        rules = self.rules(ones, layers)
        cut = shared.under(rules).cut(at)
        rules.applies()
        z = cut.logits.detach()
        slope = goal.gradient(z)
        score = (slope * z / stabilised(z, self.epsilon) * cut.logits).sum(1)
        maps = (cut.features * cut.gradient(score)).sum(1)
        if layers is not None and self.layer is None and layers.arrives:
            maps = maps + _gradient(classifier, score, layers.arrived)
        bias = None if ones is None else _gradient(classifier, score, ones)
        details = _shares(maps, (slope * z).sum(1), bias)
        return Attribution(maps if self.layer is None else upsample(maps, inputs.shape[2:]), details)

    def rules(self, ones: torch.Tensor | None, layers: Layers | None) -> "Relevance":
        """The way back.

        Args:
            ones: (N,), by which biases are multiplied; their gradient is the biases' share. layers: if they have rules.
        """
        return Relevance(self.epsilon, ones, layers)


def _gradient(classifier: Classifier, score: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor:
    """∂Σ score/∂leaf; zeros where it hangs on none."""
    found = gradients(classifier.network, score.sum(), [leaf])[0]
    return torch.zeros_like(leaf) if found is None else found


def _shares(maps: torch.Tensor, given: torch.Tensor, bias: torch.Tensor | None) -> list[dict[str, Any]]:
    """Of each film what the map holds and what was given; `bias` (N,), the biases' part, and what is left then."""
    relevance = maps.double().sum((1, 2)).cpu()
    shares: list[dict[str, Any]] = [
        {"relevance": float(r), "relevance_given": float(g)} for r, g in zip(relevance, given, strict=True)
    ]
    if bias is not None:
        for share, r, b, g in zip(shares, relevance, bias.double().cpu(), given, strict=True):
            share.update({"bias_share": float(b), "epsilon_share": float(g - r - b)})
    return shares


SHIFTING = frozenset(
    "add iadd radd sub isub rsub cat concat concatenate stack pad conv1d conv3d conv_transpose1d conv_transpose2d "
    "conv_transpose3d".split()
)
"""Affine functions that can add something: constants beside the image, fills, biases."""


BOUND = 1e30


def _zeroed(value: Any) -> Any:
    """The same argument with 0 for whatever depends on the image."""
    if isinstance(value, torch.Tensor):
        return torch.zeros_like(value) if on_graph(value) else value
    if isinstance(value, tuple | list):
        return type(value)(_zeroed(each) for each in value)
    return value


class Relevance(Rules):
    """σ(z)/(z + ε sign z) for every activation; biases multiplied by `ones` (N,), whose gradient is their share."""

    def __init__(
        self, epsilon: float, ones: torch.Tensor | None, layers: Layers | None = None, method: str = "ε-LRP"
    ) -> None:
        super().__init__(method)
        self.epsilon = epsilon if layers is None else 0.0  # layers have their own
        self.ones = ones
        self.layers = layers
        if ones is not None:  # the image's own relevance is asked for
            self.instead = (
                "Use IntegratedGradients(); or, where that function lies before a layer (standardising by the film's "
                "deviation), LRP(layer=NAME), which hands the score back as far as that layer."
            )

    def applies(self) -> None:
        """Called after the forward pass: whether these rules are meant for such a network."""

    def activate(self, at: Activation) -> torch.Tensor:
        if at.gates:
            self.other(at.name)
        return at.passing(at.value / stabilised(at.z.detach(), self.epsilon))

    def affine(self, call: Callable[[], Any], function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self.layers is not None and self.layers.takes(function, args):
            return self.layers.run(self.ones, function, *args, **kwargs)
        if self.ones is None:
            return call()
        if function in (F.conv2d, F.linear):
            return self._weighed(function, *args, **kwargs)
        if function is F.batch_norm:
            return self._normed(*args, **kwargs)
        name = str(getattr(function, "__name__", ""))
        return self._shifted(call, function, name, args, kwargs) if name.strip("_") in SHIFTING else call()

    def _shifted(self, call: Callable[[], Any], function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
        """An affine function's value; its offset, what it gives where all that depends on the image is 0, is a bias."""
        assert self.ones is not None
        with torch.no_grad():
            offset = function(*_zeroed(args), **{key: _zeroed(value) for key, value in kwargs.items()})
        if offset.is_floating_point():  # a mask hides with −inf
            bound = min(BOUND, torch.finfo(offset.dtype).max)
            offset = offset.clamp(-bound, bound)
        out = call()
        if len(out) % len(self.ones) or not bool(offset.any()):
            return out
        ones = self.ones.repeat_interleave(len(out) // len(self.ones)).to(out)
        share = offset * (ones - 1).view(-1, *[1] * (out.ndim - 1))
        in_place = name.startswith("__i") or (name.endswith("_") and not name.startswith("__"))
        return out.add_(share) if in_place else out + share

    def _weighed(
        self,
        function: Callable[..., torch.Tensor],
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        out = function(input, weight, None, *args, **kwargs)
        return out if bias is None else self._offset(out, bias, 1 if function is F.conv2d else out.ndim - 1)

    def _normed(
        self,
        input: torch.Tensor,
        running_mean: torch.Tensor,
        running_var: torch.Tensor,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        scale = (running_var.float() + eps).rsqrt() * (1.0 if weight is None else weight.float())
        offset = (0.0 if bias is None else bias.float()) - running_mean.float() * scale
        shape = (1, -1, *[1] * (input.ndim - 2))
        return self._offset(input * scale.view(shape).to(input), offset.to(input), 1)

    def _offset(self, out: torch.Tensor, bias: torch.Tensor, axis: int) -> torch.Tensor:
        assert self.ones is not None
        shape = [1] * out.ndim
        shape[axis] = -1
        if len(out) % len(self.ones):
            return out + bias.view(shape)
        ones = self.ones.repeat_interleave(len(out) // len(self.ones)).to(out).view(-1, *[1] * (out.ndim - 1))
        return torch.addcmul(out, bias.view(shape), ones)
