"""Networks by name: any of timm's, four presets, and the small CNN."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import nn

from radiolucent.errors import ConfigError, ModelError
from radiolucent.images import Preprocess
from radiolucent.models.classifier import Classifier
from radiolucent.models.memory import keep_freed_memory
from radiolucent.models.small_cnn import SmallCNN
from radiolucent.models.weights import WeightsReport, load_weights, needs_hub
from radiolucent.types import Head

__all__ = ["PRESETS", "build", "make_network"]


@dataclass(frozen=True)
class Preset:
    """A network's timm name, input and extra arguments."""

    timm: str
    size: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PRESETS: dict[str, Preset] = {
    # Keras pads asymmetrically and its batch norms use 1e-3; so do the weights made from it.
    "mobilenetv1": Preset("mobilenetv1_100", 224, arguments={"pad_type": "same", "bn_eps": 1e-3}),
    "inception_v3": Preset("inception_v3", 299, arguments={"aux_logits": False}),
    "densenet121": Preset("densenet121", 224, *IMAGENET),
    "small_cnn": Preset("", 160, (0.5,), (0.25,)),
}


def make_network(architecture: Mapping[str, Any]) -> nn.Module:
    """The network, with random weights, that an `architecture` mapping describes.

    Raises:
        ModelError: timm has no such network.
    """
    keep_freed_memory()
    arguments = dict(architecture.get("arguments", {}))
    if architecture["name"] == "small_cnn":
        arguments["widths"] = tuple(arguments.get("widths", (16, 32, 64, 96)))
        return SmallCNN(architecture["outputs"], **arguments)
    return timm.create_model(architecture["timm"], num_classes=architecture["outputs"], **arguments)


def _preset(name: str, arguments: Mapping[str, Any]) -> Preset:
    if name in PRESETS:
        return PRESETS[name]
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('_')[0]}*")[:5]
        raise ModelError(
            f"model {name!r}: expected {', '.join(PRESETS)} or a timm name"
            f"{' such as ' + ', '.join(near) if near else ''}; timm.list_models() lists them."
        )
    config = timm.get_pretrained_cfg(name)
    size = config.input_size[-1] if config else 224
    mean, std = (config.mean, config.std) if config else IMAGENET
    return Preset(name, size, tuple(mean), tuple(std), arguments)


def build(
    name: str = "mobilenetv1",
    *,
    class_names: Sequence[str] = ("NORMAL", "PNEUMONIA"),
    pretrained: bool = True,
    weights: str | Path | None = None,
    size: int | None = None,
    fit: str = "squash",
    head: Head = "softmax",
    positive: int | None = None,
    dropout: float | None = None,
    seed: int = 0,
    **arguments: Any,
) -> tuple[Classifier, WeightsReport]:
    """Build a classifier.

    Args:
        name: "mobilenetv1", "inception_v3" (299 px), "densenet121", "small_cnn", or any timm name.
        class_names: the classes, in the order of the logits.
        pretrained: start from ImageNet weights: from the hub, or from `weights`. The small CNN has none.
        weights: a file (safetensors, or a plain PyTorch state dict); partial files are fine.
        size: side of the input in pixels; the preset's unless given.
        fit: how films are made square: "squash", "pad" or "crop".
        head: "softmax", "sigmoid" (one logit, two classes) or "multilabel".
        positive: index of the class sensitivity speaks of; "PNEUMONIA" where there is one, else the last.
        dropout: before the last layer; the network's own default unless given.
        seed: of whatever is initialised at random.
        arguments: passed on to the network.

    Raises:
        ModelError: no such network. WeightsError: weights cannot be had, read or fitted.
    """
    preset = _preset(name, arguments)
    names = tuple(class_names)
    if head == "sigmoid" and len(names) != 2:
        raise ConfigError(f"a single logit tells two classes apart; got {len(names)}: {', '.join(names)}.")
    extra = {**preset.arguments, **arguments} | ({} if dropout is None else {_dropout_name(name): dropout})
    outputs = 1 if head == "sigmoid" else len(names)
    architecture = {"name": name, "timm": preset.timm, "outputs": outputs, "arguments": extra}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, report = _with_weights(architecture, pretrained, Path(weights) if weights else None)
    channels = len(preset.mean)
    preprocess = Preprocess(size or preset.size, cast(Any, fit), channels, preset.mean, preset.std)
    chosen = (
        positive if positive is not None else (names.index("PNEUMONIA") if "PNEUMONIA" in names else len(names) - 1)
    )
    network = network.to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]
    return Classifier(network, names, preprocess, chosen, head, architecture=architecture), report


def _dropout_name(name: str) -> str:
    return "dropout" if name == "small_cnn" else "drop_rate"


def _with_weights(
    architecture: Mapping[str, Any], pretrained: bool, weights: Path | None
) -> tuple[nn.Module, WeightsReport]:
    if weights is not None:
        network = make_network(architecture)
        report = load_weights(network, weights)
        settle_missing(network, report)
        return network, report
    if not pretrained or architecture["name"] == "small_cnn":
        network = make_network(architecture)
        return network, WeightsReport("random", missing=tuple(n for n, _ in network.named_parameters()))
    with needs_hub(architecture["timm"]):
        arguments = dict(architecture["arguments"])
        network = timm.create_model(
            architecture["timm"], pretrained=True, num_classes=architecture["outputs"], **arguments
        )
    head = tuple(n for n, _ in cast(Any, network).get_classifier().named_parameters(prefix="classifier"))
    return network, WeightsReport(f"hub: {architecture['timm']}", tuple(network.state_dict()), missing=head)


def settle_missing(network: nn.Module, report: WeightsReport) -> None:
    """Reset the batch norm that follows a freshly initialised convolution: its statistics are another weight's."""
    fresh = {n.rsplit(".", 1)[0] for n in (*report.missing, *(m.split(" ")[0] for m in report.mismatched))}
    modules = list(network.named_modules())
    for index, (name, module) in enumerate(modules):
        if name in fresh and isinstance(module, nn.Conv2d):
            after = next((m for _, m in modules[index + 1 :] if isinstance(m, nn.modules.batchnorm._BatchNorm)), None)  # pyright: ignore[reportPrivateUsage]
            if after is not None:
                after.reset_running_stats()
