"""Which layers learn: freezing by fraction, by Keras' layer count, or by stage."""

import re
from typing import cast

from torch import nn

from radiolucent.errors import ConfigError
from radiolucent.models.wrap import Wrapped

__all__ = ["freeze", "is_frozen", "keras_layers", "set_train_mode"]

BatchNorm = nn.modules.batchnorm._BatchNorm  # pyright: ignore[reportPrivateUsage]


def _is_fused(module: nn.Module) -> bool:
    """timm's batch norm with its activation inside."""
    return isinstance(module, BatchNorm) and hasattr(module, "act")


def is_frozen(module: nn.Module) -> bool:
    """Whether `freeze` froze this module, all of it."""
    return bool(getattr(module, "_frozen", False))


def _computes(module: nn.Module) -> bool:
    """Whether a module without children does anything."""
    return not isinstance(module, nn.Identity | nn.Sequential | nn.ModuleList | nn.ModuleDict)


def keras_layers(network: nn.Module) -> list[tuple[str, nn.Module | None]]:
    """The network's layers as Keras counts them: input, zero padding, convolution, batch norm, activation, pooling, ….

    Keras' MobileNet v1 has 87 up to its pooling, 92 with the head of the `classic` recipe: the input; a
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
        elif not list(module.children()) and _computes(module):
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
            that many. "stage:2": the stem and the first two stages (`blocks`, `stages`, `layer1…`, `denseblock1…`).
            "all": all but the head.

    A module all of whose layers are frozen is frozen with the parameters of its own (layer scale, ...). Those of the
    network itself (class token, position embedding) stand at its input and are frozen with the first layer.

    Returns the names of the frozen parameters.

    Raises:
        ConfigError: an unreadable spec, or more layers or stages than there are.
    """
    if isinstance(network, Wrapped):
        network = network.module
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    for module in network.modules():
        _mark(module, False)
    chosen = _chosen(network, str(spec).strip())
    for part in {part: None for module in chosen for part in module.modules()}:
        _mark(part, True)
    for module in reversed(list(network.modules())):  # inner modules before those that hold them
        children = [c for c in module.children() if list(c.children()) or _computes(c)]
        if children and module is not network and all(map(is_frozen, children)):
            _mark(module, True)
    for module in network.modules():
        if is_frozen(module) or (module is network and chosen):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
    return tuple(n for n, p in network.named_parameters() if not p.requires_grad)


def _mark(module: nn.Module, frozen: bool) -> None:
    module._frozen = frozen  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage, reportArgumentType]


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
        names = [n for n, _ in children[container].named_children()]
        if "denseblock1" in names:  # DenseNet keeps the stem among its features; a transition belongs to its block
            return before + stages[: _dense_stage(names, count)]
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


def _dense_stage(names: list[str], count: int) -> int:
    """How many of DenseNet's features come before its (count + 1)-th block."""
    starts = [i for i, name in enumerate(names) if name.startswith("denseblock")]
    if count > len(starts):
        raise ConfigError(f"freeze 'stage:{count}': this network has {len(starts)} stages.")
    return (*starts, len(names))[count]


def set_train_mode(network: nn.Module) -> None:
    """Training mode, but frozen layers in eval, so that frozen batch norms keep their running statistics."""
    network.train()
    for module in network.modules():
        if is_frozen(module):
            module.training = False
