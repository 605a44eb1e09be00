"""How far two tensors are apart."""

import torch

__all__ = ["relative_difference"]


def relative_difference(found: torch.Tensor, expected: torch.Tensor, *, floor: float = 1.0) -> float:
    """The largest |found − expected| as a share of the largest |expected|, or of `floor` where that is larger.

    Args:
        found, expected: of one shape and on one device.
        floor: keeps rounding errors of values near zero from looking large.
    """
    return float((found - expected).abs().max()) / max(floor, float(expected.abs().max()))
