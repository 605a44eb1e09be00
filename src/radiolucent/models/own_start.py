"""A network of the user's to be trained here: made by a factory, with weights that may fit in part."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from radiolucent.errors import ConfigError, ModelError
from radiolucent.images import Preprocess
from radiolucent.models.classifier import Classifier
from radiolucent.models.opaque import opaque
from radiolucent.models.own import is_model_file, made_by, with_origin
from radiolucent.models.positive import AmbiguousPositive, positive_class
from radiolucent.models.weights import WeightsReport, load_weights, settle_missing
from radiolucent.models.wrap import Wrapped, wrap
from radiolucent.types import Head

__all__ = ["start_of_own"]

SIZE, MEAN, STD = 224, 0.5, 0.25
"""Of a module that says nothing of its inputs: about mean 0 and variance 1 for a film."""


def start_of_own(
    source: str,
    class_names: Sequence[str],
    *,
    weights: Path | None,
    size: int | None,
    fit: str,
    head: Head,
    positive: int | str | None,
    seed: int,
) -> tuple[Classifier, WeightsReport]:
    """A network of the user's, ready to be trained.

    A module takes as many channels as its first convolution; grey levels become (g − 0.5) / 0.25. A factory that gives
    a `Classifier` says all of that itself.

    Args:
        source: "package.module:factory". weights: fitted as far as they fit.
        size, fit, head, positive, seed: see `build`.

    Raises:
        ModelError: nothing there that can be trained. ConfigError: outputs, classes and options do not fit together.
    """
    if is_model_file(source):
        raise ModelError(
            f"{source}: a model file answers and cannot be trained; name the function that makes the module, "
            "package.module:factory, and its --weights."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = made_by(source)
    if isinstance(made, Classifier):
        _refuse_other_input(source, size, fit)
        _refuse_other_classes(made, source, class_names, head)
        found = made if positive is None else made.with_(positive=positive_class(made.class_names, positive))
    elif isinstance(made, nn.Module):
        channels = _channels(made)
        pre = Preprocess(size or SIZE, cast(Any, fit), channels, (MEAN,) * channels, (STD,) * channels)
        try:
            found = wrap(made, class_names, preprocess=pre, head=head, positive=positive)
        except AmbiguousPositive:
            raise
        except (ConfigError, ModelError) as error:
            raise type(error)(f"{source}: {error}") from error
    else:
        raise ModelError(f"{source}: a function, which has nothing to train; name one that makes a torch module.")
    if (why := opaque(found.network)) or not any(p.requires_grad for p in found.network.parameters()):
        raise ModelError(
            f"{source}: {why or 'a module without parameters'}; name a factory of a module that can be trained."
        )
    module = found.network.module if isinstance(found.network, Wrapped) else found.network
    report = WeightsReport(source) if weights is None else settle_missing(module, load_weights(module, weights))
    fresh = found.with_(threshold=0.5, temperature=1.0, rules=(), provenance={}, calibrated_on=None)
    return with_origin(fresh, source), report


def _refuse_other_input(source: str, size: int | None, fit: str) -> None:
    given = [*([] if size is None else [f"--size {size}"]), *([] if fit == "squash" else [f"--fit {fit}"])]
    if given:
        raise ConfigError(
            f"{source}: gives a Classifier, which says itself what its input is; leave {', '.join(given)} out."
        )


def _refuse_other_classes(made: Classifier, source: str, class_names: Sequence[str], head: Head) -> None:
    if (made.class_names, made.head) != (tuple(class_names), head):
        raise ConfigError(
            f"{source}: gives a Classifier of {', '.join(made.class_names)} ({made.head}), and the films have "
            f"{', '.join(class_names)} ({head}); name a factory that gives the module alone."
        )


def _channels(module: nn.Module) -> int:
    """Channels of the first convolution; 1 where there is none."""
    kinds = nn.modules.conv._ConvNd  # pyright: ignore[reportPrivateUsage]
    return next((m.in_channels for m in module.modules() if isinstance(m, kinds)), 1)
