"""Batches side by side: the same results, torch's threads as before, errors that come through."""

import threading
import time

import pytest
import torch

from radiolucent.models.parallel_batches import side_by_side
from radiolucent.passes.session import Session


@pytest.mark.parametrize("count", [1, 3])
def test_results_come_in_order_and_gradients_are_off(count: int) -> None:
    def work(part: int) -> tuple[int, bool]:
        time.sleep(0.02 * (part % 2))  # the second is done before the first
        return part * part, torch.is_grad_enabled()

    assert side_by_side(work, range(7, 0, -1), count) == [(i * i, False) for i in range(7, 0, -1)]
    assert side_by_side(work, [], count) == []
    assert torch.is_grad_enabled()


def test_threads_are_shared_out_and_afterwards_as_before() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert Session().workers == 4
        meet = threading.Barrier(2, timeout=30)  # both parts are under way at once, or this breaks

        def work(_: int) -> int:
            meet.wait()
            return torch.get_num_threads()

        assert side_by_side(work, range(2), 2) == [2, 2]
        fresh: list[int] = []
        thread = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert torch.get_num_threads() == 4 and fresh == [4]
        torch.set_num_threads(64)
        assert Session().workers == 8
    finally:
        torch.set_num_threads(before)


def test_calls_that_overlap_leave_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    inside, leave, seen = threading.Event(), threading.Event(), list[int]()

    def slow(_: int) -> None:
        inside.set()
        assert leave.wait(30)

    def second() -> None:  # in a thread that has no number of its own yet
        seen.append(Session().workers)
        seen.extend(side_by_side(lambda _: torch.get_num_threads(), range(2), 2))

    def told() -> None:
        seen.append(torch.get_num_threads())

    try:
        first = threading.Thread(target=side_by_side, args=(slow, range(2), 2))
        first.start()
        assert inside.wait(30)
        for each in (second, told):
            other = threading.Thread(target=each)
            other.start()
            other.join()
            leave.set()
            first.join()
        assert seen == [4, 2, 2, 4] and torch.get_num_threads() == 4 == Session().workers
    finally:
        leave.set()
        torch.set_num_threads(before)


def test_an_error_comes_through_and_what_was_not_begun_is_left() -> None:
    begun: list[int] = []

    def work(part: int) -> None:
        begun.append(part)
        time.sleep(1.0 if part == 0 else 0.01)
        if part:
            raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part 1"):
        side_by_side(work, range(300), 2)
    assert len(begun) < 50
