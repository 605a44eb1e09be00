"""Forward passes of one image with small patches changed, computing only what the patches reach."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from radiolucent.explainers.graph import aten, fold_batch_norms, operations
from radiolucent.models import Classifier

__all__ = ["Incremental", "Patch", "gather", "gather_image", "incremental", "worth_tracing"]

WHOLE = 0.7
"""Share of a layer's map beyond which computing all of it is quicker than gathering what is needed."""

WORTH_TRACING = 100
"""Passes below which tracing a network takes longer than it saves."""

ELEMENTWISE = {
    getattr(aten, name).default
    for name in (
        "relu hardtanh sigmoid silu hardswish hardsigmoid gelu leaky_relu elu tanh clone detach alias neg exp softplus"
    ).split()
} | {aten.native_batch_norm.default, aten._native_batch_norm_legit_no_training.default}
BINARY = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}
POOLS = {aten.max_pool2d_with_indices.default, aten.avg_pool2d.default}


@dataclass(frozen=True, eq=False)
class Patch:
    """Changed parts of a map: values (n, C, h, w), and where their first rows and columns lie, int64 (n,)."""

    values: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor

    @property
    def size(self) -> tuple[int, int]:
        return int(self.values.shape[2]), int(self.values.shape[3])


@dataclass(frozen=True)
class Window:
    """What a layer's output depends on, along rows and columns: outputs o need inputs o·stride − pad … + reach − 1."""

    reach: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    beyond: float = 0.0  # what stands outside the map


Place = tuple[torch.Tensor, torch.Tensor, int, int]
"""y, x (n,), h and w of boxes of one size."""


@dataclass(eq=False)
class Incremental:
    """A network's operations, and the maps of one image that patches are pasted into.

    Source: Nakandala 2019 (Krypton), section 3: at each layer only the box that a changed patch reaches is computed,
    from the cached map of the unchanged image around it. Exact up to the order of summation. From the layer on where
    the box is nearly the whole map, or where an operation is not local, whole maps are computed.

    Attributes:
        batch: patches a pass; fewer are filled up.
        maps: of the unchanged image, behind every operation that is local.
    """

    graph: fx.GraphModule
    batch: int
    maps: dict[fx.Node, torch.Tensor]

    def logits(self, patches: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, K) of the image with patches (n, C, h, w) put at rows y and columns x (n,), n ≤ `batch`."""
        count, spare = len(patches), self.batch - len(patches)
        if spare:
            again = torch.cat([torch.arange(count), torch.full((spare,), count - 1)])
            patches, y, x = patches[again], y[again], x[again]
        state: dict[fx.Node, Any] = {}
        with torch.inference_mode():
            for node in self.graph.graph.nodes:
                if node.op == "placeholder":
                    state[node] = Patch(patches.contiguous(memory_format=torch.channels_last), y, x)
                elif node.op == "get_attr":
                    state[node] = getattr(self.graph, node.target)
                elif node.op == "output":
                    out = state[node.args[0] if isinstance(node.args[0], fx.Node) else node.args[0][0]]
                    return out[:count].float().cpu()
                else:
                    state[node] = self._step(node, state)
        raise AssertionError("a graph without an output")

    def plan(self, y: torch.Tensor, x: torch.Tensor, size: tuple[int, int]) -> float:
        """The share of a whole pass's multiplications that boxes of this size at these places need."""
        place: dict[fx.Node, Place | None] = {}
        needed = whole = 0.0
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                place[node] = (y, x, *size)
                continue
            if node.op != "call_function":
                continue
            place[node] = self._reached(node, place)
            if node.target == aten.convolution.default:
                shape, kernel = node.meta["val"].shape, node.args[1].meta["val"].shape
                cost = float(shape[1:].numel() * kernel[1:].numel())
                found = place[node]
                whole += cost
                needed += cost * (1.0 if found is None else found[2] * found[3] / (shape[2] * shape[3]))
        return needed / whole if whole else 1.0

    def _reached(self, node: fx.Node, place: dict[fx.Node, Place | None]) -> Place | None:
        """The boxes of a node's output that changed, None where whole maps are computed."""
        inputs = [n for n in node.all_input_nodes if n.op != "get_attr"]
        if node not in self.maps or any(place.get(n) is None for n in inputs):
            return None
        boxes = [place[n] for n in inputs]
        shape = _map_of(node).shape
        window = _window(node)
        if window is not None:
            assert boxes[0] is not None
            box = _behind(window, boxes[0], (int(shape[2]), int(shape[3])))
        else:
            box = _around([b for b in boxes if b is not None], (int(shape[2]), int(shape[3])))
        return None if box[2] * box[3] > WHOLE * shape[2] * shape[3] else box

    def _step(self, node: fx.Node, state: dict[fx.Node, Any]) -> Any:
        inputs = [n for n in node.all_input_nodes if n.op != "get_attr"]
        if any(isinstance(state[n], Patch) for n in inputs):
            place = {n: (v.y, v.x, *v.size) for n in inputs if isinstance(v := state[n], Patch)}
            box = self._reached(node, {n: place.get(n) for n in inputs})
            if box is not None:
                return self._local(node, state, box)
            for n in inputs:  # from here on whole maps
                if isinstance(state[n], Patch):
                    height, width = self.maps[n].shape[2:]
                    zero = torch.zeros_like(state[n].y)
                    state[n] = gather(self.maps[n], state[n], (zero, zero, int(height), int(width)))
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: state[n])
        return _run(node, args, kwargs)

    def _local(self, node: fx.Node, state: dict[fx.Node, Any], box: Place) -> Patch:
        window = _window(node)
        if window is None:  # each output depends on the inputs in its own place

            def here(n: fx.Node) -> Any:
                value = state[n]
                if not isinstance(value, Patch) or _same_place((value.y, value.x, *value.size), box):
                    return value.values if isinstance(value, Patch) else value
                return gather(self.maps[n], value, box)

            args, kwargs = fx.node.map_arg((node.args, node.kwargs), here)
            return Patch(_run(node, args, kwargs), *box[:2])
        source = node.all_input_nodes[0]
        patch: Patch = state[source]
        if window == Window((1, 1), (1, 1), (0, 0)):
            region = patch.values
        else:
            y, x, height, width = box
            needed = tuple(
                (n - 1) * s + r for n, s, r in zip((height, width), window.stride, window.reach, strict=True)
            )
            corner = (y * window.stride[0] - window.pad[0], x * window.stride[1] - window.pad[1])
            region = gather(self.maps[source], patch, (*corner, *needed), window.beyond)
        return Patch(_apply(node, region, state), *box[:2])


