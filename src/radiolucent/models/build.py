"""Networks by name: any of timm's, four presets, and the small CNN."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from radiolucent.bounds import expect
from radiolucent.errors import ConfigError, ModelError
from radiolucent.images import Preprocess
from radiolucent.models.classifier import Classifier
from radiolucent.models.in_lungs import InLungs
from radiolucent.models.labels_given import names_given
from radiolucent.models.memory import keep_freed_memory
from radiolucent.models.own import is_model_file, names_own
from radiolucent.models.own_start import start_of_own
from radiolucent.models.positive import positive_class
from radiolucent.models.small_cnn import SmallCNN
from radiolucent.models.small_resnet import SmallResNet
from radiolucent.models.weights import WeightsReport, load_weights, needs_hub, settle_missing
from radiolucent.segment import load_segmenter
from radiolucent.types import Head

__all__ = ["PRESETS", "build", "make_network"]


@dataclass(frozen=True)
class Preset:
    """A network's timm name, input and extra arguments.

    `hub` are the arguments for weights from the hub, where those were made with others.
    """

    timm: str
    size: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    hub: Mapping[str, Any] | None = None


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
READS_FILES = {"cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "num_classes"}
PRESETS: dict[str, Preset] = {
    # Keras pads asymmetrically and its batch norms use 1e-3; so do the weights made from it, but not the hub's.
    "mobilenetv1": Preset("mobilenetv1_100", 224, arguments={"pad_type": "same", "bn_eps": 1e-3}, hub={}),
    "inception_v3": Preset("inception_v3", 299, arguments={"aux_logits": False}),
    "densenet121": Preset("densenet121", 224, *IMAGENET),
    "small_cnn": Preset("", 160, (0.5,), (0.25,)),
    "small_resnet": Preset("", 128, (0.5,), (0.25,)),
    "in_lungs": Preset("", 224, (0.0,), (1.0,)),
}
OWN: dict[str, Callable[..., nn.Module]] = {"small_cnn": SmallCNN, "small_resnet": SmallResNet, "in_lungs": InLungs}
"""Networks that are not timm's; they have no ImageNet weights."""


def make_network(architecture: Mapping[str, Any], *, pretrained: bool = False) -> nn.Module:
    """The network that an `architecture` mapping describes, with random weights unless `pretrained`.

    Raises:
        ModelError: no such network, or arguments that it does not take; also any that would read another file, so that
            the mapping may come from a checkpoint.
    """
    keep_freed_memory()
    name, arguments = str(architecture["name"]), dict(architecture.get("arguments", {}))
    if name in OWN:
        build_it = partial(OWN[name], architecture["outputs"])
        arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    else:
        import timm

        if not timm.is_model(architecture["timm"]) or READS_FILES & arguments.keys():
            raise ModelError(
                f"model {name!r} ({architecture['timm']}) with arguments {arguments}; expected a name from "
                f"timm.list_models() and none of {', '.join(sorted(READS_FILES))}."
            )
        build_it = partial(timm.create_model, architecture["timm"], pretrained=pretrained)
        arguments["num_classes"] = architecture["outputs"]
    try:
        return build_it(**arguments)
    except (TypeError, ValueError, AssertionError, AttributeError) as error:
        raise ModelError(f"model {name!r} does not take these arguments: {arguments} ({error}).") from error


def _sized(config: Any, size: int | None) -> dict[str, Any]:
    """The argument that tells a network of one input size (vision transformers) of another."""
    if size is None or config is None or not config.fixed_input_size or size == config.input_size[-1]:
        return {}
    return {"img_size": size}


def _preset(name: str, arguments: Mapping[str, Any], chosen_size: int | None) -> Preset:
    if name in PRESETS:
        return PRESETS[name]
    import timm

    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('_')[0]}*")[:5]
        raise ModelError(
            f"model {name!r}: expected {', '.join(PRESETS)} or a timm name"
            f"{' such as ' + ', '.join(near) if near else ''}; timm.list_models() lists them. A network of your own is "
            "package.module:factory."
        )
    config = timm.get_pretrained_cfg(name)
    size = config.input_size[-1] if config else 224
    mean, std = (config.mean, config.std) if config else IMAGENET
    if arguments.get("in_chans") == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Preset(name, size, tuple(mean), tuple(std), _sized(config, chosen_size))


