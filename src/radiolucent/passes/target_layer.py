"""Which layer is explained, and how its output becomes feature maps (N, K, h, w)."""

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import nn

from radiolucent.errors import ExplainError
from radiolucent.models.activations import outputs_of
from radiolucent.models.per_network import remember, structure_of
from radiolucent.passes.hooks import differentiable

__all__ = ["Layer", "Tokens", "find_layer", "tokens_of"]


@dataclass(frozen=True)
class Tokens:
    """How a vision transformer lays an image out: `prefix` tokens (class, registers), then a grid row by row."""

    prefix: int
    grid: tuple[int, int]


@dataclass(frozen=True)
class Layer:
    """A layer by its dotted name, and how its output is laid out.

    Attributes:
        kind: "maps" (N, K, h, w), "last" (N, h, w, K), or "tokens" (N, prefix + h·w, K).
    """

    name: str
    kind: Literal["maps", "last", "tokens"] = "maps"
    tokens: Tokens | None = None

    def maps(self, output: torch.Tensor) -> torch.Tensor:
        """The output as feature maps (N, K, h, w), float32; class and register tokens are dropped."""
        if self.kind == "last":
            return output.permute(0, 3, 1, 2).float()
        if self.kind == "tokens" and self.tokens is not None:
            places = output[:, self.tokens.prefix :].transpose(1, 2)
            return places.unflatten(2, self.tokens.grid).float()
        return output.float()


def tokens_of(network: nn.Module) -> Tokens | None:
    """A timm vision transformer's layout of tokens; None for any other network."""
    embed = getattr(network, "patch_embed", None)
    grid, prefix = getattr(embed, "grid_size", None), getattr(network, "num_prefix_tokens", None)
    if grid is None or prefix is None or not hasattr(network, "blocks"):
        return None
    return Tokens(int(prefix), cast(tuple[int, int], tuple(int(side) for side in grid)))


def find_layer(network: nn.Module, inputs: torch.Tensor, name: str | None = None) -> Layer:
    """The layer whose feature maps are weighed: the last that has any (h·w > 1), in order of execution.

    In a vision transformer with a class token that is the last block's `norm1`: behind it the other tokens no longer
    reach the logits. Remembered, because finding it costs a forward pass.

    Args:
        inputs: one image is enough (1, C, H, W).
        name: a layer by its dotted name instead.

    Raises:
        ExplainError: no such layer, or one without feature maps; candidates are listed.
    """
    what = "layers", tuple(inputs.shape[1:])
    layers = remember(network, what, structure_of(network), lambda: _all_layers(network, inputs[:1]))
    if name is not None:
        found = next((layer for layer in layers if layer.name == name), None)
        if found is None:
            last = list(dict.fromkeys(layer.name for layer in layers))[-12:]
            raise ExplainError(
                f"layer {name!r} gives no feature maps (N, K, h, w); candidates, the deepest last: "
                f"{', '.join(last) or 'none'}."
            )
        return found
    if not layers:
        raise ExplainError("the network has no layer with feature maps (N, K, h, w); use a perturbation method: LIME.")
    tokens = tokens_of(network)
    if tokens is not None and tokens.prefix:
        before = [layer for layer in layers if layer.name.startswith("blocks.") and layer.name.endswith(".norm1")]
        return before[-1] if before else layers[-1]
    return layers[-1]


def _all_layers(network: nn.Module, image: torch.Tensor) -> list[Layer]:
    """Every layer with feature maps, in order of execution."""
    tokens = tokens_of(network)
    found = [_layout(network, o.name, o.shape, tokens) for o in outputs_of(differentiable(network), image)]
    return [layer for layer in found if layer is not None]


def _layout(network: nn.Module, name: str, shape: tuple[int, ...], tokens: Tokens | None) -> Layer | None:
    if tokens is not None and len(shape) == 3 and shape[1] == tokens.prefix + tokens.grid[0] * tokens.grid[1]:
        return Layer(name, "tokens", tokens)
    if len(shape) != 4:
        return None
    # Hierarchical transformers (Swin) keep the channels last everywhere but in the convolution that makes the patches.
    last = getattr(network, "output_fmt", "NCHW") == "NHWC" and not name.startswith("patch_embed.proj")
    height, width = shape[1:3] if last else shape[2:]
    return Layer(name, "last" if last else "maps") if height * width > 1 else None
