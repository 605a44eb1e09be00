"""Through which layers the logits learn of the image."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from radiolucent.passes.hooks import frozen, not_called
from radiolucent.passes.places import first_of, with_first

__all__ = ["Flow", "flowing"]


class Placed(Protocol):
    """A layer with places: see `radiolucent.passes.target_layer.Layer`."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def grid(self) -> tuple[int, int]: ...
    @property
    def start(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Flow:
    """One pass of one image with its graph through every layer that has places.

    Attributes:
        image: the leaf. answer: a fixed mixture of the logits. kept: what layers gave, by name, in order of execution.
    """

    image: torch.Tensor
    answer: torch.Tensor
    kept: dict[str, torch.Tensor]
    layers: Sequence[Placed]
    gradients: dict[str, torch.Tensor | None]

    @property
    def moves(self) -> bool:
        """Whether the answer depends on this image, to first order."""
        if not self.answer.requires_grad:
            return False
        found = torch.autograd.grad(
            self.answer, self.image, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return bool(found[0].any())

    def reaches(self, layer: Placed) -> bool:
        """Whether the logits depend on the layer's places, and on all that these say of themselves.

        A number that is looked at of the class token and of no place (the queries of the last attention) is none of
        the places' features: the layer is a projection, and not the feature maps.
        """
        found = self.gradients.get(layer.name)
        if found is None or not bool(found.any()):
            return False
        if layer.kind != "tokens":
            return True
        end = layer.start + layer.grid[0] * layer.grid[1]
        used = found[0].ne(0)
        places = used[layer.start : end].any(0)
        others = torch.cat([used[: layer.start], used[end:]]).any(0)
        return bool(places.any()) and not bool((others & ~places).any())

    def whole(self, layer: Placed) -> bool:
        """Whether nothing of the image's places reaches the logits past this layer.

        What class tokens have read before it does not count where they read its places, too: they are not places.
        Where they no longer do, the layer holds a part of the logits only, such as an auxiliary head's.
        """
        at = [other.name for other in self.layers].index(layer.name)
        tokens = [[o for o in part if o.kind == "tokens"] for part in (self.layers[:at], self.layers[at + 1 :])]
        before = [self.kept[o.name].register_hook(_places_only(o)) for o in tokens[0]]
        if self._past(layer, torch.zeros_like, before):
            return False
        return not self._past(layer, _without_places(layer)) or self._read_by_class_tokens(layer, tokens[1])

    def _past(self, layer: Placed, stop: Any, hooks: Sequence[Any] = ()) -> bool:
        """Whether anything of the image reaches the logits past what is stopped at the layer."""
        return bool(self._gradient(self.image, [*hooks, self.kept[layer.name].register_hook(stop)]).any())

    def _read_by_class_tokens(self, layer: Placed, after: Sequence[Placed]) -> bool:
        """Whether the layer's numbers reach the logits through class tokens of the layers after it."""
        hooks = [self.kept[other.name].register_hook(_places_only(other)) for other in after]
        changes = self._gradient(self.kept[layer.name], hooks) - self._gradient(self.kept[layer.name], ())
        return bool((changes if layer.kind != "tokens" else _places_only(layer)(changes)).any())

    def _gradient(self, leaf: torch.Tensor, hooks: Sequence[Any]) -> torch.Tensor:
        """Of the answer, under hooks that are taken off again."""
        try:
            return torch.autograd.grad(self.answer, leaf, retain_graph=True, allow_unused=True, materialize_grads=True)[
                0
            ]
        finally:
            for hook in hooks:
                hook.remove()


def _without_places(layer: Placed) -> Callable[[torch.Tensor], torch.Tensor]:
    if layer.kind != "tokens":
        return torch.zeros_like
    only = _places_only(layer)

    def others(gradient: torch.Tensor) -> torch.Tensor:
        return gradient - only(gradient)

    return others


def _places_only(layer: Placed) -> Callable[[torch.Tensor], torch.Tensor]:
    end = layer.start + layer.grid[0] * layer.grid[1]

    def only(gradient: torch.Tensor) -> torch.Tensor:
        kept = torch.zeros_like(gradient)
        kept[:, layer.start : end] = gradient[:, layer.start : end]
        return kept

    return only


@contextmanager
def flowing(network: nn.Module, image: torch.Tensor, layers: Sequence[Placed]) -> Generator[Flow]:
    """The pass of one image (1, C, H, W) through all these layers, kept inside."""
    kept: dict[str, torch.Tensor] = {}

    def keeper(name: str) -> Any:
        def keep(_: nn.Module, __: Any, output: Any) -> Any:
            value = first_of(output)
            if value is None:
                return None
            kept.pop(name, None)
            # A tensor of its own: of several things that a module gives, others may come from the same numbers, and
            # only what is handed on in this place counts. Cloned again, because what follows may write in place.
            kept[name] = value.clone() if value.requires_grad else value.detach().requires_grad_()
            return with_first(output, kept[name].clone())

        return keep

    pooled: list[torch.Tensor] = []

    def pool(_: nn.Module, given: tuple[Any, ...]) -> None:
        if given and isinstance(given[0], torch.Tensor) and given[0].ndim == 2 and given[0].requires_grad:
            pooled[:] = [given[0]]

    handles = [network.get_submodule(layer.name).register_forward_hook(keeper(layer.name)) for layer in layers]
    handles += [m.register_forward_pre_hook(pool) for m in network.modules()]
    try:
        with torch.enable_grad(), frozen(network):
            leaf = image.detach().clone().requires_grad_()
            found = first_of(network(leaf.clone()))  # which may write in place
            assert found is not None
    finally:
        for handle in handles:
            handle.remove()
    if uncalled := [layer.name for layer in layers if layer.name not in kept]:
        raise not_called(uncalled)
    values = {layer.name: kept[layer.name] for layer in layers}

    def flow(answer: torch.Tensor) -> Flow:
        return Flow(leaf, answer, kept, layers, _gradients(answer, values))

    made = flow(_mixed(found))
    # Where the last weights are zero, as before training, what goes into them says through what they would learn. An
    # answer that moves has its way past these layers.
    if pooled and not any(g is not None and bool(g.any()) for g in made.gradients.values()) and not made.moves:
        made = flow(_mixed(pooled[0]))
    yield made


def _mixed(values: torch.Tensor) -> torch.Tensor:
    """A fixed mixture of an image's numbers, on the graph."""
    with torch.enable_grad():
        return (values * torch.randn(values.shape[1:], generator=torch.Generator().manual_seed(0)).to(values)).sum()


def _gradients(answer: torch.Tensor, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor | None]:
    if not answer.requires_grad or not values:
        return dict.fromkeys(values)
    found = torch.autograd.grad(answer, list(values.values()), retain_graph=True, allow_unused=True)
    return dict(zip(values, found, strict=True))
