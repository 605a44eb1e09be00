"""One forward pass over a batch, shared by every method and target that looks at it."""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch

from radiolucent.errors import ExplainError
from radiolucent.explainers.hooks import forward_cut
from radiolucent.explainers.layers import Layer, find_layer
from radiolucent.explainers.light import Light
from radiolucent.explainers.rules import Rules
from radiolucent.models import Classifier
from radiolucent.models.remember import remember, remembered, structure_of

__all__ = ["INPUT", "Cut", "Pass", "run"]

INPUT = "input"
"""In place of a layer's name: the network's input itself."""


def run(classifier: Classifier, inputs: torch.Tensor) -> torch.Tensor:
    """Logits float32 (N, C) on the CPU of inputs (N, C, H, W), with whatever graph and rules are in force."""
    out = classifier.network(inputs.to(classifier.device, classifier.dtype))
    return (out[0] if isinstance(out, tuple) else out).float().cpu()


@dataclass(frozen=True, eq=False)
class Cut:
    """A forward pass cut at a layer.

    Attributes:
        layer: the layer's name and layout. value: its output, which the logits can be differentiated by.
        logits: float32 (N, C) on the CPU, with their graph behind the layer.
    """

    layer: Layer
    value: torch.Tensor
    logits: torch.Tensor

    @property
    def features(self) -> torch.Tensor:
        """Feature maps float32 (N, K, h, w); for the input the image itself."""
        return self.layer.maps(self.value.detach())

    def gradient(self, scores: torch.Tensor) -> torch.Tensor:
        """∂Σ scores/∂features, float32 (N, K, h, w); zero where the scores do not depend on them.

        Args:
            scores: (N,), each made from its own image's `logits`.

        Raises:
            ExplainError: no gradient comes back from the logits at all.
        """
        if not scores.requires_grad:
            raise ExplainError(
                f"the score cannot be differentiated by {self.layer.name}: no gradient passes through this network (a "
                "function, or one that detaches); use a perturbation method: LIME()."
            )
        found = torch.autograd.grad(
            scores.sum(), self.value, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return self.layer.maps(found[0])


@dataclass(frozen=True, eq=False)
class Pass:
    """The forward pass over one batch, run when first needed and kept.

    Attributes:
        classifier: whose network. inputs: float32 (N, C, H, W).
        rules: for the way back, in force while it runs; where there are any the pass is not for sharing.
        wanted: layers that methods will ask for (dotted names, None for the default one, `INPUT`): the first run keeps
            all of them, so that logits, features and gradients of several methods come from one pass.
    """

    classifier: Classifier
    inputs: torch.Tensor
    wanted: Sequence[str | None] = ()
    rules: Rules | None = None
    _cuts: dict[str, Cut] = field(default_factory=dict[str, Cut], repr=False)
    _logits: list[torch.Tensor] = field(default_factory=list[torch.Tensor], repr=False)

    @property
    def logits(self) -> torch.Tensor:
        """Logits float32 (N, C), without a graph: from a cut where one was or will be made, else from a plain pass."""
        if not self._logits:
            if self.wanted:
                self._run(())
            else:
                self._logits.append(self.classifier.logits(self.inputs))
        return self._logits[0]

    def cut(self, layer: str | None = None) -> Cut:
        """The pass cut at a layer: by dotted name, None for the last one with feature maps, or `INPUT`.

        Raises:
            ExplainError: no such layer, or none with feature maps.
        """
        found = self.resolve(layer)
        if found.name not in self._cuts:
            self._run((layer,))
        return self._cuts[found.name]

    def row(self, index: int) -> "Pass":
        """The pass of one image, which knows its logits."""
        one = slice(index, index + 1)
        return Pass(self.classifier, self.inputs[one], _logits=[self.logits[one]])

    def resolve(self, layer: str | None) -> Layer:
        """The layer asked for; see `cut`."""
        if layer == INPUT:
            return Layer(INPUT)
        return find_layer(self.classifier.network, self._placed()[:1].clone(), layer)

    def _placed(self) -> torch.Tensor:
        return self.inputs.to(self.classifier.device, self.classifier.dtype)

    def _run(self, layers: Sequence[str | None]) -> None:
        asked = {found.name: found for found in map(self.resolve, dict.fromkeys((*self.wanted, *layers)))}
        missing = {name: found for name, found in asked.items() if name not in self._cuts}
        network = self.classifier.network
        valid = structure_of(network)
        light = Light(clips=not remembered(network, "writes over activations", valid))
        logits, values = self._cut_at(missing, light)
        if light.overwritten:
            remember(network, "writes over activations", valid, lambda: True)
            del logits, values, light  # the graph of the first run, before there is another
            logits, values = self._cut_at(missing, Light(clips=False))
        self._cuts.update({n: Cut(missing[n], values[n], logits) for n in missing})
        if not self._logits:
            self._logits.append(logits.detach())

    def _cut_at(self, names: Collection[str], light: Light) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Logits, and what the named layers gave, on the graph."""
        x = self.inputs.to(self.classifier.device)
        if INPUT in names:
            x = (x.clone() if x.is_inference() else x.detach()).requires_grad_()
        with torch.enable_grad(), light, self.rules or nullcontext():
            given = x.to(self.classifier.dtype)
            if given is x or given.data_ptr() == self.inputs.data_ptr():
                given = given.clone()  # the network may write in place
            out, kept = forward_cut(self.classifier.network, given, [n for n in names if n != INPUT])
            logits = out.float().cpu()
        return logits, kept | ({INPUT: x} if INPUT in names else {})
