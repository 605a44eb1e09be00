"""Which layers learn: freezing by fraction, by Keras' layer count, or by stage; and the frozen prefix as a function."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from radiolucent.errors import ConfigError

__all__ = ["FrozenPrefix", "freeze", "frozen_prefix", "keras_layers", "set_train_mode"]

BatchNorm = nn.modules.batchnorm._BatchNorm  # pyright: ignore[reportPrivateUsage]


@dataclass(frozen=True, eq=False)
class FrozenPrefix:
    """A network cut in two: `rest(prefix(x))` equals the network, and nothing in `prefix` learns.

    Attributes:
        prefix, rest: the two parts as functions of tensors. modules: number of top-level steps in the prefix.
    """

    prefix: Callable[[torch.Tensor], torch.Tensor]
    rest: Callable[[torch.Tensor], torch.Tensor]
    modules: int


def _is_fused(module: nn.Module) -> bool:
    """timm's batch norm with its activation inside."""
    return isinstance(module, BatchNorm) and hasattr(module, "act")


def keras_layers(network: nn.Module) -> list[tuple[str, nn.Module | None]]:
    """The network's layers as Keras counts them: input, zero padding, convolution, batch norm, activation, pooling, ….

    Keras' MobileNet v1 has 87 up to its pooling, 92 with the head of the project this one succeeds: the input; a
    convolution, a batch norm and an activation each for the stem and for the depthwise and the pointwise part of 13
    blocks; and an explicit padding before each of the five strided convolutions. Counted here: one for the input, one
    for the padding of each strided stem or depthwise convolution, one for each leaf that computes, two for a batch
    norm with its activation inside. The 34th is then the activation behind the fifth block's depthwise convolution.

    Returns (name, module) in the order of definition, which for these networks is that of execution; module is None for
    layers without weights that exist only in Keras.
    """
    layers: list[tuple[str, nn.Module | None]] = [("input", None)]
    inside: tuple[str, ...] = ()
    for name, module in network.named_modules():
        if inside and name.startswith(inside):
            continue
        if _is_fused(module):
            layers += [(name, module), (f"{name}.act", module)]
            inside = (*inside, f"{name}.")
        elif not list(module.children()) and not isinstance(module, nn.Identity):
            strided = isinstance(module, nn.Conv2d) and max(module.stride) > 1
            depthwise = strided and (cast(nn.Conv2d, module).groups > 1 or len(layers) == 1)
            if depthwise:
                layers.append((f"{name}.pad", None))
            layers.append((name, module))
    return layers


def freeze(network: nn.Module, spec: str | float | int = "0") -> tuple[str, ...]:
    """Freeze the first layers; everything else learns. Frozen batch norms stay in eval (see `set_train_mode`).

    Args:
        spec: "0" or "none": nothing. "0.37": that fraction of the layers, in Keras' count. "34 layers" (or an int):
            that many. "stage:2": the stem and the first two stages (`blocks`, `layer1…`, `stages`). "all": all but
            the head.

    Returns the names of the frozen parameters.

    Raises:
        ConfigError: an unreadable spec, or more layers or stages than there are.
    """
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    for module in network.modules():
        module._frozen = False  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage, reportArgumentType]
    frozen = _chosen(network, str(spec).strip())
    for module in frozen:
        for part in module.modules():
            part._frozen = True  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage, reportArgumentType]
        for parameter in module.parameters():
            parameter.requires_grad_(False)
    return tuple(n for n, p in network.named_parameters() if not p.requires_grad)


def _chosen(network: nn.Module, spec: str) -> list[nn.Module]:
    if spec in ("0", "none", "0.0", ""):
        return []
    if match := re.fullmatch(r"stage:(\d+)", spec):
        return _stages(network, int(match[1]))
    layers = keras_layers(network)
    if spec == "all":
        head = set(network.get_classifier().modules()) if hasattr(network, "get_classifier") else set[nn.Module]()  # pyright: ignore[reportCallIssue]
        return [m for _, m in layers if m is not None and m not in head]
    if match := re.fullmatch(r"(\d+)(?: layers)?", spec):
        count = int(match[1])
    elif re.fullmatch(r"0?\.\d+|1\.0*", spec):
        count = round(float(spec) * len(layers))
    else:
        raise ConfigError(f"freeze {spec!r}; expected 0, a fraction such as 0.37, '34 layers', 'stage:2' or 'all'.")
    if count > len(layers):
        raise ConfigError(f"freeze {spec!r}: this network has {len(layers)} layers, in Keras' count.")
    return [m for _, m in layers[:count] if m is not None]


