"""Being told to stop, between two steps instead of in the middle of one."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn

__all__ = ["Interruption"]


class Interruption:
    """Within the block the first SIGINT or SIGTERM only sets `wanted`; the loop saves and calls `carry_out`.

    A second SIGINT raises at once. Outside the main thread, or when not `active`, signals do what they always do.
    """

    def __init__(self, *, active: bool) -> None:
        self._active = active and threading.current_thread() is threading.main_thread()
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def wanted(self) -> bool:
        """Whether a signal came."""
        return self._received is not None

    def __enter__(self) -> "Interruption":
        if self._active:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None and self.wanted:  # came too late for the loop to see
            self.carry_out(None, None)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number

    def carry_out(self, epoch: int | None, step: int | None) -> NoReturn:
        """End as the signal asked.

        Raises:
            KeyboardInterrupt: for SIGINT, or a stop that another process asked for. SystemExit: (143) for SIGTERM.
        """
        where = f" in epoch {epoch} after step {step}" if epoch else ""
        if self._received == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt(f"stopped{where}; call fit again with the same arguments to go on")
