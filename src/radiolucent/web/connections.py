"""Connections that cannot be held open to keep others out: time-outs, and a limit by address that drops who waits."""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["FairProtocol"]


def _since(one: "FairProtocol") -> float:
    return one.since


class FairProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with what it leaves out.

    A request's headers arrive within `HEADER_SECONDS` of its first byte (bodies: see `Guard`), and answers are taken
    within `TAKE_SECONDS` of the moment the client stops reading. Of one address at most `OF_ONE` connections stay, of
    all `OF_ALL`: a new one takes the place of the one whose client has kept the server waiting longest.
    """

    HEADER_SECONDS: ClassVar[float] = 10.0
    TAKE_SECONDS: ClassVar[float] = 30.0
    OF_ONE: ClassVar[int] = 64
    OF_ALL: ClassVar[int] = 256

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.since: float = self.loop.time()  # when the client last completed something
        self._watch: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    @property
    def _answering(self) -> bool:
        """Whether a request's headers are here, and its answer is not complete."""
        cycle: Any = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is not None and not cycle.response_complete

    @property
    def _waits(self) -> bool:
        """Whether the next step is the client's."""
        return not self._answering or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()
        address = self.client[0] if self.client else ""
        everyone = [c for c in self.connections if isinstance(c, FairProtocol)]
        same = [c for c in everyone if c.client and c.client[0] == address]
        for group, limit in ((same, self.OF_ONE), (everyone, self.OF_ALL)):
            if len(group) > limit:
                slow = [c for c in group if c is not self and c._waits]
                min(slow, key=_since, default=self).transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._watch is None and not self._answering:
            self._expect()  # the first byte of another request
        super().data_received(data)
        if self._answering:
            self.since = self.loop.time()
            self._unwatch()

    def _expect(self) -> None:
        self._watch = self.loop.call_later(self.HEADER_SECONDS, self._late)

    def _late(self) -> None:
        self._watch = None
        if not self._answering:
            self.transport.abort()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        self._unwatch()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self.loop.call_later(self.TAKE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatch()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
