"""How alike two maps are, and how alike maps are that have nothing to do with each other."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from radiolucent.metrics.arrays import midranks

__all__ = ["is_constant", "likeness", "pooled", "rank_correlation", "surrogates"]

Floats = NDArray[np.float64]


def pooled(values: NDArray[np.floating], cells: int) -> Floats:
    """A map (H, W) as means over cells × cells equal parts, or as it is where it is smaller.

    Rounded to 10⁻⁵ of the largest, so that ties stay ties whatever batch the map was made in.
    """
    size = (min(cells, values.shape[0]), min(cells, values.shape[1]))
    tensor = torch.from_numpy(np.ascontiguousarray(values, np.float64))[None, None]
    found = F.adaptive_avg_pool2d(tensor, size)[0, 0].numpy()
    unit = 1e-5 * float(np.abs(found).max()) or 1.0
    return np.round(found / unit) * unit


def is_constant(values: NDArray[np.floating]) -> bool:
    """Whether a map says nothing: its range is nil beside its size.

    >>> is_constant(np.full((2, 2), 3.0)), is_constant(np.array([[0.0, 1e-9]]))
    (True, False)
    """
    return bool(np.ptp(values) <= 1e-6 * np.abs(values).max())


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float | None:
    """Spearman's ρ of two maps' values; None where either is constant.

    >>> rank_correlation(np.array([1.0, 2.0, 4.0]), np.array([0.0, 1.0, 9.0]))
    1.0
    """
    if is_constant(a) or is_constant(b):
        return None
    return float(np.clip(np.corrcoef(midranks(a.ravel()), midranks(b.ravel()))[0, 1], -1, 1))


def likeness(a: NDArray[np.floating], b: NDArray[np.floating]) -> tuple[float, float]:
    """(|ρ|, SSIM): how alike two maps of one shape are, or one and the other's negative (Adebayo 2018, §4).

    For SSIM each map is divided by its largest |value|. A constant map is like no other: (0, 0).
    """
    rho = rank_correlation(a, b)
    if rho is None:
        return 0.0, 0.0
    first, second = (v / np.abs(v).max() for v in (a, b))
    window = min(7, *(s if s % 2 else s - 1 for s in a.shape))
    compare: Any = structural_similarity  # its types allow for further results that are not asked for
    return abs(rho), max(float(compare(first, s * second, win_size=window, data_range=2.0)) for s in (1, -1))


def _order(values: NDArray[np.floating]) -> NDArray[np.intp]:
    """Each value's place among all, from 0 up; of equal ones the first comes first."""
    found = np.empty(values.size, np.intp)
    found[np.argsort(values, axis=None, kind="stable")] = np.arange(values.size)
    return found.reshape(values.shape)


def surrogates(values: NDArray[np.floating], count: int, rng: np.random.Generator) -> list[Floats]:
    """Random maps with the very values of this one and nearly its smoothness, elsewhere (Theiler 1992, algorithm II).

    The map's ranks are made normal, the phases of their Fourier transform are drawn anew, and the map's values are put
    in the order of what comes out: what a map of this kind looks like that has nothing to do with this one.
    """
    from scipy import special

    order = _order(values)
    size = np.abs(np.fft.fft2(special.ndtri((order + 0.5) / values.size)))
    known = np.sort(values.ravel()).astype(np.float64)
    found: list[Floats] = []
    for _ in range(count):
        noise = np.fft.fft2(rng.standard_normal(values.shape))
        drawn = np.fft.ifft2(size * noise / np.maximum(np.abs(noise), 1e-12)).real
        found.append(known[_order(drawn)])
    return found
