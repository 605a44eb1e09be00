"""One forward pass over a batch, shared by every method and target that looks at it."""

import dataclasses
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import cast

import torch
from torch import nn

from radiolucent.errors import ExplainError
from radiolucent.models import Classifier
from radiolucent.models.difference import relative_difference
from radiolucent.models.once import look_again, looked_at_once
from radiolucent.models.per_network import remember, structure_of
from radiolucent.models.takes import as_contiguous, fitting, takes_channels_last
from radiolucent.passes.backward_rules import Rules, graph_nodes, nodes_behind, rules_told
from radiolucent.passes.batch_norm import AffineNorms
from radiolucent.passes.hooks import differentiable, forward_cut, frozen, gradients, gradients_told
from radiolucent.passes.session import Session
from radiolucent.passes.target_layer import Layer, Place, find_layer

__all__ = ["INPUT", "Cut", "Pass", "run"]

INPUT = "input"
"""In place of a layer's name: the network's input itself."""


def run(classifier: Classifier, inputs: torch.Tensor) -> torch.Tensor:
    """Logits float32 (N, C) on the CPU of inputs (N, C, H, W), under the caller's grad mode and rules."""
    network = differentiable(classifier.network)
    given = inputs.to(classifier.device, classifier.dtype).clone()  # the network may write in place
    out = network(fitting(network, given))
    look_again()
    return (out[0] if isinstance(out, tuple) else out).float().cpu()


@dataclass(frozen=True, eq=False)
class Cut:
    """A forward pass cut at a layer.

    Attributes:
        network: that was asked.
        layer: the layer's name and layout. value: its output, which the logits can be differentiated by.
        logits: float32 (N, C) on the CPU, with their graph behind the layer.
        engine: what computed the features: "torch" or "openvino".
        session: of the pass.
    """

    network: nn.Module
    layer: Layer
    value: torch.Tensor
    logits: torch.Tensor
    engine: str = "torch"
    session: Session = field(default_factory=Session, repr=False)

    @property
    def features(self) -> torch.Tensor:
        """Feature maps float32 (N, K, h, w); for the input the image itself."""
        return self.layer.maps(self.value.detach())

    @cached_property
    def dense(self) -> nn.Linear | None:
        """The dense layer, if the network is nothing but global average pooling and that layer behind the features.

        Not guessed from names: the layer's output on the pooled features must be the network's logits, to 1e-4 of their
        size (in half precision to its own rounding).
        """
        layer, features = _last_dense(self.network), self.features
        if layer is None or layer.in_features != features.shape[1] or layer.out_features != self.logits.shape[1]:
            return None
        with torch.no_grad():
            again = layer(features.mean((2, 3)).to(layer.weight.dtype)).float().cpu()
        off = relative_difference(again, self.logits.detach(), floor=1e-6)
        if off > max(1e-4, 4 * torch.finfo(layer.weight.dtype).eps):
            return None
        # What gives the same numbers may have other slopes: a second ReLU, an absolute value.
        return layer if not self.logits.requires_grad or self._has_slopes_of(layer) else None

    def _has_slopes_of(self, dense: nn.Linear) -> bool:
        mixture = torch.randn(self.logits.shape[1], generator=torch.Generator().manual_seed(0)).to(self.logits)
        found = self.gradient((self.logits * mixture).sum(1)).cpu()
        weight = dense.weight.detach().float().cpu()
        expected = (mixture @ weight / found[0, 0].numel())[None, :, None, None].expand_as(found)
        return relative_difference(found, expected, floor=1e-30) <= max(1e-3, 8 * torch.finfo(dense.weight.dtype).eps)

    def gradient(self, scores: torch.Tensor) -> torch.Tensor:
        """∂Σ scores/∂features, float32 (N, K, h, w).

        Args:
            scores: (N,), each made from its own image's `logits`.

        Raises:
            ExplainError: no gradient comes back from the logits, or the scores are not made of this layer's last call.
        """
        if not scores.requires_grad:
            raise ExplainError(
                f"the score cannot be differentiated by {self.layer.name}: no gradient passes through this network (a "
                "function, or one that detaches); use a perturbation method: LIME()."
            )
        with gradients_told():
            found = gradients(self.network, scores.sum(), [self.value])[0]
        if found is None and self.layer.name == INPUT:
            raise ExplainError(
                "the score hangs on something else than this image: the network hands out answers that it has kept, or "
                "detaches what it sees. Let it compute each answer anew, or use a perturbation method: LIME()."
            )
        if found is None:
            last = "it" if self.layer.calls == 1 else f"the last of its {self.layer.calls} calls"
            raise ExplainError(
                f"the score is not made of what layer {self.layer.name} gives: {last} goes elsewhere, to another "
                "output. Name another layer with layer=, or use a method without one: IntegratedGradients(), LIME()."
            )
        if not bool(found.any()) and (flat := _without_slope(scores)):
            raise ExplainError(
                f"no gradient comes back from the score to {self.layer.name}: the network rounds or compares on its "
                f"way ({flat}), which has no slope. Leave that step out, or use a perturbation method: LIME()."
            )
        return self.layer.maps(found)