def worth_tracing(classifier: Classifier, passes: int) -> bool:
    """Whether so many passes make up for tracing the network, or it is traced already."""
    return passes >= WORTH_TRACING or "_radiolucent_graph" in classifier.network.__dict__


def incremental(classifier: Classifier, image: torch.Tensor, batch: int) -> "Incremental | str":
    """Make incremental passes around one image (1, C, H, W), or say why that does not work for this network.

    The traced operations are remembered on the network, for its next image.
    """
    state = classifier.network.state_dict(keep_vars=True).values()
    key = (tuple(image.shape[1:]), batch, *((t.data_ptr(), t._version) for t in state))
    memory = classifier.network.__dict__
    if classifier.dtype != torch.float32:
        return "it does not compute in float32"

    def plain(x: torch.Tensor) -> torch.Tensor:
        out = classifier.network(x)
        return out[0] if isinstance(out, tuple) else out

    try:
        if memory.get("_radiolucent_graph", (None,))[0] != key:
            example = image.expand(batch, -1, -1, -1).contiguous()
            memory["_radiolucent_graph"] = key, fold_batch_norms(operations(plain, example))
        graph: fx.GraphModule = memory["_radiolucent_graph"][1]
        with torch.inference_mode():
            made = Incremental(graph, batch, _maps(graph, image))
        zero = torch.zeros(1, dtype=torch.long)
        alike, expected = made.logits(image.flip(-1), zero, zero), classifier.logits(image.flip(-1))
    except Exception as error:  # a network may refuse in any way
        return f"it cannot be traced ({type(error).__name__}: {str(error)[:120]})"
    if len(made.maps) < 2:
        return "it does not begin with local operations"
    apart = float((alike - expected).abs().max() / max(1.0, float(expected.abs().max())))
    return made if apart <= 1e-4 else f"its traced logits differ by {apart:.0e}"


