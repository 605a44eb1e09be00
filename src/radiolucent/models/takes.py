"""The memory format in which a network takes its inputs."""

from typing import Any, cast

import torch
from torch import nn

from radiolucent.errors import ModelError
from radiolucent.models.opaque import opaque
from radiolucent.models.per_network import remember, remembered, structure_of
from radiolucent.models.settings import noting_what_moves

__all__ = ["as_contiguous", "asked", "fitting", "takes_channels_last"]

WHAT = "takes channels last"


def asked(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """What the network gives for inputs (N, C, H, W), asked with channels last unless it cannot take them so.

    A network that flattens with `view` takes contiguous inputs alone, and one that reads memory by strides of its own
    (`as_strided`) answers otherwise with channels last; that is found once and remembered.
    """
    if len(inputs) > 1 and _singly(network, inputs):
        return torch.cat([asked(network, one) for one in inputs.split(1)])
    valid = structure_of(network)
    known = remembered(network, WHAT, valid)
    if known is False:
        return _first(network(as_contiguous(inputs)))
    if known is None:
        with noting_what_moves(network):
            return _found_out(network, inputs, valid)
    return _found_out(network, inputs, valid)


def _singly(network: nn.Module, inputs: torch.Tensor) -> bool:
    """Whether a quantised network answers a film otherwise in company, and so is asked about one at a time.

    Dynamic quantisation takes its scale from all that is in a batch.
    """
    if "quantised" not in (opaque(network) or ""):
        return False

    def differ() -> bool:
        two = torch.cat([inputs[:1], 2 * inputs[:1]])
        with torch.no_grad():
            alone = torch.cat([_first(network(as_contiguous(one))) for one in two.split(1)])
            return not torch.equal(_first(network(as_contiguous(two))), alone)

    return remember(network, "one at a time", structure_of(network), differ)


def _found_out(network: nn.Module, inputs: torch.Tensor, valid: int) -> torch.Tensor:
    last = inputs.contiguous(memory_format=torch.channels_last)
    if last is inputs:  # the network may write in place
        last = inputs.clone()
    try:
        out = network(last)
    except RuntimeError as error:
        if "view" not in str(error):
            raise
        out = network(as_contiguous(inputs))
        remember(network, WHAT, valid, lambda: False)
        return _first(out)
    if remembered(network, WHAT, valid) is None and not remember(
        network, WHAT, valid, lambda: _alike(network, inputs[:1])
    ):
        return _first(network(as_contiguous(inputs)))
    return _first(out)


def _alike(network: nn.Module, one: torch.Tensor) -> bool:
    """Whether a network answers an input alike in either memory format."""
    if one.shape[1] == 1:
        return True  # there is but one order
    with torch.no_grad():
        given = (one.clone(memory_format=torch.channels_last), as_contiguous(one))
        found, expected = (_first(network(each)).as_subclass(torch.Tensor) for each in given)
    apart = (found - expected).abs().max()
    return not bool(apart > max(1e-4, 16 * torch.finfo(found.dtype).eps) * expected.abs().max())


def fitting(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The inputs (N, C, H, W) in a memory format that the network takes; if that is unknown, it is asked.

    Not always a copy: whoever hands them to a network that may write in place copies them.
    """
    return inputs if takes_channels_last(network, inputs) else as_contiguous(inputs)


def takes_channels_last(network: nn.Module, inputs: torch.Tensor) -> bool:
    """Whether a network takes inputs with channels last; if that is unknown, it is asked about the first."""
    valid = structure_of(network)
    known: bool | None = remembered(network, WHAT, valid)
    if known is None:
        with torch.no_grad():
            asked(network, inputs[:1].detach())
        known = remembered(network, WHAT, valid)
    return bool(known)


def as_contiguous(inputs: torch.Tensor) -> torch.Tensor:
    """A copy in torch's default memory format."""
    # One channel is contiguous in either format, and only a copy gets the strides of this one.
    return inputs.clone(memory_format=torch.contiguous_format)


def _first(out: Any) -> torch.Tensor:
    found = cast(Any, out[0] if isinstance(out, tuple) and out else out)
    if not isinstance(found, torch.Tensor):
        raise ModelError(
            f"the network gives a {type(out).__name__}, where a Classifier takes logits (N, K); "
            "radiolucent.wrap(network, class_names, …) finds them in it."
        )
    return found
