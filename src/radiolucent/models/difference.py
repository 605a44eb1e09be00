"""How far two tensors are apart."""

import torch

__all__ = ["difference_of_moves", "relative_difference", "share_of_moves"]

ROUNDING = 16 * torch.finfo(torch.float32).eps
"""Share of the largest value that float32 may differ by for no reason but the order of summation (ours)."""


def relative_difference(found: torch.Tensor, expected: torch.Tensor, *, floor: float = 1.0) -> float:
    """The largest |found − expected| as a share of the largest |expected|, or of `floor` where that is larger.

    Args:
        found, expected: of one shape and on one device.
        floor: keeps rounding errors of values near zero from looking large.
    """
    return float((found - expected).abs().max()) / max(floor, float(expected.abs().max()))


def difference_of_moves(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest |found − expected|, beyond rounding, as a share of how far `expected` moves between its rows.

    Against the values themselves, what does not depend on its input at all looks right where values hardly move.

    Args:
        found, expected: (n, …) of one shape, for two or more different inputs.
    """
    return share_of_moves(found, expected, float((expected.amax(0) - expected.amin(0)).max()))


def share_of_moves(found: torch.Tensor, expected: torch.Tensor, moves: float) -> float:
    """The same for any number of rows, where it is known how far such values move; infinity for another shape."""
    if found.shape != expected.shape:
        return float("inf")
    off = float((found - expected).abs().max()) - ROUNDING * float(expected.abs().max())
    return max(off, 0.0) / max(moves, 1e-30)