def _maps(graph: fx.GraphModule, image: torch.Tensor) -> dict[fx.Node, torch.Tensor]:
    """Maps (1, C, H, W) of the image behind every operation that is local, as are all before it."""
    maps: dict[fx.Node, torch.Tensor] = {}
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            maps[node] = image
        elif node.op == "call_function" and _is_local(node, maps):
            args, kwargs = fx.node.map_arg(
                (node.args, node.kwargs), lambda n: maps[n] if n in maps else getattr(graph, n.target)
            )
            maps[node] = _run(node, args, kwargs).contiguous(memory_format=torch.channels_last)
    return maps


def _is_local(node: fx.Node, maps: dict[fx.Node, Any]) -> bool:
    inputs = [n for n in node.all_input_nodes if n.op != "get_attr"]
    if not inputs or any(n not in maps for n in inputs):
        return False
    if node.target is operator.getitem:
        return node.args[1] == 0
    if _map_of(node) is None or _map_of(node).ndim != 4:
        return False
    if node.target in ELEMENTWISE:
        return True
    if node.target in BINARY:
        others = [n.meta["val"] for n in node.all_input_nodes if n.op == "get_attr"]
        alike = all(_map_of(n).shape == _map_of(node).shape for n in inputs)
        return alike and all(t.ndim == 0 or (t.ndim >= 3 and t.shape[-2:] == (1, 1)) for t in others)
    if node.target == aten.cat.default:
        return len(node.args) > 1 and node.args[1] in (1, -3) and len(inputs) == len(node.args[0])  # type: ignore[arg-type]
    return _window(node) is not None


def _map_of(node: fx.Node) -> Any:
    value = node.meta.get("val")
    return value[0] if isinstance(value, tuple | list) else value


def _run(node: fx.Node, args: Any, kwargs: Any) -> Any:
    if node.target is operator.getitem and isinstance(args[0], torch.Tensor):  # taken already
        return args[0]
    out = node.target(*args, **kwargs)
    return out[0] if _is_pair(node) else out


def _is_pair(node: fx.Node) -> bool:
    """Whether of a tuple only the first is ever used: it is taken at once."""
    return isinstance(node.meta.get("val"), tuple | list) and all(
        u.target is operator.getitem and u.args[1] == 0 for u in node.users
    )