FLAT = ("Round", "Floor", "Ceil", "Trunc", "Sign", "Sgn")
"""Steps of a graph, by the beginning of their names, whose derivative is zero."""


def _without_slope(scores: torch.Tensor) -> str | None:
    return next((n.name() for n in nodes_behind(graph_nodes(scores)) if n.name().startswith(FLAT)), None)


def _last_dense(network: nn.Module) -> nn.Linear | None:
    def last() -> str | None:
        return next((n for n, m in reversed(list(network.named_modules())) if isinstance(m, nn.Linear)), None)

    name = remember(network, "last dense layer", structure_of(network), last)
    return None if name is None else cast(nn.Linear, network.get_submodule(name))


@dataclass(frozen=True, eq=False)
class Pass:
    """The forward pass over one batch, run when first needed and kept.

    Attributes:
        classifier: whose network. inputs: float32 (N, C, H, W).
        rules: for the backward pass, in force while it runs; a pass with rules is not for sharing.
        wanted: layers that methods will ask for (dotted names, None for the default one, `INPUT`): the first run keeps
            all of them, so that logits, features and gradients of several methods come from one pass.
        session: of the job it belongs to.
    """

    classifier: Classifier
    inputs: torch.Tensor
    wanted: Sequence[Place] = ()
    rules: Rules | None = None
    session: Session = field(default_factory=Session, repr=False)
    _cuts: dict[str, Cut] = field(default_factory=dict[str, Cut], repr=False)
    _logits: list[torch.Tensor] = field(default_factory=list[torch.Tensor], repr=False)
    _layers: dict[Place, Layer] = field(default_factory=dict[Place, Layer], repr=False)

    @property
    def logits(self) -> torch.Tensor:
        """Logits float32 (N, C), without a graph: from a cut where one was or will be made, else from a plain pass."""
        if not self._logits:
            if self.wanted:
                self._run(())
            else:
                self._logits.append(self.classifier.logits(self.inputs))
        return self._logits[0]

    def cut(self, layer: Place = None) -> Cut:
        """The pass cut at a layer: by dotted name, None for the last one with feature maps, or `INPUT`.

        Raises:
            ExplainError: no such layer, or none with feature maps.
        """
        with looked_at_once():
            found = self.resolve(layer)
            if found.name not in self._cuts:
                self._run((layer,))
        cut = self._cuts[found.name]
        return cut if cut.layer == found else dataclasses.replace(cut, layer=found)  # laid out by another reshape

    def under(self, rules: Rules, wanted: Sequence[Place] = ()) -> "Pass":
        """The same batch with rules for the way back. They leave the answers as they are: whichever pass runs first
        gives the logits of both.
        """
        return Pass(self.classifier, self.inputs, wanted, rules, self.session, _logits=self._logits)

    def row(self, index: int) -> "Pass":
        """The pass of one image, which knows its logits."""
        one = slice(index, index + 1)
        return Pass(self.classifier, self.inputs[one], session=self.session, _logits=[self.logits[one]])

    def resolve(self, layer: Place) -> Layer:
        """The layer asked for; see `cut`."""
        if layer == INPUT:
            return Layer(INPUT)
        if layer not in self._layers:
            one = self.inputs[:1].to(self.classifier.device, self.classifier.dtype)
            self._layers[layer] = find_layer(self._network, self._in_format(one), layer)
        return self._layers[layer]

    @cached_property
    def _network(self) -> nn.Module:
        return differentiable(self.classifier.network)

    @cached_property
    def _channels_last(self) -> bool:
        one = self.inputs[:1].detach().to(self.classifier.device, self.classifier.dtype)
        return takes_channels_last(self._network, one)

    def _in_format(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs if self._channels_last else as_contiguous(inputs)

    def _run(self, layers: Sequence[Place]) -> None:
        asked = {found.name: found for found in map(self.resolve, dict.fromkeys((*self.wanted, *layers)))}
        missing = {name: found for name, found in asked.items() if name not in self._cuts}
        deeper = not self._is_last(missing)
        if not deeper and self.rules is None and (quick := self._quickly(self.resolve(None))) is not None:
            self._cuts[quick.layer.name] = quick
            self._logits[:] = self._logits or [quick.logits.detach()]
            return
        # Behind the last maps there is hardly a norm; in float32, taking care of them beforehand would only cost time.
        norms = deeper or self.classifier.dtype != torch.float32
        logits, values = self._cut_at(missing, norms=norms)
        if not norms and any("BatchNorm" in step.name() for step in nodes_behind(graph_nodes(logits))):
            logits, values = self._cut_at(missing, norms=True)
        network, session = self.classifier.network, self.session
        self._cuts.update({n: Cut(network, missing[n], values[n], logits, session=session) for n in missing})
        if not self._logits:
            self._logits.append(logits.detach())

    def _is_last(self, layers: Collection[str]) -> bool:
        """Whether that is the last layer with feature maps, alone."""
        try:
            return INPUT not in layers and set(layers) == {self.resolve(None).name}
        except ExplainError:  # none is known for sure; another one was named
            return False

    def _quickly(self, layer: Layer) -> Cut | None:
        """The cut at the last feature maps, if the session has them computed without torch."""
        clf, network = self.classifier, self.classifier.network

        def pooled() -> bool:
            logits, values = Pass(clf, self.inputs[:1])._cut_at([layer.name])
            return Cut(network, layer, values[layer.name], logits).dense is not None

        if layer.kind != "maps" or self.inputs.requires_grad:
            return None
        found = self.session.features(clf, self.inputs, layer.name, pooled)
        if found is None:
            return None
        logits, value = found
        dense = Cut(network, layer, value, logits).dense
        if dense is None:  # not for these images
            return None
        with torch.enable_grad():
            again = dense(value.requires_grad_().mean((2, 3)))
        return Cut(network, layer, value, again, "openvino", self.session)

    def _cut_at(self, names: Collection[str], *, norms: bool = False) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Logits, and the named layers' outputs, with their graph."""
        x = self.inputs.to(self.classifier.device)
        if INPUT in names:
            x = (x.clone() if x.is_inference() else x.detach()).requires_grad_()
        network, _ = self._network, self._channels_last  # found out before there are rules
        plain = AffineNorms() if norms else nullcontext()  # rules have norms of their own
        rules = plain if self.rules is None else rules_told(self.rules, partial(self.classifier.logits, x[:1]))
        with torch.enable_grad(), frozen(network), rules:
            given = x.to(self.classifier.dtype)
            if given is x or given.data_ptr() == self.inputs.data_ptr():
                given = given.clone()  # the network may write in place
            out, kept = forward_cut(network, self._in_format(given), [n for n in names if n != INPUT])
            logits = out.float().cpu().as_subclass(torch.Tensor)
        if self.rules is not None:
            self.rules.looked_through(logits)
        return logits, kept | ({INPUT: x} if INPUT in names else {})
