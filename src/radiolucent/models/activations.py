"""What a network's layers put out: which layers have feature maps, and their values for a batch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from radiolucent.errors import ModelError
from radiolucent.models.modes import evaluating
from radiolucent.models.opaque import opaque
from radiolucent.models.per_network import remember, structure_of
from radiolucent.models.settings import settings_of
from radiolucent.models.takes import fitting

__all__ = ["FeatureLayer", "Output", "activations", "feature_layers", "main_layers", "outputs_of"]


@dataclass(frozen=True)
class FeatureLayer:
    """A layer with feature maps: its dotted name, its kind, and the shape (channels, h, w) of its maps."""

    name: str
    kind: str
    channels: int
    height: int
    width: int


class _Enough(Exception):
    """Everything asked for was seen: the rest of the network need not run."""


@dataclass(frozen=True)
class Output:
    """What a module put out: its dotted name, its kind, the shape, and whether it only handed on a child's output."""

    name: str
    kind: str
    shape: tuple[int, ...]
    handed_on: bool


def outputs_of(network: nn.Module, inputs: torch.Tensor) -> list[Output]:
    """What every module gives that gives a tensor, in order of execution, for inputs (N, C, H, W)."""
    _see_through(network)
    names = {module: name for name, module in network.named_modules()}
    seen: list[Output] = []
    latest: list[Any] = [None]

    def note(module: nn.Module, _: Any, output: Any) -> None:
        handed_on, latest[0] = output is latest[0] and any(True for _ in module.children()), output
        if isinstance(output, torch.Tensor):
            seen.append(Output(names[module], type(module).__name__, tuple(output.shape), handed_on))

    handles = [m.register_forward_hook(note) for m in network.modules() if m is not network]
    try:
        with evaluating(network), torch.no_grad():
            network(fitting(network, inputs.clone()))  # which may write in place
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _see_through(network: nn.Module) -> None:
    if why := opaque(network):
        raise ModelError(f"the network is {why}: its layers cannot be looked at. Give the plain module it was made of.")


def feature_layers(network: nn.Module, inputs: torch.Tensor) -> list[FeatureLayer]:
    """Every layer that gives maps (N, K, h, w) with h·w > 1, in order of execution, for inputs (N, C, H, W).

    A container that hands on its last layer's maps is not listed beside that layer.

    Raises:
        ModelError: there is none.
    """
    found: dict[str, FeatureLayer] = {}
    for out in outputs_of(network, inputs[:1]):
        if not out.handed_on and len(out.shape) == 4 and out.shape[2] * out.shape[3] > 1:
            found.pop(out.name, None)  # a layer called several times counts with its last call
            found[out.name] = FeatureLayer(out.name, out.kind, *out.shape[1:])
    if not found:
        raise ModelError("the network has no layer with feature maps (N, K, h, w): its inside cannot be shown as maps.")
    return list(found.values())


def _calls(network: nn.Module, inputs: torch.Tensor) -> Counter[str]:
    """How often each module gives something in a pass; found once."""

    def count() -> Counter[str]:
        return Counter(out.name for out in outputs_of(network, inputs[:1].detach()))

    return remember(network, ("calls", tuple(inputs.shape[1:])), (structure_of(network), settings_of(network)), count)


def main_layers(layers: Sequence[FeatureLayer], most: int = 6) -> list[FeatureLayer]:
    """Few layers from stem to head: the first, and the last of each resolution (thinned evenly to at most `most`)."""
    last: dict[tuple[int, int], FeatureLayer] = {(layer.height, layer.width): layer for layer in layers}
    chosen = list(dict.fromkeys([layers[0], *sorted(last.values(), key=layers.index)]))
    if len(chosen) <= most:
        return chosen
    kept = {round(i * (len(chosen) - 1) / (most - 1)) for i in range(most)}
    return [layer for i, layer in enumerate(chosen) if i in kept]


def activations(
    network: nn.Module, inputs: torch.Tensor, names: Sequence[str], *, gradients: bool = False
) -> dict[str, torch.Tensor]:
    """The maps (N, K, h, w) of the named layers for inputs (N, C, H, W), in the order asked for.

    The network runs in eval mode, no further than it must, and is left as it was. A layer called several times counts
    with its last call.

    Args:
        gradients: record the way from the inputs to the maps.

    Raises:
        ModelError: no such layer, or one that was not reached or gives no maps.
    """
    _see_through(network)
    known = dict(network.named_modules())
    if unknown := [n for n in names if n not in known]:
        raise ModelError(f"layer {', '.join(unknown)}: not in this network; `feature_layers` lists those with maps.")
    found: dict[str, torch.Tensor] = {}

    made: Counter[str] = Counter()

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: torch.Tensor) -> None:
            made[name] += 1
            found[name] = output.clone()  # what follows may write in place
            if all(made[each] >= calls[each] > 0 for each in names):
                raise _Enough

        return hook

    calls = _calls(network, inputs)
    handles = [known[name].register_forward_hook(keep(name)) for name in dict.fromkeys(names)]
    try:
        with evaluating(network), torch.set_grad_enabled(gradients):
            network(fitting(network, inputs).clone())  # which may write in place
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    if odd := [n for n in names if n not in found or found[n].ndim != 4]:
        raise ModelError(f"layer {', '.join(odd)}: gave no maps (N, K, h, w) for this input; choose another.")
    return {name: found[name] for name in names}