def _stages(network: nn.Module, count: int) -> list[nn.Module]:
    children = dict(network.named_children())
    order = list(children)
    container = next((n for n in ("blocks", "stages", "features") if n in children), None)
    if container:
        stages = list(children[container].children())
        before = [children[n] for n in order[: order.index(container)]]
    else:
        names = [n for n in order if re.fullmatch(r"layer\d+", n)]
        if not names:
            raise ConfigError(
                "freeze by stage: this network has no blocks, stages or layer1…; use '34 layers' or 0.37."
            )
        stages = [children[n] for n in names]
        before = [children[n] for n in order[: order.index(names[0])]]
    if count > len(stages):
        raise ConfigError(f"freeze 'stage:{count}': this network has {len(stages)} stages.")
    return before + stages[:count]


def set_train_mode(network: nn.Module) -> None:
    """Training mode, but frozen layers in eval, so that frozen batch norms keep their running statistics."""
    network.train()
    for module in network.modules():
        if getattr(module, "_frozen", False):
            module.training = False


def _steps(network: nn.Module) -> list[Callable[[torch.Tensor], torch.Tensor]] | None:
    """The network as a sequence of functions, where its structure is known; None elsewhere."""
    parts: list[Any] = []
    if hasattr(network, "stem") and hasattr(network, "blocks") and hasattr(network, "global_pool"):
        names = ["stem", "blocks", "global_pool", "head"]
    elif all(hasattr(network, n) for n in ("conv_stem", "bn1", "blocks", "forward_head")) and not hasattr(
        network, "conv1x1"
    ):
        names = ["conv_stem", "bn1", "blocks"]
    else:
        return None
    for name in names:
        module = getattr(network, name)
        parts += _flatten(module)
    if "conv_stem" in names:
        if isinstance(getattr(network, "conv_head", None), nn.Module) and not hasattr(network, "norm_head"):
            parts += [network.conv_head, network.bn2] if hasattr(network, "bn2") else []
        parts.append(network.forward_head)
    return parts


def _flatten(module: nn.Module) -> list[nn.Module]:
    """A sequence's members, and a depthwise-separable block without a shortcut as its four steps."""
    if isinstance(module, nn.Sequential):
        return [part for child in module for part in _flatten(child)]
    if type(module).__name__ == "DepthwiseSeparableConv" and not getattr(module, "has_skip", True):
        return [part for _, part in module.named_children()]
    return [module]


def frozen_prefix(network: nn.Module) -> FrozenPrefix | None:
    """Cut the network behind its frozen layers, where they come first and the structure is a plain sequence.

    The cut is verified on a random input: None where the two parts together do not give the network's own output.
    """
    steps = _steps(network)
    if steps is None:
        return None
    count = 0
    for step in steps:
        own = list(step.modules()) if isinstance(step, nn.Module) else []
        learns = not isinstance(step, nn.Module) or any(p.requires_grad for m in own for p in m.parameters(False))
        random = any(isinstance(m, nn.Dropout) and not getattr(m, "_frozen", False) for m in own)
        if learns or random or not all(getattr(m, "_frozen", False) or not list(m.parameters(False)) for m in own):
            break
        count += 1
    if not any(True for s in steps[:count] if isinstance(s, nn.Module) for _ in s.parameters()):
        return None
    first, second = steps[:count], steps[count:]

    def prefix(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            for step in first:
                x = step(x)
        return x

    def rest(x: torch.Tensor) -> torch.Tensor:
        for step in second:
            x = step(x)
        return x

    return FrozenPrefix(prefix, rest, count) if _equal(network, prefix, rest) else None


def _equal(network: nn.Module, prefix: Callable[..., torch.Tensor], rest: Callable[..., torch.Tensor]) -> bool:
    channels = next(p.shape[1] for p in network.parameters() if p.ndim == 4)
    modes = [(m, m.training) for m in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            x = torch.linspace(-1, 1, channels * 64 * 64).view(1, channels, 64, 64)
            return bool(torch.equal(network(x), rest(prefix(x))))
    finally:
        for module, mode in modes:
            module.training = mode
