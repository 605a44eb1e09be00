"""A transformer's layers that attend to all tokens, found by what is computed while the network runs."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import BaseTorchFunctionMode

from radiolucent.errors import ExplainError
from radiolucent.explainers.attention import Opened
from radiolucent.models import Classifier
from radiolucent.models.difference import relative_difference
from radiolucent.models.per_network import remember, structure_of
from radiolucent.models.takes import fitting
from radiolucent.passes.forward import Pass
from radiolucent.passes.hooks import differentiable, frozen
from radiolucent.passes.places import first_of, with_first

__all__ = ["Attended", "AttentionLayers", "all_over_tokens", "refused"]


def refused(method: str, why: str) -> ExplainError:
    return ExplainError(
        f"{method} is meant for transformers in which every layer attends to all of the image's tokens, and {why}. Use "
        "AttnLRP() for other transformers, GradCAM() for convolutional networks."
    )


@dataclass(frozen=True, eq=False)
class Attended:
    """What each layer's tokens would answer, as if it were the last one.

    Attributes:
        attention: of each layer (N · heads, T, T) or (N, heads, T, T), by which the logits can be differentiated.
        logits: float32 (L · N, K) on the CPU, of the first layer's tokens first; each row's graph leads to its own
            layer's attention only.
    """

    attention: list[torch.Tensor]
    logits: torch.Tensor


@dataclass(frozen=True, eq=False)
class Ran:
    """What a pass computed on its way.

    Attributes:
        attention: of each layer (N · heads, T, T) or (N, heads, T, T), on the graph.
        tokens: (N, T, K) behind the last layer. logits: float32 (N, K) on the CPU.
    """

    attention: list[torch.Tensor]
    tokens: torch.Tensor
    logits: torch.Tensor


@dataclass(frozen=True)
class AttentionLayers:
    """Layers that attend to all tokens, in order of execution.

    Attributes:
        method: that asks, for messages. names: the layers' modules. calls: which call of the module it is, from 1 on.
        lead: the first length of each layer's attention for one image. grid: (h, w). start: the first token that is a
            place.
    """

    method: str
    names: Sequence[str]
    calls: Sequence[int]
    lead: Sequence[int]
    grid: tuple[int, int]
    start: int

    def at_places(self, tokens: torch.Tensor) -> torch.Tensor:
        """Numbers of tokens (N, T) as maps (N, h, w)."""
        return tokens[:, self.start : self.start + self.grid[0] * self.grid[1]].unflatten(1, self.grid)

    def as_it_runs(self, classifier: Classifier, inputs: torch.Tensor) -> Ran:
        """One pass with its graph through every layer's attention.

        Args:
            inputs: (N, C, H, W).

        Raises:
            ExplainError: the layers' attention is not the images' side by side.
        """
        network, watch = differentiable(classifier.network), _Keeping()
        given = fitting(network, inputs.to(classifier.device, classifier.dtype)).clone()
        alone = _Last(self)
        handle = network.get_submodule(self.names[-1]).register_forward_hook(alone.hand_on)
        try:
            with torch.enable_grad(), frozen(network), watch:
                out = network(given.requires_grad_().clone())  # it may write in place
        finally:
            handle.remove()
        self._checked(watch.attention, len(inputs))
        assert alone.tokens is not None
        return Ran(watch.attention, alone.tokens, (out[0] if isinstance(out, tuple) else out).float().cpu())

    def _checked(self, attention: Sequence[torch.Tensor], count: int) -> None:
        if len(attention) != len(self.lead) or any(
            len(a) != count * lead for a, lead in zip(attention, self.lead, strict=True)
        ):
            raise refused(self.method, "its attention does not keep the images' axis before all others")

    def each_to_the_end(self, classifier: Classifier, inputs: torch.Tensor, expected: torch.Tensor) -> Attended:
        """One pass in which the network's last part is given every layer's tokens, side by side.

        Args:
            inputs: (N, C, H, W). expected: the network's logits (N, K).

        Raises:
            ExplainError: the last part does not give the network's own logits for the last layer's tokens.
        """
        network, count = differentiable(classifier.network), len(inputs)
        given = fitting(network, inputs.to(classifier.device, classifier.dtype)).clone()
        with torch.enable_grad(), frozen(network), _each_layer_alone(network, self) as attention:
            out = network(given.requires_grad_().clone())  # it may write in place
        logits = (out[0] if isinstance(out, tuple) else out).float().cpu()
        near = max(1e-3, 4 * torch.finfo(classifier.dtype).eps)
        if len(logits) != count * len(self.names) or not (
            relative_difference(logits[-count:].detach(), expected.cpu()) <= near
        ):
            raise refused(self.method, "what follows the last layer depends on more than that layer's tokens")
        self._checked(attention, count)
        return Attended(attention, logits)


def all_over_tokens(classifier: Classifier, inputs: torch.Tensor, shared: Pass, method: str) -> AttentionLayers:
    """The network's layers, each the outermost module that holds one attention and gives as many tokens as it takes.

    Remembered, because finding them costs a pass of one image.

    Raises:
        ExplainError: no attention, or one that is not over all tokens: in windows, over fewer keys, to a class token.
    """
    network = differentiable(classifier.network)

    def look() -> list[_Call]:
        given = fitting(network, inputs[:1].to(classifier.device, classifier.dtype)).clone()
        with torch.enable_grad(), frozen(network), _watched(network) as seen:
            network(given.requires_grad_().clone())  # it may write in place
        return seen

    calls = remember(network, ("attention", tuple(inputs.shape[1:])), structure_of(network), look)
    if not calls:
        raise refused(method, "this network has no attention")
    for call in calls:
        if call.shape[-1] != call.shape[-2]:
            raise refused(method, f"one in {call.inside} is of {call.shape[-2]} tokens to {call.shape[-1]}")
        if call.tokens != call.shape[-1] or call.tokens != calls[0].tokens:
            raise refused(
                method,
                f"the one in {call.inside} is over {call.shape[-1]} tokens, not all of the image's (in a window?), or "
                "has no layer of its own",
            )
    first = shared.resolve(calls[0].layer)
    if first.kind != "tokens":
        raise refused(method, f"what {first.name} gives is not sure to be tokens")
    return AttentionLayers(
        method, [c.layer for c in calls], [c.call for c in calls], [c.shape[0] for c in calls], first.grid, first.start
    )


@dataclass
class _Call:
    """One attention: its shape for one image, and the layer it belongs to once that is known.

    Attributes:
        inside: the innermost module. layer: the outermost one that holds no other attention. call: which call of it.
        tokens: how many it takes and gives; 0 where none is known.
    """

    shape: tuple[int, ...]
    inside: str
    layer: str = ""
    call: int = 0
    tokens: int = 0


class _Softmaxes(Opened, BaseTorchFunctionMode):
    """Calls `met` with every softmax over the last axis of (…, T, S) on the graph, for what it returns instead."""

    def met(self, attention: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_function__(func, types, args, kwargs or {})
        name = str(getattr(func, "__name__", "")).strip("_")
        if name != "softmax" or not isinstance(out, torch.Tensor) or not out.requires_grad or out.ndim < 3:
            return out
        return self.met(out)


class _Noting(_Softmaxes):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self.stack: list[tuple[str, tuple[int, ...], int]] = []  # name, shape given, attentions met before
        self.called: dict[str, int] = {}

    def met(self, attention: torch.Tensor) -> torch.Tensor:
        self.calls.append(_Call(tuple(attention.shape), self.stack[-1][0] if self.stack else "the network"))
        return attention

    def enter(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = next((a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)), None)
        self.called[name] = self.called.get(name, 0) + 1
        self.stack.append((name, () if given is None else tuple(given.shape), len(self.calls)))

    def leave(self, output: Any) -> None:
        name, given, before = self.stack.pop()
        value = first_of(output)
        if len(self.calls) == before + 1 and value is not None and value.ndim == 3 and (1, *value.shape[1:]) == given:
            last = self.calls[-1]  # of one image; windows would be several
            last.layer, last.call, last.tokens = name, self.called[name], given[1]


@contextmanager
def _watched(network: nn.Module) -> Generator[list[_Call]]:
    """Notes every attention inside, and the layer that it is of."""
    note, handles = _Noting(), list[Any]()
    names = {module: name for name, module in network.named_modules()}

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        note.enter(names[module], args, kwargs)

    def leave(_: nn.Module, __: Any, output: Any) -> None:
        note.leave(output)

    for module in names:
        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave))
    try:
        with note:
            yield note.calls
    finally:
        for handle in handles:
            handle.remove()


class _Cutting(_Softmaxes):
    """Every attention becomes the beginning of a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.attention: list[torch.Tensor] = []

    def met(self, attention: torch.Tensor) -> torch.Tensor:
        self.attention.append(attention.detach().requires_grad_())
        return self.attention[-1].clone()  # what follows may write in place


