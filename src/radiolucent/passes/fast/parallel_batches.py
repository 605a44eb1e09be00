"""Batches side by side, each on threads of its own, instead of one after the other on all of them."""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

__all__ = ["side_by_side", "threads", "workers"]

S = TypeVar("S")
T = TypeVar("T")

MOST = 8
"""Batches at a time, however many threads there are."""

# torch's number of threads is the process's: a worker that sets its own sets everybody's. The first call keeps it and
# the last puts it back.
_GUARD = threading.Lock()
_UNDER_WAY: list[int] = []


def threads() -> int:
    """torch's number of threads, also while batches go side by side."""
    with _GUARD:
        return _UNDER_WAY[0] if _UNDER_WAY else torch.get_num_threads()


def workers() -> int:
    """How many batches go side by side here: one for each of torch's threads, 8 at most."""
    return max(1, min(threads(), MOST))


def side_by_side(work: Callable[[S], T], parts: Sequence[S], count: int) -> list[T]:
    """What `work` gives for each part, in order, `count` parts at a time.

    On a CPU two batches side by side are quicker than one on two threads: threads need not wait for each other after
    every operation, and Python's own time is hidden. torch's threads are shared out among the workers, and its number
    of threads is afterwards what it was. `work` must not draw random numbers or change anything. Gradients are off.

    Raises:
        What `work` raises, of the first part where it does; parts not begun by then are left.
    """

    def quietly(part: S) -> T:
        with torch.no_grad():  # a thread has a mode of its own
            return work(part)

    count = min(count, len(parts))
    if count <= 1:
        return [quietly(part) for part in parts]
    with _shared_out() as everybodys:
        pool = ThreadPoolExecutor(count, "radiolucent", torch.set_num_threads, (max(1, everybodys // count),))
        try:
            futures = [pool.submit(quietly, part) for part in parts]
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in filter(Future.done, futures):
                future.result()  # an error, if there is one
            return [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _shared_out() -> Generator[int]:
    with _GUARD:
        _UNDER_WAY.append(_UNDER_WAY[0] if _UNDER_WAY else torch.get_num_threads())
        before = _UNDER_WAY[0]
    try:
        yield before
    finally:
        with _GUARD:
            _UNDER_WAY.pop()
            if not _UNDER_WAY:
                torch.set_num_threads(before)
