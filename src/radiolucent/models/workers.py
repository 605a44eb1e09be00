"""Batches side by side, each on threads of its own, instead of one after the other on all of them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

__all__ = ["side_by_side", "workers"]

S = TypeVar("S")
T = TypeVar("T")

MOST = 8
"""Batches at a time, however many threads there are."""


def workers() -> int:
    """How many batches go side by side here: one for each of torch's threads, 8 at most."""
    return max(1, min(torch.get_num_threads(), MOST))


def side_by_side(work: Callable[[S], T], parts: Sequence[S], count: int) -> list[T]:
    """What `work` gives for each part, in order, `count` parts at a time.

    On a CPU two batches side by side are quicker than one on two threads: threads need not wait for each other after
    every operation, and Python's own time is hidden. torch's threads are shared out among the workers, and its number
    of threads is afterwards what it was. `work` must not draw random numbers or change anything. Gradients are off.

    Raises:
        Whatever `work` raises first; parts not begun by then are left.
    """
    threads = torch.get_num_threads()
    count = min(count, len(parts))
    if count <= 1:
        with torch.no_grad():
            return [work(part) for part in parts]

    def quietly(part: S) -> T:
        with torch.no_grad():  # a thread has a mode of its own
            return work(part)

    pool = ThreadPoolExecutor(count, "radiolucent", torch.set_num_threads, (max(1, threads // count),))
    try:
        futures = [pool.submit(quietly, part) for part in parts]
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # a worker's number is what new threads begin with
