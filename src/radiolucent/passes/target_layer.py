"""Which layer is explained, and how its output becomes feature maps (N, K, h, w)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from radiolucent.errors import ExplainError
from radiolucent.models.in_lungs import InLungs
from radiolucent.models.per_network import changes_counted, remember, remembered, structure_of
from radiolucent.models.settings import noting_what_moves, settings_of
from radiolucent.models.wrap import one_at_a_time
from radiolucent.passes.flow import Flow, flowing
from radiolucent.passes.hooks import differentiable, gradients_told
from radiolucent.passes.places import SURE, Layout, Probe, probed

__all__ = ["Layer", "Place", "Reshape", "Reshaped", "find_layer"]

UNSURE = 8
"""Layers that may be maps and did not follow the image that are asked once more, by their gradients."""

TRIED = 40
"""Layers looked at from the end on: a network whose last layers are all beside one another has no one target layer."""

MOSTLY = 0.1
"""Least of how much an outermost row looks at a row of the image around its own place, as a share of its mean."""

Reshape = Callable[[torch.Tensor], torch.Tensor]
"""A layer's output to feature maps (N, K, h, w)."""


@dataclass(frozen=True)
class Reshaped:
    """A layer by name whose output a function of the user's lays out."""

    name: str | None
    reshape: Reshape


Place = str | Reshaped | None
"""A layer asked for: by name, or None for the one found."""