def build(
    name: str = "mobilenetv1",
    *,
    class_names: Sequence[str] = ("NORMAL", "PNEUMONIA"),
    pretrained: bool = True,
    weights: str | Path | None = None,
    size: int | None = None,
    fit: str = "squash",
    head: Head = "softmax",
    positive: int | str | None = None,
    dropout: float | None = None,
    seed: int = 0,
    **arguments: Any,
) -> tuple[Classifier, WeightsReport]:
    """Build a classifier.

    Args:
        name: "mobilenetv1", "inception_v3" (299 px), "densenet121", "small_cnn", "small_resnet", "in_lungs" (sees the
            lungs alone, which the shipped segmenter finds), any timm name, or "package.module:factory": a network of
            the user's (`start_of_own`).
        class_names: the classes, in the order of the logits.
        pretrained: start from ImageNet weights: from the hub, or from `weights`. Our own networks have none.
        weights: a file (safetensors, or a plain PyTorch state dict); partial files are fine.
        size: side of the input in pixels; the preset's unless given.
        fit: how films are made square: "squash", "pad" or "crop".
        head: "softmax", "sigmoid" (one logit, two classes) or "multilabel" (a sigmoid a label).
        positive: name or index of the class sensitivity speaks of; by the names unless given (`positive_class`).
        dropout: before the last layer; the network's own default unless given.
        seed: of whatever is initialised at random.
        arguments: passed on to the network.

    Raises:
        ModelError: no such network. WeightsError: weights cannot be had, read or fitted.
    """
    expect(name, str, "name of a network", "one such as 'mobilenetv1'; a module at hand goes into rl.wrap(module, …)")
    names = names_given(class_names)
    if names_own(name) or is_model_file(name):
        if arguments or dropout is not None:
            raise ConfigError(f"{name}: dropout and other arguments are its factory's; say them there.")
        file = Path(weights) if weights else None
        return start_of_own(
            name, names, weights=file, size=size, fit=fit, head=head, positive=positive, seed=seed
        )  # fmt: skip
    preset = _preset(name, arguments, size)
    chosen = 0 if head == "multilabel" else positive_class(names, positive)
    if head == "sigmoid" and len(names) != 2:
        raise ConfigError(f"a single logit tells two classes apart; got {len(names)}: {', '.join(names)}.")
    from_hub = pretrained and weights is None and preset.hub is not None
    extra = {**(preset.hub if from_hub and preset.hub is not None else preset.arguments), **arguments} | (
        {} if dropout is None else {_dropout_name(name): dropout}
    )
    if name == "in_lungs" and size is not None:
        extra.setdefault("film", size)
    outputs = 1 if head == "sigmoid" else len(names)
    architecture = {"name": name, "timm": preset.timm, "outputs": outputs, "arguments": extra}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, report = _with_weights(architecture, pretrained, Path(weights) if weights else None)
    least = network.least_side if isinstance(network, SmallCNN) else 0
    if (side := size or preset.size) < least:
        raise ConfigError(f"size {side} for {name}, which halves it with every block; expected at least {least}.")
    channels = len(preset.mean)
    preprocess = Preprocess(size or preset.size, cast(Any, fit), channels, preset.mean, preset.std)
    network = network.to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]
    return Classifier(network, names, preprocess, chosen, head, architecture=architecture), report


def _dropout_name(name: str) -> str:
    return "dropout" if name in OWN else "drop_rate"


def _with_finder(network: nn.Module) -> nn.Module:
    """A network that looks at the lungs alone is given the shipped segmenter to find them: it never learns that."""
    if isinstance(network, InLungs):
        network.finder.load_state_dict(load_segmenter().network.state_dict())
    return network


def _with_weights(
    architecture: Mapping[str, Any], pretrained: bool, weights: Path | None
) -> tuple[nn.Module, WeightsReport]:
    if weights is not None:
        network = _with_finder(make_network(architecture))
        report = load_weights(network, weights)
        if isinstance(network, InLungs):  # what a file lacks of the finder is the shipped segmenter's, not afresh
            missing = tuple(n for n in report.missing if not n.startswith("finder."))
            report = dataclasses.replace(report, missing=missing)
        return network, settle_missing(network, report)
    if not pretrained or architecture["name"] in OWN:
        network = _with_finder(make_network(architecture))
        drawn = tuple(n for n, p in network.named_parameters() if p.requires_grad)
        return network, WeightsReport("random", missing=drawn)
    with needs_hub(architecture["timm"]):
        network = make_network(architecture, pretrained=True)
    head = set(cast(Any, network).get_classifier().parameters())
    missing = tuple(n for n, p in network.named_parameters() if p in head)
    loaded = tuple(n for n in network.state_dict() if n not in missing)
    return network, WeightsReport(f"hub: {architecture['timm']}", loaded, missing=missing)
