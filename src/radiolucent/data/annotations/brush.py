"""Label Studio's brush masks: a bit stream that packs an RGBA picture in run lengths."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import AnnotationError

__all__ = ["brush", "write_brush"]

_SIZES = (3, 4, 8, 16)  # bits of a block's length, as Label Studio writes them


def brush(values: Sequence[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A brush mask (H, W): bytes of a bit stream that packs the RGBA picture; painted where alpha is more than half.

    The stream: 32 bits of how many values follow; 5 of a value's bits less one; four times 4, the lengths' bits less
    one. Then blocks: a flag, 2 bits choosing one of the four, the block's length less one, and either one value
    (flag 1: repeated) or that many.
    """
    bits = np.unpackbits(np.asarray(values, np.uint8))
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise AnnotationError("brush: the run lengths end too early")
        at += count
        return int("".join(map(str, bits[at - count : at])), 2)

    total, width = take(32), take(5) + 1
    if total != shape[0] * shape[1] * 4:
        raise AnnotationError(f"brush of {total} values; expected {shape[0]} × {shape[1]} × 4 (RGBA)")
    sizes = [take(4) + 1 for _ in range(4)]
    found = np.zeros(total, np.uint8)
    done = 0
    while done < total:
        repeated = take(1)
        length = take(sizes[take(2)]) + 1
        if done + length > total:
            raise AnnotationError("brush: the run lengths overrun the image")
        taken = [take(width)] if repeated else [take(width) for _ in range(length)]
        found[done : done + length] = [min(v, 255) for v in taken]
        done += length
    return found.reshape(*shape, 4)[..., 3] > 127


def write_brush(mask: NDArray[np.bool_]) -> list[int]:
    """The stream of a mask (H, W): every run as one repeated value, the longest 65,536 long.

    >>> made = np.eye(3, dtype=bool)
    >>> bool((brush(write_brush(made), (3, 3)) == made).all())
    True
    """
    flat = np.repeat(mask.ravel(), 4)
    bits = [f"{len(flat):032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    for start, end in itertools.pairwise(edges):
        for first in range(start, end, 1 << 16):
            length = min(end - first, 1 << 16)
            kind = next(k for k, size in enumerate(_SIZES) if length <= 1 << size)
            bits.append(f"1{kind:02b}{length - 1:0{_SIZES[kind]}b}{255 if flat[start] else 0:08b}")
    text = "".join(bits)
    return np.packbits(np.frombuffer(text.encode(), np.uint8) - ord("0")).tolist()