@dataclass(frozen=True)
class Layer:
    """A layer by its dotted name, and how its output is laid out.

    Attributes:
        kind: "maps" (N, K, h, w), "last" (N, h, w, K), "tokens" (N, T, K), of which h·w in a row are places, or
            "reshaped", by a function of the user's.
        grid: (h, w), for tokens. start: the first token that is a place. calls: how often the module is called; the
            last call counts.
    """

    name: str
    kind: Literal["maps", "last", "tokens", "reshaped"] = "maps"
    grid: tuple[int, int] = (0, 0)
    start: int = 0
    calls: int = 1
    reshape: Reshape | None = None

    def maps(self, output: torch.Tensor) -> torch.Tensor:
        """The output as feature maps (N, K, h, w), float32; class and register tokens are dropped."""
        if self.reshape is not None:
            return self.reshape(output).float()
        if self.kind == "last":
            return output.permute(0, 3, 1, 2).float()
        if self.kind == "tokens":
            places = output[:, self.start : self.start + self.grid[0] * self.grid[1]].transpose(1, 2)
            return places.unflatten(2, self.grid).float()
        return output.float()

    def changed(self, output: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """The output with other feature maps (N, K, h, w); class and register tokens stay.

        Raises:
            ExplainError: a reshape that does more than pick numbers and put them elsewhere.
        """
        if self.kind == "maps":
            return maps.to(output)
        with torch.enable_grad():
            leaf = output.detach().clone().requires_grad_()
            graph = self.maps(leaf)
            now = graph.detach()
            by = torch.autograd.grad(graph, leaf, (maps - now).to(now))[0]
        found = output + by
        if self.reshape is not None:
            apart = (self.maps(found) - maps).abs().max()
            if float(apart) > 1e-3 * float(maps.abs().max() + now.abs().max()) + 1e-6:
                raise ExplainError(
                    f"reshape= of {self.name} does more than rearrange the layer's numbers; what it gives cannot be "
                    "put back into the network. Use a method that only reads feature maps: GradCAM()."
                )
        return found


def find_layer(network: nn.Module, inputs: torch.Tensor, place: Place = None) -> Layer:
    """The layer whose feature maps are weighed: the last one with places through which everything passes that the
    logits depend on in the image.

    Layouts are found by what moves when the image is changed (see `radiolucent.passes.places`), never by names. In a
    vision transformer that reads its answer from a class token this is the norm before the last attention: behind it
    the other tokens no longer reach the logits. Remembered, because finding it costs some passes of one image. The
    network of ours that lays its maps on the film itself (`InLungs.laid_on_film`) is not searched.

    Args:
        inputs: one image is enough (1, C, H, W).
        place: a layer by its dotted name instead, with or without the name under which a wrapper holds the network;
            or that with a function that lays its output out.

    Raises:
        ExplainError: no such layer, or none that is sure to have places; candidates are listed.
    """
    network = differentiable(network)
    if place is None and isinstance(network, InLungs):
        return Layer(network.laid_on_film)
    name, reshape = (place.name, place.reshape) if isinstance(place, Reshaped) else (place, None)
    if name is not None and reshape is None and (laid := _laid_on_film(network, name)) is not None:
        return laid
    if one_at_a_time(network):
        raise ExplainError(
            "the network takes one film at a time (an x.view(1, -1), or a check of the batch), and where its layers "
            "look is found with several. Let it take batches, e.g. by x.flatten(1), or use a method without a layer: "
            "IntegratedGradients(), LIME()."
        )
    probes, found = _looked_up(network, inputs[:1])
    if name is not None:
        return _named(network, probes, name, reshape)
    if reshape is not None:
        raise ExplainError("reshape= says how one layer's output is laid out; name that layer with layer=.")
    if found is None:
        raise ExplainError(
            "no layer is sure to hold the image's places and to be what the logits are made of. Name one with layer=, "
            f"and say with reshape= how it is laid out if need be; candidates, the deepest last: {_listed(probes)}. "
            "Or use a method that only perturbs the image: LIME()."
        )
    return found


def _laid_on_film(network: nn.Module, name: str) -> Layer | None:
    """The layer of that name, where it is the one of an `InLungs` that lays its maps on the film; None of others.

    Raises:
        ExplainError: a layer of an `InLungs` before that one, whose maps would be stretched over the whole film.
    """
    for path, module in network.named_modules():
        if not isinstance(module, InLungs):
            continue
        start = f"{path}." if path else ""
        inner = name.removeprefix("module.").removeprefix(start.removeprefix("module."))
        if inner == module.laid_on_film:
            return Layer(start + inner)
        if inner and inner in dict(module.named_modules()):
            raise ExplainError(
                f"layer {name!r} finds the lungs' window, or holds places of it and not of the film: its map would be "
                f"stretched over the whole film. Choose {start + module.laid_on_film!r}, which lays the maps where "
                "they lie, or say with reshape= how they become (N, K, h, w) of the film."
            )
    return None


def _looked_up(network: nn.Module, image: torch.Tensor) -> tuple[list[Probe], Layer | None]:
    """What every layer does, and the target layer: remembered for the network as it is set, and as what it learnt."""
    what = tuple(image.shape[1:])

    def valid(refused: bool = False) -> tuple[Any, ...]:
        learnt = changes_counted(network) if refused else None
        return structure_of(network), settings_of(network), learnt

    kept: tuple[list[Probe], Layer | None] | None = remembered(network, ("target layer", what), valid())
    kept = kept or remembered(network, ("no target layer", what), valid(refused=True))
    if kept is not None:
        return kept
    image = image.clone()  # the network may write in place
    with noting_what_moves(network), gradients_told():
        probes, found, told = _looked_at(network, image)
        again = None
        if found is None and not told:  # another image may tell; if that does not either, none will be asked
            again = _looked_at(network, _noise(image))
    if found is None and (told or (again is not None and again[1] is None)):
        remember(network, ("no target layer", what), valid(refused=True), lambda: (probes, found))
    elif told:  # an image on which the answer never moves says nothing about the next one
        remember(network, ("target layer", what), valid(), lambda: (probes, found))
    return probes, found


def _named(network: nn.Module, probes: Sequence[Probe], name: str, reshape: Reshape | None) -> Layer:
    known = {p.name: p for p in probes}
    modules = {n for n, _ in network.named_modules()}
    spellings = (name, f"module.{name}", name.removeprefix("module."))
    full = next((n for n in spellings if n in modules), name)
    probe = known.get(full)
    if probe is not None and reshape is not None:
        return Layer(full, "reshaped", calls=probe.calls, reshape=reshape)
    layer = None if probe is None else _layers(probes).get(full)
    if layer is not None:
        return layer
    if full not in modules:
        raise ExplainError(
            f"no layer {name!r}: it gives no feature maps; candidates, the deepest last: {_listed(probes)}."
        )
    shape = "no tensor" if probe is None else f"a tensor {('N', *probe.shape[1:])}".replace("'", "")
    raise ExplainError(
        f"layer {name!r} gives {shape}, which is not sure to be feature maps of the image's places. Say with reshape= "
        f"how it becomes (N, K, h, w), or choose another; candidates, the deepest last: {_listed(probes)}."
    )


def _layers(probes: Sequence[Probe]) -> dict[str, Layer]:
    """Every layer that has places, in order of execution."""
    found: dict[str, Layer] = {}
    before: Layout | None = None
    known: dict[int, Layout] = {}
    for probe in probes:
        layout = probe.layout(known) or (None if before is None else probe.like(before))
        if layout is not None:
            found[probe.name] = Layer(probe.name, layout.kind, layout.grid, layout.start, probe.calls)
            before = layout if len(probe.shape) == 4 else before
    return found


def _listed(probes: Sequence[Probe]) -> str:
    return ", ".join(list(_layers(probes))[-12:]) or "none"


def _looked_at(network: nn.Module, image: torch.Tensor) -> tuple[list[Probe], Layer | None, bool]:
    """What every layer does, the target layer, and whether the image told which it is."""
    probes = probed(network, image)
    layers = list(_layers(probes).values())
    unsure = _not_laid_out(probes, layers)
    with flowing(network, image, [*layers, *unsure]) as flow:
        passing = [layer for layer in layers if flow.reaches(layer)]
        if passing:
            found = next((one for one in passing[: -TRIED - 1 : -1] if flow.whole(one)), None)
            order = [p.name for p in probes]
            later = [one for one in unsure if found is not None and order.index(one.name) > order.index(found.name)]
            found = next((one for one in reversed(later) if _is_laid_out(flow, one)), found)
            if found is None or _spans(flow, found) or _spans_noise(network, image, found):
                return probes, found, True
            return [replace(p, changes={}) for p in probes], None, False  # nor does any other layer
        if flow.moves:  # the image matters, and no layer is sure to say where
            return probes, None, False
    # The answer is the same whatever lies in this image: the map is zero at any layer that the logits come from.
    maps = [Layer(p.name, calls=p.calls) for p in probes if len(p.shape) == 4 and p.shape[2] * p.shape[3] > 1]
    with flowing(network, image, maps) as flow:
        joined = [one for one in maps if flow.gradients[one.name] is not None]
    return probes, (joined or layers or [None])[-1], False


def _not_laid_out(probes: Sequence[Probe], layers: Sequence[Layer]) -> list[Layer]:
    """The last layers that could be maps by their shape, and did not follow what was laid over the image.

    A network that first finds where to look finds something else once the image is changed.
    """
    known = {layer.name for layer in layers}
    maps = [p for p in probes if len(p.shape) == 4 and min(p.shape[2:]) > 1 and p.name not in known]
    return [Layer(p.name, grid=(p.shape[2], p.shape[3]), calls=p.calls) for p in maps[-UNSURE:]]


def _is_laid_out(flow: Flow, layer: Layer) -> bool:
    """Whether a layer passes everything on, and its rows and columns look at the image in their order."""
    if not flow.reaches(layer) or not flow.whole(layer):
        return False
    for axis in (2, 3):
        lines = [(at, seen) for at, seen in _lines(flow, layer, axis) if bool(seen.any())]
        if len(lines) < 3:
            return False
        seen = torch.stack([line for _, line in lines]).double().square()
        centres = seen @ torch.arange(seen.shape[1]).to(seen) / seen.sum(1)
        if float(torch.corrcoef(torch.stack([centres, torch.tensor([at for at, _ in lines]).to(seen)]))[0, 1]) < SURE:
            return False
    return True


def _lines(
    flow: Flow, layer: Layer, axis: int, order: Sequence[int] | None = None
) -> Iterator[tuple[int, torch.Tensor]]:
    """How much each row (axis 2) or column (3) of a layer looks at each row or column of the image."""
    with torch.enable_grad():
        maps = layer.maps(flow.kept[layer.name])
    draw = torch.Generator().manual_seed(0)
    mixture = torch.randn(maps.shape, generator=draw).to(maps)
    for at in range(maps.shape[axis]) if order is None else order:
        with torch.enable_grad():
            line = (maps * mixture).select(axis, at).sum()
        seen = torch.zeros_like(flow.image)
        if line.requires_grad:
            seen = torch.autograd.grad(line, flow.image, retain_graph=True, allow_unused=True, materialize_grads=True)[
                0
            ]
        yield at, seen.abs().sum((0, 1, 5 - axis))


def _spans(flow: Flow, layer: Layer) -> bool:
    """Whether a layer's places span the image, and not a part that the network cuts out of it, or more than it.

    The outermost row or column on each side that looks at the image at all has to look, give or take one, where it
    lies once the map is stretched over the image, and not mostly elsewhere. One that looks at all of the image does.
    The map's own first and last must not leave more of the image unseen than one of them covers.
    """
    for axis in (2, 3):
        count = _grid_of(flow, layer)[axis - 2]
        for order in (range(count // 2), range(count - 1, (count - 1) // 2, -1)):
            first = next(((at, seen) for at, seen in _lines(flow, layer, axis, order) if bool(seen.any())), None)
            if first is not None and not _looks_at_its_place(first[1], first[0], count):
                return False
    return True


def _grid_of(flow: Flow, layer: Layer) -> tuple[int, int]:
    height, width = layer.maps(flow.kept[layer.name].detach()).shape[2:]
    return height, width


def _looks_at_its_place(seen: torch.Tensor, at: int, count: int) -> bool:
    """Whether row `at` of `count` looks where it lies, by how much it looks at each row of the image (size,)."""
    size = len(seen)
    first, end = max((at - 1) * size // count, 0), min(-(-(at + 2) * size // count), size)
    known = seen.nonzero()
    past = int(known[0]) if at == 0 else size - 1 - int(known[-1]) if at == count - 1 else 0
    return past * count <= size and float(seen[first:end].mean()) >= MOSTLY * float(seen.mean())


def _spans_noise(network: nn.Module, image: torch.Tensor, layer: Layer) -> bool:
    """`_spans` of an image of noise: in this one, features may be dead along a black border."""
    with flowing(network, _noise(image), [layer]) as flow:
        return _spans(flow, layer)


def _noise(image: torch.Tensor) -> torch.Tensor:
    draw = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)).to(image)
    return draw * 2 - 1