def _two(value: Any, default: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    numbers = [value] if isinstance(value, int) else list(value)
    return default if not numbers else (int(numbers[0]), int(numbers[-1]))


def _window(node: fx.Node) -> Window | None:
    """How a convolution, pooling or padding looks at its input; None for anything else."""
    args = [*node.args, *[None] * 8]
    if node.target == aten.convolution.default and not args[6]:
        kernel, dilation = args[1].meta["val"].shape[2:], _two(args[5])
        reach = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
        return Window(reach, _two(args[3]), _two(args[4]))
    if node.target == aten.max_pool2d_with_indices.default and _is_pair(node):
        kernel, dilation = _two(args[1]), _two(args[4] or 1)
        reach = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
        return Window(reach, _two(args[2] or [], kernel), _two(args[3] or 0), float("-inf"))
    if node.target == aten.avg_pool2d.default:
        kernel, pad = _two(args[1]), _two(args[3] or 0)
        counts_alike = pad == (0, 0) or args[5] is None or bool(args[5])
        if not args[4] and counts_alike and args[6] is None:
            return Window(kernel, _two(args[2] or [], kernel), pad)
    if node.target == aten.constant_pad_nd.default and len(args[1]) == 4 and min(args[1]) >= 0:
        return Window((1, 1), (1, 1), (args[1][2], args[1][0]), float(args[2] or 0.0))
    return None


def _apply(node: fx.Node, region: torch.Tensor, state: dict[fx.Node, Any]) -> torch.Tensor:
    """A node's operation on regions that hold their own padding."""
    args = [*node.args, *[None] * 8]
    if node.target == aten.convolution.default:
        bias = None if args[2] is None else state[args[2]]
        return torch.conv2d(region, state[args[1]], bias, _two(args[3]), 0, _two(args[5]), args[8])
    if node.target == aten.max_pool2d_with_indices.default:
        return F.max_pool2d(region, _two(args[1]), _two(args[2] or [], _two(args[1])), 0, _two(args[4] or 1))
    if node.target == aten.avg_pool2d.default:
        return F.avg_pool2d(region, _two(args[1]), _two(args[2] or [], _two(args[1])))
    return region


def _behind(window: Window, box: Place, size: tuple[int, int]) -> Place:
    """Boxes of the output that hold all that the changed boxes reach, moved inside the map and of one size."""
    first, extent = list[torch.Tensor](), list[int]()
    for axis in (0, 1):
        start, length = box[axis], int(box[2 + axis])
        reach, stride, pad = window.reach[axis], window.stride[axis], window.pad[axis]
        low = (-((reach - 1 - pad - start) // stride)).clamp(
            0, size[axis] - 1
        )  # ceil((start + pad − reach + 1)/stride)
        high = ((start + length - 1 + pad) // stride + 1).clamp(1, size[axis])
        most = max(int((high - low).max()), 1)
        first.append(torch.minimum(low, torch.tensor(size[axis] - most)))
        extent.append(most)
    return first[0], first[1], extent[0], extent[1]


def _around(boxes: Sequence[Place], size: tuple[int, int]) -> Place:
    """Boxes of one size that hold several boxes each."""
    if all(_same_place(b, boxes[0]) for b in boxes):
        return boxes[0]
    first, extent = list[torch.Tensor](), list[int]()
    for axis in (0, 1):
        low = torch.stack([b[axis] for b in boxes]).amin(0)
        high = torch.stack([b[axis] + b[2 + axis] for b in boxes]).amax(0)
        most = int((high - low).max())
        first.append(torch.minimum(low, torch.tensor(size[axis] - most)))
        extent.append(most)
    return first[0], first[1], extent[0], extent[1]


def _same_place(one: Place, other: Place) -> bool:
    return one is other or (one[2:] == other[2:] and torch.equal(one[0], other[0]) and torch.equal(one[1], other[1]))


def gather(whole: torch.Tensor, patch: Patch, box: Place, beyond: float = 0.0) -> torch.Tensor:
    """Boxes (n, C, h, w) of a map (1, C, H, W) with each sample's patch pasted in, `beyond` outside the map.

    All are rows of one table (the map's pixels, one for outside, the patches' pixels), taken by one index.
    """
    _, channels, height, width = whole.shape
    y, x, rows, columns = box
    high, wide = patch.size
    ys, xs = y[:, None] + torch.arange(rows), x[:, None] + torch.arange(columns)
    outside = ((ys < 0) | (ys >= height))[:, :, None] | ((xs < 0) | (xs >= width))[:, None]
    index = ys[:, :, None] * width + xs[:, None]
    index.masked_fill_(outside, height * width)
    down, right = ys - patch.y[:, None], xs - patch.x[:, None]
    inside = ((down >= 0) & (down < high))[:, :, None] & ((right >= 0) & (right < wide))[:, None]
    start = height * width + 1 + torch.arange(len(y))[:, None, None] * (high * wide)
    index = torch.where(inside, start + down[:, :, None] * wide + right[:, None], index)
    outer = whole.new_full((1, channels), beyond)
    table = torch.cat([_pixels(whole), outer, _pixels(patch.values)])
    taken = table.index_select(0, index.flatten().to(table.device))
    return taken.view(len(y), rows, columns, channels).permute(0, 3, 1, 2)


def gather_image(whole: torch.Tensor, y: torch.Tensor, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Boxes (n, C, h, w) of a map (1, C, H, W) at rows y and columns x (n,)."""
    index = (y[:, None] + torch.arange(size[0]))[:, :, None] * whole.shape[3]
    index = index + (x[:, None] + torch.arange(size[1]))[:, None]
    taken = _pixels(whole).index_select(0, index.flatten().to(whole.device))
    return taken.view(len(y), *size, whole.shape[1]).permute(0, 3, 1, 2)


def _pixels(maps: torch.Tensor) -> torch.Tensor:
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
