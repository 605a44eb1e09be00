"""Guided backpropagation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from radiolucent.errors import ExplainError
from radiolucent.explainers.base import Explainer, Goal
from radiolucent.explainers.joining import by_grey
from radiolucent.models import Classifier
from radiolucent.passes.backward_rules import Rules, graph_nodes, nodes_behind
from radiolucent.passes.forward import INPUT, Pass
from radiolucent.passes.target_layer import Place

__all__ = ["Guided", "GuidedBackprop", "guided_pass"]


@dataclass(frozen=True)
class GuidedBackprop(Explainer):
    """The gradient with everything negative dropped at each ReLU on the way. Source: Springenberg 2015 (1412.6806).

    Backward through a ReLU (or ReLU6): max(g, 0) where the activation is active; other functions as they are. The map
    is joined over channels as `Saliency` is. It looks sharp, and hardly depends on the class or on the last layers'
    weights (Adebayo 2018; Nie 2018): an edge detector that tells little about the decision.
    """

    title: ClassVar[str] = "Guided backprop"
    answers: ClassVar[str] = "which edges the network responds to"
    misleads: ClassVar[str] = "**an edge detector**: hardly depends on class or weights (Adebayo 2018)"
    cost: ClassVar[str] = "2 + b"

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> torch.Tensor:
        cut = guided_pass(goal.over(classifier, inputs))[0].cut(INPUT)
        return by_grey(cut.gradient(goal.of(cut.logits)), classifier)


class Guided(Rules):
    """Drops what is negative behind each ReLU on the way back.

    Attributes:
        guiding: whether it does; if not, gradients are the plain ones.
    """

    ordinary = True

    def __init__(self) -> None:
        super().__init__("guided backpropagation")
        self.guiding = True

    def behind(self, name: str, value: torch.Tensor) -> None:
        node = value.grad_fn
        if name not in RELUS or node is None or _is_relu(node):
            return  # guided when the graph is looked through
        value.register_hook(self._guided)  # in place on part of a tensor: the step is another one

    def other(self, name: str) -> None:
        """Whatever is no ReLU keeps its derivative."""

    def looked_through(self, logits: torch.Tensor) -> None:
        """Guide every ReLU on the logits' graph, by whatever call it came there.

        Raises:
            ExplainError: a step that can be a ReLU written otherwise.
        """
        for node in nodes_behind(graph_nodes(logits)):
            if _is_relu(node):
                self.seen.append("relu")
                node.register_hook(self._guide)
            elif _may_be_relu(node):
                raise ExplainError(
                    f"guided backpropagation is a rule for ReLUs, and a step of this network ({node.name()}) can be "
                    "one that is written otherwise; write it as a ReLU, or use SmoothGrad()."
                )

    def _guided(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.clamp(min=0) if self.guiding else gradient

    def _guide(self, inside: tuple[torch.Tensor, ...], _: Any) -> None:
        """Clip a gradient behind a ReLU's derivative, in place: no other step reads this tensor."""
        if self.guiding:
            inside[0].clamp_(min=0)


def guided_pass(shared: Pass, layers: Sequence[Place] = ()) -> tuple[Pass, Guided]:
    """A pass cut at the input and at some layers, whose gradients are guided, and the rule that guides them.

    Raises:
        ExplainError: the network has no ReLU.
    """
    rules = Guided()
    made = shared.under(rules, (INPUT, *layers))
    made.cut(INPUT)
    if not RELUS & set(rules.seen):
        met = ", ".join(dict.fromkeys(rules.seen)) or "no activation"
        raise ExplainError(
            f"guided backpropagation is a rule for ReLUs, and this network has none ({met}); use SmoothGrad()."
        )
    return made, rules


RELUS = {"relu", "relu6"}


def _is_relu(node: Any) -> bool:
    """Whether a step gives the gradient where its input was above 0, and nothing where it was below."""
    name: str = node.name()
    if name.startswith("LeakyReluBackward"):
        return node._saved_negative_slope == 0
    if name.startswith("ThresholdBackward"):
        return node._saved_threshold == 0
    if name.startswith("HardtanhBackward"):
        return node._saved_min_val == 0
    if name.startswith(("ClampBackward", "ClampMinBackward")):
        low = getattr(node, "_saved_min", None)
        return low is not None and not bool(torch.as_tensor(low).any())
    return name.startswith("ReluBackward")


def _may_be_relu(node: Any) -> bool:
    """Whether a step, or what it belongs to, can be a ReLU in other words."""
    name: str = node.name()
    if isinstance(node, torch.autograd.function.BackwardCFunction):
        return True  # a backward of another's own
    if name.startswith("MulBackward"):  # by a mask of places and channels
        kept = (getattr(node, f"_saved_{side}", None) for side in ("self", "other"))  # a number keeps no other side
        masks = [m for m in kept if isinstance(m, torch.Tensor)]
        # Zeros alone let nothing back, guided or not: maps that the network itself has blanked.
        return any(m.ndim > 1 and m.shape[1] > 1 and bool(((m == 0) | (m == 1)).all() & m.any()) for m in masks)
    if name.startswith(("MaximumBackward", "WhereBackward", "FmaxBackward")):  # of something and a constant
        return sum(before is not None for before, _ in node.next_functions) == 1
    if name.startswith(("MaxBackward", "AmaxBackward")):  # the same, put side by side
        return any(before is not None and _beside_another(before) for before, _ in node.next_functions)
    if name.startswith("PreluKernelBackward"):
        return not bool(node._saved_weight.any())
    written = ("IndexPutBackward", "MaskedFillBackward", "AbsBackward", "Foreach")
    return name.startswith(written) or "Graph" in name


def _beside_another(node: Any) -> bool:
    """Whether a step stacks several, or puts something beside a constant."""
    name, steps = node.name(), node.next_functions
    return name.startswith("StackBackward") or (name.startswith("CatBackward") and any(s is None for s, _ in steps))
