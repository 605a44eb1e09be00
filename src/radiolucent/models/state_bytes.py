"""What stands in a `state_dict`, as bytes: tensors, and whatever else modules put there."""

import pickle
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch

__all__ = ["bytes_of"]


def bytes_of(entry: Any) -> Iterator[Any]:
    """The bytes of an entry: of a tensor its values, of a quantised one its integers and scales too, of anything else
    (`get_extra_state`, packed weights) what it holds."""
    if isinstance(entry, torch.Tensor):
        yield from _of_tensor(entry)
    elif isinstance(entry, Mapping):
        for key, value in sorted(cast(Mapping[Any, Any], entry).items(), key=lambda item: repr(item[0])):
            yield repr(key).encode()
            yield from bytes_of(value)
    elif isinstance(entry, tuple | list):
        for each in cast(tuple[Any, ...], entry):
            yield from bytes_of(each)
    elif entry is None or isinstance(entry, str | int | float | bool | torch.dtype | torch.Size):
        yield repr(entry).encode()
    else:
        try:
            yield pickle.dumps(entry)
        except Exception:  # anything may stand here
            yield type(entry).__qualname__.encode()


def _of_tensor(tensor: torch.Tensor) -> Iterator[Any]:
    if tensor.is_quantized:
        per_channel = tensor.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric)
        yield repr(None if per_channel else (tensor.q_scale(), tensor.q_zero_point())).encode()
        if per_channel:
            yield from _of_tensor(tensor.q_per_channel_scales())
            yield from _of_tensor(tensor.q_per_channel_zero_points())
        tensor = tensor.int_repr()
    try:
        yield tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    except (RuntimeError, NotImplementedError, TypeError):  # a layout or subclass of its own
        yield repr(tensor).encode()
