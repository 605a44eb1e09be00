"""Batches computed side by side, each on its own threads, instead of one after the other on all threads."""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

from radiolucent.models.classifier import Classifier

__all__ = ["side_by_side", "threads", "workers_of"]

S = TypeVar("S")
T = TypeVar("T")

# torch's number of threads belongs to the process: a worker that sets it sets it for all. The first call keeps the
# number and the last one restores it.
_GUARD = threading.Lock()
_UNDER_WAY: list[int] = []


def threads() -> int:
    """torch's number of threads, also while batches are computed side by side."""
    with _GUARD:
        return _UNDER_WAY[0] if _UNDER_WAY else torch.get_num_threads()


def workers_of(classifier: Classifier) -> int:
    """Passes of torch that may go side by side: one for each thread, on the CPU; networks of others one by one.

    What others wrote may keep something of a pass.
    """
    alone = classifier.device.type != "cpu" or classifier.architecture.get("name") in ("wrapped", "function")
    return 1 if alone else threads()


def side_by_side(work: Callable[[S], T], parts: Sequence[S], count: int) -> list[T]:
    """What `work` gives for each part, in order, `count` parts at a time.

    On a CPU two batches side by side are quicker than one on two threads: threads need not wait for each other after
    every operation, and Python's own time is hidden. torch's threads are divided among the workers; afterwards its
    number of threads is as before. `work` must not draw random numbers or change anything. Gradients are off.

    Raises:
        What `work` raises for the first part that fails; parts not begun by then are not computed.
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