class _Keeping(_Softmaxes):
    """Every attention is kept, on the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.attention: list[torch.Tensor] = []

    def met(self, attention: torch.Tensor) -> torch.Tensor:
        self.attention.append(attention)
        return attention.clone()  # what follows may write in place


@dataclass
class _Last:
    """The tokens behind the last layer, kept on the graph."""

    layers: AttentionLayers
    called: int = 0
    tokens: torch.Tensor | None = None

    def hand_on(self, _: nn.Module, __: Any, output: Any) -> Any:
        self.called += 1
        if self.called != self.layers.calls[-1]:
            return None
        self.tokens = first_of(output)
        assert self.tokens is not None
        return with_first(output, self.tokens.clone())  # what follows may write in place


@dataclass
class _Alone:
    """Detaches what each attention layer gives; behind the last one stand the tokens of all layers, as one batch."""

    layers: AttentionLayers
    kept: list[torch.Tensor] = field(default_factory=list[torch.Tensor])
    called: dict[str, int] = field(default_factory=dict[str, int])

    def hand_on(self, name: str, output: Any) -> Any:
        self.called[name] = self.called.get(name, 0) + 1
        place = len(self.kept)
        if place == len(self.layers.names) or (name, self.called[name]) != (
            self.layers.names[place],
            self.layers.calls[place],
        ):
            return None
        value = first_of(output)
        assert value is not None
        self.kept.append(value.clone())
        if place < len(self.layers.names) - 1:
            return with_first(output, value.detach().requires_grad_())
        return with_first(output, torch.cat(self.kept))


@contextmanager
def _each_layer_alone(network: nn.Module, layers: AttentionLayers) -> Generator[list[torch.Tensor]]:
    alone, cutting = _Alone(layers), _Cutting()
    handles = [
        network.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: alone.hand_on(name, output))
        for name in dict.fromkeys(layers.names)
    ]
    try:
        with cutting:
            yield cutting.attention
    finally:
        for handle in handles:
            handle.remove()
